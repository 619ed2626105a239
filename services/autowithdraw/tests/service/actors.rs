//! One actor (rule 13), and what survives an end.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::intent::IntentState;
use testkit::site::PREFIX;
use testkit::{Program, wait};

use crate::house::{House, WITHDRAWN_WITHIN, now, pace, prefix};

/// A stand-by takes over within 30 s.
const TAKEN_OVER: Duration = Duration::from_secs(30);

fn owner(house: &House) -> String {
    house.record().actor.map(|lease| lease.owner).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stand_by_watches_and_takes_over_from_a_dead_one() {
    let mut long = pace();
    // Nothing is due while the first one lives.
    long.calm_period = Duration::from_secs(8);
    let house = House::new(long).await;
    house.fresh();
    let first = house.start().await;
    house.until_verdict("calm").await;
    let acting = owner(&house);
    let second = house.start().await;
    wait::until("the second stands by", WITHDRAWN_WITHIN, || {
        second.frame.current_status().starts_with("standing by").then_some(())
    })
    .await;
    assert_eq!(owner(&house), acting);
    let before = house.record().now[0].at;
    house
        .until("the first one goes on", WITHDRAWN_WITHIN, |record| {
            record.now[0].at > before
        })
        .await;
    first.kill();
    let killed_at = now();
    let what = "the second is the actor";
    house
        .until(what, TAKEN_OVER, |record| {
            record.actor.as_ref().is_some_and(|lease| lease.owner != acting)
        })
        .await;
    let alone = domain::time::since(now(), killed_at);
    assert!(
        alone >= Duration::from_secs(18),
        "{alone:?}: a living one is not robbed"
    );
    let record = house.until_withdrawn().await;
    assert_eq!(house.changes_asked(), 1);
    assert_eq!(record.intents.len(), 1, "{}", record.shown());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_orderly_end_hands_over_at_once() {
    let mut long = pace();
    long.calm_period = Duration::from_secs(6);
    let house = House::new(long).await;
    house.fresh();
    let first = house.start().await;
    house.until_verdict("calm").await;
    let acting = owner(&house);
    let second = house.start().await;
    first.stop().await;
    house
        .until("the second is the actor", Duration::from_secs(15), |record| {
            record.actor.as_ref().is_some_and(|lease| lease.owner != acting)
        })
        .await;
    house.until_withdrawn().await;
    assert_eq!(house.changes_asked(), 1);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restart_in_the_middle_of_calm_keeps_the_calm_clock() {
    let mut long = pace();
    long.calm_period = Duration::from_secs(6);
    let house = House::new(long).await;
    house.fresh();
    let first = house.start().await;
    let proven = |house: &House| {
        let record = house.record();
        let now = record.now.iter().find(|now| now.prefix == prefix())?;
        now.decision.state.calm.clone()
    };
    let before = wait::until("half of the calm is proven", WITHDRAWN_WITHIN, || {
        proven(&house).filter(|track| track.proven() >= Duration::from_secs(3))
    })
    .await;
    first.stop().await;
    let second = house.start().await;
    let record = house.until_withdrawn().await;
    let evidence = record.withdrawals(IntentState::Done).next().unwrap().clone();
    let after = proven(&house);
    if let Some(after) = after {
        assert_eq!(after.calm_since, before.calm_since);
    }
    let took = domain::time::since(evidence.sending_at.unwrap(), before.calm_since);
    // From the begin of calm, not from the restart: 6 s of calm, the lag of the data, some cycles.
    assert!(took < Duration::from_secs(6 + 5), "{took:?}");
    second.stop().await;
}

/// The prefix is read right before the call.
const ONE_PREFIX: &str = "/bgp/prefixes/[^/]+$";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stopped_process_that_comes_back_finds_its_successor_and_does_not_act() {
    let house = House::new(pace()).await;
    house.calm();
    // Stopped between the intent and the call: the answer to the last read is held back.
    let held = house.site.sim.set_fault(
        FaultSpec::new(Target::Rest, FaultKind::Delay { ms: 3_000 })
            .method("GET")
            .path(ONE_PREFIX),
    );
    let first = house.site.start(Program::AutoWithdraw).await;
    wait::until("the last read is under way", WITHDRAWN_WITHIN, || {
        let requests = house.site.sim.requests_since(0);
        requests
            .iter()
            .any(|request| request.faults.contains(&held))
            .then_some(())
    })
    .await;
    first.signal("STOP");
    let acting = owner(&house);
    assert!(acting.contains(&first.id().to_string()), "{acting}");
    assert!(house.site.sim.clear_fault(&held));
    let second = house.start().await;
    house
        .until("the second is the actor", TAKEN_OVER, |record| {
            record.actor.as_ref().is_some_and(|lease| lease.owner != acting)
        })
        .await;
    house
        .until("it is withdrawn and recorded", Duration::from_secs(40), |record| {
            record.history.len() == 1
        })
        .await;
    assert_eq!(house.changes_asked(), 1);
    // Somebody needs it again; the first one still believes that it is to be withdrawn.
    assert!(house.site.sim.set_advertised(PREFIX, true));
    let successor = owner(&house);
    first.signal("CONT");
    wait::until("the first one stands by", WITHDRAWN_WITHIN, || {
        first.manager().heard("standing by").map(drop)
    })
    .await;
    assert_eq!(owner(&house), successor);
    let log = first.log();
    assert!(!log.contains("intent.sending"), "{log}");
    second.stop().await;
}
