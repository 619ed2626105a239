//! What no message asks for: ending rows that are too old or that nobody can send, and telling people how many.

use std::sync::Arc;

use db::{DbError, outbox};

use super::Worker;

/// Stored with rows that nobody could send.
const NO_CHANNEL: &str = "no channel configured";

impl Worker {
    /// Looks first, so that an idle service writes nothing.
    pub(super) async fn upkeep(&mut self) -> Result<(), DbError> {
        if self.sender.is_none() {
            return self.suppress().await;
        }
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
