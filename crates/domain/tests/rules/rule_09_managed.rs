//! Rule 9: automation touches only what the operator listed and Cloudflare lets it switch, and
//! only where the operator's own route is proven.

use domain::bgp::BgpState;
use domain::decision::{DirectRoute, Managed, PrefixState, Verdict, decide};
use domain::evidence::Observed;
use proptest::prelude::*;

use crate::support::{MIN, add_drop, advertised, at, inputs, policy, quiet, ready};

proptest! {
    #[test]
    fn all_but_listed_on_demand_unlocked_and_not_signalled_prefixes_are_not_managed(
        listed in any::<bool>(), on_demand_enabled in any::<bool>(), locked in any::<bool>(), bgp_signalled in any::<bool>(),
    ) {
        let mut readings = ready();
        readings.managed = if listed { Managed::Yes } else { Managed::NotListed };
        let state = BgpState { on_demand_enabled, locked, bgp_signalled, ..advertised(0) };
        readings.bgp = Observed::known(state, readings.now);
        let decision = decide(&PrefixState::default(), &readings, &policy());
        let ours = listed && on_demand_enabled && !locked && !bgp_signalled;
        prop_assert_eq!(&decision.verdict, if ours { &Verdict::Withdraw } else { &Verdict::NotManaged });
        if listed && !ours {
            // It says which of them it is.
            let why = decision.next.because();
            prop_assert!(["locked", "on demand", "BGP signalling"].iter().any(|word| why.contains(word)), "{}", why);
        }
    }

    #[test]
    fn a_route_check_counts_for_five_minutes(age in -7_200_i64..7_200) {
        let mut readings = ready();
        readings.direct_route = DirectRoute::Checked { at: at(60 * MIN - age) };
        let decision = decide(&PrefixState::default(), &readings, &policy());
        // A check from the future was made by a clock that has been set back since.
        prop_assert_eq!(decision.verdict == Verdict::Withdraw, (-120..=300).contains(&age));
    }
}

#[test]
fn an_attack_on_what_is_not_managed_is_an_attack() {
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 58 * MIN, 500_000, 50);
    let mut readings = inputs(60 * MIN, share);
    readings.managed = Managed::NotListed;
    assert_eq!(
        decide(&PrefixState::default(), &readings, &policy()).verdict,
        Verdict::Attack
    );
}

#[test]
fn a_failed_route_check_holds() {
    let mut readings = ready();
    readings.direct_route = DirectRoute::NotProven {
        reason: "the looking glass shows no route".into(),
    };
    let decision = decide(&PrefixState::default(), &readings, &policy());
    assert_eq!(decision.verdict.key(), "blocked:no_direct_route");
    assert!(decision.next.because().contains("the looking glass shows no route"));
    assert_eq!(decision.next.not_before, None);
}
