//! Questions people put to the bot in the chat, polled by one service at a time and answered through the outbox, so that
//! an answer keeps the chat's pace and survives a crash like every other message.
//!
//! What must hold: only listed users are answered, in the configured chat only (wherever it moved); nothing asked here
//! touches BGP; an update is confirmed in the transaction that stores its answer; two services never poll at once; however
//! much is asked, no more than a few answers wait.

mod answers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use db::{Db, DbError, leases, outbox};
use serde_json::Value;
use tokio::time::Instant;

use crate::drain::ReadClock;
use crate::telegram::{TelegramSender, Updates};
use crate::words::Words;

/// Name of the lease.
const LEASE: &str = "telegram.updates";

/// Begin of the cursor's name: the first update not yet answered. Each bot counts its own, so its number follows.
const CURSOR: &str = "telegram.updates";

/// So many answers wait at most; further questions are not answered.
const MOST_WAITING: u32 = 4;

/// A holder that bumps nothing for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(90);

/// How often it is looked whether the holder lives.
const STAND_BY: Duration = Duration::from_secs(10);

/// Pause after a poll that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// Questions older than this are not answered: whoever asked has looked elsewhere since.
const STALE: Duration = Duration::from_secs(600);

/// Longest name of somebody who asks; people choose them themselves.
const LONGEST_NAME: usize = 40;

/// Longest question that is read.
const LONGEST: usize = 200;

/// What a listener needs to know.
#[derive(Clone)]
pub struct AskConfig {
    /// Names this run of this process.
    pub owner: String,
    /// Users who are answered.
    pub operators: Vec<u64>,
    /// How long a poll waits for a question; shorter in tests.
    pub poll: Duration,
    /// The wall clock.
    pub now: ReadClock,
}

/// One process's listener.
pub struct Listener {
    db: Db,
    sender: TelegramSender,
    config: AskConfig,
    seen: Option<(leases::Lease, Instant)>,
    failures: u32,
    /// The chat's id where it differs from the configured one, because the chat moved.
    moved_to: Option<i64>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// A question of somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    user: u64,
    name: String,
    text: String,
}

impl Listener {
    /// A listener that has not begun.
    pub fn new(db: Db, sender: TelegramSender, config: AskConfig) -> Self {
        Self {
            db,
            sender,
            config,
            seen: None,
            failures: 0,
            moved_to: None,
        }
    }

    /// Runs until `shutdown`. `progress` is called with every turn, which takes at most a poll and its deadline.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>, progress: impl Fn()) {
        tokio::pin!(shutdown);
        loop {
            progress();
            let turn = async {
                let pause = match self.turn().await {
                    Ok(pause) => pause,
                    Err(error) => {
                        tracing::warn!(event = "notify.db.failed", code = error.code(), error = %error);
                        AFTER_FAILURE
                    }
                };
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = turn => {}
            }
        }
        let owner = self.config.owner.clone();
        let release = self
            .db
            .write("ask.release", move |tx| leases::release(tx, LEASE, &owner));
        // A successor waits a little longer if this does not work.
        let _ = tokio::time::timeout(Duration::from_secs(2), release).await;
    }

    /// One poll, if it is ours to do. Returns how long to wait then.
    async fn turn(&mut self) -> Result<Duration, DbError> {
        let Some(offset) = self.hold().await? else {
            return Ok(STAND_BY.min(self.config.poll * 2));
        };
        match self.sender.updates(offset, self.config.poll).await {
            Updates::Some(updates) => {
                self.failures = 0;
                // What was asked for is not given again, whatever the server makes of the offset.
                let new = |update: &Value| update["update_id"].as_i64().is_some_and(|id| id >= offset);
                self.answer(updates.into_iter().filter(new).collect()).await?;
                Ok(Duration::ZERO)
            }
            Updates::Wait(wait) => Ok(wait),
            Updates::Failed { words } => {
                self.failures = self.failures.saturating_add(1);
                if self.failures.is_power_of_two() {
                    tracing::warn!(event = "notify.ask.failed", failures = self.failures, words);
                }
                Ok(AFTER_FAILURE.min(self.config.poll))
            }
        }
    }

    /// Takes or keeps the lease; the first update to ask for, if it is ours.
    async fn hold(&mut self) -> Result<Option<i64>, DbError> {
        let (owner, clock) = (self.config.owner.clone(), Arc::clone(&self.config.now));
        let (chat, name) = (self.sender.chat().to_string(), self.cursor_name());
        let dead = self
            .seen
            .as_ref()
            .filter(|(_, since)| since.elapsed() >= DEAD_AFTER)
            .map(|(lease, _)| lease.clone());
        let held = self
            .db
            .write("ask.lease", move |tx| {
                let now = clock();
                let mut ours = leases::bump(tx, LEASE, &owner, now)?;
                let mut current = None;
                if !ours {
                    current = leases::get(tx, LEASE)?;
                    let free = current.is_none() || current == dead;
                    ours = free && leases::take(tx, LEASE, &owner, current.as_ref(), now)?;
                }
                if ours {
                    let cursor = leases::cursor(tx, &name)?.and_then(|text| text.parse::<i64>().ok());
                    let moved = outbox::channel(tx, &chat)?.migrated_chat_id;
                    return Ok(Ok((cursor.unwrap_or_default(), moved)));
                }
                Ok(Err(current))
            })
            .await?;
        match held {
            Ok((offset, moved)) => {
                self.seen = None;
                self.moved_to = moved.and_then(|id| id.parse().ok());
                Ok(Some(offset))
            }
            Err(current) => {
                if let Some(lease) = current
                    && self.seen.as_ref().is_none_or(|(known, _)| *known != lease)
                {
                    self.seen = Some((lease, Instant::now()));
                }
                Ok(None)
            }
        }
    }

    fn cursor_name(&self) -> String {
        match self.sender.bot_number() {
            Some(number) => format!("{CURSOR}.{number}"),
            None => CURSOR.to_owned(),
        }
    }

    async fn answer(&self, updates: Vec<Value>) -> Result<(), DbError> {
        for update in updates {
            let Some(id) = update["update_id"].as_i64() else {
                continue;
            };
            let question = self.question(&update);
            if let Some(question) = &question {
                let command = question.text.split_whitespace().next().unwrap_or_default();
                tracing::info!(event = "notify.ask.asked", user = question.user, command);
            }
            let (clock, owner, name) = (
                Arc::clone(&self.config.now),
                self.config.owner.clone(),
                self.cursor_name(),
            );
            let dropped = self
                .db
                .write("ask.answer", move |tx| {
                    let now = clock();
                    // Somebody who took over answers it instead.
                    if !leases::bump(tx, LEASE, &owner, now)? {
                        return Ok(None);
                    }
                    let mut dropped = None;
                    if let Some(question) = question {
                        if outbox::waiting_answers(tx)? >= MOST_WAITING {
                            dropped = Some(question.user);
                        } else {
                            answers::answer(tx, &question.name, question.user, &question.text, now)?;
                        }
                    }
                    leases::set_cursor(tx, &name, &(id + 1).to_string(), now)?;
                    Ok(dropped)
                })
                .await?;
            if let Some(user) = dropped {
                tracing::warn!(event = "notify.ask.too_many", user, waiting = MOST_WAITING);
            }
        }
        Ok(())
    }

    /// The question in an update, if it is one, is fresh, and comes from a listed user in our chat.
    fn question(&self, update: &Value) -> Option<Question> {
        let message = &update["message"];
        let text = message["text"].as_str().filter(|text| text.starts_with('/'))?;
        let (chat, user) = (message["chat"]["id"].as_i64()?, message["from"]["id"].as_u64()?);
        let ours = match self.sender.chat() {
            crate::telegram::ChatId::Number(number) => *number == chat || self.moved_to == Some(chat),
            crate::telegram::ChatId::Name(name) => message["chat"]["username"].as_str() == name.strip_prefix('@'),
        };
        if !self.config.operators.contains(&user) || message["from"]["is_bot"] == true {
            tracing::warn!(event = "notify.ask.stranger", user, chat);
            return None;
        }
        if !ours {
            tracing::info!(event = "notify.ask.elsewhere", user, chat);
            return None;
        }
        let age = (self.config.now)().as_second() - message["date"].as_i64().unwrap_or_default();
        if age > i64::try_from(STALE.as_secs()).unwrap_or(i64::MAX) {
            return None;
        }
        Some(Question {
            user,
            name: message["from"]["username"]
                .as_str()
                .or(message["from"]["first_name"].as_str())
                .map(|name| Words::outside(name, LONGEST_NAME).as_str().to_owned())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "somebody".to_owned()),
            text: text.chars().take(LONGEST).collect(),
        })
    }
}
