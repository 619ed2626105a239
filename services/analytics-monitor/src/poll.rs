//! One poll: window, queries, rows, commit. Either a span is read completely and kept, or the
//! watermark stays before it and the failure is on record.

use std::sync::Arc;
use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use cf_api::{CfError, CloudflareClient};
use daemon::SharedClock;
use db::{Db, DbError};
use geoip::GeoIp;
use jiff::Timestamp;

use crate::feed::{Source, Verdict};
use crate::fetch::Pages;
use crate::keep::{Closing, Keeping, Kept};
use crate::policy::Policy;
use crate::reach::Node;
use crate::reading::{Polled, Reading};
use crate::window::{Plan, Span, beyond, plan};

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

impl PollReport {
    /// Before anything of the plan was read.
    pub fn planned(plan: &Plan) -> Self {
        Self {
            from: plan.spans.first().map(|span| span.from),
            lost: plan.lost,
            is_behind: plan.is_behind,
            ..Self::default()
        }
    }

    /// Nothing was asked for.
    pub fn of_no_contract() -> Self {
        Self {
            not_in_contract: true,
            ..Self::default()
        }
    }

    /// Whether everything there is to read was read.
    pub fn is_complete(&self) -> bool {
        self.truncated.is_empty() && self.lost.is_none() && !self.is_behind
    }
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

/// Reads what one system dropped.
#[derive(Debug)]
pub struct Poller {
    reading: Reading,
    witness: Witness,
}

impl Poller {
    /// A poller of the DDoS rules that has not polled yet.
    pub fn new(parts: Parts) -> Self {
        Self::of(parts, Witness::Ddos)
    }

    /// A poller that has not polled yet.
    pub fn of(parts: Parts, witness: Witness) -> Self {
        Self {
            reading: Reading::new(parts, Node::Rows(witness), Source::rows(witness)),
            witness,
        }
    }

    /// Whose rows it reads.
    pub fn witness(&self) -> Witness {
        self.witness
    }
}

impl Polled for Poller {
    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    async fn attempt(&mut self) -> Result<PollReport, PollError> {
        let geoip = Arc::clone(&self.reading.parts.geoip);
        tokio::task::spawn_blocking(move || geoip.refresh())
            .await
            .map_err(|_| PollError::Lookup)?;
        let begun = self.reading.begin(|_| Ok(())).await?;
        if !begun.in_contract {
            // Of the main source an empty answer would mean nothing; the other systems are bought one by one.
            return match self.witness {
                Witness::Ddos => Err(PollError::NotEnabled),
                _ => Ok(PollReport::of_no_contract()),
            };
        }
        let Parts {
            db,
            geoip,
            policy,
            clock,
            ..
        } = self.reading.parts.clone();
        let ask = self.reading.ask();
        let plan = plan(begun.watermark, ask.now, &policy, &ask.reach);
        let networks = begun.networks(&policy.anycast);
        let mut report = PollReport {
            no_networks: networks.knows_nothing(),
            ..PollReport::planned(&plan)
        };
        let mut lost = plan.lost;
        for &span in &plan.spans {
            let mut pages = Pages::new(&ask, self.witness, span);
            let mut keeping = Keeping::default();
            let mut truncated = Vec::new();
            while let Some(page) = pages.next().await? {
                truncated.extend(page.truncated.then_some(page.span));
                keeping
                    .page(&db, &geoip, &networks, page.rows, clock.now(), &*ask.progress)
                    .await?;
            }
            report.queries += pages.queries();
            let closing = Closing {
                span,
                source: self.reading.source.clone(),
                lost: lost.take(),
                truncated: beyond(&truncated, begun.watermark),
                networks: networks.clone(),
                min_packets: policy.min_packets,
                announced: policy.announced.clone(),
            };
            let kept = keeping.close(&db, closing, clock.now()).await?;
            self.reading.succeeded();
            if report.to.is_none() {
                plan.tell_oddities(&self.reading.source, begun.watermark);
            }
            report.kept.add(kept);
            report.truncated.extend(truncated);
            report.to = Some(span.to);
        }
        Ok(report)
    }
}
