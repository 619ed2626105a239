//! What a person does on the dashboard reaches Cloudflare and the record, with and without the daemon.

use std::time::Duration;

use db::sessions::{self, NewSession};
use db::users::{self, Role};
use db::{Db, OpenOptions};
use domain::time::plus;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::site::PREFIX;
use testkit::{Pace, Program, Site, stories, wait};

const SOON: Duration = Duration::from_secs(30);

const SECRET: &str = "the-secret-of-the-session";

/// A signed-in operator's change, as the page's script sends it.
async fn post(site: &Site, path: &str, body: &Value) -> (StatusCode, Value) {
    let url = format!("http://{}{path}", site.listen(Program::Dashboard));
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let request = client
        .post(url)
        .header("cookie", format!("magic-transit={}", token()))
        .header("x-csrf-token", SECRET)
        .json(body);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn token() -> String {
    hex::encode(Sha256::digest("otto"))
}

async fn sign_in(site: &Site) {
    let now = Timestamp::now();
    let hash = hex::encode(Sha256::digest(token()));
    let db = Db::open(site.database(), OpenOptions::default()).unwrap();
    let stored = db.write("sign in", move |tx| {
        let user_id = users::add(tx, "otto", "*", Role::Operator, false, now)?;
        let session = NewSession {
            token_hash: &hash,
            user_id,
            csrf: SECRET,
            expires_at: plus(now, Duration::from_secs(3_600)),
            address: "127.0.0.1",
            agent: "test",
        };
        sessions::open(tx, &session, now)
    });
    stored.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_withdraws_and_advertises_on_the_dashboard() {
    let mut site = Site::new(Pace::fast()).await;
    // Nothing but the person acts.
    site.set("/autowithdraw/mode", "dry_run".into());
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    let mut daemon = site.start(Program::AutoWithdraw).await;
    let mut dashboard = site.start(Program::Dashboard).await;
    sign_in(&site).await;
    wait::until("the scenario's prefix is advertised", SOON, || {
        site.is_advertised().then_some(())
    })
    .await;
    site.until("the daemon has read it", SOON, |record| {
        record
            .verdict(PREFIX)
            .is_some_and(|verdict| !verdict.starts_with("unknown:bgp"))
    })
    .await;

    let body = json!({"prefix": PREFIX, "reason": "end of the test", "confirm": PREFIX});
    let (status, told) = post(&site, "/api/prefixes/withdraw", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let record = site
        .until("it is withdrawn and recorded", SOON, |record| record.history.len() == 1)
        .await;
    assert!(!site.is_advertised());
    let withdrawal = record.events_of("WITHDRAW").next().expect("an event");
    assert_eq!(withdrawal.prefix.as_deref(), Some(PREFIX));
    assert_eq!(site.changes_asked().len(), 1, "one call, whoever made it");

    // Nobody else is there: the dashboard carries it out by itself.
    daemon.stop().await;
    let body = json!({"prefix": PREFIX, "reason": "customer reports loss"});
    let (status, told) = post(&site, "/api/prefixes/advertise", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    wait::until("it is advertised", SOON, || site.is_advertised().then_some(())).await;
    let record = site
        .until("the advertisement is recorded", SOON, |record| {
            record.events_of("ADVERTISE").count() == 1
        })
        .await;
    assert_eq!(site.changes_asked().len(), 2, "{}", record.shown());
    assert_eq!(
        record.messages_of("foreign_change").count(),
        0,
        "both are explained:\n{}",
        record.shown()
    );
    dashboard.stop().await;
}
