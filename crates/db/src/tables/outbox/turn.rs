//! Whose turn it is. Worked out once, when a notification is entered, so that choosing the next one is a step in an index
//! however long the queue is.
//!
//! What must hold: critical notices come before everything; the first notice of an incident and acts on BGP come before
//! every follower of any incident, because they are what wakes people; within each class the more urgent come first.

use std::time::Duration;

use domain::notice::{Facts, Notice, Priority};
use domain::time::{minus, plus};
use jiff::Timestamp;
use rusqlite::params;

use super::ANSWER_GROUP;
use super::claim::LONGEST_WAIT;
use crate::error::DbError;
use crate::tables::column::at;
use crate::tx::ReadTx;

/// Turn of critical notices.
pub(super) const CRITICAL: i64 = 0;

/// From this turn on a notice follows others and may be merged with them.
pub(super) const FOLLOWERS: i64 = 4;

/// First and last turn of what shares one part of the chat's pace.
pub(super) const CLASSES: [(i64, i64); 3] = [
    (CRITICAL, CRITICAL),
    (CRITICAL + 1, FOLLOWERS - 1),
    (FOLLOWERS, i64::MAX),
];

/// After a silence of this length an incident's next notice wakes people anew.
const SILENCE: Duration = Duration::from_secs(3_600);

/// The turn of a notice about to be entered.
pub(super) fn turn_of(tx: &ReadTx<'_>, priority: Priority, notice: &Notice, now: Timestamp) -> Result<i64, DbError> {
    if priority == Priority::Critical {
        return Ok(CRITICAL);
    }
    // Somebody waits for an answer, but no incident waits behind one.
    if notice.group.as_deref() == Some(ANSWER_GROUP) {
        return Ok(FOLLOWERS - 1);
    }
    // An act on BGP is what people were waiting for, whatever else the incident has to say.
    if matches!(notice.facts, Facts::Acted { .. }) {
        return Ok(priority.rank());
    }
    let Some(incident) = notice.incident else {
        return Ok(FOLLOWERS - 1 + priority.rank());
    };
    let told: bool = tx
        .conn()
        .prepare_cached(
            // Left to itself, SQLite walks the queue of all incidents: the length of the queue for every new notice.
            "SELECT EXISTS (SELECT 1 FROM notifications INDEXED BY notifications_by_incident
               WHERE incident_id = ?1 AND priority <= ?2 AND state IN ('queued', 'sent')
                 AND created_at > ?3 AND created_at <= ?4 ORDER BY id DESC)",
        )?
        .query_row(
            params![
                incident.0,
                priority.rank(),
                at(minus(now, SILENCE)),
                at(plus(now, LONGEST_WAIT))
            ],
            |row| row.get(0),
        )?;
    Ok(if told {
        FOLLOWERS - 1 + priority.rank()
    } else {
        priority.rank()
    })
}
