//! The writer thread: takes waiting writes, runs them in one transaction, commits, answers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::job::Queued;
use super::{BATCH_JOBS, CROWD, CloseReport, FileIdentity, LINGER, LINGER_BATCH, LINGER_STEP, Thread};
use crate::error::{Cause, DbError, chain};
use crate::tx::WriteTx;

/// A write that was run and waits for the commit, with its own outcome.
type Ran = (Queued, Result<(), DbError>);

impl Thread {
    pub(super) fn run(mut self) {
        while self.wait_for_work() {
            if self.given_up() {
                self.refuse_all(&DbError::Closed);
                break;
            }
            self.one_batch();
            self.log.tend(&self.conn);
        }
        self.log.stop();
        let drained = !self.given_up();
        let checkpointed = self.checkpoint();
        let end = std::sync::Arc::clone(&self.end);
        drop(self);
        end.leave(CloseReport { drained, checkpointed });
    }

    /// True once `close` has waited long enough: take nothing more in.
    fn given_up(&self) -> bool {
        self.end.abandon.load(Ordering::Relaxed)
    }

    /// Blocks until something waits. False once the queue is closed and empty.
    fn wait_for_work(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        match self.queue.blocking_recv() {
            Some(first) => {
                self.waiting.push_back(first);
                true
            }
            None => false,
        }
    }

    fn next_waiting(&mut self) -> Option<Queued> {
        self.waiting.pop_front().or_else(|| self.queue.try_recv().ok())
    }

    fn one_batch(&mut self) {
        if self.pace.before_batch() {
            self.stats.paused();
        }
        self.refuse_late();
        let Some(first) = self.next_waiting() else { return };
        self.waiting.push_front(first);
        if FileIdentity::of(&self.path) != self.identity {
            self.refuse_all(&DbError::Replaced);
            return;
        }
        if let Err(error) = exec(&self.conn, "BEGIN IMMEDIATE") {
            self.begin_failed(DbError::from(error));
            return;
        }
        self.stats.batch_began();
        let mut ran = Vec::new();
        let apart = self.apart > 0 || !self.waiting.front().is_some_and(|first| first.job.is_repeatable());
        let run = if apart {
            self.run_apart(&mut ran)
        } else if self.run_together(&mut ran) {
            Ok(())
        } else {
            return self.once_more(ran);
        };
        let result = run.and_then(|()| exec(&self.conn, "COMMIT").map_err(DbError::from));
        let rolled_back = self.conn.is_autocommit() || exec(&self.conn, "ROLLBACK").is_ok();
        self.pace.after_batch();
        match result {
            Ok(()) => self.answer_committed(ran),
            Err(error) => {
                if error.spoils_connection() || !rolled_back {
                    self.open_anew();
                }
                self.answer_failed(ran, &error);
            }
        }
    }

    /// The next write that waits, or that comes within a moment where many come: see [`LINGER`].
    fn next_of_crowd(&mut self, ran: usize, began: Instant) -> Option<Queued> {
        let next = self.next_waiting();
        if next.is_some() || ran < CROWD {
            return next;
        }
        let silent = Instant::now();
        while silent.elapsed() < LINGER && began.elapsed() < LINGER_BATCH {
            crate::connection::pause(LINGER_STEP);
            let next = self.next_waiting();
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Whether a batch that holds `ran` writes takes more in.
    fn takes_more(&self, ran: usize, began: Instant) -> bool {
        ran < BATCH_JOBS && began.elapsed() < self.limits.batch && !self.given_up()
    }

    /// Runs waiting writes that can be run again, without anything between them. False when one failed: then the whole
    /// transaction is to be undone.
    fn run_together(&mut self, ran: &mut Vec<Ran>) -> bool {
        let began = Instant::now();
        while self.takes_more(ran.len(), began) {
            let Some(mut next) = self.next_of_crowd(ran.len(), began) else {
                break;
            };
            if !next.job.is_repeatable() {
                self.waiting.push_front(next);
                break;
            }
            let outcome = next.job.run(&WriteTx::new(&self.conn));
            let went_well = outcome.is_ok() && !self.conn.is_autocommit();
            ran.push((next, outcome));
            if !went_well {
                return false;
            }
        }
        true
    }

    /// Undoes a transaction in which one write failed, and puts all of its writes back to be run apart from each other.
    fn once_more(&mut self, ran: Vec<Ran>) {
        let rolled_back = self.conn.is_autocommit() || exec(&self.conn, "ROLLBACK").is_ok();
        self.pace.after_batch();
        if !rolled_back {
            self.open_anew();
        }
        self.apart = ran.len();
        for (queued, _) in ran.into_iter().rev() {
            self.waiting.push_front(queued);
        }
    }

    /// Runs waiting writes, each in a SAVEPOINT of its own, until the batch is full, old enough or nothing waits. An error
    /// means that the transaction is lost.
    fn run_apart(&mut self, ran: &mut Vec<Ran>) -> Result<(), DbError> {
        let began = Instant::now();
        while self.takes_more(ran.len(), began) {
            let Some(mut next) = self.next_waiting() else { break };
            self.apart = self.apart.saturating_sub(1);
            if let Err(error) = exec(&self.conn, "SAVEPOINT job").map_err(DbError::from) {
                ran.push((next, Err(error.clone())));
                return Err(error);
            }
            let outcome = next.job.run(&WriteTx::new(&self.conn));
            // After a full disk or an I/O error SQLite may have rolled the whole transaction back by itself
            // (https://www.sqlite.org/lang_transaction.html): then the earlier writes of this batch are gone as well.
            let settled = if self.conn.is_autocommit() {
                Err(outcome
                    .clone()
                    .err()
                    .unwrap_or_else(|| DbError::Sql(Cause::text("the transaction ended inside a write"))))
            } else if outcome.is_ok() {
                exec(&self.conn, "RELEASE job").map_err(DbError::from)
            } else {
                exec(&self.conn, "ROLLBACK TO job")
                    .and_then(|()| exec(&self.conn, "RELEASE job"))
                    .map_err(DbError::from)
            };
            ran.push((next, outcome));
            settled?;
        }
        Ok(())
    }

    /// Also the refusals are answered only now: what a write saw of its neighbours in the batch is true only after the commit.
    fn answer_committed(&self, ran: Vec<Ran>) {
        let refused = ran.iter().filter(|(_, outcome)| outcome.is_err()).count() as u64;
        let streak = self.stats.committed(ran.len() as u64 - refused, refused);
        if streak > 0 {
            tracing::info!(event = "db.write.recovered", failed_batches = streak);
        }
        for (queued, outcome) in ran {
            if let Err(error @ (DbError::Panicked { .. } | DbError::Sql(_))) = &outcome {
                tracing::error!(event = "db.write.refused", what = queued.job.what(), code = error.code(), error = %chain(error));
            }
            queued.job.answer(outcome);
        }
    }

    fn answer_failed(&self, ran: Vec<Ran>, error: &DbError) {
        self.record_failure(ran.len(), ran.last().map_or("none", |(q, _)| q.job.what()), error);
        for (queued, outcome) in ran {
            queued.job.answer(outcome.and_then(|()| Err(error.clone())));
        }
    }

    /// The lock was not to be had, or the file is in trouble. Writes that still have time stay in the queue when it was the lock.
    fn begin_failed(&mut self, error: DbError) {
        let rolled_back = self.conn.is_autocommit() || exec(&self.conn, "ROLLBACK").is_ok();
        self.pace.after_batch();
        if matches!(error, DbError::Busy(_)) {
            // SQLite may say busy without having waited (during recovery): do not spin.
            crate::connection::pause(Duration::from_millis(1));
            self.refuse_late();
            return;
        }
        if error.spoils_connection() || !rolled_back {
            self.open_anew();
        }
        self.refuse_all(&error);
    }

    /// Refuses what waited longer than allowed: nobody wants a write that happens after its caller was told to give up.
    fn refuse_late(&mut self) {
        let limit = self.limits.turn;
        let mut late = Vec::new();
        while let Some(front) = self.next_waiting() {
            if front.since.elapsed() < limit {
                self.waiting.push_front(front);
                break;
            }
            late.push(front);
        }
        if late.is_empty() {
            return;
        }
        let error = DbError::Busy(Cause::text(format!(
            "another writer held the lock, or the queue stood still, for {} ms",
            limit.as_millis()
        )));
        self.record_failure(late.len(), late.first().map_or("none", |q| q.job.what()), &error);
        for queued in late {
            queued.job.answer(Err(error.clone()));
        }
    }

    /// Answers everything that waits now with the same error.
    fn refuse_all(&mut self, error: &DbError) {
        let mut refused = Vec::new();
        while let Some(queued) = self.next_waiting() {
            refused.push(queued);
        }
        self.record_failure(refused.len(), refused.first().map_or("none", |q| q.job.what()), error);
        for queued in refused {
            queued.job.answer(Err(error.clone()));
        }
    }

    /// Counts, and logs the first failure of a streak and every doubling.
    fn record_failure(&self, jobs: usize, what: &str, error: &DbError) {
        let streak = self.stats.failed(jobs as u64, error);
        if streak.is_power_of_two() {
            tracing::error!(event = "db.write.failed", what, writes = jobs, failed_batches = streak, code = error.code(), error = %chain(error));
        }
    }

    /// After an I/O error the old connection may hold on to a broken state; a new one starts clean. If even that fails the
    /// old one stays and the next batch says what is wrong.
    fn open_anew(&mut self) {
        let opened = crate::connection::open_writer(&self.path).and_then(|mut conn| {
            crate::connection::finish_writer(&mut conn)?;
            Ok(conn)
        });
        match opened {
            Ok(conn) => {
                self.conn = conn;
                // Its connection met the same trouble, and may hang in it.
                self.log.abandon();
            }
            Err(error) => tracing::warn!(event = "db.reopen.failed", error = %error),
        }
    }

    /// Moves the log into the file if nobody is in the way. Waits for nobody: readers of other processes go on.
    fn checkpoint(&self) -> bool {
        crate::connection::set_busy_limit_of_this_thread(Duration::ZERO);
        let done = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        matches!(done, Ok(0))
    }
}

fn exec(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
