//! Rule 8: the brakes.

use domain::brakes::{self, FLAP_CEILING};
use domain::decision::{Decision, Effect, PrefixState, Verdict, apply_mass_calm_brake, decide};
use domain::evidence::Observed;
use domain::prefix::Prefix;
use proptest::prelude::*;

use crate::support::{MIN, advertised, at, dur, inputs, p, policy, quiet, ready};

/// A prefix that was unknown for `blind` cycles and then sees an hour of quiet.
fn after_blindness(prefix: Prefix, blind: u32, hold: bool) -> (Prefix, bool, Decision) {
    let policy = policy();
    let mut state = PrefixState::default();
    for cycle in 0..blind {
        let mut readings = inputs(60 * MIN - i64::from(blind - cycle) * MIN, quiet(0, 60 * MIN));
        readings.prefix = prefix;
        readings.traffic = Observed::unavailable("timed out");
        state = decide(&state, &readings, &policy).state;
    }
    let mut readings = ready();
    readings.prefix = prefix;
    readings.hold = hold.then(|| crate::chaos::hold(None));
    let was_ready = state.was_ready;
    (prefix, was_ready, decide(&state, &readings, &policy))
}

fn nets(count: usize) -> Vec<Prefix> {
    (0..count).map(|index| p(&format!("198.51.{index}.0/24"))).collect()
}

proptest! {
    #[test]
    fn mass_calm_after_blindness_starts_anew_for_exactly_those_that_were_blind(
        blind in prop::collection::vec(0_u32..6, 1..8), held in any::<bool>(),
    ) {
        let mut decisions: Vec<_> = nets(blind.len())
            .into_iter()
            .zip(&blind)
            .map(|(prefix, cycles)| after_blindness(prefix, *cycles, held))
            .collect();
        let suspicious = blind.iter().filter(|cycles| **cycles >= 3).count();
        let restarted = apply_mass_calm_brake(&mut decisions);
        prop_assert_eq!(restarted.len(), if suspicious >= 3 { suspicious } else { 0 });
        for (prefix, _, decision) in &decisions {
            let intends = decision.effects.iter().any(|effect| matches!(effect, Effect::IntendWithdrawal { .. }));
            let cancels = decision.effects.iter().any(|effect| matches!(effect, Effect::CancelIntent { .. }));
            if restarted.contains(prefix) {
                prop_assert!(cancels && !intends);
                prop_assert!(!decision.state.after_blindness && !decision.state.was_ready);
                prop_assert_eq!(decision.state.calm.as_ref().unwrap().proven(), dur(0));
                // Fifteen minutes of data that settle five minutes later: by our clock from now.
                let Verdict::Calm { due, .. } = &decision.verdict else { panic!("{:?}", decision.verdict) };
                prop_assert_eq!(*due, at(60 * MIN) + dur(15 * MIN));
                prop_assert_eq!(&decision.state.last_verdict, "calm");
                let expected = if held { ("hold the advertisement", None) } else { ("withdraw", Some(*due)) };
                prop_assert_eq!((decision.next.action(), decision.next.not_before), expected);
            } else {
                prop_assert_eq!(intends, !held);
            }
        }
    }

    #[test]
    fn mass_calm_starts_anew_once_per_gap(blind in 3_u32..6) {
        let policy = policy();
        let mut decisions: Vec<_> = nets(3).into_iter().map(|prefix| after_blindness(prefix, blind, false)).collect();
        prop_assert_eq!(apply_mass_calm_brake(&mut decisions).len(), 3);
        let mut withdrawals = 0;
        for minute in 61..80 {
            let now = minute * MIN;
            let mut next: Vec<_> = decisions
                .iter()
                .map(|(prefix, _, previous)| {
                    let mut readings = inputs(now, quiet(0, now));
                    readings.prefix = *prefix;
                    (*prefix, previous.state.was_ready, decide(&previous.state, &readings, &policy))
                })
                .collect();
            prop_assert!(apply_mass_calm_brake(&mut next).is_empty());
            withdrawals = next.iter().filter(|(_, _, decision)| decision.verdict == Verdict::Withdraw).count();
            prop_assert_eq!(withdrawals > 0, minute >= 75);
            decisions = next;
        }
        prop_assert_eq!(withdrawals, 3);
    }

    #[test]
    fn the_hourly_limit_holds_until_the_oldest_of_the_hour_is_an_hour_old(
        ages in prop::collection::vec(1_i64..7_200, 0..20), limit in 1_u32..12,
    ) {
        let mut policy = policy();
        policy.max_withdrawals_per_hour = limit;
        let mut readings = ready();
        readings.all_withdrawals = ages.iter().map(|age| at(60 * MIN - age)).collect();
        let decision = decide(&PrefixState::default(), &readings, &policy);
        let recent = |now: i64| ages.iter().filter(|age| 60 * MIN - **age > now - 3_600).count();
        let full = recent(60 * MIN) >= limit as usize;
        prop_assert_eq!(decision.verdict == Verdict::Withdraw, !full);
        if full {
            let until = crate::support::secs(decision.next.not_before.unwrap());
            prop_assert!(recent(until) < limit as usize && recent(until - 1) >= limit as usize);
        }
    }

    #[test]
    fn flapping_never_shortens_the_calm_period(
        base in 1_i64..20_000, ages in prop::collection::vec(1_i64..200_000, 0..12),
    ) {
        let withdrawals: Vec<_> = ages.iter().map(|age| at(-age)).collect();
        let period = brakes::calm_period(dur(base), &withdrawals, at(0));
        let repeats = ages.iter().filter(|age| **age < 86_400).count() as u32;
        let doubled = dur(base) * 2_u32.saturating_pow(repeats);
        prop_assert_eq!(period, doubled.min(FLAP_CEILING.max(dur(base))));
    }
}

#[test]
fn reaching_the_limit_is_announced_once_per_wait() {
    let policy = policy();
    let mut readings = ready();
    readings.all_withdrawals = vec![at(50 * MIN); 10];
    let announced = |decision: &Decision| {
        decision
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::AnnounceLimit { until } if *until == at(110 * MIN)))
    };
    let first = decide(&PrefixState::default(), &readings, &policy);
    assert!(announced(&first));
    let second = decide(&first.state, &readings, &policy);
    assert!(!announced(&second), "once");
    // The wait ends and another begins within the same epoch.
    let freed = decide(&second.state, &ready(), &policy);
    assert_eq!(freed.verdict, Verdict::Withdraw);
    assert!(
        announced(&decide(&freed.state, &readings, &policy)),
        "the next wait is another"
    );
}

#[test]
fn young_advertisements_and_open_intents_of_others_wait() {
    let mut policy = policy();
    policy.min_advertised = dur(120 * MIN);
    assert_eq!(
        decide(&PrefixState::default(), &ready(), &policy).verdict.key(),
        "blocked:min_advertised"
    );
    let mut readings = ready();
    readings.other_intent_open = true;
    assert_eq!(
        decide(&PrefixState::default(), &readings, &crate::support::policy())
            .verdict
            .key(),
        "blocked:one_at_a_time"
    );
}

#[test]
fn the_minutes_in_which_an_advertisement_spreads_are_no_blindness() {
    // Rows of a freshly advertised prefix appear minutes later; that is no gap in the analytics.
    let policy = policy();
    let mut state = PrefixState::default();
    for minute in 1..6 {
        let mut share = quiet(0, minute * MIN);
        share.saw_rows = false;
        let mut readings = inputs(minute * MIN, share);
        readings.bgp = Observed::known(advertised(0), at(minute * MIN));
        let decision = decide(&state, &readings, &policy);
        assert_eq!(decision.verdict.key(), "propagating");
        state = decision.state;
    }
    assert!(!state.after_blindness);
}
