//! Completed withdrawals (`withdrawal_history`): once per intent, with true durations.

use domain::ids::{IncidentId, IntentId};
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::column::{at, opt_at};
use super::tallies::{self, Tally};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A withdrawal to be recorded.
#[derive(Debug, Clone)]
pub struct Withdrawal {
    /// The prefix.
    pub prefix: Prefix,
    /// The intent that did it.
    pub intent: IntentId,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Attack vector, if the incident names one.
    pub attack_type: Option<String>,
    /// Since when it was advertised.
    pub advertised_at: Option<Timestamp>,
    /// End of the last attack window, in data time.
    pub attack_ended_at: Option<Timestamp>,
    /// End of the first attack window, in data time.
    pub attack_began_at: Option<Timestamp>,
    /// When Cloudflare says it was withdrawn.
    pub withdrawn_at: Timestamp,
    /// `autowithdraw_daemon`, `prefix_manager_manual`, `dashboard_manual`.
    pub method: String,
    /// Who.
    pub actor: String,
    /// Proven calm, seconds.
    pub calm_s: Option<i64>,
    /// One line for people.
    pub notes: String,
}

/// Records a withdrawal. A second record for the same intent changes nothing.
///
/// # Errors
/// Those of the database.
pub fn record(tx: &WriteTx<'_>, done: &Withdrawal, now: Timestamp) -> Result<(), DbError> {
    let seconds = |from: Option<Timestamp>, to: Option<Timestamp>| {
        from.zip(to)
            .map(|(from, to)| i64::try_from(since(to, from).as_secs()).unwrap_or(i64::MAX))
    };
    tx.conn()
        .prepare_cached(
            "INSERT OR IGNORE INTO withdrawal_history (prefix, attack_type, advertised_at, attack_ended_at,
               withdrawn_at, attack_duration_seconds, protection_duration_seconds, withdraw_method, status, notes,
               created_at, intent_id, incident_id, actor, calm_seconds)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'success', ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            done.prefix.to_string(),
            done.attack_type,
            opt_at(done.advertised_at),
            opt_at(done.attack_ended_at),
            at(done.withdrawn_at),
            seconds(done.attack_began_at, done.attack_ended_at),
            seconds(done.advertised_at, Some(done.withdrawn_at)),
            done.method,
            done.notes,
            at(now),
            done.intent.0,
            done.incident.map(|id| id.0),
            done.actor,
            done.calm_s,
        ])?;
    Ok(())
}

/// A row as pages and command lines show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// Row number.
    pub id: i64,
    /// Prefix.
    pub prefix: String,
    /// Advertised at.
    pub advertised_at: Option<Timestamp>,
    /// Attack end.
    pub attack_ended_at: Option<Timestamp>,
    /// Withdrawn at.
    pub withdrawn_at: Option<Timestamp>,
    /// Seconds under protection.
    pub protection_duration_seconds: Option<i64>,
    /// Method.
    pub withdraw_method: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Actor.
    pub actor: Option<String>,
}

/// The newest rows, newest first, of one prefix or of all.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, prefix: Option<Prefix>, limit: u32) -> Result<Vec<HistoryRow>, DbError> {
    let instant = |text: Option<String>| text.as_deref().and_then(domain::time::from_text);
    tx.conn()
        .prepare_cached(
            "SELECT id, prefix, advertised_at, attack_ended_at, withdrawn_at, protection_duration_seconds,
               withdraw_method, status, notes, actor
             FROM withdrawal_history WHERE ?1 IS NULL OR prefix = ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_and_then(params![prefix.map(|p| p.to_string()), limit], |row| {
            Ok(HistoryRow {
                id: row.get(0)?,
                prefix: row.get(1)?,
                advertised_at: instant(row.get(2)?),
                attack_ended_at: instant(row.get(3)?),
                withdrawn_at: instant(row.get(4)?),
                protection_duration_seconds: row.get(5)?,
                withdraw_method: row.get(6)?,
                status: row.get(7)?,
                notes: row.get(8)?,
                actor: row.get(9)?,
            })
        })?
        .collect()
}

/// How many withdrawals are recorded.
///
/// # Errors
/// Those of the database.
pub fn count(tx: &ReadTx<'_>) -> Result<u64, DbError> {
    tallies::get(tx, Tally::Withdrawals)
}
