//! What is an attack and what is calm: rates beside the volumes, and lower thresholds for calm. Both may only make the
//! decision more cautious, whatever the traffic is.

use domain::decision::{Decision, Policy, PrefixState, Reason, Verdict, decide};
use domain::units::{BitsPerSecond, PacketsPerSecond};
use proptest::prelude::*;

use crate::chaos::{Cycle, calmness, quick_policy, run, steps};
use crate::support::{MIN, add_drop, at, inputs, policy, quiet, secs};

/// The same rules with rates and lower thresholds for calm.
fn cautious(mut policy: Policy, percent: u8, pps: Option<f64>, bps: Option<f64>) -> Policy {
    policy.traffic.calm_percent = percent;
    policy.traffic.min_packet_rate = pps.map(PacketsPerSecond);
    policy.traffic.min_bit_rate = bps.map(BitsPerSecond);
    policy
}

fn thresholds() -> impl Strategy<Value = (u8, Option<f64>, Option<f64>)> {
    (
        1_u8..=100,
        prop::option::of(0.5_f64..200.0),
        prop::option::of(100.0_f64..1e6),
    )
}

/// The decisions of other rules on the very readings of a run.
fn again(run: &[Cycle], policy: &Policy) -> Vec<Decision> {
    let mut state = PrefixState::default();
    let decide_next = |cycle: &Cycle| {
        let decision = decide(&state, &cycle.inputs, policy);
        state = decision.state.clone();
        decision
    };
    run.iter().map(decide_next).collect()
}

/// How near to a withdrawal. That alerts are not known is asked after calm is proven only.
fn nearness(decision: &Decision) -> u8 {
    match &decision.verdict {
        Verdict::Unknown { because, .. } if because.key() == "alerts_unknown" => 3,
        verdict => calmness(verdict),
    }
}

fn attacks(decision: &Decision) -> bool {
    decision.verdict == Verdict::Attack
}

proptest! {
    #[test]
    fn more_thresholds_never_make_any_cycle_calmer(steps in steps(), (percent, pps, bps) in thresholds()) {
        let plain = run(&steps, &quick_policy());
        let careful = again(&plain, &cautious(quick_policy(), percent, pps, bps));
        for (plain, careful) in plain.iter().map(|cycle| &cycle.decision).zip(&careful) {
            prop_assert!(nearness(careful) <= nearness(plain), "{:?} {:?}", careful.verdict, plain.verdict);
            prop_assert!(!attacks(plain) || attacks(careful), "an attack minute was lost");
            if let (Some(plain), Some(careful)) = (&plain.state.calm, &careful.state.calm) {
                prop_assert_eq!(plain.epoch, careful.epoch);
                prop_assert!(careful.calm_since >= plain.calm_since);
                prop_assert!(careful.proven() <= plain.proven());
                prop_assert!(careful.attacked >= plain.attacked);
            }
        }
    }

    #[test]
    fn lower_thresholds_for_calm_are_more_cautious_the_lower_they_are(
        steps in steps(), low in 1_u8..=100, high in 1_u8..=100,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let run = run(&steps, &cautious(quick_policy(), high, None, None));
        let lower = again(&run, &cautious(quick_policy(), low, None, None));
        for (higher, lower) in run.iter().map(|cycle| &cycle.decision).zip(&lower) {
            prop_assert!(nearness(lower) <= nearness(higher));
            prop_assert!(!attacks(higher) || attacks(lower));
        }
    }
}

/// Minutes 0 to 60 with an attack in minute 20 and half of its thresholds in each minute of `restless`.
fn hour(restless: std::ops::Range<i64>, attack: bool) -> domain::decision::Inputs {
    let mut share = quiet(0, 60 * MIN);
    if attack {
        add_drop(&mut share, 20 * MIN, 500_000, 50);
    }
    for minute in restless {
        add_drop(&mut share, minute * MIN, 700, 2);
    }
    inputs(60 * MIN, share)
}

#[test]
fn an_attack_goes_on_until_it_is_below_the_thresholds_for_calm() {
    let plain = decide(&PrefixState::default(), &hour(21..60, true), &policy());
    assert_eq!(
        plain.verdict,
        Verdict::Withdraw,
        "3,500 packets in a window are no attack"
    );
    let careful = cautious(policy(), 50, None, None);
    let decision = decide(&PrefixState::default(), &hour(21..60, true), &careful);
    assert_eq!(decision.verdict, Verdict::Attack);
    assert_eq!(decision.state.last_attack_end, Some(at(60 * MIN)));
    // It ends with the last window that exceeds the lower thresholds: three minutes of five do not.
    let over = decide(&PrefixState::default(), &hour(21..30, true), &careful);
    assert_eq!(over.verdict, Verdict::Withdraw);
    assert_eq!(secs(over.state.calm.unwrap().calm_since), 31 * MIN);
    assert_eq!(over.state.last_attack_end, Some(at(31 * MIN)));
}

#[test]
fn what_lies_between_the_thresholds_begins_no_attack_and_is_no_calm() {
    let careful = cautious(policy(), 50, None, None);
    let decision = decide(&PrefixState::default(), &hour(10..60, false), &careful);
    assert_eq!(decision.verdict.key(), "calm");
    assert!(decision.restless && decision.state.peak.is_none() && decision.state.attack_since.is_none());
    assert_eq!(decision.next.reasons[0], Reason::Restless);
    let calm_since = secs(decision.state.calm.as_ref().unwrap().calm_since);
    assert!(calm_since >= 55 * MIN, "{calm_since}");
    // Long over, it is calm like any other.
    let over = decide(&PrefixState::default(), &hour(10..20, false), &careful);
    assert!(!over.restless && over.verdict == Verdict::Withdraw);
    assert!(!over.next.reasons.contains(&Reason::Restless));
}

#[test]
fn that_there_was_an_attack_is_remembered_for_the_advertisement_and_no_longer() {
    let careful = cautious(policy(), 50, None, None);
    let first = decide(&PrefixState::default(), &hour(0..0, true), &careful);
    assert!(first.state.calm.as_ref().unwrap().attacked);
    // The next answer does not hold the attack any more, only what is left of it.
    let mut share = quiet(40 * MIN, 80 * MIN);
    for minute in 70..80 {
        add_drop(&mut share, minute * MIN, 700, 2);
    }
    let next = inputs(80 * MIN, share);
    assert_eq!(decide(&first.state, &next, &careful).verdict, Verdict::Attack);
    assert_eq!(decide(&PrefixState::default(), &next, &careful).verdict.key(), "calm");
    let mut renewed = next.clone();
    renewed.bgp = domain::evidence::Observed::known(crate::support::advertised(61 * MIN), at(80 * MIN));
    let decision = decide(&first.state, &renewed, &careful);
    assert!(!decision.state.calm.as_ref().unwrap().attacked);
    assert_ne!(decision.verdict, Verdict::Attack);
}

#[test]
fn a_packet_rate_finds_an_attack_of_few_bits() {
    let mut share = quiet(0, 60 * MIN);
    let drop = share.drops.entry(at(57 * MIN)).or_default();
    (drop.packets.0, drop.bits.0, drop.samples) = (3_000_000, 9_000_000, 300);
    share.saw_rows = true;
    let readings = inputs(60 * MIN, share);
    assert_eq!(
        decide(&PrefixState::default(), &readings, &policy()).verdict,
        Verdict::Withdraw
    );
    // 3,000,000 packets over five minutes are 10,000 a second.
    for (pps, expected) in [(9_999.0, Verdict::Attack), (10_000.0, Verdict::Withdraw)] {
        let with_rate = cautious(policy(), 100, Some(pps), None);
        assert_eq!(
            decide(&PrefixState::default(), &readings, &with_rate).verdict,
            expected,
            "{pps}"
        );
    }
}

#[test]
fn an_excess_of_any_threshold_on_too_few_samples_is_noise() {
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 57 * MIN, 4_000, 1);
    let decision = decide(
        &PrefixState::default(),
        &inputs(60 * MIN, share),
        &cautious(policy(), 50, Some(1.0), Some(1.0)),
    );
    assert!(decision.noise && !decision.restless);
    assert_eq!(decision.verdict, Verdict::Withdraw);
}
