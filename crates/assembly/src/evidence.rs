//! What a judgement of traffic is made by, from settings: thresholds, resolution, mitigation systems. The daemon and the
//! command lines ask the same question and judge the answer by the same rules.

use std::collections::BTreeSet;
use std::time::Duration;

use cf_api::graphql::traffic::Resolution;
use domain::calm::TrafficPolicy;
use domain::prefix::Prefix;
use domain::units::{BitsPerSecond, PacketsPerSecond};
use settings::{AutoWithdraw, MitigationSystems};

/// Rows asked for at most; Cloudflare's own example of a node's `maxPageSize`.
pub const ROW_LIMIT: u32 = 10_000;

/// What is an attack on `prefix`, and how fresh data must be.
pub fn traffic_policy(settings: &AutoWithdraw, prefix: Prefix) -> TrafficPolicy {
    TrafficPolicy {
        min_packets: settings.min_dropped_packets,
        min_bits: settings.min_dropped_bits,
        min_packet_rate: PacketsPerSecond::threshold(settings.min_dropped_pps),
        min_bit_rate: BitsPerSecond::threshold(settings.min_dropped_bps),
        calm_percent: settings.calm_threshold_percent,
        min_samples: settings.min_samples,
        lookback: settings.attack_lookback,
        settle: settings.settle,
        propagation: settings.propagation,
        carries_no_traffic: settings.no_traffic.contains(&prefix),
    }
}

/// The resolution that the decision's bucket length asks for; see [`TrafficPolicy::bucket`].
pub fn resolution(lookback: Duration) -> Resolution {
    match lookback.as_secs() {
        300.. => Resolution::Minute,
        50.. => Resolution::TenSeconds,
        _ => Resolution::Second,
    }
}

/// Mitigation systems whose drops count; empty counts all.
pub fn systems(settings: &AutoWithdraw) -> BTreeSet<String> {
    match &settings.mitigation_systems {
        MitigationSystems::All => BTreeSet::new(),
        MitigationSystems::Only(systems) => systems.iter().cloned().collect(),
    }
}
