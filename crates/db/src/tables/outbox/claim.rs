//! Taking rows out of the queue under a lease, at a pace that all processes share, and recording what became of them.
//!
//! What must hold: a row is with one owner at a time; a request to the chat is made only after its `started` attempt is
//! committed, so the pace counts requests of all processes; a row that cannot be read is set aside instead of standing in
//! front of all others; a clock that was stepped back delays nothing for longer than [`LONGEST_WAIT`].

use std::time::Duration;

use domain::ids::NotificationId;
use domain::notice::Priority;
use domain::time::plus;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::merge::{Grouping, Together, together};
use super::pace::{Pace, held_back};
use super::turn::{CLASSES, CRITICAL};
use super::{Notification, get};
use crate::error::DbError;
use crate::tables::column::{at, opt_at};
use crate::tx::{ReadTx, WriteTx};

/// Nothing is ever put off for longer than this at once. An instant further ahead was written by a clock that has been
/// stepped back since, and is taken as past.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// How soon to look again at what somebody else's work keeps back.
const HELD_ELSEWHERE: Duration = Duration::from_millis(500);

/// Rows that cannot be read are set aside at most this many at a time.
const MOST_UNREADABLE: usize = 100;

/// Under which terms a process takes rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Names this run of this process; no other run may have the same name.
    pub owner: String,
    /// The chat as configured.
    pub chat_id: String,
    /// The chat's pace.
    pub pace: Pace,
    /// How long a row is kept from others.
    pub lease: Duration,
    /// What is merged.
    pub grouping: Grouping,
}

/// What waits for this chat, without taking anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Something is due and may be sent now.
    Due(NotificationId),
    /// Something is due, but not before this instant (pace or a blocked channel).
    Wait(Timestamp),
    /// Nothing is due.
    Idle {
        /// When something will be: a retry's time or the end of somebody's lease.
        next: Option<Timestamp>,
    },
}

/// Looks for due rows, all of them or only those at least as urgent as `only`. Writes nothing.
///
/// # Errors
/// Those of the database.
pub fn look(tx: &ReadTx<'_>, terms: &Terms, only: Option<Priority>, now: Timestamp) -> Result<Look, DbError> {
    let most_rank = only.map_or(i64::MAX, Priority::rank);
    let mut wait: Option<Timestamp> = None;
    // While critical notices gather for one message, the chat may have room for others. In every other case what keeps a
    // class back keeps back those behind it too.
    for (first_turn, last_turn) in CLASSES {
        let due = tx
            .conn()
            .prepare_cached(&format!(
                "SELECT id, turn FROM notifications AS n INDEXED BY notifications_due
                 WHERE {DUE} AND {FREE} AND turn >= ?5 AND turn <= ?6 ORDER BY turn, id LIMIT 1"
            ))?
            .query_row(
                params![
                    at(now),
                    most_rank,
                    at(plus(now, LONGEST_WAIT)),
                    terms.owner,
                    first_turn,
                    last_turn
                ],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        let Some((id, turn)) = due else { continue };
        match held_back(tx, terms, turn, now)? {
            Some(until) => wait = Some(wait.map_or(until, |known| known.min(until))),
            None => return Ok(Look::Due(NotificationId(id))),
        }
    }
    if let Some(until) = wait {
        return Ok(Look::Wait(until));
    }
    // What is due and not free becomes so with a commit of its holder.
    let soon = plus(now, HELD_ELSEWHERE);
    Ok(Look::Idle {
        next: next_due(tx, most_rank)?.map(|next| next.max(soon)),
    })
}

/// Condition for a row that may be sent now: `?1` now, `?2` least urgent rank, `?3` too far ahead to be true, `?4` owner.
/// A row never tried has no reason to wait and is due at once, whatever clock entered it. A lease of our own is left over from an answer that
/// was lost, because a process works on one row at a time.
pub(super) const DUE: &str = "state = 'queued' AND priority <= ?2
  AND (reason IS NULL OR not_before <= ?1 OR not_before > ?3)
  AND (lease_until IS NULL OR lease_until <= ?1 OR lease_until > ?3 OR lease_owner = ?4)";

/// Condition for a row whose incident is in nobody else's hands: one that follows others may be written into the same
/// message, and each edit replaces the whole text.
const FREE: &str = "(turn < 4 OR incident_id IS NULL OR NOT EXISTS (SELECT 1 FROM notifications h
  WHERE h.lease_owner IS NOT NULL AND h.incident_id = n.incident_id AND h.state = 'queued' AND h.turn > 0
    AND h.lease_until > ?1 AND h.lease_until <= ?3 AND h.lease_owner <> ?4))";

fn next_due(tx: &ReadTx<'_>, most_rank: i64) -> Result<Option<Timestamp>, DbError> {
    // Critical ones are at the front of the index, and behind them may be a long queue.
    let most_turn = if most_rank <= Priority::Critical.rank() {
        CRITICAL
    } else {
        i64::MAX
    };
    let text: Option<String> = tx
        .conn()
        .prepare_cached(
            "SELECT min(max(not_before, COALESCE(lease_until, not_before))) FROM notifications INDEXED BY notifications_due
             WHERE state = 'queued' AND priority <= ?1 AND turn <= ?2",
        )?
        .query_row([most_rank, most_turn], |row| row.get(0))?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// Send this; the lease and a started attempt are recorded.
    Send(Box<Notification>),
    /// Send these as one message, most urgent first; the leases and one started attempt are recorded.
    Digest(Vec<Notification>),
    /// Write these into a message of their incident that is in the chat already; recorded as a digest is.
    Edit {
        /// Oldest first within their urgency.
        rows: Vec<Notification>,
        /// The message.
        message_id: i64,
    },
    /// Something is due, but not before this instant (pace or a blocked channel).
    Wait(Timestamp),
    /// Nothing is due; when something will be.
    Idle {
        /// See [`Look::Idle`].
        next: Option<Timestamp>,
    },
}

/// Takes the most urgent due notification under a lease, if the chat's pace allows, and with it what is to be merged.
/// The pace is judged over the attempts of all processes, because all of them share one chat.
///
/// # Errors
/// Those of the database.
pub fn claim(tx: &WriteTx<'_>, terms: &Terms, only: Option<Priority>, now: Timestamp) -> Result<Claim, DbError> {
    for _ in 0..MOST_UNREADABLE {
        let head = match look(tx, terms, only, now)? {
            Look::Due(id) => id,
            Look::Wait(until) => return Ok(Claim::Wait(until)),
            Look::Idle { next } => return Ok(Claim::Idle { next }),
        };
        let Some(head) = readable(tx, head)? else { continue };
        let (ids, message_id) = match together(tx, terms, &head, turn_of_row(tx, head.id)?, now)? {
            Together::Alone => (Vec::new(), None),
            Together::Digest(ids) => (ids, None),
            Together::Edit { ids, message_id } => (ids, Some(message_id)),
        };
        let mut rows = Vec::new();
        for id in ids {
            rows.extend(readable(tx, id)?);
        }
        if rows.is_empty() || (rows.len() < 2 && message_id.is_none()) {
            rows = vec![head];
        }
        let mut outcome = "started";
        for row in &mut rows {
            lease(tx, terms, row.id, now)?;
            row.attempts = row.attempts.saturating_add(1);
            log(tx, terms, row.id, outcome, "", None, now)?;
            // One request is made for all of them, so one start counts.
            outcome = "merged";
        }
        if let Some(message_id) = message_id {
            return Ok(Claim::Edit { rows, message_id });
        }
        return Ok(match <[Notification; 1]>::try_from(rows) {
            Ok([row]) => Claim::Send(Box::new(row)),
            Err(rows) => Claim::Digest(rows),
        });
    }
    Ok(Claim::Idle { next: None })
}

/// The row, or `None` after it was set aside because it cannot be read.
fn readable(tx: &WriteTx<'_>, id: NotificationId) -> Result<Option<Notification>, DbError> {
    match get(tx, id) {
        Err(DbError::BadRow { what, .. }) => {
            tx.conn()
                .prepare_cached("UPDATE notifications SET state = 'failed', reason = ?2 WHERE id = ?1")?
                .execute(params![id.0, format!("the row cannot be read: {what}")])?;
            Ok(None)
        }
        other => other,
    }
}

fn turn_of_row(tx: &ReadTx<'_>, id: NotificationId) -> Result<i64, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT turn FROM notifications WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?)
}

fn lease(tx: &WriteTx<'_>, terms: &Terms, id: NotificationId, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE notifications SET lease_owner = ?2, lease_until = ?3, attempts = attempts + 1 WHERE id = ?1",
        )?
        .execute(params![id.0, terms.owner, at(plus(now, terms.lease))])?;
    Ok(())
}

fn log(
    tx: &WriteTx<'_>,
    terms: &Terms,
    id: NotificationId,
    outcome: &str,
    words: &str,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO notification_attempts (notification_id, at, owner, chat_id, outcome, words, retry_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id.0,
            at(now),
            terms.owner,
            terms.chat_id,
            outcome,
            words,
            opt_at(retry_at)
        ])?;
    Ok(())
}

/// Whether a further request for rows in hand may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Yes; a started attempt is recorded and the lease runs anew.
    Go,
    /// Not before this instant; the lease runs anew.
    Wait(Timestamp),
    /// A critical notice is due and goes first; the lease runs anew.
    Yield,
    /// The rows are somebody else's by now.
    Lost,
}

/// Asks for one more request on behalf of rows already claimed: the next part of a long message, or the same message
/// in another form. Critical notices that came meanwhile go first.
///
/// # Errors
/// Those of the database.
pub fn take_slot(
    tx: &WriteTx<'_>,
    terms: &Terms,
    ids: &[NotificationId],
    priority: Priority,
    now: Timestamp,
) -> Result<Slot, DbError> {
    let mut kept = None;
    for id in ids {
        let renewed = tx
            .conn()
            .prepare_cached(
                "UPDATE notifications SET lease_until = ?3 WHERE id = ?1 AND lease_owner = ?2 AND state = 'queued'",
            )?
            .execute(params![id.0, terms.owner, at(plus(now, terms.lease))])?;
        if renewed > 0 {
            kept = kept.or(Some(*id));
        }
    }
    let Some(first) = kept else {
        return Ok(Slot::Lost);
    };
    // One that may not go yet keeps nobody back; when it may, this is asked again.
    if priority != Priority::Critical && matches!(look(tx, terms, Some(Priority::Critical), now)?, Look::Due(_)) {
        return Ok(Slot::Yield);
    }
    if let Some(until) = held_back(tx, terms, turn_of_row(tx, first)?, now)? {
        return Ok(Slot::Wait(until));
    }
    log(tx, terms, first, "started", "", None, now)?;
    Ok(Slot::Go)
}

/// What happened to rows that stay in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Markup was refused: from now on without.
    Plain {
        /// Telegram's words.
        words: String,
    },
    /// A part of a long message arrived.
    Part {
        /// `1 of 3`, with the message's id.
        words: String,
    },
    /// The message that was to be edited cannot be: a new one is sent, and no edit of the old one is tried again.
    Uneditable {
        /// The message.
        message_id: i64,
        /// What was said.
        words: String,
    },
    /// The chat moved, its topic is gone, or it asked to wait between two parts.
    Moved {
        /// What was said.
        words: String,
    },
}

/// Records a step without giving the rows back.
///
/// # Errors
/// Those of the database.
pub fn note(
    tx: &WriteTx<'_>,
    terms: &Terms,
    ids: &[NotificationId],
    step: &Step,
    now: Timestamp,
) -> Result<(), DbError> {
    let (word, words) = match step {
        Step::Plain { words } => ("plain", words),
        Step::Part { words } => ("part", words),
        Step::Moved { words } => ("moved", words),
        Step::Uneditable { message_id, words } => {
            close_message(tx, terms, *message_id, words, now)?;
            ("moved", words)
        }
    };
    for id in ids {
        if matches!(step, Step::Plain { .. }) {
            tx.conn()
                .prepare_cached("UPDATE notifications SET plain = 1 WHERE id = ?1 AND lease_owner = ?2")?
                .execute(params![id.0, terms.owner])?;
        }
        log(tx, terms, *id, word, words, None, now)?;
    }
    Ok(())
}

/// Remembers at the notice that the message began with that it is not edited any more.
fn close_message(tx: &WriteTx<'_>, terms: &Terms, message_id: i64, words: &str, now: Timestamp) -> Result<(), DbError> {
    let first: Option<i64> = tx
        .conn()
        .prepare_cached("SELECT min(id) FROM notifications WHERE chat_id = ?1 AND message_id = ?2")?
        .query_row(params![terms.chat_id, message_id], |row| row.get(0))?;
    match first {
        Some(id) => log(tx, terms, NotificationId(id), "uneditable", words, None, now),
        None => Ok(()),
    }
}

/// What became of rows that were in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Sent.
    Sent {
        /// Telegram's message id, when the answer held one; of the first part of a long message.
        message_id: Option<i64>,
        /// Such as `in a digest of 12`; may be empty.
        words: String,
    },
    /// Try again then; counts as an attempt.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        words: String,
    },
    /// Try again then; does not count, because nothing was wrong with the message.
    Later {
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

/// Records the outcome under the caller's lease and gives the rows back.
///
/// # Errors
/// [`DbError::Conflict`] when the lease of all of them was lost meanwhile (they are then somebody else's).
pub fn record(
    tx: &WriteTx<'_>,
    terms: &Terms,
    ids: &[NotificationId],
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), DbError> {
    let (state, word, words, retry_at, message_id) = match outcome {
        Outcome::Sent { message_id, words } => ("sent", "sent", words, None, *message_id),
        Outcome::Retry { at, words } => ("queued", "retry", words, Some(*at), None),
        Outcome::Later { at, words } => ("queued", "later", words, Some(*at), None),
        Outcome::Failed { words } => ("failed", "failed", words, None, None),
    };
    let mut kept = false;
    for id in ids {
        let changed = tx
            .conn()
            .prepare_cached(
                "UPDATE notifications SET state = ?3, reason = CASE WHEN ?3 = 'sent' THEN NULL ELSE ?4 END,
                   not_before = COALESCE(?5, not_before), message_id = COALESCE(?6, message_id),
                   attempts = CASE WHEN ?7 = 'later' THEN max(attempts - 1, 0) ELSE attempts END,
                   chat_id = ?8, sent_at = CASE WHEN ?3 = 'sent' THEN ?9 ELSE NULL END,
                   lease_owner = NULL, lease_until = NULL
                 WHERE id = ?1 AND lease_owner = ?2 AND state = 'queued'",
            )?
            .execute(params![
                id.0,
                terms.owner,
                state,
                words,
                opt_at(retry_at),
                message_id,
                word,
                terms.chat_id,
                at(now),
            ])?;
        if changed > 0 {
            kept = true;
            log(tx, terms, *id, word, words, retry_at, now)?;
        }
    }
    if kept {
        Ok(())
    } else {
        Err(DbError::Conflict {
            what: format!("the notifications are not leased by {} any more", terms.owner),
        })
    }
}
