//! Rule 12: an advertise is never blocked; it follows a sent withdrawal at once, and is asserted
//! again while a read shows withdrawn.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::ids::IntentId;
use domain::intent::{Act, IntentState};
use prefix_ops::{Limits, Step};

use crate::world::{CIDR, World, now, quick};

fn never_applied() -> FaultSpec {
    FaultSpec::new(Target::Rest, FaultKind::IgnoreChange).method("PATCH")
}

/// The bodies of the changes asked for, oldest first.
fn asked(world: &World) -> Vec<bool> {
    world
        .sim
        .requests_since(0)
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body.contains("true"))
        .collect()
}

async fn attempts(world: &World, id: IntentId) -> Vec<String> {
    let attempts = world
        .db
        .read("test", move |tx| db::intents::attempts(tx, id))
        .await
        .unwrap();
    attempts
        .into_iter()
        .map(|attempt| format!("{} {}", attempt.step, attempt.class))
        .collect()
}

#[tokio::test]
async fn it_follows_a_sent_withdrawal_at_once_although_it_looks_advertised_still() {
    let limits = Limits {
        overtaken_for: Duration::from_millis(600),
        unresolved_after: Duration::from_secs(60),
        ..quick()
    };
    let world = World::new(limits).await;
    // The withdrawal is registered, and its effect is still to come.
    world.sim.set_fault(never_applied().times(1));
    let withdraw = world.automatic().await;
    assert!(matches!(world.step(withdraw).await, Step::Later { .. }));
    assert_eq!(world.intent(withdraw).await.state, IntentState::Verifying);
    assert!(world.advertised());

    let advertise = world.by_person(Act::Advertise).await;
    let step = world.step(advertise).await;
    assert_eq!(asked(&world), [false, true], "sent at once, not taken for done");
    assert!(
        matches!(step, Step::Later { .. }),
        "{step:?}: the withdrawal may still arrive"
    );

    // Now it arrives.
    assert!(world.sim.set_advertised(CIDR, false));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let limits = Limits {
        assert_every: Duration::from_millis(10),
        ..limits
    };
    let ops = prefix_ops::PrefixOps::new(world.db.clone(), world.api.clone(), crate::world::OWNER, limits);
    for _ in 0..200 {
        let step = ops.step(advertise, None, &now).await.unwrap();
        if step == Step::Closed(IntentState::Done) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.intent(advertise).await.state, IntentState::Done);
    assert_eq!(asked(&world), [false, true, true], "asserted again");
    assert!(world.advertised());
    // Of the withdrawal only a newer advertisement can be read: no success that a read shows.
    let ops = prefix_ops::PrefixOps::new(
        world.db.clone(),
        world.api.clone(),
        crate::world::OWNER,
        Limits {
            unresolved_after: Duration::ZERO,
            ..limits
        },
    );
    let mut closed = None;
    for _ in 0..200 {
        let actor = crate::world::TestActor::fresh();
        if let Step::Closed(state) = ops.step(withdraw, Some(&actor), &now).await.unwrap() {
            closed = Some(state);
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(closed, Some(IntentState::Unresolved));
    let words = world.intent(withdraw).await.outcome_words.unwrap();
    assert!(words.contains("advertised anew"), "{words}");
    let history = world
        .db
        .read("test", |tx| db::history::newest(tx, None, 5))
        .await
        .unwrap();
    assert!(history.is_empty(), "no record says what nobody saw: {history:?}");
}

#[tokio::test]
async fn without_a_withdrawal_under_way_it_is_already_so() {
    let world = World::new(quick()).await;
    let advertise = world.by_person(Act::Advertise).await;
    assert_eq!(world.finish(advertise).await, IntentState::Done);
    assert_eq!(asked(&world), [false; 0]);
    assert_eq!(world.intent(advertise).await.outcome_class.as_deref(), Some("already"));
}

#[tokio::test]
async fn it_is_asserted_again_while_a_read_shows_withdrawn_with_pauses_and_an_end() {
    let limits = Limits {
        assert_every: Duration::from_millis(300),
        unresolved_after: Duration::from_millis(1_000),
        ..quick()
    };
    let world = World::new(limits).await;
    assert!(world.sim.set_advertised(CIDR, false));
    world.sim.set_fault(never_applied());
    let advertise = world.by_person(Act::Advertise).await;
    assert_eq!(world.finish(advertise).await, IntentState::Unresolved);
    let asked = asked(&world);
    assert!((3..=5).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|advertised| *advertised));
    assert_eq!(world.record().await.2, ["act_unresolved"]);
    let attempts = attempts(&world, advertise).await;
    let again = attempts
        .iter()
        .filter(|attempt| *attempt == "patch asserting_again")
        .count();
    assert_eq!(
        again,
        asked.len() - 1,
        "each call is in the journal before it is made: {attempts:?}"
    );
}

#[tokio::test]
async fn a_withdrawal_is_never_repeated_while_it_does_not_show() {
    let limits = Limits {
        assert_every: Duration::from_millis(10),
        ..quick()
    };
    let world = World::new(limits).await;
    world.sim.set_fault(never_applied());
    let withdraw = world.by_person(Act::Withdraw).await;
    assert_eq!(world.finish(withdraw).await, IntentState::Unresolved);
    assert_eq!(asked(&world), [false]);
}

#[tokio::test]
async fn it_retries_soon_and_who_asked_is_told_when_it_cannot_even_be_read() {
    let limits = Limits {
        retry_after: Duration::from_millis(200),
        ..quick()
    };
    let world = World::new(limits).await;
    assert!(world.sim.set_advertised(CIDR, false));
    let down = FaultKind::Status {
        status: 503,
        body: None,
    };
    world.sim.set_fault(FaultSpec::new(Target::Rest, down));
    let advertise = world.by_person(Act::Advertise).await;
    for _ in 0..5 {
        let Step::Later { at, .. } = world.step(advertise).await else {
            panic!("it waits")
        };
        let pause = domain::time::since(at, now());
        assert!(
            pause <= Duration::from_millis(400),
            "{pause:?}: never long, somebody is under attack"
        );
        tokio::time::sleep(pause + Duration::from_millis(2)).await;
    }
    assert_eq!(world.record().await.2, ["advertise_refused"], "told once");
    world.sim.clear_faults();
    assert_eq!(world.finish(advertise).await, IntentState::Done);
    assert!(world.advertised());
}
