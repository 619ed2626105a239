//! What holds at the very instant or number where a rule begins to say something else. Mutation testing found these
//! borders to be guarded by nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::bgp::BgpState;
use domain::brakes;
use domain::calm::FUTURE_TOLERANCE;
use domain::decision::{Policy, PrefixState, Unknown, Verdict, decide};
use domain::evidence::{DropRow, Observed, TrafficWindow, assign};
use domain::units::{Bits, Packets};

use crate::support::{MIN, add_drop, advertised, at, dur, inputs, p, policy, quiet, ready};

const DAY: i64 = 86_400;

#[test]
fn a_withdrawal_of_exactly_a_day_ago_is_forgotten() {
    let period = |ago: i64| brakes::calm_period(dur(15 * MIN), &[at(-ago)], at(0));
    assert_eq!([period(DAY - 1), period(DAY)], [dur(30 * MIN), dur(15 * MIN)]);
}

#[test]
fn only_systems_that_have_a_name_are_named() {
    let row = |system: &str| DropRow {
        at: at(10 * MIN),
        subnet: p("203.0.113.0/24"),
        system: system.into(),
        sample_interval: 1_000,
        packets: Packets(1_000),
        bits: Bits(8_000_000),
    };
    let window = TrafficWindow {
        from: at(0),
        to: at(60 * MIN),
        bucket: dur(MIN),
        newest_row: Some(at(59 * MIN)),
        drops: vec![row("dosd"), row("")],
        drops_truncated: false,
        passed: vec![],
        passed_truncated: false,
    };
    let shares = assign(&window, &[p("203.0.113.0/24")], &BTreeSet::new());
    assert_eq!(
        shares[&p("203.0.113.0/24")].systems,
        BTreeSet::from(["dosd".to_owned()])
    );
}

/// An answer that does not say whether the prefix is advertised.
fn without_state(change: impl Fn(&mut BgpState)) -> Verdict {
    let mut state = BgpState {
        advertised: None,
        ..advertised(0)
    };
    change(&mut state);
    let mut readings = ready();
    readings.bgp = Observed::known(state, readings.now);
    decide(&PrefixState::default(), &readings, &policy()).verdict
}

#[test]
fn a_prefix_of_unknown_state_is_not_managed_only_where_it_cannot_be_switched() {
    assert_eq!(without_state(|_| {}).key(), "unknown:bgp_incomplete");
    assert_eq!(
        without_state(|state| state.on_demand_enabled = false),
        Verdict::NotManaged
    );
    assert_eq!(without_state(|state| state.bgp_signalled = true), Verdict::NotManaged);
    assert_eq!(
        without_state(|state| {
            state.on_demand_enabled = false;
            state.bgp_signalled = true;
        }),
        Verdict::NotManaged
    );
}

#[test]
fn an_epoch_and_a_reading_may_lie_as_far_ahead_as_clocks_differ_and_no_further() {
    let ahead = i64::try_from(FUTURE_TOLERANCE.as_secs()).unwrap();
    let epoch = |seconds: i64| {
        let mut readings = inputs(60 * MIN, quiet(0, 60 * MIN));
        readings.bgp = Observed::known(advertised(60 * MIN + seconds), readings.now);
        decide(&PrefixState::default(), &readings, &policy()).verdict.key()
    };
    assert_ne!(epoch(ahead), epoch(ahead + 1));
    assert_eq!(epoch(ahead + 1), "unknown:bgp_incomplete");
    let reading = |seconds: i64| {
        let mut readings = ready();
        readings.traffic = Observed::known(quiet(0, 60 * MIN), at(60 * MIN + seconds));
        decide(&PrefixState::default(), &readings, &policy()).verdict
    };
    assert_eq!(reading(ahead), Verdict::Withdraw);
    let oldest = i64::try_from(policy().max_reading_age.as_secs()).unwrap();
    assert_eq!(reading(-oldest), Verdict::Withdraw);
    assert!(matches!(reading(-oldest - 1), Verdict::Unknown { .. }));
    assert!(matches!(
        reading(ahead + 1),
        Verdict::Unknown {
            because: Unknown::Traffic { .. },
            ..
        }
    ));
}

#[test]
fn an_advertisement_spreads_until_its_time_is_over_and_not_a_moment_longer() {
    let propagation = policy().traffic.propagation;
    let after = |passed: Duration| {
        let now = i64::try_from(passed.as_secs()).unwrap();
        let mut share = quiet(0, now);
        share.saw_rows = false;
        share.passed_packets = Packets(0);
        share.passed_bits = Bits(0);
        decide(&PrefixState::default(), &inputs(now, share), &policy()).verdict
    };
    assert!(matches!(after(propagation - dur(1)), Verdict::Propagating { .. }));
    assert!(matches!(
        after(propagation),
        Verdict::Unknown {
            because: Unknown::Data(_),
            ..
        }
    ));
}

#[test]
fn what_is_quiet_while_an_advertisement_spreads_is_calm_from_the_moment_it_has_spread() {
    let propagation = i64::try_from(policy().traffic.propagation.as_secs()).unwrap();
    let at_second = |now| decide(&PrefixState::default(), &inputs(now, quiet(0, now)), &policy()).verdict;
    assert!(matches!(at_second(propagation - 1), Verdict::Propagating { .. }));
    assert!(matches!(at_second(propagation), Verdict::Calm { .. }));
}

#[test]
fn the_shortest_time_of_an_advertisement_is_over_when_it_has_passed() {
    let shortest = |seconds| {
        let policy = Policy {
            min_advertised: dur(seconds),
            ..policy()
        };
        decide(&PrefixState::default(), &ready(), &policy).verdict
    };
    assert_eq!(shortest(60 * MIN), Verdict::Withdraw);
    assert!(matches!(shortest(60 * MIN + 1), Verdict::Blocked { .. }));
}

#[test]
fn the_peak_of_an_attack_is_the_greatest_of_each_number_and_its_first_moment() {
    let mut state = PrefixState::default();
    let mut peaks = Vec::new();
    for (minute, packets) in [(50, 500_000), (70, 400_000), (90, 500_000), (110, 900_000)] {
        let now = (minute + 8) * MIN;
        // Each look reaches back to its own wave only.
        let mut share = quiet((minute - 5) * MIN, now);
        add_drop(&mut share, minute * MIN, packets, 50);
        state = decide(&state, &inputs(now, share), &policy()).state;
        let peak = state.peak.unwrap();
        peaks.push((
            crate::support::secs(peak.ends_at) / MIN,
            peak.packets.0,
            peak.packet_rate.0,
            peak.bit_rate.0,
        ));
    }
    let rate = |packets: f64| packets / 300.0;
    let expected = [(55, 500_000), (55, 500_000), (55, 500_000), (115, 900_000)].map(|(minute, packets)| {
        (
            minute,
            packets,
            rate(f64::from(packets as u32)),
            rate(f64::from(packets as u32)) * 8_000.0,
        )
    });
    assert_eq!(peaks, expected);
}
