//! Advertise, withdraw, hold and release end to end: journal, Cloudflare, record, exit codes.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use cf_sim::{Cooldown, FaultKind, FaultSpec, PrefixChange, Target};
use domain::intent::{Act, IntentState, Origin};
use serde_json::json;
use testkit::site::PREFIX;
use testkit::{Pace, Site};

use crate::support::{self, Run, filters};
use crate::world::{
    LONG_AGO_S, advertised_long_ago, changed_ago, command, daemon_beats, database, prefix, quiet, run, site,
};

fn advertised(site: &Site) -> bool {
    site.sim.prefix(PREFIX).unwrap().advertised
}

fn patches(site: &Site) -> usize {
    site.sim
        .requests_since(0)
        .iter()
        .filter(|request| request.method == "PATCH")
        .count()
}

/// Exit code, and code of the only result.
fn result(run: &Run) -> (i32, String) {
    let document = run.json();
    let result = &document["results"][0];
    (
        run.code,
        result["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", run.shown()))
            .to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertise_before_the_daemon_ever_ran_finds_the_prefix_and_leaves_a_whole_record() {
    let site = site().await;
    let done = run(
        &site,
        &["advertise", PREFIX, "--yes", "--reason", "attack on customer 17"],
    );
    assert_eq!(done.code, 0, "{}", done.shown());
    assert!(advertised(&site));
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("advertise", done.shown());
        insta::assert_snapshot!("history", run(&site, &["history", PREFIX]).shown());
    });
    let record = site.record();
    let (intent, _) = &record.intents[0];
    assert_eq!((intent.act, intent.state), (Act::Advertise, IntentState::Done));
    assert!(matches!(&intent.origin, Origin::Person { actor, via } if actor.contains('@') && via == "prefix_manager"));
    let event = record.events_of("ADVERTISE").next().unwrap();
    assert_eq!(event.alert_type.as_deref(), Some("prefix_manager_manual"));
    assert_eq!(event.action_taken.as_deref(), Some("advertised_manual"));
    assert_eq!(record.messages_of("advertised").count(), 1);
    let again = run(&site, &["advertise", PREFIX, "--yes", "--json"]);
    assert_eq!(result(&again), (0, "already".to_owned()), "{}", again.shown());
    assert_eq!(patches(&site), 1, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_done_and_on_record() {
    let site = site().await;
    advertised_long_ago(&site);
    quiet(&site);
    let done = run(&site, &["withdraw", PREFIX, "--yes", "--reason", "customer moved"]);
    assert_eq!(done.code, 0, "{}", done.shown());
    assert!(!advertised(&site));
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("withdraw", done.shown());
    });
    let record = site.record();
    assert_eq!(record.withdrawals(IntentState::Done).count(), 1);
    assert_eq!(
        record.history[0].withdraw_method.as_deref(),
        Some("prefix_manager_manual")
    );
    assert_eq!(record.messages_of("withdrawn").count(), 1);
    let again = run(&site, &["withdraw", PREFIX, "--yes", "--json"]);
    assert_eq!(result(&again), (0, "already".to_owned()));
    assert_eq!(
        record.intents.len(),
        site.record().intents.len(),
        "nothing is filed for nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_early_is_blocked_with_3_unless_forced() {
    let site = site().await;
    advertised_long_ago(&site);
    changed_ago(&site, 60);
    let early = run(&site, &["withdraw", PREFIX, "--yes"]);
    assert_eq!(early.code, 3, "{}", early.shown());
    assert!(advertised(&site) && patches(&site) == 0);
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("withdraw-too-early", early.shown());
    });
    assert_eq!(
        result(&run(&site, &["withdraw", PREFIX, "--yes", "--json"])),
        (3, "cool_down".to_owned())
    );
    let forced = run(&site, &["withdraw", PREFIX, "--yes", "--force"]);
    assert_eq!(forced.code, 0, "{}", forced.shown());
    assert!(!advertised(&site));
    // The other way only warns: protection is never blocked by an estimate of ours.
    let back = run(&site, &["advertise", PREFIX, "--yes"]);
    assert_eq!(back.code, 0, "{}", back.shown());
    assert!(
        back.stderr.contains("Cloudflare may refuse until about"),
        "{}",
        back.shown()
    );
    assert!(advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_is_refused_with_3() {
    let site = site().await;
    let lock = |locked| PrefixChange {
        locked: Some(locked),
        modified_ago_s: Some(LONG_AGO_S),
        ..PrefixChange::default()
    };
    site.sim.change_prefix(PREFIX, &lock(true));
    let refused = run(&site, &["advertise", PREFIX, "--yes", "--json"]);
    assert_eq!(result(&refused), (3, "locked".to_owned()), "{}", refused.shown());
    let record = site.record();
    assert_eq!(
        record.messages_of("advertise_refused").count(),
        1,
        "protection did not come up: people must know"
    );
    site.sim.set_advertised(PREFIX, true);
    site.sim.change_prefix(PREFIX, &lock(true));
    for arguments in [
        &["withdraw", PREFIX, "--yes", "--json"][..],
        &["withdraw", PREFIX, "--yes", "--json", "--force"],
    ] {
        let blocked = run(&site, arguments);
        assert_eq!(result(&blocked), (3, "prefix.locked".to_owned()), "{}", blocked.shown());
    }
    assert!(advertised(&site));
    assert_eq!(patches(&site), 1, "the advertise was tried, no withdrawal was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_blocks_a_withdrawal_until_it_is_released_or_overridden() {
    let site = site().await;
    advertised_long_ago(&site);
    let held = run(
        &site,
        &["hold", PREFIX, "--for", "2h", "--reason", "maintenance window"],
    );
    assert_eq!(held.code, 0, "{}", held.shown());
    let blocked = run(&site, &["withdraw", PREFIX, "--yes"]);
    assert_eq!(blocked.code, 3, "{}", blocked.shown());
    assert!(blocked.stderr.contains("maintenance window"), "{}", blocked.shown());
    assert_eq!(
        result(&run(&site, &["withdraw", PREFIX, "--yes", "--json"])),
        (3, "prefix.held".to_owned())
    );
    assert_eq!(patches(&site), 0);
    let other = run(&site, &["release", "198.51.100.0/24"]);
    assert_eq!(other.code, 1, "{}", other.shown());
    let released = run(&site, &["release", PREFIX]);
    assert_eq!(released.code, 0, "{}", released.shown());
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("hold", held.shown());
        insta::assert_snapshot!("withdraw-held", blocked.shown());
        insta::assert_snapshot!("release", released.shown());
        insta::assert_snapshot!("release-none", other.shown());
    });
    let pause = run(
        &site,
        &[
            "hold",
            "--all",
            "--until",
            "06:00",
            "--reason",
            "change freeze",
            "--json",
        ],
    )
    .json();
    assert_eq!(pause["hold"]["prefix"], serde_json::Value::Null);
    assert_eq!(
        result(&run(&site, &["withdraw", PREFIX, "--yes", "--json"])),
        (3, "prefix.held".to_owned())
    );
    assert_eq!(run(&site, &["withdraw", PREFIX, "--yes", "--force"]).code, 0);
    let actions: Vec<String> = database(&site)
        .read("test", |tx| db::audit::newest(tx, 10))
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.action)
        .collect();
    assert_eq!(actions, ["prefix.withdraw", "hold.set", "hold.release", "hold.set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_on_nothing_is_refused_and_one_on_the_parent_counts() {
    let site = site().await;
    let nothing = run(
        &site,
        &["hold", "203.0.114.0/24", "--for", "1h", "--reason", "typing error"],
    );
    assert_eq!(nothing.code, 1, "{}", nothing.shown());
    assert!(nothing.stderr.contains("would hold nothing"), "{}", nothing.shown());
    advertised_long_ago(&site);
    assert_eq!(
        run(
            &site,
            &["hold", "203.0.112.0/23", "--until-released", "--reason", "both"]
        )
        .code,
        0
    );
    assert_eq!(
        result(&run(&site, &["withdraw", PREFIX, "--yes", "--json"])),
        (3, "prefix.held".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_cancels_what_automation_had_not_sent_yet() {
    let site = site().await;
    advertised_long_ago(&site);
    assert_eq!(
        run(
            &site,
            &["withdraw", PREFIX, "--yes", "--reason", "discovers the ids", "--force"]
        )
        .code,
        0
    );
    let db = database(&site);
    db.write("test", |tx| {
        let entry = db::inventory::get(tx, prefix())?.unwrap();
        let intent = db::intents::NewIntent {
            prefix: prefix(),
            act: Act::Withdraw,
            origin: Origin::Automatic,
            reason: "calm proven".into(),
            prefix_id: entry.prefix.parent_id,
            bgp_prefix_id: entry.prefix.id,
            epoch: None,
            state_version: None,
            evidence: None,
            incident: None,
            calm_s: None,
            peak: None,
            systems: vec![],
            attack_began_at: None,
            attack_ended_at: None,
            force: false,
        };
        db::intents::file(tx, &intent, jiff::Timestamp::now())
    })
    .await
    .unwrap();
    let held = run(&site, &["hold", PREFIX, "--for", "1h", "--reason", "wait", "--json"]).json();
    assert_eq!(held["cancelled"], 1, "{held}");
    assert_eq!(site.record().withdrawals(IntentState::Cancelled).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_done() {
    let mut site = site().await;
    site.set("/database/path", json!("/proc/no-place-for-a-database/mt.db"));
    for arguments in [
        &["advertise", PREFIX, "--yes"][..],
        &["withdraw", PREFIX, "--yes"],
        &["release", "--all"],
    ] {
        let refused = run(&site, arguments);
        assert_eq!(refused.code, 1, "{}", refused.shown());
        assert!(refused.stderr.contains("could not be recorded"), "{}", refused.shown());
    }
    assert!(site.sim.requests_since(0).is_empty(), "Cloudflare was not even asked");
}

/// As root, permissions mean nothing, so the program runs as nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_only_be_read_refuses_acts_and_answers_questions() {
    use std::os::unix::fs::PermissionsExt;
    let site = site().await;
    advertised_long_ago(&site);
    assert_eq!(run(&site, &["release", PREFIX]).code, 1, "creates the database");
    let open =
        |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(site.path(), 0o755);
    open(&site.config_dir(), 0o755);
    open(&site.config_dir().join("settings.json"), 0o644);
    open(&site.config_dir().join("prefix_mapping.json"), 0o644);
    open(&site.data_dir(), 0o555);
    for entry in std::fs::read_dir(site.data_dir()).unwrap() {
        open(&entry.unwrap().path(), 0o444);
    }
    let is_root = rustix::process::getuid().is_root();
    // The program must be reachable by nobody: a copy in the site's own folder.
    let copy = site.path().join("cloudflare-prefix-manager");
    std::fs::copy(env!("CARGO_BIN_EXE_cloudflare-prefix-manager"), &copy).unwrap();
    open(&copy, 0o755);
    let as_nobody = |arguments: &[&str]| {
        let mut command = support::program(copy.to_str().unwrap(), &site.config_dir(), arguments);
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        support::run(command)
    };
    let refused = as_nobody(&["withdraw", PREFIX, "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.shown());
    assert!(refused.stderr.contains("could not be recorded"), "{}", refused.shown());
    assert!(advertised(&site) && patches(&site) == 0);
    let shown = as_nobody(&["status", PREFIX]);
    assert_eq!(shown.code, 0, "{}", shown.shown());
    open(&site.data_dir(), 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_and_without_yes_nothing_happens() {
    let site = site().await;
    for arguments in [
        &["advertise", PREFIX][..],
        &["withdraw", PREFIX],
        &["withdraw", "--all", "--json"],
    ] {
        let refused = run(&site, arguments);
        assert_eq!(refused.code, 2, "{}", refused.shown());
        assert!(refused.stderr.contains("add --yes"), "{}", refused.shown());
    }
    assert!(site.sim.requests_since(0).is_empty());
    assert!(!site.database().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_the_listed_ones() {
    let mut site = site().await;
    site.set("/autowithdraw/managed", json!([PREFIX, "198.51.100.0/24"]));
    let done = run(&site, &["advertise", "--all", "--yes", "--json"]);
    assert_eq!(done.code, 0, "{}", done.shown());
    let document = done.json();
    let prefixes: Vec<&str> = document["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["prefix"].as_str().unwrap())
        .collect();
    assert_eq!(prefixes, ["198.51.100.0/24", PREFIX]);
    assert!(
        done.stderr
            .contains("left alone, because nobody listed them: 192.0.2.0/24, 2001:db8:1::/48"),
        "{}",
        done.shown()
    );
    let advertised = site
        .sim
        .prefixes()
        .into_iter()
        .filter(|prefix| prefix.advertised)
        .count();
    assert_eq!(advertised, 2);
    // One of two is too early: the other is withdrawn, and the exit code says that not all are.
    changed_ago(&site, LONG_AGO_S);
    let mixed = run(&site, &["withdraw", "--all", "--yes", "--json"]);
    assert_eq!(mixed.code, 3, "{}", mixed.shown());
    let results = mixed.json()["results"].clone();
    assert_eq!(
        (&results[0]["code"], &results[1]["code"]),
        (&"cool_down".into(), &"done".into())
    );
    let summed = run(&site, &["withdraw", "--all", "--yes"]);
    assert_eq!(summed.code, 3, "{}", summed.shown());
    assert!(
        summed
            .stderr
            .ends_with("2 prefixes: 1 so already, 1 blocked by a rule\n"),
        "{}",
        summed.shown()
    );
    site.set("/autowithdraw/managed", json!([]));
    let none = run(&site, &["withdraw", "--all", "--yes"]);
    assert_eq!(none.code, 2, "{}", none.shown());
    assert!(none.stderr.contains("none is listed"), "{}", none.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn filing_only_says_who_executes_and_a_withdrawal_needs_somebody() {
    let site = site().await;
    advertised_long_ago(&site);
    let nobody = run(&site, &["withdraw", PREFIX, "--yes", "--no-wait"]);
    assert_eq!(nobody.code, 3, "{}", nobody.shown());
    assert!(
        nobody.stderr.contains("cloudflare-autowithdraw has never run"),
        "{}",
        nobody.shown()
    );
    assert!(site.record().intents.is_empty());
    daemon_beats(&database(&site), 1).await;
    // Without a terminal, filing is the default while the daemon is there.
    let filed = run(&site, &["withdraw", PREFIX, "--yes"]);
    assert_eq!(filed.code, 0, "{}", filed.shown());
    assert!(
        filed
            .stdout
            .contains("cloudflare-autowithdraw executes it within seconds"),
        "{}",
        filed.shown()
    );
    assert_eq!(site.record().withdrawals(IntentState::Planned).count(), 1);
    assert_eq!(patches(&site), 0);
    // An advertise cancels it.
    let back = run(&site, &["advertise", PREFIX, "--yes", "--wait"]);
    assert_eq!(back.code, 0, "{}", back.shown());
    assert_eq!(site.record().withdrawals(IntentState::Cancelled).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudflares_own_cool_down_is_told_and_nobodys_withdrawal_is_taken_back() {
    let site = Site::with(Pace::fast(), |config| {
        config.cooldown = Cooldown {
            after_advertise_s: Some(600),
            ..Cooldown::default()
        };
    })
    .await;
    site.sim.set_advertised(PREFIX, true);
    changed_ago(&site, 100);
    let refused = run(&site, &["withdraw", PREFIX, "--yes", "--json"]);
    assert_eq!(result(&refused), (3, "rate_limited".to_owned()), "{}", refused.shown());
    assert_eq!(site.record().withdrawals(IntentState::Cancelled).count(), 1);
    daemon_beats(&database(&site), 1).await;
    let stays = run(&site, &["withdraw", PREFIX, "--yes", "--json", "--wait"]);
    assert_eq!(result(&stays), (3, "rate_limited".to_owned()), "{}", stays.shown());
    assert!(
        stays.json()["results"][0]["text"]
            .as_str()
            .unwrap()
            .contains("tries it again at"),
        "{}",
        stays.shown()
    );
    assert_eq!(site.record().withdrawals(IntentState::Planned).count(), 1);
    assert!(advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_state_that_cannot_be_read_fails_a_withdrawal_and_not_an_advertise() {
    let site = site().await;
    assert_eq!(run(&site, &["advertise", PREFIX, "--yes"]).code, 0);
    changed_ago(&site, LONG_AGO_S);
    let down = || {
        FaultSpec::new(
            Target::Rest,
            FaultKind::Status {
                status: 503,
                body: None,
            },
        )
        .method("GET")
    };
    site.sim.set_fault(down());
    let failed = run(&site, &["withdraw", PREFIX, "--yes", "--json"]);
    assert_eq!(
        result(&failed),
        (1, "cloudflare.unavailable".to_owned()),
        "{}",
        failed.shown()
    );
    assert!(advertised(&site));
    site.sim.clear_faults();
    site.sim.set_advertised(PREFIX, false);
    // One failed read, then a step that succeeds.
    site.sim.set_fault(down().times(1));
    let done = run(&site, &["advertise", PREFIX, "--yes"]);
    assert_eq!(done.code, 0, "{}", done.shown());
    assert!(
        done.stderr.contains("unknown: read BGP prefix failed"),
        "{}",
        done.shown()
    );
    assert!(advertised(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_read_back_and_never_repeated() {
    let site = site().await;
    let lost = FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 502,
            body: None,
        },
    )
    .method("PATCH")
    .times(1)
    .after_apply();
    site.sim.set_fault(lost);
    let done = run(&site, &["advertise", PREFIX, "--yes"]);
    assert_eq!(done.code, 0, "{}", done.shown());
    assert_eq!((patches(&site), advertised(&site)), (1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_prefix_and_missing_credentials() {
    let mut site = site().await;
    let unknown = run(&site, &["advertise", "192.0.2.0/25", "--yes"]);
    assert_eq!(unknown.code, 1, "{}", unknown.shown());
    assert!(
        unknown.stderr.contains("does not know 192.0.2.0/25"),
        "{}",
        unknown.shown()
    );
    site.set("/cloudflare/api_token", serde_json::Value::Null);
    let bad = run(&site, &["advertise", PREFIX, "--yes"]);
    assert_eq!(bad.code, 78, "{}", bad.shown());
    let look = support::run(command(&site, &["history"]));
    assert_eq!(look.code, 0, "what needs no Cloudflare goes on: {}", look.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_has_an_end() {
    let site = site().await;
    daemon_beats(&database(&site), 1).await;
    let hang = FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    )
    .method("PATCH");
    site.sim.set_fault(hang);
    let began = std::time::Instant::now();
    let open = run(
        &site,
        &["advertise", PREFIX, "--yes", "--wait", "--timeout", "2s", "--json"],
    );
    assert_eq!(open.code, 1, "{}", open.shown());
    assert_eq!(open.json()["results"][0]["result"], "open", "{}", open.shown());
    assert!(began.elapsed() < Duration::from_secs(30));
}
