//! `cloudflare-rules-manager` as people and scripts use it: the real program against the simulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../cli/tests/support/mod.rs"]
mod support;

mod changes;
mod documented;
mod expiry;
mod people;
mod transcripts;

use std::process::{Command, Stdio};

use cf_sim::{FaultKind, FaultSpec, Target};
use serde_json::json;
use support::{Run, Terminal, filters};
use testkit::{Pace, Site};

fn command(site: &Site, arguments: &[&str]) -> Command {
    support::program(
        env!("CARGO_BIN_EXE_cloudflare-rules-manager"),
        &site.config_dir(),
        arguments,
    )
}

fn run(site: &Site, arguments: &[&str]) -> Run {
    support::run(command(site, arguments))
}

fn all_filters() -> Vec<(&'static str, &'static str)> {
    let mut all = filters();
    all.push((r"\b[0-9a-f]{32}\b", "[id]"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_as_text_and_json() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/autowithdraw/managed", json!(["203.0.113.0/24", "198.18.0.0/24"]));
    insta::with_settings!({filters => all_filters()}, {
        insta::assert_snapshot!("list", run(&site, &["list"]).shown());
        insta::assert_snapshot!("list-json", run(&site, &["list", "--json"]).shown());
        insta::assert_snapshot!("show", run(&site, &["show", "net-203.0.113.0_24"]).shown());
    });
    let id = run(&site, &["list", "--json"]).json()["rules"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let by_id = run(&site, &["show", &id, "--json"]).json();
    assert_eq!(by_id["rule"]["id"], id.as_str());
    let unknown = run(&site, &["show", "203"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("alike: net-203.0.113.0_24"),
        "{}",
        unknown.shown()
    );
    assert!(
        site.sim.requests_since(0).iter().all(|request| request.method == "GET"),
        "it only reads"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_and_overwrites_nothing() {
    let site = Site::new(Pace::fast()).await;
    let file = site.path().join("rules.json");
    let name = file.to_str().unwrap();
    let saved = run(&site, &["export", name]);
    assert_eq!(
        (saved.code, saved.stdout.starts_with("4 rules saved in ")),
        (0, true),
        "{}",
        saved.shown()
    );
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(read["rules"].as_array().unwrap().len(), 4);
    assert_eq!(read["rules"][0]["bandwidth_threshold"], 1e9);
    std::fs::write(&file, "mine").unwrap();
    let refused = run(&site, &["export", name]);
    assert_eq!(refused.code, 3, "{}", refused.shown());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(run(&site, &["export", name, "--force"]).code, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("mnm-rules/1"));
    assert_eq!(
        run(&site, &["export", "-"]).json()["schema"],
        "cloudflare-mt/mnm-rules/1"
    );
    let nowhere = run(&site, &["export", "/proc/nowhere/rules.json"]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.shown());
    let left: Vec<_> = std::fs::read_dir(site.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("partial")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_failure_and_never_an_empty_list() {
    let site = Site::with(Pace::fast(), |config| config.permissions.mnm_read = false).await;
    let denied = run(&site, &["list", "--json"]);
    assert_eq!(denied.code, 1);
    assert_eq!(denied.json()["error"]["code"], "cloudflare.permission");
    assert!(
        denied.stderr.contains("Magic Network Monitoring Read"),
        "{}",
        denied.shown()
    );
    let site = Site::new(Pace::fast()).await;
    site.sim.set_fault(FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    let down = run(&site, &["list"]);
    assert_eq!((down.code, down.stdout.as_str()), (1, ""), "{}", down.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn words_codes_and_pipes() {
    let mut site = Site::new(Pace::fast()).await;
    assert_eq!(run(&site, &[]).code, 2);
    let typing_error = run(&site, &["lst"]);
    assert!(
        typing_error.code == 2 && typing_error.stderr.contains("'list'"),
        "{}",
        typing_error.shown()
    );
    assert_eq!(run(&site, &["--check-config"]).code, 0);
    assert_eq!(run(&site, &["completions", "bash"]).code, 0);
    let mut child = command(&site, &["list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a closed pipe is no failure");
    let (code, said) = Terminal::start(command(&site, &["list"]), 80).end();
    assert_eq!(code, 0, "{said}");
    // An interrupt ends a command that waits for Cloudflare.
    site.sim.set_fault(FaultSpec::new(Target::Rest, FaultKind::Hang));
    let waiting = Terminal::start(command(&site, &["list"]), 80);
    while site.sim.faults().iter().all(|fault| fault.used == 0) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    waiting.signal("INT");
    assert_eq!(waiting.end().0, 130);
    site.set("/cloudflare/api_token", serde_json::Value::Null);
    assert_eq!(run(&site, &["list"]).code, 78);
}
