//! Dropped traffic of each prefix of ours, minute by minute (`drop_series`), which minutes were read (`drop_minutes`), and
//! since when a prefix is told apart (`drop_prefixes`): for plots, and for whoever asks what was dropped when.
//!
//! What must hold: a minute that was not read is unknown, never zero. Amounts are estimates from samples; how many
//! samples stands beside them. Where the analytics monitor has not read a minute, what the withdraw daemon saw of it
//! (`traffic_series`) is shown, and the minute still counts as not read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::prefix::Prefix;
use domain::time::{ceil_to, floor_to, plus, since};
use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::column::{at, read_at, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Length of a stored minute.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Lengths of a point of an answer, in minutes.
const STEPS: [u64; 9] = [1, 5, 15, 60, 240, 720, 1_440, 10_080, 43_200];

/// Points of one answer, whatever is asked for.
const MOST_POINTS: u32 = 5_000;

/// What one system dropped of a prefix's traffic in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minute {
    /// Prefix of ours.
    pub prefix: Prefix,
    /// Start of the minute.
    pub at: Timestamp,
    /// Who dropped, as Cloudflare names it; may be empty.
    pub system: String,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
    /// Samples the estimate rests on.
    pub samples: u64,
}

/// How a new answer differs from what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// New or changed amounts.
    pub changed: Vec<Minute>,
    /// What the answer no longer holds.
    gone: Vec<(String, String, String)>,
    /// Minutes that were not read before, or not completely.
    read: Vec<(Timestamp, bool)>,
    /// Prefixes told apart from now on, and since when.
    joined: Vec<(String, Timestamp)>,
    /// Prefixes that are not ours any more.
    left: Vec<String>,
}

impl Difference {
    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
            && self.gone.is_empty()
            && self.read.is_empty()
            && self.joined.is_empty()
            && self.left.is_empty()
    }
}

fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unclamp(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Compares a new answer about the minutes of `from..to` with what is stored. `own` are the prefixes that the answer tells
/// apart; `complete` says of a minute whether the answer holds all of it.
///
/// # Errors
/// Those of the database.
pub fn difference(
    tx: &ReadTx<'_>,
    from: Timestamp,
    to: Timestamp,
    own: &[Prefix],
    answer: Vec<Minute>,
    complete: impl Fn(Timestamp) -> bool,
) -> Result<Difference, DbError> {
    type Key = (String, String, String);
    let mut stored: BTreeMap<Key, (i64, i64)> = tx
        .conn()
        .prepare_cached("SELECT prefix, at, system, packets, bits FROM drop_series WHERE at >= ?1 AND at < ?2")?
        .query_and_then([at(from), at(to)], |row| -> Result<(Key, (i64, i64)), DbError> {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), (row.get(3)?, row.get(4)?)))
        })?
        .collect::<Result<_, _>>()?;
    let known: BTreeMap<String, bool> = tx
        .conn()
        .prepare_cached("SELECT at, complete FROM drop_minutes WHERE at >= ?1 AND at < ?2")?
        .query_and_then([at(from), at(to)], |row| -> Result<_, DbError> {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut told_apart: BTreeSet<String> = tx
        .conn()
        .prepare_cached("SELECT prefix FROM drop_prefixes")?
        .query_and_then([], |row| -> Result<String, DbError> { Ok(row.get(0)?) })?
        .collect::<Result<_, _>>()?;
    let mut difference = Difference::default();
    for prefix in own.iter().map(ToString::to_string) {
        if !told_apart.remove(&prefix) {
            difference.joined.push((prefix, from));
        }
    }
    difference.left = told_apart.into_iter().collect();
    for minute in answer {
        let key = (minute.prefix.to_string(), at(minute.at), minute.system.clone());
        if stored.remove(&key) != Some((clamp(minute.packets), clamp(minute.bits))) {
            difference.changed.push(minute);
        }
    }
    // An incomplete answer says nothing about what is not in it.
    difference.gone = stored
        .into_keys()
        .filter(|(_, when, _)| domain::time::from_text(when).is_some_and(&complete))
        .collect();
    let mut minute = from;
    while minute < to {
        let is_complete = complete(minute);
        match known.get(&at(minute)) {
            Some(before) if *before == is_complete => {}
            _ => difference.read.push((minute, is_complete)),
        }
        minute = plus(minute, MINUTE);
    }
    Ok(difference)
}

/// Stores a difference.
///
/// # Errors
/// Those of the database.
pub fn apply(tx: &WriteTx<'_>, difference: &Difference) -> Result<(), DbError> {
    let mut put = tx.conn().prepare_cached(
        "INSERT INTO drop_series (prefix, at, system, packets, bits, samples) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (prefix, at, system) DO UPDATE SET packets = excluded.packets, bits = excluded.bits,
           samples = excluded.samples",
    )?;
    for minute in &difference.changed {
        put.execute(params![
            minute.prefix.to_string(),
            at(minute.at),
            minute.system,
            clamp(minute.packets),
            clamp(minute.bits),
            clamp(minute.samples),
        ])?;
    }
    let mut remove = tx
        .conn()
        .prepare_cached("DELETE FROM drop_series WHERE prefix = ?1 AND at = ?2 AND system = ?3")?;
    for (prefix, when, system) in &difference.gone {
        remove.execute([prefix, when, system])?;
    }
    for (prefix, since) in &difference.joined {
        tx.conn()
            .prepare_cached("INSERT OR IGNORE INTO drop_prefixes (prefix, since) VALUES (?1, ?2)")?
            .execute(params![prefix, at(*since)])?;
    }
    for prefix in &difference.left {
        tx.conn()
            .prepare_cached("DELETE FROM drop_prefixes WHERE prefix = ?1")?
            .execute([prefix])?;
    }
    let mut mark = tx.conn().prepare_cached(
        "INSERT INTO drop_minutes (at, complete) VALUES (?1, ?2)
         ON CONFLICT (at) DO UPDATE SET complete = excluded.complete",
    )?;
    for (minute, complete) in &difference.read {
        mark.execute(params![at(*minute), complete])?;
    }
    Ok(())
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Start.
    pub at: Timestamp,
    /// Length in seconds.
    pub step_s: u64,
    /// Minutes of it that were read. None: unknown, whatever the amounts say.
    pub minutes_read: u64,
    /// Minutes of it that were read completely; of the others, amounts are at least these.
    pub minutes_complete: u64,
    /// Dropped packets, estimated, over the whole step.
    pub packets: u64,
    /// Dropped bits, estimated, over the whole step.
    pub bits: u64,
    /// Samples the estimates rest on.
    pub samples: u64,
    /// Packets of its heaviest minute.
    pub most_packets: u64,
    /// Bits of its heaviest minute.
    pub most_bits: u64,
}

impl Point {
    fn empty(at: Timestamp, step_s: u64) -> Self {
        Self {
            at,
            step_s,
            minutes_read: 0,
            minutes_complete: 0,
            packets: 0,
            bits: 0,
            samples: 0,
            most_packets: 0,
            most_bits: 0,
        }
    }

    /// Whether every minute of it was read completely: then nothing in it means that nothing was dropped.
    pub fn is_known(&self) -> bool {
        self.minutes_complete * 60 >= self.step_s
    }
}

/// The series of a prefix between two instants, oldest first, without gaps: what was not read is a point with no minute
/// read. The step is the shortest of one minute to thirty days that needs at most `most` points.
///
/// # Errors
/// Those of the database.
pub fn series(
    tx: &ReadTx<'_>,
    prefix: Prefix,
    from: Timestamp,
    to: Timestamp,
    most: u32,
) -> Result<Vec<Point>, DbError> {
    let most = u64::from(most.clamp(1, MOST_POINTS));
    let minutes = since(to, from).as_secs().div_ceil(60);
    let step_minutes = STEPS
        .into_iter()
        .find(|step| minutes.div_ceil(*step) < most)
        .unwrap_or(STEPS[STEPS.len() - 1]);
    let step_s = step_minutes * 60;
    let step = Duration::from_secs(step_s);
    let (from, to) = (floor_to(from, step), ceil_to(to, step));
    let mut points = BTreeMap::new();
    let mut start = from;
    while start < to && points.len() as u64 <= most {
        points.insert(start.as_second() / clamp(step_s), Point::empty(start, step_s));
        start = plus(start, step);
    }
    let (begin, end, step) = (at(from), at(to), clamp(step_s));
    let mut coverage = tx.conn().prepare_cached(
        "SELECT unixepoch(at) / ?3 AS bucket, count(*), sum(complete) FROM drop_minutes
         WHERE at >= max(?1, (SELECT since FROM drop_prefixes WHERE prefix = ?4)) AND at < ?2 GROUP BY bucket",
    )?;
    let mut rows = coverage.query(params![begin, end, step, prefix.to_string()])?;
    while let Some(row) = rows.next()? {
        if let Some(point) = points.get_mut(&row.get::<_, i64>(0)?) {
            point.minutes_read = unclamp(row.get(1)?);
            point.minutes_complete = unclamp(row.get(2)?);
        }
    }
    // total() cannot overflow; as an integer it ends at the largest one.
    let amounts = [
        "WITH minutes AS (
           SELECT at, total(packets) AS packets, total(bits) AS bits, total(samples) AS samples FROM drop_series
           WHERE prefix = ?1 AND at >= ?2 AND at < ?3 GROUP BY at)
         SELECT unixepoch(at) / ?4 AS bucket, CAST(total(packets) AS INTEGER), CAST(total(bits) AS INTEGER),
           CAST(total(samples) AS INTEGER), CAST(max(packets) AS INTEGER), CAST(max(bits) AS INTEGER)
         FROM minutes GROUP BY bucket",
        "WITH minutes AS (
           SELECT substr(at, 1, 16) || ':00' AS at, total(dropped_packets) AS packets, total(dropped_bits) AS bits,
             total(samples) AS samples
           FROM traffic_series WHERE prefix = ?1 AND at >= ?2 AND at < ?3 GROUP BY 1)
         SELECT unixepoch(at) / ?4 AS bucket, CAST(total(packets) AS INTEGER), CAST(total(bits) AS INTEGER),
           CAST(total(samples) AS INTEGER), CAST(max(packets) AS INTEGER), CAST(max(bits) AS INTEGER)
         FROM minutes WHERE NOT EXISTS (SELECT 1 FROM drop_minutes read WHERE read.at = minutes.at) GROUP BY bucket",
    ];
    for sql in amounts {
        let mut amounts = tx.conn().prepare_cached(sql)?;
        let mut rows = amounts.query(params![prefix.to_string(), begin, end, step])?;
        while let Some(row) = rows.next()? {
            if let Some(point) = points.get_mut(&row.get::<_, i64>(0)?) {
                point.packets = point.packets.saturating_add(unclamp(row.get(1)?));
                point.bits = point.bits.saturating_add(unclamp(row.get(2)?));
                point.samples = point.samples.saturating_add(unclamp(row.get(3)?));
                point.most_packets = point.most_packets.max(unclamp(row.get(4)?));
                point.most_bits = point.most_bits.max(unclamp(row.get(5)?));
            }
        }
    }
    Ok(points.into_values().collect())
}

/// What one system dropped of a prefix's traffic in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemTotal {
    /// As Cloudflare names it; may be empty.
    pub system: String,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
    /// Samples the estimates rest on.
    pub samples: u64,
}

/// Who dropped how much of a prefix's traffic between two instants, most packets first.
///
/// # Errors
/// Those of the database.
pub fn systems(tx: &ReadTx<'_>, prefix: Prefix, from: Timestamp, to: Timestamp) -> Result<Vec<SystemTotal>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT system, CAST(total(packets) AS INTEGER) AS amount, CAST(total(bits) AS INTEGER),
               CAST(total(samples) AS INTEGER)
             FROM drop_series WHERE prefix = ?1 AND at >= ?2 AND at < ?3
             GROUP BY system ORDER BY amount DESC, system LIMIT 100",
        )?
        .query_and_then(params![prefix.to_string(), at(from), at(to)], |row| {
            Ok(SystemTotal {
                system: row.get(0)?,
                packets: unclamp(row.get(1)?),
                bits: unclamp(row.get(2)?),
                samples: unclamp(row.get(3)?),
            })
        })?
        .collect()
}

/// Prefixes with dropped traffic between two instants, most packets first.
///
/// # Errors
/// Those of the database.
pub fn prefixes(tx: &ReadTx<'_>, from: Timestamp, to: Timestamp, limit: u32) -> Result<Vec<Prefix>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT prefix FROM drop_series WHERE at >= ?1 AND at < ?2 GROUP BY prefix
             ORDER BY total(packets) DESC, prefix LIMIT ?3",
        )?
        .query_and_then(params![at(from), at(to), limit], |row| {
            read_word(row, "drop_series", "prefix", |text| text.parse().ok())
        })?
        .collect()
}

/// The newest minute that was read.
///
/// # Errors
/// Those of the database.
pub fn newest_minute(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    tx.conn()
        .prepare_cached("SELECT at FROM drop_minutes ORDER BY at DESC LIMIT 1")?
        .query_and_then([], |row| read_at(row, "drop_minutes", "at"))?
        .next()
        .transpose()
}
