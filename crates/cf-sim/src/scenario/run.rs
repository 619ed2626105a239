//! The run: a tick looks at the time, feeds traffic, changes prefixes and collects the alerts that are due.
//!
//! Attack phases, each once: detected (volumetric alert) -> auto-advertised -> mitigated at Cloudflare (L3/4 START) ->
//! over -> END alerts. Traffic reaches Cloudflare only as far as the prefix is advertised and the advertisement has
//! propagated. Nothing here ever withdraws a prefix: Cloudflare never does.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alerts::{self, Facts};
use super::file::{Attack, EventKind, Scenario};
use super::streams::Streams;
use crate::config::SimConfig;
use crate::ids::Dice;
use crate::prefixes::PrefixChange;
use crate::quota::plus;
use crate::rest::mnm::rule_name;
use crate::world::State;

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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Rounds completed.
    pub rounds: u32,
    /// Attacks by name.
    pub attacks: Vec<(String, AttackPhase)>,
}

/// An alert that is due, and the real time it waits before it is sent.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) body: Value,
    pub(crate) after: Duration,
}

#[derive(Debug)]
struct AttackRun {
    phase: AttackPhase,
    attack_id: String,
    correlation_id: String,
    advertise_done: bool,
    retry_at: Option<Duration>,
    first_drop: Option<Duration>,
    l4_started: bool,
    volumetric_sent: bool,
}

/// A scenario under way.
#[derive(Debug)]
pub(crate) struct Running {
    scenario: Arc<Scenario>,
    factor: f64,
    started: Timestamp,
    last_tick: Timestamp,
    attacks: Vec<AttackRun>,
    events_done: Vec<bool>,
    streams: Streams,
    finished: bool,
    rounds: u32,
    seed: u64,
}

impl Running {
    pub(crate) fn new(scenario: Scenario, factor: f64, seed: u64, config: &SimConfig, now: Timestamp) -> Self {
        let scenario = Arc::new(scenario);
        let mut running = Self {
            streams: Streams::default(),
            attacks: Vec::new(),
            events_done: Vec::new(),
            scenario,
            factor,
            started: now,
            last_tick: now,
            finished: false,
            rounds: 0,
            seed,
        };
        running.begin(config, now);
        running
    }

    fn begin(&mut self, config: &SimConfig, now: Timestamp) {
        let mut dice = Dice::new(self.seed.wrapping_add(u64::from(self.rounds)) ^ 0x5ce7_a210);
        let attack = |_: &Attack| AttackRun {
            phase: AttackPhase::Waiting,
            attack_id: dice.hex32(),
            correlation_id: dice.uuid(),
            advertise_done: false,
            retry_at: None,
            first_drop: None,
            l4_started: false,
            volumetric_sent: false,
        };
        self.attacks = self.scenario.attack.iter().map(attack).collect();
        self.events_done = vec![false; self.scenario.event.len()];
        let ids: Vec<String> = self.attacks.iter().map(|a| a.attack_id.clone()).collect();
        self.streams = Streams::new(&self.scenario, &ids, self.rounds, config);
        (self.started, self.last_tick) = (now, now);
    }

    pub(crate) fn apply_initial_state(&self, state: &mut State, now: Timestamp) {
        for prefix in &self.scenario.prefix {
            let change = PrefixChange {
                advertised: prefix.advertised,
                locked: prefix.locked,
                modified_ago_s: prefix.advertised.map(|_| 86_400),
                ..PrefixChange::default()
            };
            state.prefixes.change(prefix.cidr, &change, now);
        }
    }

    pub(crate) fn stop(&mut self) {
        self.finished = true;
    }

    fn position(&self, now: Timestamp) -> Duration {
        let passed = now.duration_since(self.started).unsigned_abs();
        passed.mul_f64(self.factor)
    }

    pub(crate) fn status(&self, now: Timestamp) -> ScenarioStatus {
        let length = self.scenario.duration.as_secs_f64();
        let attacks = self.scenario.attack.iter().zip(&self.attacks);
        ScenarioStatus {
            name: self.scenario.name.clone(),
            started: self.started,
            position_s: if self.finished {
                length
            } else {
                self.position(now).as_secs_f64().min(length)
            },
            duration_s: length,
            factor: self.factor,
            finished: self.finished,
            rounds: self.rounds,
            attacks: attacks.map(|(a, r)| (a.name.clone(), r.phase)).collect(),
        }
    }

    /// One step; answers the alerts that became due. `state.scenario` is not looked at.
    pub(crate) fn tick(&mut self, state: &mut State, config: &SimConfig, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        if self.finished || now < self.last_tick {
            return due;
        }
        let at = self.position(now);
        self.streams.feed(
            &self.scenario,
            state,
            config,
            self.factor,
            self.started,
            self.last_tick,
            now,
        );
        self.last_tick = now;
        let scenario = Arc::clone(&self.scenario);
        for (index, event) in scenario.event.iter().enumerate() {
            if at >= event.at && !std::mem::replace(&mut self.events_done[index], true) {
                happen(&event.kind, state, config, now, &mut due);
            }
        }
        for (index, attack) in scenario.attack.iter().enumerate() {
            self.advance(index, attack, at, state, config, now, &mut due);
        }
        let waiting = self
            .attacks
            .iter()
            .any(|a| a.phase > AttackPhase::Waiting && a.phase < AttackPhase::Ended);
        // END alerts may come after the timeline's end; traffic does not.
        if at >= scenario.duration && !waiting {
            self.rounds += 1;
            if scenario.repeat {
                self.begin(config, now);
            } else {
                self.finished = true;
            }
        }
        due
    }

    fn facts(&self, index: usize, attack: &Attack) -> Facts {
        let run = &self.attacks[index];
        Facts {
            attack_id: run.attack_id.clone(),
            correlation_id: run.correlation_id.clone(),
            vector: attack.vector.clone(),
            protocol: attack.protocol.clone(),
            rule_name: attack.rule_name.clone(),
            mnm_rule: rule_name(attack.prefix.trunc()),
            target_ip: attack.target_ip.to_string(),
            target_port: attack.target_port,
            prefix: attack.prefix.trunc().to_string(),
            pps: attack.pps,
            mbps: attack.mbps,
            started: plus(self.started, attack.start.div_f64(self.factor)),
            auto_advertised: attack.auto_advertise.enabled,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn advance(
        &mut self,
        index: usize,
        attack: &Attack,
        at: Duration,
        state: &mut State,
        config: &SimConfig,
        now: Timestamp,
        due: &mut Vec<Due>,
    ) {
        let after = attack.webhook_delay.div_f64(self.factor);
        let facts = self.facts(index, attack);
        let end = attack.start + attack.duration;
        let dropping = self.streams.dropped(index);
        let run = &mut self.attacks[index];
        let mut send = |body: Value| due.push(Due { body, after });
        if run.phase == AttackPhase::Waiting && at >= attack.start {
            run.phase = AttackPhase::Running;
        }
        if run.phase == AttackPhase::Running
            && at >= attack.start + attack.detection
            && attack.detection < attack.duration
        {
            run.phase = AttackPhase::Detected;
            if attack.volumetric_alert {
                run.volumetric_sent = true;
                send(alerts::volumetric(config, &facts, alerts::START));
            }
        }
        let auto = &attack.auto_advertise;
        let try_at = run.retry_at.unwrap_or(attack.start + attack.detection + auto.delay);
        if run.phase >= AttackPhase::Detected && auto.enabled && !run.advertise_done && at >= try_at {
            let networks: Vec<IpNet> = std::iter::once(attack.prefix)
                .chain(auto.also.iter().copied())
                .collect();
            let forced = auto.status.as_deref().filter(|_| run.retry_at.is_none());
            let statuses: Vec<(String, String)> = networks
                .iter()
                .map(|n| (n.trunc().to_string(), advertise(*n, forced, state, now)))
                .collect();
            match (forced, auto.retry_after_s) {
                (Some(_), Some(wait)) => run.retry_at = Some(at + Duration::from_secs(wait)),
                _ => run.advertise_done = true,
            }
            send(alerts::auto_advertisement(config, &facts, &statuses));
        }
        if dropping && run.first_drop.is_none() {
            run.first_drop = Some(at);
        }
        if !run.l4_started
            && run.phase < AttackPhase::Over
            && run.first_drop.is_some_and(|first| at >= first + attack.l4_delay)
        {
            run.phase = run.phase.max(AttackPhase::Mitigated);
            run.l4_started = true;
            if attack.l4_alert {
                send(alerts::l4(config, &facts, alerts::START));
            }
        }
        if run.phase > AttackPhase::Waiting && run.phase < AttackPhase::Over && at >= end {
            run.phase = AttackPhase::Over;
        }
        if run.phase == AttackPhase::Over && at >= end + attack.end_delay {
            run.phase = AttackPhase::Ended;
            self.streams.close_attack(index, state, now);
            if attack.end_alerts && run.l4_started && attack.l4_alert {
                send(alerts::l4(config, &facts, alerts::END));
            }
            if attack.end_alerts && run.volumetric_sent {
                send(alerts::volumetric(config, &facts, alerts::END));
            }
        }
    }
}

/// Advertises on behalf of Network Monitoring and says how that went, in the documented words.
fn advertise(network: IpNet, forced: Option<&str>, state: &mut State, now: Timestamp) -> String {
    use crate::prefixes::Refusal;
    if let Some(word) = forced {
        return word.to_owned();
    }
    let Some(index) = state.prefixes.rows.iter().position(|p| p.cidr == network.trunc()) else {
        return "Error".to_owned();
    };
    match state.prefixes.advertise(index, true, now) {
        Ok(true) => "Advertised",
        Ok(false) => "Already Advertised",
        Err(Refusal::Locked) => "Locked",
        Err(Refusal::TooSoon { .. }) => "Delayed",
        Err(_) => "Could not Advertise",
    }
    .to_owned()
}

fn happen(kind: &EventKind, state: &mut State, config: &SimConfig, now: Timestamp, due: &mut Vec<Due>) {
    match kind {
        EventKind::Prefix { cidr, change } => {
            state.prefixes.change(*cidr, change, now);
        }
        EventKind::Alert {
            template,
            data,
            envelope,
        } => {
            if let Some(body) = alerts::template(template, config, &mut state.dice, now) {
                due.push(Due {
                    body: alerts::amend(body, data.as_ref(), envelope.as_ref()),
                    after: Duration::ZERO,
                });
            }
        }
        EventKind::Fault { fault } => {
            if let Err(problem) = state.faults.add(fault.clone(), now) {
                tracing::warn!(event = "sim.scenario.fault_refused", %problem);
            }
        }
        EventKind::ClearFaults => state.faults.clear(),
    }
}
