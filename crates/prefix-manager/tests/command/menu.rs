//! The menu, driven at a pseudo-terminal.

use testkit::Site;
use testkit::site::PREFIX;

use crate::support::Terminal;
use crate::world::{command, daemon_beats, database, run, site};

const DOWN: &str = "\u{1b}[B";
const ENTER: &str = "\r";
const ESC: &str = "\u{1b}";

fn started(site: &Site) -> Terminal {
    let menu = Terminal::start(command(site, &[]), 120);
    menu.expect("What shall be done?").expect("Leave");
    menu
}

/// How often something was said.
fn times(menu: &Terminal, text: &str) -> usize {
    menu.said().matches(text).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_advertised_from_the_menu_and_the_menu_comes_back() {
    let site = site().await;
    daemon_beats(&database(&site), 1).await;
    let menu = started(&site);
    menu.keys(&DOWN.repeat(2)).keys(ENTER);
    menu.expect("Which prefix?").expect(PREFIX).keys(ENTER);
    menu.expect("Why, for the record?")
        .keys("attack on customer 17")
        .keys(ENTER);
    menu.expect("Advertise 203.0.113.0/24? [y/N]").keys("y\n");
    menu.expect("is advertised, read back from Cloudflare");
    assert!(site.is_advertised());
    let (code, said) = {
        let waited = std::time::Instant::now();
        while times(&menu, "What shall be done?") < 2 {
            assert!(waited.elapsed().as_secs() < 60, "{}", menu.said());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        menu.keys(ESC);
        menu.end()
    };
    assert_eq!(code, 0, "{said}");
    let record = site.record();
    assert_eq!(
        record.intents[0].0.reason,
        "attack on customer 17",
        "{}",
        record.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_in_the_menu_changes_nothing() {
    let site = site().await;
    drop(database(&site));
    let menu = started(&site);
    menu.keys(&DOWN.repeat(4)).keys(ENTER);
    menu.expect("Why, for the record?").keys(ENTER);
    menu.expect("[y/N]")
        .keys("n\n")
        .expect("cancelled; nothing was changed");
    menu.signal("TERM");
    let (code, said) = menu.end();
    assert_eq!(code, 143, "{said}");
    assert!(!site.is_advertised() && site.record().intents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_menu_is_an_interrupt_and_leaving_is_not() {
    let site = site().await;
    drop(database(&site));
    let interrupted = started(&site);
    interrupted.keys("\u{3}");
    let (code, said) = interrupted.end();
    assert_eq!(code, 130, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let left = started(&site);
    left.keys(ESC);
    assert_eq!(left.end().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_get_the_usage_instead() {
    let site = site().await;
    for arguments in [&[][..], &["--json"]] {
        let bare = run(&site, arguments);
        assert_eq!((bare.code, bare.stdout.as_str()), (2, ""), "{}", bare.shown());
        assert!(bare.stderr.contains("Usage:"), "{}", bare.shown());
    }
}
