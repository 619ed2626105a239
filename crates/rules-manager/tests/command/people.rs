//! People at a terminal: the menu, previews, typed confirmations.

use testkit::{Pace, Site};

use crate::support::Terminal;
use crate::{command, run};

const DOWN: &str = "\u{1b}[B";
const ESCAPE: &str = "\u{1b}";

fn terminal(site: &Site, arguments: &[&str]) -> Terminal {
    Terminal::start(command(site, arguments), 120)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_menu_creates_a_rule_and_leads_back() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/autowithdraw/managed", serde_json::json!(["203.0.113.0/24"]));
    let menu = terminal(&site, &[]);
    menu.expect("Rules at Cloudflare").expect("Add BPS rules");
    menu.keys(DOWN).keys("\r");
    menu.expect("For which prefix?").keys("\r");
    menu.expect("Threshold").keys("3.5 Gbps\r");
    menu.expect("For how long?").keys("\r");
    menu.expect("Advertise automatically?").keys("\r");
    menu.expect("Why, for the record?").keys("a new customer\r");
    menu.expect("Create 1 rule? [y/N]").keys("y\n");
    menu.expect("created (change 1");
    let is_back = || {
        let said = menu.said();
        said.split("created (change 1")
            .nth(1)
            .is_some_and(|it| it.contains("Rules at Cloudflare"))
    };
    let limit = std::time::Duration::from_secs(60);
    testkit::wait::until("the menu is back", limit, || is_back().then_some(())).await;
    menu.keys(ESCAPE);
    let (code, said) = menu.end();
    assert_eq!(code, 0, "{said}");
    let shown = run(&site, &["show", "bps-203.0.113.0_24", "--json"]);
    assert_eq!(shown.json()["rule"]["bandwidth_threshold"], 3.5e9, "{}", shown.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_needs_the_name() {
    let site = Site::new(Pace::fast()).await;
    let name = "net-203.0.113.0_24";
    let hasty = terminal(&site, &["delete", name]);
    hasty.expect("Type net-203.0.113.0_24 to delete:").keys("y\n");
    let (code, said) = hasty.end();
    assert!(code == 4 && said.contains("cancelled; nothing was changed"), "{said}");
    assert_eq!(run(&site, &["show", name]).code, 0);
    let sure = terminal(&site, &["delete", name]);
    sure.expect("to delete:").keys(&format!("{name}\n"));
    let (code, said) = sure.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(&site, &["show", name]).code, 1);
    let undo = terminal(&site, &["undo"]);
    undo.expect("Take it back? [y/N]").keys("y\n");
    assert_eq!(undo.end().0, 0);
    assert_eq!(run(&site, &["show", name]).code, 0);
    // Ctrl-C in a menu.
    let menu = terminal(&site, &[]);
    menu.expect("Rules at Cloudflare").keys("\u{3}");
    assert_eq!(menu.end().0, 130);
}
