//! A scenario from beginning to end in no time: the same code with a clock that is pushed, nothing sent, nobody asked.
//! What comes out depends on the scenario, the configuration and the seed alone.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::expect::Finding;
use super::file::{Scenario, ScenarioError};
use super::run::{JournalEntry, Running, STEP, ScenarioStatus};
use crate::config::SimConfig;
use crate::quota::plus;
use crate::sim::SimError;
use crate::world::World;

/// When every rehearsal begins: 1 February 2026.
const BEGIN: i64 = 1_769_904_000;
/// Longest rehearsal in steps: END alerts may come after the scenario's end.
const MOST_STEPS: u32 = 2_000_000;

/// What a rehearsal left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// How it ended.
    pub status: ScenarioStatus,
    /// Alerts in their order.
    pub alerts: Vec<Value>,
    /// What happened, in its order.
    pub journal: Vec<JournalEntry>,
    /// Networks, and whether each was advertised in the end.
    pub advertised: Vec<(String, bool)>,
    /// All rows of every node, as text that two runs can be compared by.
    pub rows: Vec<String>,
    /// What the scenario expects of itself.
    pub findings: Vec<Finding>,
}

/// Rehearses a scenario once; one that repeats is rehearsed for one round.
///
/// # Errors
/// The scenario contradicts itself, or the factor makes no sense.
pub fn rehearse(scenario: &Scenario, config: SimConfig) -> Result<Rehearsal, SimError> {
    looking_every(STEP, scenario, config)
}

/// How often somebody looks must not change what happens.
fn looking_every(look: Duration, scenario: &Scenario, config: SimConfig) -> Result<Rehearsal, SimError> {
    scenario
        .check()
        .map_err(|e| SimError::Scenario(ScenarioError::Invalid(e)))?;
    if !(config.factor.is_finite() && config.factor > 0.0) {
        return Err(SimError::Invalid("factor must be above 0".to_owned()));
    }
    let factor = config.factor;
    let mut now = Timestamp::from_second(BEGIN).unwrap_or_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let world = World::new(config, http, now);
    let mut state = world.lock();
    let once = Scenario {
        repeat: false,
        ..scenario.clone()
    };
    let mut running = Running::new(once, factor, world.config.seed, &world.config, now);
    running.apply_initial_state(&mut state, now);
    for _ in 0..MOST_STEPS {
        now = plus(now, look);
        running.tick(&mut state, &world.config, now);
        if running.is_finished() {
            break;
        }
    }
    state.traffic.flush(i64::MAX);
    let findings = running.findings(&state);
    let mut rows = Vec::new();
    for (node, _, _) in state.traffic.counts(now) {
        rows.extend(state.traffic.all(&node).map(|row| format!("{node} {row:?}")));
    }
    let advertised = state.prefixes.rows.iter();
    Ok(Rehearsal {
        status: running.status(now),
        alerts: running.alerts().cloned().collect(),
        journal: running.journal().iter().cloned().collect(),
        advertised: advertised.map(|p| (p.cidr.to_string(), p.advertised)).collect(),
        rows,
        findings,
    })
}

/// Every factor at which a scenario of this length takes at least so many steps: fewer would make its curves coarse.
#[must_use]
pub fn finest_factor(scenario: &Scenario, steps: u32) -> f64 {
    let per_step = scenario.duration.div_f64(f64::from(steps.max(1)));
    (per_step.as_secs_f64() / STEP.as_secs_f64()).clamp(1.0, 1e6)
}

/// What a rehearsal is run with unless somebody says otherwise: about a thousand steps.
#[must_use]
pub fn rehearsal_config(scenario: &Scenario) -> SimConfig {
    SimConfig {
        factor: finest_factor(scenario, 1_200),
        ingest_delay: Duration::from_secs(60),
        ..SimConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_somebody_looks_changes_nothing() {
        for name in ["rules-detect", "bad-day"] {
            let scenario = Scenario::named(name).unwrap();
            let config = || SimConfig {
                factor: finest_factor(&scenario, 300),
                ..SimConfig::default()
            };
            let often = rehearse(&scenario, config()).unwrap();
            // Not a multiple of a step, as it is on a busy machine.
            let seldom = looking_every(Duration::from_millis(437), &scenario, config()).unwrap();
            assert_eq!(often, seldom, "{name}");
        }
    }
}
