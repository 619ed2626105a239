//! A simulated account with a desk over it.

use std::sync::Arc;
use std::time::Duration;

use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Deadlines, Transport, TransportConfig};
use cf_sim::{FaultKind, FaultSpec, Sim, SimConfig, Target};
use db::{Db, OpenOptions};
use jiff::Timestamp;
use rules::desk::{By, Desk};
use tempfile::TempDir;

pub(crate) struct Account {
    pub(crate) sim: Sim,
    pub(crate) desk: Desk,
    /// Another process on the same database.
    pub(crate) other: Desk,
    _folder: TempDir,
}

/// Long enough for a busy machine; a fault that hangs costs as much.
const CHANGE: Duration = Duration::from_secs(3);

pub(crate) async fn account() -> Account {
    // Thousands of calls in a few seconds.
    let config = SimConfig {
        rest_quota: 0,
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("db"), OpenOptions::default()).unwrap();
    let client = || {
        let limits = cf_api::budget::Limits {
            rest: 1_000_000,
            ..cf_api::budget::Limits::default()
        };
        let store = Arc::new(cf_api::budget::MemoryStore::default());
        CloudflareClient::new(
            Transport::new(TransportConfig::default()),
            &sim.api_base_url(),
            &sim.config().account_id,
            Credentials::Token(sim.config().api_token.clone().into()),
            RateBudget::new("test", limits, store, Arc::new(Timestamp::now)),
        )
        .unwrap()
        .with_deadlines(Deadlines {
            change: CHANGE,
            read: Duration::from_secs(20),
            query: CHANGE,
        })
    };
    let desk = Desk::new(client(), db.clone(), Arc::new(Timestamp::now));
    let other = Desk::new(client(), db, Arc::new(Timestamp::now));
    Account {
        sim,
        desk,
        other,
        _folder: folder,
    }
}

pub(crate) fn by(reason: &str) -> By {
    By {
        actor: "ana@noc".into(),
        role: "shell".into(),
        via: "test".into(),
        address: None,
        reason: Some(reason.into()),
    }
}

impl Account {
    /// The next call below `path` with this method meets this, after it took effect or before.
    pub(crate) fn fault(&self, path: &str, method: &str, kind: FaultKind, after_apply: bool) {
        let mut fault = FaultSpec::new(Target::Rest, kind).path(path).method(method).times(1);
        fault.after_apply = after_apply;
        self.sim.set_fault(fault);
    }

    /// Changing calls that arrived.
    pub(crate) fn changes(&self) -> usize {
        self.sim
            .requests_since(0)
            .iter()
            .filter(|it| it.method != "GET")
            .count()
    }

    /// The audit: action and result.
    pub(crate) async fn audit(&self) -> Vec<(String, String)> {
        let read = self
            .desk
            .db()
            .read("audit", |tx| db::audit::newest(tx, 1_000))
            .await
            .unwrap();
        read.into_iter().rev().map(|it| (it.action, it.result)).collect()
    }
}
