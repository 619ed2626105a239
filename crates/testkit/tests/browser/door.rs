//! The door: who gets in, who has to wait, and what other sites can do.

use testkit::{Pace, Program, Site, stories};

use crate::browser::Scenario;
use crate::night::first_password;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_wait_and_other_sites_are_refused() {
    let site = Site::new(Pace::fast()).await;
    site.sim.run_scenario_toml(&stories::quiet()).unwrap();
    let _dashboard = site.start(Program::Dashboard).await;
    let base = format!("http://{}", site.listen(Program::Dashboard));
    let password = first_password(&site);
    let environment = [("PASSWORD", password.as_str()), ("PREFIX", testkit::site::PREFIX)];
    if let Some(scenario) = Scenario::start("door", &base, &environment) {
        scenario.through().await;
    }
    assert_eq!(site.changes_asked().len(), 0, "no other site changed anything");
    let record = site.record();
    assert!(record.intents.is_empty(), "nothing was filed: {:?}", record.intents);
}
