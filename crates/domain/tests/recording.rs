//! Recordings: decided again they say the same, and another policy's figures are those of the world it would have made.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![allow(clippy::single_range_in_vec_init)] // a list of attacks with one attack in it

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use domain::bgp::BgpState;
use domain::calm::TrafficPolicy;
use domain::decision::{DirectRoute, Inputs, Managed, Mode, Policy, PrefixState, decide};
use domain::evidence::{Dropped, Observed, PrefixTraffic};
use domain::prefix::Prefix;
use domain::recording::{RecordedCycle, RecordedPrefix, VERSION, replay};
use domain::units::{Bits, Packets};
use domain::what_if::{Overlay, WhatIf};
use jiff::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_040 + minute * 60).unwrap()
}

fn prefix() -> Prefix {
    "203.0.113.0/24".parse().unwrap()
}

fn policy(calm_minutes: u32) -> Policy {
    Policy {
        traffic: TrafficPolicy {
            min_packets: Packets(5_000),
            min_bits: Bits(10_000_000),
            min_packet_rate: None,
            min_bit_rate: None,
            calm_percent: 100,
            min_samples: 2,
            lookback: MINUTE * 5,
            settle: MINUTE * 5,
            propagation: MINUTE * 7,
            carries_no_traffic: false,
        },
        mode: Mode::Act,
        calm_period: MINUTE * calm_minutes,
        min_advertised: MINUTE * 15,
        open_alert_veto: MINUTE * 60,
        unknown_alert_after: MINUTE * 10,
        overdue_after: MINUTE * 120,
        max_withdrawals_per_hour: 10,
        max_reading_age: MINUTE * 3,
    }
}

/// Advertised since minute 0; `withdrawn` is the minute at which it is not any more.
fn bgp(withdrawn: Option<i64>, minute: i64) -> BgpState {
    let gone = withdrawn.filter(|gone| minute >= *gone);
    BgpState {
        advertised: Some(gone.is_none()),
        advertised_modified_at: Some(at(gone.unwrap_or(0))),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

fn traffic(attacks: &[Range<i64>], minute: i64) -> PrefixTraffic {
    let attacked = |minute: &i64| attacks.iter().any(|attack| attack.contains(minute));
    // Rows are seen a minute later.
    let drops: BTreeMap<Timestamp, Dropped> = (0..minute)
        .filter(attacked)
        .map(|minute| {
            let dropped = Dropped {
                packets: Packets(9_000_000),
                bits: Bits(72_000_000_000),
                samples: 900,
            };
            (at(minute), dropped)
        })
        .collect();
    PrefixTraffic {
        from: at(0),
        to: at(minute + 1),
        bucket: MINUTE,
        newest_row: Some(at(minute - 1)),
        drops,
        truncated: false,
        saw_rows: true,
        passed_packets: Packets(1_000_000),
        passed_bits: Bits(8_000_000),
        systems: ["dosd".to_owned()].into(),
        max_sample_interval: 10_000,
    }
}

/// A cycle a minute, decided by `policy` as the daemon would.
fn recorded(policy: &Policy, attacks: &[Range<i64>], withdrawn: Option<i64>, minutes: i64) -> Vec<RecordedCycle> {
    let mut before = PrefixState::default();
    (1..minutes)
        .map(|minute| {
            let now = at(minute);
            let state = bgp(withdrawn, minute);
            let shown = if state.advertised == Some(true) {
                Observed::known(traffic(attacks, minute), now)
            } else {
                Observed::unavailable("it was not asked for")
            };
            let inputs = Inputs {
                prefix: prefix(),
                managed: Managed::Yes,
                bgp: Observed::known(state, now),
                traffic: shown,
                alerts: Observed::known(Vec::new(), now),
                hold: None,
                direct_route: DirectRoute::AlwaysAnnounced,
                own_withdrawals: Vec::new(),
                all_withdrawals: Vec::new(),
                other_intent_open: false,
                now,
            };
            let decision = decide(&before, &inputs, policy);
            let line = RecordedPrefix {
                policy: policy.clone(),
                before: std::mem::replace(&mut before, decision.state.clone()),
                inputs,
                verdict: decision.verdict.key(),
            };
            RecordedCycle {
                version: VERSION,
                at: now,
                prefixes: vec![line],
            }
        })
        .collect()
}

fn run(overlay: &str, cycles: &[RecordedCycle]) -> WhatIf {
    let overlay: Overlay = serde_json::from_str(overlay).unwrap();
    let mut world = WhatIf::new(overlay);
    for cycle in cycles {
        world.cycle(cycle);
    }
    world
}

fn minutes(span: Duration) -> u64 {
    span.as_secs() / 60
}

#[test]
fn a_line_read_back_is_decided_as_it_was() {
    let cycles = recorded(&policy(15), &[10..20], None, 60);
    let verdicts: Vec<&str> = cycles.iter().map(|cycle| cycle.prefixes[0].verdict.as_str()).collect();
    for wanted in ["propagating", "attack", "calm", "withdraw"] {
        assert!(verdicts.contains(&wanted), "{verdicts:?}");
    }
    for cycle in &cycles {
        let line = serde_json::to_string(cycle).unwrap();
        let read: RecordedCycle = serde_json::from_str(&line).unwrap();
        for again in replay(&read) {
            assert!(
                again.agrees(),
                "{}: {} {:?}",
                cycle.at,
                again.recorded,
                again.decision.verdict
            );
        }
    }
    let mut changed = cycles[50].clone();
    changed.prefixes[0].verdict = "attack".into();
    assert!(!replay(&changed)[0].agrees(), "a difference is seen");
}

#[test]
fn a_shorter_calm_period_saves_hours_and_costs_protection() {
    // The recorded policy waits through the pause between two waves, the other one does not.
    let cycles = recorded(&policy(60), &[10..20, 60..70], None, 90);
    let (as_it_was, other) = (run("{}", &cycles), run(r#"{"calm_period": "15m"}"#, &cycles));
    assert_eq!((as_it_was.total().withdrawals, other.total().withdrawals), (0, 1));
    assert_eq!(minutes(as_it_was.total().advertised), 88);
    assert_eq!(as_it_was.total().unprotected, Duration::ZERO);
    // Calm begins with the end of the last attack window (minute 24), is proven 15 min later, and seen when it settled.
    let withdrawn = other.withdrawals()[0];
    assert_eq!(withdrawn.at, at(44));
    assert_eq!(minutes(other.total().advertised), 43);
    // The second wave lasts 10 minutes; the verdict says attack until its last window has settled.
    assert_eq!(minutes(other.total().unprotected), 10 + 4 + 5);
    assert_eq!(other.figures()[&prefix()], other.total());
}

#[test]
fn a_longer_calm_period_stays_advertised_as_long_as_its_clock_said() {
    let cycles = recorded(&policy(15), &[10..20], Some(46), 120);
    let (as_it_was, other) = (run("{}", &cycles), run(r#"{"calm_period": "40m"}"#, &cycles));
    assert_eq!((as_it_was.total().withdrawals, other.total().withdrawals), (1, 1));
    assert_eq!(minutes(as_it_was.total().advertised), 43);
    // 25 minutes more, which nobody could watch.
    assert_eq!(other.withdrawals()[0].at, at(69));
    assert_eq!(minutes(other.total().advertised), 68);
    assert_eq!(other.total().unprotected, Duration::ZERO);
}

#[test]
fn a_gap_of_the_recording_counts_for_nothing() {
    let mut cycles = recorded(&policy(600), &[10..20], None, 90);
    cycles.drain(30..60);
    assert_eq!(minutes(run("{}", &cycles).total().advertised), 57);
}

#[test]
fn a_policy_with_an_unknown_name_is_refused() {
    assert!(serde_json::from_str::<Overlay>(r#"{"calm_perod": "15m"}"#).is_err());
    for key in Overlay::KEYS {
        let value = if ["min_dropped", "min_samples", "max", "calm_threshold"]
            .iter()
            .any(|begin| key.starts_with(begin))
        {
            "7"
        } else {
            "\"9m\""
        };
        let overlay: Overlay = serde_json::from_str(&format!("{{\"{key}\": {value}}}")).unwrap();
        assert_ne!(overlay.over(&policy(15)), policy(15), "{key} changes something");
    }
}
