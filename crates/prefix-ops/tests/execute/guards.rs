//! What must not be sent, and when: rules 8, 11 and 13.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::decision::Mode;
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use domain::time::minus;
use prefix_ops::{Actor, Limits, Request, Step, request};

use crate::world::{CIDR, OWNER, TestActor, World, now, prefix, quick};

/// A process that is stopped right after it was allowed to call.
struct Stopped {
    asked: AtomicUsize,
}

impl Actor for Stopped {
    fn lease_name(&self) -> &str {
        "autowithdraw"
    }
    fn lease_owner(&self) -> &str {
        OWNER
    }
    fn since_bump(&self) -> Duration {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => Duration::ZERO,
            _ => Duration::from_secs(300),
        }
    }
    fn mode(&self) -> Mode {
        Mode::Act
    }
}

#[tokio::test]
async fn a_process_that_was_stopped_before_the_call_does_not_send_it_when_it_wakes_up() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    let stopped = Stopped {
        asked: AtomicUsize::new(0),
    };
    world.ops.step(id, Some(&stopped), &now).await.unwrap();
    assert_eq!(world.patches(), 0);
    assert_eq!(
        world.intent(id).await.state,
        IntentState::Verifying,
        "whether it was sent is not known"
    );
    assert_eq!(world.finish(id).await, IntentState::Unresolved);
    assert_eq!(world.patches(), 0, "and it is never repeated");
    assert!(world.advertised());
}

#[tokio::test]
async fn what_was_read_long_before_the_mark_is_not_acted_on() {
    // The answer to the live read comes late, as after a stop of the process.
    let limits = Limits {
        evidence_age: Duration::from_millis(250),
        ..quick()
    };
    let world = World::new(limits).await;
    let slow = FaultSpec::new(Target::Rest, FaultKind::Delay { ms: 400 }).method("GET");
    world.sim.set_fault(slow);
    for act in [Act::Withdraw, Act::Advertise] {
        assert!(world.sim.set_advertised(CIDR, act == Act::Withdraw));
        let id = world.by_person(act).await;
        let step = world.ops.step(id, None, &now).await.unwrap();
        assert!(matches!(step, Step::Later { .. }), "{step:?}");
        assert_eq!(world.intent(id).await.state, IntentState::Planned);
    }
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn a_daemon_that_lost_the_lease_leaves_the_intent_to_its_successor() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    world
        .write(|tx| {
            let seen = db::leases::get(tx, "autowithdraw").unwrap();
            assert!(db::leases::take(tx, "autowithdraw", "other/2", seen.as_ref(), now()).unwrap());
        })
        .await;
    assert!(matches!(world.step(id).await, Step::Later { .. }));
    assert_eq!(world.intent(id).await.state, IntentState::Planned);
    assert_eq!(world.patches(), 0);
    let successor = prefix_ops::PrefixOps::new(world.db.clone(), world.api.clone(), "other/2", quick());
    struct Other;
    impl Actor for Other {
        fn lease_name(&self) -> &str {
            "autowithdraw"
        }
        fn lease_owner(&self) -> &str {
            "other/2"
        }
        fn since_bump(&self) -> Duration {
            Duration::ZERO
        }
        fn mode(&self) -> Mode {
            Mode::Act
        }
    }
    for _ in 0..100 {
        if successor.step(id, Some(&Other), &now).await.unwrap() == Step::Closed(IntentState::Done) {
            assert_eq!(world.patches(), 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not taken over: {:?}", world.intent(id).await);
}

#[tokio::test]
async fn who_is_not_the_daemon_leaves_automatic_intents_alone() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    assert_eq!(world.ops.step(id, None, &now).await.unwrap(), Step::NotOurs);
    let intent = world.intent(id).await;
    assert_eq!(
        (intent.not_before, intent.lease_owner),
        (None, None),
        "nor does it make it wait"
    );
}

#[tokio::test]
async fn an_advertise_between_the_read_and_the_mark_wins_without_an_error() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    let slow = FaultSpec::new(Target::Rest, FaultKind::Delay { ms: 300 })
        .method("GET")
        .times(1);
    world.sim.set_fault(slow);
    let asking = async {
        assert!(
            world
                .sim
                .wait_until(Duration::from_secs(5), || {
                    world
                        .sim
                        .requests_since(0)
                        .iter()
                        .any(|request| !request.faults.is_empty())
                })
                .await
        );
        world.by_person(Act::Advertise).await
    };
    let (step, advertise) = tokio::join!(world.step(id), asking);
    assert_eq!(step, Step::NotOurs);
    assert_eq!(world.intent(id).await.state, IntentState::Cancelled);
    assert_eq!(world.finish(advertise).await, IntentState::Done);
    assert_eq!(world.patches(), 0);
    assert!(world.advertised());
}

#[tokio::test]
async fn automation_does_not_withdraw_what_somebody_is_about_to_advertise() {
    let world = World::new(quick()).await;
    // Filed first and not executed yet: the automatic one is newer.
    let advertise = world.by_person(Act::Advertise).await;
    let id = world.automatic().await;
    assert_eq!(world.step(id).await, Step::Closed(IntentState::Cancelled));
    assert_eq!(world.patches(), 0);
    assert_eq!(world.finish(advertise).await, IntentState::Done);
}

/// An automatic intent on another prefix that is being read back.
async fn under_way(world: &World) -> IntentId {
    let other: Prefix = "198.51.100.0/24".parse().unwrap();
    let entry = world
        .db
        .read("test", move |tx| db::inventory::get(tx, other))
        .await
        .unwrap()
        .unwrap();
    world
        .write(move |tx| {
            let intent = db::intents::NewIntent {
                prefix: other,
                act: Act::Withdraw,
                origin: Origin::Automatic,
                reason: "calm".into(),
                prefix_id: entry.prefix.parent_id,
                bgp_prefix_id: entry.prefix.id,
                epoch: None,
                state_version: None,
                evidence: None,
                incident: None,
                calm_s: None,
                peak: None,
                systems: vec![],
                attack_began_at: None,
                attack_ended_at: None,
                force: false,
            };
            let id = db::intents::file(tx, &intent, now()).unwrap();
            db::intents::claim(tx, id, "x", Duration::from_secs(60), now())
                .unwrap()
                .unwrap();
            let step = (IntentState::Planned, IntentState::Sending);
            db::intents::transition(tx, id, "x", step, &db::intents::Change::default(), now()).unwrap();
            id
        })
        .await
}

#[tokio::test]
async fn automatic_withdrawals_go_one_at_a_time() {
    let world = World::new(quick()).await;
    let other = under_way(&world).await;
    let id = world.automatic().await;
    assert!(matches!(world.step(id).await, Step::Later { .. }));
    assert_eq!(world.patches(), 0);
    world
        .write(move |tx| {
            let change = db::intents::Change {
                release: true,
                ..db::intents::Change::default()
            };
            let step = (IntentState::Sending, IntentState::Done);
            db::intents::transition(tx, other, "x", step, &change, now()).unwrap();
        })
        .await;
    assert_eq!(world.finish(id).await, IntentState::Done);
}

async fn ask_to_withdraw(world: &World, asked_at: jiff::Timestamp) -> IntentId {
    let asked = Request {
        prefix: prefix(),
        act: Act::Withdraw,
        actor: "ana@noc".into(),
        via: "prefix_manager".into(),
        address: None,
        reason: "test".into(),
        force: false,
    };
    request::file(&world.db, asked, asked_at).await.unwrap().intent
}

#[tokio::test]
async fn a_withdrawal_asked_for_long_ago_is_not_sent_out_of_the_blue() {
    let world = World::new(quick()).await;
    let id = ask_to_withdraw(&world, minus(now(), Duration::from_secs(7_200))).await;
    assert_eq!(world.finish(id).await, IntentState::Refused);
    assert_eq!(world.intent(id).await.outcome_class.as_deref(), Some("expired"));
    assert_eq!(world.patches(), 0);
    assert_eq!(world.record().await.2, ["withdraw_refused"], "and who asked is told");
}

#[tokio::test]
async fn a_hold_set_after_it_was_asked_for_wins() {
    let world = World::new(quick()).await;
    let id = ask_to_withdraw(&world, now()).await;
    world
        .write(|tx| db::holds::set(tx, Some(prefix()), "ben@noc", "do not touch", None, now()).unwrap())
        .await;
    assert_eq!(world.finish(id).await, IntentState::Refused);
    assert_eq!(world.intent(id).await.outcome_class.as_deref(), Some("held"));
    assert_eq!(world.patches(), 0);
}

#[tokio::test]
async fn a_refusal_is_not_told_again_by_an_intent_that_is_wanted_for_days() {
    let world = World::new(quick()).await;
    let denied = FaultKind::Status {
        status: 403,
        body: Some(
            serde_json::json!({"success": false, "errors": [{"code": 10000, "message": "no"}], "messages": [], "result": null}),
        ),
    };
    world
        .sim
        .set_fault(FaultSpec::new(Target::Rest, denied).method("PATCH"));
    let id = world
        .automatic_filed_at(minus(now(), Duration::from_secs(3 * 86_400)))
        .await;
    for _ in 0..3 {
        world.step(id).await;
        tokio::time::sleep(Duration::from_millis(810)).await;
    }
    assert!(world.patches() >= 2);
    assert_eq!(world.record().await.2, ["withdraw_refused"]);
}

#[tokio::test]
async fn a_stalled_loop_takes_its_mark_back() {
    let world = World::new(quick()).await;
    let id = world.automatic().await;
    let stalled = TestActor {
        mode: Mode::Act,
        since_bump_ms: AtomicU64::new(5_001),
    };
    world.ops.step(id, Some(&stalled), &now).await.unwrap();
    assert_eq!(world.intent(id).await.state, IntentState::Planned);
    assert_eq!(world.patches(), 0);
}
