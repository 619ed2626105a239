//! `test-alert` and `notifications test` through the real receiver, down to the simulated Telegram. The receiver is the
//! real program, which `cargo build --workspace --bins` makes (`scripts/test` does it first).

use testkit::Program;

use crate::support::filters;
use crate::world::{run, site};

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_alert_reaches_people_and_no_statistics() {
    let site = site().await;
    let mut receiver = site.start(Program::Webhook).await;
    let sent = run(&site, &["test-alert"]);
    assert_eq!(sent.code, 0, "{}", sent.shown());
    insta::with_settings!({filters => filters()}, {
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
    let mut site = site().await;
    let down = run(&site, &["test-alert"]);
    assert_eq!(down.code, 1, "{}", down.shown());
    assert!(
        down.stderr.contains("is cloudflare-webhook running?"),
        "{}",
        down.shown()
    );
    let mut receiver = site.start(Program::Webhook).await;
    site.set(
        "/cloudflare/webhook_secret",
        serde_json::json!("another-secret-than-the-running-one"),
    );
    // The receiver may follow a changed configuration; this command must then be right too.
    let other = run(&site, &["test-alert", "--json"]);
    if other.code != 0 {
        assert_eq!(other.json()["error"]["code"], "webhook.refused", "{}", other.shown());
    }
    assert!(receiver.stop().await.success());
}
