//! Catching up with alerts that the receiver did not get: Cloudflare's notification history since
//! the last known moment, compared with what was delivered.
//!
//! | Module | Holds |
//! |---|---|
//! | [`mod@reach`] | which part of the history a turn reads (pure) |
//! | [`summary`] | one message about everything that was recovered (pure) |
//! | [`watch`] | turn after turn until shutdown, seen by health and log |
//!
//! What must hold: the cursor moves only over entries that are in the database, delivered or
//! recovered, and in the transaction that tells people; an answer that cannot be read moves nothing.
//! Rule 6 takes the cursor for a sign that open alerts are known although the receiver is silent.

pub mod reach;
pub mod summary;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assembly::intake::recovery::{Dispatched, Found};
use cf_api::rest::history::{HistoryItem, HistoryRequest};
use cf_api::{CfError, CloudflareClient};
use daemon::SharedClock;
use db::alert_history::{self, CURSOR};
use db::{Db, DbError, ReadTx, WriteTx};
use domain::ids::IncidentId;
use domain::notice::Notice;
use domain::prefix::{Prefix, PrefixMap};
use domain::time::to_db_text;
use jiff::Timestamp;

use reach::{Reach, reach};

/// Entries of one answer.
const PER_PAGE: u32 = 500;

/// Answers of one turn; of a history with more than this the older half is read first.
const MOST_PAGES: u32 = 20;

/// Alerts taken in by one write: a few milliseconds, so that the receiver gets its turn.
const PER_WRITE: usize = 25;

/// Alerts of one summary. More are told in the next one.
const TOLD_AT_ONCE: u32 = 2_000;

/// Mechanism of entries that a receiver should have got. Mails and pages of the same alert are
/// entries of their own and not meant for us; an entry that does not say is taken for ours.
const WEBHOOK: &str = "webhook";

/// What a turn did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caught {
    /// Everything dispatched before this is in the database.
    pub up_to: Option<Timestamp>,
    /// Entries looked at for the first time whose delivery the receiver has.
    pub delivered: u64,
    /// Entries taken in from the history.
    pub recovered: u64,
    /// The history reaches further; the next turn goes on.
    pub is_behind: bool,
    /// More entries within one second than can be asked for.
    pub truncated: bool,
    /// The cursor was later than our clock.
    pub cursor_ahead: bool,
    /// Begin of a time that Cloudflare may no longer have.
    pub lost_since: Option<Timestamp>,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// Cloudflare gave no usable answer.
    #[error("Cloudflare's notification history cannot be read")]
    Cloudflare(#[source] Box<CfError>),
    /// The database could not be read or written.
    #[error("what Cloudflare's notification history says cannot be stored")]
    Database(#[from] DbError),
}

impl From<CfError> for CatchUpError {
    fn from(error: CfError) -> Self {
        Self::Cloudflare(Box::new(error))
    }
}

impl CatchUpError {
    /// Stable word for the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cloudflare(error) => error.class.as_str(),
            Self::Database(error) => error.code(),
        }
    }

    /// The whole chain of causes.
    pub fn chain(&self) -> String {
        match self {
            Self::Cloudflare(error) => format!("{self}: {error}"),
            Self::Database(error) => format!("{self}: {error}"),
        }
    }

    /// How long Cloudflare asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Cloudflare(error) => error.retry_after,
            Self::Database(_) => None,
        }
    }
}

/// Reads the history turn by turn.
#[derive(Clone)]
pub struct CatchUp {
    db: Db,
    api: CloudflareClient,
    clock: SharedClock,
    settle: Duration,
    own: Arc<Vec<Prefix>>,
    progress: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp")
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

impl CatchUp {
    /// `settle` is how old an entry must be: a delivery may still be on its way. `own` are the
    /// configured prefixes; the discovered ones come from the database.
    pub fn new(db: Db, api: CloudflareClient, clock: SharedClock, settle: Duration, own: Vec<Prefix>) -> Self {
        Self {
            db,
            api,
            clock,
            settle,
            own: Arc::new(own),
            progress: Arc::new(|| ()),
        }
    }

    /// Where everything is stored.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Calls `progress` after each answer and each write.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn() + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Reads from the last known moment to now and takes in what the receiver did not get.
    /// Cancelling it loses nothing: the next turn looks at the same entries again.
    ///
    /// # Errors
    /// Why the cursor stays where it was; alerts recovered before the failure stay recovered and
    /// are told with the next turn that succeeds.
    pub async fn turn(&self) -> Result<Caught, CatchUpError> {
        let now = self.clock.now();
        let begin = |tx: &ReadTx<'_>| Ok((cursor(tx)?, db::inbox::oldest_at(tx)?));
        let (cursor, unread) = self.db.read("alert_history.begin", begin).await?;
        let reach = reach(cursor, now, self.settle);
        // What the receiver did not read yet cannot be compared: its entries are for a later turn.
        let Some(reach) = reach.up_to(unread, now) else {
            return Ok(Caught::default());
        };
        let (mut items, before, truncated) = self.entries(&reach).await?;
        let mut caught = Caught {
            up_to: Some(before),
            is_behind: before < reach.before,
            truncated,
            cursor_ahead: reach.cursor_ahead,
            lost_since: reach.lost_since,
            ..Caught::default()
        };
        items.retain(|item| {
            let mechanism = item.mechanism_type.as_deref();
            mechanism.is_none_or(|mechanism| mechanism.is_empty() || mechanism.eq_ignore_ascii_case(WEBHOOK))
        });
        items.sort_by(|a, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
        for part in self.unknown(items).await?.chunks(PER_WRITE) {
            let part: Vec<Dispatched> = part.iter().map(|item| Dispatched::read(item, now)).collect();
            let own = Arc::clone(&self.own);
            let found = self
                .db
                .write("alert_history.keep", move |tx| keep(tx, part, &own, now))
                .await?;
            (self.progress)();
            caught.delivered += found.0;
            caught.recovered += found.1;
        }
        let lost = reach.lost_since;
        self.db
            .write("alert_history.close", move |tx| close(tx, before, lost, now))
            .await?;
        (self.progress)();
        Ok(caught)
    }

    /// The entries of the reach, or of as much of its beginning as one turn can take.
    async fn entries(&self, reach: &Reach) -> Result<(Vec<HistoryItem>, Timestamp, bool), CfError> {
        let mut before = reach.before;
        loop {
            let mut items = Vec::new();
            let mut complete = false;
            for page in 1..=MOST_PAGES {
                let request = HistoryRequest {
                    since: reach.since,
                    before,
                    page,
                    per_page: PER_PAGE,
                };
                let answer = self.api.alert_history(request).await?;
                (self.progress)();
                items.extend(answer.items);
                if !answer.has_more {
                    complete = true;
                    break;
                }
            }
            match reach::half(reach.since, before).filter(|_| !complete) {
                Some(half) => before = half,
                None => return Ok((items, before, !complete)),
            }
        }
    }

    async fn unknown(&self, items: Vec<HistoryItem>) -> Result<Vec<HistoryItem>, DbError> {
        self.db
            .read("alert_history.unknown", move |tx| {
                let mut unknown = Vec::new();
                for item in items {
                    if !alert_history::is_known(tx, &item.id)? {
                        unknown.push(item);
                    }
                }
                Ok(unknown)
            })
            .await
    }
}

/// Up to where everything is known. An unreadable cursor is none.
///
/// # Errors
/// Those of the database.
pub fn cursor(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    let text = db::leases::cursor(tx, CURSOR)?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

/// Our prefixes as known now.
///
/// # Errors
/// Those of the database.
pub fn networks(tx: &ReadTx<'_>, own: &[Prefix]) -> Result<PrefixMap<()>, DbError> {
    let discovered = db::inventory::all(tx)?;
    let discovered = discovered.iter().map(|entry| entry.prefix.prefix);
    Ok(own
        .iter()
        .copied()
        .chain(discovered)
        .map(|prefix| (prefix, ()))
        .collect())
}

/// How many were delivered, and how many recovered.
fn keep(tx: &WriteTx<'_>, part: Vec<Dispatched>, own: &[Prefix], now: Timestamp) -> Result<(u64, u64), DbError> {
    let networks = networks(tx, own)?;
    let (mut delivered, mut recovered) = (0, 0);
    for dispatched in part {
        match dispatched.keep(tx, &networks, now)? {
            Found::Known => {}
            Found::Delivered(_) => delivered += 1,
            Found::Recovered(kept) => {
                recovered += 1;
                tracing::warn!(
                    event = "alert_history.alert.recovered",
                    delivery = kept.delivery.0,
                    kind = kept.kind,
                    number = kept.event.map(|event| event.0),
                    incident = kept.incident.map(|incident| incident.0),
                );
            }
        }
    }
    Ok((delivered, recovered))
}

fn close(tx: &WriteTx<'_>, before: Timestamp, lost_since: Option<Timestamp>, now: Timestamp) -> Result<(), DbError> {
    let untold = alert_history::untold(tx, TOLD_AT_ONCE)?;
    let mut incidents = BTreeMap::new();
    for id in untold.iter().filter_map(|alert| alert.incident) {
        if !incidents.contains_key(&id)
            && let Some(incident) = db::incidents::get(tx, id)?
        {
            incidents.insert(id, incident);
        }
    }
    if let Some(facts) = summary::of(&untold, &incidents, lost_since, now) {
        let only: Vec<IncidentId> = incidents.keys().copied().collect();
        let all_in_it = untold.iter().all(|alert| alert.incident.is_some());
        let notice = Notice {
            incident: only.first().copied().filter(|_| only.len() == 1 && all_in_it),
            ..Notice::about(facts)
        };
        db::outbox::enqueue(tx, &notice, now)?;
        let ids: Vec<String> = untold.into_iter().map(|alert| alert.id).collect();
        alert_history::mark_told(tx, &ids)?;
    }
    // Another process may have read further meanwhile; a cursor in the future is wrong.
    let ahead = cursor(tx)?.is_some_and(|cursor| cursor > before && cursor <= now);
    if ahead {
        return Ok(());
    }
    db::leases::set_cursor(tx, CURSOR, &to_db_text(before), now)
}
