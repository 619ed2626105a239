//! Arbitrary readings, cycle after cycle: sane ones often enough that calm gets proven, and
//! everything else that a network, a clock and a person can do in between.

use domain::alert::OpenAlert;
use domain::brakes;
use domain::calm::CalmTrack;
use domain::decision::{Decision, Inputs, Policy, PrefixState, Verdict, decide};
use domain::evidence::{Observed, PrefixTraffic};
use domain::hold::Hold;
use domain::ids::HoldId;
use proptest::prelude::*;

use crate::support::{MIN, add_drop, advertised, at, dur, inputs, quiet, secs, withdrawn};

/// When the epochs of a run begin.
pub const EPOCHS: [i64; 3] = [0, 41 * MIN + 17, 97 * MIN];

#[derive(Debug, Clone)]
pub enum Bgp {
    Advertised(usize),
    Withdrawn,
    Unavailable,
    Incomplete,
    Aged,
}

/// Seconds back from now, packets, samples.
pub type Drop = (i64, u64, u64);

#[derive(Debug, Clone)]
pub enum Traffic {
    Unavailable,
    Aged,
    /// What a healthy dataset answers to the right question.
    Healthy {
        drops: Vec<Drop>,
    },
    /// Any answer to any question.
    Odd {
        from_back: i64,
        to_back: i64,
        newest_back: Option<i64>,
        drops: Vec<Drop>,
        saw_rows: bool,
        truncated: bool,
        interval: u64,
    },
}

#[derive(Debug, Clone)]
pub struct Step {
    pub pass_s: i64,
    pub bgp: Bgp,
    pub traffic: Traffic,
    pub alerts: bool,
    pub open_alert: bool,
    pub hold: bool,
}

fn drops() -> impl Strategy<Value = Vec<Drop>> {
    prop_oneof![
        6 => Just(vec![]),
        2 => prop::collection::vec((-3 * MIN..40 * MIN, 0..20_000_u64, 0..6_u64), 0..4),
    ]
}

fn traffic() -> impl Strategy<Value = Traffic> {
    prop_oneof![
        16 => drops().prop_map(|drops| Traffic::Healthy { drops }),
        1 => Just(Traffic::Unavailable),
        1 => Just(Traffic::Aged),
        4 => (
            -5 * MIN..180 * MIN,
            -5 * MIN..60 * MIN,
            prop::option::weighted(0.9, -10 * MIN..40 * MIN),
            drops(),
            any::<bool>(),
            prop::bool::weighted(0.3),
            prop_oneof![4 => Just(10_000_u64), 1 => Just(100_001), 1 => any::<u64>()],
        )
            .prop_map(|(from_back, to_back, newest_back, drops, saw_rows, truncated, interval)| Traffic::Odd {
                from_back, to_back, newest_back, drops, saw_rows, truncated, interval
            }),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let pass = prop_oneof![12 => Just(60_i64), 3 => 0..600_i64, 1 => -1_800..5_400_i64];
    let bgp = prop_oneof![
        30 => Just(Bgp::Advertised(usize::MAX)),
        1 => (0..EPOCHS.len()).prop_map(Bgp::Advertised),
        1 => Just(Bgp::Withdrawn),
        1 => Just(Bgp::Unavailable),
        1 => Just(Bgp::Incomplete),
        1 => Just(Bgp::Aged),
    ];
    (
        pass,
        bgp,
        traffic(),
        prop::bool::weighted(0.95),
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(pass_s, bgp, traffic, alerts, open_alert, hold)| Step {
            pass_s,
            bgp,
            traffic,
            alerts,
            open_alert,
            hold,
        })
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

/// One cycle of a run.
pub struct Cycle {
    pub before: PrefixState,
    pub inputs: Inputs,
    pub decision: Decision,
}

impl Cycle {
    /// The track before and after, when both belong to one epoch.
    pub fn same_epoch(&self) -> Option<(&CalmTrack, &CalmTrack)> {
        let (before, after) = (self.before.calm.as_ref()?, self.decision.state.calm.as_ref()?);
        (before.epoch == after.epoch).then_some((before, after))
    }

    pub fn traffic(&self) -> Option<&PrefixTraffic> {
        self.inputs.traffic.value()
    }
}

/// A hold on the test prefix.
pub fn hold(until: Option<i64>) -> Hold {
    Hold {
        id: HoldId(1),
        prefix: Some("203.0.113.0/24".parse().unwrap()),
        actor: "ana@noc".into(),
        reason: "maintenance".into(),
        created_at: at(0),
        until: until.map(at),
    }
}

/// An open alert for the test prefix.
pub fn open_alert(since: i64) -> OpenAlert {
    OpenAlert {
        event: 7,
        kind: "dos_attack_l4".into(),
        since: at(since),
        prefixes: vec!["203.0.113.0/24".parse().unwrap()],
        unresolved: false,
    }
}

/// Runs the steps one after the other, from one hour after the start of time on.
pub fn run(steps: &[Step], policy: &Policy) -> Vec<Cycle> {
    let mut state = PrefixState::default();
    let mut now = 60 * MIN;
    let mut epoch = EPOCHS[0];
    let mut cycles = Vec::new();
    for step in steps {
        now += step.pass_s;
        let mut cycle_inputs = inputs(now, quiet(0, now));
        cycle_inputs.bgp = match step.bgp {
            Bgp::Advertised(index) => {
                if let Some(start) = EPOCHS.get(index) {
                    epoch = *start;
                }
                Observed::known(advertised(epoch), at(now))
            }
            Bgp::Withdrawn => Observed::known(withdrawn(now), at(now)),
            Bgp::Unavailable => Observed::unavailable("refused"),
            Bgp::Incomplete => {
                let mut state = advertised(epoch);
                state.advertised_modified_at = None;
                Observed::known(state, at(now))
            }
            Bgp::Aged => Observed::known(advertised(epoch), at(now - 31)),
        };
        let track = state
            .calm
            .clone()
            .filter(|track| track.epoch.0 == at(epoch))
            .unwrap_or_else(|| CalmTrack::begin(domain::bgp::Epoch(at(epoch)), &policy.traffic));
        let period = brakes::calm_period(policy.calm_period, &[], at(now));
        let answer = |from: i64, to: i64, drops: &[Drop]| {
            let mut share = quiet(from, to);
            share.newest_row = Some(at(now - 30));
            for (back, packets, samples) in drops {
                add_drop(&mut share, (now - back).div_euclid(MIN) * MIN, *packets, *samples);
            }
            share
        };
        cycle_inputs.traffic = match &step.traffic {
            Traffic::Unavailable => Observed::unavailable("timed out"),
            Traffic::Aged => Observed::known(quiet(0, now), at(now - 31)),
            Traffic::Healthy { drops } => {
                let from = secs(track.read_from(&policy.traffic, period, at(now)));
                Observed::known(answer(from, now, drops), at(now))
            }
            Traffic::Odd {
                from_back,
                to_back,
                newest_back,
                drops,
                saw_rows,
                truncated,
                interval,
            } => {
                let mut share = answer(now - from_back, now - to_back, drops);
                share.newest_row = newest_back.map(|back| at(now - back));
                share.saw_rows = *saw_rows;
                share.truncated = *truncated;
                share.max_sample_interval = *interval;
                Observed::known(share, at(now))
            }
        };
        cycle_inputs.alerts = if !step.alerts {
            Observed::unavailable("no heartbeat")
        } else if step.open_alert {
            Observed::known(vec![open_alert(now - 5 * MIN)], at(now))
        } else {
            Observed::known(vec![], at(now))
        };
        cycle_inputs.hold = step.hold.then(|| hold(None));
        let decision = decide(&state, &cycle_inputs, policy);
        cycles.push(Cycle {
            before: state,
            inputs: cycle_inputs,
            decision: decision.clone(),
        });
        state = decision.state;
    }
    cycles
}

/// Whether a verdict says that nothing can be said about the traffic or the advertisement. That
/// alerts are not known is no such thing: it blocks acting, not the calm clock (rule 6).
pub fn is_blind(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown { because, .. } if because.key() != "alerts_unknown")
}

/// How near to a withdrawal a verdict is.
pub fn calmness(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Attack => 0,
        Verdict::Unknown { .. } => 1,
        Verdict::Propagating { .. } | Verdict::Calm { .. } | Verdict::NotManaged => 2,
        Verdict::Blocked { .. } => 3,
        Verdict::Withdraw | Verdict::Direct => 4,
    }
}

/// A run's policy: short periods, so that a run of some minutes reaches a withdrawal.
pub fn quick_policy() -> Policy {
    let mut policy = crate::support::policy();
    policy.calm_period = dur(10 * MIN);
    policy
}
