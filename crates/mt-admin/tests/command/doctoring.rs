//! `doctor`: a healthy site is ok, everything that is broken is found with its remedy, and nothing is changed.

use std::collections::BTreeSet;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, PrefixChange, Target};
use serde_json::{Value, json};
use testkit::Program;
use testkit::Site;
use testkit::site::PREFIX;

use crate::support::{Run, filters};
use crate::world::{UNITS, beats, command, database, run, site};

/// What is found, as `severity check`.
fn found(run: &Run) -> BTreeSet<String> {
    let findings = run.json()["findings"].as_array().unwrap().clone();
    findings
        .iter()
        .map(|finding| {
            let word = |name: &str| finding[name].as_str().unwrap().to_owned();
            if finding["severity"] != "ok" {
                assert!(!word("means").is_empty() && !word("remedy").is_empty(), "{finding}");
            }
            format!("{} {}", word("severity"), word("check"))
        })
        .collect()
}

fn has(run: &Run, wanted: &str) {
    let found = found(run);
    assert!(found.contains(wanted), "{wanted} is not in {found:#?}");
}

/// Everything that a doctor can see without installing anything: services that live, copies that are made.
async fn healthy(site: &mut Site) {
    site.set("/autowithdraw/direct_route", json!({"*": "always_announced"}));
    let db = database(site);
    for unit in UNITS {
        beats(&db, unit, 2, "ok").await;
    }
    let made = run(
        site,
        &["db", "backup", "--dated", site.path().join("copies").to_str().unwrap()],
    );
    drop(db);
    if made.code != 0 {
        std::fs::create_dir(site.path().join("copies")).unwrap();
        let made = run(
            site,
            &["db", "backup", "--dated", site.path().join("copies").to_str().unwrap()],
        );
        assert_eq!(made.code, 0, "{}", made.shown());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_works_has_nothing_critical_and_nothing_is_changed() {
    let mut site = site().await;
    healthy(&mut site).await;
    let mut receiver = site.start(Program::Webhook).await;
    let before = site.sim.requests_since(0).len();
    let run = run(&site, &["doctor", "--json"]);
    let found = found(&run);
    assert_eq!(run.code, 0, "{}", run.shown());
    for check in [
        "cloudflare.credential",
        "cloudflare.clock",
        "cloudflare.analytics",
        "cloudflare.prefixes",
        "cloudflare.notifications",
        "receiver.local",
        "receiver.public",
        "database.file",
        "database.integrity",
        "database.backup",
        "services.version",
        "messages",
        "telegram.bot",
        "telegram.chat",
    ] {
        assert!(found.contains(&format!("ok {check}")), "{check}: {found:#?}");
    }
    // A receiver that has just started may still say that something is missing.
    assert!(!found.contains("critical services"), "{found:#?}");
    let changing = |method: &str| !matches!(method, "GET");
    let asked = site.sim.requests_since(0);
    for request in asked.iter().skip(before) {
        let reads = request.path.contains("/graphql") || request.path.to_lowercase().contains("/get");
        assert!(
            !changing(&request.method) || reads || request.path.to_lowercase().contains("/sendmessage"),
            "{} {}",
            request.method,
            request.path
        );
    }
    let document = run.json();
    assert_eq!(document["schema"], "cloudflare-mt/doctor/1");
    assert_eq!(document["counts"]["critical"], 0);
    assert!(receiver.stop().await.success());
    let without = crate::world::run(&site, &["doctor", "--json"]);
    assert_eq!(without.code, 1, "{}", without.shown());
    has(&without, "critical receiver.local");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_at_cloudflare_is_told_with_its_remedy() {
    let mut site = Site::with(testkit::Pace::fast(), |config| {
        config.permissions.analytics = false;
        config.permissions.mnm_read = false;
        config.permissions.notifications = false;
    })
    .await;
    healthy(&mut site).await;
    site.write(
        "prefix_mapping.json",
        &json!({PREFIX: {"bgp_prefix_id": "00ff"}, "192.0.2.0/25": {}}).to_string(),
    );
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    assert!(site.sim.change_prefix(PREFIX, &locked));
    let run = run(&site, &["doctor", "--json"]);
    assert_eq!(run.code, 1, "{}", run.shown());
    for wanted in [
        "critical cloudflare.analytics",
        "critical cloudflare.rules",
        "critical cloudflare.notifications",
        "critical prefixes.locked",
        "critical prefixes.mapping",
        "warning prefixes.mapping",
        "ok cloudflare.credential",
    ] {
        has(&run, wanted);
    }
    assert!(run.stdout.contains("Account Analytics: Read"), "{}", run.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_is_unknown_and_holds_nothing_up() {
    let site = site().await;
    for target in [Target::Rest, Target::Graphql, Target::Telegram] {
        site.sim.set_fault(FaultSpec::new(target, FaultKind::Hang));
    }
    let began = std::time::Instant::now();
    let run = run(&site, &["doctor", "--json"]);
    let took = began.elapsed();
    assert_eq!(run.code, 1, "{}", run.shown());
    for wanted in [
        "unknown cloudflare.credential",
        "unknown cloudflare.clock",
        "unknown cloudflare.prefixes",
        "unknown telegram.bot",
        // There is no database yet.
        "critical database.file",
    ] {
        has(&run, wanted);
    }
    // Far above five seconds, for a busy machine; without limits it would hang for ever.
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(!site.database().exists(), "the doctor creates nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_and_a_wrong_chat_are_told() {
    let mut site = site().await;
    drop(database(&site));
    site.set(
        "/cloudflare/api_token",
        json!("another-token-that-is-long-enough-0123456789"),
    );
    site.set("/telegram/chat_id", json!(-77));
    let run = run(&site, &["doctor", "--json"]);
    for wanted in [
        "critical cloudflare.credential",
        "critical telegram.chat",
        "ok telegram.bot",
        "critical services",
        "warning database.backup",
    ] {
        has(&run, wanted);
    }
    assert!(!run.stdout.contains("another-token"), "{}", run.shown());
    assert!(!run.stdout.contains("simulated-bot-token"), "{}", run.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn text_says_what_it_means_and_what_to_do() {
    let mut site = site().await;
    healthy(&mut site).await;
    site.sim.clear_webhook_target();
    let text = run(&site, &["doctor"]);
    assert_eq!(text.code, 1, "{}", text.shown());
    let mut filters = filters();
    filters.push((r"after \d+\.\d s", "after [few] s"));
    filters.push((r"[\d,]+ MiB", "[some] MiB"));
    // What this host has or lacks differs.
    let kept: Vec<&str> = text
        .stdout
        .split("\n")
        .skip_while(|line| !line.contains("cloudflare.destination"))
        .take(4)
        .collect();
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("doctor-destination", kept.join("\n"));
    });
    assert!(
        !text.stdout.contains("\nok "),
        "what is fine is not listed: {}",
        text.shown()
    );
    let all = run(&site, &["doctor", "--all"]);
    assert!(all.stdout.contains("\nok database.integrity"), "{}", all.shown());
    let strict = command(&site, &["doctor", "--strict", "--json"]);
    let strict: Value = crate::support::run(strict).json();
    assert_eq!(strict["worst"], "critical");
}
