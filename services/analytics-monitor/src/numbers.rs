//! The monitor's numbers for Prometheus.

use std::sync::atomic::{AtomicI64, AtomicU64};

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
    queries: Counter<u64, AtomicU64>,
    truncated: Counter<u64, AtomicU64>,
    notices: Counter<u64, AtomicU64>,
    watermark: Gauge<i64, AtomicI64>,
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

    /// A poll succeeded.
    pub fn polled(&self, report: &PollReport) {
        self.polls.get_or_create(&[("outcome", "ok")]).inc();
        for (what, count) in [
            ("new", report.kept.new),
            ("grown", report.kept.grown),
            ("known", report.kept.known),
        ] {
            self.rows.get_or_create(&[("what", what)]).inc_by(count);
        }
        self.queries.inc_by(u64::from(report.queries));
        self.truncated.inc_by(report.truncated.len() as u64);
        self.notices.inc_by(report.kept.notices);
        if let Some(to) = report.to {
            self.watermark.set(to.as_second());
        }
    }

    /// A source beside the DDoS rules was polled.
    pub fn witnessed(&self, witness: &'static str, outcome: &'static str) {
        self.witnesses
            .get_or_create(&[("source", witness), ("outcome", outcome)])
            .inc();
    }

    /// A poll failed.
    pub fn failed(&self, code: &'static str) {
        self.polls.get_or_create(&[("outcome", code)]).inc();
    }
}
