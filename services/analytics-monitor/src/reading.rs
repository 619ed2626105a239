//! What the readers of all sources have in common: where a poll begins, what it may ask for, how polls went lately.
//!
//! A source is polled by [`Polled::poll_once`]: its own `attempt`, and when that fails the failure is on record before
//! anybody hears of it.

use std::fmt;
use std::sync::Arc;

use cf_api::CloudflareClient;
use db::{DbError, ReadTx};
use domain::prefix::Prefix;
use jiff::Timestamp;

use crate::feed::{self, Feed, Source};
use crate::keep;
use crate::networks::Networks;
use crate::poll::{Failure, Parts, PollError, PollReport};
use crate::reach::{Limits, Node, Reach};

/// A source that is polled, one poll after the other.
pub trait Polled: Send {
    /// What it has in common with the others.
    fn reading(&mut self) -> &mut Reading;

    /// Reads what is new and stores it.
    fn attempt(&mut self) -> impl Future<Output = Result<PollReport, PollError>> + Send;

    /// Reads from the watermark to now and keeps what came. Cancelling it loses nothing: the next poll continues from
    /// the watermark.
    ///
    /// # Errors
    /// Why not everything could be read and stored; what was kept before the failure stays kept.
    fn poll_once(&mut self) -> impl Future<Output = Result<PollReport, Failure>> + Send {
        async {
            match self.attempt().await {
                Ok(report) => Ok(report),
                Err(error) => Err(self.reading().failed(error).await),
            }
        }
    }
}

/// Called after each answer and each write, so that whoever watches sees progress.
pub type Progress = Arc<dyn Fn() + Send + Sync>;

/// Whom to ask, for how much, and when that is.
#[derive(Clone)]
pub struct Ask {
    /// Cloudflare.
    pub api: CloudflareClient,
    /// Bounds of one query.
    pub reach: Reach,
    /// Our clock when the poll began.
    pub now: Timestamp,
    /// Called after each answer.
    pub progress: Progress,
}

/// The reader of one source.
pub struct Reading {
    /// What it works with.
    pub parts: Parts,
    /// Where its marks are.
    pub source: Source,
    limits: Limits,
    feed: Feed,
    restored: bool,
    progress: Progress,
}

/// Where a poll begins.
#[derive(Debug)]
pub struct Begun<T> {
    /// Up to where everything was read.
    pub watermark: Option<Timestamp>,
    /// Networks by configuration and discovery; no order.
    pub own: Vec<Prefix>,
    /// What the source itself wanted from the database.
    pub more: T,
    /// Whether the contract has this source, as far as is known.
    pub in_contract: bool,
}

impl<T> Begun<T> {
    /// Whose address is whose.
    pub fn networks(&self, anycast: &[Prefix]) -> Networks {
        Networks::new(self.own.iter().copied(), anycast)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("source", &self.source)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Reading {
    /// Nothing was read yet, and nothing is known to fail.
    pub fn new(parts: Parts, node: Node, source: Source) -> Self {
        Self {
            parts,
            limits: Limits::new(node),
            feed: Feed::new(source.clone()),
            source,
            restored: false,
            progress: Arc::new(|| ()),
        }
    }

    /// Calls `progress` after each answer and each write.
    pub fn watched(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Says that something was done.
    pub fn tick(&self) {
        (self.progress)();
    }

    /// What an earlier poll or process left, and what may be asked for.
    ///
    /// # Errors
    /// Those of the database. Limits that cannot be read are no failure.
    pub async fn begin<T: Send + 'static>(
        &mut self,
        more: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Begun<T>, DbError> {
        let source = self.source.clone();
        let (watermark, failing, inventory, more) = self
            .parts
            .db
            .read("mitigations.begin", move |tx| {
                Ok((
                    keep::watermark_of(tx, &source)?,
                    feed::stored(tx, &source)?,
                    db::inventory::all(tx)?,
                    more(tx)?,
                ))
            })
            .await?;
        let clock = &self.parts.clock;
        if !self.restored {
            self.restored = true;
            self.feed.restore(failing.as_deref(), clock.now(), clock.monotonic());
        }
        self.limits.renew(&self.parts.api, clock.monotonic()).await;
        self.tick();
        let mut own = self.parts.policy.own.clone();
        own.extend(inventory.iter().map(|entry| entry.prefix.prefix));
        own.sort();
        own.dedup();
        Ok(Begun {
            watermark,
            own,
            more,
            in_contract: self.limits.is_enabled(),
        })
    }

    /// Whom to ask from now on.
    pub fn ask(&self) -> Ask {
        Ask {
            api: self.parts.api.clone(),
            reach: self.limits.reach(),
            now: self.parts.clock.now(),
            progress: Arc::clone(&self.progress),
        }
    }

    /// Something was read and [`keep::finish`] is committed.
    pub fn succeeded(&mut self) {
        self.tick();
        self.feed.succeeded();
    }

    /// A poll failed: that is stored, and announced when it is time.
    async fn failed(&mut self, error: PollError) -> Failure {
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let verdict = self.feed.failed(self.parts.policy.blind_after(), now, monotonic);
        let mut not_recorded = None;
        if let Some(write) = self.feed.write(verdict, &error.chain()) {
            let stored = write.clone();
            let written = self
                .parts
                .db
                .write("mitigations.failed", move |tx| stored.apply(tx, now));
            match written.await {
                Ok(()) => self.feed.stored(&write),
                Err(error) => not_recorded = Some(error),
            }
        }
        Failure {
            error,
            verdict,
            not_recorded,
        }
    }
}
