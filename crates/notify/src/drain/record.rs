//! Storing what became of a message, together with what it taught about the chat, in one transaction.
//!
//! What must hold: an end that could not be stored is kept and stored before anything else is claimed, because a sent
//! message that is not recorded is sent again.

use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, LONGEST_WAIT, Outcome, Step};
use db::{DbError, WriteTx};
use domain::ids::NotificationId;
use domain::time::{plus, since};
use jiff::Timestamp;

use super::{Worker, limits};

/// Said in the shared state of a chat that told us to wait.
pub(super) const FLOOD: &str = "Telegram asked to wait";

/// How often storing is tried while a message is in hand.
pub(super) const RECORD_TRIES: u32 = 4;

/// What a request's outcome means for the state that all processes share.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// Nothing.
    Keep,
    /// A message arrived.
    Works,
    /// Nothing before this instant, as told.
    Flood { until: Timestamp },
    /// A try failed; `draw` spreads the pause.
    Fails { draw: f64, most: Duration },
    /// Nothing can be sent until a person acts.
    Broken { reason: String },
    /// The topic is gone.
    WithoutThread,
    /// The chat has another id.
    MovedTo { chat_id: i64 },
}

/// An end that is to be stored: rows, what became of them, and the change to the chat's state.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) ids: Vec<NotificationId>,
    pub(super) outcome: Outcome,
    pub(super) change: Change,
}

impl Worker {
    /// Stores a step; a step that cannot be stored costs at most a repeat later.
    pub(super) async fn note(&mut self, ids: Vec<NotificationId>, step: Step, change: Change) {
        let (terms, clock) = (Arc::clone(&self.terms), Arc::clone(&self.config.now));
        let noted = self
            .db
            .write("notify.note", move |tx| {
                let now = clock();
                outbox::note(tx, &terms, &ids, &step, now)?;
                apply(tx, &terms.chat_id, &change, now)
            })
            .await;
        match noted {
            Ok(recovered) => self.tell_recovery(recovered),
            Err(error) => self.db_failed(&error),
        }
    }

    /// Stores an end, trying for a while; if the database does not answer, it is kept and stored before anything else.
    pub(super) async fn end(&mut self, ending: Ending) {
        for attempt in 1..=RECORD_TRIES {
            match self.store(&ending).await {
                Ok(()) => return,
                Err(error) => self.db_failed(&error),
            }
            let limits = &self.config.limits;
            let pause = limits::doubling(limits.db_pause, attempt, limits.db_pause_most);
            self.pause(pause).await;
        }
        self.unrecorded.push(ending);
    }

    /// Stores ends that could not be stored when they happened.
    pub(super) async fn record_late(&mut self) -> Result<(), DbError> {
        while let Some(ending) = self.unrecorded.last().cloned() {
            self.store(&ending).await?;
            self.unrecorded.pop();
        }
        Ok(())
    }

    async fn store(&mut self, ending: &Ending) -> Result<(), DbError> {
        let (terms, clock, given) = (Arc::clone(&self.terms), Arc::clone(&self.config.now), ending.clone());
        let stored = self
            .db
            .write("notify.record", move |tx| {
                let now = clock();
                let recovered = apply(tx, &terms.chat_id, &given.change, now)?;
                // Rows that somebody else has by now, or that an unanswered write had stored already, change nothing
                // about what was learnt of the chat.
                let lost = match outbox::record(tx, &terms, &given.ids, &given.outcome, now) {
                    Err(DbError::Conflict { .. }) => true,
                    other => other.map(|()| false)?,
                };
                Ok((recovered, lost))
            })
            .await;
        let (recovered, lost) = stored?;
        self.tell_recovery(recovered);
        if ending.change == Change::Works {
            self.broken_told = false;
        }
        if lost {
            tracing::warn!(
                event = "notify.lease.lost",
                notification = ending.ids.first().map_or(0, |id| id.0)
            );
        }
        Ok(())
    }

    fn tell_recovery(&self, recovered: Option<Duration>) {
        if let Some(failed_for) = recovered {
            tracing::info!(
                event = "notify.channel.recovered",
                chat = self.terms.chat_id,
                failed_s = failed_for.as_secs()
            );
        }
    }
}

/// Changes the shared state of the chat. Returns how long sends had failed when this ends it.
fn apply(tx: &WriteTx<'_>, chat: &str, change: &Change, now: Timestamp) -> Result<Option<Duration>, DbError> {
    if *change == Change::Keep {
        return Ok(None);
    }
    let before = outbox::channel(tx, chat)?;
    let mut after = before.clone();
    let mut recovered = None;
    match change {
        Change::Keep => {}
        Change::Works => {
            recovered = before.failing_since.map(|from| since(now, from));
            after.failing_since = None;
            // What arrived may have been sent before another process was told to wait.
            let told = before.blocked_because.as_deref() == Some(FLOOD) && before.blocked_until > Some(now);
            if !told {
                after.blocked_because = None;
                after.blocked_until = None;
            }
        }
        Change::Flood { until } => {
            after.blocked_until = before.blocked_until.max(Some(*until));
            after.blocked_because = Some(FLOOD.to_owned());
        }
        Change::Fails { draw, most } => {
            let from = before.failing_since.filter(|from| *from <= now).unwrap_or(now);
            let pause = limits::spread(limits::chat_pause(since(now, from), *most), *draw);
            after.failing_since = Some(from);
            after.blocked_until = before
                .blocked_until
                .filter(|until| *until <= plus(now, LONGEST_WAIT))
                .max(Some(plus(now, pause)));
            after.blocked_because = Some("requests to Telegram fail".to_owned());
        }
        Change::Broken { reason } => {
            after.failing_since = Some(before.failing_since.filter(|from| *from <= now).unwrap_or(now));
            after.blocked_because = Some(reason.clone());
        }
        Change::WithoutThread => after.without_thread = true,
        Change::MovedTo { chat_id } => after.migrated_chat_id = Some(chat_id.to_string()),
    }
    if after != before {
        outbox::set_channel(tx, chat, &after, now)?;
    }
    Ok(recovered)
}
