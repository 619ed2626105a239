//! Dropped traffic of all prefixes of ours, hour by hour: how much, by whom, and how much of each hour is known.
//!
//! Must hold: a minute that was not read is unknown, never zero, and an hour says how many of its minutes were read, and
//! how many of them for every prefix of today.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::time::{floor_to, plus};
use jiff::Timestamp;

use crate::error::DbError;
use crate::tables::column::at;
use crate::tables::series::newest_minute;
use crate::tx::ReadTx;

/// Its length.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedHour {
    /// Its start.
    pub at: Timestamp,
    /// Minutes of it that were read. None: unknown, whatever the amounts say.
    pub minutes_read: u64,
    /// Minutes of it that were read completely and for every prefix; if not all, amounts are at least these.
    pub minutes_complete: u64,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
}

/// The hours of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedHours {
    /// Oldest first, without gaps.
    pub hours: Vec<DroppedHour>,
    /// What each system dropped, in packets, most first. The name is Cloudflare's and may be empty.
    pub systems: Vec<(String, u64)>,
    /// Start of the newest minute that was read, whenever that was.
    pub read_until: Option<Timestamp>,
}

/// What was dropped from `from`, cut to the hour, to before `to`.
///
/// # Errors
/// Those of the database.
pub fn dropped(tx: &ReadTx<'_>, from: Timestamp, to: Timestamp) -> Result<DroppedHours, DbError> {
    let mut hours = BTreeMap::new();
    let mut start = floor_to(from, HOUR);
    let begin = start;
    while start < to {
        let blank = DroppedHour {
            at: start,
            minutes_read: 0,
            minutes_complete: 0,
            packets: 0,
            bits: 0,
        };
        hours.insert(start.as_second() / 3_600, blank);
        start = plus(start, HOUR);
    }
    let unclamp = |number: i64| u64::try_from(number).unwrap_or(0);
    let span = [at(begin), at(to)];
    // A prefix that is told apart since later was not in the answers before.
    let mut coverage = tx.conn().prepare_cached(
        "SELECT unixepoch(at) / 3600 AS hour, count(*),
           sum(complete AND at >= coalesce((SELECT max(since) FROM drop_prefixes), at))
         FROM drop_minutes WHERE at >= ?1 AND at < ?2 GROUP BY hour",
    )?;
    let mut rows = coverage.query([&span[0], &span[1]])?;
    while let Some(row) = rows.next()? {
        if let Some(hour) = hours.get_mut(&row.get::<_, i64>(0)?) {
            hour.minutes_read = unclamp(row.get(1)?);
            hour.minutes_complete = unclamp(row.get(2)?);
        }
    }
    // total() cannot overflow; as an integer it ends at the largest one.
    let mut amounts = tx.conn().prepare_cached(
        "SELECT unixepoch(at) / 3600 AS hour, system, CAST(total(packets) AS INTEGER), CAST(total(bits) AS INTEGER)
         FROM drop_series WHERE at >= ?1 AND at < ?2 GROUP BY hour, system",
    )?;
    let mut systems: BTreeMap<String, u64> = BTreeMap::new();
    let mut rows = amounts.query([&span[0], &span[1]])?;
    while let Some(row) = rows.next()? {
        let (packets, bits) = (unclamp(row.get(2)?), unclamp(row.get(3)?));
        if let Some(hour) = hours.get_mut(&row.get::<_, i64>(0)?) {
            hour.packets = hour.packets.saturating_add(packets);
            hour.bits = hour.bits.saturating_add(bits);
            let of = systems.entry(row.get(1)?).or_default();
            *of = of.saturating_add(packets);
        }
    }
    let mut systems: Vec<(String, u64)> = systems.into_iter().collect();
    systems.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
    Ok(DroppedHours {
        hours: hours.into_values().collect(),
        systems,
        read_until: newest_minute(tx)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{self, Minute};
    use crate::{Db, OpenOptions};

    #[test]
    fn an_hour_says_what_is_known_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("hours.db"), OpenOptions::default()).unwrap();
        let instant = |text: &str| -> Timestamp { text.parse().unwrap() };
        let own: Vec<domain::prefix::Prefix> = ["203.0.113.0/24", "2001:db8::/32"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let minute = |prefix: usize, at: &str, system: &str, packets| Minute {
            prefix: own[prefix],
            at: instant(at),
            system: system.into(),
            packets,
            bits: packets * 8,
            samples: 1,
        };
        // Read from 01:30 on; the last minute was cut.
        let (from, to) = (instant("2026-11-22T01:30:00Z"), instant("2026-11-22T02:10:00Z"));
        let answer = vec![
            minute(0, "2026-11-22T01:40:00Z", "dosd", 7),
            minute(1, "2026-11-22T01:40:00Z", "", 2),
            minute(0, "2026-11-22T02:09:00Z", "dosd", 5),
        ];
        let (prefixes, cut) = (own.clone(), instant("2026-11-22T02:09:00Z"));
        db.write_blocking("store", move |tx| {
            let difference = series::difference(tx, from, to, &prefixes, answer, |at| at < cut)?;
            series::apply(tx, &difference)
        })
        .unwrap();
        let (begin, end) = (instant("2026-11-22T00:20:00Z"), instant("2026-11-22T02:10:00Z"));
        let found = db.read_blocking("hours", move |tx| dropped(tx, begin, end)).unwrap();
        let shown: Vec<_> = found
            .hours
            .iter()
            .map(|hour| {
                (
                    hour.at.to_string(),
                    hour.minutes_read,
                    hour.minutes_complete,
                    hour.packets,
                    hour.bits,
                )
            })
            .collect();
        let of = |text: &str, read, complete, packets: u64| (text.to_owned(), read, complete, packets, packets * 8);
        assert_eq!(
            shown,
            [
                of("2026-11-22T00:00:00Z", 0, 0, 0),
                of("2026-11-22T01:00:00Z", 30, 30, 9),
                of("2026-11-22T02:00:00Z", 10, 9, 5)
            ]
        );
        assert_eq!(found.systems, [("dosd".to_owned(), 12), (String::new(), 2)]);
        assert_eq!(found.read_until, Some(instant("2026-11-22T02:09:00Z")));

        // A third prefix is told apart later: what was read before is not all.
        let prefixes: Vec<_> = own
            .iter()
            .copied()
            .chain(["198.51.100.0/24".parse().unwrap()])
            .collect();
        let (from, to) = (instant("2026-11-22T02:05:00Z"), instant("2026-11-22T02:11:00Z"));
        db.write_blocking("store", move |tx| {
            let difference = series::difference(tx, from, to, &prefixes, Vec::new(), |_| true)?;
            series::apply(tx, &difference)
        })
        .unwrap();
        let end = instant("2026-11-22T02:11:00Z");
        let found = db.read_blocking("hours", move |tx| dropped(tx, begin, end)).unwrap();
        let known: Vec<_> = found
            .hours
            .iter()
            .map(|hour| (hour.minutes_read, hour.minutes_complete))
            .collect();
        assert_eq!(known, [(0, 0), (30, 0), (11, 6)]);
    }
}
