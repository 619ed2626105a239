//! The monitor's numbers for Prometheus.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use daemon::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::poll::PollReport;

type Label = [(&'static str, &'static str); 1];
type Labels = [(&'static str, &'static str); 2];

/// Counters since the start.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    rows: Family<Label, Counter<u64, AtomicU64>>,
    polls: Family<Label, Counter<u64, AtomicU64>>,
    witnesses: Family<Labels, Counter<u64, AtomicU64>>,
    witness_rows: Family<Labels, Counter<u64, AtomicU64>>,
    witness_truncated: Family<Label, Counter<u64, AtomicU64>>,
    witness_watermark: Family<Label, Gauge<i64, AtomicI64>>,
    lost: Family<Label, Counter<u64, AtomicU64>>,
    queries: Counter<u64, AtomicU64>,
    truncated: Counter<u64, AtomicU64>,
    notices: Counter<u64, AtomicU64>,
    watermark: Gauge<i64, AtomicI64>,
    behind: Gauge<i64, AtomicI64>,
    took: Gauge<f64, AtomicU64>,
}

impl Numbers {
    /// Registers them.
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.register(|registry| {
            registry.register(
                "mitigation_rows",
                "Rows of dropped traffic by what became of them",
                numbers.rows.clone(),
            );
            registry.register(
                "mitigation_polls",
                "Polls of the attack analytics by outcome",
                numbers.polls.clone(),
            );
            registry.register(
                "witness_polls",
                "Polls of the sources beside the DDoS rules by outcome",
                numbers.witnesses.clone(),
            );
            registry.register(
                "witness_rows",
                "Rows of the sources beside the DDoS rules by what became of them",
                numbers.witness_rows.clone(),
            );
            registry.register(
                "witness_truncated",
                "Spans of which rows are missing, of the sources beside the DDoS rules",
                numbers.witness_truncated.clone(),
            );
            registry.register(
                "witness_watermark_timestamp_seconds",
                "Up to where everything was read, of the sources beside the DDoS rules",
                numbers.witness_watermark.clone(),
            );
            registry.register(
                "mitigation_lost_seconds",
                "Time that nobody read and that Cloudflare no longer has",
                numbers.lost.clone(),
            );
            registry.register(
                "mitigation_behind",
                "1 while there is more to catch up than one poll reads",
                numbers.behind.clone(),
            );
            registry.register(
                "mitigation_poll_seconds",
                "How long the last successful poll took, query to commit",
                numbers.took.clone(),
            );
            registry.register("mitigation_queries", "Queries for rows", numbers.queries.clone());
            registry.register(
                "mitigation_truncated",
                "Spans of which rows are missing",
                numbers.truncated.clone(),
            );
            registry.register("mitigation_notices", "Notices queued", numbers.notices.clone());
            registry.register(
                "mitigation_watermark_timestamp_seconds",
                "Up to where everything was read",
                numbers.watermark.clone(),
            );
        });
        numbers
    }

    /// A poll succeeded and took so long.
    pub fn polled(&self, report: &PollReport, took: Duration) {
        self.polls.get_or_create(&[("outcome", "ok")]).inc();
        for (what, count) in counts(report) {
            self.rows.get_or_create(&[("what", what)]).inc_by(count);
        }
        self.queries.inc_by(u64::from(report.queries));
        self.truncated.inc_by(report.truncated.len() as u64);
        self.notices.inc_by(report.kept.notices);
        self.behind.set(i64::from(report.is_behind));
        self.took.set(took.as_secs_f64());
        self.lost_of(Witness::Ddos.system(), report);
        if let Some(to) = report.to {
            self.watermark.set(to.as_second());
        }
    }

    /// A source beside the DDoS rules was read.
    pub fn witnessed(&self, source: &'static str, report: &PollReport) {
        if report.not_in_contract {
            self.witness_polls(source, "not_in_contract");
            return;
        }
        self.witness_polls(source, "ok");
        for (what, count) in counts(report) {
            self.witness_rows
                .get_or_create(&[("source", source), ("what", what)])
                .inc_by(count);
        }
        self.witness_truncated
            .get_or_create(&[("source", source)])
            .inc_by(report.truncated.len() as u64);
        self.lost_of(source, report);
        if let Some(to) = report.to {
            self.witness_watermark
                .get_or_create(&[("source", source)])
                .set(to.as_second());
        }
    }

    /// A source beside the DDoS rules could not be read.
    pub fn unwitnessed(&self, source: &'static str, code: &'static str) {
        self.witness_polls(source, code);
    }

    fn witness_polls(&self, source: &'static str, outcome: &'static str) {
        self.witnesses
            .get_or_create(&[("source", source), ("outcome", outcome)])
            .inc();
    }

    fn lost_of(&self, source: &'static str, report: &PollReport) {
        let lost_s = report.lost.map_or(0, |lost| lost.length().as_secs());
        self.lost.get_or_create(&[("source", source)]).inc_by(lost_s);
    }

    /// A poll failed.
    pub fn failed(&self, code: &'static str) {
        self.polls.get_or_create(&[("outcome", code)]).inc();
    }
}

fn counts(report: &PollReport) -> [(&'static str, u64); 3] {
    let kept = report.kept;
    [("new", kept.new), ("grown", kept.grown), ("known", kept.known)]
}
