//! Our share of Cloudflare's request limits, kept by all services together.
//!
//! Going over a limit locks the whole user out for five minutes (REST: 1,200 calls per 5 minutes;
//! GraphQL: 300 per 5 minutes, counted apart), which would blind the automation during an attack.
//! So every call is admitted here first; calls that change or read BGP state and queries for
//! evidence keep a reserve that nothing else may use.
//!
//! [`window`] is the pure rule, [`store`] is how the services' counts meet, and [`RateBudget`]
//! joins both for a process.

pub mod store;
pub mod window;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

pub use store::{BudgetStore, BudgetStoreError, MemoryStore, Usage};
pub use window::{Admit, Bucket, CallKind, Limits, Remaining, Window};

/// How old our knowledge of the other services' calls, and theirs of ours, may become.
const EXCHANGE_EVERY: Duration = Duration::from_secs(2);

/// A store slower than this is left behind: the call goes on with what is known.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(1);

/// Where the present comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The budget of one process, sharing its counts through a [`BudgetStore`].
pub struct RateBudget {
    /// Names this process in the store; a restarted process is another owner.
    owner: String,
    window: Mutex<Window>,
    store: Arc<dyn BudgetStore>,
    clock: Clock,
    exchange: tokio::sync::Mutex<Exchange>,
    publishing: AtomicBool,
}

#[derive(Default)]
struct Exchange {
    last: Option<Instant>,
    failures: u64,
}

impl RateBudget {
    /// A budget under `limits`. `owner` must be unique per process start, for instance
    /// `autowithdraw/4711/<start time>`.
    pub fn new(owner: impl Into<String>, limits: Limits, store: Arc<dyn BudgetStore>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            owner: owner.into(),
            window: Mutex::new(Window::new(limits)),
            store,
            clock,
            exchange: tokio::sync::Mutex::default(),
            publishing: AtomicBool::new(false),
        })
    }

    /// A budget that nobody else shares, with Cloudflare's documented limits.
    pub fn alone(clock: Clock) -> Arc<Self> {
        Self::new("alone", Limits::default(), Arc::new(MemoryStore::default()), clock)
    }

    /// Asks for one call and counts it if granted. Never waits for capacity; may wait up to a
    /// second for the store.
    pub async fn admit(self: &Arc<Self>, kind: CallKind) -> Admit {
        self.exchange_if_due().await;
        let admit = self.window().admit(kind, self.now());
        if admit == Admit::Granted {
            self.publish_soon();
        }
        admit
    }

    /// What the answer to a call told about the limit.
    pub(crate) fn learn(self: &Arc<Self>, bucket: Bucket, told: Told) {
        let now = self.now();
        {
            let mut window = self.window();
            if let Some(remaining) = told.remaining {
                window.observe_remaining(bucket, remaining, now);
            }
            if let Some(wait) = told.lock_for {
                window.lock(bucket, wait, now);
            }
        }
        if let Some(wait) = told.lock_for {
            tracing::warn!(
                event = "cloudflare.budget.locked",
                bucket = bucket.as_str(),
                wait_s = wait.as_secs()
            );
            self.publish_soon();
        }
    }

    /// Calls of all services in the last five minutes, for health pages.
    pub fn used(&self, bucket: Bucket) -> u32 {
        self.window().used(bucket, self.now())
    }

    /// The instant by our clock.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange_if_due(&self) {
        let mut exchange = self.exchange.lock().await;
        let due = exchange.last.is_none_or(|last| last.elapsed() >= EXCHANGE_EVERY);
        if due {
            self.exchange_now(&mut exchange).await;
        }
    }

    async fn exchange_now(&self, exchange: &mut Exchange) {
        let now = self.now();
        let own = self.window().own_usage(now);
        let store = Arc::clone(&self.store);
        let owner = self.owner.clone();
        let asking = tokio::task::spawn_blocking(move || store.exchange(&owner, &own, now));
        let outcome = match tokio::time::timeout(EXCHANGE_DEADLINE, asking).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panicked)) => Err(BudgetStoreError("the exchange panicked".into())),
            Err(_elapsed) => Err(BudgetStoreError("no answer within 1 s".into())),
        };
        exchange.last = Some(Instant::now());
        match outcome {
            Ok(others) => {
                if exchange.failures > 0 {
                    tracing::info!(
                        event = "cloudflare.budget.store.recovered",
                        failures = exchange.failures
                    );
                    exchange.failures = 0;
                }
                self.window().set_others(others);
            }
            Err(error) => {
                exchange.failures += 1;
                // First failure and doublings: a dead store is asked every two seconds.
                if exchange.failures.is_power_of_two() {
                    tracing::warn!(
                        event = "cloudflare.budget.store.failed",
                        failures = exchange.failures,
                        %error
                    );
                }
            }
        }
    }

    /// Tells the store about calls granted after the last exchange, at most once per
    /// [`EXCHANGE_EVERY`], so that a burst is not hidden from the others until our next call.
    fn publish_soon(self: &Arc<Self>) {
        if self.publishing.swap(true, Ordering::AcqRel) {
            return;
        }
        let budget = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(EXCHANGE_EVERY).await;
            budget.publishing.store(false, Ordering::Release);
            let mut exchange = budget.exchange.lock().await;
            budget.exchange_now(&mut exchange).await;
        });
    }
}

impl fmt::Debug for RateBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateBudget")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// What an answer said about a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Calls left, from a rate-limit header.
    pub(crate) remaining: Option<Remaining>,
    /// Send nothing for so long.
    pub(crate) lock_for: Option<Duration>,
}
