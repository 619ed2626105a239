//! The operator's log (`attack_events`): every alert and every act, one row each.

use domain::bgp::BgpState;
use domain::ids::{DeliveryId, EventId, IncidentId, IntentId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::column::{Cells, at, json, opt_at};
use super::tallies::{self, Tally};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A row to be written. Texts keep the predecessor's forms, so that its queries go on working.
#[derive(Debug, Clone, Default)]
pub struct NewEvent {
    /// START, UPDATE, END, ADVERTISE, WITHDRAW, or NOTE for what is neither.
    pub event_type: String,
    /// Cloudflare's type, or `autowithdraw_daemon`, `prefix_manager_manual`, `dashboard_manual`.
    pub alert_type: String,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Policy id.
    pub policy_id: Option<String>,
    /// Policy name.
    pub policy_name: Option<String>,
    /// Our prefixes; the first also fills the predecessor's `prefix` column.
    pub prefixes: Vec<Prefix>,
    /// Target address.
    pub target_ip: Option<String>,
    /// Target port.
    pub target_port: Option<u16>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Attack vector.
    pub attack_vector: Option<String>,
    /// Packets per second, as text of a plain number.
    pub packets_per_second: Option<String>,
    /// Megabits per second, as text of a plain number.
    pub megabits_per_second: Option<String>,
    /// Severity.
    pub severity: Option<String>,
    /// `mitigating`, `notified`, `auto_advertised`, `withdrawn_auto`, `withdrawn_manual`, ...
    pub action_taken: String,
    /// JSON: the payload, or facts of the act.
    pub raw_payload: Option<String>,
    /// When we recorded it.
    pub created_at: Option<Timestamp>,
    /// The sender's or Cloudflare's instant.
    pub event_time: Option<Timestamp>,
    /// The delivery it came from.
    pub delivery: Option<DeliveryId>,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// The intent it records.
    pub intent: Option<IntentId>,
    /// Who.
    pub actor: Option<String>,
    /// A marked self-test.
    pub is_test: bool,
}

/// Appends a row.
///
/// # Errors
/// Those of the database.
pub fn append(tx: &WriteTx<'_>, new: &NewEvent, now: Timestamp) -> Result<EventId, DbError> {
    tx.conn()
        .prepare_cached(
            // OR FAIL: a failed write is undone by the writer as a whole, so the statement keeps no journal of its own for it.
            "INSERT OR FAIL INTO attack_events (event_type, alert_type, attack_id, policy_id, policy_name, prefix, target_ip,
               target_port, protocol, attack_vector, packets_per_second, megabits_per_second, severity, action_taken,
               raw_payload, created_at, event_time, prefixes, webhook_event_id, incident_id, intent_id, actor, is_test)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
               ?22, ?23)",
        )?
        .execute(params![
            new.event_type,
            new.alert_type,
            new.attack_id,
            new.policy_id,
            new.policy_name,
            new.prefixes.first().map(ToString::to_string),
            new.target_ip,
            new.target_port,
            new.protocol,
            new.attack_vector,
            new.packets_per_second,
            new.megabits_per_second,
            new.severity,
            new.action_taken,
            new.raw_payload,
            at(new.created_at.unwrap_or(now)),
            opt_at(new.event_time),
            json(&new.prefixes)?,
            new.delivery.map(|id| id.0),
            new.incident.map(|id| id.0),
            new.intent.map(|id| id.0),
            new.actor,
            new.is_test,
        ])?;
    Ok(EventId(tx.conn().last_insert_rowid()))
}

/// An alert that could not be tied to prefixes now can.
///
/// # Errors
/// Those of the database.
pub fn resolve(tx: &WriteTx<'_>, id: EventId, prefixes: &[Prefix]) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE attack_events SET prefixes = ?2, prefix = COALESCE(prefix, ?3) WHERE id = ?1")?
        .execute(params![
            id.0,
            json(prefixes)?,
            prefixes.first().map(ToString::to_string)
        ])?;
    Ok(())
}

/// A row as pages and command lines show it. Old rows of the predecessor have gaps and words of
/// their own: texts stay texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Event number.
    pub id: i64,
    /// START, END, ...
    pub event_type: String,
    /// Type of alert or origin of the act.
    pub alert_type: Option<String>,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Policy id.
    pub policy_id: Option<String>,
    /// Policy name.
    pub policy_name: Option<String>,
    /// Prefix.
    pub prefix: Option<String>,
    /// Target.
    pub target_ip: Option<String>,
    /// Target port.
    pub target_port: Option<i64>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Vector.
    pub attack_vector: Option<String>,
    /// Packets per second, as stored.
    pub packets_per_second: Option<String>,
    /// Megabits per second, as stored.
    pub megabits_per_second: Option<String>,
    /// Severity.
    pub severity: Option<String>,
    /// Action.
    pub action_taken: Option<String>,
    /// Recorded at; `None` for a row of the predecessor whose text is no instant.
    pub created_at: Option<Timestamp>,
    /// The sender's instant.
    pub event_time: Option<Timestamp>,
    /// Incident.
    pub incident_id: Option<i64>,
    /// Actor.
    pub actor: Option<String>,
    /// Self-test.
    pub is_test: bool,
    /// Payload as stored.
    #[serde(skip)]
    pub raw_payload: Option<String>,
}

/// For lists: without the payload, which may be a megabyte.
pub(crate) const LIST_COLUMNS: &str =
    "id, event_type, alert_type, attack_id, policy_id, policy_name, prefix, target_ip,
  CAST(target_port AS INTEGER) AS target_port, protocol, attack_vector, packets_per_second, megabits_per_second,
  severity, action_taken, created_at, event_time, incident_id, actor, is_test, NULL AS raw_payload";

const COLUMNS: &str = "id, event_type, alert_type, attack_id, policy_id, policy_name, prefix, target_ip,
  CAST(target_port AS INTEGER) AS target_port, protocol, attack_vector, packets_per_second, megabits_per_second,
  severity, action_taken, created_at, event_time, incident_id, actor, is_test, raw_payload";

/// A row of [`COLUMNS`] or [`LIST_COLUMNS`], whose order is the order of these fields.
pub(crate) fn read(row: &Row<'_>) -> Result<Event, DbError> {
    let mut cells = Cells::of(row);
    Ok(Event {
        id: cells.value()?,
        event_type: cells.text()?.unwrap_or_default(),
        alert_type: cells.text()?,
        attack_id: cells.text()?,
        policy_id: cells.text()?,
        policy_name: cells.text()?,
        prefix: cells.text()?,
        target_ip: cells.text()?,
        target_port: cells.value()?,
        protocol: cells.text()?,
        attack_vector: cells.text()?,
        packets_per_second: cells.text()?,
        megabits_per_second: cells.text()?,
        severity: cells.text()?,
        action_taken: cells.text()?,
        created_at: cells.instant()?,
        event_time: cells.instant()?,
        incident_id: cells.value()?,
        actor: cells.text()?,
        is_test: cells.value()?,
        raw_payload: cells.text()?,
    })
}

/// The newest rows before row `before` (exclusive; `None` from the end), newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, before: Option<EventId>, limit: u32) -> Result<Vec<Event>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_events WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
        ))?
        .query_and_then(params![before.map_or(i64::MAX, |id| id.0), limit], read)?
        .collect()
}

/// One row.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, id: EventId) -> Result<Option<Event>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM attack_events WHERE id = ?1"))?
        .query_and_then(params![id.0], read)?
        .next()
        .transpose()
}

/// All rows of an incident, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_incident(tx: &ReadTx<'_>, incident: IncidentId, limit: u32) -> Result<Vec<Event>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_events WHERE incident_id = ?1 ORDER BY id LIMIT ?2"
        ))?
        .query_and_then(params![incident.0, limit], read)?
        .collect()
}

/// Whether an auto-advertisement (or any other ADVERTISE) of `prefix` was recorded since.
///
/// # Errors
/// Those of the database.
pub fn advertised_since(tx: &ReadTx<'_>, prefix: Prefix, since: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM attack_events
               WHERE event_type = 'ADVERTISE' AND prefix = ?1 AND created_at >= ?2 AND is_test = 0)",
        )?
        .query_row(params![prefix.to_string(), at(since)], |row| row.get(0))?)
}

/// `alert_type` of a row that records a change of a prefix which no intent of ours explains. Its payload is
/// [`ForeignChange`].
pub const FOREIGN_CHANGE: &str = "foreign_change";

/// What is known of a change that no intent of ours explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignChange {
    /// The state that was read before.
    pub before: BgpState,
    /// The state that was read then.
    pub after: BgpState,
}

/// Changes since `since` that no intent of ours explains, newest first.
///
/// # Errors
/// Those of the database.
pub fn foreign_since(tx: &ReadTx<'_>, since: Timestamp, limit: u32) -> Result<Vec<(Event, ForeignChange)>, DbError> {
    let rows: Vec<Event> = tx
        .conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_events
             WHERE event_type = 'NOTE' AND alert_type = ?1 AND created_at >= ?2 ORDER BY created_at DESC, id DESC LIMIT ?3"
        ))?
        .query_and_then(params![FOREIGN_CHANGE, at(since), limit], read)?
        .collect::<Result<_, _>>()?;
    let change = |event: &Event| {
        let payload = event.raw_payload.as_deref().unwrap_or_default();
        serde_json::from_str(payload).map_err(|error| DbError::bad_row("attack_events", event.id, error))
    };
    rows.into_iter()
        .map(|event| change(&event).map(|change| (event, change)))
        .collect()
}

/// Totals for the statistics card; self-tests are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// START rows.
    pub attacks: u64,
    /// START rows of the last day.
    pub attacks_24h: u64,
}

/// Counts attacks.
///
/// # Errors
/// Those of the database.
pub fn totals(tx: &ReadTx<'_>, day_ago: Timestamp) -> Result<Totals, DbError> {
    let mut count = tx.conn().prepare_cached(
        "SELECT count(*) FROM attack_events WHERE event_type = 'START' AND created_at > ?1 AND is_test = 0",
    )?;
    Ok(Totals {
        attacks: tallies::get(tx, Tally::Attacks)?,
        attacks_24h: count.query_row([at(day_ago)], |row| row.get(0))?,
    })
}

/// The newest START, for messages.
///
/// # Errors
/// Those of the database.
pub fn last_start(tx: &ReadTx<'_>) -> Result<Option<Event>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM attack_events WHERE event_type = 'START' AND is_test = 0
             ORDER BY created_at DESC, id DESC LIMIT 1"
        ))?
        .query_and_then([], read)?
        .next()
        .transpose()
}

/// Ties a row to its incident.
///
/// # Errors
/// Those of the database.
pub fn set_incident(tx: &WriteTx<'_>, event: EventId, incident: IncidentId) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE attack_events SET incident_id = ?2 WHERE id = ?1")?
        .execute(params![event.0, incident.0])
        .optional()?;
    Ok(())
}
