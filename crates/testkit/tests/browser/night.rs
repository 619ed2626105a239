//! A night: somebody signs in, an attack comes while the page is open, and they do what has to be done.

use std::time::Duration;

use testkit::site::PREFIX;
use testkit::{Pace, Program, Site, stories, wait};

use crate::browser::Scenario;

/// The attack of [`stories::attack`], going on for as long as the scenario needs.
fn long_attack() -> String {
    let story = stories::attack();
    assert!(story.contains("duration = \"8s\""), "the story's attack has a length");
    story.replace("duration = \"8s\"", "duration = \"10m\"")
}

/// The password that the first start wrote.
pub(crate) fn first_password(site: &Site) -> String {
    let text = std::fs::read_to_string(site.data_dir().join("dashboard-first-login.txt")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("password:"));
    line.expect("a password").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_arrives_while_the_page_is_open() {
    let site = Site::new(Pace {
        calm_period: Duration::from_secs(600),
        ..Pace::fast()
    })
    .await;
    let mut services = vec![site.start(Program::Webhook).await];
    site.sim.run_scenario_toml(&stories::quiet()).unwrap();
    for program in [Program::AutoWithdraw, Program::Dashboard] {
        services.push(site.start(program).await);
    }
    let base = format!("http://{}", site.listen(Program::Dashboard));
    let password = first_password(&site);
    let environment = [("PASSWORD", password.as_str()), ("PREFIX", PREFIX)];
    let Some(mut scenario) = Scenario::start("night", &base, &environment) else {
        return;
    };
    while let Some(asked) = scenario.asks().await {
        match asked.as_str() {
            "attack" => {
                site.sim.run_scenario_toml(&long_attack()).unwrap();
            }
            "withdrawn" => {
                let limit = Duration::from_secs(30);
                wait::until("Cloudflare withdrew it", limit, || {
                    (!site.is_advertised()).then_some(())
                })
                .await;
            }
            other => panic!("nobody offers {other}"),
        }
        scenario.answer("done").await;
    }
    assert_eq!(site.changes_asked().len(), 1, "one withdrawal, asked for once");
}
