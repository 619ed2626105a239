//! What Cloudflare's notification history says was dispatched (`alert_history`): one row per entry,
//! with the delivery it stands for. Entries are looked at once; reading the history again is cheap.

use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::notice::Priority;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};

use super::column::{at, read_at, read_json, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

const TABLE: &str = "alert_history";

/// Cursor up to which everything dispatched is in this database, as text of an instant.
pub const CURSOR: &str = "alert_history";

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It was taken from the history.
    Recovered,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Recovered => "recovered",
        }
    }
}

/// An entry to be remembered.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Cloudflare's id.
    pub id: String,
    /// When it was dispatched.
    pub sent_at: Timestamp,
    /// To which destination.
    pub mechanism: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Its delivery.
    pub delivery: DeliveryId,
    /// Its row in the operator's log, when it was recovered.
    pub event: Option<EventId>,
    /// Its incident, when it was recovered.
    pub incident: Option<IncidentId>,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether the body carried an instant of its own.
    pub dated: bool,
    /// Whether people know of it, or need not.
    pub announced: bool,
}

/// Remembers an entry.
///
/// # Errors
/// Those of the database.
pub fn enter(tx: &WriteTx<'_>, new: &NewEntry, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT OR IGNORE INTO alert_history (id, sent_at, mechanism, outcome, delivery_id, event_id, incident_id,
               priority, dated, seen_at, announced)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            new.id,
            at(new.sent_at),
            new.mechanism,
            new.outcome.word(),
            new.delivery.0,
            new.event.map(|id| id.0),
            new.incident.map(|id| id.0),
            new.priority.rank(),
            new.dated,
            at(now),
            new.announced,
        ])?;
    Ok(())
}

/// Whether an entry was looked at before.
///
/// # Errors
/// Those of the database.
pub fn is_known(tx: &ReadTx<'_>, id: &str) -> Result<bool, DbError> {
    let found: Option<i64> = tx
        .conn()
        .prepare_cached("SELECT 1 FROM alert_history WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// Whether another entry for the same destination stands for this delivery already.
///
/// # Errors
/// Those of the database.
pub fn is_taken(tx: &ReadTx<'_>, delivery: DeliveryId, mechanism: Option<&str>) -> Result<bool, DbError> {
    let found: Option<i64> = tx
        .conn()
        .prepare_cached("SELECT 1 FROM alert_history WHERE delivery_id = ?1 AND mechanism IS ?2 LIMIT 1")?
        .query_row(params![delivery.0, mechanism], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// A stored body, to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its row.
    pub delivery: DeliveryId,
    /// When it came; of a recovered one when it was dispatched.
    pub received_at: Timestamp,
    /// SHA-256 of the body, hex; the predecessor's rows have none.
    pub body_hash: Option<String>,
    /// Exactly what came.
    pub body: Vec<u8>,
    /// Whether the body carried an instant of its own when it came.
    pub dated: bool,
}

fn stored(row: &Row<'_>) -> Result<Stored, DbError> {
    let bytes = |column: &str| -> Result<Option<Vec<u8>>, DbError> {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
    };
    Ok(Stored {
        delivery: DeliveryId(row.get("id")?),
        received_at: read_at(row, "webhook_events", "received_at")?,
        body_hash: row.get("body_hash")?,
        body: match bytes("raw_body")? {
            Some(raw) => raw,
            None => bytes("payload")?.unwrap_or_default(),
        },
        dated: row.get("dated")?,
    })
}

/// Deliveries that came between two instants, of one type and of those without a type: what an entry may stand for.
/// Recovered ones are not among them, see [`recovered_elsewhere`].
///
/// # Errors
/// Those of the database.
pub fn deliveries_between(
    tx: &ReadTx<'_>,
    alert_type: Option<&str>,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<Stored>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, received_at, body_hash, payload, raw_body, 1 AS dated FROM webhook_events
             WHERE received_at >= ?1 AND received_at <= ?2 AND (?3 IS NULL OR alert_type IS NULL OR alert_type = ?3)
               AND action_taken IS NOT 'recovered'
             ORDER BY received_at LIMIT ?4",
        )?
        .query_and_then(params![at(from), at(to), alert_type, limit], stored)?
        .collect()
}

/// The delivery with exactly this body.
///
/// # Errors
/// Those of the database.
pub fn delivery_with_hash(tx: &ReadTx<'_>, body_hash: &str) -> Result<Option<DeliveryId>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT id FROM webhook_events WHERE body_hash = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([body_hash], |row| row.get(0))
        .optional()?
        .map(DeliveryId))
}

/// Recovered deliveries that were dispatched between two instants and have not come since.
///
/// # Errors
/// Those of the database.
pub fn awaited(tx: &ReadTx<'_>, from: Timestamp, to: Timestamp, limit: u32) -> Result<Vec<Stored>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT w.id AS id, h.sent_at AS received_at, w.body_hash AS body_hash, w.payload AS payload,
               w.raw_body AS raw_body, h.dated AS dated
             FROM alert_history h JOIN webhook_events w ON w.id = h.delivery_id
             WHERE h.outcome = 'recovered' AND h.sent_at >= ?1 AND h.sent_at <= ?2 AND h.arrived_at IS NULL
             ORDER BY h.sent_at LIMIT ?3",
        )?
        .query_and_then(params![at(from), at(to), limit], stored)?
        .collect()
}

/// Deliveries recovered from entries for other destinations that were dispatched between two instants: one alert has an
/// entry for each destination.
///
/// # Errors
/// Those of the database.
pub fn recovered_elsewhere(
    tx: &ReadTx<'_>,
    mechanism: Option<&str>,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<Stored>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT w.id AS id, h.sent_at AS received_at, w.body_hash AS body_hash, w.payload AS payload,
               w.raw_body AS raw_body, h.dated AS dated
             FROM alert_history h JOIN webhook_events w ON w.id = h.delivery_id
             WHERE h.outcome = 'recovered' AND h.sent_at >= ?1 AND h.sent_at <= ?2 AND h.mechanism IS NOT ?3
             ORDER BY h.sent_at LIMIT ?4",
        )?
        .query_and_then(params![at(from), at(to), mechanism, limit], stored)?
        .collect()
}

/// The delivery of a recovered alert has come after all.
///
/// # Errors
/// Those of the database.
pub fn arrived(tx: &WriteTx<'_>, delivery: DeliveryId, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE alert_history SET arrived_at = ?2 WHERE delivery_id = ?1 AND outcome = 'recovered'")?
        .execute(params![delivery.0, at(now)])?;
    Ok(())
}

/// A recovered alert that people have not been told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Cloudflare's id of the entry.
    pub id: String,
    /// When it was dispatched.
    pub sent_at: Timestamp,
    /// How urgent its own message would have been.
    pub priority: Priority,
    /// Its row in the operator's log.
    pub event: Option<EventId>,
    /// START, UPDATE, END, ADVERTISE, ...
    pub event_type: Option<String>,
    /// Cloudflare's `alert_type`.
    pub alert_type: Option<String>,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Our prefixes in it.
    pub prefixes: Vec<Prefix>,
    /// Whether it could not be tied to prefixes.
    pub unresolved: bool,
    /// The sender's instant, else when it was dispatched.
    pub happened_at: Timestamp,
    /// What it is about: target, policy.
    pub subject: Option<String>,
}

/// Recovered alerts that people have not been told of, oldest first.
///
/// # Errors
/// Those of the database.
pub fn untold(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<Untold>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT h.id AS id, h.sent_at AS sent_at, h.priority AS priority, h.event_id AS event_id,
               e.event_type AS event_type, w.alert_type AS alert_type, h.incident_id AS incident_id,
               COALESCE(w.prefixes, '[]') AS prefixes, w.unresolved AS unresolved, w.event_time AS event_time,
               COALESCE(w.target_ip, w.policy_name) AS subject
             FROM alert_history h JOIN webhook_events w ON w.id = h.delivery_id
             LEFT JOIN attack_events e ON e.id = h.event_id
             WHERE h.announced = 0 ORDER BY h.sent_at, h.id LIMIT ?1",
        )?
        .query_and_then([limit], |row| {
            let id: String = row.get("id")?;
            let rank: i64 = row.get("priority")?;
            let sent_at = read_at(row, TABLE, "sent_at")?;
            Ok(Untold {
                priority: Priority::from_rank(rank)
                    .ok_or_else(|| DbError::bad_row(TABLE, &id, format!("priority {rank} is unknown")))?,
                id,
                sent_at,
                event: row.get::<_, Option<i64>>("event_id")?.map(EventId),
                event_type: row.get("event_type")?,
                alert_type: row.get("alert_type")?,
                incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
                prefixes: read_json(row, "webhook_events", "prefixes")?,
                unresolved: row.get("unresolved")?,
                happened_at: read_opt_at(row, "webhook_events", "event_time")?.unwrap_or(sent_at),
                subject: row.get("subject")?,
            })
        })?
        .collect()
}

/// People are told of these.
///
/// # Errors
/// Those of the database.
pub fn mark_told(tx: &WriteTx<'_>, ids: &[String]) -> Result<(), DbError> {
    let mut update = tx
        .conn()
        .prepare_cached("UPDATE alert_history SET announced = 1 WHERE id = ?1")?;
    for id in ids {
        update.execute([id])?;
    }
    Ok(())
}
