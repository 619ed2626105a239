//! Execution of intents against the simulator: every way an act can go, and what is recorded.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Transport, TransportConfig};
use cf_sim::{FaultKind, FaultSpec, PrefixChange, Sim, SimConfig, Target};
use db::intents::{Intent, NewIntent};
use db::{Db, OpenOptions};
use domain::bgp::Epoch;
use domain::decision::{Mode, PrefixState};
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::{Actor, Limits, PrefixOps, Request, Step, request};

const CIDR: &str = "203.0.113.0/24";
const OWNER: &str = "test/1";

struct World {
    sim: Sim,
    db: Db,
    api: CloudflareClient,
    ops: PrefixOps,
    _dir: tempfile::TempDir,
}

struct TestActor {
    mode: Mode,
    since_bump_ms: AtomicU64,
}

impl TestActor {
    fn fresh() -> Self {
        Self {
            mode: Mode::Act,
            since_bump_ms: AtomicU64::new(0),
        }
    }
}

impl Actor for TestActor {
    fn lease_name(&self) -> &str {
        "autowithdraw"
    }
    fn lease_owner(&self) -> &str {
        OWNER
    }
    fn since_bump(&self) -> Duration {
        Duration::from_millis(self.since_bump_ms.load(Ordering::SeqCst))
    }
    fn mode(&self) -> Mode {
        self.mode
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn prefix() -> Prefix {
    CIDR.parse().unwrap()
}

fn quick() -> Limits {
    Limits {
        read_back_every: Duration::from_millis(20),
        retry_after: Duration::from_millis(50),
        unresolved_after: Duration::from_millis(900),
        ..Limits::default()
    }
}

impl World {
    async fn new(limits: Limits) -> Self {
        let sim = Sim::start(SimConfig::default()).await.unwrap();
        assert!(sim.set_advertised(CIDR, true));
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
        let config = sim.config();
        let api = CloudflareClient::new(
            Transport::new(TransportConfig::default()),
            &sim.api_base_url(),
            &config.account_id,
            Credentials::Token(config.api_token.as_str().into()),
            RateBudget::alone(Arc::new(now)),
        )
        .unwrap();
        let ops = PrefixOps::new(db.clone(), api.clone(), OWNER, limits);
        let world = Self {
            sim,
            db,
            api,
            ops,
            _dir: dir,
        };
        world.observe().await;
        world
            .write(|tx| assert!(db::leases::take(tx, "autowithdraw", OWNER, None, now()).unwrap()))
            .await;
        world
    }

    async fn write<T: Send + 'static>(&self, f: impl FnOnce(&db::WriteTx<'_>) -> T + Send + 'static) -> T {
        self.db.write("test", move |tx| Ok(f(tx))).await.unwrap()
    }

    /// What the daemon's inventory would store.
    async fn observe(&self) {
        let parents = self.api.list_prefixes().await.unwrap();
        for parent in parents {
            for found in self.api.list_bgp_prefixes(&parent.id, "DMZ").await.unwrap() {
                self.write(move |tx| db::inventory::observed(tx, &found, true, now()).unwrap())
                    .await;
            }
        }
    }

    /// What a cycle that found calm proven would commit.
    async fn automatic(&self) -> IntentId {
        let entry = self
            .db
            .read("test", |tx| db::inventory::get(tx, prefix()))
            .await
            .unwrap()
            .unwrap();
        let epoch = entry.prefix.state.epoch();
        self.write(move |tx| {
            let evidence = db::decisions::store_evidence(tx, &"evidence", now()).unwrap();
            let state = db::decisions::state(tx, prefix()).unwrap();
            let next = PrefixState {
                unknown_cycles: state.state.unknown_cycles + 1,
                ..PrefixState::default()
            };
            let version = db::decisions::store_state(tx, prefix(), state.version, &next, now()).unwrap();
            let intent = NewIntent {
                prefix: prefix(),
                act: Act::Withdraw,
                origin: Origin::Automatic,
                reason: "calm proven for 15 min".into(),
                prefix_id: entry.prefix.parent_id,
                bgp_prefix_id: entry.prefix.id,
                epoch,
                state_version: Some(version),
                evidence: Some(evidence),
                incident: None,
                calm_s: Some(900),
                peak: None,
                systems: vec!["dosd".into()],
                attack_began_at: None,
                attack_ended_at: None,
                force: false,
            };
            db::intents::file(tx, &intent, now()).unwrap()
        })
        .await
    }

    async fn by_person(&self, act: Act) -> IntentId {
        let asked = Request {
            prefix: prefix(),
            act,
            actor: "ana@noc".into(),
            via: "prefix_manager".into(),
            address: None,
            reason: "test".into(),
            force: false,
        };
        request::file(&self.db, asked, now()).await.unwrap().intent
    }

    async fn step(&self, id: IntentId) -> Step {
        self.ops.step(id, Some(&TestActor::fresh()), &now).await.unwrap()
    }

    /// Steps until closed, as the daemon's loop does, at most for five seconds.
    async fn finish(&self, id: IntentId) -> IntentState {
        for _ in 0..250 {
            if let Step::Closed(state) = self.step(id).await {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not closed: {:?}", self.intent(id).await);
    }

    async fn intent(&self, id: IntentId) -> Intent {
        self.db
            .read("test", move |tx| db::intents::get(tx, id))
            .await
            .unwrap()
            .unwrap()
    }

    fn patches(&self) -> usize {
        self.sim
            .requests_since(0)
            .iter()
            .filter(|request| request.method == "PATCH")
            .count()
    }

    fn advertised(&self) -> bool {
        self.sim.prefix(CIDR).unwrap().advertised
    }

    /// WITHDRAW events, history rows, and notices by kind.
    async fn record(&self) -> (usize, usize, Vec<String>) {
        self.db
            .read("test", |tx| {
                let events = db::events::newest(tx, None, 100)?;
                let withdrawn = events.iter().filter(|event| event.event_type == "WITHDRAW").count();
                let history = db::history::newest(tx, None, 100)?.len();
                let mut notices: Vec<String> = db::outbox::newest(tx, None, 100)?
                    .into_iter()
                    .map(|notice| notice.kind)
                    .collect();
                notices.sort();
                Ok((withdrawn, history, notices))
            })
            .await
            .unwrap()
    }
}

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
                db::intents::claim(tx, id, "dead/1", Duration::from_millis(1), now())
                    .unwrap()
                    .unwrap();
                let step = (IntentState::Planned, IntentState::Sending);
                db::intents::transition(tx, id, "dead/1", step, &db::intents::Change::default(), now()).unwrap();
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
    let cases: [(&str, Spoil); 4] = [
        ("hold", |tx| {
            db::holds::set(tx, Some(prefix()), "ana@noc", "customer asks", None, now()).unwrap();
        }),
        ("pause", |tx| {
            db::holds::set(tx, None, "ana@noc", "maintenance", None, now()).unwrap();
        }),
        ("lease lost", |tx| {
            let seen = db::leases::get(tx, "autowithdraw").unwrap();
            assert!(db::leases::take(tx, "autowithdraw", "other/2", seen.as_ref(), now()).unwrap());
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
    let crossed = world
        .write(move |tx| {
            let mut found = db::inventory::get(tx, prefix()).unwrap().unwrap().prefix;
            found.id = other.prefix.id;
            found.parent_id = other.prefix.parent_id;
            db::inventory::observed(tx, &found, true, now()).unwrap();
        })
        .await;
    let () = crossed;
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
