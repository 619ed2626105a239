//! Several processes under one budget, and a store that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cf_api::budget::{Admit, Bucket, BudgetStore, BudgetStoreError, CallKind, Limits, MemoryStore, RateBudget, Usage};
use jiff::Timestamp;

fn budget(owner: &str, store: Arc<dyn BudgetStore>) -> Arc<RateBudget> {
    RateBudget::new(owner, Limits::default(), store, Arc::new(Timestamp::now))
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    asked: AtomicUsize,
}

impl BudgetStore for Counting {
    fn exchange(&self, owner: &str, own: &Usage, now: Timestamp) -> Result<Usage, BudgetStoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.exchange(owner, own, now)
    }
}

#[tokio::test]
async fn one_service_sees_the_calls_of_another_within_seconds() {
    let store = Arc::new(Counting::default());
    let first = budget("first", store.clone());
    for _ in 0..5 {
        assert_eq!(first.admit(CallKind::Rest).await, Admit::Granted);
    }
    assert_eq!(store.asked.load(Ordering::SeqCst), 1, "a burst asks once");
    // Published without a further call of the first.
    let second = budget("second", store.clone());
    let limit = Instant::now() + Duration::from_secs(20);
    let mut own = 0;
    loop {
        assert_eq!(second.admit(CallKind::Evidence).await, Admit::Granted);
        own += 1;
        if second.used(Bucket::Rest) == 5 {
            break;
        }
        assert!(Instant::now() < limit, "{}", second.used(Bucket::Rest));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(second.used(Bucket::Graphql), own);
}

struct Broken;

impl BudgetStore for Broken {
    fn exchange(&self, _: &str, _: &Usage, _: Timestamp) -> Result<Usage, BudgetStoreError> {
        Err(BudgetStoreError("disk full".into()))
    }
}

struct Panicking;

impl BudgetStore for Panicking {
    fn exchange(&self, _: &str, _: &Usage, _: Timestamp) -> Result<Usage, BudgetStoreError> {
        panic!("as a store might");
    }
}

#[tokio::test]
async fn a_broken_store_stops_nothing_and_own_calls_still_count() {
    for store in [Arc::new(Broken) as Arc<dyn BudgetStore>, Arc::new(Panicking)] {
        let budget = budget("only", store);
        for _ in 0..960 {
            assert_eq!(budget.admit(CallKind::Rest).await, Admit::Granted);
        }
        assert!(matches!(budget.admit(CallKind::Rest).await, Admit::Wait(_)));
        assert_eq!(budget.admit(CallKind::BgpRead).await, Admit::Granted);
    }
}
