//! The pool of read connections and the deadlines of reads.
//!
//! Connections are opened when first needed and closed when idle, so a process that hardly reads holds hardly any memory.
//! What must hold: a read sees one consistent snapshot, cannot write, and is interrupted at its deadline or when its caller
//! goes away; the number of callers that wait for a connection is bounded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::TransactionBehavior;
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::Semaphore;

use crate::connection::{ReadSource, set_up_reader};
use crate::error::{Cause, DbError};
use crate::stop::{Stop, StopOnDrop};
use crate::tx::ReadTx;

/// Callers that may wait for a read connection. A page that comes later gets an error at once instead of a place in a line
/// that outlasts its deadline: 4 connections serve well over 256 page reads within a second.
const MOST_WAITING: usize = 256;

/// An idle read connection is closed after this time.
const IDLE: Duration = Duration::from_secs(300);

type Pool = r2d2::Pool<SqliteConnectionManager>;

pub(crate) struct Readers {
    pool: Pool,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    last_error: Arc<Mutex<Option<DbError>>>,
}

impl Readers {
    pub(crate) fn new(source: &ReadSource, connections: u32) -> Self {
        let connections = connections.max(1);
        let last_error = Arc::new(Mutex::new(None));
        let manager = SqliteConnectionManager::file(&source.path)
            .with_flags(source.flags)
            .with_init(|conn| set_up_reader(conn));
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .idle_timeout(Some(IDLE))
            .max_lifetime(None)
            .test_on_check_out(false)
            .error_handler(Box::new(KeepError(Arc::clone(&last_error))))
            .thread_pool(helper_thread())
            .build_unchecked(manager);
        let permits = usize::try_from(connections).unwrap_or(1);
        Self {
            pool,
            permits: Arc::new(Semaphore::new(permits)),
            waiting: AtomicUsize::new(0),
            last_error,
        }
    }

    /// Runs a read on this thread.
    pub(crate) fn read_blocking<T>(
        &self,
        what: &'static str,
        limit: Duration,
        function: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.read_here(what, limit, Instant::now(), &Stop::default(), function)
    }

    /// Runs a read on one of the runtime's blocking threads. Dropping the future stops the read.
    pub(crate) async fn read<T, F>(
        self: &Arc<Self>,
        what: &'static str,
        limit: Duration,
        function: F,
    ) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    {
        let began = Instant::now();
        let stop = StopOnDrop(Arc::new(Stop::default()));
        let guarded = async {
            let permit = {
                let _place = Place::take(&self.waiting)?;
                Arc::clone(&self.permits)
                    .acquire_owned()
                    .await
                    .map_err(|_| DbError::Closed)?
            };
            let (readers, stop) = (Arc::clone(self), Arc::clone(&stop.0));
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                readers.read_here(what, limit, began, &stop, function)
            });
            task.await.unwrap_or(Err(DbError::Panicked { what }))
        };
        tokio::time::timeout(limit, guarded)
            .await
            .unwrap_or(Err(DbError::Deadline { what, limit }))
    }

    fn read_here<T>(
        &self,
        what: &'static str,
        limit: Duration,
        began: Instant,
        stop: &Stop,
        function: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let left = limit.saturating_sub(began.elapsed());
        let mut conn = self.pool.get_timeout(left).map_err(|_| self.why_no_connection())?;
        let _watched = stop.watch(&conn).ok_or(DbError::Deadline { what, limit })?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let result = function(&ReadTx::new(&tx));
        // Nothing was written, so it makes no difference how the transaction ends; rolling back cannot fail for lack of space.
        drop(tx);
        result.map_err(|error| {
            if stop.is_stopped() {
                DbError::Deadline { what, limit }
            } else {
                error
            }
        })
    }

    /// Connections that nobody uses.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.permits.available_permits()
    }

    /// Callers that wait for a connection.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn why_no_connection(&self) -> DbError {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        last.unwrap_or_else(|| DbError::Busy(Cause::text("all read connections stayed in use")))
    }
}

/// A place in the line for a connection.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, DbError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            return Err(DbError::Busy(Cause::text(format!(
                "{MOST_WAITING} reads are waiting already"
            ))));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps why a connection could not be opened: the pool itself only says that it waited in vain.
#[derive(Debug)]
struct KeepError(Arc<Mutex<Option<DbError>>>);

impl r2d2::HandleError<rusqlite::Error> for KeepError {
    fn handle_error(&self, error: rusqlite::Error) {
        let error = DbError::from(error);
        tracing::warn!(event = "db.read.connection_failed", code = error.code(), error = %error);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// One thread for all pools of the process opens and reaps connections; the pool's own default is three for each.
fn helper_thread() -> Arc<ScheduledThreadPool> {
    static HELPER: OnceLock<Arc<ScheduledThreadPool>> = OnceLock::new();
    let build = || {
        Arc::new(
            ScheduledThreadPool::builder()
                .num_threads(1)
                .thread_name_pattern("db-readers")
                .build(),
        )
    };
    Arc::clone(HELPER.get_or_init(build))
}

#[cfg(test)]
mod tests;
