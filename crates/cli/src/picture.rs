//! What the database says about the prefixes, read in one snapshot.

use std::time::Duration;

use db::decisions::Now;
use db::heartbeats::Heartbeat;
use db::intents::Intent;
use db::inventory::Entry;
use db::{Db, DbError, ReadTx};
use domain::alert::OpenAlert;
use domain::hold::Hold;
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;

use crate::life::{AUTOWITHDRAW, Service};

/// The database at one moment.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Known prefixes with their last live state.
    pub entries: Vec<Entry>,
    /// The daemon's current answers.
    pub answers: Vec<Now>,
    /// Holds and pauses in force.
    pub holds: Vec<Hold>,
    /// Open attack alerts.
    pub alerts: Vec<OpenAlert>,
    /// Open intents, oldest first.
    pub intents: Vec<Intent>,
    /// The daemon's last sign of life.
    pub beat: Option<Heartbeat>,
}

impl Picture {
    /// Reads it. `veto` is how long an open alert counts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(db: &Db, veto: Duration, now: Timestamp) -> Result<Self, DbError> {
        db.read("picture", move |tx| Self::read_in(tx, veto, now)).await
    }

    /// [`Picture::read`] within a transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read_in(tx: &ReadTx<'_>, veto: Duration, now: Timestamp) -> Result<Self, DbError> {
        Ok(Self {
            entries: db::inventory::all(tx)?,
            answers: db::decisions::current(tx)?,
            holds: db::holds::in_force(tx, now)?,
            alerts: db::ledger::open(tx, minus(now, veto))?,
            intents: db::intents::open(tx)?,
            beat: db::heartbeats::of(tx, AUTOWITHDRAW)?,
        })
    }

    /// What is stored of exactly this prefix.
    pub fn entry(&self, prefix: Prefix) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.prefix.prefix == prefix)
    }

    /// The daemon's answer for exactly this prefix.
    pub fn answer(&self, prefix: Prefix) -> Option<&Now> {
        self.answers.iter().find(|answer| answer.prefix == prefix)
    }

    /// The daemon, judged.
    pub fn daemon(&self, now: Timestamp) -> Service {
        Service::of(AUTOWITHDRAW, self.beat.as_ref(), now)
    }
}
