//! `test-alert` and `notifications test` through the real receiver, down to the simulated Telegram. The receiver is the
//! real program, which `cargo build --workspace --bins` makes (`scripts/test` does it first).

use std::fs;

use testkit::Program;
use testkit::site::WEBHOOK_SECRET;

use crate::support::filters;
use crate::world::{run, site};

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_alert_reaches_people_and_no_statistics() {
    let site = site().await;
    let mut receiver = site.start(Program::Webhook).await;
    let sent = run(&site, &["test-alert"]);
    assert_eq!(sent.code, 0, "{}", sent.shown());
    // Whether the receiver's own start was told before is a race that does not matter.
    let mut filters = filters();
    filters.push((r"\bmessage \d+", "message [n]"));
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("test-alert", sent.shown());
    });
    let again = run(&site, &["test-alert", "--json"]);
    assert_eq!(again.json()["state"], "sent", "{}", again.shown());
    let said: Vec<String> = site.sim.messages().iter().map(|message| message.text.clone()).collect();
    assert!(
        said.iter().filter(|text| text.to_lowercase().contains("test")).count() >= 2,
        "{said:#?}"
    );
    let record = site.record();
    assert_eq!(record.deliveries, 0, "tests are not counted");
    assert!(record.events.iter().all(|event| event.is_test), "{}", record.shown());
    let message = run(&site, &["notifications", "test"]);
    assert_eq!(message.code, 0, "{}", message.shown());
    assert!(message.stdout.contains("was sent: as message"), "{}", message.shown());
    assert!(receiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broken_link_is_named() {
    let site = site().await;
    let down = run(&site, &["test-alert"]);
    assert_eq!(down.code, 1, "{}", down.shown());
    assert!(
        down.stderr.contains("is cloudflare-webhook running?"),
        "{}",
        down.shown()
    );
    let mut receiver = site.start(Program::Webhook).await;
    // A command of another configuration, whose secret the running receiver does not know.
    let other = site.path().join("other");
    fs::create_dir(&other).unwrap();
    let settings = fs::read_to_string(site.config_dir().join("settings.json")).unwrap();
    fs::write(
        other.join("settings.json"),
        settings.replace(WEBHOOK_SECRET, "another-secret-than-the-running-one"),
    )
    .unwrap();
    fs::copy(
        site.config_dir().join("prefix_mapping.json"),
        other.join("prefix_mapping.json"),
    )
    .unwrap();
    let wrong = run(
        &site,
        &["--config-dir", other.to_str().unwrap(), "test-alert", "--json"],
    );
    assert_eq!(
        (wrong.code, wrong.json()["error"]["code"].clone()),
        (1, "webhook.refused".into()),
        "{}",
        wrong.shown()
    );
    assert!(wrong.stderr.contains("HTTP 403"), "{}", wrong.shown());
    // The receiver stores, but into another file than this command reads.
    let settings = fs::read_to_string(site.config_dir().join("settings.json")).unwrap();
    fs::write(
        other.join("settings.json"),
        settings.replace("magic_transit.db", "elsewhere.db"),
    )
    .unwrap();
    let made = run(&site, &["--config-dir", other.to_str().unwrap(), "db", "migrate"]);
    assert_eq!(made.code, 0, "{}", made.shown());
    let lost = run(
        &site,
        &["--config-dir", other.to_str().unwrap(), "test-alert", "--json"],
    );
    assert_eq!(
        lost.json()["error"]["code"],
        "webhook.other_database",
        "{}",
        lost.shown()
    );
    assert!(receiver.stop().await.success());
}
