//! Rankings: sums by name, what only alerts name, the bound and what it leaves out.

use domain::ids::IncidentId;
use domain::prefix::Prefix;

use super::*;
use crate::tables::{analytics, events, incidents};
use crate::{Db, OpenOptions, WriteTx};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_768_464_000 + second).unwrap()
}

fn row(number: u32, incident: Option<IncidentId>) -> analytics::NewRow {
    let ours: Prefix = "203.0.113.0/24".parse().unwrap();
    analytics::NewRow {
        event_datetime: domain::time::rfc3339_seconds(at(i64::from(number))),
        attack_vector: Some(
            if number.is_multiple_of(2) {
                "UDP flood"
            } else {
                "udp flood"
            }
            .into(),
        ),
        source_ip: Some(format!("192.0.2.{}", number % 3)),
        source_country: Some("NL".into()),
        source_asn: Some(64_500),
        source_asn_name: (number == 1).then(|| "Example".into()),
        destination_ip: Some("203.0.113.9".into()),
        packets: 10,
        bits: 80,
        prefix: Some(ours),
        incident,
        ..analytics::NewRow::default()
    }
}

fn filled(rows: u32) -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
    let store = move |tx: &WriteTx<'_>| -> Result<(), DbError> {
        for number in 0..rows {
            analytics::store(tx, &row(number, Some(IncidentId(7))), at(0))?;
        }
        let alert = events::NewEvent {
            event_type: "START".into(),
            target_ip: Some("203.0.113.77".into()),
            attack_vector: Some("UDP FLOOD".into()),
            incident: Some(IncidentId(7)),
            ..events::NewEvent::default()
        };
        events::append(tx, &alert, at(0))?;
        Ok(())
    };
    db.write_blocking("fill", store).unwrap();
    (folder, db)
}

#[test]
fn an_incident_is_ranked_with_what_only_its_alerts_name() {
    let (_folder, db) = filled(9);
    let parts = db
        .read_blocking("parts", |tx| incidents::parts(tx, IncidentId(7), 10))
        .unwrap();
    assert_eq!((parts.packets, parts.rows, parts.is_whole), (90, 9, true));
    assert_eq!(
        parts.vectors.len(),
        1,
        "written differently, it is one vector: {:?}",
        parts.vectors
    );
    assert_eq!((parts.vectors[0].packets, parts.vectors[0].rows), (90, 10));
    let targets: Vec<_> = parts
        .targets
        .iter()
        .map(|share| (share.name.as_str(), share.packets))
        .collect();
    assert_eq!(targets, [("203.0.113.9", 90), ("203.0.113.77", 0)]);
    assert_eq!(parts.networks[0].name, "AS64500 Example");
    assert_eq!(parts.sources.len(), 3);
    assert_eq!(parts.since, Some(at(0)));
}

#[test]
fn top_now_sums_what_is_new_enough_and_ours() {
    let (_folder, db) = filled(9);
    let parts = db.read_blocking("top", |tx| top(tx, at(5), 2)).unwrap();
    assert_eq!((parts.packets, parts.is_whole, parts.sources.len()), (40, true, 2));
}

#[test]
fn a_sum_is_bounded_and_says_what_it_left_out() {
    let (_folder, db) = filled(MOST_ROWS + 5);
    let parts = db
        .read_blocking("parts", |tx| incidents::parts(tx, IncidentId(7), 10))
        .unwrap();
    assert_eq!((parts.rows, parts.is_whole), (u64::from(MOST_ROWS), false));
    assert_eq!(parts.since, Some(at(5)), "the newest rows are the ones that count");
}
