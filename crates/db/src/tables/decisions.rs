//! What the withdraw daemon knows and answered: state by compare-and-set (`prefix_states`),
//! evidence records, verdict changes (`decisions`), the current answer (`prefix_now`), and the
//! predecessor's `prefix_calm_status`, which is written for readers and never read back as state.

use domain::bgp::BgpState;
use domain::decision::{Decision, PrefixState, Verdict};
use domain::evidence::Dropped;
use domain::ids::{DecisionId, EvidenceId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::column::{at, json, opt_at, read_at, read_json, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A prefix's remembered state with the version that a compare-and-set needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateRow {
    /// Grows by one with every change.
    pub version: i64,
    /// The state.
    pub state: PrefixState,
}

/// The remembered state; version 0 and an empty state when there is none.
///
/// # Errors
/// Those of the database.
pub fn state(tx: &ReadTx<'_>, prefix: Prefix) -> Result<StateRow, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT prefix, version, state FROM prefix_states WHERE prefix = ?1")?
        .query_and_then([prefix.to_string()], |row| {
            Ok::<_, DbError>(StateRow {
                version: row.get("version")?,
                state: read_json(row, "prefix_states", "state")?,
            })
        })?
        .next()
        .transpose()?
        .unwrap_or(StateRow {
            version: 0,
            state: PrefixState::default(),
        }))
}

/// Stores a next state if nobody changed it since `version` was read. Returns the new version.
///
/// # Errors
/// [`DbError::Conflict`] when somebody did.
pub fn store_state(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    version: i64,
    next: &PrefixState,
    now: Timestamp,
) -> Result<i64, DbError> {
    let body = json(next)?;
    let changed = if version == 0 {
        tx.conn()
            .prepare_cached(
                "INSERT OR IGNORE INTO prefix_states (prefix, version, state, updated_at) VALUES (?1, 1, ?2, ?3)",
            )?
            .execute(params![prefix.to_string(), body, at(now)])?
    } else {
        tx.conn()
            .prepare_cached(
                "UPDATE prefix_states SET version = version + 1, state = ?3, updated_at = ?4
                 WHERE prefix = ?1 AND version = ?2",
            )?
            .execute(params![prefix.to_string(), version, body, at(now)])?
    };
    if changed == 0 {
        return Err(DbError::Conflict {
            what: format!("the state of {prefix} was changed by another process"),
        });
    }
    Ok(version + 1)
}

/// Stores a cycle's evidence.
///
/// # Errors
/// Those of the database.
pub fn store_evidence<T: Serialize>(tx: &WriteTx<'_>, evidence: &T, now: Timestamp) -> Result<EvidenceId, DbError> {
    tx.conn()
        .prepare_cached("INSERT INTO evidence (at, body) VALUES (?1, ?2)")?
        .execute(params![at(now), json(evidence)?])?;
    Ok(EvidenceId(tx.conn().last_insert_rowid()))
}

/// When an evidence record was stored.
///
/// # Errors
/// Those of the database.
pub fn evidence_at(tx: &ReadTx<'_>, id: EvidenceId) -> Result<Option<Timestamp>, DbError> {
    tx.conn()
        .prepare_cached("SELECT id, at FROM evidence WHERE id = ?1")?
        .query_and_then([id.0], |row| read_at(row, "evidence", "at"))?
        .next()
        .transpose()
}

/// An evidence record as stored.
///
/// # Errors
/// Those of the database.
pub fn evidence(tx: &ReadTx<'_>, id: EvidenceId) -> Result<Option<String>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT body FROM evidence WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?)
}

/// A verdict that differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionRow {
    /// Row number.
    pub id: DecisionId,
    /// When.
    pub at: Timestamp,
    /// Key of the verdict.
    pub verdict: String,
    /// The verdict.
    pub body: serde_json::Value,
    /// What was to happen next.
    pub next: serde_json::Value,
    /// Evidence it rests on.
    pub evidence: Option<i64>,
}

/// Stores a changed verdict.
///
/// # Errors
/// Those of the database.
pub fn record(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    decision: &Decision,
    state_version: i64,
    evidence: Option<EvidenceId>,
    now: Timestamp,
) -> Result<DecisionId, DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO decisions (prefix, at, verdict, body, next, state_version, evidence_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            prefix.to_string(),
            at(now),
            decision.verdict.key(),
            json(&decision.verdict)?,
            json(&decision.next)?,
            state_version,
            evidence.map(|id| id.0),
        ])?;
    Ok(DecisionId(tx.conn().last_insert_rowid()))
}

/// The newest verdict changes of a prefix, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, prefix: Prefix, limit: u32) -> Result<Vec<DecisionRow>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, at, verdict, body, next, evidence_id FROM decisions
             WHERE prefix = ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_and_then(params![prefix.to_string(), limit], |row| {
            Ok(DecisionRow {
                id: DecisionId(row.get("id")?),
                at: read_at(row, "decisions", "at")?,
                verdict: row.get("verdict")?,
                body: read_json(row, "decisions", "body")?,
                next: read_json(row, "decisions", "next")?,
                evidence: row.get("evidence_id")?,
            })
        })?
        .collect()
}

/// The current answer for a prefix, as pages and command lines show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// The prefix.
    pub prefix: Prefix,
    /// When it was decided.
    pub at: Timestamp,
    /// The decision, with verdict, blocks and next action.
    pub decision: Decision,
    /// The live state it saw, if it was read.
    pub bgp: Option<BgpState>,
    /// Whether automation may touch it.
    pub managed: bool,
    /// Mode automation runs in.
    pub mode: domain::decision::Mode,
}

/// Renews the current answer and the predecessor's calm table.
///
/// # Errors
/// Those of the database.
pub fn publish(tx: &WriteTx<'_>, now: &Now, evidence: Option<EvidenceId>) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO prefix_now (prefix, at, verdict, body, evidence_id) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (prefix) DO UPDATE SET at = excluded.at, verdict = excluded.verdict, body = excluded.body,
               evidence_id = excluded.evidence_id",
        )?
        .execute(params![
            now.prefix.to_string(),
            at(now.at),
            now.decision.verdict.key(),
            json(now)?,
            evidence.map(|id| id.0),
        ])?;
    let advertised = now.bgp.as_ref().and_then(|state| state.advertised).unwrap_or(false);
    let calm_since = match &now.decision.verdict {
        Verdict::Calm { .. } | Verdict::Blocked { .. } | Verdict::Withdraw => {
            now.decision.state.calm.as_ref().map(|track| track.calm_since)
        }
        _ => None,
    };
    let calm_minutes = calm_since.map(|_| {
        let proven = now
            .decision
            .state
            .calm
            .as_ref()
            .map_or(0, |track| track.proven().as_secs());
        (proven as f64 / 6.0).round() / 10.0
    });
    let latest = now.decision.latest.unwrap_or_default();
    let systems: Vec<&str> = now.decision.state.systems.iter().map(String::as_str).collect();
    tx.conn()
        .prepare_cached(
            "INSERT INTO prefix_calm_status (prefix, advertised, under_attack, calm_since, last_attack_packets,
               last_attack_mbps, mitigation_systems, updated_at, calm_minutes, dropped_packets, dropped_bits,
               last_updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?5, ?10, ?8)
             ON CONFLICT (prefix) DO UPDATE SET advertised = excluded.advertised, under_attack = excluded.under_attack,
               calm_since = excluded.calm_since, last_attack_packets = excluded.last_attack_packets,
               last_attack_mbps = excluded.last_attack_mbps, mitigation_systems = excluded.mitigation_systems,
               updated_at = excluded.updated_at, calm_minutes = excluded.calm_minutes,
               dropped_packets = excluded.dropped_packets, dropped_bits = excluded.dropped_bits,
               last_updated = excluded.last_updated",
        )?
        .execute(params![
            now.prefix.to_string(),
            advertised,
            matches!(now.decision.verdict, Verdict::Attack),
            opt_at(calm_since),
            i64::try_from(latest.packets.0).unwrap_or(i64::MAX),
            (latest.bit_rate.0 / 1e4).round() / 100.0,
            systems.join(","),
            at(now.at),
            calm_minutes,
            i64::try_from(latest.bits.0).unwrap_or(i64::MAX),
        ])?;
    Ok(())
}

/// The current answers, by prefix.
///
/// # Errors
/// Those of the database.
pub fn current(tx: &ReadTx<'_>) -> Result<Vec<Now>, DbError> {
    tx.conn()
        .prepare_cached("SELECT prefix, body FROM prefix_now ORDER BY prefix LIMIT 100000")?
        .query_and_then([], |row| read_json(row, "prefix_now", "body"))?
        .collect()
}

/// The current answer of one prefix.
///
/// # Errors
/// Those of the database.
pub fn current_of(tx: &ReadTx<'_>, prefix: Prefix) -> Result<Option<Now>, DbError> {
    tx.conn()
        .prepare_cached("SELECT prefix, body FROM prefix_now WHERE prefix = ?1")?
        .query_and_then([prefix.to_string()], |row| read_json(row, "prefix_now", "body"))?
        .next()
        .transpose()
}

/// One point of the series that plots draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Start of the bucket.
    pub at: Timestamp,
    /// Length of the bucket in seconds.
    pub bucket_s: i64,
    /// Dropped packets, estimated.
    pub dropped_packets: i64,
    /// Dropped bits, estimated.
    pub dropped_bits: i64,
    /// Samples the estimate rests on.
    pub samples: i64,
}

/// Stores buckets of dropped traffic; a bucket read again replaces what was known.
///
/// # Errors
/// Those of the database.
pub fn store_series<'a>(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    bucket_s: u64,
    buckets: impl IntoIterator<Item = (&'a Timestamp, &'a Dropped)>,
) -> Result<(), DbError> {
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let name = prefix.to_string();
    let mut insert = tx.conn().prepare_cached(
        "INSERT INTO traffic_series (prefix, at, bucket_s, dropped_packets, dropped_bits, samples)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (prefix, at) DO UPDATE SET bucket_s = excluded.bucket_s, samples = excluded.samples,
           dropped_packets = excluded.dropped_packets, dropped_bits = excluded.dropped_bits
         WHERE dropped_packets <> excluded.dropped_packets OR dropped_bits <> excluded.dropped_bits",
    )?;
    for (start, dropped) in buckets {
        insert.execute(params![
            name,
            at(*start),
            clamp(bucket_s),
            clamp(dropped.packets.0),
            clamp(dropped.bits.0),
            clamp(dropped.samples),
        ])?;
    }
    Ok(())
}

/// The series of a prefix since `since`, oldest first.
///
/// # Errors
/// Those of the database.
pub fn series(tx: &ReadTx<'_>, prefix: Prefix, since: Timestamp, limit: u32) -> Result<Vec<Point>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT prefix, at, bucket_s, dropped_packets, dropped_bits, samples FROM traffic_series
             WHERE prefix = ?1 AND at >= ?2 ORDER BY at LIMIT ?3",
        )?
        .query_and_then(params![prefix.to_string(), at(since), limit], |row| {
            Ok(Point {
                at: read_at(row, "traffic_series", "at")?,
                bucket_s: row.get("bucket_s")?,
                dropped_packets: row.get("dropped_packets")?,
                dropped_bits: row.get("dropped_bits")?,
                samples: row.get("samples")?,
            })
        })?
        .collect()
}

/// Prefixes with a remembered state.
///
/// # Errors
/// Those of the database.
pub fn remembered(tx: &ReadTx<'_>) -> Result<Vec<Prefix>, DbError> {
    tx.conn()
        .prepare_cached("SELECT prefix FROM prefix_states LIMIT 100000")?
        .query_and_then([], |row| {
            read_word(row, "prefix_states", "prefix", |text| text.parse().ok())
        })?
        .collect()
}
