//! What the parts of a process say about themselves, and the sum of it.
//!
//! Unknown is never calm: a check that has not reported yet, or whose last report is too old, is not ok. Reporting is
//! cheap (a short lock), so it may be done on every turn of a loop. A change of a check's verdict is logged once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::SharedClock;
use crate::progress::Progress;

/// How well something works. Ordered: the worst wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Works.
    Ok,
    /// Works with less, or it is not known whether it works.
    Degraded,
    /// Does not work.
    Failing,
}

impl Health {
    /// A stable word for logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

/// What a check means for the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Without it the process does not do its work: its failure is the failure of the process.
    Vital,
    /// Without it the process does its work with less: it makes the process degraded at worst.
    Supporting,
}

/// One check as shown by `/health`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckState {
    /// Its name; loops are called `loop:NAME`.
    pub name: String,
    /// Whether it is known to work.
    pub ok: bool,
    /// How well.
    pub status: Health,
    /// Seconds since the last report, absent when there was none.
    pub age_s: Option<f64>,
    /// In plain words.
    pub detail: String,
}

/// Everything the process says about its health. Clones share it.
#[derive(Clone)]
pub struct HealthRegistry {
    clock: SharedClock,
    progress: Progress,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    checks: BTreeMap<String, Check>,
    facts: Vec<FactSource>,
}

type FactSource = Box<dyn Fn() -> Map<String, Value> + Send + Sync>;

struct Check {
    weight: Weight,
    fresh_for: Duration,
    registered: Duration,
    report: Option<Report>,
}

struct Report {
    verdict: Health,
    detail: String,
    at: Duration,
}

impl HealthRegistry {
    /// No checks besides the loops of `progress`.
    pub fn new(clock: SharedClock, progress: Progress) -> Self {
        Self {
            clock,
            progress,
            inner: Arc::default(),
        }
    }

    /// Adds a check that promises a report at least every `fresh_for`; until the first one it is not ok.
    /// A name used before is replaced.
    pub fn check(&self, name: &str, weight: Weight, fresh_for: Duration) -> CheckHandle {
        let check = Check {
            weight,
            fresh_for,
            registered: self.clock.monotonic(),
            report: None,
        };
        self.inner().checks.insert(name.to_owned(), check);
        CheckHandle {
            registry: self.clone(),
            name: name.into(),
        }
    }

    /// Adds further members to the JSON of `/health`, read at every request; must be quick and not block.
    /// A member called like one of the document's own is left out.
    pub fn add_facts<F>(&self, facts: F)
    where
        F: Fn() -> Map<String, Value> + Send + Sync + 'static,
    {
        self.inner().facts.push(Box::new(facts));
    }

    /// All checks as they stand now, loops included, and the verdict on the whole.
    pub fn survey(&self) -> (Health, Vec<CheckState>) {
        let now = self.clock.monotonic();
        let mut worst = Health::Ok;
        let mut states = Vec::new();
        for (name, check) in &self.inner().checks {
            let state = check.state(name, now);
            worst = worst.max(match check.weight {
                Weight::Vital => state.status,
                Weight::Supporting => state.status.min(Health::Degraded),
            });
            states.push(state);
        }
        for turn in self.progress.survey() {
            let stalled = turn.is_stalled();
            let status = if stalled { Health::Failing } else { Health::Ok };
            worst = worst.max(status);
            states.push(CheckState {
                name: format!("loop:{}", turn.name),
                ok: !stalled,
                status,
                age_s: Some(seconds(turn.age)),
                detail: match stalled {
                    true => format!("no progress for longer than its limit of {:?}", turn.limit),
                    false => "making progress".to_owned(),
                },
            });
        }
        (worst, states)
    }

    /// The members added by [`Self::add_facts`].
    pub(super) fn facts(&self) -> Map<String, Value> {
        self.inner().facts.iter().flat_map(|source| source()).collect()
    }

    fn report(&self, name: &str, verdict: Health, detail: String) {
        let at = self.clock.monotonic();
        let mut inner = self.inner();
        let Some(check) = inner.checks.get_mut(name) else {
            return;
        };
        let report = Report {
            verdict,
            detail: detail.clone(),
            at,
        };
        let before = check.report.replace(report).map(|old| old.verdict);
        drop(inner);
        if before == Some(verdict) {
            return;
        }
        match verdict {
            // The first report of a part that works is no news.
            Health::Ok if before.is_none() => {}
            Health::Ok => tracing::info!(event = "health.check.recovered", check = name, detail),
            Health::Degraded => tracing::warn!(event = "health.check.degraded", check = name, detail),
            Health::Failing => tracing::error!(event = "health.check.failing", check = name, detail),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for HealthRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthRegistry").finish_non_exhaustive()
    }
}

impl Check {
    fn state(&self, name: &str, now: Duration) -> CheckState {
        let silent = match self.weight {
            Weight::Vital => Health::Failing,
            Weight::Supporting => Health::Degraded,
        };
        let age = self.report.as_ref().map(|report| now.saturating_sub(report.at));
        let (status, detail) = match (&self.report, age) {
            (Some(report), Some(age)) if age > self.fresh_for => (
                report.verdict.max(silent),
                format!(
                    "last report is too old (expected every {:?}): {}",
                    self.fresh_for, report.detail
                ),
            ),
            (Some(report), _) => (report.verdict, report.detail.clone()),
            (None, _) if now.saturating_sub(self.registered) > self.fresh_for => (
                silent,
                format!("has never reported (expected every {:?})", self.fresh_for),
            ),
            (None, _) => (Health::Degraded, "has not reported yet".to_owned()),
        };
        CheckState {
            name: name.to_owned(),
            ok: status == Health::Ok,
            status,
            age_s: age.map(seconds),
            detail,
        }
    }
}

/// A part's own end of its check. Clones report for the same check.
#[derive(Debug, Clone)]
pub struct CheckHandle {
    registry: HealthRegistry,
    name: Arc<str>,
}

impl CheckHandle {
    /// It works.
    pub fn ok(&self, detail: impl Into<String>) {
        self.report(Health::Ok, detail);
    }

    /// It works with less, or it is not known whether it works.
    pub fn degraded(&self, detail: impl Into<String>) {
        self.report(Health::Degraded, detail);
    }

    /// It does not work.
    pub fn failing(&self, detail: impl Into<String>) {
        self.report(Health::Failing, detail);
    }

    /// Reports any verdict.
    pub fn report(&self, verdict: Health, detail: impl Into<String>) {
        self.registry.report(&self.name, verdict, detail.into());
    }
}

/// Seconds with milliseconds: finer is noise.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    struct Set {
        clock: Arc<ManualClock>,
        progress: Progress,
        health: HealthRegistry,
    }

    fn set() -> Set {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let progress = Progress::new(Arc::<ManualClock>::clone(&clock));
        let health = HealthRegistry::new(Arc::<ManualClock>::clone(&clock), progress.clone());
        Set {
            clock,
            progress,
            health,
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn silence_is_never_ok() {
        let Set { clock, health, .. } = set();
        let check = health.check("database", Weight::Vital, MINUTE);
        assert_eq!(health.survey().0, Health::Degraded, "not reported yet");
        clock.advance(MINUTE * 2);
        assert_eq!(health.survey().0, Health::Failing, "never reported");
        check.ok("writable");
        assert_eq!(health.survey().0, Health::Ok);
        clock.advance(MINUTE * 2);
        let (whole, states) = health.survey();
        assert_eq!(whole, Health::Failing, "too old");
        assert_eq!(states[0].age_s, Some(120.0));
        assert_eq!(
            states[0].detail,
            "last report is too old (expected every 60s): writable"
        );
    }

    #[test]
    fn the_worst_wins_and_a_supporting_part_degrades_only() {
        let Set { health, .. } = set();
        let telegram = health.check("telegram", Weight::Supporting, MINUTE);
        let database = health.check("database", Weight::Vital, MINUTE);
        telegram.failing("chat not found");
        database.ok("writable");
        assert_eq!(health.survey().0, Health::Degraded);
        database.failing("read-only file system");
        assert_eq!(health.survey().0, Health::Failing);
    }

    #[test]
    fn a_stalled_loop_fails_the_process() {
        let Set {
            clock,
            progress,
            health,
        } = set();
        let turn = progress.register("poll", MINUTE);
        assert_eq!(health.survey().0, Health::Ok);
        clock.advance(MINUTE * 2);
        let (whole, states) = health.survey();
        assert_eq!(whole, Health::Failing);
        assert_eq!(states[0].name, "loop:poll");
        turn.handle().tick();
        assert_eq!(health.survey().0, Health::Ok);
    }
}
