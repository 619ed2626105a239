//! Every way an act can go, and what is recorded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, PrefixChange, Target};
use domain::bgp::Epoch;
use domain::decision::Mode;
use domain::intent::{Act, IntentState};
use prefix_ops::{Limits, PrefixOps, Request, Step, request};

use crate::world::{CIDR, TestActor, World, now, prefix, quick};

#[tokio::test]
async fn an_automatic_withdrawal_is_done_once_and_recorded_once() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    assert_eq!(world.finish(id).await, IntentState::Done);
    assert!(!world.advertised());
    assert_eq!(world.patches(), 1);
    assert_eq!(world.record().await, (1, 1, vec!["withdrawn".to_owned()]));
    assert_eq!(world.step(id).await, Step::NotOurs);
    let history = world
        .db
        .read("test", |tx| db::history::newest(tx, None, 1))
        .await
        .unwrap();
    let row = &history[0];
    assert_eq!(row.withdraw_method.as_deref(), Some("autowithdraw_daemon"));
    let protected = domain::time::since(row.withdrawn_at.unwrap(), row.advertised_at.unwrap());
    assert_eq!(row.protection_duration_seconds, Some(protected.as_secs() as i64));
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_never_repeated() {
    for after_apply in [true, false] {
        let world = World::new(quick()).await;
        let mut fault = FaultSpec::new(Target::Rest, FaultKind::Reset).method("PATCH").times(1);
        if after_apply {
            fault = fault.after_apply();
        }
        world.sim.set_fault(fault);
        let id = world.automatic().await;
        let end = world.finish(id).await;
        assert_eq!(world.patches(), 1, "after_apply {after_apply}");
        if after_apply {
            assert_eq!(end, IntentState::Done);
            assert_eq!(world.record().await, (1, 1, vec!["withdrawn".to_owned()]));
        } else {
            assert_eq!(end, IntentState::Unresolved);
            assert!(world.advertised());
            assert_eq!(world.record().await, (0, 0, vec!["act_unresolved".to_owned()]));
        }
    }
}

#[tokio::test]
async fn found_marked_as_sending_it_is_read_and_not_sent_again() {
    for sent in [true, false] {
        let world = World::new(quick()).await;
        let id = world.automatic().await;
        // The state a crash between the mark and the answer leaves behind.
        world
            .write(move |tx| {
                let died_at = now();
                db::intents::claim(tx, id, "dead/1", Duration::from_millis(1), died_at)
                    .unwrap()
                    .unwrap();
                let step = (IntentState::Planned, IntentState::Sending);
                db::intents::transition(tx, id, "dead/1", step, &db::intents::Change::default(), died_at).unwrap();
            })
            .await;
        if sent {
            assert!(world.sim.set_advertised(CIDR, false));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let expected = if sent {
            IntentState::Done
        } else {
            IntentState::Unresolved
        };
        assert_eq!(world.finish(id).await, expected);
        assert_eq!(world.patches(), 0);
    }
}

#[tokio::test]
async fn a_refusal_that_needs_a_person_is_told_once() {
    let world = World::new(quick()).await;
    world.sim.set_fault(
        FaultSpec::new(
            Target::Rest,
            FaultKind::Status {
                status: 403,
                body: Some(r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#.into()),
            },
        )
        .method("PATCH"),
    );
    let id = world.automatic().await;
    for _ in 0..5 {
        world.step(id).await;
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert!(world.advertised());
    assert!(world.patches() >= 2, "automation goes on wanting it");
    assert_eq!(world.record().await, (0, 0, vec!["withdraw_refused".to_owned()]));
    world.sim.clear_faults();
    // Its evidence is fresh still; the next attempt succeeds.
    assert_eq!(world.finish(id).await, IntentState::Done);
    assert_eq!(world.record().await.1, 1);
}

#[tokio::test]
async fn rate_limiting_postpones_and_waits_as_told() {
    let world = World::new(quick()).await;
    world.sim.set_fault(
        FaultSpec::new(Target::Rest, FaultKind::RateLimited { retry_after: Some(1) })
            .method("PATCH")
            .times(1),
    );
    let id = world.automatic().await;
    let Step::Later { at, .. } = world.step(id).await else {
        panic!("postponed")
    };
    assert!(at > now(), "not before the told time");
    assert_eq!(world.step(id).await, Step::NotOurs);
    assert_eq!(world.intent(id).await.state, IntentState::Planned);
    assert_eq!(world.finish(id).await, IntentState::Done);
    assert_eq!(world.patches(), 2);
}

#[tokio::test]
async fn whatever_forbids_it_right_before_the_call_cancels_it() {
    type Spoil = fn(&db::WriteTx<'_>);
    let cases: [(&str, Spoil); 3] = [
        ("hold", |tx| {
            db::holds::set(tx, Some(prefix()), "ana@noc", "customer asks", None, now()).unwrap();
        }),
        ("pause", |tx| {
            db::holds::set(tx, None, "ana@noc", "maintenance", None, now()).unwrap();
        }),
        ("alert", |tx| {
            let alert = cf_api::webhook::decode(
                br#"{"alert_type":"fbm_dosd_attack","alert_event":"ALERT_STATE_EVENT_START","data":{"target_ip":"203.0.113.9"}}"#,
            );
            let alert = cf_api::webhook::to_alert(&alert, now());
            let networks = [(prefix(), ())].into_iter().collect();
            let affected = alert.affected(&networks, None);
            db::ledger::enter(tx, &alert, &affected, domain::ids::EventId(1)).unwrap();
        }),
    ];
    for (name, spoil) in cases {
        let world = World::new(quick()).await;
        let id = world.automatic().await;
        world.write(spoil).await;
        assert_eq!(world.finish(id).await, IntentState::Cancelled, "{name}");
        assert!(world.advertised(), "{name}");
        assert_eq!(world.patches(), 0, "{name}");
    }
}

#[tokio::test]
async fn another_epoch_is_not_what_was_decided_on() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    assert!(world.sim.set_advertised(CIDR, false));
    assert!(world.sim.set_advertised(CIDR, true));
    assert_eq!(world.finish(id).await, IntentState::Cancelled);
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn old_evidence_a_renewed_decision_or_a_stalled_loop_wait() {
    let limits = Limits {
        evidence_age: Duration::from_millis(1),
        ..quick()
    };
    let world = World::new(limits).await;
    let id = world.automatic().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(matches!(world.step(id).await, Step::Later { .. }), "old evidence");

    let world = World::new(quick()).await;
    let id = world.automatic().await;
    let stalled = TestActor::fresh();
    stalled.since_bump_ms.store(6_000, Ordering::SeqCst);
    let step = world.ops.step(id, Some(&stalled), &now).await.unwrap();
    assert!(matches!(step, Step::Later { .. }), "{step:?}");
    assert_eq!(world.intent(id).await.state, IntentState::Planned);
    let idle = TestActor {
        mode: Mode::DryRun,
        since_bump_ms: AtomicU64::new(0),
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    let step = world.ops.step(id, Some(&idle), &now).await.unwrap();
    assert_eq!(step, Step::Closed(IntentState::Cancelled));
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn ids_that_belong_to_another_prefix_change_nothing() {
    let world = World::new(quick()).await;
    let id = world.by_person(Act::Withdraw).await;
    // The mapping names the ids of another prefix.
    let other = world
        .db
        .read("test", |tx| db::inventory::get(tx, "198.51.100.0/24".parse().unwrap()))
        .await
        .unwrap()
        .unwrap();
    world
        .write(move |tx| {
            let mut found = db::inventory::get(tx, prefix()).unwrap().unwrap().prefix;
            found.id = other.prefix.id;
            found.parent_id = other.prefix.parent_id;
            db::inventory::observed(tx, &found, true, now()).unwrap();
        })
        .await;
    let wrong = world.by_person(Act::Withdraw).await;
    assert_eq!(world.finish(wrong).await, IntentState::Refused);
    assert_eq!(world.patches(), 0);
    assert_eq!(world.finish(id).await, IntentState::Done);
}

#[tokio::test]
async fn an_advertise_is_never_blocked_and_cancels_unsent_withdrawals() {
    let world = World::new(quick()).await;
    world
        .write(|tx| db::holds::set(tx, Some(prefix()), "ben@noc", "do not touch", None, now()).unwrap())
        .await;
    let withdraw = world.automatic().await;
    assert!(world.sim.set_advertised(CIDR, false));
    let advertise = world.by_person(Act::Advertise).await;
    assert_eq!(world.intent(withdraw).await.state, IntentState::Cancelled);
    assert_eq!(world.finish(advertise).await, IntentState::Done);
    assert!(world.advertised());
    let refused = request::file(
        &world.db,
        Request {
            prefix: prefix(),
            act: Act::Withdraw,
            actor: "ana@noc".into(),
            via: "dashboard".into(),
            address: None,
            reason: "test".into(),
            force: false,
        },
        now(),
    )
    .await;
    assert_eq!(refused.unwrap_err().code(), "prefix.held");
}

#[tokio::test]
async fn a_locked_prefix_is_refused_before_any_call() {
    let world = World::new(quick()).await;
    let id = world.by_person(Act::Withdraw).await;
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    world.sim.change_prefix(CIDR, &locked);
    assert_eq!(world.finish(id).await, IntentState::Refused);
    assert_eq!(world.patches(), 0);
    assert_eq!(world.record().await.2, ["withdraw_refused"]);
}

#[tokio::test]
async fn a_lock_or_a_missing_flag_does_not_keep_an_advertise_from_being_asked() {
    // What a read says may be old or left out; whether it can be advertised is Cloudflare's to say (rule 12).
    let not_on_demand = PrefixChange {
        enabled: Some(false),
        ..PrefixChange::default()
    };
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    let signalled = PrefixChange {
        bgp_signalled: Some(true),
        ..PrefixChange::default()
    };
    for refused in [not_on_demand, locked, signalled] {
        let world = World::new(quick()).await;
        assert!(world.sim.set_advertised(CIDR, false));
        let id = world.by_person(Act::Advertise).await;
        world.sim.change_prefix(CIDR, &refused);
        assert_eq!(world.finish(id).await, IntentState::Refused, "{refused:?}");
        assert_eq!(world.patches(), 1, "Cloudflare was asked, once: {refused:?}");
        let words = world.intent(id).await.outcome_words.unwrap_or_default();
        assert!(words.contains("HTTP 400"), "its answer is the reason: {words}");
        assert_eq!(world.record().await.2, ["advertise_refused"]);
    }
}

#[tokio::test]
async fn two_processes_on_one_intent_make_one_call() {
    let world = World::new(quick()).await;
    let id = world.by_person(Act::Withdraw).await;
    let other = PrefixOps::new(world.db.clone(), world.api.clone(), "test/2", quick());
    for _ in 0..200 {
        let (a, b) = tokio::join!(world.ops.step(id, None, &now), other.step(id, None, &now));
        if [a.unwrap(), b.unwrap()].contains(&Step::Closed(IntentState::Done)) {
            assert_eq!(world.patches(), 1);
            assert_eq!(world.record().await.1, 1);
            let epoch: Option<Epoch> = world.intent(id).await.epoch;
            assert!(epoch.is_some(), "the epoch it ended is on record");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not closed");
}
