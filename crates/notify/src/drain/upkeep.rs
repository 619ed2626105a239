//! What no message asks for: ending rows that are too old or that nobody can send, and telling people how many.

use std::sync::Arc;

use db::{DbError, outbox};
use domain::time::since;

use super::{Condition, Worker};

/// Stored with rows that nobody could send.
const NO_CHANNEL: &str = "no channel configured";

impl Worker {
    /// Looks first, so that an idle service writes nothing.
    pub(super) async fn upkeep(&mut self) -> Result<(), DbError> {
        if self.sender.is_none() {
            return self.suppress().await;
        }
        self.watch_arrivals().await?;
        let (max_age, gap) = (self.config.max_age, self.config.limits.summary_gap);
        let clock = Arc::clone(&self.config.now);
        let due = self
            .db
            .read("notify.expiry.look", move |tx| {
                outbox::has_expired(tx, max_age, gap, clock())
            })
            .await?;
        if !due {
            return Ok(());
        }
        let (clock, owner) = (Arc::clone(&self.config.now), self.config.owner.clone());
        let (expired, summary) = self
            .db
            .write("notify.expire", move |tx| {
                let now = clock();
                let expired = outbox::expire(tx, &owner, max_age, now)?;
                Ok((expired, outbox::summarise_expired(tx, gap, now)?))
            })
            .await?;
        if expired > 0 {
            tracing::error!(
                event = "notify.expired",
                notices = expired,
                max_age_s = max_age.as_secs()
            );
        }
        if let Some(summary) = summary {
            tracing::info!(
                event = "notify.expired.summarised",
                notification = summary.id.0,
                notices = summary.expired
            );
        }
        Ok(())
    }

    /// Whether messages reach the chat at all: told to the service's health, and once per outage to the other channels.
    async fn watch_arrivals(&mut self) -> Result<(), DbError> {
        let (terms, clock) = (Arc::clone(&self.terms), Arc::clone(&self.config.now));
        let after = self.config.limits.stuck_after;
        let (stuck, announced) = self
            .db
            .read("notify.stuck.look", move |tx| {
                Ok((
                    outbox::stuck(tx, &terms.chat_id, after, clock())?,
                    outbox::stuck_since(tx)?,
                ))
            })
            .await?;
        let clock = Arc::clone(&self.config.now);
        let condition = match stuck {
            Some(stuck) => {
                let (given, told) = (stuck.clone(), stuck.announced);
                if !told {
                    self.db
                        .write("notify.stuck", move |tx| outbox::announce_stuck(tx, &given, clock()))
                        .await?;
                }
                if self.condition == Condition::Works {
                    tracing::error!(
                        event = "notify.stuck",
                        chat = self.terms.chat_id,
                        waiting = stuck.waiting,
                        waiting_s = since(self.now(), stuck.since).as_secs(),
                        reason = stuck.because.as_deref().unwrap_or("unknown"),
                        effect = "people are told nothing by the chat",
                    );
                }
                Condition::Stuck(stuck)
            }
            None => {
                if announced.is_some() {
                    let lasted = self
                        .db
                        .write("notify.unstuck", move |tx| outbox::announce_unstuck(tx, clock()))
                        .await?;
                    if let Some(lasted) = lasted {
                        tracing::info!(
                            event = "notify.unstuck",
                            chat = self.terms.chat_id,
                            failed_s = lasted.as_secs()
                        );
                    }
                }
                Condition::Works
            }
        };
        (self.config.report)(&condition);
        self.condition = condition;
        Ok(())
    }

    async fn suppress(&mut self) -> Result<(), DbError> {
        let grace = self.config.limits.no_chat_grace;
        let clock = Arc::clone(&self.config.now);
        let due = self
            .db
            .read("notify.suppress.look", move |tx| outbox::has_older(tx, grace, clock()))
            .await?;
        if !due {
            return Ok(());
        }
        let clock = Arc::clone(&self.config.now);
        let ended = self
            .db
            .write("notify.suppress", move |tx| {
                outbox::suppress_unsendable(tx, NO_CHANNEL, grace, clock())
            })
            .await?;
        if ended > 0 {
            tracing::warn!(event = "notify.suppressed", notices = ended, reason = NO_CHANNEL);
        }
        Ok(())
    }
}
