//! The notification outbox (`notifications` and what hangs on it): facts in, leased by whoever
//! lives, attempts as rows. Rendering and sending are `notify`'s; this module only keeps truth.
//!
//! Here: entering, reading, counting, muting. `claim` takes rows under a lease and records what became of them,
//! `turn` and `pace` say
//! which and when, `merge` what goes together, `channel` keeps what all processes must know about a chat, `expiry` ends
//! what nobody could send in time.
//!
//! Statements that choose from the queue name their index. Left to itself, SQLite takes the one by state and time, which
//! it believes to be narrower, and reads and sorts the whole queue for one row.

mod channel;
mod claim;
mod copies;
mod expiry;
mod merge;
mod pace;
mod stuck;
#[cfg(test)]
mod tests;
mod turn;

use domain::ids::{EventId, IncidentId, NotificationId};
use domain::notice::{FACTS_VERSION, Facts, Mute, Notice, Plan, Priority, plan};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

pub use channel::{Channel, channel, set_channel};
pub use claim::{Claim, LONGEST_WAIT, Look, Outcome, Slot, Step, Terms, claim, look, note, record, take_slot};
pub use copies::{
    Copy, CopyOutcome, CopyTerms, claim_copies, copies, expire_copies, has_due_copy, has_new, oldest_copy,
    record_copies, retry_copies, take_up,
};
pub use expiry::{Summary, expire, has_expired, has_older, summarise_expired, suppress_unsendable};
pub use merge::{EDIT_WITHIN, Grouping, Told, told};
pub use pace::Pace;
pub use stuck::{Stuck, announce_stuck, announce_unstuck, stuck, stuck_since};

use super::column::{at, json, read_at, read_json, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

const TABLE: &str = "notifications";

/// Group of answers to questions asked in the chat: somebody waits for them, and they are never merged.
pub const ANSWER_GROUP: &str = "chat.answer";

/// Enters a notice; what is suppressed is kept with its reason.
///
/// # Errors
/// Those of the database.
pub fn enqueue(tx: &WriteTx<'_>, notice: &Notice, now: Timestamp) -> Result<NotificationId, DbError> {
    // Somebody waits for an answer, also to having muted its kind.
    let mutes = match notice.group.as_deref() {
        Some(ANSWER_GROUP) => Vec::new(),
        _ => mutes(tx)?,
    };
    let (state, reason) = match plan(notice, &mutes, now) {
        Plan::Send => ("queued", None),
        Plan::Suppress { reason } => ("suppressed", Some(reason)),
    };
    let priority = notice.facts.priority();
    let is_test = match &notice.facts {
        Facts::Alert { alert, .. } => alert.is_test,
        Facts::SelfTest { .. } => true,
        _ => false,
    };
    tx.conn()
        .prepare_cached(
            "INSERT INTO notifications (created_at, kind, priority, facts_version, facts, event_id, incident_id,
               group_key, is_test, state, reason, not_before, turn)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12)",
        )?
        .execute(params![
            at(now),
            notice.facts.kind(),
            priority.rank(),
            FACTS_VERSION,
            json(&notice.facts)?,
            notice.event.map(|id| id.0),
            notice.incident.map(|id| id.0),
            notice.group,
            is_test,
            state,
            reason,
            turn::turn_of(tx, priority, notice, now)?,
        ])?;
    Ok(NotificationId(tx.conn().last_insert_rowid()))
}

/// A notification as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// Row number.
    pub id: NotificationId,
    /// When it was entered.
    pub created_at: Timestamp,
    /// Stable name of the kind.
    pub kind: String,
    /// Urgency.
    pub priority: Priority,
    /// What it says; `None` when this version cannot read the shape (it is then shown by kind).
    pub facts: Option<Facts>,
    /// Event it tells of.
    pub event: Option<EventId>,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Messages with the same key may be shown as one.
    pub group: Option<String>,
    /// Self-test.
    pub is_test: bool,
    /// `queued`, `sent`, `suppressed`, `failed`, `expired`.
    pub state: String,
    /// Why it is suppressed, failed or expired.
    pub reason: Option<String>,
    /// Not before.
    pub not_before: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// To be sent without markup.
    pub plain: bool,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Chat it went to.
    pub chat_id: Option<String>,
    /// Telegram's message id.
    pub message_id: Option<i64>,
}

pub(crate) fn read(row: &Row<'_>) -> Result<Notification, DbError> {
    let id: i64 = row.get("id")?;
    let rank: i64 = row.get("priority")?;
    Ok(Notification {
        id: NotificationId(id),
        created_at: read_at(row, TABLE, "created_at")?,
        kind: row.get("kind")?,
        priority: Priority::from_rank(rank)
            .ok_or_else(|| DbError::bad_row(TABLE, id, format!("priority {rank} is unknown")))?,
        facts: read_json(row, TABLE, "facts").ok(),
        event: row.get::<_, Option<i64>>("event_id")?.map(EventId),
        incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
        group: row.get("group_key")?,
        is_test: row.get("is_test")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        not_before: read_at(row, TABLE, "not_before")?,
        attempts: row.get("attempts")?,
        plain: row.get("plain")?,
        sent_at: read_opt_at(row, TABLE, "sent_at")?,
        chat_id: row.get("chat_id")?,
        message_id: row.get("message_id")?,
    })
}

/// One notification.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, id: NotificationId) -> Result<Option<Notification>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM notifications WHERE id = ?1")?
        .query_and_then([id.0], read)?
        .next()
        .transpose()
}

/// The newest notifications, optionally of one state, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, state: Option<&str>, limit: u32) -> Result<Vec<Notification>, DbError> {
    // Two statements: one for both would read the whole table where a state does not occur.
    match state {
        Some(state) => tx
            .conn()
            .prepare_cached("SELECT * FROM notifications WHERE state = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2")?
            .query_and_then(params![state, limit], read)?
            .collect(),
        None => tx
            .conn()
            .prepare_cached("SELECT * FROM notifications ORDER BY id DESC LIMIT ?1")?
            .query_and_then(params![limit], read)?
            .collect(),
    }
}

/// The notifications of an incident, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_incident(tx: &ReadTx<'_>, incident: IncidentId, limit: u32) -> Result<Vec<Notification>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM notifications WHERE incident_id = ?1 ORDER BY id LIMIT ?2")?
        .query_and_then(params![incident.0, limit], read)?
        .collect()
}

/// The newest notifications of the same kind that were entered before this one, newest first.
///
/// # Errors
/// Those of the database.
pub fn earlier_of_kind(tx: &ReadTx<'_>, row: &Notification, limit: u32) -> Result<Vec<Notification>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM notifications WHERE id < ?1 AND kind = ?2 ORDER BY id DESC LIMIT ?3")?
        .query_and_then(params![row.id.0, row.kind, limit], read)?
        .collect()
}

/// The first message of an incident that is in this chat: later ones answer it.
///
/// # Errors
/// Those of the database.
pub fn first_message(tx: &ReadTx<'_>, incident: IncidentId, chat_id: &str) -> Result<Option<i64>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT message_id FROM notifications
             WHERE incident_id = ?1 AND state = 'sent' AND chat_id = ?2 AND message_id IS NOT NULL ORDER BY id LIMIT 1",
        )?
        .query_row(params![incident.0, chat_id], |row| row.get(0))
        .optional()?)
}

/// One try to send, or a step of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// Which process.
    pub owner: String,
    /// Chat it was meant for; empty where none was involved.
    pub chat_id: String,
    /// `started`, `merged`, `sent`, `retry`, `later`, `plain`, `part`, `moved`, `failed`, `expired`.
    pub outcome: String,
    /// What was said about it.
    pub words: String,
    /// When it was to be tried again.
    pub retry_at: Option<Timestamp>,
}

/// What was tried to send a notification, oldest first.
///
/// # Errors
/// Those of the database.
pub fn attempts(tx: &ReadTx<'_>, id: NotificationId, limit: u32) -> Result<Vec<Attempt>, DbError> {
    const T: &str = "notification_attempts";
    tx.conn()
        .prepare_cached(
            "SELECT id, at, owner, chat_id, outcome, words, retry_at FROM notification_attempts
             WHERE notification_id = ?1 ORDER BY id LIMIT ?2",
        )?
        .query_and_then(params![id.0, limit], |row| {
            Ok(Attempt {
                at: read_at(row, T, "at")?,
                owner: row.get("owner")?,
                chat_id: row.get("chat_id")?,
                outcome: row.get("outcome")?,
                words: row.get("words")?,
                retry_at: read_opt_at(row, T, "retry_at")?,
            })
        })?
        .collect()
}

/// Puts a failed or expired notification back into the queue.
///
/// # Errors
/// [`DbError::NotFound`] when it is neither.
pub fn retry(tx: &WriteTx<'_>, id: NotificationId, now: Timestamp) -> Result<(), DbError> {
    let changed = tx
        .conn()
        .prepare_cached(
            "UPDATE notifications SET state = 'queued', reason = 'retried by command', not_before = ?2, created_at = ?2,
               lease_owner = NULL, lease_until = NULL
             WHERE id = ?1 AND state IN ('failed', 'expired', 'suppressed')",
        )?
        .execute(params![id.0, at(now)])?;
    if changed == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// The outbox in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Waiting.
    pub queued: u64,
    /// Entered at, of the oldest waiting.
    pub oldest_queued_at: Option<Timestamp>,
    /// Given up.
    pub failed: u64,
    /// Too old.
    pub expired: u64,
}

/// Counts what waits and what was lost.
///
/// # Errors
/// Those of the database.
pub fn depth(tx: &ReadTx<'_>) -> Result<Depth, DbError> {
    let (queued, oldest): (u64, Option<String>) = tx
        .conn()
        .prepare_cached("SELECT count(*), min(created_at) FROM notifications WHERE state = 'queued'")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut count = tx
        .conn()
        .prepare_cached("SELECT count(*) FROM notifications WHERE state = ?1")?;
    Ok(Depth {
        queued,
        oldest_queued_at: oldest.as_deref().and_then(domain::time::from_text),
        failed: count.query_row(["failed"], |row| row.get(0))?,
        expired: count.query_row(["expired"], |row| row.get(0))?,
    })
}

/// Kinds silenced by people.
///
/// # Errors
/// Those of the database.
pub fn mutes(tx: &ReadTx<'_>) -> Result<Vec<Mute>, DbError> {
    tx.conn()
        .prepare_cached("SELECT kind, actor, until FROM mutes LIMIT 1000")?
        .query_and_then([], |row| {
            Ok(Mute {
                kind: row.get("kind")?,
                actor: row.get("actor")?,
                until: read_at(row, "mutes", "until")?,
            })
        })?
        .collect()
}

/// Answers to questions that wait to be sent.
///
/// # Errors
/// Those of the database.
pub fn waiting_answers(tx: &ReadTx<'_>) -> Result<u32, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT count(*) FROM notifications WHERE state = 'queued' AND group_key = ?1")?
        .query_row([ANSWER_GROUP], |row| row.get(0))?)
}

/// Silences a kind for a while.
///
/// # Errors
/// Those of the database.
pub fn mute(tx: &WriteTx<'_>, mute: &Mute, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO mutes (kind, actor, until, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind) DO UPDATE SET actor = excluded.actor, until = excluded.until",
        )?
        .execute(params![mute.kind, mute.actor, at(mute.until), at(now)])?;
    Ok(())
}
