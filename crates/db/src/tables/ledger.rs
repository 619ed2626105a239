//! Open attack alerts (`alert_ledger`): what vetoes a withdrawal. One row per alerted attack,
//! whatever the order in which START and END arrive.

use domain::alert::{Affected, Alert, OpenAlert, Phase};
use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::params;

use super::column::{at, json, read_at, read_json};
use super::inbox;
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

/// An open alert that vetoes every prefix because it could not be tied to any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Its key in the ledger.
    pub key: String,
    /// Its row in the operator's log.
    pub event: EventId,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Its delivery.
    pub delivery: DeliveryId,
    /// When that came.
    pub received_at: Timestamp,
    /// What came.
    pub body: Vec<u8>,
}

/// Unresolved open alerts since `since`.
///
/// # Errors
/// Those of the database.
pub fn unresolved(tx: &ReadTx<'_>, since: Timestamp) -> Result<Vec<Unresolved>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT l.key AS key, l.event_id AS event_id, e.incident_id AS incident_id, w.id AS id,
               w.received_at AS received_at, CAST(COALESCE(w.raw_body, w.payload) AS BLOB) AS body
             FROM alert_ledger l JOIN attack_events e ON e.id = l.event_id
             JOIN webhook_events w ON w.id = e.webhook_event_id
             WHERE l.since >= ?1 AND l.unresolved = 1 AND (l.ended_at IS NULL OR l.since > l.ended_at)
             ORDER BY l.since LIMIT 1000",
        )?
        .query_and_then(params![at(since)], |row| {
            Ok(Unresolved {
                key: row.get("key")?,
                event: EventId(row.get("event_id")?),
                incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
                delivery: DeliveryId(row.get("id")?),
                received_at: read_at(row, "webhook_events", "received_at")?,
                body: row.get::<_, Option<Vec<u8>>>("body")?.unwrap_or_default(),
            })
        })?
        .collect()
}

/// Ties an alert to prefixes. The key of an alert without ids names its prefixes: under the new one
/// it meets its END.
///
/// # Errors
/// Those of the database.
pub fn resolve(tx: &WriteTx<'_>, key: &str, new_key: &str, prefixes: &[Prefix]) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO alert_ledger (key, kind, event_id, since, ended_at, prefixes, unresolved, is_test)
             SELECT ?2, kind, event_id, since, ended_at, ?3, 0, is_test FROM alert_ledger WHERE key = ?1
             ON CONFLICT (key) DO UPDATE SET
               event_id = CASE WHEN excluded.since > COALESCE(since, '') THEN excluded.event_id ELSE event_id END,
               since = NULLIF(max(COALESCE(since, ''), COALESCE(excluded.since, '')), ''),
               ended_at = NULLIF(max(COALESCE(ended_at, ''), COALESCE(excluded.ended_at, '')), ''),
               prefixes = excluded.prefixes, unresolved = 0",
        )?
        .execute(params![key, new_key, json(prefixes)?])?;
    if key != new_key {
        tx.conn()
            .prepare_cached("DELETE FROM alert_ledger WHERE key = ?1")?
            .execute([key])?;
    }
    Ok(())
}

/// Alerts that have started and not ended, since `since` at the earliest; self-tests never veto. What is received and not
/// read yet may be one: it is the last, however old it is.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &ReadTx<'_>, since: Timestamp) -> Result<Vec<OpenAlert>, DbError> {
    let mut open: Vec<OpenAlert> = tx
        .conn()
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
        .collect::<Result<_, DbError>>()?;
    let oldest = inbox::oldest_at(tx)?;
    open.extend(oldest.map(OpenAlert::unread));
    Ok(open)
}
