//! A clock that runs, a connection that is lost, a session that ends.

use std::time::Duration;

use testkit::site::PREFIX;
use testkit::{Pace, Program, Site, stories};

use crate::browser::Scenario;
use crate::night::first_password;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_countdown_ticks_and_a_lost_connection_is_said() {
    let site = Site::new(Pace {
        calm_period: Duration::from_secs(600),
        ..Pace::fast()
    })
    .await;
    let webhook = site.start(Program::Webhook).await;
    // An attack that is soon over: its calm is proven minute by minute while the page is open.
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    let automation = site.start(Program::AutoWithdraw).await;
    let mut dashboard = site.start(Program::Dashboard).await;
    let base = format!("http://{}", site.listen(Program::Dashboard));
    let password = first_password(&site);
    let environment = [("PASSWORD", password.as_str()), ("PREFIX", PREFIX)];
    let Some(mut scenario) = Scenario::start("countdown", &base, &environment) else {
        return;
    };
    while let Some(asked) = scenario.asks().await {
        match asked.as_str() {
            "lose the dashboard" => dashboard.kill(),
            "start the dashboard" => dashboard = site.start(Program::Dashboard).await,
            other => panic!("nobody offers {other}"),
        }
        scenario.answer("done").await;
    }
    drop((webhook, automation));
}
