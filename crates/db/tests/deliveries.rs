//! Deliveries: when an identical body is the same delivery; and what an incident is made of.

use db::deliveries::{NewDelivery, Stored};
use db::events::NewEvent;
use db::{Db, DbError, OpenOptions, WriteTx};
use domain::alert::Affected;
use domain::ids::IncidentId;
use jiff::Timestamp;

const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_768_464_000 + seconds).unwrap()
}

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
    (dir, db)
}

fn write<T: Send + 'static>(db: &Db, f: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static) -> T {
    db.write_blocking("test", f).unwrap()
}

fn delivery(hash: &str, received: i64, dated: bool) -> NewDelivery {
    NewDelivery {
        received_at: at(received),
        alert_type: None,
        event_state: None,
        alert_id: None,
        policy_id: None,
        policy_name: None,
        target: None,
        source_ip: "192.0.2.1".into(),
        action_taken: "received",
        payload: Some("{}".into()),
        raw_body: None,
        body_hash: hash.into(),
        headers: "{}".into(),
        event_time: dated.then(|| at(0)),
        problem: None,
        is_test: false,
    }
}

fn nothing() -> Affected {
    Affected {
        prefixes: Vec::new(),
        unresolved: false,
    }
}

fn is_new(db: &Db, hash: &'static str, received: i64, dated: bool) -> bool {
    let stored = write(db, move |tx| {
        db::deliveries::store(tx, &delivery(hash, received, dated), &nothing())
    });
    matches!(stored, Stored::New(_))
}

#[test]
fn an_identical_body_is_the_same_delivery_within_a_day_or_a_minute_without_an_instant() {
    let (_dir, db) = open();
    assert!(is_new(&db, "dated", 0, true));
    assert!(!is_new(&db, "dated", DAY - 1, true));
    assert!(is_new(&db, "dated", DAY + 1, true), "later than a day it is news");
    // The test message of a destination has no instant: pressing the button again is another test.
    assert!(is_new(&db, "bare", 0, false));
    assert!(!is_new(&db, "bare", 59, false));
    assert!(is_new(&db, "bare", 61, false));
    // One that waited in the inbox is stored after one that came later.
    assert!(is_new(&db, "waited", 100, false));
    assert!(!is_new(&db, "waited", 41, false));
    assert!(is_new(&db, "waited", 39, false), "more than a minute apart");
    assert_eq!(db.read_blocking("test", db::deliveries::total).unwrap(), 6);
}

#[test]
fn an_incident_lists_targets_vectors_and_sources_of_the_rows_that_joined_it() {
    let (_dir, db) = open();
    let event = |incident: i64, target: &str, vector: &str| NewEvent {
        event_type: "START".into(),
        alert_type: "dos_attack_l4".into(),
        target_ip: Some(target.into()),
        attack_vector: Some(vector.into()),
        incident: Some(IncidentId(incident)),
        ..NewEvent::default()
    };
    let events = [
        event(1, "203.0.113.7", "UDP flood"),
        event(1, "203.0.113.7", "udp flood"),
        event(1, "203.0.113.8", "SYN flood"),
        event(2, "198.51.100.1", "another"),
    ];
    write(&db, move |tx| {
        for event in &events {
            db::events::append(tx, event, at(0))?;
        }
        Ok(())
    });
    let row = |source: &str, port: i64, packets: u64, incident: i64| db::analytics::NewRow {
        event_datetime: "2026-01-15T08:00:00Z".into(),
        source_ip: Some(source.into()),
        source_port: Some(port.try_into().unwrap()),
        source_country: Some("DE".into()),
        destination_ip: Some("203.0.113.9".into()),
        packets,
        raw_data: "{}".into(),
        incident: Some(IncidentId(incident)),
        ..db::analytics::NewRow::default()
    };
    let rows = [
        row("192.0.2.1", 1, 10, 1),
        row("192.0.2.2", 1, 15, 1),
        row("192.0.2.1", 2, 10, 1),
        row("192.0.2.3", 1, 99, 2),
    ];
    write(&db, move |tx| {
        for row in &rows {
            db::analytics::store(tx, row, at(0))?;
        }
        Ok(())
    });
    let parts = db
        .read_blocking("test", |tx| db::incidents::parts(tx, IncidentId(1), 10))
        .unwrap();
    let targets: Vec<(&str, u64)> = parts
        .targets
        .iter()
        .map(|target| (target.name.as_str(), target.packets))
        .collect();
    assert_eq!(targets, [("203.0.113.9", 35), ("203.0.113.7", 0), ("203.0.113.8", 0)]);
    assert_eq!(parts.vectors.len(), 2, "{:?}", parts.vectors);
    assert!(parts.vectors[0].name.eq_ignore_ascii_case("udp flood"));
    let countries: Vec<(&str, u64)> = parts
        .countries
        .iter()
        .map(|country| (country.name.as_str(), country.packets))
        .collect();
    assert_eq!(countries, [("DE", 35)]);
    assert_eq!(parts.networks, []);
    assert_eq!(parts.packets, 35);
    let sources: Vec<(&str, u64)> = parts
        .sources
        .iter()
        .map(|source| (source.address.as_str(), source.packets))
        .collect();
    assert_eq!(sources, [("192.0.2.1", 20), ("192.0.2.2", 15)]);
    assert_eq!(parts.sources[0].country.as_deref(), Some("DE"));
    let one = db
        .read_blocking("test", |tx| db::incidents::parts(tx, IncidentId(1), 1))
        .unwrap();
    assert_eq!(
        (one.targets.len(), one.vectors.len(), one.sources.len()),
        (1, 1, 1),
        "bounded"
    );
}

#[test]
fn nobody_looks_after_an_incident_that_is_not_there() {
    let (_dir, db) = open();
    let id = IncidentId(1);
    let assigned = db.write_blocking("assign", move |tx| {
        db::incidents::assign(tx, id, Some("ana"), "ben", at(60))
    });
    assert!(matches!(assigned, Err(DbError::NotFound)), "{assigned:?}");
    let duty = db.read_blocking("test", move |tx| db::incidents::duty(tx, id)).unwrap();
    assert_eq!(duty, None);
}
