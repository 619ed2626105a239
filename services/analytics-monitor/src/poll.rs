//! One poll: window, queries, rows, commit. Either a span is read completely and kept, or the
//! watermark stays before it and the failure is on record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use cf_api::{CfError, CloudflareClient};
use daemon::SharedClock;
use db::{Db, DbError};
use domain::prefix::Prefix;
use geoip::GeoIp;
use jiff::Timestamp;

use crate::feed::{self, Feed, Source, Verdict};
use crate::fetch::Pages;
use crate::keep::{self, Closing, Keeping, Kept};
use crate::networks::Networks;
use crate::policy::Policy;
use crate::reach::{Limits, Node};
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
    /// Whether the contract has no such system: nothing was asked for.
    pub not_in_contract: bool,
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

/// How the polls of one source went lately, across restarts.
#[derive(Debug)]
pub struct Course {
    /// Which.
    pub source: Source,
    feed: Feed,
    restored: bool,
}

impl Course {
    /// Nothing is known to fail.
    pub fn new(source: Source) -> Self {
        Self {
            feed: Feed::new(source.clone()),
            source,
            restored: false,
        }
    }

    /// Takes over, once, what an earlier process left; `left` is [`feed::stored`].
    pub fn restore(&mut self, parts: &Parts, left: Option<&str>) {
        if !self.restored {
            self.restored = true;
            self.feed.restore(left, parts.clock.now(), parts.clock.monotonic());
        }
    }

    /// A poll succeeded and [`feed::recovered`] is committed.
    pub fn succeeded(&mut self) {
        self.feed.succeeded();
    }

    /// A poll failed: that is stored, and announced when it is time.
    pub async fn failed(&mut self, parts: &Parts, error: PollError) -> Failure {
        let (now, monotonic) = (parts.clock.now(), parts.clock.monotonic());
        let verdict = self.feed.failed(parts.policy.blind_after(), now, monotonic);
        let mut not_recorded = None;
        if let Some(write) = self.feed.write(verdict, &error.chain()) {
            let stored = write.clone();
            let written = parts.db.write("mitigations.failed", move |tx| stored.apply(tx, now));
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

/// Polls what one system dropped, one poll after the other.
pub struct Poller {
    parts: Parts,
    witness: Witness,
    limits: Limits,
    course: Course,
    progress: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("witness", &self.witness)
            .field("policy", &self.parts.policy)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the database knows before a poll.
struct Known {
    watermark: Option<Timestamp>,
    own: Vec<Prefix>,
}

impl Poller {
    /// A poller of the DDoS rules that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self::of(parts, Witness::Ddos)
    }

    /// A poller that has not polled yet.
    pub fn of(parts: Parts, witness: Witness) -> Self {
        Self {
            parts,
            witness,
            limits: Limits::new(Node::Rows(witness)),
            course: Course::new(Source::rows(witness)),
            progress: Arc::new(|| ()),
        }
    }

    /// Whose rows it reads.
    pub fn witness(&self) -> Witness {
        self.witness
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
            Err(error) => Err(self.course.failed(&self.parts, error).await),
        }
    }

    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let geoip = Arc::clone(&self.parts.geoip);
        tokio::task::spawn_blocking(move || geoip.refresh())
            .await
            .map_err(|_| PollError::Lookup)?;
        let known = self.known().await?;
        self.limits.renew(&self.parts.api, self.parts.clock.monotonic()).await;
        (self.progress)();
        if !self.limits.is_enabled() {
            // Of the main source an empty answer would mean nothing; the other systems are bought one by one.
            return match self.witness {
                Witness::Ddos => Err(PollError::NotEnabled),
                _ => Ok(PollReport {
                    not_in_contract: true,
                    ..PollReport::default()
                }),
            };
        }
        let policy = self.parts.policy.clone();
        let reach = self.limits.reach();
        let now = self.parts.clock.now();
        let plan = plan(known.watermark, now, &policy, &reach);
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
            let mut pages = Pages::new(&self.parts.api, self.witness, span, reach.page, now);
            let mut keeping = Keeping::default();
            while let Some(page) = pages.next(&*self.progress).await? {
                if page.truncated {
                    tracing::warn!(
                        event = "mitigations.page.truncated",
                        system = self.witness.system(),
                        from = %page.span.from,
                        to = %page.span.to,
                        page = reach.page,
                    );
                    report.truncated.push(page.span);
                }
                let (db, geoip) = (&self.parts.db, &self.parts.geoip);
                let at = self.parts.clock.now();
                keeping
                    .page(db, geoip, &networks, page.rows, at, &*self.progress)
                    .await?;
            }
            report.queries += pages.queries();
            let closing = Closing {
                span,
                source: self.course.source.clone(),
                lost: lost.take(),
                networks: networks.clone(),
                min_packets: policy.min_packets,
                announced: policy.announced.clone(),
            };
            let kept = keeping.close(&self.parts.db, closing, self.parts.clock.now()).await?;
            (self.progress)();
            if report.to.is_none() {
                tell_of_the_mark(&plan, known.watermark);
            }
            report.kept.add(kept);
            report.to = Some(span.to);
            self.course.succeeded();
        }
        Ok(report)
    }

    async fn known(&mut self) -> Result<Known, DbError> {
        let source = self.course.source.clone();
        let (watermark, failing, inventory) = self
            .parts
            .db
            .read("mitigations.begin", move |tx| {
                Ok((
                    keep::watermark_of(tx, &source)?,
                    feed::stored(tx, &source)?,
                    db::inventory::all(tx)?,
                ))
            })
            .await?;
        self.course.restore(&self.parts, failing.as_deref());
        Ok(Known {
            watermark,
            own: inventory.iter().map(|entry| entry.prefix.prefix).collect(),
        })
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
