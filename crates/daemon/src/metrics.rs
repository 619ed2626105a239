//! Numbers for Prometheus, and the ones every process has.
//!
//! Own metrics carry the prefix `cloudflare_mt_`; the few about the process itself have the names that dashboards expect
//! of every exporter. Values of the frame are read when somebody asks, so nothing is kept up to date in between.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::clock::SharedClock;
use crate::health::HealthRegistry;
use crate::progress::Progress;

/// The content type of the answer to `GET /metrics`.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// In front of every metric of ours.
const PREFIX: &str = "cloudflare_mt";

/// The metrics of one process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registries>>,
}

struct Registries {
    process: Registry,
    own: Registry,
}

impl Metrics {
    /// The metrics every process has: build, uptime, health, loops, memory, threads, open files.
    pub fn new(service: &'static str, clock: SharedClock, progress: Progress, health: HealthRegistry) -> Self {
        let mut own = Registry::with_prefix(PREFIX);
        own.register_collector(Box::new(FrameCollector {
            service,
            clock,
            progress,
            health,
        }));
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector));
        Self {
            registry: Arc::new(Mutex::new(Registries { process, own })),
        }
    }

    /// Adds metrics at start. Names get the prefix `cloudflare_mt_`.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.registries().own)
    }

    /// Everything in the OpenMetrics text form ([`OPENMETRICS`]).
    ///
    /// # Errors
    /// When a metric cannot be written as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(4096);
        let registries = self.registries();
        prometheus_client::encoding::text::encode_registry(&mut text, &registries.process)?;
        prometheus_client::encoding::text::encode_registry(&mut text, &registries.own)?;
        prometheus_client::encoding::text::encode_eof(&mut text)?;
        Ok(text)
    }

    fn registries(&self) -> MutexGuard<'_, Registries> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct FrameCollector {
    service: &'static str,
    clock: SharedClock,
    progress: Progress,
    health: HealthRegistry,
}

impl Collector for FrameCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let build = [("service", self.service), ("version", crate::args::version())];
        labelled(
            &mut encoder,
            "build",
            "Which program this is, always 1",
            &[(&build, 1.0)],
        )?;
        let uptime = self.clock.monotonic().as_secs_f64();
        single(&mut encoder, "uptime_seconds", "Time since start", uptime)?;

        let (whole, checks) = self.health.survey();
        let status = f64::from(whole as u8);
        single(&mut encoder, "health", "0 ok, 1 degraded, 2 failing", status)?;
        let checks: Vec<_> = checks
            .iter()
            .map(|check| ([("check", check.name.as_str())], f64::from(u8::from(check.ok))))
            .collect();
        let rows: Vec<Row<'_>> = checks.iter().map(|(labels, value)| (&labels[..], *value)).collect();
        labelled(&mut encoder, "check_ok", "1 when the check is known to work", &rows)?;

        let events = crate::logging::tally::counts();
        if !events.is_empty() {
            let help = "Errors and warnings logged since the start, by event (docs/50-log-events.md)";
            let mut metric = encoder.encode_descriptor("log_events", help, None, MetricType::Counter)?;
            for (event, count) in events {
                let labels = [("event", event.name), ("level", event.level.as_str())];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }

        let loops = self.progress.survey();
        let ages: Vec<_> = loops
            .iter()
            .map(|turn| {
                (
                    [("loop", &*turn.name)],
                    turn.age.as_secs_f64(),
                    turn.limit.as_secs_f64(),
                )
            })
            .collect();
        let rows: Vec<Row<'_>> = ages.iter().map(|(labels, age, _)| (&labels[..], *age)).collect();
        labelled(
            &mut encoder,
            "loop_silent_seconds",
            "Time since the loop made progress",
            &rows,
        )?;
        let rows: Vec<Row<'_>> = ages.iter().map(|(labels, _, limit)| (&labels[..], *limit)).collect();
        labelled(
            &mut encoder,
            "loop_limit_seconds",
            "How long the loop may stay silent",
            &rows,
        )
    }
}

/// About the operating system's process, from proc(5).
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // What cannot be read is left out: a zero would be a statement.
        if let Some(kib) = status_number(&status, "VmRSS:") {
            single(
                &mut encoder,
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                kib * 1024.0,
            )?;
        }
        if let Some(threads) = status_number(&status, "Threads:") {
            single(&mut encoder, "process_threads", "Number of threads", threads)?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
            single(
                &mut encoder,
                "process_open_fds",
                "Number of open file descriptors",
                f64::from(open),
            )?;
        }
        Ok(())
    }
}

fn status_number(status: &str, key: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

type Row<'a> = (&'a [(&'a str, &'a str)], f64);

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

fn labelled(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: &[Row<'_>]) -> fmt::Result {
    let mut metric: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(*value).encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::clock::SystemClock;
    use crate::health::Weight;

    #[test]
    fn own_and_process_metrics_are_there() {
        let clock = SystemClock::shared();
        let progress = Progress::new(Arc::clone(&clock));
        let health = HealthRegistry::new(Arc::clone(&clock), progress.clone());
        let _turn = progress.register("poll", Duration::from_secs(60));
        health
            .check("database", Weight::Vital, Duration::from_secs(60))
            .failing("gone");
        let metrics = Metrics::new("cloudflare-webhook", clock, progress, health);
        let deliveries: Counter<u64, AtomicU64> = Counter::default();
        metrics.register(|registry| registry.register("deliveries", "Accepted deliveries", deliveries.clone()));
        deliveries.inc_by(3);
        let text = metrics.encode().expect("encodes");
        for line in [
            "cloudflare_mt_deliveries_total 3",
            "cloudflare_mt_health 2.0",
            "cloudflare_mt_check_ok{check=\"database\"} 0.0",
            "cloudflare_mt_check_ok{check=\"loop:poll\"} 1.0",
            "cloudflare_mt_loop_limit_seconds{loop=\"poll\"} 60.0",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_open_fds gauge",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        assert!(
            text.contains("cloudflare_mt_build{service=\"cloudflare-webhook\",version=\""),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
    }
}
