//! `status`, `list`, `history`: sources, ages, fallbacks, JSON.

use std::process::Stdio;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::decision::{Block, Verdict};
use domain::time::{minus, plus};
use jiff::Timestamp;
use testkit::site::PREFIX;

use crate::support::{Terminal, filters};
use crate::world::{advertised_long_ago, command, daemon_beats, daemon_says, database, prefix, run, site};

async fn stored_reading(db: &db::Db, advertised: bool, read_ago: Duration) {
    let now = Timestamp::now();
    let found = domain::bgp::BgpPrefix {
        prefix: prefix(),
        parent_id: domain::ids::PrefixId::new("a0000000000000000000000000000001"),
        id: domain::ids::BgpPrefixId::new("b0000000000000000000000000000001"),
        asn: Some(64_500),
        description: "Customer hosting".into(),
        state: domain::bgp::BgpState {
            advertised: Some(advertised),
            advertised_modified_at: Some(minus(now, Duration::from_secs(86_400))),
            on_demand_enabled: true,
            locked: false,
            bgp_signalled: false,
            prepend: Some(0),
            auto_advertise_withdraw: false,
        },
    };
    db.write("test", move |tx| {
        db::inventory::observed(tx, &found, true, minus(now, read_ago))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_daemon_ever_ran_live_states_are_shown_and_the_gap_is_named() {
    let site = site().await;
    advertised_long_ago(&site);
    let shown = run(&site, &["status"]);
    assert_eq!(shown.code, 1, "{}", shown.shown());
    assert!(!site.database().exists(), "a look creates nothing");
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("status-without-database", shown.shown());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_picture_as_text_and_json() {
    let site = site().await;
    advertised_long_ago(&site);
    let db = database(&site);
    daemon_beats(&db, 3).await;
    let block = Block::Held {
        by: "kim@noc".into(),
        reason: "customer asked".into(),
        until: None,
        everywhere: false,
    };
    daemon_says(&site, &db, Verdict::Attack, vec![block]).await;
    let now = Timestamp::now();
    db.write("test", move |tx| {
        let until = plus(now, Duration::from_secs(7_200));
        db::holds::set(tx, Some(prefix()), "kim@noc", "customer asked", Some(until), now)
    })
    .await
    .unwrap();
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("status", run(&site, &["status"]).shown());
        insta::assert_snapshot!("status-detail", run(&site, &["status", PREFIX]).shown());
        insta::assert_snapshot!("status-json", run(&site, &["status", "--json", PREFIX]).shown());
    });
    let all = run(&site, &["--json", "status"]);
    assert_eq!(all.code, 0, "{}", all.shown());
    let all = all.json();
    assert_eq!(all["complete"], true);
    assert_eq!(all["prefixes"].as_array().unwrap().len(), 4);
    assert_eq!(all["prefixes"][0]["cloudflare"]["source"], "cloudflare");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_daemon_is_not_believed() {
    let site = site().await;
    advertised_long_ago(&site);
    let db = database(&site);
    daemon_beats(&db, 400).await;
    daemon_says(&site, &db, Verdict::Attack, vec![]).await;
    let shown = run(&site, &["--json", "status", PREFIX]).json();
    let standing = &shown["prefixes"][0];
    assert_eq!(
        (&standing["state"], &standing["under_attack"]),
        (&"protected".into(), &serde_json::Value::Null)
    );
    assert_eq!(standing["answer"]["believed"], false);
    assert!(
        standing["next"]
            .as_str()
            .unwrap()
            .contains("cloudflare-autowithdraw is silent since"),
        "{standing}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cloudflare_the_last_reading_is_shown_with_age_and_reason() {
    let site = site().await;
    let db = database(&site);
    stored_reading(&db, true, Duration::from_secs(30)).await;
    site.sim.stop_listening().await;
    let fresh = run(&site, &["status", PREFIX]);
    assert_eq!(fresh.code, 1, "{}", fresh.shown());
    for part in ["advertised 1 d, read ", "not read because", "NOT COMPLETE"] {
        assert!(fresh.stdout.contains(part), "{part}: {}", fresh.shown());
    }
    stored_reading(&db, true, Duration::from_secs(900)).await;
    let old = run(&site, &["--json", "status", PREFIX]).json();
    let standing = &old["prefixes"][0];
    assert_eq!(standing["state_text"], "unknown since 15 min, last known advertised");
    assert_eq!(
        standing["cloudflare"]["advertised"],
        serde_json::Value::Null,
        "never a guess"
    );
    assert_eq!(old["complete"], false);
    let unknown = run(&site, &["status", "192.0.2.0/24"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown
            .stderr
            .contains("is not known here, and Cloudflare could not be asked"),
        "{}",
        unknown.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_is_named_and_the_rest_is_live() {
    let site = site().await;
    let database = database(&site);
    stored_reading(&database, true, Duration::from_secs(10)).await;
    let parent = site.sim.prefix(PREFIX).unwrap().prefix_id;
    let fault = FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    );
    site.sim.set_fault(fault.path(&format!("{parent}/bgp/prefixes$")));
    let shown = run(&site, &["status", "--json"]);
    assert_eq!(shown.code, 1);
    let shown = shown.json();
    let sources: Vec<&str> = shown["prefixes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["cloudflare"]["source"].as_str().unwrap())
        .collect();
    assert_eq!(
        sources.iter().filter(|source| **source == "cloudflare").count(),
        3,
        "{sources:?}"
    );
    assert_eq!(
        sources.iter().filter(|source| **source == "database").count(),
        1,
        "{sources:?}"
    );
    assert!(shown["problems"][0].as_str().unwrap().contains("503"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_neither_cloudflare_nor_database_nothing_is_pretended() {
    let site = site().await;
    site.sim.stop_listening().await;
    let blind = run(&site, &["status", "--json"]);
    assert_eq!(blind.code, 1);
    assert_eq!(blind.json()["error"]["code"], "status.blind");
    assert!(blind.stderr.contains("nothing is known"), "{}", blind.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_prefix_is_a_failure_that_names_its_neighbours() {
    let site = site().await;
    stored_reading(&database(&site), false, Duration::from_secs(5)).await;
    let unknown = run(&site, &["status", "203.0.113.0/25"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("known and overlapping: 203.0.113.0/24"),
        "{}",
        unknown.shown()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_comes_from_the_database_or_else_from_cloudflare() {
    let site = site().await;
    let live = run(&site, &["list", "--json"]).json();
    assert_eq!(
        (&live["source"], live["prefixes"].as_array().unwrap().len()),
        (&"cloudflare".into(), 4)
    );
    stored_reading(&database(&site), false, Duration::from_secs(5)).await;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("list", run(&site, &["list"]).shown());
        insta::assert_snapshot!("list-json", run(&site, &["list", "--json"]).shown());
        insta::assert_snapshot!("history-empty", run(&site, &["history"]).shown());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let site = site().await;
    let mut child = command(&site, &["status"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    // Nothing but the missing database is worth a word.
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    let mut child = command(&site, &["--help"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    database(&site);
    let mut child = command(&site, &["status"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_terminal_gets_lines_that_fit_and_colour_only_if_wanted() {
    let site = site().await;
    advertised_long_ago(&site);
    let db = database(&site);
    daemon_beats(&db, 1).await;
    daemon_says(&site, &db, Verdict::Attack, vec![]).await;
    let (code, coloured) = Terminal::start(command(&site, &["status"]), 100).end();
    assert_eq!(code, 0, "{coloured}");
    assert!(coloured.contains("\u{1b}[1;31munder attack\u{1b}[0m"), "{coloured}");
    let mut plain = command(&site, &["status"]);
    plain.env("NO_COLOR", "1");
    let (_, plain) = Terminal::start(plain, 80).end();
    assert!(!plain.contains('\u{1b}'), "{plain}");
    // The last lines are sentences of the daemon, which a terminal wraps by itself.
    let table: Vec<&str> = plain.lines().take_while(|line| !line.is_empty()).collect();
    assert!(
        table.len() > 4 && table.iter().all(|line| line.chars().count() <= 80),
        "{plain}"
    );
}
