//! What the database says about the prefixes, read in one snapshot.

use std::time::Duration;

use db::decisions::Now;
use db::events::{Event, ForeignChange};
use db::heartbeats::Heartbeat;
use db::intents::Intent;
use db::inventory::Entry;
use db::{Db, DbError, ReadTx};
use domain::alert::OpenAlert;
use domain::hold::Hold;
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;

use settings::Settings;

use crate::cool_down::CoolDowns;
use crate::elsewhere;
use crate::life::{AUTOWITHDRAW, Service};
use crate::standing::{Known, Reading, Sight, believed_for};

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
    /// Changes that no intent of ours explains, newest first.
    pub foreign: Vec<(Event, ForeignChange)>,
    /// What was learnt of Cloudflare's waiting times.
    pub cool_downs: CoolDowns,
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
            foreign: db::events::foreign_since(tx, minus(now, elsewhere::LOOKED_BACK), elsewhere::MOST)?,
            cool_downs: CoolDowns::learn(tx)?,
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

    /// Every prefix that is known or listed by the operator, with its stored state, in network order.
    pub fn known(&self, settings: &Settings) -> Vec<Known> {
        let mut known: Vec<Known> = self.entries.iter().map(|entry| of_entry(entry, settings)).collect();
        for prefix in settings.managed_prefixes() {
            if self.entry(prefix).is_none() {
                known.push(never_seen(
                    prefix,
                    settings,
                    "it is listed, but was never seen at Cloudflare",
                ));
            }
        }
        known.sort_by_key(|known| known.prefix);
        known
    }

    /// What standings are judged by.
    pub fn sight<'a>(&'a self, daemon: &'a Service, settings: &Settings, now: Timestamp) -> Sight<'a> {
        Sight {
            now,
            daemon,
            answers: &self.answers,
            holds: &self.holds,
            alerts: &self.alerts,
            blind: None,
            believed_for: believed_for(&settings.autowithdraw),
            propagation: settings.autowithdraw.propagation,
        }
    }
}

/// A prefix as the database remembers it.
pub fn of_entry(entry: &Entry, settings: &Settings) -> Known {
    let prefix = entry.prefix.prefix;
    Known {
        prefix,
        description: described(prefix, &entry.prefix.description, settings),
        asn: entry.prefix.asn,
        managed: settings.managed_prefixes().contains(&prefix),
        reading: Reading::Stored {
            state: entry.prefix.state.clone(),
            at: entry.read_at,
            because: entry.error.clone(),
        },
    }
}

/// A prefix of which only the configuration speaks.
pub fn never_seen(prefix: Prefix, settings: &Settings, because: &str) -> Known {
    Known {
        prefix,
        description: described(prefix, "", settings),
        asn: settings.mapped(prefix).and_then(|mapped| mapped.asn),
        managed: settings.managed_prefixes().contains(&prefix),
        reading: Reading::Never {
            because: because.to_owned(),
        },
    }
}

/// The operator's own name for a prefix, else the one given.
pub fn described(prefix: Prefix, otherwise: &str, settings: &Settings) -> String {
    let own = settings.mapped(prefix).and_then(|mapped| mapped.description.clone());
    own.unwrap_or_else(|| otherwise.to_owned())
}
