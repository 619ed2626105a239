//! The end of what could not be sent: too old to be useful, or no chat to send it to. Nothing is deleted; the reason is
//! kept with the row, and a summary tells people how many there were.

use std::time::Duration;

use domain::duration::human;
use domain::ids::NotificationId;
use domain::notice::{Facts, Notice, Priority};
use domain::time::{from_text, minus, plus};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::claim::LONGEST_WAIT;
use super::enqueue;
use crate::error::DbError;
use crate::tables::column::{at, json};
use crate::tables::leases;
use crate::tx::{ReadTx, WriteTx};

/// Rows ended in one transaction, so that none is long.
const BATCH: u32 = 500;

/// Name under which the last summary is remembered.
const LAST_SUMMARY: &str = "outbox.expired.summary";

/// In attempts: nothing was sent to any chat.
const NO_CHAT: &str = "";

/// Ends queued rows that were entered more than `max_age` ago and are in nobody's hands. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn expire(tx: &WriteTx<'_>, owner: &str, max_age: Duration, now: Timestamp) -> Result<usize, DbError> {
    let words = format!("not sent within {}", human(max_age));
    let ids: Vec<i64> = tx
        .conn()
        .prepare_cached(
            "SELECT id FROM notifications WHERE state = 'queued' AND created_at < ?1
               AND (lease_until IS NULL OR lease_until <= ?2 OR lease_until > ?3) ORDER BY id LIMIT ?4",
        )?
        .query_and_then(
            params![at(minus(now, max_age)), at(now), at(plus(now, LONGEST_WAIT)), BATCH],
            |row| row.get(0),
        )?
        .collect::<Result<_, rusqlite::Error>>()?;
    for id in &ids {
        end(tx, *id, "expired", &words)?;
        tx.conn()
            .prepare_cached(
                "INSERT INTO notification_attempts (notification_id, at, owner, chat_id, outcome, words)
                 VALUES (?1, ?2, ?3, ?4, 'expired', ?5)",
            )?
            .execute(params![id, at(now), owner, NO_CHAT, words])?;
    }
    Ok(ids.len())
}

fn end(tx: &WriteTx<'_>, id: i64, state: &str, reason: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE notifications SET state = ?2, reason = ?3, lease_owner = NULL, lease_until = NULL WHERE id = ?1",
        )?
        .execute(params![id, state, reason])?;
    Ok(())
}

/// Whether [`expire`] or [`summarise_expired`] have anything to do; so that an idle service writes nothing.
///
/// # Errors
/// Those of the database.
pub fn has_expired(tx: &ReadTx<'_>, max_age: Duration, gap: Duration, now: Timestamp) -> Result<bool, DbError> {
    if has_older(tx, max_age, now)? {
        return Ok(true);
    }
    let Some(newest) = newest_expiry(tx)? else {
        return Ok(false);
    };
    Ok(last_summary(tx)?.is_none_or(|last| last.is_due(newest, gap, now)))
}

/// Whether anything queued was entered longer than `age` ago.
///
/// # Errors
/// Those of the database.
pub fn has_older(tx: &ReadTx<'_>, age: Duration, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM notifications WHERE state = 'queued' AND created_at < ?1)")?
        .query_row([at(minus(now, age))], |row| row.get(0))?)
}

/// Ends queued rows as suppressed because this process knows of no chat. It leaves alone what is younger than `grace`,
/// and everything as long as any process has tried to send within the last hour: that one has a chat. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn suppress_unsendable(tx: &WriteTx<'_>, reason: &str, grace: Duration, now: Timestamp) -> Result<usize, DbError> {
    let last: Option<String> = tx
        .conn()
        .prepare_cached("SELECT at FROM notification_attempts WHERE chat_id <> '' ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let others_send = last
        .as_deref()
        .and_then(from_text)
        .is_some_and(|last| last > minus(now, Duration::from_secs(3_600)));
    if others_send {
        return Ok(0);
    }
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE notifications SET state = 'suppressed', reason = ?1
             WHERE id IN (SELECT id FROM notifications WHERE state = 'queued' AND created_at < ?2
               AND (lease_until IS NULL OR lease_until <= ?3) ORDER BY id LIMIT ?4)",
        )?
        .execute(params![reason, at(minus(now, grace)), at(now), BATCH])?)
}

/// What was told last about expired rows.
#[derive(Debug, Serialize, Deserialize)]
struct LastSummary {
    id: i64,
    made_at: Timestamp,
    covers_from: Timestamp,
}

impl LastSummary {
    /// Whether something expired after it and enough time passed for another one.
    fn is_due(&self, newest: Timestamp, gap: Duration, now: Timestamp) -> bool {
        let recent = self.made_at <= now && self.made_at > minus(now, gap);
        newest > self.made_at && !recent
    }
}

fn last_summary(tx: &ReadTx<'_>) -> Result<Option<LastSummary>, DbError> {
    Ok(leases::fact(tx, LAST_SUMMARY)?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn newest_expiry(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    let text: Option<String> = tx
        .conn()
        .prepare_cached("SELECT max(at) FROM notification_attempts WHERE chat_id = ?1")?
        .query_row([NO_CHAT], |row| row.get(0))?;
    Ok(text.as_deref().and_then(from_text))
}

/// A summary of expired rows that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its notification.
    pub id: NotificationId,
    /// Rows it speaks of.
    pub expired: u64,
}

/// Enters a summary of what expired since people were last told, at most one per `gap`. A summary that was itself never
/// sent is replaced by one that covers its rows too, so they neither pile up nor get lost.
///
/// # Errors
/// Those of the database.
pub fn summarise_expired(tx: &WriteTx<'_>, gap: Duration, now: Timestamp) -> Result<Option<Summary>, DbError> {
    let Some(newest) = newest_expiry(tx)? else {
        return Ok(None);
    };
    let mut covers_from = Timestamp::MIN;
    if let Some(last) = last_summary(tx)? {
        if !last.is_due(newest, gap, now) {
            return Ok(None);
        }
        covers_from = told_until(tx, &last, now)?;
    }
    let kinds = expired_kinds(tx, covers_from, now)?;
    let expired = kinds.iter().map(|kind| kind.count).sum();
    if expired == 0 {
        return Ok(None);
    }
    let urgent = kinds.iter().any(|kind| kind.rank <= Priority::High.rank());
    let mut notice = Notice::about(Facts::MessagesExpired {
        kinds: kinds.into_iter().map(|kind| (kind.kind, kind.count)).collect(),
        urgent,
    });
    notice.group = Some(LAST_SUMMARY.to_owned());
    let id = enqueue(tx, &notice, now)?;
    let told = LastSummary {
        id: id.0,
        made_at: now,
        covers_from,
    };
    leases::set_fact(tx, LAST_SUMMARY, &json(&told)?, now)?;
    Ok(Some(Summary { id, expired }))
}

/// Up to when people were told, given what became of the last summary. One that still waits is withdrawn.
fn told_until(tx: &WriteTx<'_>, last: &LastSummary, now: Timestamp) -> Result<Timestamp, DbError> {
    let found: Option<(String, bool)> = tx
        .conn()
        .prepare_cached("SELECT state, lease_until IS NOT NULL AND lease_until > ?2 FROM notifications WHERE id = ?1")?
        .query_row(params![last.id, at(now)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        Some((state, false)) if state == "queued" => {
            end(tx, last.id, "suppressed", "replaced by a newer summary")?;
            last.covers_from
        }
        Some((state, _)) if state == "expired" || state == "failed" => last.covers_from,
        _ => last.made_at,
    })
}

struct ExpiredKind {
    kind: String,
    rank: i64,
    count: u64,
}

fn expired_kinds(tx: &ReadTx<'_>, after: Timestamp, now: Timestamp) -> Result<Vec<ExpiredKind>, DbError> {
    // Text order is time order only for years of four digits.
    let after = after.max(minus(now, Duration::from_secs(400 * 86_400)));
    tx.conn()
        .prepare_cached(
            "SELECT n.kind, min(n.priority) AS rank, count(*) AS count
             FROM notification_attempts a JOIN notifications n ON n.id = a.notification_id
             WHERE a.chat_id = ?1 AND a.at > ?2 AND a.outcome = 'expired' AND n.group_key IS NOT ?3
             GROUP BY n.kind ORDER BY rank, count DESC, n.kind",
        )?
        .query_and_then(params![NO_CHAT, at(after), LAST_SUMMARY], |row| {
            Ok(ExpiredKind {
                kind: row.get("kind")?,
                rank: row.get("rank")?,
                count: row.get("count")?,
            })
        })?
        .collect()
}
