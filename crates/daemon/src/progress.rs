//! Which loops a process runs and when each last made progress.
//!
//! A loop says itself how long it may stay silent; its silence, not a timer, decides about the watchdog, the heartbeat
//! and `/health`. All times are monotonic. Nothing here acts on a stalled loop; see `watchdog.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::SharedClock;

/// All registered loops of one process. Clones share them.
#[derive(Debug, Clone)]
pub struct Progress {
    clock: SharedClock,
    loops: Arc<Mutex<BTreeMap<u64, Entry>>>,
    next_id: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    limit: Duration,
    last: Arc<AtomicU64>,
}

/// How one loop stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopState {
    /// The name it registered with.
    pub name: Arc<str>,
    /// Time since it last made progress.
    pub age: Duration,
    /// How long it may stay silent.
    pub limit: Duration,
}

impl LoopState {
    /// Whether it has been silent for longer than it said it would be.
    pub fn is_stalled(&self) -> bool {
        self.age > self.limit
    }
}

impl Progress {
    /// No loops yet.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            loops: Arc::default(),
            next_id: Arc::default(),
        }
    }

    /// Adds a loop that promises progress at least every `limit`. It counts as having made progress now.
    /// Dropping the registration removes it.
    pub fn register(&self, name: &str, limit: Duration) -> Registration {
        let name: Arc<str> = name.into();
        let last = Arc::new(AtomicU64::new(nanoseconds(self.clock.monotonic())));
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            name: Arc::clone(&name),
            limit,
            last: Arc::clone(&last),
        };
        self.entries().insert(id, entry);
        Registration {
            progress: self.clone(),
            id,
            handle: LoopHandle {
                clock: Arc::clone(&self.clock),
                name,
                limit,
                last,
            },
        }
    }

    /// How every loop stands now.
    pub fn survey(&self) -> Vec<LoopState> {
        let now = self.clock.monotonic();
        self.entries()
            .values()
            .map(|entry| LoopState {
                name: Arc::clone(&entry.name),
                age: now.saturating_sub(Duration::from_nanos(entry.last.load(Ordering::Acquire))),
                limit: entry.limit,
            })
            .collect()
    }

    /// The names of the loops that are stalled now.
    pub fn stalled(&self) -> Vec<String> {
        let states = self.survey();
        states
            .iter()
            .filter(|state| state.is_stalled())
            .map(|state| state.name.to_string())
            .collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a loop registered as long as it lives.
#[derive(Debug)]
pub struct Registration {
    progress: Progress,
    id: u64,
    handle: LoopHandle,
}

impl Registration {
    /// What the loop itself holds to report progress.
    pub fn handle(&self) -> LoopHandle {
        self.handle.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.progress.entries().remove(&self.id);
    }
}

/// A loop's own end: it calls [`Self::tick`] whenever it has really got somewhere.
#[derive(Clone)]
pub struct LoopHandle {
    clock: SharedClock,
    name: Arc<str>,
    limit: Duration,
    last: Arc<AtomicU64>,
}

impl LoopHandle {
    /// Progress was made now.
    pub fn tick(&self) {
        self.last.store(nanoseconds(self.clock.monotonic()), Ordering::Release);
    }

    /// The loop's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for `work` to *arrive*, counting the wait as progress however long it takes: an empty queue is no stall.
    ///
    /// Only for waiting until there is something to do. Never for doing it: a call to the outside has its own deadline,
    /// and wrapping it here would feed the watchdog by a timer.
    pub async fn idle<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        self.tick();
        loop {
            tokio::select! {
                biased;
                arrived = &mut work => {
                    self.tick();
                    return arrived;
                }
                () = tokio::time::sleep(self.limit / 3) => self.tick(),
            }
        }
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// 584 years of nanoseconds fit; a process does not run that long.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};

    #[test]
    fn a_silent_loop_is_stalled_past_its_own_limit_and_recovers_by_ticking() {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let progress = Progress::new(Arc::<ManualClock>::clone(&clock));
        let fast = progress.register("fast", Duration::from_secs(10));
        let _slow = progress.register("slow", Duration::from_secs(60));
        clock.advance(Duration::from_secs(10));
        assert!(progress.stalled().is_empty(), "the limit itself is still in time");
        clock.advance(Duration::from_millis(1));
        assert_eq!(progress.stalled(), ["fast"]);
        fast.handle().tick();
        assert!(progress.stalled().is_empty());
        drop(fast);
        assert_eq!(progress.survey().len(), 1);
    }

    #[test]
    fn a_step_of_the_wall_clock_stalls_nothing() {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let progress = Progress::new(Arc::<ManualClock>::clone(&clock));
        let _loop = progress.register("poll", Duration::from_secs(10));
        clock.step_wall(jiff::SignedDuration::from_hours(48));
        assert!(progress.stalled().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_work_is_no_stall() {
        let progress = Progress::new(SystemClock::shared());
        let registration = progress.register("queue", Duration::from_secs(9));
        let handle = registration.handle();
        let watch = async {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(progress.stalled().is_empty());
            }
        };
        handle.idle(watch).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(progress.stalled(), ["queue"]);
    }
}
