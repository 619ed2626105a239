//! What goes to channels beside the chat: one row per notification and channel, with attempts and lease of its own, so
//! that a channel that is down delays neither the chat nor another channel.
//!
//! What must hold: a channel takes each notification up exactly once, in the transaction that moves its cursor; a copy
//! is with one owner at a time; one that was never delivered keeps its reason.

use std::time::Duration;

use domain::ids::NotificationId;
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use super::claim::LONGEST_WAIT;
use super::{Notification, get, stuck};
use crate::error::DbError;
use crate::tables::column::{at, read_at, read_opt_at};
use crate::tables::leases;
use crate::tx::{ReadTx, WriteTx};

/// Notifications looked at in one transaction.
const BATCH: u32 = 200;

/// A copy as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// The notification.
    pub notification: NotificationId,
    /// `webhook` or `mail`.
    pub channel: String,
    /// `queued`, `sent`, `failed`, `expired`.
    pub state: String,
    /// Why it waits or was given up.
    pub reason: Option<String>,
    /// Tries so far.
    pub attempts: u32,
    /// Not before.
    pub not_before: Timestamp,
    /// When it was delivered.
    pub sent_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Copy, DbError> {
    const T: &str = "notification_copies";
    Ok(Copy {
        notification: NotificationId(row.get("notification_id")?),
        channel: row.get("channel")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        attempts: row.get("attempts")?,
        not_before: read_at(row, T, "not_before")?,
        sent_at: read_opt_at(row, T, "sent_at")?,
    })
}

/// The copies of a notification.
///
/// # Errors
/// Those of the database.
pub fn copies(tx: &ReadTx<'_>, id: NotificationId) -> Result<Vec<Copy>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM notification_copies WHERE notification_id = ?1 ORDER BY channel")?
        .query_and_then([id.0], read)?
        .collect()
}

fn cursor_name(channel: &str) -> String {
    format!("outbox.{channel}")
}

fn cursor(tx: &ReadTx<'_>, channel: &str) -> Result<Option<i64>, DbError> {
    Ok(leases::cursor(tx, &cursor_name(channel))?.and_then(|text| text.parse().ok()))
}

/// Whether [`take_up`] would find anything new.
///
/// # Errors
/// Those of the database.
pub fn has_new(tx: &ReadTx<'_>, channel: &str) -> Result<bool, DbError> {
    let Some(cursor) = cursor(tx, channel)? else {
        return Ok(true);
    };
    Ok(tx
        .conn()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM notifications WHERE id > ?1)")?
        .query_row([cursor], |row| row.get(0))?)
}

/// Makes copies of new notifications that `wanted` says yes to; what people muted is not copied, nor what is older than
/// `max_age`: a channel may have been switched off for months. One that was never there before begins with what comes
/// after this. Returns how many were made.
///
/// # Errors
/// Those of the database.
pub fn take_up(
    tx: &WriteTx<'_>,
    channel: &str,
    wanted: impl Fn(&Notification) -> bool,
    max_age: Duration,
    now: Timestamp,
) -> Result<usize, DbError> {
    let newest: i64 = tx
        .conn()
        .prepare_cached("SELECT COALESCE(max(id), 0) FROM notifications")?
        .query_row([], |row| row.get(0))?;
    let Some(from) = cursor(tx, channel)? else {
        leases::set_cursor(tx, &cursor_name(channel), &newest.to_string(), now)?;
        return Ok(0);
    };
    let ids: Vec<i64> = tx
        .conn()
        .prepare_cached("SELECT id FROM notifications WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_and_then(params![from, BATCH], |row| row.get(0))?
        .collect::<Result<_, rusqlite::Error>>()?;
    let mut made = 0;
    for id in &ids {
        let row = match get(tx, NotificationId(*id)) {
            Err(DbError::BadRow { .. }) => None,
            other => other?,
        };
        let Some(row) = row else { continue };
        let kept_back = row.state == "suppressed" && row.group.as_deref() != Some(stuck::GROUP);
        if kept_back || row.created_at < minus(now, max_age) || !wanted(&row) {
            continue;
        }
        made += tx
            .conn()
            .prepare_cached(
                "INSERT OR IGNORE INTO notification_copies (notification_id, channel, state, entered_at, not_before)
                 VALUES (?1, ?2, 'queued', ?3, ?3)",
            )?
            .execute(params![id, channel, at(now)])?;
    }
    let reached = ids.last().copied().unwrap_or(newest.min(from));
    leases::set_cursor(tx, &cursor_name(channel), &reached.to_string(), now)?;
    Ok(made)
}

/// Due copies `c` of notifications `n`: `?1` channel, `?2` now, `?3` too far ahead to be true, `?4` owner, `?5` whether only
/// critical ones.
const DUE: &str = "FROM notification_copies c JOIN notifications n ON n.id = c.notification_id
  WHERE c.channel = ?1 AND c.state = 'queued' AND (c.not_before <= ?2 OR c.not_before > ?3)
    AND (c.lease_until IS NULL OR c.lease_until <= ?2 OR c.lease_until > ?3 OR c.lease_owner = ?4)
    AND (NOT ?5 OR n.priority = 0)";

/// Whether a copy is due; `critical` leaves all others out.
///
/// # Errors
/// Those of the database.
pub fn has_due_copy(
    tx: &ReadTx<'_>,
    channel: &str,
    owner: &str,
    critical: bool,
    now: Timestamp,
) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 {DUE})"))?
        .query_row(
            params![channel, at(now), at(plus(now, LONGEST_WAIT)), owner, critical],
            |row| row.get(0),
        )?)
}

/// Under which terms copies are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTerms {
    /// The channel.
    pub channel: String,
    /// Names this run of this process.
    pub owner: String,
    /// How long a copy is kept from others.
    pub lease: Duration,
    /// Most taken at once.
    pub most: u32,
    /// Only critical ones.
    pub critical: bool,
}

/// Takes due copies under a lease, oldest first; a critical one is taken alone and first.
///
/// # Errors
/// Those of the database.
pub fn claim_copies(tx: &WriteTx<'_>, terms: &CopyTerms, now: Timestamp) -> Result<Vec<Notification>, DbError> {
    let CopyTerms {
        channel, owner, lease, ..
    } = terms;
    let due: Vec<(i64, i64)> = tx
        .conn()
        .prepare_cached(&format!(
            "SELECT c.notification_id, n.priority {DUE} ORDER BY n.priority > 0, c.notification_id LIMIT ?6"
        ))?
        .query_and_then(
            params![
                channel,
                at(now),
                at(plus(now, LONGEST_WAIT)),
                owner,
                terms.critical,
                terms.most.max(1)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, rusqlite::Error>>()?;
    let alone = due.first().is_some_and(|(_, priority)| *priority == 0);
    let mut rows = Vec::new();
    for (id, _) in due.into_iter().take(if alone { 1 } else { usize::MAX }) {
        match get(tx, NotificationId(id)) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(DbError::BadRow { what, .. }) => {
                end(tx, channel, id, "failed", &format!("the row cannot be read: {what}"))?;
                continue;
            }
            Err(error) => return Err(error),
        }
        tx.conn()
            .prepare_cached(
                "UPDATE notification_copies SET lease_owner = ?3, lease_until = ?4, attempts = attempts + 1
                 WHERE notification_id = ?1 AND channel = ?2",
            )?
            .execute(params![id, channel, owner, at(plus(now, *lease))])?;
    }
    Ok(rows)
}

fn end(tx: &WriteTx<'_>, channel: &str, id: i64, state: &str, reason: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE notification_copies SET state = ?3, reason = ?4, lease_owner = NULL, lease_until = NULL
             WHERE notification_id = ?1 AND channel = ?2",
        )?
        .execute(params![id, channel, state, reason])?;
    Ok(())
}

/// What became of copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyOutcome {
    /// Delivered.
    Sent,
    /// Try again then.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        words: String,
    },
    /// Never.
    Failed {
        /// Why.
        words: String,
    },
}

/// Records what became of copies under the caller's lease.
///
/// # Errors
/// Those of the database.
pub fn record_copies(
    tx: &WriteTx<'_>,
    channel: &str,
    owner: &str,
    ids: &[NotificationId],
    outcome: &CopyOutcome,
    now: Timestamp,
) -> Result<(), DbError> {
    let (state, words, not_before, sent_at) = match outcome {
        CopyOutcome::Sent => ("sent", None, None, Some(at(now))),
        CopyOutcome::Retry { at: when, words } => ("queued", Some(words), Some(at(*when)), None),
        CopyOutcome::Failed { words } => ("failed", Some(words), None, None),
    };
    for id in ids {
        tx.conn()
            .prepare_cached(
                "UPDATE notification_copies SET state = ?4, reason = ?5, not_before = COALESCE(?6, not_before),
                   sent_at = ?7, lease_owner = NULL, lease_until = NULL
                 WHERE notification_id = ?1 AND channel = ?2 AND lease_owner = ?3 AND state = 'queued'",
            )?
            .execute(params![id.0, channel, owner, state, words, not_before, sent_at])?;
    }
    Ok(())
}

/// Ends copies that could not be delivered within `max_age`. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn expire_copies(tx: &WriteTx<'_>, channel: &str, max_age: Duration, now: Timestamp) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE notification_copies SET state = 'expired', reason = COALESCE(reason, 'not delivered in time')
             WHERE channel = ?1 AND state = 'queued' AND entered_at < ?2
               AND (lease_until IS NULL OR lease_until <= ?3)",
        )?
        .execute(params![channel, at(minus(now, max_age)), at(now)])?)
}

/// When the oldest waiting copy of a channel was entered.
///
/// # Errors
/// Those of the database.
pub fn oldest_copy(tx: &ReadTx<'_>, channel: &str) -> Result<Option<Timestamp>, DbError> {
    tx
        .conn()
        .prepare_cached("SELECT entered_at FROM notification_copies WHERE channel = ?1 AND state = 'queued' ORDER BY notification_id LIMIT 1")?
        .query_and_then([channel], |row| read_at(row, "notification_copies", "entered_at"))?
        .next()
        .transpose()
}

/// Puts copies that were given up back into the queue. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn retry_copies(tx: &WriteTx<'_>, id: NotificationId, now: Timestamp) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE notification_copies SET state = 'queued', reason = 'retried by command', entered_at = ?2, not_before = ?2
             WHERE notification_id = ?1 AND state IN ('failed', 'expired')",
        )?
        .execute(params![id.0, at(now)])?)
}
