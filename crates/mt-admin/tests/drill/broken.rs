//! Thirty ways in which a chain can be broken, and the hop at which the drill must say so.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::notice::{Facts, Mute, Notice, Priority};
use domain::time::{minus, plus};
use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::site::WEBHOOK_SECRET;

use crate::fake::{self, WELL};
use crate::stage::{Stage, state};
use crate::support::Run;

/// What is broken, and the hop that shows it.
const SIGNS_OF_LIFE: [(&str, &str); 12] = [
    ("daemon dead", "services"),
    ("monitor dead", "services"),
    ("stale heartbeat", "services"),
    ("dashboard stopped", "services"),
    ("daemon says that it fails", "services"),
    ("monitor never seen", "services"),
    ("heartbeat of the future", "services"),
    ("nobody may withdraw", "services"),
    ("answer of the automation is old", "services"),
    ("outbox stuck", "services"),
    ("database missing", "services"),
    ("database damaged", "services"),
];

const RECEIVERS: [(&str, &str); 11] = [
    ("receiver killed", "receiver"),
    ("something else answers", "receiver"),
    ("receiver says that it fails", "receiver"),
    ("receiver takes any secret", "wrong secret"),
    ("wrong secret configured", "delivery"),
    ("this host is not allowed", "delivery"),
    ("receiver cannot store", "delivery"),
    ("receiver hangs", "delivery"),
    ("receiver names no delivery", "delivery"),
    ("another database", "record"),
    ("database written by somebody for ever", "delivery"),
];

const TELEGRAM: [(&str, &str); 12] = [
    ("bot token refused", "bot"),
    ("captive portal", "bot"),
    ("Telegram resets connections", "bot"),
    ("Telegram hangs", "bot"),
    ("clock skew", "bot"),
    ("wrong chat", "bot"),
    ("message refused with 403", "message"),
    ("message refused with 429", "message"),
    ("message hangs", "message"),
    ("alerts muted", "message"),
    ("wrong chat for tests", "test chat"),
    ("nobody acknowledges", "acknowledgement"),
];

fn telegram(code: u16, description: &str, retry_after: Option<u64>) -> FaultKind {
    FaultKind::Telegram {
        code,
        description: description.to_owned(),
        retry_after,
        migrate_to_chat_id: None,
    }
}

/// A receiver that answers POSTs like this, and is well otherwise.
async fn receiver_that(says: impl Fn(&str) -> fake::Said + Send + Sync + Clone + 'static) -> String {
    let base = fake::server(move |request| {
        if request.starts_with("GET") {
            return Some((200, "", WELL.to_owned()));
        }
        says(request)
    })
    .await;
    format!("{base}/webhook/cloudflare")
}

fn is_wrong(request: &str) -> bool {
    !request.contains(WEBHOOK_SECRET)
}

/// Breaks it and drills.
async fn broken(what: &str) -> Run {
    let quick = ["--json", "--timeout", "3s"];
    let with = |more: &[&str]| -> Vec<String> { quick.iter().chain(more).map(|s| (*s).to_owned()).collect() };
    let (stage, arguments, config) = match what {
        "daemon dead" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-autowithdraw", 4_000, "ok").await;
            (stage, with(&[]), None)
        }
        "monitor dead" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-analytics-monitor", 4_000, "ok").await;
            (stage, with(&[]), None)
        }
        "stale heartbeat" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-autowithdraw", 100, "ok").await;
            (stage, with(&[]), None)
        }
        "dashboard stopped" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-dashboard", 5, "stopped").await;
            (stage, with(&[]), None)
        }
        "daemon says that it fails" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-autowithdraw", 1, "failing").await;
            (stage, with(&[]), None)
        }
        "heartbeat of the future" => {
            let stage = Stage::without_receiver().await;
            stage.beat("cloudflare-analytics-monitor", -300, "ok").await;
            (stage, with(&[]), None)
        }
        "monitor never seen" => {
            let site = testkit::Site::new(testkit::Pace::fast()).await;
            let stage = Stage { site, receiver: None };
            stage.beat("cloudflare-webhook", 1, "ok").await;
            stage.beat("cloudflare-autowithdraw", 1, "ok").await;
            stage.beat("cloudflare-dashboard", 1, "ok").await;
            (stage, with(&[]), None)
        }
        "nobody may withdraw" => {
            let stage = Stage::without_receiver().await;
            let release = |tx: &db::WriteTx<'_>| db::leases::release(tx, "autowithdraw", "test");
            stage.db().write("test", release).await.unwrap();
            (stage, with(&[]), None)
        }
        "answer of the automation is old" => {
            let stage = Stage::without_receiver().await;
            stage.answered(Duration::from_secs(4_000)).await;
            (stage, with(&[]), None)
        }
        "outbox stuck" => {
            let stage = Stage::without_receiver().await;
            let old = minus(Timestamp::now(), Duration::from_secs(1_200));
            let facts = Facts::Raised {
                title: "an old message".into(),
                text: String::new(),
                priority: Priority::High,
            };
            let enqueue = move |tx: &db::WriteTx<'_>| db::outbox::enqueue(tx, &Notice::about(facts.clone()), old);
            stage.db().write("test", enqueue).await.unwrap();
            (stage, with(&[]), None)
        }
        "database missing" => {
            let stage = Stage::without_receiver().await;
            let other = stage.other_config("magic_transit.db", "nowhere.db");
            (stage, with(&[]), Some(other))
        }
        "database damaged" => {
            let stage = Stage::without_receiver().await;
            std::fs::write(stage.site.data_dir().join("damaged.db"), [0x5a; 20_000]).unwrap();
            let other = stage.other_config("magic_transit.db", "damaged.db");
            (stage, with(&[]), Some(other))
        }
        "receiver killed" => {
            let mut stage = Stage::with(&[]).await;
            let mut receiver = stage.receiver.take().unwrap();
            receiver.kill();
            receiver.end().await;
            (stage, with(&[]), None)
        }
        "something else answers" => {
            let base =
                fake::server(|_| Some((200, "", "{\"service\":\"printer\",\"status\":\"ok\"}".to_owned()))).await;
            let url = format!("{base}/webhook/cloudflare");
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "receiver says that it fails" => {
            let base = fake::server(|_| Some((503, "", WELL.replace("\"ok\"", "\"failing\"")))).await;
            let url = format!("{base}/webhook/cloudflare");
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "receiver takes any secret" => {
            let url = receiver_that(|_| Some((200, "", "{\"delivery\":1}".to_owned()))).await;
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "wrong secret configured" => {
            let stage = Stage::with(&[]).await;
            let other = stage.other_config(WEBHOOK_SECRET, "another-secret-than-the-running-one");
            (stage, with(&[]), Some(other))
        }
        "this host is not allowed" => {
            let stage = Stage::with(&[("/webhook/allowed_sources", json!(["192.0.2.1/32"]))]).await;
            (stage, with(&[]), None)
        }
        "receiver cannot store" => {
            let says = |request: &str| {
                Some(if is_wrong(request) {
                    (403, "", "{}".to_owned())
                } else {
                    (503, "", "{}".to_owned())
                })
            };
            let url = receiver_that(says).await;
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "receiver hangs" => {
            let says = |request: &str| is_wrong(request).then(|| (403, "", "{}".to_owned()));
            let url = receiver_that(says).await;
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "receiver names no delivery" => {
            let says = |request: &str| Some((if is_wrong(request) { 403 } else { 200 }, "", "{}".to_owned()));
            let url = receiver_that(says).await;
            (Stage::without_receiver().await, with(&["--url", &url]), None)
        }
        "another database" => {
            let stage = Stage::with(&[]).await;
            let path = stage.site.data_dir().join("elsewhere.db");
            drop(db::Db::open(&path, db::OpenOptions::default()).unwrap());
            let other = stage.other_config("magic_transit.db", "elsewhere.db");
            (stage, with(&[]), Some(other))
        }
        "database written by somebody for ever" => {
            let stage = Stage::with(&[]).await;
            let db = stage.db();
            let (release, held) = std::sync::mpsc::channel::<()>();
            let (taken, has_it) = std::sync::mpsc::channel::<()>();
            let writing = tokio::spawn(async move {
                db.write("for ever", move |_| {
                    let _ = taken.send(());
                    let _ = held.recv_timeout(Duration::from_secs(60));
                    Ok(())
                })
                .await
            });
            tokio::task::spawn_blocking(move || has_it.recv().unwrap())
                .await
                .unwrap();
            let run = stage.drill(&["--json", "--timeout", "3s"]).await;
            drop(release);
            let _ = writing.await;
            stage.end().await;
            return run;
        }
        "bot token refused" => {
            let stage = Stage::without_receiver().await;
            let fault = FaultSpec::new(Target::Telegram, telegram(401, "Unauthorized", None));
            stage.site.sim.set_fault(fault);
            (stage, with(&[]), None)
        }
        "captive portal" => {
            let stage = Stage::without_receiver().await;
            stage
                .site
                .sim
                .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Html { status: 200 }));
            (stage, with(&[]), None)
        }
        "Telegram resets connections" => {
            let stage = Stage::without_receiver().await;
            stage
                .site
                .sim
                .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Reset));
            (stage, with(&[]), None)
        }
        "Telegram hangs" => {
            let stage = Stage::without_receiver().await;
            stage
                .site
                .sim
                .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang));
            (stage, with(&[]), None)
        }
        "clock skew" => {
            let long_ago = "date: Mon, 02 Feb 2026 00:00:00 GMT\r\n";
            let said = json!({"ok": true, "result": {"id": 1, "username": "drill_bot"}}).to_string();
            let base = fake::server(move |_| Some((200, long_ago, said.clone()))).await;
            let stage = Stage::without_receiver().await;
            let other = stage.other_config(&stage.site.sim.telegram_url(), &base);
            (stage, with(&[]), Some(other))
        }
        "wrong chat" => {
            let stage = Stage::without_receiver().await;
            let chat = stage.site.sim.config().chat_id.to_string();
            let other = stage.other_config(&chat, "-1009999999999");
            (stage, with(&[]), Some(other))
        }
        "message refused with 403" | "message refused with 429" | "message hangs" => {
            let stage = Stage::with(&[]).await;
            let kind = match what {
                "message refused with 403" => telegram(403, "Forbidden: bot was kicked from the supergroup chat", None),
                "message refused with 429" => telegram(429, "Too Many Requests: retry after 3600", Some(3_600)),
                _ => FaultKind::Hang,
            };
            stage
                .site
                .sim
                .set_fault(FaultSpec::new(Target::Telegram, kind).path("(?i)sendmessage"));
            (stage, with(&[]), None)
        }
        "alerts muted" => {
            let stage = Stage::with(&[]).await;
            let mute = Mute {
                kind: "alert".into(),
                actor: "ana".into(),
                until: plus(Timestamp::now(), Duration::from_secs(3_600)),
            };
            let write = move |tx: &db::WriteTx<'_>| db::outbox::mute(tx, &mute, Timestamp::now());
            stage.db().write("test", write).await.unwrap();
            (stage, with(&[]), None)
        }
        "wrong chat for tests" => (
            Stage::without_receiver().await,
            with(&["--chat", "-1009999999999"]),
            None,
        ),
        "nobody acknowledges" => (Stage::with(&[]).await, with(&["--person", "1s"]), None),
        other => panic!("nobody knows how to break: {other}"),
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let config = config.unwrap_or_else(|| stage.site.config_dir());
    let run = stage.command(&config, &arguments).await;
    assert!(
        stage.site.changes_asked().is_empty(),
        "{what}: nothing may be asked of Cloudflare"
    );
    stage.end().await;
    run
}

/// Every case of a table; all that were not detected are named at once.
async fn all_detected(cases: &[(&str, &str)]) {
    let mut missed = Vec::new();
    for (what, hop) in cases {
        let run = broken(what).await;
        let report: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let is_detected = run.code == 1 && report["grade"] == "F" && state(&report, hop) == "failed";
        if !is_detected {
            missed.push(format!("{what} (at {hop}): {}", run.shown()));
        }
    }
    assert!(
        missed.is_empty(),
        "{} of {} missed\n{}",
        missed.len(),
        cases.len(),
        missed.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_services_are_detected() {
    all_detected(&SIGNS_OF_LIFE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_receivers_are_detected() {
    all_detected(&RECEIVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_messages_are_detected() {
    all_detected(&TELEGRAM).await;
}

#[test]
fn there_are_thirty_different_ones() {
    let mut names: Vec<&str> = SIGNS_OF_LIFE
        .iter()
        .chain(&RECEIVERS)
        .chain(&TELEGRAM)
        .map(|(what, _)| *what)
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= 30, "{}", names.len());
}
