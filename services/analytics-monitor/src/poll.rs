//! One poll: window, queries, rows, commit. Either a span is read completely and kept, or the
//! watermark stays before it and the failure is on record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cf_api::{CfError, CloudflareClient};
use daemon::{SharedClock, Streak};
use db::{Db, DbError};
use domain::prefix::Prefix;
use geoip::GeoIp;
use jiff::Timestamp;

use crate::enrich::enrich;
use crate::feed::{self, Feed, Verdict};
use crate::fetch::fetch;
use crate::keep::{self, Closing, Kept, keep};
use crate::networks::Networks;
use crate::policy::Policy;
use crate::reach::{READ_EVERY, Reach};
use crate::window::{Plan, Span, plan};

/// What a poll works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Cloudflare.
    pub api: CloudflareClient,
    /// The clock.
    pub clock: SharedClock,
    /// Where addresses are.
    pub geoip: Arc<GeoIp>,
    /// The numbers it works by.
    pub policy: Policy,
}

/// What a poll did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollReport {
    /// Begin of what was read.
    pub from: Option<Timestamp>,
    /// End of what was read: the watermark.
    pub to: Option<Timestamp>,
    /// Rows and notices.
    pub kept: Kept,
    /// Queries it took.
    pub queries: u32,
    /// Spans of which rows are missing because a page was full.
    pub truncated: Vec<Span>,
    /// Between the watermark and what Cloudflare still had.
    pub lost: Option<Span>,
    /// Whether there is more to catch up.
    pub is_behind: bool,
    /// Whether nothing is known to be ours, so that everything is announced.
    pub no_networks: bool,
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// Cloudflare gave no usable answer.
    #[error("Cloudflare's attack analytics cannot be read")]
    Cloudflare(#[source] Box<CfError>),
    /// The contract has no attack analytics: an empty answer would mean nothing.
    #[error("Cloudflare says that this account has no attack analytics")]
    NotEnabled,
    /// The database could not be read or written.
    #[error("the rows cannot be stored")]
    Database(#[from] DbError),
    /// A task of ours panicked.
    #[error("addresses could not be looked up")]
    Lookup,
}

impl From<CfError> for PollError {
    fn from(error: CfError) -> Self {
        Self::Cloudflare(Box::new(error))
    }
}

impl PollError {
    /// Stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cloudflare(error) => error.class.as_str(),
            Self::NotEnabled => "not_enabled",
            Self::Database(error) => error.code(),
            Self::Lookup => "lookup",
        }
    }

    /// The whole chain of causes.
    pub fn chain(&self) -> String {
        match self {
            Self::Cloudflare(error) => format!("{self}: {error}"),
            Self::Database(error) => format!("{self}: {error}"),
            Self::NotEnabled | Self::Lookup => self.to_string(),
        }
    }

    /// How long Cloudflare asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Cloudflare(error) => error.retry_after,
            _ => None,
        }
    }
}

/// A failed poll, and how things stand after it.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: PollError,
    /// Since when polls fail, and whether that is long enough to be blind.
    pub verdict: Verdict,
    /// Why that could not be stored, if so.
    pub not_recorded: Option<DbError>,
}

/// Polls, one after the other.
pub struct Poller {
    parts: Parts,
    reach: Reach,
    enabled: bool,
    reach_read: Option<Duration>,
    limits_unread: Streak,
    feed: Feed,
    restored: bool,
    progress: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("policy", &self.parts.policy)
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// What the database knows before a poll.
struct Known {
    watermark: Option<Timestamp>,
    own: Vec<Prefix>,
}

impl Poller {
    /// A poller that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            reach: Reach::default(),
            enabled: true,
            reach_read: None,
            limits_unread: Streak::new(),
            feed: Feed::default(),
            restored: false,
            progress: Arc::new(|| ()),
        }
    }

    /// Calls `progress` after each answer and each write.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn() + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Reads from the watermark to now and keeps what came. Cancelling it loses nothing: the next
    /// poll continues from the watermark.
    ///
    /// # Errors
    /// Why not everything could be read and stored; spans kept before the failure stay kept.
    pub async fn poll_once(&mut self) -> Result<PollReport, Failure> {
        match self.attempt().await {
            Ok(report) => Ok(report),
            Err(error) => Err(self.note_failure(error).await),
        }
    }

    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let geoip = Arc::clone(&self.parts.geoip);
        tokio::task::spawn_blocking(move || geoip.refresh())
            .await
            .map_err(|_| PollError::Lookup)?;
        let known = self.known().await?;
        self.read_limits_when_due().await;
        if !self.enabled {
            return Err(PollError::NotEnabled);
        }
        let policy = self.parts.policy.clone();
        let now = self.parts.clock.now();
        let plan = plan(known.watermark, now, &policy, &self.reach);
        let own = policy.own.iter().copied().chain(known.own.iter().copied());
        let networks = Networks::new(own, &policy.anycast);
        let mut report = PollReport {
            from: plan.spans.first().map(|span| span.from),
            lost: plan.lost,
            is_behind: plan.is_behind,
            no_networks: networks.knows_nothing(),
            ..PollReport::default()
        };
        let mut lost = plan.lost;
        for &span in &plan.spans {
            let fetched = fetch(&self.parts.api, span, self.reach.page, now, &*self.progress).await?;
            report.queries += fetched.queries;
            let (geoip, around) = (Arc::clone(&self.parts.geoip), networks.clone());
            let rows = tokio::task::spawn_blocking(move || {
                let rows = fetched.rows.iter();
                rows.map(|row| enrich(row, &geoip, &around)).collect::<Vec<_>>()
            });
            let rows = rows.await.map_err(|_| PollError::Lookup)?;
            let closing = Closing {
                span,
                lost: lost.take(),
                networks: networks.clone(),
                min_packets: policy.min_packets,
            };
            let kept = keep(&self.parts.db, rows, closing, self.parts.clock.now(), &*self.progress).await?;
            if report.to.is_none() {
                tell_of_the_mark(&plan, known.watermark);
            }
            report.kept.add(kept);
            report.to = Some(span.to);
            for part in fetched.truncated {
                tracing::warn!(
                    event = "mitigations.page.truncated",
                    from = %part.from,
                    to = %part.to,
                    page = self.reach.page,
                );
                report.truncated.push(part);
            }
            self.feed.succeeded();
        }
        Ok(report)
    }

    async fn known(&mut self) -> Result<Known, DbError> {
        let (watermark, failing, inventory) = self
            .parts
            .db
            .read("mitigations.begin", |tx| {
                Ok((keep::watermark(tx)?, feed::stored(tx)?, db::inventory::all(tx)?))
            })
            .await?;
        if !self.restored {
            self.restored = true;
            let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
            self.feed.restore(failing.as_deref(), now, monotonic);
        }
        Ok(Known {
            watermark,
            own: inventory.iter().map(|entry| entry.prefix.prefix).collect(),
        })
    }

    /// A failure here is not the poll's: it goes on with what is known, within what is certain.
    async fn read_limits_when_due(&mut self) {
        let now = self.parts.clock.monotonic();
        if self
            .reach_read
            .is_some_and(|read| now.saturating_sub(read) < READ_EVERY)
        {
            return;
        }
        match self.parts.api.node_limits().await {
            Ok(limits) => {
                let reach = Reach::of(&limits.mitigations);
                if reach != self.reach || limits.mitigations.enabled != self.enabled {
                    tracing::info!(
                        event = "mitigations.limits.read",
                        enabled = limits.mitigations.enabled,
                        page_rows = reach.page,
                        max_duration_s = reach.max_duration.as_secs(),
                        not_older_than_s = reach.not_older_than.map(|age| age.as_secs()),
                    );
                }
                self.limits_unread.recovered(now);
                self.reach = reach;
                self.enabled = limits.mitigations.enabled;
                self.reach_read = Some(now);
            }
            Err(error) => {
                if let Some(run) = self.limits_unread.failed(now) {
                    tracing::warn!(event = "mitigations.limits.unread", failures = run.failures, error = %error);
                }
            }
        }
        (self.progress)();
    }

    async fn note_failure(&mut self, error: PollError) -> Failure {
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let feed = &mut self.feed;
        let verdict = feed.failed(self.parts.policy.blind_after(), now, monotonic);
        let mut not_recorded = None;
        if let Some(write) = feed.write(verdict, &error.chain()) {
            let stored = write.clone();
            match self
                .parts
                .db
                .write("mitigations.failed", move |tx| stored.apply(tx, now))
                .await
            {
                Ok(()) => feed.stored(&write),
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

/// What a poll found odd about the watermark, told once it has moved.
fn tell_of_the_mark(plan: &Plan, mark: Option<Timestamp>) {
    if let Some(mark) = mark.filter(|_| plan.watermark_ahead) {
        tracing::warn!(event = "mitigations.watermark.ahead", mark = %mark);
    }
    if let Some(lost) = plan.lost {
        tracing::error!(event = "mitigations.gap.lost", from = %lost.from, to = %lost.to);
    }
}
