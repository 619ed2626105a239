//! Group commit: one thread owns the write connection and puts the waiting writes of the process into common transactions.
//!
//! Durability costs one `fsync` per commit; sharing it lets thousands of durable writes a second fit. What must hold:
//! - `Ok` is answered only after COMMIT returned; when COMMIT fails, every write of the batch hears so.
//! - A write that fails or panics is rolled back alone: either it has its own SAVEPOINT, or it and its neighbours can be run
//!   again, and are, each with one.
//! - The queue is bounded; a full one refuses at once. A write that waited too long for the lock is refused, not run late.
//! - Other processes get their turn: see [`PAUSE`].
//!
//! It does not know any table, and it does not repeat anything: whether to try again is the caller's decision.

mod batch;
mod job;
mod log_keeper;
mod stats;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::error::DbError;
use crate::tx::WriteTx;
use job::{Job, Queued, Repeatable, Work};
use log_keeper::LogKeeper;
use stats::Recorder;
pub use stats::WriterStats;

/// Most writes in one transaction: bounds what one failed commit takes with it, and the WAL's growth.
pub(crate) const BATCH_JOBS: usize = 512;

/// How long one transaction takes new writes in, and how long back-to-back transactions may follow each other before a
/// [`PAUSE`]. This bounds how long the write lock stays with one process.
pub(crate) const BATCH_TIME: Duration = Duration::from_millis(20);

/// Writes in one transaction from which on more are taken to be about to come.
pub(crate) const CROWD: usize = 4;

/// How long a transaction with a [`CROWD`] waits for another write before it is committed. The answers of one commit bring the
/// next requests within this time, so that busy senders share commits instead of having a few each: a commit writes every index
/// page it changed once, however many writes changed it.
pub(crate) const LINGER: Duration = Duration::from_micros(300);

/// How often a lingering transaction looks for more.
pub(crate) const LINGER_STEP: Duration = Duration::from_micros(50);

/// How old a transaction may become by lingering.
pub(crate) const LINGER_BATCH: Duration = Duration::from_millis(5);

/// How long the lock is left free after [`BATCH_TIME`] of back-to-back transactions. SQLite's lock has no queue: without the
/// gap a busy process takes it again before a waiting one looks. Twice the interval at which waiting writers look.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// The bounds of one writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterLimits {
    /// Writes that may wait.
    pub(crate) queue: usize,
    /// How long a write may wait for its turn (queue and lock) before it is refused with [`DbError::Busy`].
    pub(crate) turn: Duration,
    /// How long one transaction takes new writes in: [`BATCH_TIME`] except in tests.
    pub(crate) batch: Duration,
}

/// How a close ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReport {
    /// Every write that had been accepted was stored or refused by its own fault. When false the rest was answered
    /// with [`DbError::Closed`] (or is still stuck in the file system).
    pub drained: bool,
    /// The write-ahead log was moved into the main file completely. False is harmless: the next opener does it.
    pub checkpointed: bool,
}

/// Tells apart the file that was opened and one that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(path: &Path) -> Option<Self> {
        // `stat` only: opening and closing the file here would drop SQLite's locks in this process.
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }
}

/// The handle that callers share.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    limits: WriterLimits,
    stats: Recorder,
    end: Arc<End>,
}

/// How the thread and `close` talk about the end.
#[derive(Default)]
struct End {
    /// Stop draining: answer the rest with `Closed`.
    abandon: AtomicBool,
    report: Mutex<Option<CloseReport>>,
    ended: Condvar,
}

/// The thread's side.
struct Thread {
    path: PathBuf,
    identity: Option<FileIdentity>,
    conn: Connection,
    queue: mpsc::Receiver<Queued>,
    waiting: std::collections::VecDeque<Queued>,
    /// Writes at the front of `waiting` that are to have a SAVEPOINT each, because a run without went wrong.
    apart: usize,
    limits: WriterLimits,
    stats: Recorder,
    end: Arc<End>,
    pace: Pace,
    log: LogKeeper,
}

/// Keeps track of how long the lock was ours without a gap.
#[derive(Default)]
struct Pace {
    hot_since: Option<Instant>,
    last_end: Option<Instant>,
}

impl Pace {
    /// To be called before a transaction begins; leaves the lock free for a moment when it is due. True if it did.
    fn before_batch(&mut self) -> bool {
        let now = Instant::now();
        let gap = self.last_end.map_or(PAUSE, |end| now.duration_since(end));
        if gap >= PAUSE {
            self.hot_since = Some(now);
            return false;
        }
        let due = self
            .hot_since
            .is_some_and(|since| now.duration_since(since) >= BATCH_TIME);
        if due {
            crate::connection::pause(PAUSE - gap);
            self.hot_since = Some(Instant::now());
        }
        due
    }

    fn after_batch(&mut self) {
        self.last_end = Some(Instant::now());
    }
}

impl Writer {
    /// Starts the thread. `conn` must be a write connection to the file at `path`.
    pub(crate) fn start(conn: Connection, path: &Path, limits: WriterLimits) -> std::io::Result<Self> {
        let (sender, queue) = mpsc::channel(limits.queue.max(1));
        let stats = Recorder::default();
        let end = Arc::new(End::default());
        let thread = Thread {
            path: path.to_path_buf(),
            identity: FileIdentity::of(path),
            conn,
            queue,
            waiting: std::collections::VecDeque::new(),
            apart: 0,
            limits,
            stats: stats.clone(),
            end: Arc::clone(&end),
            pace: Pace::default(),
            log: LogKeeper::new(path.to_path_buf()),
        };
        std::thread::Builder::new().name("db-writer".into()).spawn(move || {
            crate::connection::set_busy_limit_of_this_thread(limits.turn);
            // The report is left even if our own code panics: `close` and `alive` must not wait for a dead thread.
            let _left = LeaveReport(Arc::clone(&thread.end));
            thread.run();
        })?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            limits,
            stats,
            end,
        })
    }

    /// Puts a write into the queue. `answer` is called once, from the writer thread; if it is dropped uncalled the thread died.
    pub(crate) fn submit<T, F, A>(&self, what: &'static str, function: F, answer: A) -> Result<(), DbError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
        A: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        self.hand_in(Box::new(Work {
            what,
            function: Some(function),
            made: None,
            answer,
        }))
    }

    /// [`Writer::submit`] for a function that may be run again after its changes were rolled back.
    pub(crate) fn submit_repeatable<T, F, A>(&self, what: &'static str, function: F, answer: A) -> Result<(), DbError>
    where
        T: Send + 'static,
        F: Fn(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
        A: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        self.hand_in(Box::new(Repeatable {
            what,
            function,
            made: None,
            answer,
        }))
    }

    fn hand_in(&self, job: Box<dyn Job>) -> Result<(), DbError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.as_ref().ok_or(DbError::Closed)?;
        sender
            .try_send(Queued {
                job,
                since: Instant::now(),
            })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => DbError::QueueFull {
                    limit: self.limits.queue,
                },
                mpsc::error::TrySendError::Closed(_) => DbError::Closed,
            })?;
        self.stats.queued(sender.max_capacity() - sender.capacity());
        Ok(())
    }

    pub(crate) fn stats(&self) -> WriterStats {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = queue
            .as_ref()
            .map_or(0, |sender| sender.max_capacity() - sender.capacity());
        drop(queue);
        let alive = self.end.report.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        self.stats.read(waiting, alive)
    }

    /// Takes no more writes, waits up to `limit` for the accepted ones, then gives the rest up. Calling it again is harmless.
    pub(crate) fn close(&self, limit: Duration) -> CloseReport {
        /// After giving up, how long the transaction in progress gets to end.
        const LAST_BATCH: Duration = Duration::from_secs(1);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(report) = self.end.wait(limit) {
            return report;
        }
        self.end.abandon.store(true, Ordering::Relaxed);
        let report = self.end.wait(LAST_BATCH);
        CloseReport {
            drained: false,
            checkpointed: report.is_some_and(|r| r.checkpointed),
        }
    }
}

impl End {
    fn wait(&self, limit: Duration) -> Option<CloseReport> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let (report, _) = self
            .ended
            .wait_timeout_while(report, limit, |r| r.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *report
    }

    fn leave(&self, report: CloseReport) {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(report);
        self.ended.notify_all();
    }
}

/// Leaves a report of failure behind when the thread unwinds.
struct LeaveReport(Arc<End>);

impl Drop for LeaveReport {
    fn drop(&mut self) {
        self.0.leave(CloseReport {
            drained: false,
            checkpointed: false,
        });
    }
}
