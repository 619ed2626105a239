//! What the tests of the rules share: fixed instants, a policy, ready-made readings, a simulated
//! dataset with ingest delay, and a daemon that runs cycle after cycle.
//!
//! Test binaries use different parts of it, so unused parts are no mistake.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod daemon;
pub mod dataset;
pub mod history;
pub mod rng;
pub mod scenario;
pub mod transcript;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::bgp::BgpState;
use domain::calm::TrafficPolicy;
use domain::decision::{DirectRoute, Inputs, Managed, Mode, Policy};
use domain::evidence::{Dropped, Observed, PrefixTraffic};
use domain::prefix::Prefix;
use domain::units::{Bits, Packets};
use jiff::Timestamp;

/// 2026-01-05 00:00:00 UTC, a border of every bucket. All test instants count seconds from here.
const T0: i64 = 1_767_571_200;

/// One minute in seconds.
pub const MIN: i64 = 60;

/// The instant `seconds` after the start of the test's time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(T0 + seconds).unwrap()
}

/// Seconds (rounded down) from the start of the test's time.
pub fn secs(instant: Timestamp) -> i64 {
    instant.as_nanosecond().div_euclid(1_000_000_000) as i64 - T0
}

/// A duration of whole seconds.
pub fn dur(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap())
}

/// A network from text.
pub fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The defaults of product.md, section 2.
pub fn policy() -> Policy {
    Policy {
        traffic: TrafficPolicy {
            min_packets: Packets(5_000),
            min_bits: Bits(10_000_000),
            min_packet_rate: None,
            min_bit_rate: None,
            calm_percent: 100,
            min_samples: 2,
            lookback: dur(5 * MIN),
            settle: dur(5 * MIN),
            propagation: dur(7 * MIN),
            carries_no_traffic: false,
        },
        mode: Mode::Act,
        calm_period: dur(15 * MIN),
        min_advertised: dur(15 * MIN),
        open_alert_veto: dur(60 * MIN),
        unknown_alert_after: dur(10 * MIN),
        overdue_after: dur(120 * MIN),
        max_withdrawals_per_hour: 10,
        max_reading_age: dur(30),
    }
}

/// A prefix on demand that is advertised since `since`.
pub fn advertised(since: i64) -> BgpState {
    BgpState {
        advertised: Some(true),
        advertised_modified_at: Some(at(since)),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: Some(0),
        auto_advertise_withdraw: false,
    }
}

/// The same prefix, withdrawn since `since`.
pub fn withdrawn(since: i64) -> BgpState {
    BgpState {
        advertised: Some(false),
        ..advertised(since)
    }
}

/// A complete, fresh answer for the minutes from `from` to `now` in which nothing was dropped.
pub fn quiet(from: i64, now: i64) -> PrefixTraffic {
    PrefixTraffic {
        from: at(from),
        to: at(now),
        bucket: dur(MIN),
        newest_row: Some(at(now - MIN)),
        drops: BTreeMap::new(),
        truncated: false,
        saw_rows: true,
        passed_packets: Packets(1_000_000),
        passed_bits: Bits(8_000_000_000),
        systems: BTreeSet::new(),
        max_sample_interval: 10_000,
    }
}

/// Adds a minute of dropped traffic that starts at `start`.
pub fn add_drop(traffic: &mut PrefixTraffic, start: i64, packets: u64, samples: u64) {
    let entry = traffic.drops.entry(at(start)).or_default();
    *entry = Dropped {
        packets: entry.packets + Packets(packets),
        bits: entry.bits + Bits(packets.saturating_mul(8_000)),
        samples: entry.samples + samples,
    };
    traffic.saw_rows = true;
}

/// All readings good, advertised since 0, nothing in the way: [`ready`] decides to withdraw.
pub fn inputs(now: i64, traffic: PrefixTraffic) -> Inputs {
    Inputs {
        prefix: p("203.0.113.0/24"),
        managed: Managed::Yes,
        bgp: Observed::known(advertised(0), at(now)),
        traffic: Observed::known(traffic, at(now)),
        alerts: Observed::known(vec![], at(now)),
        hold: None,
        direct_route: DirectRoute::AlwaysAnnounced,
        own_withdrawals: vec![],
        all_withdrawals: vec![],
        other_intent_open: false,
        now: at(now),
    }
}

/// An hour after the advertisement, all of it quiet: the next decision is a withdrawal.
pub fn ready() -> Inputs {
    inputs(60 * MIN, quiet(0, 60 * MIN))
}
