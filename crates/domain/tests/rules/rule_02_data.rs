//! Rule 2: an answer is not data. Coverage and freshness are checked before anything counts.

use domain::decision::{PrefixState, Verdict, decide};
use domain::evidence::PrefixTraffic;
use proptest::prelude::*;

use crate::chaos::{calmness, quick_policy, run, steps};
use crate::support::{MIN, add_drop, at, inputs, policy, quiet, secs};

/// Ways in which a complete-looking answer proves nothing.
fn flaw() -> impl Strategy<Value = (&'static str, PrefixTraffic)> {
    let now = 60 * MIN;
    let with = move |change: fn(&mut PrefixTraffic, i64)| {
        move |amount: i64| {
            let mut share = quiet(0, now);
            change(&mut share, amount);
            share
        }
    };
    prop_oneof![
        (0_i64..1)
            .prop_map(with(|share, _| share.truncated = true))
            .prop_map(|share| ("traffic_truncated", share)),
        (0_i64..1)
            .prop_map(with(|share, _| share.newest_row = None))
            .prop_map(|share| ("traffic_empty", share)),
        (901_i64..100_000)
            .prop_map(with(|share, age| share.newest_row = Some(at(60 * MIN - age))))
            .prop_map(|share| ("traffic_stale", share)),
        (121_i64..100_000)
            .prop_map(with(|share, ahead| share.newest_row = Some(at(60 * MIN + ahead))))
            .prop_map(|share| ("traffic_in_future", share)),
        (0_i64..1)
            .prop_map(with(|share, _| share.saw_rows = false))
            .prop_map(|share| ("traffic_no_rows", share)),
        (100_001_i64..i64::MAX)
            .prop_map(with(|share, interval| share.max_sample_interval = interval as u64))
            .prop_map(|share| ("traffic_too_coarse", share)),
    ]
}

proptest! {
    #[test]
    fn settled_until_is_never_after_the_newest_row_nor_after_now_minus_settle(steps in steps()) {
        let policy = quick_policy();
        for cycle in run(&steps, &policy) {
            if let Some(settled) = cycle.decision.settled_until {
                let share = cycle.traffic().unwrap();
                prop_assert!(Some(settled) <= share.newest_row);
                prop_assert!(secs(settled) <= secs(cycle.inputs.now) - policy.traffic.settle.as_secs() as i64);
                prop_assert!(settled <= share.to);
            }
        }
    }

    #[test]
    fn no_newer_row_means_no_progress(newest in 10_i64..22, later in 1_i64..10) {
        // Our clock goes on, the dataset does not: rows that were late are missing for good.
        let policy = policy();
        let answer = |now: i64, newest: i64| {
            let mut share = quiet(0, now * MIN);
            share.newest_row = Some(at(newest * MIN));
            inputs(now * MIN, share)
        };
        let first = decide(&PrefixState::default(), &answer(22, newest), &policy);
        let second = decide(&first.state, &answer(22 + later, newest), &policy);
        let verified = |state: &PrefixState| state.calm.as_ref().map(|track| secs(track.verified_until));
        prop_assert_eq!(verified(&first.state), Some(newest.min(17) * MIN));
        prop_assert_eq!(verified(&second.state), verified(&first.state));
        // It goes on: all that was read in between counts.
        let third = decide(&second.state, &answer(33, 32), &policy);
        prop_assert_eq!(verified(&third.state), Some(28 * MIN));
    }

    #[test]
    fn an_answer_that_proves_nothing_is_unknown_by_name((key, share) in flaw()) {
        let decision = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy());
        prop_assert!(matches!(&decision.verdict, Verdict::Unknown { because, .. } if because.key() == key), "{:?}", decision.verdict);
    }

    #[test]
    fn truncation_never_leads_to_a_withdrawal(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            if cycle.traffic().is_some_and(|share| share.truncated) {
                prop_assert!(calmness(&cycle.decision.verdict) < 3 || cycle.decision.verdict == Verdict::Direct);
            }
        }
    }

    #[test]
    fn rows_of_an_earlier_epoch_prove_nothing_about_this_one(epoch in 11_i64..40, wide in 0_i64..10) {
        // The batched query reaches back before the epoch, and all rows of the prefix lie there.
        let policy = policy();
        let mut state = PrefixState::default();
        for minute in epoch..epoch + 70 {
            let mut share = quiet(wide * MIN, minute * MIN);
            share.saw_rows = true;
            let mut readings = inputs(minute * MIN, share);
            readings.bgp = domain::evidence::Observed::known(crate::support::advertised(epoch * MIN), at(minute * MIN));
            let decision = decide(&state, &readings, &policy);
            prop_assert!(calmness(&decision.verdict) < 3, "minute {}: {:?}", minute, decision.verdict);
            state = decision.state;
        }
    }
}

#[test]
fn passed_rows_count_once_an_earlier_epoch_lies_before_the_window() {
    // Seen withdrawn since minute 10; its last traffic is gone when that has spread, at minute 17.
    // Advertised again at minute 40, while another prefix keeps the window at `from`.
    let policy = policy();
    let withdrawn = domain::evidence::Observed::known(crate::support::withdrawn(10 * MIN), at(39 * MIN));
    let mut readings = inputs(39 * MIN, quiet(0, 39 * MIN));
    readings.bgp = withdrawn;
    let state = decide(&PrefixState::default(), &readings, &policy).state;
    for (from, key) in [(16, "unknown:traffic_no_rows"), (17, "calm"), (40, "calm")] {
        let mut readings = inputs(50 * MIN, quiet(from * MIN, 50 * MIN));
        readings.bgp = domain::evidence::Observed::known(crate::support::advertised(40 * MIN), at(50 * MIN));
        assert_eq!(
            decide(&state, &readings, &policy).verdict.key(),
            key,
            "window from minute {from}"
        );
    }
}

#[test]
fn dropped_rows_of_an_earlier_epoch_prove_nothing_either() {
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 5 * MIN, 100, 1);
    let mut readings = inputs(60 * MIN, share);
    readings.bgp = domain::evidence::Observed::known(crate::support::advertised(20 * MIN), at(60 * MIN));
    let verdict = decide(&PrefixState::default(), &readings, &policy()).verdict;
    assert!(
        matches!(&verdict, Verdict::Unknown { because, .. } if because.key() == "traffic_no_rows"),
        "{verdict:?}"
    );
}

#[test]
fn a_prefix_declared_to_carry_no_traffic_needs_no_row() {
    let mut share = quiet(0, 60 * MIN);
    share.saw_rows = false;
    let mut policy = policy();
    policy.traffic.carries_no_traffic = true;
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy).verdict,
        Verdict::Withdraw
    );
}

#[test]
fn the_first_row_after_a_long_silence_starts_the_calm_period_and_does_not_end_it() {
    let policy = policy();
    let mut state = PrefixState::default();
    let mut withdrawn_at = None;
    for minute in 20..200 {
        let mut share = quiet((minute - 30).max(0) * MIN, minute * MIN);
        share.saw_rows = minute >= 120;
        let decision = decide(&state, &inputs(minute * MIN, share), &policy);
        if decision.verdict == Verdict::Withdraw {
            withdrawn_at.get_or_insert(minute);
        }
        state = decision.state;
    }
    let when = withdrawn_at.expect("it ends");
    assert!((134..=141).contains(&when), "{when}");
}
