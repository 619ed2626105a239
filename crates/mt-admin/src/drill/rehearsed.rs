//! The decision, rehearsed in memory with this installation's own thresholds: an attack must hold the prefix, and so must
//! blindness; and in dry run nothing may be intended. Nothing is read from Cloudflare and nothing is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use assembly::evidence::traffic_policy;
use domain::bgp::BgpState;
use domain::decision::{Decision, DirectRoute, Effect, Inputs, Managed, Mode, Policy, PrefixState, Verdict, decide};
use domain::evidence::{Dropped, Observed, PrefixTraffic};
use domain::prefix::Prefix;
use domain::time::{floor_to, minus, plus};
use domain::units::{Bits, Packets};
use jiff::Timestamp;
use settings::Settings;

use super::hop::Outcome;

/// Far above any threshold.
const FLOOD: u64 = 1_000_000_000_000;

/// How long the prefix of the rehearsal is advertised already.
const ADVERTISED: Duration = Duration::from_secs(7 * 86_400);

/// The installation's own thresholds, in dry run.
pub fn policy(settings: &Settings, prefix: Prefix) -> Policy {
    let own = &settings.autowithdraw;
    Policy {
        traffic: traffic_policy(own, prefix),
        // Whatever the installation does: a drill never acts.
        mode: Mode::DryRun,
        calm_period: own.calm_period,
        min_advertised: own.min_advertised,
        open_alert_veto: own.open_alert_veto,
        unknown_alert_after: own.unknown_alert_after,
        overdue_after: own.overdue_after,
        max_withdrawals_per_hour: own.max_withdrawals_per_hour,
        max_reading_age: own.check_interval * 4,
    }
}

fn traffic(policy: &Policy, now: Timestamp, dropped: u64) -> PrefixTraffic {
    let bucket = policy.traffic.bucket();
    let to = floor_to(minus(now, policy.traffic.settle), bucket);
    let from = minus(to, policy.traffic.lookback + bucket * 2);
    let mut drops = BTreeMap::new();
    let mut at = floor_to(from, bucket);
    while dropped > 0 && at < to {
        let one = Dropped {
            packets: Packets(dropped),
            bits: Bits(dropped.saturating_mul(1_000)),
            samples: 1_000,
        };
        drops.insert(at, one);
        at = plus(at, bucket);
    }
    PrefixTraffic {
        from,
        to,
        bucket,
        newest_row: Some(to),
        drops,
        truncated: false,
        saw_rows: true,
        passed_packets: Packets(1_000_000),
        passed_bits: Bits(8_000_000_000),
        systems: BTreeSet::from(["dosd".to_owned()]),
        max_sample_interval: 1,
    }
}

fn decided(settings: &Settings, prefix: Prefix, traffic: Observed<PrefixTraffic>, now: Timestamp) -> Decision {
    let bgp = BgpState {
        advertised: Some(true),
        advertised_modified_at: Some(minus(now, ADVERTISED)),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: Some(0),
        auto_advertise_withdraw: false,
    };
    let inputs = Inputs {
        prefix,
        managed: Managed::Yes,
        bgp: Observed::known(bgp, now),
        traffic,
        alerts: Observed::known(Vec::new(), now),
        hold: None,
        direct_route: DirectRoute::AlwaysAnnounced,
        own_withdrawals: Vec::new(),
        all_withdrawals: Vec::new(),
        other_intent_open: false,
        now,
    };
    decide(&PrefixState::default(), &inputs, &policy(settings, prefix))
}

/// The mode that the installation runs in.
pub fn mode(settings: &Settings) -> Mode {
    match settings.autowithdraw.mode {
        settings::Mode::Act => Mode::Act,
        settings::Mode::DryRun => Mode::DryRun,
        settings::Mode::Paused => Mode::Paused,
    }
}

/// Decides an attack and blindness about a prefix that is nobody's.
pub fn decisions(settings: &Settings, prefix: Prefix, now: Timestamp) -> Outcome {
    let seen = traffic(&policy(settings, prefix), now, FLOOD);
    let attack = decided(settings, prefix, Observed::known(seen, now), now);
    let blind = decided(settings, prefix, Observed::unavailable("a drill"), now);
    let acts = |decision: &Decision| {
        matches!(decision.verdict, Verdict::Withdraw)
            || decision
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::IntendWithdrawal { .. }))
    };
    let remedy =
        "the thresholds of autowithdraw are unusual, or this is a fault of the program: do not rely on automation";
    if acts(&attack) || acts(&blind) {
        return Outcome::Broken("the decision would act in a drill".to_owned(), remedy.to_owned());
    }
    match (&attack.verdict, &blind.verdict) {
        (Verdict::Attack, Verdict::Unknown { .. }) => {
            Outcome::Good("an attack holds it, blindness holds it".to_owned())
        }
        (attack, blind) => {
            let text = format!("an attack is judged as {}, blindness as {}", attack.key(), blind.key());
            Outcome::Broken(text, remedy.to_owned())
        }
    }
}
