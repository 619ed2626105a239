//! What one claimed message goes through, from words to a recorded end.
//!
//! A message stays in hand while it changes its form (plain text, smaller parts) or its address (moved chat, topic gone)
//! and between its parts; each of these asks for its own place in the pace, and critical notices may go in between.
//! Everything else ends it: sent, to be tried later, or failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, Channel, Claim, LONGEST_WAIT, Notification, Outcome, Slot, Step};
use db::{DbError, WriteTx};
use domain::ids::NotificationId;
use domain::notice::Priority;
use domain::time::{plus, since};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Worker, limits};
use crate::context::{Context, gather};
use crate::document::{Document, Room};
use crate::telegram::{Delivery, Target};

/// Said in the shared state of a chat that told us to wait.
const FLOOD: &str = "Telegram asked to wait";

/// A flood wait longer than this keeps alarms from people.
const LONG_FLOOD: Duration = Duration::from_secs(120);

/// Of the statement that stores an end, how long it is worth repeating before the row may be somebody else's.
const RECORD_TRIES: u32 = 4;

struct Hand {
    rows: Vec<Notification>,
    pieces: VecDeque<Document>,
    sent: usize,
    first_message: Option<i64>,
    plain: bool,
    target: Target,
}

impl Hand {
    fn ids(&self) -> Vec<NotificationId> {
        self.rows.iter().map(|row| row.id).collect()
    }

    /// The most urgent is first.
    fn priority(&self) -> Priority {
        self.rows.first().map_or(Priority::Info, |row| row.priority)
    }

    fn attempt(&self) -> u32 {
        self.rows.first().map_or(1, |row| row.attempts)
    }
}

/// What a request's outcome means for the state that all processes share.
#[derive(Debug, Clone, PartialEq)]
enum Change {
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
    ids: Vec<NotificationId>,
    outcome: Outcome,
    change: Change,
}

enum Next {
    Again { step: Step, change: Change },
    End { outcome: Outcome, change: Change },
}

impl Worker {
    /// Sends what was claimed. Ends with everything recorded, or kept to be recorded as soon as the database answers.
    pub(super) async fn deliver(&mut self, rows: Vec<Notification>, progress: &impl Fn()) {
        let Some(sender) = self.sender.clone() else { return };
        let mut hand = self.take_in_hand(rows).await;
        while let Some(piece) = hand.pieces.front() {
            progress();
            let text = if hand.plain { piece.plain() } else { piece.html() };
            let delivery = sender.send(text, !hand.plain, &hand.target).await;
            progress();
            match self.judge(&mut hand, delivery) {
                Next::End { outcome, change } => {
                    self.end(Ending {
                        ids: hand.ids(),
                        outcome,
                        change,
                    })
                    .await;
                    return;
                }
                Next::Again { step, change } => {
                    self.note(&hand, step, change).await;
                    if !self.next_slot(&hand, progress).await {
                        return;
                    }
                }
            }
        }
    }

    async fn take_in_hand(&mut self, rows: Vec<Notification>) -> Hand {
        let now = self.now();
        let (given, terms) = (rows.clone(), Arc::clone(&self.terms));
        let looked_up = self
            .db
            .read("notify.look_up", move |tx| {
                Ok((
                    gather(tx, &given, &terms.chat_id, now),
                    outbox::channel(tx, &terms.chat_id)?,
                ))
            })
            .await;
        let (context, channel) = match looked_up {
            Ok(found) => found,
            Err(error) => {
                self.db_failed(&error);
                (Context::unavailable(error.to_string()), Channel::default())
            }
        };
        let plain = rows.iter().any(|row| row.plain);
        let target = Target {
            moved_to: channel.migrated_chat_id.as_deref().and_then(|id| id.parse().ok()),
            without_thread: channel.without_thread,
            // In its barest form a message answers nothing: that may be what was refused.
            reply_to: context.answers.filter(|_| !plain),
            silent: rows.iter().all(|row| row.priority == Priority::Info),
        };
        let pieces = self.renderer.message(&rows, &context, now).pieces(Room::default());
        Hand {
            rows,
            pieces: pieces.into(),
            sent: 0,
            first_message: None,
            plain,
            target,
        }
    }

    /// What follows from a request's outcome. Decides and logs; stores nothing.
    fn judge(&mut self, hand: &mut Hand, delivery: Delivery) -> Next {
        let now = self.now();
        let id = hand.rows.first().map_or(0, |row| row.id.0);
        let end = |outcome, change| Next::End { outcome, change };
        let again = |words: String, change| Next::Again {
            step: Step::Moved { words },
            change,
        };
        match delivery {
            Delivery::Sent { message_id } => self.arrived(hand, message_id),
            Delivery::NotModified => self.arrived(hand, None),
            Delivery::MarkupRefused { words } if !hand.plain => {
                tracing::warn!(event = "notify.markup.refused", notification = id, words);
                hand.plain = true;
                hand.target.reply_to = None;
                Next::Again {
                    step: Step::Plain { words },
                    change: Change::Keep,
                }
            }
            Delivery::MarkupRefused { words } | Delivery::Permanent { words } => {
                tracing::error!(
                    event = "notify.message.failed",
                    notification = id,
                    kind = kind(hand),
                    words
                );
                end(Outcome::Failed { words }, Change::Keep)
            }
            Delivery::TooLong { words } => {
                let Some(smaller) = hand.pieces.pop_front().and_then(Document::smaller) else {
                    tracing::error!(
                        event = "notify.message.failed",
                        notification = id,
                        kind = kind(hand),
                        words
                    );
                    return end(Outcome::Failed { words }, Change::Keep);
                };
                for piece in smaller.into_iter().rev() {
                    hand.pieces.push_front(piece);
                }
                again(words, Change::Keep)
            }
            Delivery::ThreadGone { words } if !hand.target.without_thread => {
                tracing::warn!(event = "notify.thread.gone", chat = self.terms.chat_id, words);
                hand.target.without_thread = true;
                again(words, Change::WithoutThread)
            }
            Delivery::MigrateTo { chat_id } if hand.target.moved_to != Some(chat_id) => {
                tracing::warn!(
                    event = "notify.chat.moved",
                    chat = self.terms.chat_id,
                    moved_to = chat_id
                );
                hand.target.moved_to = Some(chat_id);
                again(format!("the chat moved to {chat_id}"), Change::MovedTo { chat_id })
            }
            Delivery::ThreadGone { words } => self.broken(words, now),
            Delivery::MigrateTo { chat_id } => {
                self.broken(format!("the chat says that it moved to itself ({chat_id})"), now)
            }
            Delivery::ChannelBroken { reason } => self.broken(reason, now),
            Delivery::RetryAfter { wait } => {
                let until = plus(now, wait.min(LONGEST_WAIT));
                if wait >= LONG_FLOOD {
                    tracing::error!(
                        event = "notify.told_to_wait_long",
                        chat = self.terms.chat_id,
                        wait_s = wait.as_secs()
                    );
                } else {
                    tracing::warn!(
                        event = "notify.told_to_wait",
                        chat = self.terms.chat_id,
                        wait_s = wait.as_secs()
                    );
                }
                let words = format!("{FLOOD} {} s", wait.as_secs());
                if hand.sent > 0 {
                    return again(words, Change::Flood { until });
                }
                end(Outcome::Later { at: until, words }, Change::Flood { until })
            }
            Delivery::Transient { words } => {
                let (attempt, draw) = (hand.attempt(), (self.config.draw)());
                let limits = &self.config.limits;
                let wait = limits::spread(limits::doubling(limits.backoff, attempt, limits.backoff_most), draw);
                if attempt.is_power_of_two() {
                    tracing::warn!(event = "notify.send.failed", notification = id, attempt, words);
                }
                let change = Change::Fails {
                    draw,
                    most: limits.pause_most,
                };
                end(
                    Outcome::Retry {
                        at: plus(now, wait),
                        words,
                    },
                    change,
                )
            }
        }
    }

    fn arrived(&mut self, hand: &mut Hand, message_id: Option<i64>) -> Next {
        let part = hand.sent + 1;
        if hand.sent == 0 {
            hand.first_message = message_id;
        }
        hand.sent = part;
        hand.pieces.pop_front();
        if !hand.pieces.is_empty() {
            let words = format!("{part} of {}", part + hand.pieces.len());
            return Next::Again {
                step: Step::Part { words },
                change: Change::Works,
            };
        }
        let now = self.now();
        let delay = hand
            .rows
            .iter()
            .map(|row| since(now, row.created_at))
            .max()
            .unwrap_or_default();
        let words = match hand.rows.len() {
            1 => String::new(),
            count => format!("in a digest of {count}"),
        };
        tracing::info!(
            event = "notify.message.sent",
            notification = hand.rows.first().map_or(0, |row| row.id.0),
            kind = kind(hand),
            notices = hand.rows.len(),
            parts = part,
            attempt = hand.attempt(),
            delay_s = delay.as_secs(),
            message_id = hand.first_message,
        );
        Next::End {
            outcome: Outcome::Sent {
                message_id: hand.first_message,
                words,
            },
            change: Change::Works,
        }
    }

    /// This process leaves the chat alone for a while; others may have a token or a network that works.
    fn broken(&mut self, reason: String, now: Timestamp) -> Next {
        let pause = limits::spread(self.config.limits.broken_pause, (self.config.draw)());
        if !self.broken_told {
            tracing::error!(
                event = "notify.channel.broken",
                chat = self.terms.chat_id,
                reason,
                again_in_s = pause.as_secs(),
                effect = "nobody is told anything by this service",
            );
        }
        self.broken_told = true;
        self.broken_until = Some(Instant::now() + pause);
        let at = plus(now, self.config.limits.backoff);
        Next::End {
            outcome: Outcome::Later {
                at,
                words: reason.clone(),
            },
            change: Change::Broken { reason },
        }
    }

    /// Waits for one more place in the pace. False when the message is not ours any more or we stop.
    async fn next_slot(&mut self, hand: &Hand, progress: &impl Fn()) -> bool {
        let priority = hand.priority();
        let mut failures = 0;
        loop {
            progress();
            let (terms, clock, ids) = (Arc::clone(&self.terms), Arc::clone(&self.config.now), hand.ids());
            let slot = self
                .db
                .write("notify.slot", move |tx| {
                    outbox::take_slot(tx, &terms, &ids, priority, clock())
                })
                .await;
            let until = match slot {
                Ok(Slot::Go) => return true,
                Ok(Slot::Lost) => {
                    tracing::warn!(
                        event = "notify.lease.lost",
                        notification = hand.rows.first().map_or(0, |row| row.id.0)
                    );
                    return false;
                }
                Ok(Slot::Wait(until)) => Some(until),
                Ok(Slot::Yield) if !self.stopping() => match self.claim(Some(Priority::Critical)).await {
                    Ok(Claim::Send(row)) => {
                        // Depth ends here: a critical notice yields to nothing.
                        Box::pin(self.deliver(vec![*row], progress)).await;
                        continue;
                    }
                    Ok(Claim::Wait(until)) => Some(until),
                    _ => continue,
                },
                Ok(Slot::Yield) => None,
                Err(error) => {
                    self.db_failed(&error);
                    failures += 1;
                    if failures >= RECORD_TRIES {
                        // The lease runs out; whoever takes the rows then sends them anew.
                        return false;
                    }
                    None
                }
            };
            if self.stopping() {
                let outcome = Outcome::Later {
                    at: self.now(),
                    words: "stopped between two parts".into(),
                };
                self.end(Ending {
                    ids: hand.ids(),
                    outcome,
                    change: Change::Keep,
                })
                .await;
                return false;
            }
            self.rest(until, progress).await;
        }
    }

    /// Stores a step; a step that cannot be stored costs at most a repeat later.
    async fn note(&mut self, hand: &Hand, step: Step, change: Change) {
        let (terms, clock, ids) = (Arc::clone(&self.terms), Arc::clone(&self.config.now), hand.ids());
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
    async fn end(&mut self, ending: Ending) {
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
                outbox::record(tx, &terms, &given.ids, &given.outcome, now)?;
                Ok(recovered)
            })
            .await;
        match stored {
            Ok(recovered) => {
                self.tell_recovery(recovered);
                if ending.change == Change::Works {
                    self.broken_told = false;
                }
                Ok(())
            }
            // Somebody else has them, or an answer that was lost had stored it: nothing is left to do here.
            Err(DbError::Conflict { .. }) => {
                tracing::warn!(
                    event = "notify.lease.lost",
                    notification = ending.ids.first().map_or(0, |id| id.0)
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
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

fn kind(hand: &Hand) -> &str {
    match hand.rows.as_slice() {
        [row] => &row.kind,
        _ => "digest",
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
