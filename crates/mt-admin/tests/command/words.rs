//! Help, usage errors, configuration, health.

use std::process::Stdio;

use serde_json::json;

use crate::support::{self, filters};
use crate::world::{UNITS, beats, command, database, notice, run, site};

#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let site = site().await;
    let help = |arguments: &[&str]| {
        let mut command = command(&site, arguments);
        // Help shows the values of variables.
        command.env_remove("CLOUDFLARE_MT_CONFIG_DIR");
        support::run(command).shown()
    };
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in [
        &["health"][..],
        &["db"],
        &["db", "query"],
        &["db", "backup"],
        &["db", "restore"],
        &["db", "prune"],
        &["notifications"],
        &["user"],
        &["user", "add"],
        &["explain"],
        &["test-alert"],
        &["notice", "raise"],
        &["user", "drop-second-factor"],
        &["import"],
        &["import", "webhooks"],
        &["import", "predecessor"],
        &["doctor"],
        &["setup", "notifications"],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        insta::assert_snapshot!(format!("help-{}", command.join("-")), help(&arguments));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_and_configuration() {
    let mut site = site().await;
    for (arguments, said) in [
        (&["helth"][..], "'health'"),
        (&["db", "bakup"], "'backup'"),
        (&["db", "backup", "--keep", "3", "x"], "--dated"),
        (&["explain", "203.0.113.5/24"], "the network is 203.0.113.0/24"),
        (&["user", "add", "a b"], "a name has 1 to 64"),
        (&["notice", "raise", "--title", " "], "the title is empty"),
    ] {
        let wrong = run(&site, arguments);
        assert_eq!(wrong.code, 2, "{}", wrong.shown());
        assert!(wrong.stderr.contains(said), "{}", wrong.shown());
    }
    let bare = run(&site, &[]);
    assert!(bare.code == 2 && bare.stdout.is_empty(), "{}", bare.shown());
    assert_eq!(run(&site, &["--check-config"]).code, 0);
    assert_eq!(run(&site, &["completions", "bash"]).code, 0);
    site.set("/cloudflare/webhook_secret", serde_json::Value::Null);
    let bad = run(&site, &["test-alert"]);
    assert_eq!(bad.code, 78, "{}", bad.shown());
    site.set("/database/path", json!(7));
    assert_eq!(run(&site, &["health"]).code, 78);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_only_what_is_seen() {
    let site = site().await;
    let none = run(&site, &["health", "--json"]);
    assert_eq!(none.code, 1, "{}", none.shown());
    assert_eq!(none.json()["error"]["code"], "db.file_missing");
    let db = database(&site);
    let never = run(&site, &["health"]);
    assert_eq!(never.code, 1);
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("health-never", never.shown());
    });
    for unit in UNITS {
        beats(&db, unit, 2, "ok").await;
    }
    let healthy = run(&site, &["health"]);
    assert_eq!(healthy.code, 0, "{}", healthy.shown());
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("health", healthy.shown());
        insta::assert_snapshot!("health-json", run(&site, &["health", "--json"]).shown());
    });
    for (age_s, state, healthy) in [
        (90, "ok", false),
        (2, "failing", false),
        (2, "stopped", false),
        (2, "degraded", true),
    ] {
        beats(&db, UNITS[0], age_s, state).await;
        let seen = run(&site, &["health", "--json"]);
        assert_eq!(
            (seen.code == 0, seen.json()["healthy"] == json!(true)),
            (healthy, healthy),
            "{}",
            seen.shown()
        );
    }
    notice(&db, "waiting").await;
    let waiting = run(&site, &["health", "--json"]).json();
    assert_eq!(waiting["outbox"]["queued"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let site = site().await;
    let db = database(&site);
    for unit in UNITS {
        beats(&db, unit, 2, "ok").await;
    }
    let mut child = command(&site, &["health"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0));
}
