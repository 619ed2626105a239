//! Webhook deliveries as they came in (`webhook_events`). Every authenticated delivery is a row;
//! an identical body within its window is counted on the first one and not processed again.

use std::time::Duration;

use domain::alert::Affected;
use domain::ids::DeliveryId;
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::column::{at, json, opt_at};
use super::tallies::{self, Tally};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// How long an identical body counts as the same delivery.
pub const SAME_WITHIN: Duration = Duration::from_secs(86_400);

/// The same for bodies that carry no instant of their own, such as the test message.
pub const SAME_WITHOUT_TS_WITHIN: Duration = Duration::from_secs(60);

/// A delivery to be stored.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// When we received it.
    pub received_at: Timestamp,
    /// Cloudflare's `alert_type`, when it could be read.
    pub alert_type: Option<String>,
    /// Cloudflare's `alert_event`.
    pub event_state: Option<String>,
    /// The predecessor's correlation column: attack id, else the other ids, else correlation id.
    pub alert_id: Option<String>,
    /// Policy id and name.
    pub policy_id: Option<String>,
    /// Policy name.
    pub policy_name: Option<String>,
    /// Target address or host name.
    pub target: Option<String>,
    /// Peer address, through trusted proxies.
    pub source_ip: String,
    /// `received`, `imported` or `recovered`.
    pub action_taken: &'static str,
    /// The body when it is a JSON object in UTF-8, exactly as received.
    pub payload: Option<String>,
    /// The body otherwise.
    pub raw_body: Option<Vec<u8>>,
    /// SHA-256 of the body, hex.
    pub body_hash: String,
    /// Headers that matter, as a JSON object.
    pub headers: String,
    /// The sender's instant.
    pub event_time: Option<Timestamp>,
    /// What could not be read.
    pub problem: Option<String>,
    /// A marked self-test.
    pub is_test: bool,
}

/// Whether a delivery is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Stored as this row.
    New(DeliveryId),
    /// An identical body was stored as this row before; it was counted there.
    Duplicate(DeliveryId),
}

/// Stores a delivery once, with what it affects of ours.
///
/// # Errors
/// Those of the database.
pub fn store(tx: &WriteTx<'_>, new: &NewDelivery, affected: &Affected) -> Result<Stored, DbError> {
    let window = if new.event_time.is_some() {
        SAME_WITHIN
    } else {
        SAME_WITHOUT_TS_WITHIN
    };
    let known: Option<i64> = tx
        .conn()
        .prepare_cached(
            // One that waited in the inbox is stored after later ones: the window reaches both ways.
            "SELECT id FROM webhook_events WHERE body_hash = ?1 AND received_at > ?2 AND received_at < ?3
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(
            params![
                new.body_hash,
                at(minus(new.received_at, window)),
                at(plus(new.received_at, window))
            ],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = known {
        count_again(tx, DeliveryId(id), new.received_at)?;
        return Ok(Stored::Duplicate(DeliveryId(id)));
    }
    tx.conn()
        .prepare_cached(
            // OR FAIL: a failed write is undone by the writer as a whole, so the statement keeps no journal of its own for it.
            "INSERT OR FAIL INTO webhook_events (received_at, alert_type, event_state, alert_id, policy_id, policy_name,
               target_ip, target_prefix, source_ip, processed, action_taken, payload, body_hash, raw_body, headers,
               event_time, prefixes, unresolved, problem, is_test)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            at(new.received_at),
            new.alert_type,
            new.event_state,
            new.alert_id,
            new.policy_id,
            new.policy_name,
            new.target,
            affected.prefixes.first().map(ToString::to_string),
            new.source_ip,
            new.action_taken,
            new.payload,
            new.body_hash,
            new.raw_body,
            new.headers,
            opt_at(new.event_time),
            json(&affected.prefixes)?,
            affected.unresolved,
            new.problem,
            new.is_test,
        ])?;
    Ok(Stored::New(DeliveryId(tx.conn().last_insert_rowid())))
}

/// The same notification came once more.
///
/// # Errors
/// Those of the database.
pub fn count_again(tx: &WriteTx<'_>, id: DeliveryId, received_at: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE webhook_events SET duplicates = duplicates + 1, last_duplicate_at = ?2 WHERE id = ?1")?
        .execute(params![id.0, at(received_at)])?;
    Ok(())
}

/// A delivery that could not be tied to prefixes now can.
///
/// # Errors
/// Those of the database.
pub fn resolve(tx: &WriteTx<'_>, id: DeliveryId, prefixes: &[Prefix]) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE webhook_events SET prefixes = ?2, target_prefix = COALESCE(target_prefix, ?3), unresolved = 0
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            json(prefixes)?,
            prefixes.first().map(ToString::to_string)
        ])?;
    Ok(())
}

/// When the newest delivery came in.
///
/// # Errors
/// Those of the database.
pub fn last_received(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    let text: Option<String> = tx
        .conn()
        .prepare_cached("SELECT max(received_at) FROM webhook_events")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// How many deliveries are stored, self-tests not counted.
///
/// # Errors
/// Those of the database.
pub fn count(tx: &ReadTx<'_>) -> Result<u64, DbError> {
    tallies::get(tx, Tally::Deliveries)
}

/// How many deliveries are stored, self-tests counted too.
///
/// # Errors
/// Those of the database.
pub fn total(tx: &ReadTx<'_>) -> Result<u64, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT count(*) FROM webhook_events")?
        .query_row([], |row| row.get(0))?)
}
