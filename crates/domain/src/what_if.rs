//! What another policy would have done in a recording: hours advertised, withdrawals, minutes under attack without
//! protection.
//!
//! The world goes on as it was recorded, only withdrawals differ. What cannot be known is not invented, so:
//! a prefix that the other policy withdraws earlier stays withdrawn until the recording shows a new advertisement, and
//! an attack that the recording shows meanwhile counts as unprotected, until its last window has settled; one that it would withdraw later than recorded
//! stays advertised until the instant that its calm clock named last, as if calm had gone on. Gaps of the recording
//! count for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bgp::{BgpState, Epoch};
use crate::decision::{Decision, Inputs, Mode, Policy, PrefixState, Verdict, apply_mass_calm_brake, decide};
use crate::prefix::Prefix;
use crate::recording::{RecordedCycle, RecordedPrefix};
use crate::time::since;
use crate::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};

/// A longer pause between two cycles is a gap: nobody knows what was in it.
const GAP: Duration = Duration::from_secs(600);

/// What another policy has different, by the names of `autowithdraw` in the settings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overlay {
    calm_period: Option<Span>,
    attack_lookback: Option<Span>,
    settle: Option<Span>,
    propagation: Option<Span>,
    min_samples: Option<u64>,
    min_dropped_packets: Option<Packets>,
    min_dropped_bits: Option<Bits>,
    min_dropped_pps: Option<u64>,
    min_dropped_bps: Option<u64>,
    calm_threshold_percent: Option<u8>,
    min_advertised: Option<Span>,
    max_withdrawals_per_hour: Option<u32>,
    open_alert_veto: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
struct Span(#[serde(with = "crate::duration::text")] Duration);

impl Overlay {
    /// The names that it knows.
    pub const KEYS: [&str; 13] = [
        "calm_period",
        "attack_lookback",
        "settle",
        "propagation",
        "min_samples",
        "min_dropped_packets",
        "min_dropped_bits",
        "min_dropped_pps",
        "min_dropped_bps",
        "calm_threshold_percent",
        "min_advertised",
        "max_withdrawals_per_hour",
        "open_alert_veto",
    ];

    /// The recorded policy with what differs, and acting: what it would do is the question.
    pub fn over(&self, recorded: &Policy) -> Policy {
        let mut policy = recorded.clone();
        let span = |into: &mut Duration, from: Option<Span>| {
            if let Some(Span(span)) = from {
                *into = span;
            }
        };
        span(&mut policy.calm_period, self.calm_period);
        span(&mut policy.traffic.lookback, self.attack_lookback);
        span(&mut policy.traffic.settle, self.settle);
        span(&mut policy.traffic.propagation, self.propagation);
        span(&mut policy.min_advertised, self.min_advertised);
        span(&mut policy.open_alert_veto, self.open_alert_veto);
        policy.traffic.min_samples = self.min_samples.unwrap_or(policy.traffic.min_samples);
        policy.traffic.min_packets = self.min_dropped_packets.unwrap_or(policy.traffic.min_packets);
        policy.traffic.min_bits = self.min_dropped_bits.unwrap_or(policy.traffic.min_bits);
        if let Some(limit) = self.min_dropped_pps {
            policy.traffic.min_packet_rate = PacketsPerSecond::threshold(limit);
        }
        if let Some(limit) = self.min_dropped_bps {
            policy.traffic.min_bit_rate = BitsPerSecond::threshold(limit);
        }
        policy.traffic.calm_percent = self.calm_threshold_percent.unwrap_or(policy.traffic.calm_percent);
        policy.max_withdrawals_per_hour = self.max_withdrawals_per_hour.unwrap_or(policy.max_withdrawals_per_hour);
        policy.mode = Mode::Act;
        policy
    }
}

/// The figures of one prefix, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Advertised at Cloudflare.
    #[serde(with = "crate::duration::text")]
    pub advertised: Duration,
    /// Automatic withdrawals.
    pub withdrawals: u32,
    /// Withdrawn while the recording shows an attack.
    #[serde(with = "crate::duration::text")]
    pub unprotected: Duration,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.advertised += other.advertised;
        self.withdrawals += other.withdrawals;
        self.unprotected += other.unprotected;
    }
}

/// Where a prefix stands in the other world.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// Advertised, as recorded.
    Advertised,
    /// Withdrawn by the other policy, which ended this advertisement.
    Withdrawn { ended: Epoch },
    /// Withdrawn in the recording; the other policy would wait until then.
    Lingering { until: Timestamp },
    /// Not advertised, as recorded.
    Direct,
}

#[derive(Debug)]
struct World {
    place: Place,
    state: PrefixState,
    last: Option<Verdict>,
    figures: Figures,
}

/// A withdrawal in the other world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub prefix: Prefix,
}

/// The other world, fed with the cycles of a recording in their order.
#[derive(Debug, Default)]
pub struct WhatIf {
    overlay: Overlay,
    worlds: BTreeMap<Prefix, World>,
    withdrawals: Vec<Withdrawn>,
    began: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl WhatIf {
    /// A world under the recorded policy with `overlay`.
    pub fn new(overlay: Overlay) -> Self {
        Self {
            overlay,
            ..Self::default()
        }
    }

    /// Takes the next cycle.
    pub fn cycle(&mut self, cycle: &RecordedCycle) {
        let now = cycle.at;
        let began = *self.began.get_or_insert(now);
        let passed = self.last.map_or(Duration::ZERO, |last| since(now, last));
        let passed = if passed > GAP { Duration::ZERO } else { passed };
        self.last = Some(now);
        for recorded in &cycle.prefixes {
            self.settle(recorded, passed, now);
        }
        let mut decisions: Vec<(Prefix, bool, Decision)> = Vec::new();
        for recorded in &cycle.prefixes {
            let prefix = recorded.inputs.prefix;
            let Some(world) = self.worlds.get(&prefix) else {
                continue;
            };
            if world.place != Place::Advertised {
                continue;
            }
            let inputs = self.inputs(&recorded.inputs, began);
            let decision = decide(&world.state, &inputs, &self.overlay.over(&recorded.policy));
            decisions.push((prefix, world.state.was_ready, decision));
        }
        apply_mass_calm_brake(&mut decisions);
        // One at a time, as in the real world.
        let mut one_is_under_way = false;
        for (prefix, _, decision) in decisions {
            let Some(world) = self.worlds.get_mut(&prefix) else {
                continue;
            };
            let epoch = decision.state.calm.as_ref().map(|track| track.epoch);
            world.state = decision.state;
            if let (Verdict::Withdraw, Some(ended), false) = (&decision.verdict, epoch, one_is_under_way) {
                one_is_under_way = true;
                world.place = Place::Withdrawn { ended };
                world.figures.withdrawals += 1;
                self.withdrawals.push(Withdrawn { at: now, prefix });
            }
            world.last = Some(decision.verdict);
        }
    }

    /// The time since the last cycle goes to where the prefix stood, then it moves as the recording did.
    fn settle(&mut self, recorded: &RecordedPrefix, passed: Duration, now: Timestamp) {
        let prefix = recorded.inputs.prefix;
        let read = recorded.inputs.bgp.value();
        let epoch = read.and_then(BgpState::epoch);
        let is_gone = read.is_some_and(|state| state.advertised == Some(false));
        let world = self.worlds.entry(prefix).or_insert_with(|| World {
            place: if epoch.is_some() {
                Place::Advertised
            } else {
                Place::Direct
            },
            state: recorded.before.clone(),
            last: None,
            figures: Figures::default(),
        });
        match world.place {
            Place::Advertised | Place::Lingering { .. } => world.figures.advertised += passed,
            Place::Withdrawn { .. } | Place::Direct if is_attacked(recorded) => world.figures.unprotected += passed,
            Place::Withdrawn { .. } | Place::Direct => {}
        }
        world.place = match (world.place, epoch) {
            (Place::Withdrawn { ended }, Some(epoch)) if epoch == ended => Place::Withdrawn { ended },
            (_, Some(_)) => Place::Advertised,
            (Place::Advertised, None) if is_gone => match world.last {
                Some(Verdict::Calm { due, .. }) if due > now => Place::Lingering { until: due },
                _ => Place::Direct,
            },
            (Place::Lingering { until }, None) if until <= now => {
                world.figures.withdrawals += 1;
                self.withdrawals.push(Withdrawn { at: until, prefix });
                Place::Direct
            }
            (Place::Withdrawn { .. }, None) if is_gone => Place::Direct,
            (place, None) => place,
        };
    }

    /// The recorded inputs, with the withdrawals of this world instead of the recorded ones.
    fn inputs(&self, recorded: &Inputs, began: Timestamp) -> Inputs {
        let earlier = |all: &[Timestamp]| all.iter().copied().filter(|at| *at < began).collect::<Vec<_>>();
        let mut inputs = recorded.clone();
        inputs.own_withdrawals = earlier(&recorded.own_withdrawals);
        inputs.all_withdrawals = earlier(&recorded.all_withdrawals);
        for withdrawn in &self.withdrawals {
            inputs.all_withdrawals.push(withdrawn.at);
            if withdrawn.prefix == recorded.prefix {
                inputs.own_withdrawals.push(withdrawn.at);
            }
        }
        inputs.other_intent_open = false;
        inputs
    }

    /// The figures by prefix.
    pub fn figures(&self) -> BTreeMap<Prefix, Figures> {
        self.worlds
            .iter()
            .map(|(prefix, world)| (*prefix, world.figures))
            .collect()
    }

    /// The figures of all prefixes together.
    pub fn total(&self) -> Figures {
        let mut total = Figures::default();
        for world in self.worlds.values() {
            total.add(world.figures);
        }
        total
    }

    /// The withdrawals, in the order of the recording.
    pub fn withdrawals(&self) -> &[Withdrawn] {
        &self.withdrawals
    }
}

/// Whether the recording shows an attack on the prefix: by its traffic while it is advertised, or by an open alert that
/// names it.
fn is_attacked(recorded: &RecordedPrefix) -> bool {
    let alerts = recorded.inputs.alerts.value().into_iter().flatten();
    let mut about_it = alerts.filter(|alert| !alert.unresolved && alert.concerns(recorded.inputs.prefix));
    recorded.verdict == "attack" || about_it.next().is_some()
}
