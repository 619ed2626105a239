//! The decision loop: bump the lease, run a cycle when one is due, take the next step of every
//! open intent. It alone feeds the lease and the watchdog, so a loop that stands still loses both.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::health::CheckHandle;
use daemon::{Frame, LoopHandle, SharedClock, Streak};
use db::{Db, DbError};
use domain::decision::Mode;
use domain::notice::{Facts, Notice};
use jiff::Timestamp;
use prefix_ops::{PrefixOps, Step};
use tokio::time::MissedTickBehavior;

use crate::actor::{LeaseHolder, Standing};
use crate::commit::commit;
use crate::cycle::{Cycle, Gatherer};
use crate::status;

/// Longest pause between two turns: the lease's bump must never be older than 5 s before a call.
const TURN: Duration = Duration::from_secs(2);

/// A cycle or a step that takes longer has failed; the lease is not bumped beyond it.
const WORK_LIMIT: Duration = Duration::from_secs(45);

/// What people call the list of prefixes.
const FEED: &str = "list of prefixes";

/// Limit within which the loop promises progress.
pub const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// What the loop works with.
pub struct DecideLoop {
    /// The frame.
    pub frame: Frame,
    /// The database.
    pub db: Db,
    /// Readings and decisions.
    pub gatherer: Gatherer,
    /// Acts.
    pub ops: PrefixOps,
    /// The lease.
    pub holder: Arc<LeaseHolder>,
    /// Mode.
    pub mode: Mode,
    /// Time between two cycles.
    pub check_interval: Duration,
    /// Health of the evidence.
    pub health: CheckHandle,
    /// The account's prefixes cannot be listed for this long: people are told.
    pub blind_after: Duration,
    /// Since when they cannot be listed, and whether that was announced.
    pub unlisted: Option<(Timestamp, bool)>,
}

impl std::fmt::Debug for DecideLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecideLoop").field("mode", &self.mode).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Streaks {
    database: Streak,
    traffic: Streak,
    discovery: Streak,
}

impl DecideLoop {
    /// Runs until shutdown.
    ///
    /// # Errors
    /// None: trouble with the database or Cloudflare is waited out, visibly. Only a bug ends it.
    pub async fn run(mut self, turn: LoopHandle) -> anyhow::Result<()> {
        let clock: SharedClock = self.frame.clock().clone();
        let mut turns = tokio::time::interval(TURN.min(self.check_interval / 2).max(Duration::from_millis(50)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(self.frame.shutdown().triggered());
        let mut next_cycle = clock.monotonic();
        let mut streaks = Streaks::default();
        loop {
            tokio::select! {
                _ = &mut stop => break,
                _ = turns.tick() => {}
            }
            turn.tick();
            let standing = match self.holder.progress(&self.db).await {
                Ok(standing) => standing,
                Err(error) => {
                    self.database_failed(&mut streaks.database, &error, &clock);
                    continue;
                }
            };
            if let Standing::StandBy { owner } = &standing {
                self.health.ok(format!("standing by for {owner}"));
                self.frame.status(format!("standing by: {owner} is the actor"));
                continue;
            }
            if clock.monotonic() >= next_cycle {
                next_cycle = clock.monotonic() + self.check_interval;
                self.cycle(&turn, &standing, &mut streaks, &clock).await;
            }
            self.advance(&turn, &mut streaks, &clock).await;
        }
        // A successor need not wait for our death.
        if let Err(error) = self.holder.release(&self.db).await {
            tracing::warn!(event = "lease.not_released", error = %error);
        }
        Ok(())
    }

    async fn cycle(&mut self, turn: &LoopHandle, standing: &Standing, streaks: &mut Streaks, clock: &SharedClock) {
        let (holder, db) = (Arc::clone(&self.holder), self.db.clone());
        let cycle = match working(turn, &holder, &db, self.gatherer.run()).await {
            Some(Ok(cycle)) => cycle,
            Some(Err(error)) => {
                self.database_failed(&mut streaks.database, &error, clock);
                return;
            }
            None => {
                tracing::error!(event = "cycle.too_slow", limit_s = WORK_LIMIT.as_secs());
                self.health.failing("the last cycle did not end in time");
                return;
            }
        };
        let cycle = Arc::new(cycle);
        let (stored, mode) = (Arc::clone(&cycle), self.mode);
        match self.db.write("cycle.commit", move |tx| commit(tx, &stored, mode)).await {
            Ok(committed) => {
                if let Some(run) = streaks.database.recovered(clock.monotonic()) {
                    tracing::info!(event = "cycle.database.recovered", failures = run.failures);
                }
                for (prefix, verdict) in committed.changed {
                    let because = cycle
                        .answers
                        .iter()
                        .find(|answer| answer.inputs.prefix == prefix)
                        .map_or("", |answer| answer.decision.next.because.as_str());
                    tracing::info!(event = "decision.changed", prefix = %prefix, verdict, because);
                }
                for intent in committed.filed {
                    tracing::info!(event = "withdraw.intent.created", intent = intent.0);
                }
                self.report(&cycle, standing, streaks, clock);
                self.announce_unlisted(&cycle).await;
            }
            Err(error) => self.database_failed(&mut streaks.database, &error, clock),
        }
    }

    fn report(&self, cycle: &Cycle, standing: &Standing, streaks: &mut Streaks, clock: &SharedClock) {
        let now = clock.monotonic();
        note_streak(&mut streaks.traffic, cycle.traffic_error.as_deref(), "cycle.traffic", now);
        note_streak(&mut streaks.discovery, cycle.discovery_error.as_deref(), "cycle.discovery", now);
        let line = status::line(cycle, self.mode, standing);
        let blind = cycle
            .answers
            .iter()
            .filter(|answer| matches!(answer.decision.verdict, domain::decision::Verdict::Unknown { .. }))
            .count();
        if blind > 0 {
            self.health.degraded(&*line);
        } else if let Some(error) = &cycle.discovery_error {
            self.health.degraded(format!("the account's prefixes cannot be listed: {error}"));
        } else if !cycle.missing.is_empty() {
            let missing: Vec<String> = cycle.missing.iter().map(ToString::to_string).collect();
            let missing = missing.join(", ");
            self.health.degraded(format!("listed as managed, but not known to Cloudflare: {missing}"));
        } else {
            self.health.ok(&*line);
        }
        self.frame.status(line);
    }

    /// Without the list of prefixes there may be advertised ones that nobody watches, and no
    /// prefix whose verdict could say so.
    async fn announce_unlisted(&mut self, cycle: &Cycle) {
        let facts = match (&cycle.discovery_error, self.unlisted) {
            (Some(because), None) => {
                self.unlisted = Some((cycle.at, false));
                tracing::debug!(event = "cycle.unlisted", because);
                return;
            }
            (Some(because), Some((since, false))) if domain::time::since(cycle.at, since) >= self.blind_after => {
                Facts::FeedBlind {
                    feed: FEED.into(),
                    because: because.clone(),
                    since,
                }
            }
            (None, Some((since, true))) => Facts::FeedRestored {
                feed: FEED.into(),
                since,
            },
            (None, Some((_, false))) => {
                self.unlisted = None;
                return;
            }
            _ => return,
        };
        let now = cycle.at;
        let told = self
            .db
            .write("prefix_list.notice", move |tx| {
                db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
            })
            .await;
        // What could not be stored is said in the next cycle.
        if told.is_ok() {
            self.unlisted = match (&cycle.discovery_error, self.unlisted) {
                (Some(_), Some((since, _))) => Some((since, true)),
                _ => None,
            };
        }
    }

    /// One step for every open intent whose time has come.
    async fn advance(&mut self, turn: &LoopHandle, streaks: &mut Streaks, clock: &SharedClock) {
        let open = match self.db.read("intents.open", db::intents::open).await {
            Ok(open) => open,
            Err(error) => {
                self.database_failed(&mut streaks.database, &error, clock);
                return;
            }
        };
        for intent in open {
            if intent.not_before.is_some_and(|at| at > clock.now()) {
                continue;
            }
            let read_clock = || clock.now();
            let step = self.ops.step(intent.id, Some(&*self.holder), &read_clock);
            match working(turn, &self.holder, &self.db, step).await {
                Some(Ok(Step::Closed(state))) => {
                    tracing::info!(event = "intent.closed", intent = intent.id.0, state = state.as_str());
                }
                Some(Ok(Step::Later { .. } | Step::NotOurs)) => {}
                Some(Err(error)) => self.database_failed(&mut streaks.database, &error, clock),
                None => tracing::error!(event = "intent.too_slow", intent = intent.id.0, limit_s = WORK_LIMIT.as_secs()),
            }
        }
    }

    fn database_failed(&self, streak: &mut Streak, error: &DbError, clock: &SharedClock) {
        if let Some(run) = streak.failed(clock.monotonic()) {
            tracing::error!(
                event = "cycle.database.failed",
                failures = run.failures,
                code = error.code(),
                error = %error,
            );
        }
        self.health.failing(format!("nothing is decided: {error}"));
        self.frame.status(format!("nothing is decided: {error}"));
    }
}

fn note_streak(streak: &mut Streak, error: Option<&str>, what: &'static str, now: Duration) {
    match error {
        Some(error) => {
            if let Some(run) = streak.failed(now) {
                tracing::warn!(event = "cycle.reading.failed", what, failures = run.failures, error);
            }
        }
        None => {
            if let Some(run) = streak.recovered(now) {
                tracing::info!(event = "cycle.reading.recovered", what, failures = run.failures);
            }
        }
    }
}

/// Waits for one piece of work of the loop, bumping lease and watchdog while it is within its
/// limit: waiting for Cloudflare within a deadline is progress, hanging is not.
async fn working<T>(turn: &LoopHandle, holder: &LeaseHolder, db: &Db, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut limit = std::pin::pin!(tokio::time::sleep(WORK_LIMIT));
    let mut bumps = tokio::time::interval(TURN);
    bumps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    bumps.tick().await;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = &mut limit => return None,
            _ = bumps.tick() => {
                turn.tick();
                // A failed bump needs no handling here: an old bump forbids the call.
                let _ = holder.progress(db).await;
            }
        }
    }
}
