//! The decision loop: bump the lease, take in what people did in an emergency, run a cycle when one is due, take the next
//! step of every open intent. It alone feeds the lease and the watchdog, so a loop that stands still loses both.

use std::sync::Arc;
use std::time::Duration;

use daemon::health::CheckHandle;
use daemon::{Frame, LoopHandle, Shutdown, Streak};
use db::intents::Intent;
use db::{Db, DbError};
use domain::decision::Verdict;
use domain::ids::IntentId;
use domain::intent::{Act, IntentState};
use futures_util::stream::{self, StreamExt};
use prefix_ops::{PrefixOps, Step};
use tokio::time::MissedTickBehavior;

use crate::actor::{LeaseHolder, Standing};
use crate::commit::{Committed, Terms, commit};
use crate::cycle::{Cycle, Gatherer};
use crate::emergencies::Emergencies;
use crate::feeds::Feed;
use crate::recording::Recorder;
use crate::status;
use crate::working::{BUMP_EVERY, Ended, Progress, WORK_LIMIT};

/// Steps of different intents at the same time: one that waits for Cloudflare must not keep an
/// advertise waiting.
const CONCURRENT_STEPS: usize = 4;

/// How long a step may go on once the process is to end: most calls are over by then, and what is
/// not is found in the journal and read back.
const LAST_STEPS: Duration = Duration::from_secs(4);

/// How long the last line of a recording may take.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Service bindings that cannot be read for so long are told: nothing is decided from them, so there is time.
const BINDINGS_UNREAD_FOR: Duration = Duration::from_secs(3_600);

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
    /// Mode and spans of the commit.
    pub terms: Terms,
    /// Time between two cycles.
    pub check_interval: Duration,
    /// Health of the evidence.
    pub health: CheckHandle,
    /// What fails for this long is told.
    pub blind_after: Duration,
    /// Where the inputs of every cycle are recorded.
    pub recorder: Option<Recorder>,
}

impl std::fmt::Debug for DecideLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecideLoop")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// What the loop remembers from turn to turn.
struct Memory {
    database: Streak,
    traffic: Streak,
    discovery: Streak,
    bindings_read: Streak,
    /// Without the list of prefixes there may be advertised ones that nobody watches, and no
    /// prefix whose verdict could say so.
    list: Feed,
    /// Without them nobody sees that a network is not bound to Magic Transit any more.
    bindings: Feed,
    /// Without cycles no verdict says anything.
    cycles: Feed,
    emergencies: Emergencies,
    /// On the monotonic clock.
    next_cycle: Duration,
    /// A cycle was committed since this process is the actor: what was planned is what it would plan itself.
    decided: bool,
}

impl DecideLoop {
    /// Runs until shutdown.
    ///
    /// # Errors
    /// None: trouble with the database or Cloudflare is waited out, visibly. Only a bug ends it.
    pub async fn run(mut self, turn: LoopHandle) -> anyhow::Result<()> {
        let shutdown: Shutdown = self.frame.shutdown().clone();
        let mut turns = tokio::time::interval(BUMP_EVERY.min(self.check_interval / 2).max(Duration::from_millis(50)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(shutdown.triggered());
        let mut memory = Memory {
            database: Streak::new(),
            traffic: Streak::new(),
            discovery: Streak::new(),
            bindings_read: Streak::new(),
            list: Feed::new("list of prefixes"),
            bindings: Feed::new("service bindings of the prefixes"),
            cycles: Feed::new("decisions about withdrawals"),
            emergencies: Emergencies::beside(self.db.path()),
            next_cycle: self.monotonic(),
            decided: false,
        };
        while !shutdown.is_triggered() {
            tokio::select! {
                _ = &mut stop => break,
                _ = turns.tick() => {}
            }
            turn.tick();
            let standing = match self.holder.progress(&self.db).await {
                Ok(standing) => standing,
                Err(error) => {
                    self.cycle_failed(&mut memory, &error.to_string(), Some(&error)).await;
                    continue;
                }
            };
            if let Standing::StandBy { owner } = &standing {
                memory.decided = false;
                self.health.ok(format!("standing by for {owner}"));
                self.frame.status(format!("standing by: {owner} is the actor"));
                // It works again; whether cycles do is for the actor to say.
                let now = self.frame.clock().now();
                memory.cycles.observe(&self.db, None, self.blind_after, now).await;
                continue;
            }
            if self.monotonic() >= memory.next_cycle {
                memory.next_cycle = self.monotonic() + self.check_interval;
                if self.take_emergencies(&turn, &shutdown, &mut memory).await {
                    // Read back first: what Cloudflare shows of it is theirs then, however long ago it was.
                    self.advance(&turn, &shutdown, &mut memory).await;
                }
                self.cycle(&turn, &shutdown, &standing, &mut memory).await;
            }
            self.advance(&turn, &shutdown, &mut memory).await;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.finish(LAST_LINE).await;
        }
        // A successor need not wait for our death.
        if let Err(error) = self.holder.release(&self.db).await {
            tracing::warn!(event = "lease.not_released", error = %error);
        }
        Ok(())
    }

    fn monotonic(&self) -> Duration {
        self.frame.clock().monotonic()
    }

    async fn cycle(&mut self, turn: &LoopHandle, shutdown: &Shutdown, standing: &Standing, memory: &mut Memory) {
        let (holder, db) = (Arc::clone(&self.holder), self.db.clone());
        let progress = Progress {
            turn,
            holder: &holder,
            db: &db,
            shutdown,
        };
        let cycle = match progress.of(Duration::ZERO, self.gatherer.run()).await {
            Ended::Done(Ok(cycle)) => Arc::new(cycle),
            Ended::Done(Err(error)) => {
                self.cycle_failed(memory, &error.to_string(), Some(&error)).await;
                return;
            }
            Ended::TooSlow => {
                let limit_s = WORK_LIMIT.as_secs();
                tracing::error!(event = "cycle.too_slow", limit_s);
                let because = format!("the last cycle did not end within {limit_s} s");
                self.cycle_failed(memory, &because, None).await;
                return;
            }
            Ended::Stopped => return,
        };
        // A file is there before the call, so of whatever this cycle saw the file is there now.
        if self.take_emergencies(turn, shutdown, memory).await {
            // It was decided without knowing of that: at once again.
            memory.next_cycle = self.monotonic();
            return;
        }
        let (stored, terms) = (Arc::clone(&cycle), self.terms.clone());
        match self
            .db
            .write("cycle.commit", move |tx| commit(tx, &stored, &terms))
            .await
        {
            Ok(committed) if committed.not_ours => tracing::warn!(event = "cycle.dropped", because = "not the actor"),
            Ok(committed) => {
                memory.decided = true;
                if let Some(run) = memory.database.recovered(self.monotonic()) {
                    tracing::info!(event = "cycle.recovered", failures = run.failures);
                }
                let now = self.monotonic();
                if let Some(recorder) = &mut self.recorder {
                    recorder.record(Arc::clone(&cycle), now).await;
                }
                tell_log(&cycle, committed);
                self.report(&cycle, standing, memory);
                memory
                    .list
                    .observe(&self.db, cycle.discovery_error.as_deref(), self.blind_after, cycle.at)
                    .await;
                let (unread, after) = (
                    cycle.bindings_error.as_deref(),
                    self.blind_after.max(BINDINGS_UNREAD_FOR),
                );
                memory.bindings.observe(&self.db, unread, after, cycle.at).await;
                memory.cycles.observe(&self.db, None, self.blind_after, cycle.at).await;
            }
            Err(error) => self.cycle_failed(memory, &error.to_string(), Some(&error)).await,
        }
    }

    /// Takes in what people did without the journal; whether there was something.
    async fn take_emergencies(&self, turn: &LoopHandle, shutdown: &Shutdown, memory: &mut Memory) -> bool {
        let progress = Progress {
            turn,
            holder: &self.holder,
            db: &self.db,
            shutdown,
        };
        let (now, monotonic) = (self.frame.clock().now(), self.monotonic());
        let taking = memory.emergencies.take(&self.db, now, monotonic);
        // What was given up waits in its file for the next cycle.
        matches!(progress.of(LAST_STEPS, taking).await, Ended::Done(true))
    }

    fn report(&self, cycle: &Cycle, standing: &Standing, memory: &mut Memory) {
        let now = self.monotonic();
        note_streak(&mut memory.traffic, cycle.traffic_error.as_deref(), "traffic", now);
        note_streak(
            &mut memory.discovery,
            cycle.discovery_error.as_deref(),
            "list of prefixes",
            now,
        );
        let unread = cycle.bindings_error.as_deref();
        note_streak(&mut memory.bindings_read, unread, "service bindings", now);
        let line = status::line(cycle, self.terms.mode, standing);
        let blind = |verdict: &Verdict| matches!(verdict, Verdict::Unknown { .. });
        let is_blind = cycle
            .answers
            .iter()
            .any(|answer| answer.known.managed && blind(&answer.decision.verdict));
        if let Some(error) = &cycle.discovery_error {
            self.health
                .degraded(format!("the account's prefixes cannot be listed: {error}"));
        } else if !cycle.missing.is_empty() {
            let missing: Vec<String> = cycle.missing.iter().map(ToString::to_string).collect();
            let missing = missing.join(", ");
            self.health
                .degraded(format!("listed as managed, but not known to Cloudflare: {missing}"));
        } else if is_blind {
            self.health.degraded(&*line);
        } else {
            self.health.ok(&*line);
        }
        self.frame.status(line);
    }

    /// One step for every open intent whose time has come.
    async fn advance(&mut self, turn: &LoopHandle, shutdown: &Shutdown, memory: &mut Memory) {
        let clock = self.frame.clock().clone();
        let open = match self.db.read("intents.open", db::intents::open).await {
            Ok(open) => open,
            Err(error) => {
                self.cycle_failed(memory, &error.to_string(), Some(&error)).await;
                return;
            }
        };
        let now = clock.now();
        let due = |intent: &Intent| intent.not_before.is_none_or(|at| at <= now);
        let ours = |intent: &Intent| may_take(intent, memory.decided);
        let mut due: Vec<Intent> = open.into_iter().filter(due).filter(ours).collect();
        if due.is_empty() {
            return;
        }
        // What protects goes first.
        due.sort_by_key(|intent| (intent.act != Act::Advertise, intent.id));
        let progress = Progress {
            turn,
            holder: &self.holder,
            db: &self.db,
            shutdown,
        };
        let read_clock = || clock.now();
        let (ops, holder, read_clock) = (&self.ops, &*self.holder, &read_clock);
        let mut taken: Vec<(IntentId, Result<Step, DbError>)> = Vec::new();
        let stepping = async {
            let mut steps = stream::iter(due)
                .map(|intent| async move { (intent.id, ops.step(intent.id, Some(holder), read_clock).await) })
                .buffer_unordered(CONCURRENT_STEPS);
            while let Some(step) = steps.next().await {
                taken.push(step);
            }
        };
        let ended = progress.of(LAST_STEPS, stepping).await;
        if !matches!(ended, Ended::Done(())) {
            // What was under way is found in the journal as it was left.
            tracing::error!(event = "intents.given_up", because = ?ended, limit_s = WORK_LIMIT.as_secs());
        }
        for (intent, step) in taken {
            match step {
                Ok(Step::Closed(state)) => {
                    tracing::info!(event = "intent.closed", intent = intent.0, state = state.as_str());
                    // What it changed is looked at now, not when the next cycle would be due.
                    memory.next_cycle = self.monotonic();
                }
                Ok(Step::Later { .. } | Step::NotOurs) => {}
                // Somebody else was faster; whoever it was recorded what happened.
                Err(DbError::Conflict { what }) => {
                    tracing::info!(event = "intent.overtaken", intent = intent.0, because = what);
                }
                Err(error) => self.cycle_failed(memory, &error.to_string(), Some(&error)).await,
            }
        }
    }

    async fn cycle_failed(&self, memory: &mut Memory, because: &str, error: Option<&DbError>) {
        if let Some(run) = memory.database.failed(self.monotonic()) {
            let code = error.map_or("cycle.too_slow", DbError::code);
            tracing::error!(event = "cycle.failed", failures = run.failures, code, because);
        }
        self.health.failing(format!("nothing is decided: {because}"));
        self.frame.status(format!("nothing is decided: {because}"));
        let now = self.frame.clock().now();
        memory
            .cycles
            .observe(&self.db, Some(because), self.blind_after, now)
            .await;
    }
}

/// Whether this process may go on with an intent. A withdrawal that another process planned, with another configuration
/// perhaps, is begun only by one that has decided for itself since (rules 9 and 16).
fn may_take(intent: &Intent, decided: bool) -> bool {
    decided || !intent.origin.is_automatic() || intent.state != IntentState::Planned
}

fn tell_log(cycle: &Cycle, committed: Committed) {
    for (prefix, verdict) in committed.changed {
        let because = cycle
            .answers
            .iter()
            .find(|answer| answer.inputs.prefix == prefix)
            .map_or_else(String::new, |answer| answer.decision.next.because());
        tracing::info!(event = "decision.changed", prefix = %prefix, verdict, because);
    }
    for intent in committed.filed {
        tracing::info!(event = "withdraw.intent.created", intent = intent.0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{BgpPrefixId, PrefixId};
    use domain::intent::Origin;

    fn intent(origin: Origin, state: IntentState) -> Intent {
        Intent {
            id: IntentId(1),
            prefix: "203.0.113.0/24".parse().unwrap(),
            act: Act::Withdraw,
            state,
            origin,
            reason: String::new(),
            prefix_id: PrefixId::new(""),
            bgp_prefix_id: BgpPrefixId::new(""),
            epoch: None,
            state_version: None,
            evidence: None,
            incident: None,
            calm_s: None,
            peak: None,
            systems: Vec::new(),
            attack_began_at: None,
            attack_ended_at: None,
            force: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            not_before: None,
            lease_owner: None,
            lease_until: None,
            sending_at: None,
            closed_at: None,
            outcome_class: None,
            outcome_words: None,
            refusal_announced: None,
        }
    }

    #[test]
    fn what_another_process_planned_is_begun_only_after_an_own_decision() {
        let person = Origin::Person {
            actor: "ana@noc".into(),
            via: "prefix_manager".into(),
        };
        let planned = intent(Origin::Automatic, IntentState::Planned);
        assert!(!may_take(&planned, false) && may_take(&planned, true));
        // What may have been sent is read back at once, and what a person asked for does not wait.
        assert!(may_take(&intent(Origin::Automatic, IntentState::Sending), false));
        assert!(may_take(&intent(Origin::Automatic, IntentState::Verifying), false));
        assert!(may_take(&intent(person, IntentState::Planned), false));
    }
}
