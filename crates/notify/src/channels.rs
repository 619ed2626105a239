//! Channels beside the chat: copies of messages to a web address and by mail, each with a loop of its own, so that one
//! that is down delays neither the chat nor the other.
//!
//! What must hold: a copy is delivered at least once or kept with its reason; an idle loop reads and never writes; a
//! channel's trouble is logged and remembered in its shared state, where commands and pages find it.

pub mod mail;
pub mod webhook;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, CopyOutcome, CopyTerms, Notification};
use db::{Db, DbError};
use domain::notice::Priority;
use domain::time::{plus, since};
use tokio::time::Instant;

use crate::context::{Context, gather};
use crate::document::Document;
use crate::drain::{Draw, ReadClock, doubling, spread};
use crate::render::{Frame, Renderer};

/// How often it is looked whether there is something.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often old copies are looked for.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// Kinds that every channel gets.
const EVERYWHERE: [&str; 3] = ["self_test", "chat_unreachable", "chat_reachable"];

/// So many of the longest waiting times later a message is tried again whose content was refused.
const CONTENT_PATIENCE: u32 = 10;

/// Which messages a channel gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// All.
    All,
    /// Those whose urgency or kind is among these words.
    Only(Vec<String>),
}

impl Route {
    /// Whether it gets this one. What concerns the chain itself goes everywhere: tests, and that the chat cannot be
    /// reached, which nobody would learn otherwise.
    pub fn takes(&self, kind: &str, priority: Priority) -> bool {
        match self {
            Self::All => true,
            Self::Only(words) => {
                EVERYWHERE.contains(&kind) || words.iter().any(|word| word == kind || word == priority.as_str())
            }
        }
    }
}

/// Why a delivery did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It may succeed later.
    Later {
        /// What happened.
        words: String,
        /// Not before this time has passed, as told.
        wait: Option<Duration>,
    },
    /// Refused for what is in it; of several one may be the reason.
    Content {
        /// What happened.
        words: String,
    },
    /// This will never be taken.
    Never {
        /// Why.
        words: String,
    },
}

/// A message to be delivered.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The notification.
    pub row: Notification,
    /// It in words.
    pub document: Document,
}

/// Where copies go.
#[derive(Debug)]
pub enum Outlet {
    /// A web address.
    Webhook(webhook::WebhookOutlet),
    /// A mail server.
    Mail(mail::MailOutlet),
}

impl Outlet {
    /// Name in the database.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// Most messages in one delivery.
    fn most(&self) -> u32 {
        match self {
            Self::Webhook(_) => 1,
            Self::Mail(_) => 50,
        }
    }

    async fn deliver(&self, parcels: &[Parcel], now: jiff::Timestamp) -> Result<(), Refusal> {
        match self {
            Self::Webhook(outlet) => match parcels {
                [parcel] => outlet.deliver(parcel, now).await,
                _ => Ok(()),
            },
            Self::Mail(outlet) => outlet.deliver(parcels).await,
        }
    }
}

/// What a courier needs to know besides database and outlet.
#[derive(Clone)]
pub struct CourierConfig {
    /// Names this run of this process.
    pub owner: String,
    /// Which messages.
    pub route: Route,
    /// The look of messages.
    pub frame: Frame,
    /// A copy that could not be delivered for this long is given up.
    pub max_age: Duration,
    /// Smallest distance of two mails that are not critical; what comes meanwhile is in the next one.
    pub gap: Duration,
    /// First waiting time after a failed try; doubles.
    pub backoff: Duration,
    /// Longest waiting time after failed tries.
    pub backoff_most: Duration,
    /// The wall clock.
    pub now: ReadClock,
    /// Randomness for waiting times.
    pub draw: Draw,
}

/// One process's loop for one channel.
pub struct Courier {
    db: Db,
    outlet: Outlet,
    config: CourierConfig,
    renderer: Arc<Renderer>,
    last_collected: Option<Instant>,
    last_upkeep: Option<Instant>,
    failures: u32,
    /// Until so many have succeeded, each delivery holds one message, because several were refused together.
    one_by_one: u32,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier")
            .field("channel", &self.outlet.name())
            .finish_non_exhaustive()
    }
}

impl Courier {
    /// A courier that has not begun.
    pub fn new(db: Db, outlet: Outlet, config: CourierConfig) -> Self {
        Self {
            renderer: Arc::new(Renderer::new(&config.frame)),
            db,
            outlet,
            config,
            last_collected: None,
            last_upkeep: None,
            failures: 0,
            one_by_one: 0,
        }
    }

    /// Runs until `shutdown`. `progress` is called with every turn.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>, progress: impl Fn()) {
        tokio::pin!(shutdown);
        loop {
            progress();
            let turn = async {
                match self.turn().await {
                    Ok(true) => {}
                    Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
                    Err(error) => {
                        tracing::warn!(event = "notify.db.failed", code = error.code(), error = %error);
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
            };
            tokio::select! {
                // What is cut off here is delivered again after its lease, under the same number.
                () = &mut shutdown => return,
                () = turn => {}
            }
        }
    }

    /// Whether something was done.
    async fn turn(&mut self) -> Result<bool, DbError> {
        let (channel, owner) = (self.outlet.name(), self.config.owner.clone());
        let critical = self.collects();
        let clock = Arc::clone(&self.config.now);
        let (new, due) = self
            .db
            .read("notify.copies.look", move |tx| {
                Ok((
                    outbox::has_new(tx, channel)?,
                    outbox::has_due_copy(tx, channel, &owner, critical, clock())?,
                ))
            })
            .await?;
        if new {
            let (route, clock) = (self.config.route.clone(), Arc::clone(&self.config.now));
            let max_age = self.config.max_age;
            self.db
                .write("notify.copies.take_up", move |tx| {
                    outbox::take_up(
                        tx,
                        channel,
                        |row| route.takes(&row.kind, row.priority),
                        max_age,
                        clock(),
                    )
                })
                .await?;
            return Ok(true);
        }
        if self.last_upkeep.is_none_or(|last| last.elapsed() >= UPKEEP_EVERY) {
            self.last_upkeep = Some(Instant::now());
            self.expire().await?;
        }
        if !due {
            return Ok(false);
        }
        self.work(critical).await
    }

    /// Whether mails that are not critical are being collected for the next one. Failed ones wait by themselves.
    fn collects(&self) -> bool {
        matches!(self.outlet, Outlet::Mail(_))
            && self.one_by_one == 0
            && self.last_collected.is_some_and(|last| last.elapsed() < self.config.gap)
    }

    async fn expire(&self) -> Result<(), DbError> {
        let (channel, max_age, now) = (self.outlet.name(), self.config.max_age, (self.config.now)());
        let old = self
            .db
            .read("notify.copies.oldest", move |tx| outbox::oldest_copy(tx, channel))
            .await?;
        if old.is_none_or(|oldest| since(now, oldest) < max_age) {
            return Ok(());
        }
        let expired = self
            .db
            .write("notify.copies.expire", move |tx| {
                outbox::expire_copies(tx, channel, max_age, now)
            })
            .await?;
        if expired > 0 {
            tracing::error!(event = "notify.copy.expired", channel, notices = expired);
        }
        Ok(())
    }

    async fn work(&mut self, critical: bool) -> Result<bool, DbError> {
        let terms = CopyTerms {
            channel: self.outlet.name().to_owned(),
            owner: self.config.owner.clone(),
            lease: Duration::from_secs(90),
            most: if self.one_by_one == 0 { self.outlet.most() } else { 1 },
            critical,
        };
        let clock = Arc::clone(&self.config.now);
        let rows = self
            .db
            .write("notify.copies.claim", move |tx| {
                outbox::claim_copies(tx, &terms, clock())
            })
            .await?;
        if rows.is_empty() {
            return Ok(false);
        }
        if rows.iter().any(|row| row.priority != Priority::Critical) {
            self.last_collected = Some(Instant::now());
        }
        let parcels = self.parcels(rows).await;
        let outcome = match self.outlet.deliver(&parcels, (self.config.now)()).await {
            Ok(()) => {
                self.one_by_one = self.one_by_one.saturating_sub(1);
                CopyOutcome::Sent
            }
            Err(Refusal::Never { words }) => CopyOutcome::Failed { words },
            Err(Refusal::Content { words }) => {
                let wait = if parcels.len() > 1 {
                    self.one_by_one = u32::try_from(parcels.len()).unwrap_or(u32::MAX);
                    self.config.backoff
                } else {
                    // Only a person can put it right, at either end.
                    self.config.backoff_most * CONTENT_PATIENCE
                };
                CopyOutcome::Retry {
                    at: plus((self.config.now)(), wait),
                    words,
                }
            }
            Err(Refusal::Later { words, wait }) => {
                let doubled = doubling(
                    self.config.backoff,
                    self.failures.saturating_add(1),
                    self.config.backoff_most,
                );
                let wait = wait.unwrap_or_default().max(spread(doubled, (self.config.draw)()));
                CopyOutcome::Retry {
                    at: plus((self.config.now)(), wait.min(outbox::LONGEST_WAIT)),
                    words,
                }
            }
        };
        self.record(&parcels, outcome).await?;
        Ok(true)
    }

    async fn parcels(&self, rows: Vec<Notification>) -> Vec<Parcel> {
        let now = (self.config.now)();
        let given = rows.clone();
        let gathered = self.db.read("notify.copies.look_up", move |tx| {
            Ok(given
                .iter()
                .map(|row| gather(tx, std::slice::from_ref(row), "", now))
                .collect::<Vec<Context>>())
        });
        let contexts = match gathered.await {
            Ok(contexts) => contexts,
            Err(error) => vec![Context::unavailable(error.to_string()); rows.len()],
        };
        rows.into_iter()
            .zip(contexts)
            .map(|(row, context)| Parcel {
                document: self.renderer.message(std::slice::from_ref(&row), &context, now),
                row,
            })
            .collect()
    }

    async fn record(&mut self, parcels: &[Parcel], outcome: CopyOutcome) -> Result<(), DbError> {
        let channel = self.outlet.name();
        let ids: Vec<_> = parcels.iter().map(|parcel| parcel.row.id).collect();
        let first = ids.first().map_or(0, |id| id.0);
        match &outcome {
            CopyOutcome::Sent => {
                tracing::info!(
                    event = "notify.copy.sent",
                    channel,
                    notification = first,
                    notices = ids.len()
                );
            }
            CopyOutcome::Failed { words } => {
                tracing::error!(event = "notify.copy.refused", channel, notification = first, words);
            }
            CopyOutcome::Retry { words, .. } => {
                self.failures = self.failures.saturating_add(1);
                if self.failures.is_power_of_two() {
                    tracing::warn!(
                        event = "notify.copy.failed",
                        channel,
                        notification = first,
                        failures = self.failures,
                        words
                    );
                }
            }
        }
        let failing = match &outcome {
            CopyOutcome::Retry { words, .. } => Some(words.clone()),
            _ => None,
        };
        if failing.is_none() {
            self.failures = 0;
        }
        let (owner, clock) = (self.config.owner.clone(), Arc::clone(&self.config.now));
        let recovered = self
            .db
            .write("notify.copies.record", move |tx| {
                let now = clock();
                outbox::record_copies(tx, channel, &owner, &ids, &outcome, now)?;
                let before = outbox::channel(tx, channel)?;
                let mut after = before.clone();
                after.failing_since = failing
                    .is_some()
                    .then(|| before.failing_since.filter(|from| *from <= now).unwrap_or(now));
                after.blocked_because = failing;
                if after != before {
                    outbox::set_channel(tx, channel, &after, now)?;
                }
                Ok(before
                    .failing_since
                    .filter(|_| after.failing_since.is_none())
                    .map(|from| since(now, from)))
            })
            .await?;
        if let Some(failed_for) = recovered {
            tracing::info!(
                event = "notify.copy.recovered",
                channel,
                failed_s = failed_for.as_secs()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgencies_and_kinds_are_routed_and_tests_go_everywhere() {
        let route = Route::Only(vec!["critical".into(), "withdrawn".into()]);
        assert!(route.takes("automation_blind", Priority::Critical));
        assert!(route.takes("withdrawn", Priority::High));
        assert!(route.takes("self_test", Priority::Info));
        assert!(Route::Only(vec!["withdrawn".into()]).takes("chat_unreachable", Priority::Critical));
        assert!(!route.takes("alert", Priority::High));
        assert!(Route::All.takes("alert", Priority::Info));
    }
}
