//! The watchdog of cron looks after the services; this looks after the watchdog. It asks for this service's health at each
//! of its looks and says who it is; when that stops, cron or the script has stopped, and people are told.
//!
//! What must hold: a host on which it never looked has none, and that is no fault; the last look is remembered in the
//! database, so that a restart does not forget that there is one; each silence is told once, and its end once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::USER_AGENT;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use daemon::{Frame, LoopHandle, Streak, Weight};
use db::{Db, DbError};
use domain::duration::human;
use domain::notice::{Facts, Notice};
use domain::time::{for_people, since, to_db_text};
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

/// What it calls itself, in messages and as `user-agent`.
pub const NAME: &str = "cloudflare-services-watchdog";

/// It looks every five minutes; this is three looks.
pub const SILENT_AFTER: Duration = Duration::from_secs(900);

/// Pause between two turns.
const EVERY: Duration = Duration::from_secs(15);

/// Limit within which the loop promises progress.
const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// When it last looked.
const LOOKED: &str = "cron_watchdog_looked";

/// Whether its silence was told; empty when not.
const TOLD: &str = "cron_watchdog_silence_told";

/// How often it asked this process.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicU64>);

impl Asked {
    /// The same routes; requests of the watchdog are counted.
    pub fn counting(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self.clone(), count))
    }
}

async fn count(State(asked): State<Asked>, request: Request, next: Next) -> Response {
    let agent = request.headers().get(USER_AGENT);
    if agent.is_some_and(|agent| agent.as_bytes() == NAME.as_bytes()) {
        asked.0.fetch_add(1, Ordering::Relaxed);
    }
    next.run(request).await
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watchdog {
    /// It never looked.
    Unknown,
    /// It looked, then.
    Looks(Timestamp),
    /// It looked for the last time then, too long ago.
    Silent(Timestamp),
}

/// What is known at `now`, in a process that was started at `started`: nobody could be heard before.
pub fn judge(looked: Option<Timestamp>, started: Timestamp, now: Timestamp) -> Watchdog {
    match looked {
        None => Watchdog::Unknown,
        Some(at) if since(now, at.max(started)) > SILENT_AFTER => Watchdog::Silent(at),
        Some(at) => Watchdog::Looks(at),
    }
}

/// Stores that it looked, and tells that it is back if its silence was told.
///
/// # Errors
/// Those of the database.
pub async fn looked(db: &Db, now: Timestamp) -> Result<(), DbError> {
    db.write("cron_watchdog.looked", move |tx| {
        if db::leases::cursor(tx, TOLD)?.is_some_and(|told| !told.is_empty()) {
            let last = db::leases::cursor(tx, LOOKED)?.and_then(|text| domain::time::from_text(&text));
            let facts = Facts::ServiceBack {
                service: NAME.to_owned(),
                since: last.unwrap_or(now),
            };
            db::outbox::enqueue(tx, &Notice::about(facts), now)?;
            db::leases::set_cursor(tx, TOLD, "", now)?;
        }
        db::leases::set_cursor(tx, LOOKED, &to_db_text(now), now)
    })
    .await
}

/// When it last looked, whichever process it asked.
///
/// # Errors
/// Those of the database.
pub async fn last_look(db: &Db) -> Result<Option<Timestamp>, DbError> {
    let text = db
        .read("cron_watchdog.last", |tx| db::leases::cursor(tx, LOOKED))
        .await?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// Tells that it is silent since its last look, once. Says whether that was news.
///
/// # Errors
/// Those of the database.
pub async fn fell_silent(db: &Db, last: Timestamp, now: Timestamp) -> Result<bool, DbError> {
    let is_told = |told: Option<String>| told.is_some_and(|told| !told.is_empty());
    if is_told(db.read("cron_watchdog.told", |tx| db::leases::cursor(tx, TOLD)).await?) {
        return Ok(false);
    }
    db.write("cron_watchdog.silent", move |tx| {
        if is_told(db::leases::cursor(tx, TOLD)?) {
            return Ok(false);
        }
        let facts = Facts::ServiceSilent {
            service: NAME.to_owned(),
            since: last,
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
        db::leases::set_cursor(tx, TOLD, "yes", now)?;
        Ok(true)
    })
    .await
}

/// Watches it until shutdown.
pub fn watch(frame: &Frame, db: Db, asked: Asked) {
    let check = frame.health().check("cron_watchdog", Weight::Vital, LOOP_LIMIT * 2);
    let inner = frame.clone();
    frame.spawn_loop("cron_watchdog", LOOP_LIMIT, move |turn: LoopHandle| async move {
        let mut turns = tokio::time::interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        let (mut known, mut failures) = (0, Streak::new());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            let count = asked.0.load(Ordering::Relaxed);
            match turn_of(&inner, &db, count != known).await {
                Ok(Watchdog::Unknown) => check.ok("no watchdog has ever looked on this host"),
                Ok(Watchdog::Looks(at)) => check.ok(format!("it looked at {}", for_people(at))),
                Ok(Watchdog::Silent(at)) => check.degraded(format!(
                    "the watchdog has not looked for {}: is cron running, and is its job still there?",
                    human(since(inner.clock().now(), at)),
                )),
                Err(error) => {
                    if let Some(run) = failures.failed(inner.clock().monotonic()) {
                        tracing::warn!(event = "cron_watchdog.unknown", failures = run.failures, error = %error);
                    }
                    check.degraded(format!("when the watchdog last looked is unknown: {error}"));
                    continue;
                }
            }
            known = count;
            failures.recovered(inner.clock().monotonic());
        }
    });
}

async fn turn_of(frame: &Frame, db: &Db, looked_now: bool) -> Result<Watchdog, DbError> {
    let now = frame.clock().now();
    if looked_now {
        looked(db, now).await?;
    }
    let watchdog = judge(last_look(db).await?, frame.started_at(), now);
    if let Watchdog::Silent(last) = watchdog
        && fell_silent(db, last, now).await?
    {
        tracing::error!(event = "cron_watchdog.silent", last_look = %last);
    }
    Ok(watchdog)
}

#[cfg(test)]
mod tests {
    use domain::time::plus;

    use super::*;

    #[test]
    fn silence_counts_from_the_last_look_and_from_our_own_start() {
        let start: Timestamp = "2026-03-27T02:00:00Z".parse().unwrap();
        let later = |seconds| plus(start, Duration::from_secs(seconds));
        assert_eq!(judge(None, start, later(86_400)), Watchdog::Unknown);
        assert_eq!(judge(Some(start), start, later(900)), Watchdog::Looks(start));
        assert_eq!(judge(Some(start), start, later(901)), Watchdog::Silent(start));
        // The host was off for an hour: it has a quarter of an hour to look again.
        assert_eq!(judge(Some(start), later(3_600), later(4_400)), Watchdog::Looks(start));
        assert_eq!(judge(Some(start), later(3_600), later(4_501)), Watchdog::Silent(start));
    }
}
