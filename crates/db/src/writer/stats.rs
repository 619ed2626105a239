//! What the writer did so far, for metrics, `/health` and the watchdog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::DbError;

/// Counters and states of the writer thread at one moment.
#[derive(Debug, Clone, Default)]
pub struct WriterStats {
    /// Transactions committed.
    pub commits: u64,
    /// Writes that are durable.
    pub jobs_stored: u64,
    /// Writes that failed alone (their own error, conflict or panic).
    pub jobs_refused: u64,
    /// Writes lost because the whole transaction could not be committed, or that waited too long for the lock.
    pub jobs_failed: u64,
    /// Transactions that could not be begun or committed.
    pub batches_failed: u64,
    /// Transactions that failed since the last success; 0 while all is well.
    pub failing_streak: u64,
    /// Writes waiting now.
    pub queue: usize,
    /// Most writes that were ever seen waiting.
    pub queue_max: usize,
    /// Most writes that ever shared one commit.
    pub batch_max: usize,
    /// How often the lock was left free on purpose so that other processes get their turn.
    pub pauses: u64,
    /// When the last commit was durable.
    pub last_commit: Option<Timestamp>,
    /// How long the last transaction took, from its BEGIN to the end of its COMMIT.
    pub last_batch: Option<Duration>,
    /// The last failure of a whole transaction, and when.
    pub last_error: Option<(Timestamp, DbError)>,
    /// How long the transaction that is open now has been open. A large value means that the disk hangs.
    pub in_batch_for: Option<Duration>,
    /// False once the writer thread has ended: nothing can be stored any more.
    pub alive: bool,
}

/// The writer's side of the counters.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    stats: WriterStats,
    batch_since: Option<Instant>,
}

impl Recorder {
    fn update(&self, change: impl FnOnce(&mut Shared)) {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn read(&self, queue: usize, alive: bool) -> WriterStats {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let in_batch_for = shared.batch_since.map(|since| since.elapsed());
        WriterStats {
            queue,
            in_batch_for,
            alive,
            ..shared.stats.clone()
        }
    }

    pub(super) fn queued(&self, waiting: usize) {
        self.update(|s| s.stats.queue_max = s.stats.queue_max.max(waiting));
    }

    pub(super) fn paused(&self) {
        self.update(|s| s.stats.pauses += 1);
    }

    pub(super) fn batch_began(&self) {
        self.update(|s| s.batch_since = Some(Instant::now()));
    }

    /// A commit is durable. Returns how many transactions had failed in a row before it.
    pub(super) fn committed(&self, stored: u64, refused: u64) -> u64 {
        let mut streak = 0;
        self.update(|s| {
            s.stats.commits += 1;
            s.stats.jobs_stored += stored;
            s.stats.jobs_refused += refused;
            s.stats.batch_max = s.stats.batch_max.max(usize::try_from(stored).unwrap_or(usize::MAX));
            s.stats.last_commit = Some(Timestamp::now());
            s.stats.last_batch = s.batch_since.take().map(|since| since.elapsed());
            streak = std::mem::take(&mut s.stats.failing_streak);
        });
        streak
    }

    /// A transaction failed as a whole. Returns how many did in a row, this one included.
    pub(super) fn failed(&self, jobs: u64, error: &DbError) -> u64 {
        let mut streak = 0;
        self.update(|s| {
            s.batch_since = None;
            s.stats.batches_failed += 1;
            s.stats.jobs_failed += jobs;
            s.stats.last_error = Some((Timestamp::now(), error.clone()));
            s.stats.failing_streak += 1;
            streak = s.stats.failing_streak;
        });
        streak
    }
}
