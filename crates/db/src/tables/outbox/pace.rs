//! How fast a chat may be written to, counted over the requests of all processes.
//!
//! What must hold: no more requests within the window than the chat takes; a part of them is kept for critical notices
//! and a part for the first notices of incidents, so that neither waits behind a storm of followers.

use std::time::Duration;

use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::params;

use super::Terms;
use super::channel::channel;
use super::claim::LONGEST_WAIT;
use super::turn::{CRITICAL, FOLLOWERS};
use crate::error::DbError;
use crate::tables::column::{at, read_at};
use crate::tx::ReadTx;

/// How far ahead of ours an attempt of another process may lie and still count for the pace.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// How fast a chat may be written to. Source: Telegram's published limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Sends within `window`.
    pub per_window: u32,
    /// Of these, how many only critical notices may use, so that a storm of others never makes them wait.
    pub reserve: u32,
    /// The time over which sends are counted.
    pub window: Duration,
    /// Shortest distance of two sends to one chat.
    pub gap: Duration,
}

impl Pace {
    /// Sends within the window that are not kept for critical notices.
    fn common(&self) -> u32 {
        self.per_window.saturating_sub(self.reserve).max(1)
    }

    /// Of the common ones, how many may go to notices that are not the first of an incident. A quarter is always kept
    /// for those, in a storm five eighths: of sixteen, ten incidents can begin and six messages can follow.
    fn followers(&self, storm: bool) -> u32 {
        let common = self.common();
        let kept = if storm { common * 5 / 8 } else { common / 4 };
        common.saturating_sub(kept).max(1)
    }
}

/// Until when pace or channel forbid a send of this turn.
pub(super) fn held_back(
    tx: &ReadTx<'_>,
    terms: &Terms,
    turn: i64,
    now: Timestamp,
) -> Result<Option<Timestamp>, DbError> {
    let far = plus(now, LONGEST_WAIT);
    let blocked = channel(tx, &terms.chat_id)?.blocked_until;
    if let Some(until) = blocked.filter(|until| *until > now && *until <= far) {
        return Ok(Some(until));
    }
    let pace = terms.pace;
    let most = pace.per_window.max(1);
    let all = starts(tx, terms, most, CRITICAL, now)?;
    let gap_ends = all.first().map(|last| plus(*last, pace.gap));
    let mut free_at = gap_ends.max(frees(&all, most, pace.window));
    if turn != CRITICAL {
        let budget = pace.common();
        let common = starts(tx, terms, budget, CRITICAL + 1, now)?;
        free_at = free_at.max(frees(&common, budget, pace.window));
    }
    if turn >= FOLLOWERS {
        let budget = pace.followers(is_storm(tx, terms)?);
        let followers = starts(tx, terms, budget, FOLLOWERS, now)?;
        free_at = free_at.max(frees(&followers, budget, pace.window));
    }
    Ok(free_at.filter(|free_at| *free_at > now))
}

/// The newest requests to the chat within the window for rows of at least this turn, at most `most`, newest first.
fn starts(
    tx: &ReadTx<'_>,
    terms: &Terms,
    most: u32,
    least_turn: i64,
    now: Timestamp,
) -> Result<Vec<Timestamp>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT a.id, a.at AS at FROM notification_attempts a JOIN notifications n ON n.id = a.notification_id
             WHERE a.chat_id = ?1 AND a.at > ?2 AND a.at <= ?3 AND a.outcome = 'started' AND n.turn >= ?5
             ORDER BY a.at DESC LIMIT ?4",
        )?
        .query_and_then(
            params![
                terms.chat_id,
                at(minus(now, terms.pace.window)),
                at(plus(now, CLOCK_TOLERANCE)),
                most,
                least_turn
            ],
            |row| read_at(row, "notification_attempts", "at"),
        )?
        .collect()
}

/// When a window that is full has room again.
fn frees(starts: &[Timestamp], budget: u32, window: Duration) -> Option<Timestamp> {
    let full = u32::try_from(starts.len()).is_ok_and(|count| count >= budget);
    starts.last().filter(|_| full).map(|oldest| plus(*oldest, window))
}

/// Whether so many followers wait that messages must hold several of them.
pub(super) fn is_storm(tx: &ReadTx<'_>, terms: &Terms) -> Result<bool, DbError> {
    let waiting: u32 = tx
        .conn()
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM notifications WHERE state = 'queued' AND turn >= ?1 LIMIT ?2)",
        )?
        .query_row(params![FOLLOWERS, terms.grouping.storm], |row| row.get(0))?;
    Ok(waiting >= terms.grouping.storm.max(2))
}
