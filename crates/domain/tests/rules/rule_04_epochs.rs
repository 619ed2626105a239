//! Rule 4: everything belongs to one advertisement epoch, and no clock step shortens a calm period.

use domain::calm::CalmTrack;
use domain::decision::{Effect, PrefixState, Verdict, decide};
use domain::evidence::Observed;
use domain::time::plus;
use proptest::prelude::*;

use crate::chaos::{quick_policy, run, steps};
use crate::support::{MIN, add_drop, advertised, at, inputs, policy, quiet, ready, secs, withdrawn};

proptest! {
    #[test]
    fn calm_never_begins_before_the_epoch_has_spread(steps in steps()) {
        let policy = quick_policy();
        for cycle in run(&steps, &policy) {
            if let Some(track) = &cycle.decision.state.calm {
                prop_assert!(track.calm_since >= plus(track.epoch.0, policy.traffic.propagation));
            }
        }
    }

    #[test]
    fn a_new_epoch_starts_anew_and_inherits_nothing(steps in steps(), epoch in 100_i64..200, later in 0_i64..60) {
        let policy = quick_policy();
        let old = run(&steps, &policy).pop().unwrap().decision.state;
        let now = (epoch + later) * MIN;
        let mut readings = inputs(now, quiet(epoch * MIN, now));
        readings.bgp = Observed::known(advertised(epoch * MIN), at(now));
        let heir = decide(&old, &readings, &policy);
        let fresh = decide(&PrefixState::default(), &readings, &policy);
        prop_assert_eq!(&heir.verdict, &fresh.verdict);
        // It may know from the last epoch's end which rows cannot be that one's; nothing else.
        let track = |state: &PrefixState| state.calm.clone().map(|track| CalmTrack { rows_from: None, ..track });
        prop_assert_eq!(track(&heir.state), track(&fresh.state));
        prop_assert_eq!(&heir.state.peak, &fresh.state.peak);
        prop_assert_eq!(heir.state.attack_since, fresh.state.attack_since);
        prop_assert_eq!(heir.state.last_attack_end, fresh.state.last_attack_end);
        prop_assert_eq!(heir.state.overdue_announced_at, fresh.state.overdue_announced_at);
        prop_assert_eq!(heir.state.after_blindness, fresh.state.after_blindness);
        prop_assert!(heir.state.systems.is_empty());
    }

    #[test]
    fn a_withdrawn_prefix_keeps_no_calm(steps in steps()) {
        let policy = quick_policy();
        let old = run(&steps, &policy).pop().unwrap().decision.state;
        let mut readings = ready();
        readings.bgp = Observed::known(withdrawn(59 * MIN), readings.now);
        let decision = decide(&old, &readings, &policy);
        prop_assert_eq!(&decision.verdict, &Verdict::Direct);
        prop_assert!(decision.state.calm.is_none() && decision.state.peak.is_none());
    }

    #[test]
    fn drops_before_the_epoch_are_another_epochs(epoch in 20_i64..38, before in 1_i64..20) {
        let policy = policy();
        let mut share = quiet(0, 60 * MIN);
        add_drop(&mut share, (epoch - before) * MIN, 1_000_000, 100);
        add_drop(&mut share, epoch * MIN, 10, 1);
        let mut readings = inputs(60 * MIN, share);
        readings.bgp = Observed::known(advertised(epoch * MIN), at(60 * MIN));
        let decision = decide(&PrefixState::default(), &readings, &policy);
        prop_assert_eq!(secs(decision.state.calm.unwrap().calm_since), (epoch + 7) * MIN);
        prop_assert!(decision.state.peak.is_none());
    }

    /// A healthy dataset, one attack, and a clock of ours that jumps about: when the withdrawal
    /// comes, a whole calm period of data lies behind the last attack window.
    #[test]
    fn a_step_of_our_clock_never_shortens_a_calm_period(
        steps in prop::collection::vec(prop_oneof![6 => Just(0_i64), 1 => -1_000_i64..1_000, 1 => -20_000_i64..20_000], 70),
        attack in 0_i64..20,
    ) {
        let policy = policy();
        let mut state = PrefixState::default();
        for (index, offset) in steps.iter().enumerate() {
            let true_now = (index as i64 + 1) * MIN;
            let ours = true_now + offset;
            let from = state.calm.clone().map_or(0, |track| secs(track.read_from(&policy.traffic, policy.calm_period, at(ours))));
            let mut share = quiet(from, ours);
            // Rows come after two minutes.
            share.newest_row = Some(at(true_now - 2 * MIN));
            if attack * MIN + 2 * MIN <= true_now && attack * MIN >= from {
                add_drop(&mut share, attack * MIN, 100_000, 10);
            }
            let decision = decide(&state, &inputs(ours, share), &policy);
            if decision.verdict == Verdict::Withdraw {
                let calm_begins = (7 * MIN).max((attack + 5) * MIN);
                prop_assert!(true_now - 2 * MIN - calm_begins >= 15 * MIN, "at {} s, our clock {:+} s", true_now, offset);
            }
            state = decision.state;
        }
    }

    #[test]
    fn an_epoch_in_our_future_is_not_believed(ahead in 121_i64..100_000) {
        let mut readings = ready();
        readings.bgp = Observed::known(advertised(60 * MIN + ahead), readings.now);
        let decision = decide(&PrefixState::default(), &readings, &policy());
        let is_unknown = matches!(decision.verdict, Verdict::Unknown { .. });
        prop_assert!(is_unknown);
    }
}

#[test]
fn state_survives_a_restart_as_text() {
    let mut share = quiet(0, 40 * MIN);
    add_drop(&mut share, 20 * MIN, 123_457, 13);
    share.systems.insert("dosd".into());
    let state = decide(&PrefixState::default(), &inputs(40 * MIN, share), &policy()).state;
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<PrefixState>(&text).unwrap(), state);
    // A state stored by an older version lacks fields and is read all the same.
    assert_eq!(
        serde_json::from_str::<PrefixState>("{}").unwrap(),
        PrefixState::default()
    );
}

#[test]
fn an_epoch_change_cancels_an_unsent_intent_even_if_the_new_epoch_is_calm_long_enough() {
    let policy = policy();
    let old = decide(&PrefixState::default(), &ready(), &policy).state;
    let now = 200 * MIN;
    let mut readings = inputs(now, quiet(100 * MIN, now));
    readings.bgp = Observed::known(advertised(100 * MIN), at(now));
    let decision = decide(&old, &readings, &policy);
    assert_eq!(decision.verdict, Verdict::Withdraw);
    let order: Vec<&str> = decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::CancelIntent { .. } => Some("cancel"),
            Effect::IntendWithdrawal { epoch, .. } if epoch.0 == at(100 * MIN) => Some("intend"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["cancel", "intend"]);
}
