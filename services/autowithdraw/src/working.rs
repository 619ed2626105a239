//! Waiting for one piece of work of the decision loop: bumping lease and watchdog while it is
//! within its limit, because waiting for Cloudflare within a deadline is progress and hanging is not.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use daemon::{LoopHandle, Shutdown};
use db::Db;
use tokio::time::MissedTickBehavior;

use crate::actor::LeaseHolder;

/// Longest pause between two bumps: the lease's bump must never be older than 5 s before a call.
pub const BUMP_EVERY: Duration = Duration::from_secs(2);

/// Longer than everything in a cycle that has a limit of its own: list calls, analytics, and the
/// reads of the database. The lease is not bumped beyond it.
pub const WORK_LIMIT: Duration = Duration::from_secs(50);

/// How a piece of work ended.
#[derive(Debug)]
pub enum Ended<T> {
    /// With this.
    Done(T),
    /// It was given up at its limit.
    TooSlow,
    /// It was given up because the process ends.
    Stopped,
}

/// What keeps the process the actor while it works.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// The loop's sign of life.
    pub turn: &'a LoopHandle,
    /// The lease.
    pub holder: &'a LeaseHolder,
    /// Where the lease is.
    pub db: &'a Db,
    /// The end of the process.
    pub shutdown: &'a Shutdown,
}

impl Progress<'_> {
    /// Waits for `work`, once the process is to end only for `grace` more.
    pub async fn of<T>(self, grace: Duration, work: impl Future<Output = T>) -> Ended<T> {
        let bumping = async {
            let mut bumps = tokio::time::interval(BUMP_EVERY);
            bumps.set_missed_tick_behavior(MissedTickBehavior::Delay);
            bumps.tick().await;
            loop {
                bumps.tick().await;
                self.turn.tick();
                // A failed bump needs no handling here: an old bump forbids the call.
                let _ = self.holder.progress(self.db).await;
            }
        };
        let stopped = async {
            self.shutdown.triggered().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            done = pin!(work) => Ended::Done(done),
            () = tokio::time::sleep(WORK_LIMIT) => Ended::TooSlow,
            () = stopped => Ended::Stopped,
            () = bumping => Ended::TooSlow,
        }
    }
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}
