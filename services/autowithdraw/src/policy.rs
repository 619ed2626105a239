//! Settings to the policy that the decision takes. Nothing is decided here.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::calm::TrafficPolicy;
use domain::decision::{Mode, Policy};
use domain::prefix::Prefix;
use settings::{AutoWithdraw, MitigationSystems};

use crate::cycle::TRAFFIC_WITHIN;
use crate::inventory::REFRESH_WITHIN;

/// The mode automation runs in.
pub fn mode(settings: &AutoWithdraw) -> Mode {
    match settings.mode {
        settings::Mode::Act => Mode::Act,
        settings::Mode::DryRun => Mode::DryRun,
        settings::Mode::Paused => Mode::Paused,
    }
}

/// The policy for one prefix. `rotation` is how long one round of list calls takes: a reading may
/// be that old, and a little older when one call fails or a cycle waits for its answers.
pub fn policy(settings: &AutoWithdraw, prefix: Prefix, rotation: Duration) -> Policy {
    Policy {
        traffic: TrafficPolicy {
            min_packets: settings.min_dropped_packets,
            min_bits: settings.min_dropped_bits,
            min_samples: settings.min_samples,
            lookback: settings.attack_lookback,
            settle: settings.settle,
            propagation: settings.propagation,
            carries_no_traffic: settings.no_traffic.contains(&prefix),
        },
        mode: mode(settings),
        calm_period: settings.calm_period,
        min_advertised: settings.min_advertised,
        open_alert_veto: settings.open_alert_veto,
        unknown_alert_after: settings.unknown_alert_after,
        overdue_after: settings.overdue_after,
        max_withdrawals_per_hour: settings.max_withdrawals_per_hour,
        max_reading_age: settings.check_interval * 2 + rotation + REFRESH_WITHIN + TRAFFIC_WITHIN,
    }
}

/// Mitigation systems whose drops count; empty counts all.
pub fn systems(settings: &AutoWithdraw) -> BTreeSet<String> {
    match &settings.mitigation_systems {
        MitigationSystems::All => BTreeSet::new(),
        MitigationSystems::Only(systems) => systems.iter().cloned().collect(),
    }
}
