//! The rows of a span into the database: page by page, and at its end notices and watermark.
//!
//! Known rows are only read: a poll of a time that did not change takes no write lock and looks nothing up. Notices are
//! made from the table, of all rows after the last announced one, in the transaction that moves the watermark. So a
//! failure between two pages loses nothing and announces nothing twice: the rows that were stored are announced when the
//! span is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cf_api::CfError;
use cf_api::graphql::dropped::DroppedRows;
use cf_api::graphql::mitigations::{MitigationRow, Witness};
use db::analytics::{NewRow, Stored};
use db::{Db, DbError, ReadTx, WriteTx};
use domain::ids::{IncidentId, normalise_id};
use domain::notice::{Facts, Notice, Priority};
use domain::prefix::Prefix;
use domain::time::{for_people_seconds, since, to_db_text};
use geoip::GeoIp;
use jiff::Timestamp;

use crate::enrich::enrich;
use crate::feed::{self, Source};
use crate::grouping::{Audience, Grouping};
use crate::identity::identity;
use crate::networks::Networks;
use crate::peaks::Peaks;
use crate::poll::PollError;
use crate::window::Span;

/// Number of the last announced row.
const ANNOUNCED: &str = "mitigations_announced";

/// The dashboard's switch.
const MY_PREFIXES_ONLY: &str = "my_prefixes_only";

/// The networks whose attacks are announced, when the dashboard has a list of its own: a list of texts.
const ANNOUNCED_PREFIXES: &str = "announced_prefixes";

/// Rows that are values at once, and rows of one write: a few milliseconds, so that other writers get their turn.
const ROWS_AT_ONCE: usize = 500;

/// The same of rows that are read to be announced.
const READ_AT_ONCE: u32 = 500;

/// Rows that one message may be about. More are announced in several messages.
const ANNOUNCED_AT_ONCE: usize = 20_000;

/// People are told that rows are missing at most so often: in a long flood every answer is cut.
const CUT_TOLD_EVERY: Duration = Duration::from_secs(3_600);

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

/// What goes with the end of a span.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The span that was read completely.
    pub span: Span,
    /// Whose rows.
    pub source: Source,
    /// Data that Cloudflare no longer has.
    pub lost: Option<Span>,
    /// Parts of the span of which rows are missing.
    pub truncated: Vec<Span>,
    /// Our networks and Cloudflare's.
    pub networks: Networks,
    /// Rows with fewer packets are not announced.
    pub min_packets: u64,
    /// Systems whose rows are announced, besides the DDoS rules.
    pub announced: Vec<Witness>,
}

/// Up to where everything of the main source was read. An unreadable mark is none.
///
/// # Errors
/// Those of the database.
pub fn watermark(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    watermark_of(tx, &Source::rows(Witness::Ddos))
}

/// Up to where everything of a source was read.
///
/// # Errors
/// Those of the database.
pub fn watermark_of(tx: &ReadTx<'_>, source: &Source) -> Result<Option<Timestamp>, DbError> {
    let text = db::leases::cursor(tx, &source.watermark)?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// Moves the mark to the end of a span, unless it is there. Another process may have read further meanwhile; a mark in
/// the future is wrong.
///
/// # Errors
/// Those of the database.
pub fn move_watermark(tx: &WriteTx<'_>, source: &Source, to: Timestamp, now: Timestamp) -> Result<(), DbError> {
    let mark = watermark_of(tx, source)?;
    if mark.is_some_and(|mark| mark == to || (mark > to && mark <= now)) {
        return Ok(());
    }
    db::leases::set_cursor(tx, &source.watermark, &to_db_text(to), now)
}

/// What one span's pages have come to.
#[derive(Debug, Default)]
pub struct Keeping {
    kept: Kept,
    attacks: BTreeSet<String>,
    peaks: Peaks,
}

impl Keeping {
    /// Stores a page, a part of it at a time: only what is new or grew is looked up and written. `progress` is called
    /// after each write.
    ///
    /// # Errors
    /// An unreadable row, those of the database, or a fault of ours. Rows may have been stored.
    pub async fn page(
        &mut self,
        db: &Db,
        geoip: &Arc<GeoIp>,
        networks: &Networks,
        rows: DroppedRows,
        now: Timestamp,
        progress: &(dyn Fn() + Send + Sync),
    ) -> Result<(), PollError> {
        let prepare = |rows: DroppedRows| tokio::task::spawn_blocking(move || Part::of(rows));
        let mut next = prepare(rows);
        loop {
            let (part, rows) = next.await.map_err(|_| PollError::Lookup)??;
            if part.rows.is_empty() {
                return Ok(());
            }
            // The next part is made while this one is stored.
            next = prepare(rows);
            self.part(db, geoip, networks, part, now).await?;
            progress();
        }
    }

    async fn part(
        &mut self,
        db: &Db,
        geoip: &Arc<GeoIp>,
        networks: &Networks,
        part: Part,
        now: Timestamp,
    ) -> Result<(), PollError> {
        let Part { rows, groups } = part;
        for row in &rows {
            if let Some(attack) = &row.attack_id {
                if !self.attacks.contains(attack) {
                    self.attacks.insert(attack.clone());
                }
                self.peaks.add(attack, row.at, row.packets.0, row.bits.0);
            }
        }
        let (groups, news) = db
            .read("mitigations.news", move |tx| {
                let news = db::analytics::news(tx, &groups)?;
                Ok((groups, news))
            })
            .await?;
        self.kept.known += (rows.len() - news.len()) as u64;
        if news.is_empty() {
            return Ok(());
        }
        let (geoip, networks) = (Arc::clone(geoip), networks.clone());
        let enriched = tokio::task::spawn_blocking(move || {
            let stored = |position: usize| NewRow {
                identity: Some(groups[position].0.clone()),
                ..enrich(&rows[position], &geoip, &networks)
            };
            news.into_iter().map(stored).collect::<Vec<_>>()
        });
        let enriched = enriched.await.map_err(|_| PollError::Lookup)?;
        let kept = db.write("mitigations.rows", move |tx| store(tx, enriched, now));
        self.kept.add(kept.await?);
        Ok(())
    }

    /// The span is read: notices, what belongs to incidents, and the watermark, in one transaction.
    ///
    /// # Errors
    /// Those of the database. Then the watermark has not moved.
    pub async fn close(self, db: &Db, closing: Closing, now: Timestamp) -> Result<Kept, DbError> {
        let Self {
            mut kept,
            attacks,
            peaks,
        } = self;
        kept.notices = db
            .write("mitigations.close", move |tx| {
                close(tx, &attacks, &peaks, &closing, now)
            })
            .await?;
        Ok(kept)
    }
}

/// Some rows of an answer with what tells them from others.
struct Part {
    rows: Vec<MitigationRow>,
    /// Identity, packets and bits of each.
    groups: Vec<(String, u64, u64)>,
}

impl Part {
    /// The next rows of the answer, and the rest of it.
    fn of(mut answer: DroppedRows) -> Result<(Self, DroppedRows), CfError> {
        let rows = answer.take(ROWS_AT_ONCE)?;
        let group = |row: &MitigationRow| (identity(row), row.packets.0, row.bits.0);
        let groups = rows.iter().map(group).collect();
        Ok((Self { rows, groups }, answer))
    }
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

/// The incident that is known under an attack's id.
pub(crate) fn incident_of(tx: &ReadTx<'_>, attack: &str) -> Result<Option<IncidentId>, DbError> {
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
    attacks: &BTreeSet<String>,
    peaks: &Peaks,
    closing: &Closing,
    now: Timestamp,
) -> Result<u64, DbError> {
    for attack in attacks {
        if let Some(incident) = incident_of(tx, attack)? {
            db::analytics::tie_to_incident(tx, attack, incident, TIED_AT_ONCE)?;
            peaks.raise(tx, attack, incident, now)?;
        }
    }
    let queued = announce(tx, closing, now)?;
    let end = End {
        to: Some(closing.span.to),
        lost: closing.lost,
        truncated: &closing.truncated,
    };
    finish(tx, &closing.source, &end, now)?;
    Ok(queued)
}

/// How reading a span ended, for any source.
#[derive(Debug, Clone, Copy, Default)]
pub struct End<'a> {
    /// The new watermark, of sources that have one.
    pub to: Option<Timestamp>,
    /// Data that Cloudflare no longer has.
    pub lost: Option<Span>,
    /// Parts of which rows are missing.
    pub truncated: &'a [Span],
}

/// What is true of every source when a span was read: the watermark moves, a run of failures is over, and people are told
/// what is missing.
///
/// # Errors
/// Those of the database.
pub fn finish(tx: &WriteTx<'_>, source: &Source, end: &End<'_>, now: Timestamp) -> Result<(), DbError> {
    if let Some(lost) = end.lost {
        let facts = Facts::DataGap {
            feed: source.title.clone(),
            from: lost.from,
            to: lost.to,
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    }
    tell_cut(tx, source, end.truncated, now)?;
    if let Some(to) = end.to {
        move_watermark(tx, source, to, now)?;
    }
    feed::recovered(tx, source, now)
}

fn tell_cut(tx: &WriteTx<'_>, source: &Source, truncated: &[Span], now: Timestamp) -> Result<(), DbError> {
    let (Some(first), Some(last)) = (truncated.first(), truncated.last()) else {
        return Ok(());
    };
    let told = db::leases::cursor(tx, &source.cut_told)?.and_then(|text| domain::time::from_text(&text));
    if told.is_some_and(|told| told <= now && since(now, told) < CUT_TOLD_EVERY) {
        return Ok(());
    }
    let facts = Facts::Raised {
        title: format!("Incomplete: {}", source.title),
        text: format!(
            "Between {} and {} there is more than Cloudflare gives out in its answers. What came is in the record; \
             amounts of that time are at least what is shown. If it goes on, you hear of it again in an hour.",
            for_people_seconds(first.from),
            for_people_seconds(last.to),
        ),
        priority: Priority::High,
    };
    db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    db::leases::set_cursor(tx, &source.cut_told, &to_db_text(now), now)
}

fn announce(tx: &WriteTx<'_>, closing: &Closing, now: Timestamp) -> Result<u64, DbError> {
    let mut announced = begin_announcing(tx, now)?;
    let listed = announced_prefixes(tx)?;
    let audience = Audience {
        is_listed: listed.is_some(),
        networks: match listed {
            Some(list) => closing.networks.with_own(list),
            None => closing.networks.clone(),
        },
        my_prefixes_only: my_prefixes_only(tx)?,
        min_packets: closing.min_packets,
        announced: closing.announced.clone(),
    };
    let mut queued = 0;
    loop {
        let (mut grouping, mut read) = (Grouping::new(&audience), 0);
        while read < ANNOUNCED_AT_ONCE {
            let rows = db::analytics::after(tx, announced, READ_AT_ONCE)?;
            let Some(last) = rows.last() else { break };
            announced = last.id;
            read += rows.len();
            rows.into_iter().for_each(|row| grouping.add(row));
        }
        if read == 0 {
            return Ok(queued);
        }
        for notice in grouping.notices() {
            db::outbox::enqueue(tx, &notice, now)?;
            queued += 1;
        }
        db::leases::set_cursor(tx, ANNOUNCED, &announced.to_string(), now)?;
    }
}

/// The dashboard's list. One of another shape, empty, or with something that is no network counts as never set: silence
/// would be the wrong guess.
fn announced_prefixes(tx: &ReadTx<'_>) -> Result<Option<Vec<Prefix>>, DbError> {
    let list: Option<Vec<String>> = match db::preferences::get(tx, ANNOUNCED_PREFIXES) {
        Ok(list) => list,
        Err(DbError::BadRow { .. }) => None,
        Err(error) => return Err(error),
    };
    let parsed = list.and_then(|list| {
        list.iter()
            .map(|text| text.parse().ok())
            .collect::<Option<Vec<Prefix>>>()
    });
    Ok(parsed.filter(|list| !list.is_empty()))
}

/// A switch of another shape than ours counts as never set; it must not stop the polls.
fn my_prefixes_only(tx: &ReadTx<'_>) -> Result<bool, DbError> {
    match db::preferences::get(tx, MY_PREFIXES_ONLY) {
        Ok(set) => Ok(set.unwrap_or(true)),
        Err(DbError::BadRow { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
