//! Rule 1: three answers, not two. Only calm advances anything; unknown never does.

use domain::decision::{Effect, PrefixState, Unknown, Verdict, decide};
use domain::evidence::Observed;
use proptest::prelude::*;

use crate::chaos::{is_blind, quick_policy, run, steps};
use crate::support::{MIN, add_drop, advertised, at, inputs, policy, quiet, ready};

proptest! {
    #[test]
    fn unknown_never_advances_calm(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            if let Some((before, after)) = cycle.same_epoch()
                && is_blind(&cycle.decision.verdict)
            {
                prop_assert!(after.proven() <= before.proven());
                prop_assert!(after.verified_until <= before.verified_until);
            }
        }
    }

    #[test]
    fn unknown_never_intends_a_withdrawal(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            let intends = cycle.decision.effects.iter().any(|effect| matches!(effect, Effect::IntendWithdrawal { .. }));
            prop_assert_eq!(intends, cycle.decision.verdict == Verdict::Withdraw);
            let unread = cycle.inputs.bgp.value().is_none() || cycle.inputs.traffic.value().is_none();
            prop_assert!(!(unread && intends));
        }
    }

    #[test]
    fn however_long_it_lasts_unknown_never_becomes_a_withdrawal(cycles in 1_i64..300, every in 1_i64..30, traffic_fails in any::<bool>()) {
        let mut state = PrefixState::default();
        let policy = policy();
        for cycle in 0..cycles {
            let now = 60 * MIN + cycle * every * MIN;
            let mut blind = inputs(now, quiet(0, now));
            if traffic_fails {
                blind.traffic = Observed::unavailable("timed out");
            } else {
                blind.bgp = Observed::unavailable("timed out");
            }
            let decision = decide(&state, &blind, &policy);
            prop_assert!(is_blind(&decision.verdict));
            state = decision.state;
        }
    }
}

#[test]
fn the_baseline_of_these_tests_does_withdraw() {
    let decision = decide(&PrefixState::default(), &ready(), &policy());
    assert_eq!(decision.verdict, Verdict::Withdraw);
    assert!(matches!(decision.effects.last(), Some(Effect::IntendWithdrawal { calm_s, .. }) if *calm_s >= 900));
}

#[test]
fn old_readings_are_unknown_and_so_are_readings_from_the_future() {
    let policy = policy();
    for shift in [-31, -3_600, 3_600, 121] {
        for which in ["bgp", "traffic", "alerts"] {
            let mut shifted = ready();
            let when = at(60 * MIN + shift);
            match which {
                "bgp" => shifted.bgp = Observed::known(advertised(0), when),
                "traffic" => shifted.traffic = Observed::known(quiet(0, 60 * MIN), when),
                _ => shifted.alerts = Observed::known(vec![], when),
            }
            let verdict = decide(&PrefixState::default(), &shifted, &policy).verdict;
            assert!(
                matches!(verdict, Verdict::Unknown { .. }),
                "{which} read {shift} s from now: {verdict:?}"
            );
        }
    }
}

#[test]
fn an_attack_is_an_attack_although_the_answer_is_incomplete() {
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 58 * MIN, 500_000, 50);
    share.truncated = true;
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share.clone()), &policy()).verdict,
        Verdict::Attack
    );
    share.truncated = false;
    share.max_sample_interval = 1_000_000;
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy()).verdict,
        Verdict::Attack
    );
}

#[test]
fn unknown_alerts_stop_the_act_and_not_the_calm_clock() {
    let mut blind = ready();
    blind.alerts = Observed::unavailable("no heartbeat of the receiver");
    let decision = decide(&PrefixState::default(), &blind, &policy());
    assert!(matches!(
        decision.verdict,
        Verdict::Unknown {
            because: Unknown::Alerts { .. },
            ..
        }
    ));
    let seeing = decide(&PrefixState::default(), &ready(), &policy());
    assert_eq!(decision.state.calm, seeing.state.calm);
}
