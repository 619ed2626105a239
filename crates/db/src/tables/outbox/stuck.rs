//! Whether messages reach the chat at all, and what is entered when they do not: once per outage, for other channels,
//! because the chat would learn of it only when it is over; and once when it is over, for everybody.

use std::time::Duration;

use domain::ids::NotificationId;
use domain::notice::{Facts, Notice};
use domain::time::{from_text, minus, plus, since};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::claim::LONGEST_WAIT;
use super::enqueue;
use crate::error::DbError;
use crate::tables::column::{at, json};
use crate::tables::leases;
use crate::tx::{ReadTx, WriteTx};

/// Group of these notices; copies are made of them although the chat does not get them.
pub(super) const GROUP: &str = "outbox.stuck";

/// Name under which an announced outage is remembered; an empty value is none.
const ANNOUNCED: &str = "outbox.stuck";

/// Nothing reaches the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// When the oldest waiting notification was entered.
    pub since: Timestamp,
    /// How many wait.
    pub waiting: u64,
    /// What the chat's shared state says about it.
    pub because: Option<String>,
    /// It was announced already.
    pub announced: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Announced {
    since: Timestamp,
}

/// Whether a notification has waited for `after` while none has reached the chat for as long.
///
/// # Errors
/// Those of the database.
pub fn stuck(tx: &ReadTx<'_>, chat_id: &str, after: Duration, now: Timestamp) -> Result<Option<Stuck>, DbError> {
    let (waiting, oldest): (u64, Option<String>) = tx
        .conn()
        .prepare_cached("SELECT count(*), min(created_at) FROM notifications WHERE state = 'queued'")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(oldest) = oldest
        .as_deref()
        .and_then(from_text)
        .filter(|oldest| *oldest <= minus(now, after))
    else {
        return Ok(None);
    };
    let arrived: bool = tx
        .conn()
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM notification_attempts
             WHERE chat_id = ?1 AND at > ?2 AND at <= ?3 AND outcome IN ('sent', 'part'))",
        )?
        .query_row(
            params![chat_id, at(minus(now, after)), at(plus(now, LONGEST_WAIT))],
            |row| row.get(0),
        )?;
    if arrived {
        return Ok(None);
    }
    Ok(Some(Stuck {
        since: oldest,
        waiting,
        because: super::channel(tx, chat_id)?.blocked_because,
        announced: announced(tx)?.is_some(),
    }))
}

/// Since when messages did not reach the chat, if that was announced and its end was not.
///
/// # Errors
/// Those of the database.
pub fn stuck_since(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    Ok(announced(tx)?.map(|announced| announced.since))
}

fn announced(tx: &ReadTx<'_>) -> Result<Option<Announced>, DbError> {
    Ok(leases::fact(tx, ANNOUNCED)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Announces an outage to the other channels, once. Returns whether this call did.
///
/// # Errors
/// Those of the database.
pub fn announce_stuck(tx: &WriteTx<'_>, stuck: &Stuck, now: Timestamp) -> Result<bool, DbError> {
    if announced(tx)?.is_some() {
        return Ok(false);
    }
    let notice = Notice {
        group: Some(GROUP.to_owned()),
        ..Notice::about(Facts::ChatUnreachable {
            since: stuck.since,
            waiting: stuck.waiting,
            because: stuck.because.clone(),
        })
    };
    let id = enqueue(tx, &notice, now)?;
    keep_from_chat(tx, id)?;
    let fact = Announced { since: stuck.since };
    leases::set_fact(tx, ANNOUNCED, &json(&fact)?, now)?;
    Ok(true)
}

fn keep_from_chat(tx: &WriteTx<'_>, id: NotificationId) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE notifications SET state = 'suppressed', reason = ?2 WHERE id = ?1")?
        .execute(params![id.0, "for other channels: the chat cannot be reached"])?;
    Ok(())
}

/// Announces the end of an outage to everybody, once. Returns how long it lasted, if this call did.
///
/// # Errors
/// Those of the database.
pub fn announce_unstuck(tx: &WriteTx<'_>, now: Timestamp) -> Result<Option<Duration>, DbError> {
    let Some(announced) = announced(tx)? else {
        return Ok(None);
    };
    let lasted = since(now, announced.since);
    let waiting: Option<u64> = tx
        .conn()
        .prepare_cached("SELECT count(*) FROM notifications WHERE state = 'queued'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let notice = Notice {
        group: Some("outbox.unstuck".to_owned()),
        ..Notice::about(Facts::ChatReachable {
            since: announced.since,
            waiting: waiting.unwrap_or_default(),
        })
    };
    enqueue(tx, &notice, now)?;
    leases::set_fact(tx, ANNOUNCED, "", now)?;
    Ok(Some(lasted))
}
