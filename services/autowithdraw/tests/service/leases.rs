//! The lease by itself: who is dead is judged by standing still on the observer's own clock.

use std::sync::Arc;
use std::time::Duration;

use autowithdraw::actor::{LeaseHolder, Standing};
use daemon::ManualClock;
use db::{Db, OpenOptions};
use domain::decision::Mode;
use domain::intent::DEAD_AFTER;
use jiff::SignedDuration;
use prefix_ops::Actor;

struct Two {
    db: Db,
    clocks: [Arc<ManualClock>; 2],
    holders: [LeaseHolder; 2],
    _dir: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap();
        let clock = || Arc::new(ManualClock::at("2026-01-15T08:00:00Z".parse().unwrap()));
        let clocks = [clock(), clock()];
        let holder = |name: &str, clock: &Arc<ManualClock>| {
            LeaseHolder::new(name.to_owned(), Arc::<ManualClock>::clone(clock), Mode::Act)
        };
        Self {
            holders: [holder("a", &clocks[0]), holder("b", &clocks[1])],
            clocks,
            db,
            _dir: dir,
        }
    }

    async fn acts(&self, who: usize) -> bool {
        self.holders[who].progress(&self.db).await.unwrap() == Standing::Actor
    }

    fn pass(&self, time: Duration) {
        for clock in &self.clocks {
            clock.advance(time);
        }
    }
}

#[tokio::test]
async fn a_counter_that_moves_is_alive_and_one_that_stood_still_long_enough_is_dead() {
    let two = Two::new();
    assert!(two.acts(0).await);
    for _ in 0..30 {
        two.pass(Duration::from_secs(2));
        assert!(two.acts(0).await);
        assert!(!two.acts(1).await);
    }
    two.pass(DEAD_AFTER - Duration::from_millis(1));
    assert!(!two.acts(1).await, "not dead yet");
    two.pass(Duration::from_millis(1));
    assert!(two.acts(1).await);
    assert!(!two.acts(0).await, "the first one sees that it was replaced");
    assert_eq!(two.holders[0].since_bump(), Duration::MAX, "and may not start a call");
}

#[tokio::test]
async fn an_observer_that_was_stopped_itself_does_not_take_a_living_one_for_dead() {
    let two = Two::new();
    assert!(two.acts(0).await);
    assert!(!two.acts(1).await);
    for _ in 0..100 {
        two.pass(Duration::from_secs(2));
        assert!(two.acts(0).await);
    }
    // It wakes up after 200 s and has seen only the first counter.
    assert!(!two.acts(1).await);
    two.pass(Duration::from_secs(2));
    assert!(!two.acts(1).await);
}

#[tokio::test]
async fn wall_clocks_decide_nothing() {
    let two = Two::new();
    assert!(two.acts(0).await);
    assert!(!two.acts(1).await);
    two.clocks[1].step_wall(SignedDuration::from_hours(48));
    two.pass(Duration::from_secs(2));
    assert!(!two.acts(1).await);
    two.clocks[0].step_wall(SignedDuration::from_hours(-48));
    assert!(two.acts(0).await);
    assert_eq!(two.holders[0].since_bump(), Duration::ZERO);
    two.pass(Duration::from_secs(6));
    assert_eq!(two.holders[0].since_bump(), Duration::from_secs(6));
}

#[tokio::test]
async fn a_lease_given_back_is_free_at_once() {
    let two = Two::new();
    assert!(two.acts(0).await);
    assert!(!two.acts(1).await);
    two.holders[1].release(&two.db).await.unwrap();
    assert!(two.acts(0).await, "who does not hold it cannot give it away");
    two.holders[0].release(&two.db).await.unwrap();
    assert!(two.acts(1).await);
}
