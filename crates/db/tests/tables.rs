//! The table modules: what each promises beyond storing and reading back.

use std::time::Duration;

use db::intents::{Change, NewIntent};
use db::{Db, DbError, OpenOptions, WriteTx};
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::decision::PrefixState;
use domain::ids::{BgpPrefixId, EventId, PrefixId};
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_768_464_000 + seconds).unwrap()
}

fn prefix() -> Prefix {
    "203.0.113.0/24".parse().unwrap()
}

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
    (dir, db)
}

fn write<T: Send + 'static>(db: &Db, f: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static) -> T {
    db.write_blocking("test", f).unwrap()
}

fn alert(phase: Phase, seconds: i64, correlation: Option<&str>) -> Alert {
    Alert {
        kind: AlertKind::AdvancedL4,
        phase,
        correlation_id: correlation.map(str::to_owned),
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: Some(at(seconds)),
        started_at: None,
        received_at: at(10_000),
        targets: vec!["203.0.113.9/32".parse().unwrap()],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: Some("UDP flood".into()),
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: Some(1_000.0),
        bits_per_second: None,
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        is_test: false,
        problems: vec![],
    }
}

fn affected() -> Affected {
    Affected {
        prefixes: vec![prefix()],
        unresolved: false,
    }
}

/// All orders of the same deliveries lead to the same ledger and the same incident.
#[test]
fn order_of_arrival_changes_neither_ledger_nor_incident() {
    type Seen = (
        Vec<(Timestamp, Vec<Prefix>, i64)>,
        Vec<(Timestamp, Option<Timestamp>, Timestamp)>,
    );
    let story = [
        alert(Phase::Start, 0, Some("c1")),
        alert(Phase::End, 600, Some("c1")),
        alert(Phase::Start, 3_000, Some("c1")),
    ];
    let mut outcomes: Vec<Seen> = Vec::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (_dir, db) = open();
        for index in order {
            let alert = story[index].clone();
            write(&db, move |tx| {
                db::ledger::enter(tx, &alert, &affected(), EventId(1))?;
                db::incidents::join(tx, &alert, &[prefix()], at(20_000)).map(drop)
            });
        }
        let seen = db
            .read_blocking("test", |tx| {
                let open = db::ledger::open(tx, at(-1))?;
                let incidents = db::incidents::newest(tx, None, 10)?;
                Ok((
                    open.into_iter()
                        .map(|open| (open.since, open.prefixes, open.event))
                        .collect(),
                    incidents
                        .into_iter()
                        .map(|i| (i.began_at, i.ended_at, i.last_sign_at))
                        .collect(),
                ))
            })
            .unwrap();
        outcomes.push(seen);
    }
    for outcome in &outcomes {
        assert_eq!(outcome.1, outcomes[0].1, "incident");
        // It goes on since its second START: something must veto, whatever came first.
        assert_eq!(outcome.0, outcomes[0].0, "ledger");
        assert_eq!(outcome.0.len(), 1);
    }
}

#[test]
fn an_update_renews_the_veto_and_says_which_event() {
    let (_dir, db) = open();
    write(&db, |tx| {
        db::ledger::enter(tx, &alert(Phase::Update, 4_000, Some("x")), &affected(), EventId(2))?;
        db::ledger::enter(tx, &alert(Phase::Start, 0, Some("x")), &affected(), EventId(1))
    });
    let open = db.read_blocking("test", |tx| db::ledger::open(tx, at(3_000))).unwrap();
    assert_eq!((open.len(), open[0].since, open[0].event), (1, at(4_000), 2));
}

#[test]
fn self_tests_and_ended_alerts_veto_nothing() {
    let (_dir, db) = open();
    write(&db, |tx| {
        let mut test = alert(Phase::Start, 0, Some("t"));
        test.is_test = true;
        db::ledger::enter(tx, &test, &affected(), EventId(1))?;
        db::ledger::enter(tx, &alert(Phase::Start, 0, Some("x")), &affected(), EventId(2))?;
        db::ledger::enter(tx, &alert(Phase::End, 60, Some("x")), &affected(), EventId(3))
    });
    assert!(
        db.read_blocking("test", |tx| db::ledger::open(tx, at(-1)))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_state_is_stored_only_over_the_version_that_was_read() {
    let (_dir, db) = open();
    let store = |version| {
        db.write_blocking("test", move |tx| {
            db::decisions::store_state(tx, prefix(), version, &PrefixState::default(), at(0))
        })
    };
    assert_eq!(store(0).unwrap(), 1);
    assert!(matches!(store(0), Err(DbError::Conflict { .. })));
    assert_eq!(store(1).unwrap(), 2);
    assert!(matches!(store(1), Err(DbError::Conflict { .. })));
}

fn intent(origin: Origin) -> NewIntent {
    NewIntent {
        prefix: prefix(),
        act: Act::Withdraw,
        origin,
        reason: "calm".into(),
        prefix_id: PrefixId::new("a1"),
        bgp_prefix_id: BgpPrefixId::new("b1"),
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
    }
}

#[test]
fn one_open_automatic_intent_per_prefix_and_one_owner_at_a_time() {
    let (_dir, db) = open();
    let id = write(&db, |tx| db::intents::file(tx, &intent(Origin::Automatic), at(0)));
    let second = db.write_blocking("test", |tx| db::intents::file(tx, &intent(Origin::Automatic), at(0)));
    assert!(matches!(second, Err(DbError::Conflict { .. })));

    let minute = Duration::from_secs(60);
    let claim = move |owner: &'static str, now| {
        write(&db.clone(), move |tx| db::intents::claim(tx, id, owner, minute, now)).is_some()
    };
    assert!(claim("a", at(0)));
    assert!(!claim("b", at(30)), "the lease lives");
    assert!(claim("b", at(61)), "and runs out");
}

#[test]
fn a_lost_lease_moves_nothing() {
    let (_dir, db) = open();
    let id = write(&db, |tx| db::intents::file(tx, &intent(Origin::Automatic), at(0)));
    let minute = Duration::from_secs(60);
    write(&db, move |tx| db::intents::claim(tx, id, "a", minute, at(0)));
    write(&db, move |tx| db::intents::claim(tx, id, "b", minute, at(61)));
    let step = (IntentState::Planned, IntentState::Sending);
    let moved = db.write_blocking("test", move |tx| {
        db::intents::transition(tx, id, "a", step, &Change::default(), at(62))
    });
    assert!(matches!(moved, Err(DbError::Conflict { .. })));
    let expired = db.write_blocking("test", move |tx| {
        db::intents::transition(tx, id, "b", step, &Change::default(), at(500))
    });
    assert!(
        matches!(expired, Err(DbError::Conflict { .. })),
        "a lease that ran out is no lease"
    );
}

#[test]
fn a_lease_is_taken_only_as_it_was_seen() {
    let (_dir, db) = open();
    assert!(write(&db, |tx| db::leases::take(tx, "x", "a", None, at(0))));
    assert!(!write(&db, |tx| db::leases::take(tx, "x", "b", None, at(0))));
    let seen = db.read_blocking("test", |tx| db::leases::get(tx, "x")).unwrap();
    assert!(write(&db, |tx| db::leases::bump(tx, "x", "a", at(1))));
    let stale = seen.clone();
    assert!(
        !write(&db, move |tx| db::leases::take(tx, "x", "b", stale.as_ref(), at(2))),
        "it was bumped since"
    );
    let seen = db.read_blocking("test", |tx| db::leases::get(tx, "x")).unwrap();
    assert!(write(&db, move |tx| db::leases::take(
        tx,
        "x",
        "b",
        seen.as_ref(),
        at(3)
    )));
    assert!(
        !write(&db, |tx| db::leases::bump(tx, "x", "a", at(4))),
        "the old owner finds out"
    );
}

#[test]
fn a_silence_is_announced_once_and_its_end_too() {
    let (_dir, db) = open();
    let beat = |seconds| db::heartbeats::Heartbeat {
        service: "cloudflare-webhook".into(),
        pid: 1,
        host: "h".into(),
        version: "0".into(),
        started_at: at(0),
        beat_at: at(seconds),
        state: "ok".into(),
        status: String::new(),
    };
    let first = beat(0);
    assert_eq!(write(&db, move |tx| db::heartbeats::beat(tx, &first)), None);
    assert!(write(&db, |tx| db::heartbeats::take_silent(tx, at(100))).is_empty());
    assert_eq!(write(&db, |tx| db::heartbeats::take_silent(tx, at(181))).len(), 1);
    assert!(write(&db, |tx| db::heartbeats::take_silent(tx, at(300))).is_empty());
    let back = beat(400);
    assert_eq!(write(&db, move |tx| db::heartbeats::beat(tx, &back)), Some(at(0)));
    let again = beat(415);
    assert_eq!(write(&db, move |tx| db::heartbeats::beat(tx, &again)), None);
}

#[test]
fn holds_end_and_are_announced_once() {
    let (_dir, db) = open();
    write(&db, |tx| {
        db::holds::set(tx, Some(prefix()), "ana", "why", Some(at(3_600)), at(0))
    });
    let in_force = |now| {
        db.read_blocking("test", move |tx| db::holds::in_force(tx, now))
            .unwrap()
            .len()
    };
    assert_eq!((in_force(at(0)), in_force(at(3_600))), (1, 0));
    let take = |now| {
        write(&db, move |tx| {
            db::holds::take_ending(tx, now, plus(now, Duration::from_secs(600)))
        })
        .len()
    };
    assert_eq!((take(at(0)), take(at(3_100)), take(at(3_200))), (0, 1, 0));
    assert_eq!(
        write(&db, |tx| db::holds::release(tx, Some(prefix()), "ben", at(10))),
        1
    );
    assert_eq!(in_force(at(20)), 0);
}

#[test]
fn counters_of_a_known_group_only_grow() {
    use db::analytics::{NewRow, Stored};
    let (_dir, db) = open();
    let row = |packets, port| NewRow {
        event_datetime: "2026-01-15T08:00:00Z".into(),
        attack_id: Some("d6".into()),
        source_ip: Some("192.0.2.66".into()),
        source_port: Some(port),
        destination_ip: Some("203.0.113.10".into()),
        destination_port: Some(53),
        packets,
        bits: packets * 8_000,
        sample_interval: Some(10_000),
        raw_data: "{}".into(),
        ..NewRow::default()
    };
    let store = |row: NewRow| write(&db, move |tx| db::analytics::store(tx, &row, at(0)));
    assert!(matches!(store(row(10_000, 1)), Stored::New(_)));
    assert!(matches!(store(row(10_000, 1)), Stored::Known(_)));
    assert!(matches!(store(row(30_000, 1)), Stored::Grown(_)));
    assert!(
        matches!(store(row(20_000, 1)), Stored::Known(_)),
        "an older answer takes nothing away"
    );
    // The predecessor's hash leaves out the source port: still two groups.
    assert!(matches!(store(row(10_000, 2)), Stored::New(_)));
}

/// Two of three deliveries know nothing of each other and no network of ours; the third names both.
#[test]
fn incidents_are_merged_when_an_alert_names_both_whatever_the_order() {
    let only_correlation = alert(Phase::Start, 0, Some("c1"));
    let mut only_attack = alert(Phase::Update, 300, None);
    only_attack.attack_id = Some("a1".into());
    only_attack.packets_per_second = Some(9e6);
    let mut both = alert(Phase::End, 900, Some("c1"));
    both.attack_id = Some("a1".into());
    let story = [only_correlation, only_attack, both];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (_dir, db) = open();
        let mut numbers = Vec::new();
        for index in order {
            let alert = story[index].clone();
            numbers.push(write(&db, move |tx| {
                let incident = db::incidents::join(tx, &alert, &[], at(20_000))?;
                let line = db::incidents::Line {
                    at: alert.at(),
                    kind: format!("story_{index}"),
                    text: String::new(),
                    source: "test".into(),
                    actor: None,
                    reference: None,
                };
                db::incidents::note(tx, incident, &line, at(20_000))?;
                db::incidents::add_prefixes(tx, incident, &[prefix()])?;
                db::incidents::assign(tx, incident, Some("night shift"), "night shift", at(20_000))?;
                Ok(incident)
            }));
        }
        let first = numbers[0];
        let list = db
            .read_blocking("test", |tx| {
                let page = db::lists::Page {
                    before: None,
                    limit: 10,
                };
                db::lists::incidents::list(tx, &db::lists::Records::default(), page)
            })
            .unwrap();
        assert_eq!(
            list.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
            [first],
            "{order:?}"
        );
        for number in numbers {
            let found = db
                .read_blocking("test", move |tx| {
                    let incident = db::incidents::get(tx, number)?.unwrap();
                    let told = db::incidents::timeline(tx, incident.id, 100)?;
                    let duty = db::incidents::duty(tx, incident.id)?;
                    Ok((incident, told, duty))
                })
                .unwrap();
            let (incident, told, duty) = found;
            assert_eq!(incident.id, first, "{order:?}");
            assert_eq!(
                (
                    incident.began_at,
                    incident.last_sign_at,
                    incident.ended_at,
                    incident.peak_pps
                ),
                (at(0), at(900), Some(at(900)), Some(9e6)),
                "{order:?}"
            );
            assert_eq!(incident.prefixes, [prefix()]);
            assert_eq!(duty.unwrap().person, "night shift");
            let stories = told.iter().filter(|line| line.kind.starts_with("story_")).count();
            assert_eq!(stories, 3, "{order:?}");
        }
        // Retention takes both rows, whoever looked after them.
        while write(&db, |tx| db::retention::prune(tx, "incidents", at(90_000), 1)) > 0 {}
        let left = db
            .read_blocking("test", |tx| db::incidents::newest(tx, None, 10))
            .unwrap();
        assert!(left.is_empty(), "{order:?}: {left:?}");
    }
}

/// A self-test may borrow the ids of a real attack; it never becomes part of it.
#[test]
fn a_self_test_is_not_merged_into_a_real_incident() {
    let (_dir, db) = open();
    let real = alert(Phase::Start, 0, Some("c1"));
    let mut test = alert(Phase::Start, 60, None);
    test.attack_id = Some("a1".into());
    test.is_test = true;
    let mut both = alert(Phase::End, 120, Some("c1"));
    both.attack_id = Some("a1".into());
    let joined: Vec<_> = [real, test, both]
        .into_iter()
        .map(|alert| write(&db, move |tx| db::incidents::join(tx, &alert, &[], at(20_000))))
        .collect();
    assert_eq!(joined[2], joined[0]);
    assert_ne!(joined[1], joined[0]);
    let test = joined[1];
    let kept = db
        .read_blocking("test", move |tx| db::incidents::get(tx, test))
        .unwrap();
    let kept = kept.unwrap();
    assert_eq!((kept.id, kept.is_test, kept.ended_at), (test, true, None));
}
