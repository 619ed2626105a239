//! Tables that the analytics monitor fills: the rows and their identity, series by minute, begin and end of attacks, names.

use std::time::Duration;

use db::analytics::{NewRow, Stored};
use db::attack_spans::AttackSpan;
use db::hostnames::Hostname;
use db::series::{MINUTE, Minute};
use db::{Db, DbError, OpenOptions, ReadTx, WriteTx};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
    (dir, db)
}

/// So many minutes after midnight.
fn at(minute: u64) -> Timestamp {
    plus(
        "2026-01-15T00:00:00Z".parse().unwrap(),
        MINUTE * u32::try_from(minute).unwrap(),
    )
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn read<T>(db: &Db, f: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError>) -> T {
    db.read_blocking("test", f).unwrap()
}

fn write<T: Send + 'static>(db: &Db, f: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static) -> T {
    db.write_blocking("test", f).unwrap()
}

fn minute(number: u64, system: &str, packets: u64) -> Minute {
    Minute {
        prefix: prefix("203.0.113.0/24"),
        at: at(number),
        system: system.into(),
        packets,
        bits: packets * 8_000,
        samples: packets / 10_000,
    }
}

/// Stores an answer about minutes and says whether anything was written.
fn answered(db: &Db, minutes: std::ops::Range<u64>, answer: Vec<Minute>, incomplete: Option<u64>) -> bool {
    let own = [prefix("203.0.113.0/24")];
    let whole = |minute: Timestamp| incomplete.is_none_or(|gap| at(gap) != minute);
    let difference = read(db, |tx| {
        db::series::difference(tx, at(minutes.start), at(minutes.end), &own, answer, whole)
    });
    let is_new = !difference.is_empty();
    write(db, move |tx| db::series::apply(tx, &difference));
    is_new
}

#[test]
fn a_minute_that_was_not_read_is_unknown_and_one_without_rows_is_calm() {
    let (_dir, db) = open();
    assert!(answered(
        &db,
        0..10,
        vec![minute(2, "dosd", 50_000), minute(2, "flowtrackd", 20_000)],
        None
    ));
    assert!(answered(&db, 12..20, vec![minute(13, "dosd", 10_000)], Some(13)));
    let series = |prefix: Prefix, from, to, most| read(&db, |tx| db::series::series(tx, prefix, from, to, most));
    let points = series(prefix("203.0.113.0/24"), at(0), at(20), 100);
    assert_eq!(points.len(), 20);
    assert_eq!(
        (points[2].packets, points[2].bits, points[2].samples),
        (70_000, 560_000_000, 7)
    );
    assert!(points[2].is_known() && points[3].is_known() && points[3].packets == 0);
    assert_eq!((points[10].minutes_read, points[11].is_known()), (0, false));
    assert_eq!(
        (points[13].packets, points[13].minutes_read, points[13].is_known()),
        (10_000, 1, false)
    );
    // Coarser when fewer points are wanted; the heaviest minute stays visible.
    let coarse = series(prefix("203.0.113.0/24"), at(0), at(20), 6);
    assert_eq!((coarse.len(), coarse[0].step_s), (4, 300));
    assert_eq!(
        (coarse[0].packets, coarse[0].most_packets, coarse[0].minutes_read),
        (70_000, 70_000, 5)
    );
    assert_eq!(
        (coarse[2].packets, coarse[2].minutes_read, coarse[2].is_known()),
        (10_000, 3, false)
    );
    // Another prefix was not told apart then.
    let other = series(prefix("198.51.100.0/24"), at(0), at(20), 100);
    assert!(other.iter().all(|point| point.minutes_read == 0));

    let systems = read(&db, |tx| {
        db::series::systems(tx, prefix("203.0.113.0/24"), at(0), at(20))
    });
    let named: Vec<_> = systems
        .iter()
        .map(|total| (total.system.as_str(), total.packets))
        .collect();
    assert_eq!(named, [("dosd", 60_000), ("flowtrackd", 20_000)]);
    assert_eq!(read(&db, db::series::newest_minute), Some(at(19)));
    assert_eq!(
        read(&db, |tx| db::series::prefixes(tx, at(0), at(20), 10)),
        [prefix("203.0.113.0/24")]
    );
}

#[test]
fn a_second_answer_replaces_the_first_and_an_equal_one_writes_nothing() {
    let (_dir, db) = open();
    let first = vec![minute(1, "dosd", 50_000), minute(2, "dosd", 50_000)];
    assert!(answered(&db, 0..5, first.clone(), None));
    assert!(!answered(&db, 0..5, first.clone(), None));
    // It grew, shrank, and one went away.
    assert!(answered(&db, 0..5, vec![minute(1, "dosd", 60_000)], None));
    let packets = |minute: usize| {
        let points = read(&db, |tx| {
            db::series::series(tx, prefix("203.0.113.0/24"), at(0), at(5), 100)
        });
        points[minute].packets
    };
    assert_eq!((packets(1), packets(2)), (60_000, 0));
    // An incomplete answer takes nothing away.
    answered(&db, 0..5, Vec::new(), Some(1));
    assert_eq!(packets(1), 60_000);
    // What was drawn from the rows is kept as long as they are.
    while write(&db, |tx| db::retention::prune(tx, "network_analytics_events", at(3), 2)) > 0 {}
    let points = read(&db, |tx| {
        db::series::series(tx, prefix("203.0.113.0/24"), at(0), at(5), 100)
    });
    let known: Vec<bool> = points.iter().map(db::series::Point::is_known).collect();
    assert_eq!(known, [false, false, false, true, true]);
}

#[test]
fn what_the_daemon_saw_fills_minutes_that_were_not_read() {
    let (_dir, db) = open();
    answered(&db, 0..2, vec![minute(1, "dosd", 50_000)], None);
    write(&db, |tx| {
        let dropped = |packets| domain::evidence::Dropped {
            packets: domain::units::Packets(packets),
            bits: domain::units::Bits(1),
            samples: 1,
        };
        let ten = Duration::from_secs(10);
        let buckets = [
            (at(1), dropped(7)),
            (at(3), dropped(10_000)),
            (plus(at(3), ten), dropped(20_000)),
        ];
        let buckets = buckets.iter().map(|(start, dropped)| (start, dropped));
        db::decisions::store_series(tx, prefix("203.0.113.0/24"), 10, buckets)
    });
    let points = read(&db, |tx| {
        db::series::series(tx, prefix("203.0.113.0/24"), at(0), at(4), 100)
    });
    let seen: Vec<_> = points.iter().map(|point| (point.packets, point.minutes_read)).collect();
    assert_eq!(seen, [(0, 1), (50_000, 1), (0, 0), (30_000, 0)]);
}

#[test]
fn a_point_is_never_an_overflow() {
    let (_dir, db) = open();
    let huge = |number| Minute {
        packets: u64::MAX,
        bits: u64::MAX,
        ..minute(number, "dosd", 0)
    };
    answered(&db, 0..5, vec![huge(1), huge(2)], None);
    let points = read(&db, |tx| {
        db::series::series(tx, prefix("203.0.113.0/24"), at(0), at(5), 2)
    });
    assert_eq!(points[0].packets, u64::try_from(i64::MAX).unwrap());
}

#[test]
fn attacks_have_a_begin_and_later_an_end() {
    let (_dir, db) = open();
    let lasting = AttackSpan {
        attack_id: "a".into(),
        began_at: at(5),
        ended_at: None,
        vector: Some("UDP Flood".into()),
        rule_name: None,
        mitigation: Some("block".into()),
        targets: vec!["203.0.113.10".into()],
        prefix: Some(prefix("203.0.113.0/24")),
        sources: 3,
        packets: 100,
        bits: 800,
        dropped_packets: 90,
        dropped_bits: 720,
        complete: true,
        incident: None,
        read_at: at(6),
    };
    let stored = lasting.clone();
    write(&db, move |tx| db::attack_spans::store(tx, &stored));
    let open = read(&db, |tx| db::attack_spans::open(tx, at(0), 10));
    assert_eq!(open, std::slice::from_ref(&lasting));
    assert_eq!(read(&db, |tx| db::attack_spans::open(tx, at(6), 10)), []);
    assert_eq!(read(&db, |tx| db::attack_spans::between(tx, at(8), at(9), 10)).len(), 1);
    let ended = AttackSpan {
        ended_at: Some(at(7)),
        ..lasting
    };
    let stored = ended.clone();
    write(&db, move |tx| db::attack_spans::store(tx, &stored));
    assert_eq!(read(&db, |tx| db::attack_spans::get(tx, "a")), Some(ended));
    assert_eq!(read(&db, |tx| db::attack_spans::open(tx, at(0), 10)), []);
    assert_eq!(read(&db, |tx| db::attack_spans::between(tx, at(8), at(9), 10)), []);
}

fn answer(address: &str, name: Option<&str>, problem: Option<&str>, looked_up: u64, expires: u64) -> Hostname {
    Hostname {
        address: address.into(),
        name: name.map(str::to_owned),
        problem: problem.map(str::to_owned),
        looked_up_at: at(looked_up),
        expires_at: at(expires),
    }
}

fn row(source: &str, packets: u64) -> NewRow {
    NewRow {
        event_datetime: "2026-01-15T00:00:00Z".into(),
        source_ip: Some(source.into()),
        destination_ip: Some("203.0.113.10".into()),
        prefix: Some(prefix("203.0.113.0/24")),
        packets,
        raw_data: "{}".into(),
        ..NewRow::default()
    }
}

#[test]
fn names_are_wanted_for_real_sources_of_attacks_on_us_until_an_answer_is_there() {
    let (_dir, db) = open();
    write(&db, |tx| {
        let forged = NewRow {
            source_bogon: Some("private".into()),
            ..row("10.0.0.1", 100)
        };
        let on_others = NewRow {
            prefix: None,
            ..row("198.51.100.9", 100)
        };
        for row in [row("198.51.100.1", 10), row("198.51.100.2", 50), forged, on_others] {
            db::analytics::store(tx, &row, at(0))?;
        }
        Ok(())
    });
    let wanted = |now| read(&db, |tx| db::hostnames::wanted(tx, at(0), now, 10));
    assert_eq!(wanted(at(1)), ["198.51.100.2", "198.51.100.1"]);
    assert_eq!(
        read(&db, |tx| db::hostnames::wanted(tx, at(1), at(1), 10)),
        Vec::<String>::new()
    );
    write(&db, |tx| {
        let found = answer("198.51.100.2", Some("a.example"), None, 1, 60);
        let none = answer("198.51.100.1", None, None, 1, 10);
        db::hostnames::store(tx, &[found, none])
    });
    assert_eq!(wanted(at(2)), Vec::<String>::new());
    assert_eq!(
        wanted(at(10)),
        ["198.51.100.1"],
        "that there is none is forgotten sooner"
    );
    // A failed look-up keeps the name; a good answer without name takes it away.
    write(&db, |tx| {
        db::hostnames::store(tx, &[answer("198.51.100.2", None, Some("timed out"), 60, 65)])
    });
    let named = || {
        let addresses = ["198.51.100.2", "198.51.100.1", "192.0.2.1"];
        read(&db, |tx| db::hostnames::names(tx, addresses))
    };
    assert_eq!(named().get("198.51.100.2").map(String::as_str), Some("a.example"));
    assert_eq!(named().len(), 1);
    write(&db, |tx| {
        db::hostnames::store(tx, &[answer("198.51.100.2", None, None, 65, 70)])
    });
    assert!(named().is_empty());
    assert_eq!(write(&db, |tx| db::hostnames::prune(tx, at(70), 10)), 1);
    assert!(read(&db, |tx| db::hostnames::get(tx, "198.51.100.1")).is_none());
}

#[test]
fn the_identity_given_decides_which_rows_are_one() {
    let (_dir, db) = open();
    let named = |identity: &str, packets: u64| NewRow {
        identity: Some(identity.into()),
        ..row("198.51.100.1", packets)
    };
    let store = |row: NewRow| write(&db, move |tx| db::analytics::store(tx, &row, at(0)));
    assert!(matches!(store(named("x", 10)), Stored::New(_)));
    assert!(matches!(store(named("y", 10)), Stored::New(_)));
    assert!(matches!(store(named("x", 20)), Stored::Grown(_)));
    let news = |rows: Vec<(&str, u64, u64)>| {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(key, packets, bits)| (key.to_owned(), packets, bits))
            .collect();
        read(&db, move |tx| db::analytics::news(tx, &rows))
    };
    assert_eq!(
        news(vec![
            ("x", 20, 0),
            ("x", 21, 0),
            ("y", 10, 0),
            ("y", 10, 1),
            ("z", 1, 1)
        ]),
        [1, 3, 4]
    );
}

#[test]
fn a_row_that_the_predecessor_stored_is_taken_over_and_not_doubled() {
    let (_dir, db) = open();
    let full = NewRow {
        attack_id: Some("d6".into()),
        attack_vector: Some("UDP Flood".into()),
        source_port: Some(53),
        protocol: Some("UDP".into()),
        colo_code: Some("FRA".into()),
        rule_id: Some("r".into()),
        identity: Some("all dimensions".into()),
        ..row("198.51.100.1", 10_000)
    };
    // As the predecessor wrote it: its hash, its columns, no identity.
    rusqlite::Connection::open(db.path())
        .unwrap()
        .execute(
            "INSERT INTO network_analytics_events (event_hash, attack_id, event_datetime, rule_id, source_ip, source_port,
               destination_ip, destination_port, protocol, colo_code, packets, bits, raw_data)
             VALUES (?1, 'd6', '2026-01-15T00:00:00Z', 'r', '198.51.100.1', 53, '203.0.113.10', 0, 'UDP', 'FRA', 10000,
               0, '{}')",
            [full.event_hash()],
        )
        .unwrap();
    let store = |row: NewRow| write(&db, move |tx| db::analytics::store(tx, &row, at(1)));
    let other_port = NewRow {
        source_port: Some(54),
        identity: Some("another port".into()),
        ..full.clone()
    };
    assert!(
        matches!(store(other_port), Stored::New(_)),
        "the hash leaves the port out"
    );
    let grown = NewRow {
        packets: 30_000,
        ..full.clone()
    };
    assert!(matches!(store(grown.clone()), Stored::Grown(_)));
    assert!(matches!(store(grown), Stored::Known(_)));
    let rows = read(&db, |tx| db::analytics::newest(tx, None, 10));
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].packets, rows[1].samples), (Some(30_000), None));
}
