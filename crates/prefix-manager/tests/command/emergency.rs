//! The database cannot be written: nothing is done, unless it is an emergency; then a file keeps the record until it can.

use std::fs;
use std::path::PathBuf;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::intent::{Act, IntentState};
use testkit::Site;
use testkit::site::PREFIX;

use crate::support::Terminal;
use crate::world::{advertised_long_ago, attack, command, database, run, site};

/// Something else in the database's place.
fn break_the_database(site: &Site) {
    fs::write(site.database(), "this is no database").unwrap();
}

fn mend_the_database(site: &Site) {
    fs::remove_file(site.database()).unwrap();
    drop(database(site));
}

fn spooled(site: &Site) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(site.data_dir().join("emergency")) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_acts_leaves_a_file_and_is_recorded_later() {
    let site = site().await;
    break_the_database(&site);
    let refused = run(&site, &["advertise", PREFIX, "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.shown());
    assert!(refused.stderr.contains("--emergency"), "{}", refused.shown());
    assert!(!site.is_advertised() && site.changes_asked().is_empty());

    let acted = run(
        &site,
        &[
            "advertise",
            PREFIX,
            "--yes",
            "--emergency",
            "--reason",
            "attack on customer 17",
        ],
    );
    assert_eq!(acted.code, 0, "{}", acted.shown());
    assert!(acted.stderr.contains("EMERGENCY"), "{}", acted.shown());
    assert!(
        acted.stdout.contains("read back from Cloudflare, without the database"),
        "{}",
        acted.shown()
    );
    assert!(site.is_advertised());
    assert_eq!(spooled(&site).len(), 1, "{}", acted.shown());
    // The file says who and why, and was there before the call.
    let text = fs::read_to_string(&spooled(&site)[0]).unwrap();
    assert!(
        text.contains("attack on customer 17") && text.contains("\"accepted\""),
        "{text}"
    );

    mend_the_database(&site);
    let seen = run(&site, &["status"]);
    assert!(
        seen.stderr.contains("1 act of an emergency not in the record yet"),
        "{}",
        seen.shown()
    );
    let held = run(&site, &["hold", PREFIX, "--for", "1h", "--reason", "look at it first"]);
    assert_eq!(held.code, 0, "{}", held.shown());
    assert!(held.stderr.contains("is in the journal now"), "{}", held.shown());
    let record = site.record();
    let (intent, _) = &record.intents[0];
    assert_eq!(
        (intent.act, intent.state),
        (Act::Advertise, IntentState::Done),
        "{}",
        record.shown()
    );
    assert!(intent.reason.contains("attack on customer 17"), "{}", intent.reason);
    assert_eq!(record.events_of("ADVERTISE").count(), 1, "{}", record.shown());
    assert!(
        spooled(&site)
            .iter()
            .all(|path| path.to_string_lossy().ends_with(".imported"))
    );
    let again = run(&site, &["release", PREFIX]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{}", again.shown());
    assert_eq!(site.record().intents.len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_database_that_works_it_is_an_act_like_any_other() {
    let site = site().await;
    drop(database(&site));
    let acted = run(&site, &["advertise", PREFIX, "--yes", "--emergency"]);
    assert_eq!(acted.code, 0, "{}", acted.shown());
    assert!(!acted.stderr.contains("EMERGENCY"), "{}", acted.shown());
    assert_eq!(site.record().intents.len(), 1);
    assert!(spooled(&site).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_in_an_emergency_is_as_careful_as_ever() {
    let site = site().await;
    advertised_long_ago(&site);
    break_the_database(&site);
    attack(&site);
    let hasty = Terminal::start(command(&site, &["withdraw", PREFIX, "--emergency"]), 120);
    hasty.expect("although it is UNDER ATTACK:").keys("y\n");
    let (code, said) = hasty.end();
    assert_eq!(code, 4, "{said}");
    // What cannot be read cannot be weighed.
    let unreadable = FaultKind::Status {
        status: 503,
        body: None,
    };
    site.sim
        .set_fault(FaultSpec::new(Target::Rest, unreadable).path("/bgp/"));
    let blind = run(&site, &["withdraw", PREFIX, "--yes", "--emergency"]);
    assert_eq!(blind.code, 1, "{}", blind.shown());
    assert!(site.is_advertised() && site.changes_asked().is_empty() && spooled(&site).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertise_in_an_emergency_needs_no_reading() {
    let site = site().await;
    site.map_ids();
    break_the_database(&site);
    let unreadable = FaultKind::Status {
        status: 503,
        body: None,
    };
    site.sim
        .set_fault(FaultSpec::new(Target::Rest, unreadable).method("GET"));
    let acted = run(&site, &["advertise", PREFIX, "--yes", "--emergency", "--timeout", "1s"]);
    assert_eq!(acted.code, 1, "not shown: {}", acted.shown());
    assert!(site.is_advertised(), "{}", acted.shown());
    assert_eq!(spooled(&site).len(), 1, "{}", acted.shown());
    site.sim.clear_faults();
    mend_the_database(&site);
    // Whoever comes next reads it back.
    let listed = run(&site, &["hold", PREFIX, "--for", "1h", "--reason", "x"]);
    assert_eq!(listed.code, 0, "{}", listed.shown());
    assert_eq!(site.record().intents[0].0.state, IntentState::Verifying);
}
