//! Rule 3: calm is measured in the time of the data.

use domain::decision::{PrefixState, Verdict, decide};
use domain::time::since;
use proptest::prelude::*;

use crate::chaos::{calmness, quick_policy, run, steps};
use crate::support::{MIN, add_drop, at, inputs, policy, quiet, secs};

proptest! {
    #[test]
    fn no_withdrawal_unless_a_whole_calm_period_is_settled(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            if matches!(cycle.decision.verdict, Verdict::Withdraw | Verdict::Blocked { .. }) {
                let settled = cycle.decision.settled_until.unwrap();
                let track = cycle.decision.state.calm.as_ref().unwrap();
                prop_assert!(since(settled, track.calm_since) >= cycle.decision.calm_period);
                prop_assert!(track.proven() >= cycle.decision.calm_period);
            }
        }
    }

    #[test]
    fn calm_since_never_goes_back_within_an_epoch(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            if let Some((before, after)) = cycle.same_epoch() {
                prop_assert!(after.calm_since >= before.calm_since);
                prop_assert!(after.verified_until >= before.verified_until);
                prop_assert!(after.saw_rows >= before.saw_rows);
            }
        }
    }

    #[test]
    fn an_attack_window_anywhere_in_the_answer_ends_the_calm_before_it(
        start in 12_i64..60, packets in 5_001_u64..1_000_000, samples in 2_u64..100,
    ) {
        let mut share = quiet(0, 60 * MIN);
        add_drop(&mut share, start * MIN, packets, samples);
        let decision = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy());
        // The last window that holds the minute ends one look-back after the minute's start.
        let last_end = (start + 5).min(60) * MIN;
        prop_assert_eq!(secs(decision.state.calm.unwrap().calm_since), last_end);
        prop_assert_eq!(decision.verdict == Verdict::Attack, last_end >= 55 * MIN);
        prop_assert_eq!(decision.verdict == Verdict::Withdraw, last_end <= 40 * MIN);
    }

    #[test]
    fn more_drops_never_make_a_verdict_calmer(
        base in prop::collection::vec((0_i64..60, 0_u64..9_000, 1_u64..4), 0..6),
        more in prop::collection::vec((0_i64..60, 1_u64..9_000, 1_u64..4), 1..4),
        truncated in prop::bool::weighted(0.2),
        coarser in prop::bool::weighted(0.2),
    ) {
        let policy = policy();
        let mut share = quiet(0, 60 * MIN);
        share.truncated = truncated;
        for (minute, packets, samples) in &base {
            add_drop(&mut share, minute * MIN, *packets, *samples);
        }
        let before = decide(&PrefixState::default(), &inputs(60 * MIN, share.clone()), &policy);
        for (minute, packets, samples) in &more {
            add_drop(&mut share, minute * MIN, *packets, *samples);
        }
        if coarser {
            share.max_sample_interval = 200_000;
        }
        let after = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy);
        prop_assert!(calmness(&after.verdict) <= calmness(&before.verdict));
        prop_assert!(after.state.calm.unwrap().calm_since >= before.state.calm.unwrap().calm_since);
    }

    #[test]
    fn reading_the_same_answer_again_changes_nothing(drops in prop::collection::vec((0_i64..60, 0_u64..9_000, 1_u64..4), 0..6)) {
        let policy = policy();
        let mut share = quiet(0, 60 * MIN);
        for (minute, packets, samples) in &drops {
            add_drop(&mut share, minute * MIN, *packets, *samples);
        }
        let readings = inputs(60 * MIN, share);
        let once = decide(&PrefixState::default(), &readings, &policy);
        let twice = decide(&once.state, &readings, &policy);
        prop_assert_eq!(&once.verdict, &twice.verdict);
        prop_assert_eq!(&once.state, &twice.state);
    }

    #[test]
    fn an_excess_on_fewer_than_min_samples_is_noise_and_enough_of_them_an_attack(
        min_samples in 1_u64..20, samples in 1_u64..20, minute in 50_i64..60,
    ) {
        let mut policy = policy();
        policy.traffic.min_samples = min_samples;
        let mut share = quiet(0, 60 * MIN);
        add_drop(&mut share, minute * MIN, 50_000, samples);
        let decision = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy);
        if samples < min_samples {
            prop_assert!(decision.noise && decision.verdict == Verdict::Withdraw);
        } else {
            prop_assert!(!decision.noise && decision.verdict == Verdict::Attack);
        }
    }

    #[test]
    fn a_stretch_nobody_read_counts_as_an_attack_until_a_whole_window_lies_behind_it(
        verified in 25_i64..40, from in 20_i64..60,
    ) {
        // Whatever happened between the end of what was read and the start of this answer, in a
        // window that reaches into it too.
        let policy = policy();
        let first = decide(&PrefixState::default(), &inputs((verified + 5) * MIN, quiet(0, (verified + 5) * MIN)), &policy);
        prop_assert_eq!(secs(first.state.calm.as_ref().unwrap().verified_until), verified * MIN);
        let now = 90 * MIN;
        let second = decide(&first.state, &inputs(now, quiet(from * MIN, now)), &policy);
        let calm_since = secs(second.state.calm.unwrap().calm_since);
        // The first window after `verified` ends a minute later and starts four minutes before it.
        if from <= verified - 4 {
            prop_assert_eq!(calm_since, 7 * MIN);
        } else {
            prop_assert_eq!(calm_since, (from + 5) * MIN);
        }
    }

    #[test]
    fn queries_of_healthy_cycles_leave_no_gap_whatever_the_calm_period(
        calm_minutes in 1_i64..130, cycle_s in 10_i64..240, lookback_s in prop::sample::select(vec![100_i64, 300, 330, 600, 1_234]), epoch in 0_i64..120,
    ) {
        let mut policy = policy();
        policy.calm_period = crate::support::dur(calm_minutes * MIN);
        policy.traffic.lookback = crate::support::dur(lookback_s);
        let bucket = policy.traffic.bucket();
        let mut state = PrefixState::default();
        let mut now = epoch + 10;
        let due = epoch + 7 * MIN + calm_minutes * MIN + 5 * MIN + bucket.as_secs() as i64 + 2 * cycle_s;
        let due = due.max(epoch + 15 * MIN + cycle_s);
        let mut verdict = Verdict::Direct;
        while now <= due {
            let track = state.calm.clone().unwrap_or_else(|| {
                domain::calm::CalmTrack::begin(domain::bgp::Epoch(at(epoch)), &policy.traffic)
            });
            let from = track.read_from(&policy.traffic, policy.calm_period, at(now));
            let mut share = quiet(secs(from), now);
            share.bucket = bucket;
            let mut readings = inputs(now, share);
            readings.bgp = domain::evidence::Observed::known(crate::support::advertised(epoch), at(now));
            let decision = decide(&state, &readings, &policy);
            state = decision.state;
            prop_assert_eq!(secs(state.calm.as_ref().unwrap().calm_since), epoch + 7 * MIN);
            verdict = decision.verdict;
            now += cycle_s;
        }
        prop_assert_eq!(verdict, Verdict::Withdraw);
    }
}
