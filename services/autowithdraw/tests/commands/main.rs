//! The commands of `cloudflare-autowithdraw` as people and scripts use them: the real program against the simulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../../crates/cli/tests/support/mod.rs"]
mod support;

mod documented;

use std::process::Command;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, PrefixChange, RowSpec, Target};
use db::{Db, OpenOptions};
use domain::time::minus;
use jiff::Timestamp;
use support::{Run, Terminal, filters};
use testkit::site::PREFIX;
use testkit::{Pace, Site};

fn command(site: &Site, arguments: &[&str]) -> Command {
    support::program(
        env!("CARGO_BIN_EXE_cloudflare-autowithdraw"),
        &site.config_dir(),
        arguments,
    )
}

fn run(site: &Site, arguments: &[&str]) -> Run {
    support::run(command(site, arguments))
}

/// An advertisement of a day ago, with ordinary traffic.
async fn advertised() -> Site {
    let mut site = Site::new(Pace::fast()).await;
    // A look of a slow machine is later than fast motion allows.
    site.set("/autowithdraw/settle", serde_json::json!("1m"));
    site.sim.set_advertised(PREFIX, true);
    let change = PrefixChange {
        modified_ago_s: Some(86_400),
        ..PrefixChange::default()
    };
    site.sim.change_prefix(PREFIX, &change);
    let now = Timestamp::now();
    let at = |seconds: u64| minus(now, Duration::from_secs(seconds));
    let rows = (1..90).map(|n| RowSpec::passed("203.0.113.10", 50_000, 400_000_000).at(at(n)).visible());
    site.sim.add_rows(rows);
    site
}

fn database(site: &Site) -> Db {
    Db::open(site.database(), OpenOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_usage() {
    let site = Site::new(Pace::fast()).await;
    for (name, arguments) in [("help", &["--help"][..]), ("help-check", &["check", "--help"])] {
        let mut help = command(&site, arguments);
        help.env_remove("CLOUDFLARE_MT_CONFIG_DIR");
        insta::assert_snapshot!(name, support::run(help).shown());
    }
    let wrong = run(&site, &["chek"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("'check'"), "{}", wrong.shown());
    assert_eq!(run(&site, &["--check-config"]).code, 0);
    assert_eq!(run(&site, &["daemon", "--check-config"]).code, 0);
    let never = run(&site, &["status", "--json"]);
    assert_eq!(
        (never.code, never.json()["error"]["code"].clone()),
        (1, "db.file_missing".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_evaluation_stores_nothing_and_sends_nothing() {
    let site = advertised().await;
    let db = database(&site);
    let checked = run(&site, &["check", "--json"]);
    assert_eq!(
        checked.code,
        1,
        "nobody receives alerts, so they are unknown: {}",
        checked.shown()
    );
    let document = checked.json();
    let prefix = document["prefixes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["prefix"] == PREFIX)
        .unwrap()
        .clone();
    assert_eq!(prefix["managed"], true);
    assert_eq!(prefix["inputs"]["bgp"]["value"]["advertised"], true);
    assert_eq!(prefix["inputs"]["traffic"]["reading"], "known", "{prefix}");
    let answers = db.read("test", db::decisions::current).await.unwrap();
    assert!(answers.is_empty() && site.record().intents.is_empty() && site.record().notifications.is_empty());
    assert!(
        site.sim
            .requests_since(0)
            .iter()
            .all(|request| request.method != "PATCH")
    );
    let text = run(&site, &["check"]);
    for part in [
        "Evidence for 203.0.113.0/24",
        "nothing was stored and nothing was sent",
        "the webhook receiver never ran",
    ] {
        assert!(text.stdout.contains(part), "{part}: {}", text.shown());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_unknown() {
    let site = advertised().await;
    database(&site);
    site.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    let blind = run(&site, &["check"]);
    assert_eq!(blind.code, 1, "{}", blind.shown());
    assert!(
        blind.stdout.contains("unknown:traffic_unavailable"),
        "{}",
        blind.shown()
    );
    assert!(
        blind.stdout.contains("the traffic could not be read"),
        "{}",
        blind.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_by_hand_are_handed_over_word_by_word() {
    let site = Site::new(Pace::fast()).await;
    // Installed beside it: something that says what it was told.
    let bin = site.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let own = bin.join("cloudflare-autowithdraw");
    std::fs::copy(env!("CARGO_BIN_EXE_cloudflare-autowithdraw"), &own).unwrap();
    let other = bin.join("cloudflare-prefix-manager");
    std::fs::write(&other, "#!/bin/sh\nprintf '%s|' \"$@\"; exit 4\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&other, mode).unwrap();
    let run = |arguments: &[&str]| {
        let own = own.to_str().unwrap().to_owned();
        support::run(support::program(&own, &site.config_dir(), arguments))
    };
    let config = site.config_dir().display().to_string();
    for (asked, told) in [
        (&["withdraw"][..], "withdraw|--all|"),
        (&["withdraw", PREFIX, "--yes"], "withdraw|203.0.113.0/24|--yes|"),
        (
            &["advertise", PREFIX, "--reason", "attack on 17", "--json"],
            "advertise|203.0.113.0/24|--reason|attack on 17|--json|",
        ),
    ] {
        let handed = run(asked);
        assert_eq!(handed.code, 4, "{}", handed.shown());
        assert_eq!(handed.stdout, format!("{told}--config-dir|{config}|"));
    }
    std::fs::remove_file(&other).unwrap();
    let mut alone = support::program(own.to_str().unwrap(), &site.config_dir(), &["advertise", PREFIX]);
    alone.env("PATH", "/nonexistent");
    let alone = support::run(alone);
    assert!(
        alone.code == 1 && alone.stderr.contains("nothing was done"),
        "{}",
        alone.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_shows_what_answers_and_what_was_dropped() {
    let site = advertised().await;
    database(&site);
    let now = Timestamp::now();
    let dropped = RowSpec::dropped("203.0.113.10", 90_000, 720_000_000).dim("mitigationSystem", "dosd");
    site.sim
        .add_rows([dropped.at(minus(now, Duration::from_secs(600))).visible()]);
    let tested = run(&site, &["test", "--json"]);
    assert_eq!(tested.code, 0, "{}", tested.shown());
    let document = tested.json();
    assert_eq!(document["dropped"][0]["subnet"], PREFIX);
    assert_eq!(document["dropped"][0]["packets"], 90_000);
    assert_eq!(document["prefixes"], 4);
    let text = run(&site, &["test"]);
    assert!(
        text.stdout.contains("203.0.113.0/24") && text.stdout.contains("dosd"),
        "{}",
        text.shown()
    );
    site.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    let broken = run(&site, &["test"]);
    assert_eq!(broken.code, 1, "{}", broken.shown());
    assert!(broken.stdout.contains("analytics: FAILED"), "{}", broken.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_explanation_of_a_real_daemon() {
    let site = advertised().await;
    let daemon = Terminal::start(command(&site, &["daemon"]), 100);
    site_is_judged(&site).await;
    let status = run(&site, &["status", "--json"]);
    let document = status.json();
    assert_eq!(
        document["daemon"]["service"],
        "cloudflare-autowithdraw",
        "{}",
        status.shown()
    );
    assert_eq!(document["prefixes"].as_array().unwrap().len(), 4);
    let explained = run(&site, &["explain", PREFIX]);
    assert_eq!(explained.code, 0, "{}", explained.shown());
    for part in [
        "Evidence of the daemon's last answer",
        "Cloudflare analytics",
        "Verdict, what blocks, what comes next",
    ] {
        assert!(explained.stdout.contains(part), "{part}: {}", explained.shown());
    }
    let unknown = run(&site, &["explain", "192.0.2.0/25"]);
    assert_eq!(unknown.code, 1, "{}", unknown.shown());
    daemon.signal("TERM");
    let (code, said) = daemon.end();
    assert_eq!(code, 0, "{said}");
    let stopped = run(&site, &["status"]);
    assert_eq!(stopped.code, 1, "{}", stopped.shown());
    assert!(stopped.stdout.contains("stopped"), "{}", stopped.shown());
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("status-stopped", stopped.shown());
    });
}

/// It is named, with its row in the log and the command that takes it back, for as long as it is so.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changed_is_named_and_offered_back() {
    let site = &advertised().await;
    let daemon = Terminal::start(command(site, &["daemon"]), 100);
    site_is_judged(site).await;
    site.sim.set_advertised(PREFIX, false);
    site.until("it is recorded", Duration::from_secs(60), |record| {
        record.events_of("NOTE").count() == 1 && record.verdict(PREFIX).as_deref() == Some("direct")
    })
    .await;
    let event = site.record().events_of("NOTE").next().unwrap().id;
    let status = run(site, &["status", "--json"]).json();
    let changed = &status["changed_elsewhere"][0];
    assert_eq!(
        (&changed["prefix"], &changed["event"]),
        (&PREFIX.into(), &event.into()),
        "{status}"
    );
    let again = "cloudflare-prefix-manager advertise 203.0.113.0/24";
    assert_eq!(changed["take_back"], again);
    for asked in [&["status"][..], &["explain", PREFIX]] {
        let shown = run(site, asked);
        let text = shown.stdout.replace('\n', " ");
        for part in ["was withdrawn, not by us", &format!("event #{event}"), again] {
            assert!(text.contains(part), "{part}: {}", shown.shown());
        }
    }
    site.sim.set_advertised(PREFIX, true);
    site.until("it is seen advertised", Duration::from_secs(60), |record| {
        record.verdict(PREFIX).as_deref() != Some("direct")
    })
    .await;
    let status = run(site, &["status", "--json"]).json();
    let offers: Vec<&serde_json::Value> = status["changed_elsewhere"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|changed| !changed["take_back"].is_null())
        .collect();
    assert!(offers.is_empty(), "nothing is left to take back: {status}");
    daemon.signal("TERM");
    let (code, said) = daemon.end();
    assert_eq!(code, 0, "{said}");
}

async fn site_is_judged(site: &Site) {
    // The file is there once the daemon has made it.
    testkit::wait::until("the database", Duration::from_secs(30), || {
        site.database().exists().then_some(())
    })
    .await;
    let judged = testkit::wait::within(Duration::from_secs(30), || {
        let db = Db::open(site.database(), OpenOptions::read_only()).ok()?;
        let read = db.read_blocking("test", db::inventory::all).ok()?;
        let beats = db.read_blocking("test", db::heartbeats::all).ok()?;
        (read.len() == 4 && !beats.is_empty()).then_some(())
    });
    judged.await.expect("the daemon has read and judged all prefixes");
}
