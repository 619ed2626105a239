//! The rows of a span into the database: in parts, the last of which carries notices and
//! watermark.
//!
//! Notices are made from the table, of all rows after the last announced one, in the transaction
//! that moves the watermark. So a crash between two parts loses nothing and announces nothing
//! twice: the rows that were stored are announced when the span is read again.

use std::collections::BTreeMap;

use db::analytics::{NewRow, Stored};
use db::{Db, DbError, ReadTx, WriteTx};
use domain::duration::human;
use domain::ids::{IncidentId, normalise_id};
use domain::notice::{Facts, Notice, Priority};
use domain::time::{for_people, to_db_text};
use jiff::Timestamp;

use crate::feed;
use crate::grouping::{Audience, notices};
use crate::networks::Networks;
use crate::window::Span;

/// Up to where everything was read.
const WATERMARK: &str = "mitigations_watermark";

/// Number of the last announced row.
const ANNOUNCED: &str = "mitigations_announced";

/// The dashboard's switch.
const MY_PREFIXES_ONLY: &str = "my_prefixes_only";

/// Rows of one write: a few milliseconds, so that other writers get their turn.
const ROWS_PER_WRITE: usize = 500;

/// Rows that are announced at once. More are announced in several messages.
const ANNOUNCED_AT_ONCE: u32 = 20_000;

/// Rows tied to a new incident by one poll.
const TIED_AT_ONCE: u32 = 5_000;

/// What storing a span did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Rows not seen before.
    pub new: u64,
    /// Known rows whose counters grew.
    pub grown: u64,
    /// Known rows, unchanged.
    pub known: u64,
    /// Notices queued.
    pub notices: u64,
}

impl Kept {
    /// Adds another span's.
    pub fn add(&mut self, other: Self) {
        self.new += other.new;
        self.grown += other.grown;
        self.known += other.known;
        self.notices += other.notices;
    }

    fn count(&mut self, stored: Stored) {
        match stored {
            Stored::New(_) => self.new += 1,
            Stored::Grown(_) => self.grown += 1,
            Stored::Known(_) => self.known += 1,
        }
    }
}

/// What goes with the last rows of a span.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The span that was read completely.
    pub span: Span,
    /// Data that Cloudflare no longer has.
    pub lost: Option<Span>,
    /// Our networks and Cloudflare's.
    pub networks: Networks,
    /// Rows with fewer packets are not announced.
    pub min_packets: u64,
}

/// Up to where everything was read. An unreadable mark is none.
///
/// # Errors
/// Those of the database.
pub fn watermark(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    let text = db::leases::cursor(tx, WATERMARK)?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// Stores a span. `progress` is called after each write.
///
/// # Errors
/// Those of the database. Then the watermark has not moved; rows may have been stored.
pub async fn keep(
    db: &Db,
    mut rows: Vec<NewRow>,
    closing: Closing,
    now: Timestamp,
    progress: &(dyn Fn() + Send + Sync),
) -> Result<Kept, DbError> {
    let attacks: BTreeMap<String, ()> = rows
        .iter()
        .filter_map(|row| Some((row.attack_id.clone()?, ())))
        .collect();
    let mut kept = Kept::default();
    while rows.len() > ROWS_PER_WRITE {
        let rest = rows.split_off(ROWS_PER_WRITE);
        let part = std::mem::replace(&mut rows, rest);
        kept.add(db.write("mitigations.rows", move |tx| store(tx, part, now)).await?);
        progress();
    }
    let last = db.write("mitigations.close", move |tx| {
        let mut kept = store(tx, rows, now)?;
        kept.notices = close(tx, attacks.into_keys(), &closing, now)?;
        Ok(kept)
    });
    kept.add(last.await?);
    progress();
    Ok(kept)
}

fn store(tx: &WriteTx<'_>, rows: Vec<NewRow>, now: Timestamp) -> Result<Kept, DbError> {
    begin_announcing(tx, now)?;
    let mut incidents: BTreeMap<String, Option<IncidentId>> = BTreeMap::new();
    let mut kept = Kept::default();
    for mut row in rows {
        if let Some(attack) = &row.attack_id {
            row.incident = match incidents.get(attack) {
                Some(known) => *known,
                None => {
                    let found = incident_of(tx, attack)?;
                    incidents.insert(attack.clone(), found);
                    found
                }
            };
        }
        kept.count(db::analytics::store(tx, &row, now)?);
    }
    Ok(kept)
}

fn incident_of(tx: &ReadTx<'_>, attack: &str) -> Result<Option<IncidentId>, DbError> {
    db::incidents::by_key(tx, "attack", &normalise_id(attack))
}

/// Rows that were there before the first poll, such as the predecessor's, are not announced.
fn begin_announcing(tx: &WriteTx<'_>, now: Timestamp) -> Result<i64, DbError> {
    let known = db::leases::cursor(tx, ANNOUNCED)?.and_then(|text| text.parse().ok());
    match known {
        Some(id) => Ok(id),
        None => {
            let newest = db::analytics::newest_id(tx)?;
            db::leases::set_cursor(tx, ANNOUNCED, &newest.to_string(), now)?;
            Ok(newest)
        }
    }
}

/// Returns how many notices were queued.
fn close(
    tx: &WriteTx<'_>,
    attacks: impl Iterator<Item = String>,
    closing: &Closing,
    now: Timestamp,
) -> Result<u64, DbError> {
    for attack in attacks {
        if let Some(incident) = incident_of(tx, &attack)? {
            db::analytics::tie_to_incident(tx, &attack, incident, TIED_AT_ONCE)?;
        }
    }
    let queued = announce(tx, closing, now)?;
    if let Some(lost) = closing.lost {
        db::outbox::enqueue(tx, &Notice::about(gap(lost)), now)?;
    }
    // Another process may have read further meanwhile; a mark in the future is wrong.
    let ahead = watermark(tx)?.is_some_and(|mark| mark > closing.span.to && mark <= now);
    if !ahead {
        db::leases::set_cursor(tx, WATERMARK, &to_db_text(closing.span.to), now)?;
    }
    feed::recovered(tx, now)?;
    Ok(queued)
}

fn announce(tx: &WriteTx<'_>, closing: &Closing, now: Timestamp) -> Result<u64, DbError> {
    let mut announced = begin_announcing(tx, now)?;
    let audience = Audience {
        networks: closing.networks.clone(),
        my_prefixes_only: my_prefixes_only(tx)?,
        min_packets: closing.min_packets,
    };
    let mut queued = 0;
    loop {
        let rows = db::analytics::after(tx, announced, ANNOUNCED_AT_ONCE)?;
        let Some(last) = rows.last() else { break };
        announced = last.id;
        for notice in notices(&rows, &audience) {
            db::outbox::enqueue(tx, &notice, now)?;
            queued += 1;
        }
        db::leases::set_cursor(tx, ANNOUNCED, &announced.to_string(), now)?;
    }
    Ok(queued)
}

/// A switch of another shape than ours counts as never set; it must not stop the polls.
fn my_prefixes_only(tx: &ReadTx<'_>) -> Result<bool, DbError> {
    match db::preferences::get(tx, MY_PREFIXES_ONLY) {
        Ok(set) => Ok(set.unwrap_or(true)),
        Err(DbError::BadRow { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

fn gap(lost: Span) -> Facts {
    Facts::Raised {
        title: "Attack analytics have a gap".into(),
        text: format!(
            "Nothing was read for {}, from {} to {}, and Cloudflare no longer has that time. What it dropped then is \
             not in the record.",
            human(lost.length()),
            for_people(lost.from),
            for_people(lost.to),
        ),
        priority: Priority::High,
    }
}
