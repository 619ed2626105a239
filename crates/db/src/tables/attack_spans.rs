//! Begin and end of each attack as Cloudflare's attack analytics tell them (`attack_spans`).
//!
//! An attack without end lasts. Amounts are estimates over all sources that Cloudflare names.

use domain::ids::IncidentId;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use super::column::{at, json, opt_at, read_at, read_json, read_opt_at, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// An attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttackSpan {
    /// Id as Cloudflare writes it.
    pub attack_id: String,
    /// Begin.
    pub began_at: Timestamp,
    /// End; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
    /// Vector.
    pub vector: Option<String>,
    /// Rule that met it.
    pub rule_name: Option<String>,
    /// Kind of mitigation.
    pub mitigation: Option<String>,
    /// Targets, most packets first.
    pub targets: Vec<String>,
    /// Prefix of ours that the first target of ours is in.
    pub prefix: Option<Prefix>,
    /// Distinct sources in the samples.
    pub sources: u64,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
    /// Estimated packets that were dropped.
    pub dropped_packets: u64,
    /// Estimated bits that were dropped.
    pub dropped_bits: u64,
    /// Whether the answer held all rows; otherwise amounts are at least these.
    pub complete: bool,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Last answer that changed it.
    pub read_at: Timestamp,
}

const COLUMNS: &str = "attack_id, began_at, ended_at, vector, rule_name, mitigation, targets, prefix, sources, packets,
  bits, dropped_packets, dropped_bits, complete, incident_id, read_at";

fn read(row: &Row<'_>) -> Result<AttackSpan, DbError> {
    const T: &str = "attack_spans";
    let amount = |column: &str| -> Result<u64, DbError> {
        let number: i64 = row.get(column)?;
        Ok(u64::try_from(number).unwrap_or(0))
    };
    let prefix: Option<String> = row.get("prefix")?;
    Ok(AttackSpan {
        attack_id: row.get("attack_id")?,
        began_at: read_at(row, T, "began_at")?,
        ended_at: read_opt_at(row, T, "ended_at")?,
        vector: row.get("vector")?,
        rule_name: row.get("rule_name")?,
        mitigation: row.get("mitigation")?,
        targets: read_json(row, T, "targets")?,
        prefix: match prefix {
            Some(_) => Some(read_word(row, T, "prefix", |text| text.parse().ok())?),
            None => None,
        },
        sources: amount("sources")?,
        packets: amount("packets")?,
        bits: amount("bits")?,
        dropped_packets: amount("dropped_packets")?,
        dropped_bits: amount("dropped_bits")?,
        complete: row.get("complete")?,
        incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
        read_at: read_at(row, T, "read_at")?,
    })
}

/// One attack.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, attack_id: &str) -> Result<Option<AttackSpan>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM attack_spans WHERE attack_id = ?1"))?
        .query_and_then([attack_id], read)?
        .next()
        .transpose()
}

/// Attacks that began since `since` and have no end yet, the oldest first.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &ReadTx<'_>, since: Timestamp, limit: u32) -> Result<Vec<AttackSpan>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_spans WHERE ended_at IS NULL AND began_at >= ?1
             ORDER BY began_at, attack_id LIMIT ?2"
        ))?
        .query_and_then(params![at(since), limit], read)?
        .collect()
}

/// Attacks that lasted at any time between two instants, the newest first.
///
/// # Errors
/// Those of the database.
pub fn between(tx: &ReadTx<'_>, from: Timestamp, to: Timestamp, limit: u32) -> Result<Vec<AttackSpan>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_spans WHERE began_at < ?2 AND (ended_at IS NULL OR ended_at >= ?1)
             ORDER BY began_at DESC, attack_id LIMIT ?3"
        ))?
        .query_and_then(params![at(from), at(to), limit], read)?
        .collect()
}

/// Stores an attack as it was read now.
///
/// # Errors
/// Those of the database.
pub fn store(tx: &WriteTx<'_>, span: &AttackSpan) -> Result<(), DbError> {
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    tx.conn()
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO attack_spans ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
        ))?
        .execute(params![
            span.attack_id,
            at(span.began_at),
            opt_at(span.ended_at),
            span.vector,
            span.rule_name,
            span.mitigation,
            json(&span.targets)?,
            span.prefix.map(|prefix| prefix.to_string()),
            clamp(span.sources),
            clamp(span.packets),
            clamp(span.bits),
            clamp(span.dropped_packets),
            clamp(span.dropped_bits),
            span.complete,
            span.incident.map(|id| id.0),
            at(span.read_at),
        ])?;
    Ok(())
}
