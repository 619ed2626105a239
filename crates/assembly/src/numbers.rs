//! What every service says for Prometheus about the shared database: its own writes, and what all of them see alike.
//!
//! The rows are read every 15 s by one loop and kept; a scrape reads nothing from disk. All four services offer the shared
//! numbers, so that they are there while any of them lives; take the maximum over the services. Values that cannot be read
//! are left out and the age of the picture grows: a zero would be a statement. The same loop says in the health of the
//! service whether its own writes are stored.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::{Frame, SharedClock, Weight};
use db::{Db, DbError, ReadTx, WriterStats};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::MissedTickBehavior;

/// How often the rows are read.
const READ_EVERY: Duration = Duration::from_secs(15);

/// Commits in a row that could not be made, after which a service does not do its work. A single one is no outage;
/// heartbeats alone make as many in less than a minute.
const FAILING: u64 = 3;

/// Looks in a row in which writes were tried and none was stored, for the same conclusion: on a file system that turned
/// read-only each write fails by itself and no commit is tried.
const FRUITLESS: u32 = 2;

/// Cloudflare counts calls over this long.
const BUDGET_WINDOW_S: i64 = 300;

/// What was read at one moment.
#[derive(Debug, Default)]
struct Picture {
    queued: u64,
    oldest_queued_at: Option<Timestamp>,
    failed: u64,
    expired: u64,
    deliveries: u64,
    last_delivery_at: Option<Timestamp>,
    oldest_unread_at: Option<Timestamp>,
    beats: Vec<(String, String, Timestamp)>,
    prefixes: Vec<Standing>,
    calls: [u64; 2],
    holds: u64,
    open_intents: u64,
    facts: Vec<(&'static str, Timestamp)>,
}

/// One prefix.
#[derive(Debug)]
struct Standing {
    prefix: String,
    verdict: String,
    decided_at: Timestamp,
    advertised: Option<bool>,
}

fn look(tx: &ReadTx<'_>, now: Timestamp) -> Result<Picture, DbError> {
    let depth = db::outbox::depth(tx)?;
    let mut calls = [0; 2];
    for counts in db::budget::all(tx, now)? {
        let recent = counts.slots.range(now.as_second() - BUDGET_WINDOW_S..);
        for (_, [rest, graphql]) in recent {
            calls[0] += u64::from(*rest);
            calls[1] += u64::from(*graphql);
        }
    }
    let mut facts = Vec::new();
    for name in ["last_backup", "last_prune"] {
        if let Some(at) = db::leases::fact(tx, name)?.as_deref().and_then(domain::time::from_text) {
            facts.push((name, at));
        }
    }
    Ok(Picture {
        queued: depth.queued,
        oldest_queued_at: depth.oldest_queued_at,
        failed: depth.failed,
        expired: depth.expired,
        deliveries: db::deliveries::count(tx)?,
        last_delivery_at: db::deliveries::last_received(tx)?,
        oldest_unread_at: db::inbox::oldest_at(tx)?,
        beats: db::heartbeats::all(tx)?
            .into_iter()
            .map(|beat| (beat.service, beat.state, beat.beat_at))
            .collect(),
        prefixes: db::decisions::current(tx)?
            .into_iter()
            .map(|now| Standing {
                prefix: now.prefix.to_string(),
                verdict: now.decision.verdict.key().to_owned(),
                decided_at: now.at,
                advertised: now.bgp.and_then(|bgp| bgp.advertised),
            })
            .collect(),
        calls,
        holds: db::holds::in_force(tx, now)?.len() as u64,
        open_intents: db::intents::open(tx)?.len() as u64,
        facts,
    })
}

/// Registers the numbers and starts reading them.
pub fn start(frame: &Frame, db: &Db) {
    let seen = Arc::new(Mutex::new((None, Timestamp::UNIX_EPOCH)));
    let collector = Numbers {
        db: db.clone(),
        log: beside(db.path()),
        clock: frame.clock().clone(),
        seen: Arc::clone(&seen),
    };
    frame
        .metrics()
        .register(|registry| registry.register_collector(Box::new(collector)));
    let check = frame.health().check("writes", Weight::Vital, READ_EVERY * 6);
    let (inner, db) = (frame.clone(), db.clone());
    frame.spawn_loop("numbers", READ_EVERY * 6, |turn| async move {
        let mut writes = Writes::default();
        let mut turns = tokio::time::interval(READ_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            match writes.trouble(&db.writer_stats()) {
                Some(words) => check.failing(words),
                None => check.ok("stored"),
            }
            let now = inner.clock().now();
            // Why it cannot be read is said by everybody else who reads; here the picture only gets old.
            if let Ok(picture) = db.read("numbers", move |tx| look(tx, now)).await {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = (Some(picture), now);
            }
        }
    });
}

/// What became of this process's writes from look to look.
#[derive(Debug, Default)]
struct Writes {
    stored: u64,
    lost: u64,
    fruitless: u32,
}

impl Writes {
    /// Why nothing can be stored, if that is so.
    fn trouble(&mut self, stats: &WriterStats) -> Option<String> {
        let (stored, lost) = (stats.jobs_stored, stats.jobs_refused + stats.jobs_failed);
        if stored > self.stored {
            self.fruitless = 0;
        } else if lost > self.lost {
            self.fruitless += 1;
        }
        (self.stored, self.lost) = (stored, lost);
        match &stats.last_error {
            Some((_, error)) if stats.failing_streak >= FAILING => Some(format!("nothing can be stored: {error}")),
            _ if self.fruitless >= FRUITLESS => Some("nothing can be stored: every write fails".to_owned()),
            _ => None,
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

struct Numbers {
    db: Db,
    log: PathBuf,
    clock: SharedClock,
    seen: Arc<Mutex<(Option<Picture>, Timestamp)>>,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

type Labels<'a> = &'a [(&'a str, &'a str)];

fn gauges(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: &[(Labels<'_>, f64)]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(*value).encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<f64>) -> fmt::Result {
    match value {
        Some(value) => ConstGauge::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?),
        None => Ok(()),
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

impl Collector for Numbers {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut to;
        self.writes(to)?;
        let size = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len() as f64);
        gauge(to, "database_bytes", "Size of the database file", size(self.db.path()))?;
        gauge(to, "database_log_bytes", "Size of the write-ahead log", size(&self.log))?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(picture), at) = &*seen else { return Ok(()) };
        let now = self.clock.now();
        let age = |then: Timestamp| domain::time::since(now, then).as_secs_f64();
        gauge(
            to,
            "database_read_age_seconds",
            "Age of the numbers below",
            Some(age(*at)),
        )?;
        shared(to, picture, &age)
    }
}

impl Numbers {
    /// What this process stored.
    fn writes(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.db.writer_stats();
        let mut metric = to.encode_descriptor(
            "database_writes",
            "Writes of this service by outcome",
            None,
            MetricType::Counter,
        )?;
        for (outcome, count) in [
            ("stored", stats.jobs_stored),
            ("refused", stats.jobs_refused),
            ("failed", stats.jobs_failed),
        ] {
            ConstCounter::new(count).encode(metric.encode_family(&[("outcome", outcome)])?)?;
        }
        let commits = to.encode_descriptor(
            "database_commits",
            "Durable commits of this service",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(stats.commits).encode(commits)?;
        let waiting = Some(stats.queue as f64);
        gauge(to, "database_queue", "Writes of this service that wait", waiting)?;
        let last = stats.last_batch.map(|took| took.as_secs_f64());
        gauge(
            to,
            "database_commit_last_seconds",
            "How long the last commit took to be durable",
            last,
        )?;
        let open = stats.in_batch_for.map_or(0.0, |so_far| so_far.as_secs_f64());
        gauge(
            to,
            "database_commit_open_seconds",
            "How long the commit that runs now has taken",
            Some(open),
        )?;
        let streak = Some(stats.failing_streak as f64);
        gauge(
            to,
            "database_commits_failing",
            "Commits that failed since the last good one",
            streak,
        )
    }
}

/// What all services see alike.
fn shared(to: &mut DescriptorEncoder<'_>, picture: &Picture, age: &dyn Fn(Timestamp) -> f64) -> fmt::Result {
    let oldest = Some(picture.oldest_queued_at.map_or(0.0, age));
    gauge(
        to,
        "outbox_queued",
        "Messages that wait to be sent",
        Some(picture.queued as f64),
    )?;
    gauge(
        to,
        "outbox_oldest_seconds",
        "Age of the oldest message that waits, 0 without one",
        oldest,
    )?;
    gauge(
        to,
        "outbox_failed",
        "Messages that were given up",
        Some(picture.failed as f64),
    )?;
    gauge(
        to,
        "outbox_expired",
        "Messages that became too old to be sent singly",
        Some(picture.expired as f64),
    )?;
    gauge(
        to,
        "deliveries",
        "Notifications of Cloudflare on record",
        Some(picture.deliveries as f64),
    )?;
    let last = picture.last_delivery_at.map(seconds);
    gauge(
        to,
        "delivery_last_timestamp_seconds",
        "When the last notification came in",
        last,
    )?;
    gauge(
        to,
        "delivery_unread_age_seconds",
        "Age of the oldest notification that is stored and not read yet, 0 when all are",
        Some(picture.oldest_unread_at.map_or(0.0, age)),
    )?;
    gauge(to, "holds", "Holds and pauses in force", Some(picture.holds as f64))?;
    gauge(
        to,
        "intents_open",
        "Acts on BGP that are planned or under way",
        Some(picture.open_intents as f64),
    )?;

    let labels: Vec<_> = picture
        .beats
        .iter()
        .map(|(service, state, at)| ([("service", service.as_str()), ("state", state.as_str())], age(*at)))
        .collect();
    let rows: Vec<(Labels<'_>, f64)> = labels.iter().map(|(labels, age)| (&labels[..], *age)).collect();
    gauges(
        to,
        "heartbeat_age_seconds",
        "Age of each service's last sign of life",
        &rows,
    )?;

    let labels: Vec<_> = picture
        .prefixes
        .iter()
        .map(|row| [("prefix", row.prefix.as_str()), ("verdict", row.verdict.as_str())])
        .collect();
    let rows: Vec<(Labels<'_>, f64)> = labels.iter().map(|labels| (&labels[..], 1.0)).collect();
    gauges(
        to,
        "prefix_verdict",
        "What the automation says of each prefix, always 1",
        &rows,
    )?;
    let name: Vec<_> = labels.iter().map(|labels| &labels[..1]).collect();
    let decided: Vec<(Labels<'_>, f64)> = std::iter::zip(&name, &picture.prefixes)
        .map(|(labels, row)| (*labels, age(row.decided_at)))
        .collect();
    gauges(
        to,
        "prefix_evidence_age_seconds",
        "Age of the evidence behind each verdict",
        &decided,
    )?;
    let advertised: Vec<(Labels<'_>, f64)> = std::iter::zip(&name, &picture.prefixes)
        .filter_map(|(labels, row)| Some((*labels, f64::from(u8::from(row.advertised?)))))
        .collect();
    gauges(
        to,
        "prefix_advertised",
        "1 while Cloudflare announces the prefix, absent when unknown",
        &advertised,
    )?;

    let calls: [(Labels<'_>, f64); 2] = [
        (&[("api", "rest")], picture.calls[0] as f64),
        (&[("api", "graphql")], picture.calls[1] as f64),
    ];
    gauges(
        to,
        "api_calls_window",
        "Calls to Cloudflare by all programs within five minutes",
        &calls,
    )?;
    for (name, at) in &picture.facts {
        let (name, help) = match *name {
            "last_backup" => (
                "backup_last_timestamp_seconds",
                "When the last dated backup was made and checked",
            ),
            _ => ("prune_last_timestamp_seconds", "When old rows were last deleted"),
        };
        gauge(to, name, help, Some(seconds(*at)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_are_tried_and_never_stored_are_an_outage() {
        let stats = |stored, lost| WriterStats {
            jobs_stored: stored,
            jobs_refused: lost,
            ..WriterStats::default()
        };
        let mut writes = Writes::default();
        assert_eq!(writes.trouble(&stats(0, 0)), None, "nothing was tried");
        assert_eq!(writes.trouble(&stats(5, 1)), None, "one was refused");
        assert_eq!(writes.trouble(&stats(5, 2)), None, "once is no outage");
        assert_eq!(writes.trouble(&stats(5, 2)), None, "nothing was tried meanwhile");
        assert!(writes.trouble(&stats(5, 3)).is_some());
        assert!(writes.trouble(&stats(5, 3)).is_some(), "as long as nothing is stored");
        assert_eq!(writes.trouble(&stats(6, 3)), None);
        let failing = WriterStats {
            failing_streak: FAILING,
            last_error: Some((Timestamp::UNIX_EPOCH, DbError::NotFound)),
            ..stats(6, 3)
        };
        assert!(writes.trouble(&failing).is_some());
    }
}
