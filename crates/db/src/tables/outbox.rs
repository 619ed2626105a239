//! The notification outbox (`notifications` and what hangs on it): facts in, leased by whoever
//! lives, attempts as rows. Rendering and sending are `notify`'s; this module only keeps truth.

use std::time::Duration;

use domain::ids::{EventId, IncidentId, NotificationId};
use domain::notice::{FACTS_VERSION, Facts, Mute, Notice, Plan, Priority, plan};
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::column::{at, json, opt_at, read_at, read_json, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

const TABLE: &str = "notifications";

/// Enters a notice; what is suppressed is kept with its reason.
///
/// # Errors
/// Those of the database.
pub fn enqueue(tx: &WriteTx<'_>, notice: &Notice, now: Timestamp) -> Result<NotificationId, DbError> {
    let (state, reason) = match plan(notice, &mutes(tx)?, now) {
        Plan::Send => ("queued", None),
        Plan::Suppress { reason } => ("suppressed", Some(reason)),
    };
    let is_test = match &notice.facts {
        Facts::Alert { alert, .. } => alert.is_test,
        Facts::SelfTest { .. } => true,
        _ => false,
    };
    tx.conn()
        .prepare_cached(
            "INSERT INTO notifications (created_at, kind, priority, facts_version, facts, event_id, incident_id,
               group_key, is_test, state, reason, not_before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1)",
        )?
        .execute(params![
            at(now),
            notice.facts.kind(),
            notice.facts.priority().rank(),
            FACTS_VERSION,
            json(&notice.facts)?,
            notice.event.map(|id| id.0),
            notice.incident.map(|id| id.0),
            notice.group,
            is_test,
            state,
            reason,
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

fn read(row: &Row<'_>) -> Result<Notification, DbError> {
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

/// How fast a chat may be written to. Source: Telegram's published limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Sends within a minute to one group.
    pub per_minute: u32,
    /// Shortest distance of two sends to one chat.
    pub gap: Duration,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// Send this; the lease and a started attempt are recorded.
    Send(Box<Notification>),
    /// Nothing is due.
    Idle,
    /// Something is due, but not before this instant (pace or a blocked channel).
    Wait(Timestamp),
}

/// Takes the most urgent due notification under a lease, if the chat's pace allows. The pace is
/// judged over the attempts of all processes, because all of them share one chat.
///
/// # Errors
/// Those of the database.
pub fn claim(
    tx: &WriteTx<'_>,
    owner: &str,
    chat_id: &str,
    pace: Pace,
    lease: Duration,
    now: Timestamp,
) -> Result<Claim, DbError> {
    let due: Option<i64> = tx
        .conn()
        .prepare_cached(
            "SELECT id FROM notifications
             WHERE state = 'queued' AND not_before <= ?1 AND (lease_until IS NULL OR lease_until <= ?1)
             ORDER BY priority, id LIMIT 1",
        )?
        .query_row([at(now)], |row| row.get(0))
        .optional()?;
    let Some(id) = due else {
        return Ok(Claim::Idle);
    };
    if let Some(until) = channel(tx, chat_id)?.blocked_until.filter(|until| *until > now) {
        return Ok(Claim::Wait(until));
    }
    if let Some(free_at) = pace_frees(tx, chat_id, pace, now)? {
        return Ok(Claim::Wait(free_at));
    }
    tx.conn()
        .prepare_cached(
            "UPDATE notifications SET lease_owner = ?2, lease_until = ?3, attempts = attempts + 1 WHERE id = ?1",
        )?
        .execute(params![id, owner, at(plus(now, lease))])?;
    tx.conn()
        .prepare_cached(
            "INSERT INTO notification_attempts (notification_id, at, owner, chat_id, outcome, words)
             VALUES (?1, ?2, ?3, ?4, 'started', '')",
        )?
        .execute(params![id, at(now), owner, chat_id])?;
    get(tx, NotificationId(id))?.map_or(Ok(Claim::Idle), |row| Ok(Claim::Send(Box::new(row))))
}

fn pace_frees(tx: &ReadTx<'_>, chat_id: &str, pace: Pace, now: Timestamp) -> Result<Option<Timestamp>, DbError> {
    let minute = Duration::from_secs(60);
    let starts: Vec<Timestamp> = tx
        .conn()
        .prepare_cached(
            "SELECT id, at FROM notification_attempts
             WHERE chat_id = ?1 AND at > ?2 AND outcome = 'started' ORDER BY at DESC LIMIT ?3",
        )?
        .query_and_then(params![chat_id, at(minus(now, minute)), pace.per_minute.max(1)], |row| {
            read_at(row, "notification_attempts", "at")
        })?
        .collect::<Result<_, DbError>>()?;
    let gap_ends = starts.first().map(|last| plus(*last, pace.gap));
    let minute_frees = (starts.len() >= pace.per_minute.max(1) as usize)
        .then(|| starts.last().map(|oldest| plus(*oldest, minute)))
        .flatten();
    // An attempt in our future (a clock stepped back) must not stop alarms for longer than a minute.
    Ok(gap_ends
        .max(minute_frees)
        .filter(|free_at| *free_at > now)
        .map(|free_at| free_at.min(plus(now, minute))))
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Sent; Telegram's message id.
    Sent {
        /// Id, when the answer held one.
        message_id: Option<i64>,
    },
    /// Try again then.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        words: &'a str,
    },
    /// Markup was refused: once more without.
    Plain {
        /// Telegram's words.
        words: &'a str,
    },
    /// Never.
    Failed {
        /// Why.
        words: &'a str,
    },
    /// Too old to be useful.
    Expired {
        /// Why.
        words: &'a str,
    },
}

/// Records an attempt's outcome under the caller's lease.
///
/// # Errors
/// [`DbError::Conflict`] when the lease was lost meanwhile (the row is then somebody else's).
pub fn record(
    tx: &WriteTx<'_>,
    id: NotificationId,
    owner: &str,
    chat_id: &str,
    outcome: &Outcome<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let (state, word, words, retry_at, message_id) = match outcome {
        Outcome::Sent { message_id } => ("sent", "sent", "", None, *message_id),
        Outcome::Retry { at, words } => ("queued", "retry", *words, Some(*at), None),
        Outcome::Plain { words } => ("queued", "plain", *words, Some(now), None),
        Outcome::Failed { words } => ("failed", "failed", *words, None, None),
        Outcome::Expired { words } => ("expired", "expired", *words, None, None),
    };
    let changed = tx
        .conn()
        .prepare_cached(
            "UPDATE notifications SET state = ?3, reason = CASE WHEN ?3 = 'sent' THEN NULL ELSE ?4 END,
               not_before = COALESCE(?5, not_before), plain = plain OR ?6, message_id = COALESCE(?7, message_id),
               chat_id = ?8, sent_at = CASE WHEN ?3 = 'sent' THEN ?9 ELSE NULL END,
               lease_owner = NULL, lease_until = NULL
             WHERE id = ?1 AND lease_owner = ?2 AND state = 'queued'",
        )?
        .execute(params![
            id.0,
            owner,
            state,
            words,
            opt_at(retry_at),
            word == "plain",
            message_id,
            chat_id,
            at(now),
        ])?;
    if changed == 0 {
        return Err(DbError::Conflict {
            what: format!("notification {id} is not leased by {owner} any more"),
        });
    }
    tx.conn()
        .prepare_cached(
            "INSERT INTO notification_attempts (notification_id, at, owner, chat_id, outcome, words, retry_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![id.0, at(now), owner, chat_id, word, words, opt_at(retry_at)])?;
    Ok(())
}

/// State of the channel to a chat, shared by all processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// Nothing is sent before.
    pub blocked_until: Option<Timestamp>,
    /// Why.
    pub blocked_because: Option<String>,
    /// Since when sends fail.
    pub failing_since: Option<Timestamp>,
    /// The id the chat moved to.
    pub migrated_chat_id: Option<String>,
    /// The topic is gone: send without it.
    pub without_thread: bool,
}

/// Reads a channel; a channel never written to is empty.
///
/// # Errors
/// Those of the database.
pub fn channel(tx: &ReadTx<'_>, chat_id: &str) -> Result<Channel, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT * FROM channels WHERE name = ?1")?
        .query_and_then([chat_id], |row| {
            Ok::<_, DbError>(Channel {
                blocked_until: read_opt_at(row, "channels", "blocked_until")?,
                blocked_because: row.get("blocked_because")?,
                failing_since: read_opt_at(row, "channels", "failing_since")?,
                migrated_chat_id: row.get("migrated_chat_id")?,
                without_thread: row.get("without_thread")?,
            })
        })?
        .next()
        .transpose()?
        .unwrap_or_default())
}

/// Writes a channel's state.
///
/// # Errors
/// Those of the database.
pub fn set_channel(tx: &WriteTx<'_>, chat_id: &str, channel: &Channel, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO channels (name, blocked_until, blocked_because, failing_since, migrated_chat_id,
               without_thread, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (name) DO UPDATE SET blocked_until = excluded.blocked_until,
               blocked_because = excluded.blocked_because, failing_since = excluded.failing_since,
               migrated_chat_id = excluded.migrated_chat_id, without_thread = excluded.without_thread,
               updated_at = excluded.updated_at",
        )?
        .execute(params![
            chat_id,
            opt_at(channel.blocked_until),
            channel.blocked_because,
            opt_at(channel.failing_since),
            channel.migrated_chat_id,
            channel.without_thread,
            at(now),
        ])?;
    Ok(())
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
    tx.conn()
        .prepare_cached("SELECT * FROM notifications WHERE ?1 IS NULL OR state = ?1 ORDER BY id DESC LIMIT ?2")?
        .query_and_then(params![state, limit], read)?
        .collect()
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

/// Puts a failed or expired notification back into the queue.
///
/// # Errors
/// [`DbError::NotFound`] when it is neither.
pub fn retry(tx: &WriteTx<'_>, id: NotificationId, now: Timestamp) -> Result<(), DbError> {
    let changed = tx
        .conn()
        .prepare_cached(
            "UPDATE notifications SET state = 'queued', reason = 'retried by command', not_before = ?2, created_at = ?2
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
    let mut count = tx.conn().prepare_cached("SELECT count(*) FROM notifications WHERE state = ?1")?;
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
