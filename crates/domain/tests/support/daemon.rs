//! The decision loop as the daemon runs it, without I/O: one batched query a cycle, rows dealt out
//! to the advertised prefixes, one decision each, the mass-calm brake, states kept as JSON.
//!
//! It holds the contract that `decide` expects of its caller: a query begins where the track asks,
//! and at most one automatic withdrawal is open at a time.

use std::collections::{BTreeMap, BTreeSet};

use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::calm::CalmTrack;
use domain::decision::{
    Decision, DirectRoute, Effect, Inputs, Managed, Policy, PrefixState, apply_mass_calm_brake, decide,
};
use domain::evidence::{Observed, TrafficWindow, assign};
use domain::hold::{Hold, in_force};
use domain::prefix::Prefix;
use jiff::Timestamp;

/// What is read in one cycle besides traffic.
pub struct Readings {
    pub bgp: BTreeMap<Prefix, Observed<BgpState>>,
    pub alerts: Observed<Vec<OpenAlert>>,
    pub holds: Vec<Hold>,
    pub now: Timestamp,
}

/// What survives from cycle to cycle.
#[derive(Default)]
pub struct Daemon {
    pub states: BTreeMap<Prefix, PrefixState>,
    /// Automatic withdrawals that were carried out.
    pub withdrawals: Vec<(Prefix, Timestamp)>,
    /// Automatic intents that are durable and not sent yet.
    pub open_intents: BTreeSet<Prefix>,
}

impl Daemon {
    /// The process ends and another reads what was stored.
    pub fn restart(&mut self) {
        let stored: Vec<(Prefix, String)> = self
            .states
            .iter()
            .map(|(prefix, state)| (*prefix, serde_json::to_string(state).unwrap()))
            .collect();
        self.states = stored
            .iter()
            .map(|(prefix, text)| (*prefix, serde_json::from_str(text).unwrap()))
            .collect();
    }

    /// Where this cycle's query must begin so that every prefix gets what its track asks for.
    pub fn read_from(&self, readings: &Readings, policy: &Policy) -> Timestamp {
        let wanted = readings.bgp.iter().filter_map(|(prefix, bgp)| {
            let epoch = bgp.value()?.epoch()?;
            let state = self.states.get(prefix);
            let track = state
                .and_then(|state| state.calm.clone())
                .filter(|track| track.epoch == epoch)
                .unwrap_or_else(|| CalmTrack::begin(epoch, &policy.traffic));
            let period = domain::brakes::calm_period(policy.calm_period, &self.of(*prefix), readings.now);
            Some(track.read_from(&policy.traffic, period, readings.now))
        });
        wanted.min().unwrap_or(readings.now)
    }

    /// Automatic withdrawals of one prefix, oldest first.
    pub fn of(&self, prefix: Prefix) -> Vec<Timestamp> {
        self.withdrawals
            .iter()
            .filter(|(which, _)| *which == prefix)
            .map(|(_, when)| *when)
            .collect()
    }

    /// Decides for every prefix and keeps what is to be remembered. Returns the decisions and the
    /// prefixes whose calm the mass-calm brake started anew.
    pub fn cycle(
        &mut self,
        readings: &Readings,
        traffic: Observed<TrafficWindow>,
        policy: &Policy,
    ) -> (Vec<(Prefix, Decision)>, Vec<Prefix>) {
        let announced: Vec<Prefix> = readings
            .bgp
            .iter()
            .filter(|(_, bgp)| bgp.value().is_none_or(|state| state.advertised != Some(false)))
            .map(|(prefix, _)| *prefix)
            .collect();
        let shares = traffic.map(|window| assign(&window, &announced, &BTreeSet::new()));
        let mut decided = Vec::new();
        for (prefix, bgp) in &readings.bgp {
            let previous = self.states.get(prefix).cloned().unwrap_or_default();
            let share = match &shares {
                Observed::Known { value, at } => value.get(prefix).map_or_else(
                    || Observed::unavailable("not asked for"),
                    |share| Observed::known(share.clone(), *at),
                ),
                Observed::Unavailable { reason } => Observed::unavailable(reason.clone()),
            };
            let inputs = Inputs {
                prefix: *prefix,
                managed: Managed::Yes,
                bgp: bgp.clone(),
                traffic: share,
                alerts: readings.alerts.clone(),
                hold: in_force(&readings.holds, *prefix, readings.now).cloned(),
                direct_route: DirectRoute::AlwaysAnnounced,
                own_withdrawals: self.of(*prefix),
                all_withdrawals: self.withdrawals.iter().map(|(_, when)| *when).collect(),
                other_intent_open: self.open_intents.iter().any(|other| other != prefix),
                now: readings.now,
            };
            decided.push((*prefix, previous.was_ready, decide(&previous, &inputs, policy)));
        }
        let restarted = apply_mass_calm_brake(&mut decided);
        for (prefix, _, decision) in &decided {
            self.states.insert(*prefix, decision.state.clone());
            for effect in &decision.effects {
                match effect {
                    Effect::CancelIntent { .. } => {
                        self.open_intents.remove(prefix);
                    }
                    Effect::IntendWithdrawal { .. } if self.open_intents.is_empty() => {
                        self.open_intents.insert(*prefix);
                    }
                    _ => {}
                }
            }
        }
        (
            decided
                .into_iter()
                .map(|(prefix, _, decision)| (prefix, decision))
                .collect(),
            restarted,
        )
    }

    /// The open intent of `prefix` was carried out.
    pub fn carried_out(&mut self, prefix: Prefix, now: Timestamp) {
        self.open_intents.remove(&prefix);
        self.withdrawals.push((prefix, now));
    }
}
