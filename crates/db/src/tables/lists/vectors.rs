//! Dropped traffic of a prefix by attack vector and minute, summed from the rows of the analytics.
//!
//! Must hold: it costs no more than the rows asked for, and says from when on these are all ([`Vectors::since`]).

use std::collections::BTreeMap;

use domain::prefix::Prefix;
use domain::time::floor_to;
use jiff::Timestamp;
use rusqlite::params;

use crate::error::DbError;
use crate::tables::series::MINUTE;
use crate::tx::ReadTx;

/// What one vector dropped in a minute, estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets.
    pub packets: u64,
    /// Bits.
    pub bits: u64,
}

/// A vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// Its name, Cloudflare's.
    pub name: String,
    /// By the start of the minute; minutes without rows are absent.
    pub minutes: BTreeMap<Timestamp, Dropped>,
    /// All packets in that time.
    pub packets: u64,
}

/// The vectors of a prefix in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    /// Heaviest first.
    pub vectors: Vec<Vector>,
    /// From when on every row was read, when it is not the whole time asked for.
    pub since: Option<Timestamp>,
}

/// The vectors of `prefix` from `from` to before `to`, from the newest `most` rows.
///
/// # Errors
/// Those of the database.
pub fn vectors(tx: &ReadTx<'_>, prefix: Prefix, from: Timestamp, to: Timestamp, most: u32) -> Result<Vectors, DbError> {
    let mut statement = tx.conn().prepare_cached(
        "SELECT event_datetime, attack_vector, CAST(packets AS REAL), CAST(bits AS REAL) FROM network_analytics_events
         WHERE prefix = ?1 AND event_datetime >= ?2 AND event_datetime < ?3 ORDER BY event_datetime DESC LIMIT ?4",
    )?;
    let text = domain::time::rfc3339_seconds;
    let mut rows = statement.query(params![prefix.to_string(), text(from), text(to), most])?;
    let mut found: BTreeMap<String, Vector> = BTreeMap::new();
    let (mut read, mut oldest) = (0, None);
    while let Some(row) = rows.next()? {
        read += 1;
        let written: String = row.get(0)?;
        let Some(at) = domain::time::from_text(&written) else {
            continue;
        };
        let minute = floor_to(at, MINUTE);
        // A row that names no vector was read like any other: where reading ended is where it is.
        oldest = Some(minute);
        let name: Option<String> = row.get(1)?;
        let Some(name) = name.filter(|name| !name.trim().is_empty()) else {
            continue;
        };
        let amount = |number: Option<f64>| number.unwrap_or(0.0).max(0.0) as u64;
        let (packets, bits) = (amount(row.get(2)?), amount(row.get(3)?));
        let vector = found.entry(name.to_ascii_lowercase()).or_insert_with(|| Vector {
            name,
            minutes: BTreeMap::new(),
            packets: 0,
        });
        vector.packets = vector.packets.saturating_add(packets);
        let dropped = vector.minutes.entry(minute).or_default();
        dropped.packets = dropped.packets.saturating_add(packets);
        dropped.bits = dropped.bits.saturating_add(bits);
    }
    let mut vectors: Vec<Vector> = found.into_values().collect();
    vectors.sort_by(|one, other| (other.packets, &one.name).cmp(&(one.packets, &other.name)));
    // The oldest minute may have been cut in the middle: it is whole only from the next one on.
    let since = oldest
        .filter(|_| read >= most)
        .map(|minute| domain::time::plus(minute, MINUTE));
    Ok(Vectors { vectors, since })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::analytics;
    use crate::{Db, DbError, OpenOptions, WriteTx};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn vectors_are_summed_by_minute_and_what_was_cut_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
        let ours: Prefix = "203.0.113.0/24".parse().unwrap();
        let store = move |tx: &WriteTx<'_>| -> Result<(), DbError> {
            for (number, (minute, vector, packets)) in [
                ("03:00:10", "UDP flood", 10),
                ("03:00:50", "udp flood", 5),
                ("03:01:00", "SYN flood", 100),
                ("03:02:00", "UDP flood", 7),
                ("03:03:00", "", 1_000),
                ("03:03:01", "", 1_000),
            ]
            .into_iter()
            .enumerate()
            {
                let row = analytics::NewRow {
                    event_datetime: format!("2026-11-22T{minute}Z"),
                    attack_vector: Some(vector.into()),
                    source_port: u16::try_from(number).ok(),
                    packets,
                    bits: packets * 8,
                    prefix: Some(ours),
                    ..analytics::NewRow::default()
                };
                analytics::store(tx, &row, at("2026-11-22T03:05:00Z"))?;
            }
            Ok(())
        };
        db.write_blocking("rows", store).unwrap();
        let read = |most| {
            let (from, to) = (at("2026-11-22T03:00:00Z"), at("2026-11-22T04:00:00Z"));
            db.read_blocking("vectors", |tx| vectors(tx, ours, from, to, most))
                .unwrap()
        };
        let all = read(100);
        let told: Vec<_> = all
            .vectors
            .iter()
            .map(|vector| (vector.packets, vector.minutes.len()))
            .collect();
        assert_eq!((told, all.since), (vec![(100, 1), (22, 2)], None));
        let first = all.vectors[1].minutes[&at("2026-11-22T03:00:00Z")];
        assert_eq!(first, Dropped { packets: 15, bits: 120 });
        let nameless = read(2);
        assert_eq!(
            (nameless.vectors.len(), nameless.since),
            (0, Some(at("2026-11-22T03:04:00Z"))),
            "what names no vector fills the reading too"
        );
        let cut = read(4);
        assert_eq!(
            cut.since,
            Some(at("2026-11-22T03:02:00Z")),
            "the minute of the oldest row may not be whole"
        );
    }
}
