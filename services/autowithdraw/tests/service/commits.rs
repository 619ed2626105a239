//! Only the actor's cycles count.

use std::time::Duration;

use autowithdraw::actor::LEASE;
use autowithdraw::commit::{Terms, commit};
use autowithdraw::cycle::Cycle;
use db::{Db, OpenOptions};
use domain::decision::Mode;

use crate::house::now;

#[tokio::test]
async fn a_cycle_of_a_process_that_was_replaced_meanwhile_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
    let terms = |owner: &str| Terms {
        mode: Mode::Act,
        owner: owner.to_owned(),
        hold_end_notice: Duration::from_secs(600),
        unexplained_for: Duration::from_secs(90),
    };
    let outcome = |owner: &'static str| {
        let terms = terms(owner);
        let cycle = Cycle {
            at: now(),
            evidence_at: now(),
            answers: Vec::new(),
            restarted: Vec::new(),
            traffic_error: None,
            missing: Vec::new(),
            discovery_error: None,
            bindings: Vec::new(),
            bindings_error: None,
        };
        db.write("test", move |tx| commit(tx, &cycle, &terms))
    };
    assert!(outcome("a").await.unwrap().not_ours, "nobody holds the lease");
    db.write("test", |tx| db::leases::take(tx, LEASE, "b", None, now()))
        .await
        .unwrap();
    assert!(outcome("a").await.unwrap().not_ours);
    assert!(!outcome("b").await.unwrap().not_ours);
}
