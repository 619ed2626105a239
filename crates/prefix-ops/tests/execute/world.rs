//! A database, a simulator and an executor, and what a daemon or a person would put into them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Transport, TransportConfig};
use cf_sim::{Sim, SimConfig};
use db::intents::{Intent, NewIntent};
use db::{Db, OpenOptions};
use domain::decision::{Mode, PrefixState};
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::{Actor, Limits, PrefixOps, Request, Step, request};

pub(crate) const CIDR: &str = "203.0.113.0/24";
pub(crate) const OWNER: &str = "test/1";

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) db: Db,
    pub(crate) api: CloudflareClient,
    pub(crate) ops: PrefixOps,
    _dir: tempfile::TempDir,
}

pub(crate) struct TestActor {
    pub(crate) mode: Mode,
    pub(crate) since_bump_ms: AtomicU64,
}

impl TestActor {
    pub(crate) fn fresh() -> Self {
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

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn prefix() -> Prefix {
    CIDR.parse().unwrap()
}

pub(crate) fn quick() -> Limits {
    Limits {
        read_back_every: Duration::from_millis(20),
        retry_after: Duration::from_millis(50),
        unresolved_after: Duration::from_millis(900),
        ..Limits::default()
    }
}

impl World {
    pub(crate) async fn new(limits: Limits) -> Self {
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

    pub(crate) async fn write<T: Send + 'static>(&self, f: impl FnOnce(&db::WriteTx<'_>) -> T + Send + 'static) -> T {
        self.db.write("test", move |tx| Ok(f(tx))).await.unwrap()
    }

    /// What the daemon's inventory would store.
    pub(crate) async fn observe(&self) {
        let parents = self.api.list_prefixes().await.unwrap();
        for parent in parents {
            for found in self.api.list_bgp_prefixes(&parent.id, "DMZ").await.unwrap() {
                self.write(move |tx| db::inventory::observed(tx, &found, true, now()).unwrap())
                    .await;
            }
        }
    }

    /// What a cycle that found calm proven would commit.
    pub(crate) async fn automatic(&self) -> IntentId {
        self.automatic_filed_at(now()).await
    }

    pub(crate) async fn automatic_filed_at(&self, filed_at: Timestamp) -> IntentId {
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
            db::intents::file(tx, &intent, filed_at).unwrap()
        })
        .await
    }

    pub(crate) async fn by_person(&self, act: Act) -> IntentId {
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

    pub(crate) async fn step(&self, id: IntentId) -> Step {
        self.ops.step(id, Some(&TestActor::fresh()), &now).await.unwrap()
    }

    /// Steps until closed, as the daemon's loop does, at most for five seconds.
    pub(crate) async fn finish(&self, id: IntentId) -> IntentState {
        for _ in 0..250 {
            if let Step::Closed(state) = self.step(id).await {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not closed: {:?}", self.intent(id).await);
    }

    pub(crate) async fn intent(&self, id: IntentId) -> Intent {
        self.db
            .read("test", move |tx| db::intents::get(tx, id))
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn patches(&self) -> usize {
        self.sim
            .requests_since(0)
            .iter()
            .filter(|request| request.method == "PATCH")
            .count()
    }

    pub(crate) fn advertised(&self) -> bool {
        self.sim.prefix(CIDR).unwrap().advertised
    }

    /// WITHDRAW events, history rows, and notices by kind.
    pub(crate) async fn record(&self) -> (usize, usize, Vec<String>) {
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
