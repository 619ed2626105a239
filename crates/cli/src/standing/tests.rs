//! Named cases of the judgement.

use domain::alert::OpenAlert;
use domain::decision::{Decision, Mode, NextAction, NextKind, PrefixState, Reason, Unknown};
use domain::ids::HoldId;

use super::*;
use crate::life::{AUTOWITHDRAW, Life};

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 - seconds_ago).unwrap()
}

fn prefix() -> Prefix {
    "203.0.113.0/24".parse().unwrap()
}

fn bgp(advertised: bool, changed_ago: i64) -> BgpState {
    BgpState {
        advertised: Some(advertised),
        advertised_modified_at: Some(at(changed_ago)),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

fn daemon(life: Life) -> Service {
    let mut service = Service::of(AUTOWITHDRAW, None, at(0));
    service.life = life;
    service.seen_at = Some(at(400));
    service
}

fn answer(verdict: Verdict, age_s: i64, state: BgpState) -> Now {
    Now {
        prefix: prefix(),
        at: at(age_s),
        decision: Decision {
            verdict,
            state: PrefixState::default(),
            effects: vec![],
            blocks: vec![],
            next: NextAction {
                kind: NextKind::Hold,
                not_before: None,
                reasons: vec![Reason::AttackGoesOn],
            },
            calm_period: Duration::from_secs(900),
            settled_until: None,
            latest: None,
            noise: false,
            restless: false,
            decided_at: at(age_s),
        },
        bgp: Some(state),
        managed: true,
        mode: Mode::Act,
    }
}

struct Case {
    reading: Reading,
    managed: bool,
    life: Life,
    answer: Option<Now>,
    hold: bool,
}

fn case(reading: Reading) -> Case {
    Case {
        reading,
        managed: true,
        life: Life::Running,
        answer: None,
        hold: false,
    }
}

fn live(advertised: bool, changed_ago: i64) -> Reading {
    Reading::Live {
        state: bgp(advertised, changed_ago),
        at: at(0),
    }
}

fn stored(advertised: bool, read_ago: i64) -> Reading {
    Reading::Stored {
        state: bgp(advertised, 86_400),
        at: at(read_ago),
        because: Some("no connection".into()),
    }
}

fn judged(case: Case) -> Standing {
    let holds: Vec<Hold> = case
        .hold
        .then(|| Hold {
            id: HoldId(1),
            prefix: Some(prefix()),
            actor: "ana@noc".into(),
            reason: "maintenance".into(),
            created_at: at(60),
            until: None,
        })
        .into_iter()
        .collect();
    let answers: Vec<Now> = case.answer.into_iter().collect();
    let alerts: [OpenAlert; 0] = [];
    let daemon = daemon(case.life);
    let known = Known {
        prefix: prefix(),
        description: "Hosting".into(),
        asn: None,
        managed: case.managed,
        reading: case.reading,
    };
    let sight = Sight {
        now: at(0),
        daemon: &daemon,
        answers: &answers,
        holds: &holds,
        alerts: &alerts,
        blind: None,
        believed_for: Duration::from_secs(180),
        propagation: Duration::from_secs(420),
    };
    judge(&known, &sight)
}

#[test]
fn a_live_reading_decides_between_direct_protected_and_propagating() {
    assert_eq!(judged(case(live(false, 86_400))).state, State::Direct);
    let propagating = judged(case(live(true, 60)));
    assert_eq!(propagating.state, State::Propagating);
    assert_eq!(judged(case(live(false, 60))).state, State::Propagating);
    let unjudged = judged(case(live(true, 86_400)));
    assert_eq!(unjudged.state_text, "protected, attack state unknown");
    assert_eq!(unjudged.under_attack, None);
    let unmanaged = judged(Case {
        managed: false,
        ..case(live(true, 86_400))
    });
    assert_eq!(unmanaged.state, State::NotManaged);
}

#[test]
fn an_old_stored_reading_is_unknown_and_says_what_was_last_known() {
    let fresh = judged(case(stored(true, 30)));
    assert_eq!(fresh.state, State::Protected);
    let old = judged(case(stored(true, 600)));
    assert_eq!(old.state_text, "unknown since 10 min, last known advertised");
    assert_eq!(old.cloudflare.advertised, None);
    assert_eq!(old.cloudflare.error.as_deref(), Some("no connection"));
    let never = Reading::Never {
        because: "no connection".into(),
    };
    assert_eq!(judged(case(never)).state, State::Unknown);
}

#[test]
fn the_daemons_answer_counts_while_it_is_there_fresh_and_about_this_advertisement() {
    let state = bgp(true, 86_400);
    let attack = |age_s, state: &BgpState| Some(answer(Verdict::Attack, age_s, state.clone()));
    let with = |answer, life| {
        judged(Case {
            answer,
            life,
            ..case(live(true, 86_400))
        })
    };
    let believed = with(attack(20, &state), Life::Running);
    assert_eq!(
        (believed.state, believed.under_attack),
        (State::UnderAttack, Some(true))
    );
    assert!(
        believed.next.contains("because the attack goes on"),
        "{}",
        believed.next
    );
    for (answer, life) in [
        (attack(20, &state), Life::Silent),
        (attack(20, &state), Life::Stopped),
        (attack(300, &state), Life::Running),
        (attack(20, &bgp(true, 5_000)), Life::Running),
        (attack(20, &bgp(false, 5_000)), Life::Running),
    ] {
        let doubted = with(answer, life);
        assert_eq!((doubted.state, doubted.under_attack), (State::Protected, None));
        assert!(
            doubted
                .answer
                .is_some_and(|answer| !answer.believed && answer.doubt.is_some())
        );
    }
}

#[test]
fn holds_deadlines_and_unknown() {
    let state = bgp(true, 86_400);
    let calm = Verdict::Calm {
        since: at(600),
        due: at(-300),
    };
    let with = |verdict: &Verdict, hold| {
        judged(Case {
            answer: Some(answer(verdict.clone(), 10, state.clone())),
            hold,
            ..case(live(true, 86_400))
        })
    };
    assert_eq!(with(&calm, false).state_text, "calm, withdrawing at 08:05 UTC");
    assert_eq!(with(&calm, true).state_text, "held by ana@noc until released");
    assert_eq!(
        with(&Verdict::Attack, true).state,
        State::UnderAttack,
        "a hold does not hide an attack"
    );
    let unknown = Verdict::Unknown {
        because: Unknown::Traffic {
            reason: "HTTP 503".into(),
        },
        since: at(240),
    };
    let blind = with(&unknown, false);
    assert_eq!(blind.state, State::Unknown);
    assert!(blind.state_text.contains("HTTP 503"), "{}", blind.state_text);
    assert_eq!(blind.cloudflare.advertised, Some(true), "what is known stays known");
}
