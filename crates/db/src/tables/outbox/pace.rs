//! How fast a chat may be written to, counted over the requests of all processes.
//!
//! What must hold: no more requests within the window than the chat takes; a part of them is kept for critical notices
//! and a part for the first notices of incidents, so that neither waits behind a storm of followers; a flood of critical
//! notices leaves room for the first ones of incidents, because from a point on it goes together.
//!
//! The decision is [`Pace::free_at`], which looks at nothing but what it is given. docs/32-messages.md has the reasons.

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

/// A request to the chat that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    at: Timestamp,
    /// Turn of the notice it was for.
    turn: i64,
}

/// Requests that count at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    all: u32,
    critical: u32,
    followers: u32,
}

impl Pace {
    /// Of the requests that are not kept for critical notices, how many may go to notices that are not the first of an
    /// incident. A quarter is always kept for those, in a storm five eighths: of sixteen, ten incidents can begin and six
    /// messages can follow.
    fn followers(&self, storm: bool) -> u32 {
        let common = self.per_window.saturating_sub(self.reserve).max(1);
        let kept = if storm { common * 5 / 8 } else { common / 4 };
        common.saturating_sub(kept).max(1)
    }

    /// Distance of critical messages while there are too many of them for one each.
    fn gather(&self) -> Duration {
        self.window / 4
    }

    /// Half of the window's requests are used up, and critical notices had their own share of it.
    fn is_tight(&self, counts: Counts) -> bool {
        counts.critical >= self.reserve && counts.all >= self.per_window / 2
    }

    /// Whether `due` critical notices go together: one each would fill the window, or make the room tight.
    fn takes_together(&self, starts: &[Start], due: u32, now: Timestamp) -> bool {
        let counts = self.counts(starts, now);
        let after = counts.all.saturating_add(due);
        after > self.per_window || (counts.critical >= self.reserve && after > self.per_window / 2)
    }

    fn counts(&self, starts: &[Start], at: Timestamp) -> Counts {
        let within = starts.iter().filter(|start| plus(start.at, self.window) > at);
        within.fold(Counts::default(), |counts, start| Counts {
            all: counts.all + 1,
            critical: counts.critical + u32::from(start.turn == CRITICAL),
            followers: counts.followers + u32::from(start.turn >= FOLLOWERS),
        })
    }

    /// Whether one more request of this turn may start at that instant.
    fn allows(&self, starts: &[Start], turn: i64, storm: bool, at: Timestamp) -> bool {
        let too_close = |distance: Duration, start: &Start| plus(start.at, distance) > at;
        if starts.iter().any(|start| too_close(self.gap, start)) {
            return false;
        }
        let counts = self.counts(starts, at);
        if turn == CRITICAL {
            let mut critical = starts.iter().filter(|start| start.turn == CRITICAL);
            let apart = !critical.any(|start| too_close(self.gather(), start));
            return counts.all < self.per_window.max(1) && (!self.is_tight(counts) || apart);
        }
        // Critical notices find their share free, and when they have used it one more place.
        let kept = self.reserve.saturating_sub(counts.critical).max(self.reserve.min(1));
        if counts.all >= self.per_window.saturating_sub(kept).max(1) {
            return false;
        }
        // What critical notices take beyond their share is taken from the followers.
        let beyond = counts.critical.saturating_sub(self.reserve);
        turn < FOLLOWERS || counts.followers < self.followers(storm).saturating_sub(beyond).max(1)
    }

    /// The first instant from `now` on at which a request of this turn may start, given the earlier ones.
    fn free_at(&self, starts: &[Start], turn: i64, storm: bool, now: Timestamp) -> Timestamp {
        if self.allows(starts, turn, storm, now) {
            return now;
        }
        // Nothing changes between the instants at which an earlier request ceases to count for something.
        let mut instants: Vec<Timestamp> = starts
            .iter()
            .flat_map(|start| [self.gap, self.gather(), self.window].map(|distance| plus(start.at, distance)))
            .filter(|instant| *instant > now)
            .collect();
        instants.sort();
        let free = instants.into_iter().find(|at| self.allows(starts, turn, storm, *at));
        free.unwrap_or_else(|| plus(now, self.window))
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
    let starts = starts(tx, terms, now)?;
    let storm = turn >= FOLLOWERS && is_storm(tx, terms)?;
    let free_at = terms.pace.free_at(&starts, turn, storm, now);
    Ok((free_at > now).then_some(free_at))
}

/// Whether that many critical notices, which are due, go together.
pub(super) fn takes_together(tx: &ReadTx<'_>, terms: &Terms, due: u32, now: Timestamp) -> Result<bool, DbError> {
    Ok(terms.pace.takes_together(&starts(tx, terms, now)?, due, now))
}

/// The requests to the chat within the window, newest first. Twice as many as it takes are more than enough to know
/// that there are too many.
fn starts(tx: &ReadTx<'_>, terms: &Terms, now: Timestamp) -> Result<Vec<Start>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT a.id, a.at AS at, n.turn AS turn
             FROM notification_attempts a JOIN notifications n ON n.id = a.notification_id
             WHERE a.chat_id = ?1 AND a.at > ?2 AND a.at <= ?3 AND a.outcome = 'started'
             ORDER BY a.at DESC LIMIT ?4",
        )?
        .query_and_then(
            params![
                terms.chat_id,
                at(minus(now, terms.pace.window)),
                at(plus(now, CLOCK_TOLERANCE)),
                terms.pace.per_window.saturating_mul(2).max(2),
            ],
            |row| {
                Ok(Start {
                    at: read_at(row, "notification_attempts", "at")?,
                    turn: row.get("turn")?,
                })
            },
        )?
        .collect()
}

/// Whether so many followers wait that messages must hold several of them.
pub(super) fn is_storm(tx: &ReadTx<'_>, terms: &Terms) -> Result<bool, DbError> {
    let waiting: u32 = tx
        .conn()
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM notifications INDEXED BY notifications_due
               WHERE state = 'queued' AND turn >= ?1 LIMIT ?2)",
        )?
        .query_row(params![FOLLOWERS, terms.grouping.storm], |row| row.get(0))?;
    Ok(waiting >= terms.grouping.storm.max(2))
}

#[cfg(test)]
mod tests;
