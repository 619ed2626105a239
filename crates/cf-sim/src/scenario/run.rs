//! The run: time goes on in steps of the same length, whenever somebody looks; each step feeds traffic, changes prefixes
//! and collects the alerts that are due. Steps, not looks, decide what happens: the same seed gives the same run.
//!
//! Nothing here ever withdraws a prefix by itself: Cloudflare never does, except where an event says so.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::expect::Finding;
use super::file::{Detection, Scenario};
use super::monitoring::Monitoring;
use super::streams::{Step, Streams};
use super::tunnels::Tunnels;
use crate::config::SimConfig;
use crate::ids::Dice;
use crate::prefixes::PrefixChange;
use crate::quota::plus;
use crate::world::{State, push_bounded};

/// Real length of a step.
pub(super) const STEP: Duration = Duration::from_millis(50);
/// Steps made up for when the machine stood still; what was missed beyond is left out.
const MOST_STEPS: u32 = 1_200;
/// Alerts and journal entries kept of a round.
const KEPT: usize = 6_000;

/// How far an attack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttackPhase {
    /// Not begun.
    Waiting,
    /// Packets flow.
    Running,
    /// The volumetric alert was due.
    Detected,
    /// Cloudflare drops packets and has said so (L3/4 START).
    Mitigated,
    /// No packets any more.
    Over,
    /// END alerts are out.
    Ended,
}

/// A scenario that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioStatus {
    /// Its name.
    pub name: String,
    /// When this round began.
    pub started: Timestamp,
    /// Scenario time passed, in seconds.
    pub position_s: f64,
    /// Length in scenario time, in seconds.
    pub duration_s: f64,
    /// Divides its durations.
    pub factor: f64,
    /// It has come to its end (or was stopped).
    pub finished: bool,
    /// It stands still.
    #[serde(default)]
    pub paused: bool,
    /// Rounds completed.
    pub rounds: u32,
    /// Attacks by name.
    pub attacks: Vec<(String, AttackPhase)>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Scenario time, in seconds.
    pub at_s: f64,
    /// What, in a line.
    pub text: String,
}

/// An alert that is due, and the real time it waits before it is sent.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) body: Value,
    pub(crate) after: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct AttackRun {
    pub(super) phase: AttackPhase,
    pub(super) attack_id: String,
    pub(super) correlation_id: String,
    pub(super) advertise_done: bool,
    pub(super) retry_at: Option<Duration>,
    pub(super) first_drop: Option<Duration>,
    /// What Cloudflare has said of it.
    pub(super) l4_due: bool,
    pub(super) l4_sent: bool,
    pub(super) volumetric_sent: bool,
}

/// An automatic advertisement that was too early and is tried again.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) rule: String,
    pub(super) networks: Vec<IpNet>,
    pub(super) at: Duration,
}

/// A scenario under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) scenario: Arc<Scenario>,
    pub(super) factor: f64,
    started: Timestamp,
    last_step: Timestamp,
    position: Duration,
    paused: bool,
    /// Stands still when it comes here.
    until: Option<Duration>,
    pub(super) attacks: Vec<AttackRun>,
    /// Real time at which each attack began, or begins at this speed.
    pub(super) began: Vec<Timestamp>,
    /// How much of each event has happened.
    pub(super) events_done: Vec<u32>,
    /// The networks of an event that takes them one by one.
    pub(super) concerned: HashMap<usize, Vec<IpNet>>,
    pub(super) streams: Streams,
    pub(super) tunnels: Tunnels,
    pub(super) monitoring: Monitoring,
    pub(super) retries: Vec<Retry>,
    /// Scenario time of the last L3/4 alert by target and vector: the same is not told again within the hour.
    pub(super) told: HashMap<(String, String), Duration>,
    pub(super) dice: Dice,
    alerts: VecDeque<Value>,
    journal: VecDeque<JournalEntry>,
    finished: bool,
    rounds: u32,
    seed: u64,
}

impl Running {
    pub(crate) fn new(scenario: Scenario, factor: f64, seed: u64, config: &SimConfig, now: Timestamp) -> Self {
        let mut running = Self {
            streams: Streams::default(),
            tunnels: Tunnels::default(),
            monitoring: Monitoring::default(),
            retries: Vec::new(),
            told: HashMap::new(),
            concerned: HashMap::new(),
            attacks: Vec::new(),
            began: Vec::new(),
            events_done: Vec::new(),
            scenario: Arc::new(scenario),
            factor,
            started: now,
            last_step: now,
            position: Duration::ZERO,
            paused: false,
            until: None,
            dice: Dice::new(seed),
            alerts: VecDeque::new(),
            journal: VecDeque::new(),
            finished: false,
            rounds: 0,
            seed,
        };
        running.begin(config, now);
        running
    }

    fn begin(&mut self, config: &SimConfig, now: Timestamp) {
        let round_seed = self.seed.wrapping_add(u64::from(self.rounds));
        let mut dice = Dice::new(round_seed ^ 0x5ce7_a210);
        let attack = |_: &super::attack::Attack| AttackRun {
            phase: AttackPhase::Waiting,
            attack_id: dice.hex32(),
            correlation_id: dice.uuid(),
            advertise_done: false,
            retry_at: None,
            first_drop: None,
            l4_due: false,
            l4_sent: false,
            volumetric_sent: false,
        };
        self.attacks = self.scenario.attack.iter().map(attack).collect();
        self.began = vec![now; self.attacks.len()];
        self.events_done = vec![0; self.scenario.event.len()];
        let ids: Vec<String> = self.attacks.iter().map(|a| a.attack_id.clone()).collect();
        self.streams = Streams::new(&self.scenario, &ids, self.rounds, round_seed, config);
        self.tunnels = Tunnels::new(&self.scenario.tunnel);
        self.monitoring = Monitoring::default();
        self.retries.clear();
        self.told.clear();
        self.concerned.clear();
        self.alerts.clear();
        self.journal.clear();
        self.dice = Dice::new(round_seed ^ 0x7e11_ed5a);
        self.position = Duration::ZERO;
        (self.started, self.last_step) = (now, now);
    }

    pub(crate) fn apply_initial_state(&self, state: &mut State, now: Timestamp) {
        for prefix in &self.scenario.prefix {
            if prefix.onboard {
                state.prefixes.onboard(prefix.cidr, now);
            }
            let change = PrefixChange {
                advertised: prefix.advertised,
                locked: prefix.locked,
                modified_ago_s: prefix.advertised.map(|_| 86_400),
                ..PrefixChange::default()
            };
            state.prefixes.change(prefix.cidr, &change, now);
        }
        if !self.scenario.rule.is_empty() {
            let mut dice = Dice::new(self.seed ^ 0x7275_6c65);
            let whole = |rule: &Value| {
                let mut whole = json!({
                    "id": dice.hex32(), "prefixes": [], "type": "threshold", "automatic_advertisement": false,
                    "bandwidth_threshold": null, "packet_threshold": null, "duration": "1m0s", "prefix_match": null,
                    "zscore_sensitivity": null, "zscore_target": null,
                });
                if let (Some(whole), Some(given)) = (whole.as_object_mut(), rule.as_object()) {
                    whole.extend(given.clone());
                }
                whole
            };
            state.rules.rules = self.scenario.rule.iter().map(whole).collect();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.finished = true;
    }

    /// Stands still from now on.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.until = None;
    }

    /// Goes on: for so much scenario time, or until its end.
    pub(crate) fn go_on(&mut self, length: Option<Duration>) {
        self.paused = false;
        self.until = length.map(|length| self.position + length);
    }

    /// Another speed from here on.
    pub(crate) fn set_factor(&mut self, factor: f64) {
        self.factor = factor;
    }

    pub(crate) fn factor(&self) -> f64 {
        self.factor
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Alerts of this round, oldest first.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Value> {
        self.alerts.iter()
    }

    /// What happened in this round, oldest first.
    pub(crate) fn journal(&self) -> &VecDeque<JournalEntry> {
        &self.journal
    }

    pub(crate) fn phase(&self, attack: &str) -> Option<AttackPhase> {
        let index = self.scenario.attack.iter().position(|a| a.name == attack)?;
        self.attacks.get(index).map(|run| run.phase)
    }

    /// What the scenario expects of itself, held against what happened so far.
    pub(crate) fn findings(&self, state: &State) -> Vec<Finding> {
        let expected = self.scenario.expect.iter();
        expected.map(|expected| expected.judge(self, state)).collect()
    }

    pub(crate) fn status(&self, _now: Timestamp) -> ScenarioStatus {
        let length = self.scenario.duration.as_secs_f64();
        let attacks = self.scenario.attack.iter().zip(&self.attacks);
        ScenarioStatus {
            name: self.scenario.name.clone(),
            started: self.started,
            position_s: if self.finished {
                length
            } else {
                self.position.as_secs_f64().min(length)
            },
            duration_s: length,
            factor: self.factor,
            finished: self.finished,
            paused: self.paused,
            rounds: self.rounds,
            attacks: attacks.map(|(a, r)| (a.name.clone(), r.phase)).collect(),
        }
    }

    pub(super) fn note(&mut self, text: String) {
        let entry = JournalEntry {
            at_s: self.position.as_secs_f64(),
            text,
        };
        push_bounded(&mut self.journal, entry, KEPT);
    }

    /// Makes an alert due.
    pub(super) fn send(&mut self, body: Value, after: Duration, due: &mut Vec<Due>) {
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let word = text("alert_event").trim_start_matches("ALERT_STATE_EVENT_");
        self.note(format!("alert {} {word}: {}", text("alert_type"), text("text")));
        push_bounded(&mut self.alerts, body.clone(), KEPT);
        due.push(Due { body, after });
    }

    /// All steps that are due; answers the alerts that became due. `state.scenario` is not looked at.
    pub(crate) fn tick(&mut self, state: &mut State, config: &SimConfig, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        let mut steps = 0;
        while !self.finished && plus(self.last_step, STEP) <= now {
            steps += 1;
            if self.paused || steps > MOST_STEPS {
                self.last_step = now;
                break;
            }
            self.last_step = plus(self.last_step, STEP);
            self.step(state, config, self.last_step, &mut due);
        }
        due
    }

    fn step(&mut self, state: &mut State, config: &SimConfig, now: Timestamp, due: &mut Vec<Due>) {
        self.position += STEP.mul_f64(self.factor);
        let step = Step {
            at: self.position,
            now,
            seconds: STEP.as_secs_f64(),
        };
        let scenario = Arc::clone(&self.scenario);
        self.events(state, config, step, due);
        self.streams.feed(&scenario, state, config, step, &self.began);
        self.tunnels.feed(state, step.at, now);
        if scenario.detection == Detection::Rules {
            self.detect(state, config, step, due);
        }
        for index in 0..scenario.attack.len() {
            self.advance(index, state, config, step, due);
        }
        let waiting = self
            .attacks
            .iter()
            .any(|a| a.phase > AttackPhase::Waiting && a.phase < AttackPhase::Ended);
        // END alerts may come after the timeline's end; traffic does not.
        if step.at >= scenario.duration && !waiting {
            self.rounds += 1;
            if scenario.repeat {
                self.begin(config, now);
            } else {
                self.finished = true;
            }
        }
        if self.until.is_some_and(|until| self.position >= until) {
            self.pause();
        }
    }
}
