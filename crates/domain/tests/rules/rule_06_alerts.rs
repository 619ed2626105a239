//! Rule 6: an open attack alert blocks acting, for at most the veto time, and not the calm clock.

use domain::alert::OpenAlert;
use domain::decision::{Block, PrefixState, Verdict, decide};
use domain::evidence::Observed;
use domain::prefix::Prefix;
use proptest::prelude::*;

use crate::chaos::{is_blind, open_alert, quick_policy, run, steps};
use crate::support::{MIN, add_drop, at, inputs, p, policy, quiet, ready};

proptest! {
    #[test]
    fn an_open_alert_blocks_at_most_the_veto_time(since in -7_200_i64..3_600, veto in 0_i64..7_200) {
        let mut policy = policy();
        policy.open_alert_veto = crate::support::dur(veto);
        let mut readings = ready();
        readings.alerts = Observed::known(vec![open_alert(since)], readings.now);
        let decision = decide(&PrefixState::default(), &readings, &policy);
        let expected = if 60 * MIN < since + veto {
            let by = vec![Block::OpenAlert { event: 7, until: at(since + veto), unresolved: false }];
            Verdict::Blocked { by }
        } else {
            Verdict::Withdraw
        };
        prop_assert_eq!(decision.verdict, expected);
    }

    #[test]
    fn alerts_never_touch_the_calm_clock(steps in steps()) {
        let policy = quick_policy();
        let mut silent = steps.clone();
        for step in &mut silent {
            step.open_alert = false;
            step.alerts = true;
            step.hold = false;
        }
        for (with, without) in run(&steps, &policy).iter().zip(run(&silent, &policy)) {
            prop_assert_eq!(&with.decision.state.calm, &without.decision.state.calm);
        }
    }

    #[test]
    fn an_alert_that_is_not_resolved_blocks_every_prefix(prefix in prop::sample::select(vec!["198.51.100.0/24", "2001:db8::/48"])) {
        let mut readings = ready();
        readings.prefix = p(prefix);
        let alert = OpenAlert { prefixes: vec![], unresolved: true, ..open_alert(59 * MIN) };
        readings.alerts = Observed::known(vec![alert.clone()], readings.now);
        prop_assert_eq!(decide(&PrefixState::default(), &readings, &policy()).verdict.key(), "blocked:open_alert");
        readings.alerts = Observed::known(vec![OpenAlert { unresolved: false, ..alert }], readings.now);
        prop_assert_eq!(decide(&PrefixState::default(), &readings, &policy()).verdict, Verdict::Withdraw);
    }

    #[test]
    fn what_is_not_read_yet_blocks_every_prefix_for_as_long_as_it_is_not(
        prefix in prop::sample::select(vec!["198.51.100.0/24", "2001:db8::/48"]),
        since in -1_000_000_i64..3_600,
        veto in 0_i64..7_200,
    ) {
        let mut readings = ready();
        readings.prefix = p(prefix);
        let mut policy = policy();
        policy.open_alert_veto = crate::support::dur(veto);
        readings.alerts = Observed::known(vec![OpenAlert::unread(crate::support::at(since))], readings.now);
        let decision = decide(&PrefixState::default(), &readings, &policy);
        prop_assert_eq!(decision.verdict.key(), "blocked:open_alert");
        let words = decision.blocks[0].explain();
        prop_assert!(words.contains("received and not read yet"), "{}", words);
        prop_assert_eq!(decision.next.not_before, None, "nobody knows until when");
        readings.alerts = Observed::known(vec![], readings.now);
        prop_assert_eq!(decide(&PrefixState::default(), &readings, &policy).verdict, Verdict::Withdraw);
    }

    #[test]
    fn the_end_of_a_veto_never_turns_unknown_into_calm(steps in steps()) {
        // Blind without the alert is blind with it, and the other way round.
        let policy = quick_policy();
        let mut open = steps.clone();
        for step in &mut open {
            step.open_alert = true;
        }
        for (with, without) in run(&open, &policy).iter().zip(run(&steps, &policy)) {
            prop_assert_eq!(is_blind(&with.decision.verdict), is_blind(&without.decision.verdict));
        }
    }
}

#[test]
fn an_alert_for_a_part_or_a_whole_of_the_prefix_concerns_it() {
    let alert = |named: &str| OpenAlert {
        prefixes: vec![p(named)],
        ..open_alert(0)
    };
    let prefix: Prefix = p("198.51.100.0/22");
    assert!(alert("198.51.101.0/24").concerns(prefix));
    assert!(alert("198.51.96.0/20").concerns(prefix));
    assert!(!alert("198.51.104.0/24").concerns(prefix));
    assert!(!alert("2001:db8::/32").concerns(prefix));
}

#[test]
fn an_open_alert_does_not_hide_an_attack() {
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 58 * MIN, 500_000, 50);
    let mut readings = inputs(60 * MIN, share);
    readings.alerts = Observed::known(vec![open_alert(59 * MIN)], readings.now);
    assert_eq!(
        decide(&PrefixState::default(), &readings, &policy()).verdict,
        Verdict::Attack
    );
    readings.alerts = Observed::unavailable("no heartbeat");
    assert_eq!(
        decide(&PrefixState::default(), &readings, &policy()).verdict,
        Verdict::Attack
    );
}
