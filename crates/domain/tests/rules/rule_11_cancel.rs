//! Rule 11, the deciding half: whatever is not "withdraw now" cancels an intent not yet sent.

use domain::alert::OpenAlert;
use domain::decision::{DirectRoute, Effect, Inputs, Managed, Mode, Policy, PrefixState, Verdict, decide};
use domain::evidence::Observed;
use proptest::prelude::*;

use crate::chaos::{hold, open_alert, quick_policy, run, steps};
use crate::support::{MIN, add_drop, at, inputs, policy, quiet, ready, withdrawn};

/// Everything that forbids a withdrawal, each alone.
fn obstacles() -> Vec<(&'static str, Inputs, Policy)> {
    type Change = fn(&mut Inputs, &mut Policy);
    let changes: [(&str, Change); 16] = [
        ("hold", |readings, _| readings.hold = Some(hold(None))),
        ("expired hold passed in", |readings, _| {
            readings.hold = Some(hold(Some(0)))
        }),
        ("dry run", |_, policy| policy.mode = Mode::DryRun),
        ("paused", |_, policy| policy.mode = Mode::Paused),
        ("alert", |readings, _| {
            readings.alerts = Observed::known(vec![open_alert(50 * MIN)], readings.now)
        }),
        ("unresolved alert", |readings, _| {
            let alert = OpenAlert {
                prefixes: vec![],
                unresolved: true,
                ..open_alert(50 * MIN)
            };
            readings.alerts = Observed::known(vec![alert], readings.now);
        }),
        ("alerts unknown", |readings, _| {
            readings.alerts = Observed::unavailable("no heartbeat")
        }),
        ("too soon", |_, policy| {
            policy.min_advertised = crate::support::dur(3_601)
        }),
        ("hourly limit", |readings, _| {
            readings.all_withdrawals = vec![at(59 * MIN); 10]
        }),
        ("one at a time", |readings, _| readings.other_intent_open = true),
        ("route", |readings, _| {
            readings.direct_route = DirectRoute::NotProven { reason: "gone".into() }
        }),
        ("not listed", |readings, _| readings.managed = Managed::NotListed),
        ("bgp unknown", |readings, _| {
            readings.bgp = Observed::unavailable("refused")
        }),
        ("traffic unknown", |readings, _| {
            readings.traffic = Observed::unavailable("refused")
        }),
        ("withdrawn", |readings, _| {
            readings.bgp = Observed::known(withdrawn(0), readings.now)
        }),
        ("attack", |readings, _| {
            let mut share = quiet(0, 60 * MIN);
            add_drop(&mut share, 59 * MIN, 500_000, 50);
            readings.traffic = Observed::known(share, readings.now);
        }),
    ];
    changes
        .into_iter()
        .map(|(name, change)| {
            let (mut readings, mut policy) = (ready(), policy());
            change(&mut readings, &mut policy);
            (name, readings, policy)
        })
        .collect()
}

proptest! {
    #[test]
    fn every_verdict_but_withdraw_cancels_an_unsent_intent(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            let cancels = cycle.decision.effects.iter().any(|effect| matches!(effect, Effect::CancelIntent { .. }));
            prop_assert!(cancels || cycle.decision.verdict == Verdict::Withdraw);
        }
    }

    #[test]
    fn an_intent_names_the_epoch_that_was_read_and_a_calm_period(steps in steps()) {
        let policy = quick_policy();
        for cycle in run(&steps, &policy) {
            for effect in &cycle.decision.effects {
                if let Effect::IntendWithdrawal { epoch, calm_s } = effect {
                    prop_assert_eq!(Some(*epoch), cycle.inputs.bgp.value().unwrap().epoch());
                    prop_assert!(*calm_s >= policy.calm_period.as_secs());
                }
            }
        }
    }
}

#[test]
fn any_single_obstacle_prevents_and_cancels_a_withdrawal() {
    let proven = decide(&PrefixState::default(), &ready(), &policy());
    assert_eq!(proven.verdict, Verdict::Withdraw);
    for (name, readings, policy) in obstacles() {
        // Whether met at once or after the intent was filed.
        for state in [PrefixState::default(), proven.state.clone()] {
            let decision = decide(&state, &readings, &policy);
            assert_ne!(decision.verdict, Verdict::Withdraw, "{name}");
            let cancel = decision.effects.iter().find_map(|effect| match effect {
                Effect::CancelIntent { because } => Some(because.clone()),
                _ => None,
            });
            assert_eq!(cancel, Some(decision.verdict.key()), "{name}");
            assert!(
                !decision
                    .effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::IntendWithdrawal { .. })),
                "{name}"
            );
            assert!(!decision.next.because().is_empty(), "{name} has a reason");
        }
    }
}

#[test]
fn obstacles_add_up_and_each_is_named() {
    let (mut readings, mut policy) = (ready(), policy());
    readings.hold = Some(hold(None));
    readings.alerts = Observed::known(vec![open_alert(50 * MIN)], readings.now);
    readings.all_withdrawals = vec![at(59 * MIN); 10];
    policy.mode = Mode::DryRun;
    let decision = decide(&PrefixState::default(), &readings, &policy);
    assert_eq!(decision.verdict.key(), "blocked:held+dry_run+open_alert+hourly_limit");
    let calm_running = decide(
        &PrefixState::default(),
        &Inputs {
            hold: readings.hold.clone(),
            ..inputs(20 * MIN, quiet(0, 20 * MIN))
        },
        &policy,
    );
    assert_eq!(calm_running.verdict.key(), "calm");
    assert_eq!(calm_running.next.action(), "hold the advertisement");
    assert!(
        calm_running.next.because().contains("ana@noc"),
        "{}",
        calm_running.next.because()
    );
}
