//! One actor (rule 13): the lease that says which process may act.
//!
//! Its counter is bumped by the progressing decision loop and by nothing else. Another process is
//! dead when its counter stood still for [`domain::intent::DEAD_AFTER`] on *our* monotonic clock; wall clocks are
//! never compared. Who takes over reads before it acts, because every intent starts with a read.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use daemon::SharedClock;
use db::leases::Lease;
use db::{Db, DbError};
use domain::decision::Mode;
use domain::intent::Watch;
use prefix_ops::Actor;

/// Name of the lease.
pub const LEASE: &str = "autowithdraw";

/// Whether this process may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It holds the lease and just bumped it.
    Actor,
    /// Another process holds it.
    StandBy {
        /// Who.
        owner: String,
    },
}

/// This process's side of the lease.
#[derive(Debug)]
pub struct LeaseHolder {
    owner: String,
    clock: SharedClock,
    mode: Mode,
    /// Monotonic instant of our last successful bump.
    bumped_at: Mutex<Option<Duration>>,
    /// The foreign lease as last seen.
    seen: Mutex<Watch<Lease>>,
}

impl LeaseHolder {
    /// A holder that does not hold anything yet. `owner` is unique per process start.
    pub fn new(owner: String, clock: SharedClock, mode: Mode) -> Self {
        Self {
            owner,
            clock,
            mode,
            bumped_at: Mutex::new(None),
            seen: Mutex::new(Watch::new()),
        }
    }

    /// Bumps the lease if it is ours, takes it if it is free or its owner is dead. To be called by
    /// the decision loop whenever it made progress.
    ///
    /// # Errors
    /// Those of the database; the lease then is not bumped, and no call may start on an old bump.
    pub async fn progress(&self, db: &Db) -> Result<Standing, DbError> {
        let (owner, now) = (self.owner.clone(), self.clock.now());
        let before = self.clock.monotonic();
        let dead = lock(&self.seen).dead(before).cloned();
        let lease = db
            .write("lease.progress", move |tx| {
                if db::leases::bump(tx, LEASE, &owner, now)? {
                    return Ok(None);
                }
                let current = db::leases::get(tx, LEASE)?;
                let free = current.is_none() || current == dead;
                if free && db::leases::take(tx, LEASE, &owner, current.as_ref(), now)? {
                    return Ok(None);
                }
                db::leases::get(tx, LEASE)
            })
            .await?;
        match lease {
            None => {
                // The instant before the write: a slow commit must not make the bump look younger.
                *lock(&self.bumped_at) = Some(before);
                lock(&self.seen).forget();
                Ok(Standing::Actor)
            }
            Some(lease) => {
                *lock(&self.bumped_at) = None;
                let owner = lease.owner.clone();
                lock(&self.seen).saw(lease, self.clock.monotonic());
                Ok(Standing::StandBy { owner })
            }
        }
    }

    /// Gives the lease back at an orderly end.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release(&self, db: &Db) -> Result<(), DbError> {
        *lock(&self.bumped_at) = None;
        let owner = self.owner.clone();
        db.write("lease.release", move |tx| db::leases::release(tx, LEASE, &owner))
            .await
    }
}

impl Actor for LeaseHolder {
    fn lease_name(&self) -> &str {
        LEASE
    }

    fn lease_owner(&self) -> &str {
        &self.owner
    }

    fn since_bump(&self) -> Duration {
        lock(&self.bumped_at).map_or(Duration::MAX, |at| self.clock.monotonic().saturating_sub(at))
    }

    fn mode(&self) -> Mode {
        self.mode
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
