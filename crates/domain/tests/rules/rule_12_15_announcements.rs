//! Rules 12, 14 and 15, as far as one prefix's decision announces: an attack right after our own
//! withdrawal, changes at Cloudflare, blindness and its end, "overdue", "would withdraw".

use domain::decision::{Decision, Effect, Managed, Mode, PrefixState, Verdict, decide};
use domain::evidence::Observed;
use proptest::prelude::*;

use crate::chaos::hold;
use crate::support::{MIN, add_drop, advertised, at, inputs, policy, quiet, ready};

fn overdue(decision: &Decision) -> Option<&str> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::AnnounceOverdue { because, .. } => Some(because.as_str()),
        _ => None,
    })
}

proptest! {
    #[test]
    fn rule_12_an_attack_within_20_minutes_after_our_withdrawal_is_announced_once(
        gap in 0_i64..40, seen_later in 1_i64..15,
    ) {
        // Withdrawn at minute 100, advertised again two minutes before the attack's first minute.
        let policy = policy();
        let attack = 102 + gap;
        let now = (attack + seen_later) * MIN;
        let mut share = quiet((attack - 2) * MIN, now);
        add_drop(&mut share, attack * MIN, 500_000, 50);
        let mut readings = inputs(now, share);
        readings.bgp = Observed::known(advertised((attack - 2) * MIN), at(now));
        readings.own_withdrawals = vec![at(100 * MIN)];
        let first = decide(&PrefixState::default(), &readings, &policy);
        let announced = |decision: &Decision| {
            decision.effects.iter().filter(|effect| matches!(effect, Effect::AnnounceReattack { .. })).count()
        };
        // The attack's first minute ends at `attack + 1`; when we get to see it does not matter.
        prop_assert_eq!(announced(&first), usize::from(attack < 120));
        prop_assert_eq!(announced(&decide(&first.state, &readings, &policy)), 0);
    }

    #[test]
    fn rule_15_overdue_is_announced_after_two_hours_and_then_daily_whatever_holds_it(
        held in any::<bool>(), blind in any::<bool>(), cycle_s in 60_i64..1_200,
    ) {
        let policy = policy();
        let mut state = PrefixState::default();
        let mut announced = Vec::new();
        let mut now = 60;
        while now < 76 * 3_600 {
            let mut readings = inputs(now, quiet((now - 1_800).max(0), now));
            readings.hold = held.then(|| hold(None));
            if blind && now > 3_600 {
                readings.traffic = Observed::unavailable("timed out");
            }
            if !held && !blind {
                readings.other_intent_open = true;
            }
            let decision = decide(&state, &readings, &policy);
            if let Some(because) = overdue(&decision) {
                prop_assert!(!because.is_empty());
                announced.push(now);
            }
            state = decision.state;
            now += cycle_s;
        }
        prop_assert_eq!(announced.len(), 4);
        prop_assert!((7_200..7_200 + cycle_s).contains(&announced[0]));
        for pair in announced.windows(2) {
            prop_assert!((86_400..86_400 + cycle_s).contains(&(pair[1] - pair[0])));
        }
    }

    #[test]
    fn rule_1_blindness_is_announced_once_and_so_is_its_end(good in 0_i64..20, blind in 1_i64..60) {
        let policy = policy();
        let mut state = PrefixState::default();
        let mut told = Vec::new();
        for minute in 0..good + blind + 5 {
            let now = (20 + minute) * MIN;
            let mut readings = inputs(now, quiet(0, now));
            if (good..good + blind).contains(&minute) {
                readings.traffic = Observed::unavailable("timed out");
            }
            let decision = decide(&state, &readings, &policy);
            if let Verdict::Unknown { since, .. } = &decision.verdict {
                prop_assert_eq!(*since, at((20 + good) * MIN));
            }
            for effect in &decision.effects {
                match effect {
                    Effect::AnnounceBlind { since, because } => {
                        prop_assert!(because.contains("timed out"));
                        told.push(("blind", *since));
                    }
                    Effect::AnnounceSighted { since } => told.push(("sighted", *since)),
                    _ => {}
                }
            }
            state = decision.state;
        }
        let since = at((20 + good) * MIN);
        let expected = if blind > 10 { vec![("blind", since), ("sighted", since)] } else { vec![] };
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn rule_15_says_what_holds_it() {
    let now = 121 * MIN;
    let mut readings = inputs(now, quiet(60 * MIN, now));
    readings.hold = Some(hold(None));
    let decision = decide(&PrefixState::default(), &readings, &policy());
    assert!(overdue(&decision).unwrap().contains("ana@noc"));
    let mut share = quiet(60 * MIN, now);
    add_drop(&mut share, 120 * MIN, 500_000, 50);
    let decision = decide(&PrefixState::default(), &inputs(now, share), &policy());
    assert_eq!(overdue(&decision), Some("the attack goes on"));
    readings.managed = Managed::NotListed;
    assert_eq!(overdue(&decide(&PrefixState::default(), &readings, &policy())), None);
}

#[test]
fn rule_15_calm_that_is_held_back_is_told_with_its_hold() {
    // Calm runs since a minute ago, but what has kept the prefix for two hours is the hold.
    let now = 121 * MIN;
    let mut share = quiet(60 * MIN, now);
    add_drop(&mut share, 108 * MIN, 500_000, 50);
    let mut readings = inputs(now, share);
    readings.hold = Some(hold(None));
    let decision = decide(&PrefixState::default(), &readings, &policy());
    assert_eq!(decision.verdict.key(), "calm");
    assert!(
        overdue(&decision).unwrap().contains("ana@noc"),
        "{:?}",
        overdue(&decision)
    );
}

#[test]
fn rule_14_every_change_of_the_advertisement_is_told_with_before_and_after() {
    let policy = policy();
    let first = decide(&PrefixState::default(), &ready(), &policy);
    let changes = |decision: &Decision| {
        decision
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::BgpChanged { before, after } => Some((before.clone(), after.clone())),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(changes(&first), [(None, advertised(0))]);
    assert_eq!(changes(&decide(&first.state, &ready(), &policy)), []);
    for change in [
        |state: &mut domain::bgp::BgpState| state.locked = true,
        |state: &mut domain::bgp::BgpState| state.prepend = Some(2),
        |state: &mut domain::bgp::BgpState| state.auto_advertise_withdraw = true,
        |state: &mut domain::bgp::BgpState| state.bgp_signalled = true,
        |state: &mut domain::bgp::BgpState| state.advertised = Some(false),
        |state: &mut domain::bgp::BgpState| state.advertised_modified_at = Some(at(30 * MIN)),
    ] {
        let mut after = advertised(0);
        change(&mut after);
        let mut readings = ready();
        readings.bgp = Observed::known(after.clone(), readings.now);
        assert_eq!(
            changes(&decide(&first.state, &readings, &policy)),
            [(Some(advertised(0)), after)]
        );
    }
    // A failed read is no change.
    let mut readings = ready();
    readings.bgp = Observed::unavailable("refused");
    let blind = decide(&first.state, &readings, &policy);
    assert_eq!(changes(&blind), []);
    assert_eq!(changes(&decide(&blind.state, &ready(), &policy)), []);
}

#[test]
fn a_dry_run_tells_once_per_epoch_what_it_would_do() {
    let mut policy = policy();
    policy.mode = Mode::DryRun;
    let told = |decision: &Decision| {
        decision
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::AnnounceWouldWithdraw { calm_s } if *calm_s >= 900))
    };
    let first = decide(&PrefixState::default(), &ready(), &policy);
    assert_eq!(first.verdict.key(), "blocked:dry_run");
    assert!(told(&first));
    assert!(!told(&decide(&first.state, &ready(), &policy)));
    // What would be blocked anyway is not told as "would withdraw".
    let mut held = ready();
    held.hold = Some(hold(None));
    assert!(!told(&decide(&PrefixState::default(), &held, &policy)));
}

#[test]
fn the_attack_of_an_epoch_is_remembered_from_its_first_window_to_its_last() {
    let policy = policy();
    let mut share = quiet(0, 30 * MIN);
    add_drop(&mut share, 20 * MIN, 100_000, 10);
    let first = decide(&PrefixState::default(), &inputs(30 * MIN, share.clone()), &policy);
    assert_eq!(first.state.attack_since, Some(at(21 * MIN)));
    // A row that comes late shows that it began earlier.
    add_drop(&mut share, 17 * MIN, 200_000, 20);
    share.to = at(31 * MIN);
    let second = decide(&first.state, &inputs(31 * MIN, share), &policy);
    assert_eq!(second.state.attack_since, Some(at(18 * MIN)));
    assert_eq!(second.state.last_attack_end, Some(at(25 * MIN)));
    assert_eq!(second.state.peak.unwrap().packets.0, 300_000);
}
