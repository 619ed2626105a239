//! Rule 7: a hold always wins.

use domain::decision::{PrefixState, Verdict, decide};
use domain::hold::{Hold, in_force};
use domain::prefix::Prefix;
use proptest::prelude::*;

use crate::chaos::{hold, quick_policy, run, steps};
use crate::support::{at, p, policy, ready};

fn any_hold() -> impl Strategy<Value = Hold> {
    let nets = vec![
        None,
        Some("203.0.113.0/24"),
        Some("203.0.112.0/22"),
        Some("203.0.113.128/25"),
        Some("2001:db8::/32"),
    ];
    (prop::sample::select(nets), prop::option::of(0_i64..100)).prop_map(|(net, until)| Hold {
        prefix: net.map(p),
        ..hold(until)
    })
}

proptest! {
    #[test]
    fn a_hold_always_wins(steps in steps()) {
        let mut held = steps;
        for step in &mut held {
            step.hold = true;
        }
        for cycle in run(&held, &quick_policy()) {
            prop_assert!(cycle.decision.verdict != Verdict::Withdraw);
            if let Verdict::Blocked { by } = &cycle.decision.verdict {
                prop_assert_eq!(by[0].key(), "held");
            }
        }
    }

    #[test]
    fn the_hold_in_force_is_the_one_that_lasts_longest_of_those_that_touch_the_prefix(
        holds in prop::collection::vec(any_hold(), 0..6), now in 0_i64..100,
    ) {
        let prefix: Prefix = p("203.0.113.0/24");
        let end = |hold: &Hold| hold.until.map_or(i64::MAX, crate::support::secs);
        let expected = holds
            .iter()
            .filter(|hold| hold.prefix.is_none_or(|net| net.overlaps(prefix)))
            .map(end)
            .filter(|end| now < *end)
            .max();
        prop_assert_eq!(in_force(&holds, prefix, at(now)).map(end), expected);
    }
}

#[test]
fn who_why_and_until_are_said() {
    let mut readings = ready();
    readings.hold = Some(hold(Some(90 * 60)));
    let decision = decide(&PrefixState::default(), &readings, &policy());
    assert_eq!(decision.verdict.key(), "blocked:held");
    assert_eq!(decision.next.action(), "withdraw");
    assert_eq!(decision.next.not_before, Some(at(90 * 60)));
    for word in ["ana@noc", "maintenance", "05/01/2026 01:30 UTC"] {
        assert!(decision.next.because().contains(word), "{}", decision.next.because());
    }
    readings.hold = Some(Hold {
        prefix: None,
        ..hold(None)
    });
    let decision = decide(&PrefixState::default(), &readings, &policy());
    assert_eq!(
        (decision.next.action(), decision.next.not_before),
        ("hold the advertisement", None)
    );
    assert!(decision.next.because().contains("all automation is paused"));
}
