//! Incidents (`incidents` and what hangs on them): one attack from its first sign to the
//! withdrawal, joined by the rules of [`domain::incident`].

mod duty;
mod merge;
mod parts;

use domain::alert::Alert;
use domain::ids::IncidentId;
use domain::incident::{Candidate, JOIN_WITHIN, Span, extend, join_by_prefix, keys_of};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

pub use duty::{Duty, assign, duty};
pub use merge::survivor;
pub use parts::{Parts, Share, Source, parts};

use super::column::{at, opt_at, read_at, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Finds or opens the incident of an attack alert and extends it. `affected` are our prefixes.
///
/// # Errors
/// Those of the database.
pub fn join(tx: &WriteTx<'_>, alert: &Alert, affected: &[Prefix], now: Timestamp) -> Result<IncidentId, DbError> {
    let keys = keys_of(alert);
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for key in &keys {
        match by_key(tx, &key.kind, &key.key)? {
            Some(id) => found.push(id),
            None => unknown.push(key),
        }
    }
    let id = match merge::merge(tx, found, now)? {
        Some(id) => id,
        None => match join_by_prefix(alert, affected, &candidates(tx, affected, alert.at())?) {
            Some(id) => id,
            None => open(tx, alert, now)?,
        },
    };
    for key in unknown {
        tx.conn()
            .prepare_cached("INSERT OR IGNORE INTO incident_keys (kind, key, incident_id) VALUES (?1, ?2, ?3)")?
            .execute(params![key.kind, key.key, id.0])?;
    }
    add_prefixes(tx, id, affected)?;
    let known = span_of(tx, id)?;
    let span = extend(known, alert);
    if known.is_none_or(|known| known.began_at != span.began_at) {
        // Apart from the rest: the beginning is indexed, and nearly never changes.
        tx.conn()
            .prepare_cached("UPDATE incidents SET began_at = ?2 WHERE id = ?1")?
            .execute(params![id.0, at(span.began_at)])?;
    }
    tx.conn()
        .prepare_cached(
            "UPDATE incidents SET ended_at = ?2, last_sign_at = ?3, updated_at = ?4,
               title = CASE WHEN vector IS NULL AND ?5 IS NOT NULL THEN ?5 ELSE title END,
               vector = COALESCE(vector, ?5),
               peak_pps = CASE WHEN ?6 IS NULL THEN peak_pps ELSE max(COALESCE(peak_pps, 0), ?6) END,
               peak_bps = CASE WHEN ?7 IS NULL THEN peak_bps ELSE max(COALESCE(peak_bps, 0), ?7) END
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            opt_at(span.ended_at),
            at(span.last_sign_at),
            at(now),
            alert.vector,
            alert.packets_per_second,
            alert.bits_per_second,
        ])?;
    Ok(id)
}

/// Adds prefixes of ours to an incident.
///
/// # Errors
/// Those of the database.
pub fn add_prefixes(tx: &WriteTx<'_>, incident: IncidentId, prefixes: &[Prefix]) -> Result<(), DbError> {
    for prefix in prefixes {
        tx.conn()
            .prepare_cached("INSERT OR IGNORE INTO incident_prefixes (incident_id, prefix) VALUES (?1, ?2)")?
            .execute(params![incident.0, prefix.to_string()])?;
    }
    Ok(())
}

fn open(tx: &WriteTx<'_>, alert: &Alert, now: Timestamp) -> Result<IncidentId, DbError> {
    let what = alert.vector.as_deref().unwrap_or_else(|| alert.kind.title());
    let span = extend(None, alert);
    tx.conn()
        .prepare_cached(
            "INSERT INTO incidents (title, vector, began_at, last_sign_at, ended_at, is_test, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        )?
        .execute(params![
            what,
            alert.vector,
            at(span.began_at),
            at(span.last_sign_at),
            opt_at(span.ended_at),
            alert.is_test,
            at(now),
        ])?;
    Ok(IncidentId(tx.conn().last_insert_rowid()))
}

fn span_of(tx: &ReadTx<'_>, id: IncidentId) -> Result<Option<Span>, DbError> {
    tx.conn()
        .prepare_cached("SELECT id, began_at, ended_at, last_sign_at FROM incidents WHERE id = ?1")?
        .query_and_then([id.0], |row| {
            Ok(Span {
                began_at: read_at(row, "incidents", "began_at")?,
                ended_at: read_opt_at(row, "incidents", "ended_at")?,
                last_sign_at: read_at(row, "incidents", "last_sign_at")?,
            })
        })?
        .next()
        .transpose()
}

/// When the row's attack began, whatever it was merged into.
pub(crate) fn began_at(tx: &ReadTx<'_>, id: IncidentId) -> Result<Option<Timestamp>, DbError> {
    Ok(span_of(tx, id)?.map(|span| span.began_at))
}

fn candidates(tx: &ReadTx<'_>, prefixes: &[Prefix], when: Timestamp) -> Result<Vec<Candidate>, DbError> {
    let mut found: Vec<Candidate> = Vec::new();
    for prefix in prefixes {
        let mut query = tx.conn().prepare_cached(
            "SELECT i.id, i.vector, i.began_at, i.last_sign_at, i.is_test FROM incidents i
             JOIN (SELECT incident_id FROM incident_prefixes WHERE prefix = ?1 ORDER BY incident_id DESC LIMIT 200) p
               ON p.incident_id = i.id
             WHERE i.last_sign_at >= ?2 AND i.began_at <= ?3 AND i.merged_into IS NULL ORDER BY i.id DESC LIMIT 50",
        )?;
        let rows = query.query_and_then(
            params![
                prefix.to_string(),
                at(minus(when, JOIN_WITHIN)),
                at(plus(when, JOIN_WITHIN))
            ],
            |row| -> Result<Candidate, DbError> {
                Ok(Candidate {
                    id: IncidentId(row.get("id")?),
                    prefixes: vec![*prefix],
                    vector: row.get("vector")?,
                    began_at: read_at(row, "incidents", "began_at")?,
                    last_sign_at: read_at(row, "incidents", "last_sign_at")?,
                    is_test: row.get("is_test")?,
                })
            },
        )?;
        for row in rows {
            let row = row?;
            match found.iter_mut().find(|known| known.id == row.id) {
                Some(known) => known.prefixes.push(*prefix),
                None => found.push(row),
            }
        }
    }
    Ok(found)
}

/// The incident known under a key: `correlation` or `attack`, and the normalised id.
///
/// # Errors
/// Those of the database.
pub fn by_key(tx: &ReadTx<'_>, kind: &str, key: &str) -> Result<Option<IncidentId>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT incident_id FROM incident_keys WHERE kind = ?1 AND key = ?2")?
        .query_row([kind, key], |row| row.get(0))
        .optional()?
        .map(IncidentId))
}

/// The newest real incident of `prefix` that is not withdrawn yet: the one an act belongs to.
///
/// # Errors
/// Those of the database.
pub fn current(tx: &ReadTx<'_>, prefix: Prefix) -> Result<Option<IncidentId>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT i.id FROM incidents i JOIN incident_prefixes p ON p.incident_id = i.id
             WHERE p.prefix = ?1 AND i.withdrawn_at IS NULL AND i.is_test = 0 AND i.merged_into IS NULL
             ORDER BY i.began_at DESC LIMIT 1",
        )?
        .query_row([prefix.to_string()], |row| row.get(0))
        .optional()?
        .map(IncidentId))
}

/// A line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it happened, by the clock of its source.
    pub at: Timestamp,
    /// Stable kind: `alert_start`, `advertised`, `attack_seen`, `calm`, `intent`, `withdrawn`, ...
    pub kind: String,
    /// One sentence.
    pub text: String,
    /// Where it comes from: `cloudflare webhook`, `autowithdraw`, ...
    pub source: String,
    /// Who, when a person did it.
    pub actor: Option<String>,
    /// Row it refers to.
    pub reference: Option<(String, i64)>,
}

/// Adds a line.
///
/// # Errors
/// Those of the database.
pub fn note(tx: &WriteTx<'_>, incident: IncidentId, line: &Line, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO incident_timeline (incident_id, at, kind, text, source, actor, ref_table, ref_id, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            incident.0,
            at(line.at),
            line.kind,
            line.text,
            line.source,
            line.actor,
            line.reference.as_ref().map(|(table, _)| table),
            line.reference.as_ref().map(|(_, id)| id),
            at(now),
        ])?;
    Ok(())
}

/// The timeline, oldest first.
///
/// # Errors
/// Those of the database.
pub fn timeline(tx: &ReadTx<'_>, incident: IncidentId, limit: u32) -> Result<Vec<Line>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, at, kind, text, source, actor, ref_table, ref_id FROM incident_timeline
             WHERE incident_id = ?1 ORDER BY at, id LIMIT ?2",
        )?
        .query_and_then(params![incident.0, limit], |row| {
            let table: Option<String> = row.get("ref_table")?;
            let id: Option<i64> = row.get("ref_id")?;
            Ok(Line {
                at: read_at(row, "incident_timeline", "at")?,
                kind: row.get("kind")?,
                text: row.get("text")?,
                source: row.get("source")?,
                actor: row.get("actor")?,
                reference: table.zip(id),
            })
        })?
        .collect()
}

/// Raises the incident's peak by what the analytics saw.
///
/// # Errors
/// Those of the database.
pub fn raise_peak(
    tx: &WriteTx<'_>,
    incident: IncidentId,
    packets_per_second: f64,
    bits_per_second: f64,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE incidents SET peak_pps = max(COALESCE(peak_pps, 0), ?2), peak_bps = max(COALESCE(peak_bps, 0), ?3),
               updated_at = ?4
             WHERE id = ?1 AND (peak_pps IS NULL OR peak_pps < ?2 OR peak_bps IS NULL OR peak_bps < ?3)",
        )?
        .execute(params![incident.0, packets_per_second, bits_per_second, at(now)])?;
    Ok(())
}

/// Marks the incident as withdrawn.
///
/// # Errors
/// Those of the database.
pub fn withdrawn(tx: &WriteTx<'_>, incident: IncidentId, when: Timestamp, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE incidents SET withdrawn_at = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![incident.0, at(when), at(now)])?;
    Ok(())
}

/// A person takes note of the incident.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such incident.
pub fn acknowledge(tx: &WriteTx<'_>, incident: IncidentId, actor: &str, now: Timestamp) -> Result<(), DbError> {
    let incident = survivor(tx, incident)?;
    let changed = tx
        .conn()
        .prepare_cached(
            "UPDATE incidents SET acknowledged_by = ?2, acknowledged_at = ?3, updated_at = ?3 WHERE id = ?1",
        )?
        .execute(params![incident.0, actor, at(now)])?;
    if changed == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// An incident as lists and pages show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// Row number.
    pub id: IncidentId,
    /// Title.
    pub title: String,
    /// Vector.
    pub vector: Option<String>,
    /// Our prefixes.
    pub prefixes: Vec<Prefix>,
    /// First sign.
    pub began_at: Timestamp,
    /// Last sign.
    pub last_sign_at: Timestamp,
    /// END alert.
    pub ended_at: Option<Timestamp>,
    /// Withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// Peak packets per second.
    pub peak_pps: Option<f64>,
    /// Peak bits per second.
    pub peak_bps: Option<f64>,
    /// Self-test.
    pub is_test: bool,
    /// Acknowledged by.
    pub acknowledged_by: Option<String>,
    /// Acknowledged at.
    pub acknowledged_at: Option<Timestamp>,
    /// Last change of the row.
    pub updated_at: Timestamp,
}

pub(crate) const COLUMNS: &str =
    "id, title, vector, began_at, last_sign_at, ended_at, withdrawn_at, peak_pps, peak_bps, is_test,
  acknowledged_by, acknowledged_at, updated_at,
  (SELECT group_concat(prefix, ' ') FROM incident_prefixes WHERE incident_id = incidents.id) AS prefixes";

pub(crate) fn read(row: &Row<'_>) -> Result<Incident, DbError> {
    const T: &str = "incidents";
    let prefixes: Option<String> = row.get("prefixes")?;
    Ok(Incident {
        id: IncidentId(row.get("id")?),
        title: row.get("title")?,
        vector: row.get("vector")?,
        prefixes: prefixes
            .unwrap_or_default()
            .split(' ')
            .filter_map(|text| text.parse().ok())
            .collect(),
        began_at: read_at(row, T, "began_at")?,
        last_sign_at: read_at(row, T, "last_sign_at")?,
        ended_at: read_opt_at(row, T, "ended_at")?,
        withdrawn_at: read_opt_at(row, T, "withdrawn_at")?,
        peak_pps: row.get("peak_pps")?,
        peak_bps: row.get("peak_bps")?,
        is_test: row.get("is_test")?,
        acknowledged_by: row.get("acknowledged_by")?,
        acknowledged_at: read_opt_at(row, T, "acknowledged_at")?,
        updated_at: read_at(row, T, "updated_at")?,
    })
}

/// One incident. Asked for one that was merged, it is the one that has everything, with its own number.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, id: IncidentId) -> Result<Option<Incident>, DbError> {
    let id = survivor(tx, id)?;
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM incidents WHERE id = ?1"))?
        .query_and_then([id.0], read)?
        .next()
        .transpose()
}

/// The newest incidents below `before` (exclusive), newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, before: Option<IncidentId>, limit: u32) -> Result<Vec<Incident>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM incidents WHERE id < ?1 AND merged_into IS NULL ORDER BY id DESC LIMIT ?2"
        ))?
        .query_and_then(params![before.map_or(i64::MAX, |id| id.0), limit], read)?
        .collect()
}

/// Real incidents that are neither withdrawn nor long past, newest first.
///
/// # Errors
/// Those of the database.
pub fn ongoing(tx: &ReadTx<'_>, since: Timestamp, limit: u32) -> Result<Vec<Incident>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM incidents INDEXED BY incidents_going_on
             WHERE withdrawn_at IS NULL AND is_test = 0 AND last_sign_at >= ?1 AND merged_into IS NULL
             ORDER BY began_at DESC LIMIT ?2"
        ))?
        .query_and_then(params![at(since), limit], read)?
        .collect()
}
