//! What belongs to one event or prefix, across tables: for explaining afterwards what happened and who was told.

use domain::ids::{DeliveryId, EventId, EvidenceId, IntentId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::column::{read_at, read_opt_at};
use super::outbox::{self, Notification};
use crate::error::DbError;
use crate::tx::ReadTx;

/// The delivery an event came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Row number.
    pub id: DeliveryId,
    /// When we received it.
    pub received_at: Timestamp,
    /// The sender's instant.
    pub event_time: Option<Timestamp>,
    /// Who posted it.
    pub source_ip: Option<String>,
    /// How often an identical body came again.
    pub duplicates: u32,
    /// When it last did.
    pub last_duplicate_at: Option<Timestamp>,
    /// Whether it could not be tied to prefixes of ours.
    pub unresolved: bool,
    /// What could not be read of it.
    pub problem: Option<String>,
}

/// What an event refers to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The delivery it came from.
    pub delivery: Option<Delivery>,
    /// The intent it records.
    pub intent: Option<IntentId>,
    /// The notices about it, oldest first.
    pub notifications: Vec<Notification>,
}

/// Most notices of one event; usually there is one.
const MOST: u32 = 100;

/// What the event refers to; empty when there is no such event.
///
/// # Errors
/// Those of the database.
pub fn of_event(tx: &ReadTx<'_>, event: EventId) -> Result<Trace, DbError> {
    let refers: Option<(Option<i64>, Option<i64>)> = tx
        .conn()
        .prepare_cached("SELECT webhook_event_id, intent_id FROM attack_events WHERE id = ?1")?
        .query_row([event.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (delivery, intent) = refers.unwrap_or_default();
    let ids: Vec<i64> = tx
        .conn()
        .prepare_cached("SELECT id FROM notifications WHERE event_id = ?1 ORDER BY id LIMIT ?2")?
        .query_and_then(params![event.0, MOST], |row| row.get(0))?
        .collect::<Result<_, rusqlite::Error>>()?;
    let mut notifications = Vec::new();
    for id in ids {
        notifications.extend(outbox::get(tx, domain::ids::NotificationId(id))?);
    }
    Ok(Trace {
        delivery: match delivery {
            Some(id) => self::delivery(tx, DeliveryId(id))?,
            None => None,
        },
        intent: intent.map(IntentId),
        notifications,
    })
}

/// A delivery without its body.
///
/// # Errors
/// Those of the database.
pub fn delivery(tx: &ReadTx<'_>, id: DeliveryId) -> Result<Option<Delivery>, DbError> {
    const T: &str = "webhook_events";
    tx.conn()
        .prepare_cached(
            "SELECT id, received_at, event_time, source_ip, duplicates, last_duplicate_at, unresolved, problem
             FROM webhook_events WHERE id = ?1",
        )?
        .query_and_then([id.0], |row| {
            Ok(Delivery {
                id: DeliveryId(row.get("id")?),
                received_at: read_at(row, T, "received_at")?,
                event_time: read_opt_at(row, T, "event_time")?,
                source_ip: row.get("source_ip")?,
                duplicates: row.get("duplicates")?,
                last_duplicate_at: read_opt_at(row, T, "last_duplicate_at")?,
                unresolved: row.get("unresolved")?,
                problem: row.get("problem")?,
            })
        })?
        .next()
        .transpose()
}

/// The events recorded for a delivery, oldest first.
///
/// # Errors
/// Those of the database.
pub fn events_of_delivery(tx: &ReadTx<'_>, delivery: DeliveryId) -> Result<Vec<EventId>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT id FROM attack_events WHERE webhook_event_id = ?1 ORDER BY id LIMIT ?2")?
        .query_and_then(params![delivery.0, MOST], |row| row.get(0).map(EventId))?
        .collect::<Result<_, rusqlite::Error>>()?)
}

/// The evidence that the current answer for a prefix rests on.
///
/// # Errors
/// Those of the database.
pub fn current_evidence(tx: &ReadTx<'_>, prefix: Prefix) -> Result<Option<EvidenceId>, DbError> {
    let found: Option<Option<i64>> = tx
        .conn()
        .prepare_cached("SELECT evidence_id FROM prefix_now WHERE prefix = ?1")?
        .query_row([prefix.to_string()], |row| row.get(0))
        .optional()?;
    Ok(found.flatten().map(EvidenceId))
}
