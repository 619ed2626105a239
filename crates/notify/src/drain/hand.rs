//! What one claimed message goes through, from words to a recorded end.
//!
//! A message stays in hand while it changes its form (plain text, the barest text, smaller parts) or its address (moved
//! chat, topic gone) and between its parts; each of these asks for its own place in the pace, and critical notices may go
//! in between. Everything else ends it: sent, or to be tried later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, Channel, Claim, LONGEST_WAIT, Notification, Outcome, Slot, Step};
use domain::ids::NotificationId;
use domain::notice::Priority;
use domain::time::{plus, since};
use jiff::Timestamp;
use tokio::time::Instant;

use super::record::{Change, Ending, FLOOD, RECORD_TRIES};
use super::{Worker, limits};
use crate::context::{Context, gather};
use crate::document::{Document, Room};
use crate::telegram::{Delivery, Target};

/// A flood wait longer than this keeps alarms from people.
const LONG_FLOOD: Duration = Duration::from_secs(120);

/// Notices read whole of those that a message holds already.
const TOLD_WHOLE: u32 = 40;

/// How much of itself a message shows. Each is tried when Telegram refuses the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With markup.
    Html,
    /// All of its text.
    Plain,
    /// One line of our own about each notice: nothing in it can be what was refused.
    Bare,
}

struct Hand {
    rows: Vec<Notification>,
    pieces: VecDeque<Document>,
    sent: usize,
    first_message: Option<i64>,
    form: Form,
    target: Target,
    /// The message to send in place of an edit that cannot be made.
    instead: Vec<Document>,
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

enum Next {
    Again { step: Step, change: Change },
    End { outcome: Outcome, change: Change },
}

impl Worker {
    /// Sends what was claimed. Ends with everything recorded, or kept to be recorded as soon as the database answers.
    /// `edit` is the message of the chat that they are written into.
    pub(super) async fn deliver(&mut self, rows: Vec<Notification>, edit: Option<i64>, progress: &impl Fn()) {
        let Some(sender) = self.sender.clone() else { return };
        let mut hand = self.take_in_hand(rows, edit).await;
        while let Some(piece) = hand.pieces.front() {
            progress();
            let html = hand.form == Form::Html;
            let text = if html { piece.html() } else { piece.plain() };
            self.set_busy(true);
            let delivery = sender.send(text, html, &hand.target).await;
            self.set_busy(false);
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
                    self.note(hand.ids(), step, change).await;
                    if !self.next_slot(&hand, progress).await {
                        return;
                    }
                }
            }
        }
    }

    async fn take_in_hand(&mut self, rows: Vec<Notification>, edit: Option<i64>) -> Hand {
        let now = self.now();
        let (given, terms) = (rows.clone(), Arc::clone(&self.terms));
        let looked_up = self
            .db
            .read("notify.look_up", move |tx| {
                let mut context = gather(tx, &given, &terms.chat_id, now);
                if let Some(message) = edit {
                    context.told = outbox::told(tx, &terms.chat_id, message, TOLD_WHOLE)?;
                }
                Ok((context, outbox::channel(tx, &terms.chat_id)?))
            })
            .await;
        let (mut context, channel) = match looked_up {
            Ok(found) => found,
            Err(error) => {
                self.db_failed(&error);
                (Context::unavailable(error.to_string()), Channel::default())
            }
        };
        let plain = rows.iter().any(|row| row.plain);
        let mut target = Target {
            moved_to: channel.migrated_chat_id.as_deref().and_then(|id| id.parse().ok()),
            without_thread: channel.without_thread,
            // In its barest form a message answers nothing: that may be what was refused.
            reply_to: context.answers.filter(|_| !plain),
            silent: rows.iter().all(|row| row.priority == Priority::Info),
            edit: edit.filter(|_| context.told.is_some()),
        };
        let written = |context: &Context| self.renderer.message(&rows, context, now).pieces(Room::default());
        let mut pieces = written(&context);
        let mut instead = Vec::new();
        if context.told.take().is_some() {
            instead = written(&context);
            // A message is edited as a whole, so it must stay one.
            if pieces.len() != 1 {
                target.edit = None;
                pieces = std::mem::take(&mut instead);
            }
        }
        Hand {
            rows,
            pieces: pieces.into(),
            sent: 0,
            first_message: None,
            form: if plain { Form::Plain } else { Form::Html },
            target,
            instead,
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
            Delivery::NotModified => self.arrived(hand, hand.target.edit),
            Delivery::EditGone { words } | Delivery::TooLong { words } if hand.target.edit.is_some() => {
                uneditable(hand, words)
            }
            // Without an edit it is about a message that this one answers: a barer form answers none.
            Delivery::EditGone { words } | Delivery::FormRefused { words } => self.barer(hand, words, now),
            Delivery::Permanent { words } => {
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
                    return self.barer(hand, words, now);
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

    /// After a refusal: the next form. The barest one is tried again until it is too old, because a notice that nobody can
    /// put right by itself must not be lost to an answer that nobody understands.
    fn barer(&mut self, hand: &mut Hand, words: String, now: Timestamp) -> Next {
        let id = hand.rows.first().map_or(0, |row| row.id.0);
        match hand.form {
            Form::Html => hand.form = Form::Plain,
            // What the message says already is worth more than the bare text.
            Form::Plain if hand.target.edit.is_some() => return uneditable(hand, words),
            Form::Plain => {
                hand.form = Form::Bare;
                hand.pieces = [self.renderer.bare(&hand.rows)].into();
            }
            Form::Bare => {
                let limits = &self.config.limits;
                let wait = limits::spread(limits.broken_pause, (self.config.draw)());
                tracing::error!(
                    event = "notify.message.refused",
                    notification = id,
                    kind = kind(hand),
                    again_in_s = wait.as_secs(),
                    words
                );
                return Next::End {
                    outcome: Outcome::Retry {
                        at: plus(now, wait),
                        words,
                    },
                    change: Change::Keep,
                };
            }
        }
        tracing::warn!(event = "notify.markup.refused", notification = id, words);
        hand.target.reply_to = None;
        Next::Again {
            step: Step::Plain { words },
            change: Change::Keep,
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
        if let Some(edited) = hand.target.edit {
            hand.first_message = Some(edited);
        }
        let words = match (hand.target.edit, hand.rows.len()) {
            (Some(message), count) => format!("{count} written into message {message}"),
            (None, 1) => String::new(),
            (None, count) => format!("in a digest of {count}"),
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
            edited = hand.target.edit.is_some(),
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
                    // Depth ends here: a critical notice yields to nothing.
                    Ok(Claim::Send(row)) => {
                        Box::pin(self.deliver(vec![*row], None, progress)).await;
                        continue;
                    }
                    Ok(Claim::Digest(rows)) => {
                        Box::pin(self.deliver(rows, None, progress)).await;
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
}

/// A new message instead of the edit.
fn uneditable(hand: &mut Hand, words: String) -> Next {
    let message_id = hand.target.edit.take().unwrap_or_default();
    tracing::info!(
        event = "notify.message.uneditable",
        notification = hand.rows.first().map_or(0, |row| row.id.0),
        message_id,
        words
    );
    hand.pieces = std::mem::take(&mut hand.instead).into();
    Next::Again {
        step: Step::Uneditable { message_id, words },
        change: Change::Keep,
    }
}

fn kind(hand: &Hand) -> &str {
    match hand.rows.as_slice() {
        [row] => &row.kind,
        _ => "digest",
    }
}
