//! Open attack alerts (`alert_ledger`): what vetoes a withdrawal. One row per alerted attack,
//! whatever the order in which START and END arrive.

use domain::alert::{Affected, Alert, OpenAlert, Phase};
use domain::ids::EventId;
use jiff::Timestamp;
use rusqlite::params;

use super::column::{at, json, read_at, read_json};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// The key under which START and END of one alert meet: correlation id, attack id, else kind,
/// rule and prefixes.
pub fn key_of(alert: &Alert, affected: &Affected) -> String {
    if let Some(id) = &alert.correlation_id {
        return format!("c:{id}");
    }
    if let Some(id) = &alert.attack_id {
        return format!("a:{id}");
    }
    let prefixes: Vec<String> = affected.prefixes.iter().map(ToString::to_string).collect();
    format!(
        "k:{}|{}|{}",
        alert.kind.name(),
        alert.rule_name.as_deref().unwrap_or(""),
        prefixes.join(",")
    )
}

/// Enters an attack alert. The row is open while its latest START or update is later than its
/// latest END, in whatever order they arrive; an update renews the veto's clock.
///
/// # Errors
/// Those of the database.
pub fn enter(tx: &WriteTx<'_>, alert: &Alert, affected: &Affected, event: EventId) -> Result<(), DbError> {
    if !alert.kind.vetoes_withdrawal() {
        return Ok(());
    }
    let when = Some(at(alert.at()));
    let (since, ended) = match alert.phase {
        Phase::Start | Phase::Update => (when, None),
        Phase::End => (None, when),
    };
    tx.conn()
        .prepare_cached(
            "INSERT INTO alert_ledger (key, kind, event_id, since, ended_at, prefixes, unresolved, is_test)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (key) DO UPDATE SET
               event_id = CASE WHEN excluded.since > COALESCE(since, '') THEN excluded.event_id ELSE event_id END,
               since = NULLIF(max(COALESCE(since, ''), COALESCE(excluded.since, '')), ''),
               ended_at = NULLIF(max(COALESCE(ended_at, ''), COALESCE(excluded.ended_at, '')), ''),
               prefixes = CASE WHEN excluded.unresolved = 0 THEN excluded.prefixes ELSE prefixes END,
               unresolved = min(unresolved, excluded.unresolved)",
        )?
        .execute(params![
            key_of(alert, affected),
            alert.kind.name(),
            event.0,
            since,
            ended,
            json(&affected.prefixes)?,
            affected.unresolved,
            alert.is_test,
        ])?;
    Ok(())
}

/// Alerts that have started and not ended, since `since` at the earliest; self-tests never veto.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &ReadTx<'_>, since: Timestamp) -> Result<Vec<OpenAlert>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT key, kind, event_id, since, prefixes, unresolved FROM alert_ledger
             WHERE since >= ?1 AND (ended_at IS NULL OR since > ended_at) AND is_test = 0
             ORDER BY since LIMIT 10000",
        )?
        .query_and_then(params![at(since)], |row| {
            Ok(OpenAlert {
                event: row.get("event_id")?,
                kind: row.get("kind")?,
                since: read_at(row, "alert_ledger", "since")?,
                prefixes: read_json(row, "alert_ledger", "prefixes")?,
                unresolved: row.get("unresolved")?,
            })
        })?
        .collect()
}
