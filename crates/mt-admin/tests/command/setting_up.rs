//! `setup notifications`: a preview changes nothing; what is missing is made once; what is there stays.

use serde_json::json;
use testkit::{Program, Site};

use crate::support::Terminal;
use crate::world::{command, database, run, site};

const URL: &str = "https://mt.example.net/webhook/cloudflare";

fn posts(site: &Site) -> usize {
    let all = site.sim.requests_since(0);
    all.iter()
        .filter(|request| request.method != "GET" && request.path.contains("/alerting/"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_where_everything_is() {
    let site = site().await;
    let preview = run(&site, &["setup", "notifications"]);
    assert_eq!(preview.code, 0, "{}", preview.shown());
    assert!(preview.stdout.contains("nothing is missing"), "{}", preview.shown());
    let applied = run(&site, &["setup", "notifications", "--apply", "--yes", "--json"]);
    assert_eq!(applied.code, 0, "{}", applied.shown());
    let items = applied.json()["items"].as_array().unwrap().clone();
    assert!(items.iter().all(|item| item["state"] == "there"), "{}", applied.shown());
    assert_eq!(posts(&site), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_be_made_and_changes_nothing() {
    let site = site().await;
    site.sim.clear_webhook_target();
    let nowhere = run(&site, &["setup", "notifications"]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.shown());
    assert!(nowhere.stderr.contains("--url https://"), "{}", nowhere.shown());
    let preview = run(&site, &["setup", "notifications", "--url", URL]);
    assert_eq!(preview.code, 0, "{}", preview.shown());
    assert!(preview.stdout.contains("--apply creates the"), "{}", preview.shown());
    insta::assert_snapshot!("setup-preview", preview.shown());
    for bad in [
        "http://mt.example.net/webhook/cloudflare",
        "https://mt.example.net/",
        "mt",
    ] {
        assert_eq!(run(&site, &["setup", "notifications", "--url", bad]).code, 2, "{bad}");
    }
    let unasked = run(&site, &["setup", "notifications", "--url", URL, "--apply"]);
    assert_eq!(
        unasked.code,
        2,
        "without a terminal nobody is asked: {}",
        unasked.shown()
    );
    assert_eq!(posts(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_and_may_say_no() {
    let site = site().await;
    site.sim.clear_webhook_target();
    let asked = Terminal::start(
        command(&site, &["setup", "notifications", "--url", URL, "--apply"]),
        120,
    );
    asked.expect("Create 7 at Cloudflare").keys("\n");
    let (code, said) = asked.end();
    assert_eq!(code, 4, "{said}");
    assert_eq!(posts(&site), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_nothing_is_guessed() {
    let site = Site::with(testkit::Pace::fast(), |config| config.permissions.notifications = false).await;
    drop(database(&site));
    let refused = run(
        &site,
        &["setup", "notifications", "--url", URL, "--apply", "--yes", "--json"],
    );
    assert_eq!(refused.code, 1, "{}", refused.shown());
    assert_eq!(refused.json()["error"]["code"], json!("cloudflare.notifications"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_made_once_and_alerts_arrive_by_it() {
    let site = site().await;
    let mut receiver = site.start(Program::Webhook).await;
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
    site.sim.clear_webhook_target();
    let arguments = ["setup", "notifications", "--url", &url, "--apply", "--yes", "--json"];
    let made = run(&site, &arguments);
    assert_eq!(made.code, 0, "{}", made.shown());
    let items = made.json()["items"].as_array().unwrap().clone();
    assert!(items.iter().all(|item| item["state"] == "made"), "{}", made.shown());
    assert_eq!(items.len(), 7);
    let posted = posts(&site);
    let again = run(&site, &["setup", "notifications", "--apply", "--yes"]);
    assert_eq!(again.code, 0, "{}", again.shown());
    assert!(again.stdout.contains("nothing is missing"), "{}", again.shown());
    assert_eq!(posts(&site), posted, "nothing is made twice");
    let audit = run(
        &site,
        &[
            "db",
            "query",
            "SELECT count(*) FROM audit WHERE action = 'notification.setup'",
            "--json",
        ],
    );
    assert_eq!(audit.json()["rows"][0][0], 7, "{}", audit.shown());
    let judged = run(&site, &["doctor", "--json"]);
    for check in ["cloudflare.notifications", "cloudflare.destination", "receiver.public"] {
        let findings = judged.json()["findings"].as_array().unwrap().clone();
        let fine = findings
            .iter()
            .any(|finding| finding["check"] == check && finding["severity"] == "ok");
        assert!(fine, "{check}: {}", judged.shown());
    }
    assert!(receiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_is_no_destination() {
    let site = site().await;
    site.sim.clear_webhook_target();
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
    let arguments = ["setup", "notifications", "--url", &url, "--apply", "--yes", "--json"];
    let refused = run(&site, &arguments);
    assert_eq!(refused.code, 1, "{}", refused.shown());
    let items = refused.json()["items"].as_array().unwrap().clone();
    assert_eq!(items[0]["state"], "refused", "{}", refused.shown());
    assert!(
        items[1..].iter().all(|item| item["state"] == "missing"),
        "{}",
        refused.shown()
    );
    assert!(!refused.shown().contains(testkit::site::WEBHOOK_SECRET));
}
