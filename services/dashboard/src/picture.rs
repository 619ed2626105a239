//! What the database says about everything the pages show, read as one moment.
//!
//! Must hold: however many browsers ask, the database is read once for all of them; a picture is never older than
//! [`FRESH_FOR`] and never older than the last change this process made or saw; a part that cannot be read says so and
//! the others are shown all the same. Nothing is judged here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use db::budget::Counts;
use db::decisions::Now;
use db::events::Event;
use db::heartbeats::Heartbeat;
use db::incidents::Incident;
use db::intents::Intent;
use db::inventory::{Entry, MonitoringRule};
use db::lists::tunnels::TunnelReport;
use db::outbox::{Channel, Depth, Notification};
use db::{DbError, ReadTx};
use db::{
    budget, decisions, deliveries, events, heartbeats, holds, incidents, intents, inventory, ledger, lists, outbox,
    series,
};
use domain::alert::OpenAlert;
use domain::hold::Hold;
use domain::time::minus;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::app::App;

/// How long a picture serves without a look at the database: commits of other processes that no open page waits for
/// are not watched.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Incidents whose last sign is older are past, whatever their END says.
const INCIDENTS_WITHIN: Duration = Duration::from_secs(86_400);

/// Alerts that never ended are shown as open for this long.
const ALERTS_WITHIN: Duration = Duration::from_secs(86_400);

/// Rows of the log on the main page.
pub(crate) const LOG_ROWS: u32 = 60;

/// Past incidents on the main page.
const RECENT_INCIDENTS: u32 = 8;

/// Ongoing incidents at most; a storm on every prefix is still one page.
const ONGOING_INCIDENTS: u32 = 50;

/// Why a part could not be read although the database works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

/// A part of the picture, or why there is none.
pub(crate) type Part<T> = Result<T, Unreadable>;

/// One moment of the database.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// Grows with every change that was seen.
    pub(crate) version: u64,
    pub(crate) inventory: Part<Vec<Entry>>,
    pub(crate) decisions: Part<Vec<Now>>,
    pub(crate) holds: Part<Vec<Hold>>,
    pub(crate) alerts: Part<Vec<OpenAlert>>,
    pub(crate) intents: Part<Vec<Intent>>,
    pub(crate) ongoing: Part<Vec<Incident>>,
    pub(crate) recent: Part<Vec<Incident>>,
    pub(crate) log: Part<Vec<Event>>,
    pub(crate) services: Part<Vec<Heartbeat>>,
    pub(crate) outbox: Part<Outbox>,
    pub(crate) last_delivery: Part<Option<Timestamp>>,
    /// The cached monitoring rules, each with when it was read.
    pub(crate) rules: Part<Vec<(MonitoringRule, Timestamp)>>,
    /// What Cloudflare reported last about each tunnel.
    pub(crate) tunnels: Part<Vec<TunnelReport>>,
    /// Calls to Cloudflare, by process.
    pub(crate) calls: Part<Vec<Counts>>,
    /// The newest minute of dropped traffic that was read.
    pub(crate) minute: Part<Option<Timestamp>>,
}

/// The messages to people.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) depth: Depth,
    /// State of the way to the configured chat; `None` when there is none.
    pub(crate) channel: Option<Channel>,
    pub(crate) last_sent: Option<Notification>,
    pub(crate) last_failed: Option<Notification>,
}

impl Picture {
    fn read(tx: &ReadTx<'_>, version: u64, chat: Option<&str>, now: Timestamp) -> Result<Self, DbError> {
        let without_payload = |mut rows: Vec<Event>| {
            // Up to a megabyte each, and no list shows them.
            rows.iter_mut().for_each(|row| row.raw_payload = None);
            rows
        };
        Ok(Self {
            version,
            inventory: part(inventory::all(tx))?,
            decisions: part(decisions::current(tx))?,
            holds: part(holds::in_force(tx, now))?,
            alerts: part(ledger::open(tx, minus(now, ALERTS_WITHIN)))?,
            intents: part(intents::open(tx))?,
            ongoing: part(incidents::ongoing(tx, minus(now, INCIDENTS_WITHIN), ONGOING_INCIDENTS))?,
            recent: part(incidents::newest(tx, None, RECENT_INCIDENTS))?,
            log: part(events::newest(tx, None, LOG_ROWS).map(without_payload))?,
            services: part(heartbeats::all(tx))?,
            outbox: part(read_outbox(tx, chat))?,
            last_delivery: part(deliveries::last_received(tx))?,
            rules: part(inventory::rules(tx))?,
            tunnels: part(lists::tunnels::reported(tx))?,
            calls: part(budget::all(tx, now))?,
            minute: part(series::newest_minute(tx))?,
        })
    }
}

impl Picture {
    /// The parts that could not be read.
    fn unreadable(&self) -> Vec<&'static str> {
        let parts = [
            ("prefixes", self.inventory.is_err()),
            ("decisions", self.decisions.is_err()),
            ("holds", self.holds.is_err()),
            ("alerts", self.alerts.is_err()),
            ("intents", self.intents.is_err()),
            ("incidents", self.ongoing.is_err() || self.recent.is_err()),
            ("log", self.log.is_err()),
            ("services", self.services.is_err()),
            ("messages", self.outbox.is_err()),
            ("deliveries", self.last_delivery.is_err()),
            ("monitoring rules", self.rules.is_err()),
            ("tunnels", self.tunnels.is_err()),
            ("calls", self.calls.is_err()),
            ("traffic", self.minute.is_err()),
        ];
        parts
            .into_iter()
            .filter(|(_, failed)| *failed)
            .map(|(name, _)| name)
            .collect()
    }
}

fn read_outbox(tx: &ReadTx<'_>, chat: Option<&str>) -> Result<Outbox, DbError> {
    Ok(Outbox {
        depth: outbox::depth(tx)?,
        channel: chat.map(|chat| outbox::channel(tx, chat)).transpose()?,
        last_sent: outbox::newest(tx, Some("sent"), 1)?.pop(),
        last_failed: outbox::newest(tx, Some("failed"), 1)?.pop(),
    })
}

/// A database in trouble fails the whole picture; a row that cannot be understood fails its part.
fn part<T>(read: Result<T, DbError>) -> Result<Part<T>, DbError> {
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is_outage() => Err(error),
        Err(error) => {
            let (code, error) = (error.code(), &error as &(dyn std::error::Error + 'static));
            tracing::debug!(event = "dashboard.picture.part_failed", code, error);
            Ok(Err(Unreadable(crate::words::outside(&error.to_string()))))
        }
    }
}

/// The last picture, shared by all requests.
#[derive(Debug)]
pub(crate) struct Pictures {
    version: AtomicU64,
    last: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    picture: Arc<Picture>,
    read: Duration,
}

impl Pictures {
    /// `started` makes the numbers of this process larger than those of the one before: an open page must not take
    /// another picture for the one it shows.
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            version: AtomicU64::new(u64::try_from(started.as_millisecond()).unwrap_or(1)),
            last: Mutex::new(None),
        }
    }

    /// Something was committed: what was read before is out of date. Returns the new version.
    pub(crate) fn changed(&self) -> u64 {
        self.version.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The picture of now. Whoever comes while it is being read waits for that one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn current(&self, app: &App) -> Result<Arc<Picture>, DbError> {
        let mut last = self.last.lock().await;
        let clock = app.frame().clock();
        // Taken before reading: a change in between makes the picture old and not wrongly new.
        let version = self.version.load(Ordering::Acquire);
        let began = clock.monotonic();
        if let Some(kept) = last.as_ref()
            && kept.picture.version == version
            && began.saturating_sub(kept.read) < FRESH_FOR
        {
            return Ok(Arc::clone(&kept.picture));
        }
        let chat = app
            .settings()
            .telegram
            .as_ref()
            .map(|telegram| telegram.chat_id.to_string());
        let now = app.now();
        let read = move |tx: &ReadTx<'_>| Picture::read(tx, version, chat.as_deref(), now);
        let picture = Arc::new(app.db().read("picture", read).await?);
        app.report_unreadable(&picture.unreadable());
        *last = Some(Kept {
            picture: Arc::clone(&picture),
            read: began,
        });
        Ok(picture)
    }
}
