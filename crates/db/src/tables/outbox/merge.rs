//! What is sent together: a storm's followers as one message, or written into the message their incident has already.
//!
//! What must hold: acts on BGP and the first notice of an incident go alone (first notices are merged with each other
//! only when a storm of incidents begins); critical notices are never among others, and where the chat has no room for
//! one message each, each has its own line in a common one; a message that was edited holds notices of one incident only;
//! the followers of an incident are in one process's hands at a time, because each edit replaces the whole text.

use std::time::Duration;

use domain::ids::{EventId, IncidentId, NotificationId};
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::claim::{DUE, LONGEST_WAIT};
use super::turn::{CRITICAL, FOLLOWERS};
use super::{Notification, Terms, get, pace, read};
use crate::error::DbError;
use crate::tables::column::{at, opt_at, read_at};
use crate::tx::ReadTx;

/// A message older than this is out of people's sight: followers get a new one.
pub const EDIT_WITHIN: Duration = Duration::from_secs(900);

/// Most notices written into a message at once; further ones follow with the next edit.
const MOST_AT_ONCE: u32 = 300;

/// Condition for what may be merged: acts on BGP, tests and answers to questions are messages of their own.
const MERGES: &str = "kind NOT IN ('withdrawn', 'advertised', 'would_withdraw', 'self_test')
  AND group_key IS NOT 'chat.answer'";

/// When several notifications become one message. Critical ones do only where the chat has no room for one message each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouping {
    /// As many due of one incident or with the same group key are sent as one.
    pub same_group: u32,
    /// As many due at all are sent as one, whatever their group.
    pub storm: u32,
    /// Most in one new message; so many have a line of their own in it.
    pub most: u32,
}

/// How a row goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Together {
    /// By itself.
    Alone,
    /// As one new message.
    Digest(Vec<NotificationId>),
    /// Written into this message of the chat.
    Edit { ids: Vec<NotificationId>, message_id: i64 },
}

/// How `head` goes out, which is due.
pub(super) fn together(
    tx: &ReadTx<'_>,
    terms: &Terms,
    head: &Notification,
    turn: i64,
    now: Timestamp,
) -> Result<Together, DbError> {
    let due = Due { tx, terms, now };
    let enough = |ids: &[NotificationId], least: u32| ids.len() >= usize::try_from(least.max(2)).unwrap_or(usize::MAX);
    let digest = |ids: Vec<NotificationId>, least: u32| {
        if enough(&ids, least) {
            Together::Digest(ids)
        } else {
            Together::Alone
        }
    };
    let grouping = terms.grouping;
    if turn == CRITICAL {
        let waiting = due.critical(grouping.most)?;
        let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let together = count >= 2 && pace::takes_together(tx, terms, count, now)?;
        return Ok(if together {
            Together::Digest(waiting)
        } else {
            Together::Alone
        });
    }
    if due.goes_alone(head)? {
        return Ok(Together::Alone);
    }
    if turn < FOLLOWERS {
        let firsts = due.rows(&Which::Firsts, grouping.most)?;
        return Ok(digest(firsts, grouping.storm));
    }
    let storm = pace::is_storm(tx, terms)?;
    if let Some(incident) = head.incident {
        let same = due.rows(&Which::OfIncident(incident), MOST_AT_ONCE)?;
        let many = enough(&same, grouping.same_group);
        if (many || storm) && !same.is_empty() {
            if let Some(message_id) = open_message(tx, terms, incident, now)? {
                return Ok(Together::Edit { ids: same, message_id });
            }
            if many {
                return Ok(Together::Digest(same));
            }
        }
    } else if let Some(group) = &head.group {
        let same = due.rows(&Which::OfGroup(group), grouping.most)?;
        if enough(&same, grouping.same_group) {
            return Ok(Together::Digest(same));
        }
    }
    let all = due.rows(&Which::Followers, grouping.most)?;
    Ok(digest(all, grouping.storm))
}

/// Which due rows are looked for.
enum Which<'a> {
    /// First notices of incidents, and acts.
    Firsts,
    /// Those that follow others.
    Followers,
    /// Those that follow others of one incident.
    OfIncident(IncidentId),
    /// Those that follow others and share a group key.
    OfGroup(&'a str),
}

struct Due<'a, 'tx> {
    tx: &'a ReadTx<'tx>,
    terms: &'a Terms,
    now: Timestamp,
}

impl Due<'_, '_> {
    /// Due rows that may be merged, in order of their turn.
    fn rows(&self, which: &Which<'_>, most: u32) -> Result<Vec<NotificationId>, DbError> {
        let (index, condition, value) = match which {
            Which::Firsts => ("notifications_due", "turn < 4 AND ?6 IS NULL", None),
            Which::Followers => ("notifications_due", "turn >= 4 AND ?6 IS NULL", None),
            Which::OfIncident(incident) => (
                "notifications_by_incident",
                "turn >= 4 AND incident_id = ?6",
                Some(incident.0.to_string()),
            ),
            Which::OfGroup(group) => (
                "notifications_due",
                "turn >= 4 AND group_key = ?6",
                Some((*group).to_owned()),
            ),
        };
        self.tx
            .conn()
            .prepare_cached(&format!(
                "SELECT id FROM notifications AS n INDEXED BY {index}
                 WHERE {DUE} AND turn > ?5 AND {MERGES} AND {condition} ORDER BY turn, id LIMIT ?7"
            ))?
            .query_and_then(
                params![
                    at(self.now),
                    i64::MAX,
                    at(plus(self.now, LONGEST_WAIT)),
                    self.terms.owner,
                    CRITICAL,
                    value,
                    most.max(2)
                ],
                |row| Ok(NotificationId(row.get(0)?)),
            )?
            .collect()
    }

    /// Critical notices that are due, at most `most`, oldest first.
    fn critical(&self, most: u32) -> Result<Vec<NotificationId>, DbError> {
        self.tx
            .conn()
            .prepare_cached(&format!(
                "SELECT id FROM notifications INDEXED BY notifications_due
                 WHERE {DUE} AND turn = ?5 ORDER BY id LIMIT ?6"
            ))?
            .query_and_then(
                params![
                    at(self.now),
                    i64::MAX,
                    at(plus(self.now, LONGEST_WAIT)),
                    self.terms.owner,
                    CRITICAL,
                    most.max(2)
                ],
                |row| Ok(NotificationId(row.get(0)?)),
            )?
            .collect()
    }

    fn goes_alone(&self, head: &Notification) -> Result<bool, DbError> {
        Ok(self
            .tx
            .conn()
            .prepare_cached(&format!("SELECT NOT ({MERGES}) FROM notifications WHERE id = ?1"))?
            .query_row([head.id.0], |row| row.get(0))?)
    }
}

/// The incident's newest message in the chat, if followers may still be written into it: it is recent, whole, of this
/// incident alone, and was not critical.
fn open_message(tx: &ReadTx<'_>, terms: &Terms, incident: IncidentId, now: Timestamp) -> Result<Option<i64>, DbError> {
    let newest: Option<(i64, i64, Option<Timestamp>)> = tx
        .conn()
        .prepare_cached(&format!(
            "SELECT message_id, min(id) AS id, min(sent_at) AS sent_at, min(priority) FROM notifications
             WHERE incident_id = ?1 AND chat_id = ?2 AND state = 'sent' AND message_id IS NOT NULL AND {MERGES}
             GROUP BY message_id HAVING min(priority) > 0 ORDER BY message_id DESC LIMIT 1"
        ))?
        .query_and_then(params![incident.0, terms.chat_id], |row| {
            Ok::<_, DbError>((
                row.get("message_id")?,
                row.get("id")?,
                read_at(row, "notifications", "sent_at").ok(),
            ))
        })?
        .next()
        .transpose()?;
    let Some((message_id, first, Some(sent_at))) = newest else {
        return Ok(None);
    };
    if sent_at > plus(now, LONGEST_WAIT) || sent_at < minus(now, EDIT_WITHIN) {
        return Ok(None);
    }
    let closed: bool = tx
        .conn()
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM notifications
               WHERE chat_id = ?1 AND message_id = ?2 AND incident_id IS NOT ?3)
             OR EXISTS (SELECT 1 FROM notification_attempts
               WHERE notification_id = ?4 AND outcome IN ('part', 'uneditable'))",
        )?
        .query_row(params![terms.chat_id, message_id, incident.0, first], |row| row.get(0))?;
    Ok((!closed).then_some(message_id))
}

/// What a message of the chat holds already.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The notice it began with.
    pub first: Notification,
    /// Whether it began with several at once.
    pub began_as_digest: bool,
    /// Notices in it beside the first, by kind, most frequent first.
    pub kinds: Vec<(String, u64)>,
    /// Least and greatest event number of those.
    pub events: Option<(EventId, EventId)>,
    /// The newest of those.
    pub newest: Vec<Notification>,
}

/// Reads what is in a message; `newest` bounds how many of the followers are read whole.
///
/// # Errors
/// Those of the database.
pub fn told(tx: &ReadTx<'_>, chat_id: &str, message_id: i64, newest: u32) -> Result<Option<Told>, DbError> {
    let first: Option<i64> = tx
        .conn()
        .prepare_cached("SELECT min(id) FROM notifications WHERE chat_id = ?1 AND message_id = ?2 AND state = 'sent'")?
        .query_row(params![chat_id, message_id], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(first) = first.map(NotificationId) else {
        return Ok(None);
    };
    let Some(first) = get(tx, first)? else {
        return Ok(None);
    };
    let kinds = tx
        .conn()
        .prepare_cached(
            "SELECT kind, count(*) FROM notifications
             WHERE chat_id = ?1 AND message_id = ?2 AND state = 'sent' AND id <> ?3 GROUP BY kind ORDER BY 2 DESC, 1",
        )?
        .query_and_then(params![chat_id, message_id, first.id.0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, DbError>>()?;
    let newest = tx
        .conn()
        .prepare_cached(
            "SELECT * FROM notifications
             WHERE chat_id = ?1 AND message_id = ?2 AND state = 'sent' AND id <> ?3 ORDER BY id DESC LIMIT ?4",
        )?
        .query_and_then(params![chat_id, message_id, first.id.0, newest], read)?
        .collect::<Result<_, _>>()?;
    let (least, most, together): (Option<i64>, Option<i64>, bool) = tx
        .conn()
        .prepare_cached(
            "SELECT min(event_id), max(event_id), COALESCE(max(sent_at = ?4), 0) FROM notifications
             WHERE chat_id = ?1 AND message_id = ?2 AND state = 'sent' AND id <> ?3",
        )?
        .query_row(params![chat_id, message_id, first.id.0, opt_at(first.sent_at)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(Some(Told {
        first,
        began_as_digest: together,
        kinds,
        events: least.zip(most).map(|(least, most)| (EventId(least), EventId(most))),
        newest,
    }))
}
