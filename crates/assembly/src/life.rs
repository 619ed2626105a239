//! Signs of life of a service, its watch over the others, and its orderly end.

use std::time::Duration;

use anyhow::Context as _;
use daemon::{Frame, HEARTBEAT_EVERY, Streak, Weight};
use db::Db;
use db::heartbeats::Heartbeat;
use domain::notice::{Facts, Notice};
use tokio::time::MissedTickBehavior;

/// How often the other services' beats are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(15);

/// Reading a file of some gigabytes takes minutes; nothing waits for it.
const INTEGRITY_LIMIT: Duration = Duration::from_secs(1_800);

/// How long the last write of an ending service may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Records that the service came up, with what is worth knowing about it, and tells people.
///
/// # Errors
/// The database cannot be written; the service does not start then.
pub async fn announce_start(frame: &Frame, db: &Db, lines: Vec<(String, String)>) -> anyhow::Result<()> {
    let facts = Facts::ServiceStarted {
        service: frame.service().to_owned(),
        version: daemon::args::version().to_owned(),
        lines,
    };
    let now = frame.clock().now();
    let stored = db.write("service.started", move |tx| {
        db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
    });
    stored.await.context("the start could not be recorded")
}

/// Starts the heartbeat, the vigil, the numbers for Prometheus and, once, the integrity check. Call before `frame.ready()`.
pub fn start(frame: &Frame, db: &Db) {
    let store = db.clone();
    let name = host();
    frame.spawn_heartbeat(HEARTBEAT_EVERY, move |beat: daemon::Heartbeat| {
        let (db, host) = (store.clone(), name.clone());
        async move {
            let beat = Heartbeat {
                service: beat.service.to_owned(),
                pid: beat.pid,
                host,
                version: beat.version.to_owned(),
                started_at: beat.started_at,
                beat_at: beat.at,
                state: beat.health.as_str().to_owned(),
                status: beat.status,
            };
            Ok(crate::vigil::beat(&db, beat).await?)
        }
    });
    watch(frame, db.clone());
    crate::numbers::start(frame, db);
    check_integrity(frame, db.clone());
}

fn watch(frame: &Frame, db: Db) {
    let inner = frame.clone();
    frame.spawn_loop("vigil", WATCH_EVERY * 4, |turn| async move {
        let mut turns = tokio::time::interval(WATCH_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = Streak::new();
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            let now = inner.clock().monotonic();
            match crate::vigil::watch(&db, inner.clock().now()).await {
                Ok(silent) => {
                    if silent > 0 {
                        tracing::error!(event = "vigil.service_silent", services = silent);
                    }
                    failures.recovered(now);
                }
                Err(error) => {
                    if let Some(run) = failures.failed(now) {
                        tracing::warn!(event = "vigil.failed", failures = run.failures, error = %error);
                    }
                }
            }
        }
    });
}

/// READY needs header and schema only; the full check follows, off the path of everything.
fn check_integrity(frame: &Frame, db: Db) {
    let check = frame.health().check("database", Weight::Vital, Duration::MAX);
    check.ok("header and schema checked");
    tokio::spawn(async move {
        match db.integrity_check(INTEGRITY_LIMIT).await {
            Ok(problems) if problems.is_empty() => check.ok("integrity checked"),
            Ok(problems) => {
                let first = problems.first().cloned().unwrap_or_default();
                tracing::error!(event = "db.damaged", problems = problems.len(), first);
                check.failing(format!("the file is damaged ({first}); restore it from a backup"));
            }
            Err(error) => check.degraded(format!("the integrity check could not run: {error}")),
        }
    });
}

/// Tells the others that the silence to come is on purpose. Call after shutdown was triggered.
pub async fn farewell(frame: &Frame, db: &Db) {
    let last = Heartbeat {
        service: frame.service().to_owned(),
        pid: std::process::id(),
        host: host(),
        version: daemon::args::version().to_owned(),
        started_at: frame.started_at(),
        beat_at: frame.clock().now(),
        state: "stopped".into(),
        status: String::new(),
    };
    let said = crate::vigil::stopped(db, last, frame.clock().now());
    match tokio::time::timeout(LAST_WORDS, said).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(event = "process.farewell_failed", error = %error),
        Err(_) => tracing::warn!(event = "process.farewell_failed", error = "not stored in time"),
    }
}

/// Name of this host.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
