//! The loop that all services run: take what is due, put it into words, send it, record what became of it.
//!
//! What must hold: a row is sent at least once; the chat's pace is kept by all processes together; an idle loop reads
//! and never writes; trouble with Telegram or the database slows the loop and never ends it; shutdown waits for at most
//! one request. What one message goes through is in `hand`, how it is stored in `record`, the numbers in `limits`.

mod hand;
mod limits;
mod record;
mod upkeep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use db::outbox::{self, Claim, Look, Stuck, Terms};
use db::{ChangeWatch, Db, DbError};
use domain::notice::Priority;
use domain::time::{plus, since};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::render::{Frame, Renderer};
use crate::telegram::{DEADLINE, TelegramSender};

pub use limits::Limits;
pub(crate) use limits::{doubling, spread};

/// Reads the wall clock.
pub type ReadClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Draws a number from 0 (inclusive) to 1 (exclusive); only spreads waiting times.
pub type Draw = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Whether messages reach the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// As far as anybody knows.
    Works,
    /// Nothing has reached it for long although something waits.
    Stuck(Stuck),
}

/// Is told the condition with every look at it.
pub type Report = Arc<dyn Fn(&Condition) + Send + Sync>;

/// What a drain needs to know besides database and sender.
#[derive(Clone)]
pub struct DrainConfig {
    /// Names this run of this process; no other run may have the same name (service, host, pid, start).
    pub owner: String,
    /// The look of messages.
    pub frame: Frame,
    /// A message older than this is not sent any more; a summary tells of it.
    pub max_age: Duration,
    /// Waiting times and sizes.
    pub limits: Limits,
    /// The wall clock.
    pub now: ReadClock,
    /// Randomness for waiting times.
    pub draw: Draw,
    /// Where the condition is shown.
    pub report: Report,
}

impl std::fmt::Debug for DrainConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrainConfig")
            .field("owner", &self.owner)
            .field("frame", &self.frame)
            .field("max_age", &self.max_age)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Wakes a drain of the same process at once, after a commit that entered notifications. Not needed for
/// correctness: commits of any process are noticed within the poll interval.
#[derive(Debug, Clone)]
pub struct Poke(Arc<Notify>);

impl Poke {
    /// There is something to send.
    pub fn poke(&self) {
        self.0.notify_one();
    }
}

/// One process's drain.
pub struct Drain {
    db: Db,
    sender: Option<TelegramSender>,
    config: DrainConfig,
    poke: Arc<Notify>,
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain")
            .field("config", &self.config)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl Drain {
    /// A drain that has not begun. Without a sender nothing can be sent: rows are then ended as suppressed, unless
    /// another process sends.
    pub fn new(db: Db, sender: Option<TelegramSender>, config: DrainConfig) -> Self {
        Self {
            db,
            sender,
            config,
            poke: Arc::new(Notify::new()),
        }
    }

    /// A handle that wakes it.
    pub fn poke(&self) -> Poke {
        Poke(Arc::clone(&self.poke))
    }

    /// Runs until `shutdown`, then finishes the request under way, within the deadline of one request. `progress` is
    /// called with every turn; turns are further apart than a few seconds only while a request or the database is slow,
    /// so a limit of one minute suits a watchdog.
    pub async fn run(self, shutdown: impl Future<Output = ()>, progress: impl Fn()) {
        let limit = self.sender.as_ref().map_or(DEADLINE, TelegramSender::deadline);
        let (stop, stopped) = watch::channel(false);
        let mut worker = Worker::new(self, stopped);
        let mut express = worker.express();
        let work = async {
            // Only the first lane counts as a sign of life: it is the one that ends what is stuck.
            tokio::join!(worker.work(&progress), express.attend(&|| {}));
        };
        tokio::pin!(work, shutdown);
        tokio::select! {
            () = &mut work => return,
            () = &mut shutdown => {}
        }
        // The receiver lives in the worker, so this cannot fail.
        let _ = stop.send(true);
        if tokio::time::timeout(limit, work).await.is_err() {
            tracing::warn!(event = "notify.drain.cut_off", limit_s = limit.as_secs());
        }
    }
}

/// What a turn of the loop found.
enum Turn {
    /// Something was done; go on at once.
    Worked,
    /// Nothing to do before this instant, or before something is committed.
    Rest(Option<Timestamp>),
}

/// What a worker takes.
enum Lane {
    /// Everything; says when a request is under way.
    All(watch::Sender<bool>),
    /// Critical notices, while a request of the other lane is under way: one that hangs keeps none of them back.
    Critical(watch::Receiver<bool>),
}

struct Worker {
    lane: Lane,
    db: Db,
    sender: Option<Arc<TelegramSender>>,
    config: DrainConfig,
    renderer: Arc<Renderer>,
    terms: Arc<Terms>,
    poke: Arc<Notify>,
    stopped: watch::Receiver<bool>,
    changes: Option<ChangeWatch>,
    unrecorded: Vec<record::Ending>,
    /// No request before: the chat cannot be reached until a person changes something.
    broken_until: Option<Instant>,
    /// That was logged, and no message has arrived since.
    broken_told: bool,
    last_upkeep: Option<Instant>,
    condition: Condition,
    db_failures: u32,
}

impl Worker {
    fn new(drain: Drain, stopped: watch::Receiver<bool>) -> Self {
        let Drain {
            db,
            sender,
            config,
            poke,
        } = drain;
        let chat = sender.as_ref().map(TelegramSender::chat);
        let terms = Terms {
            owner: config.owner.clone(),
            chat_id: chat.map(ToString::to_string).unwrap_or_default(),
            pace: config
                .limits
                .pace
                .unwrap_or_else(|| limits::pace_of(chat.is_some_and(|chat| chat.is_group()))),
            lease: config.limits.lease,
            grouping: config.limits.grouping,
        };
        Self {
            lane: Lane::All(watch::Sender::new(false)),
            renderer: Arc::new(Renderer::new(&config.frame)),
            terms: Arc::new(terms),
            sender: sender.map(Arc::new),
            db,
            config,
            poke,
            stopped,
            changes: None,
            unrecorded: Vec::new(),
            broken_until: None,
            broken_told: false,
            last_upkeep: None,
            condition: Condition::Works,
            db_failures: 0,
        }
    }

    /// A second worker of the same process, for critical notices.
    fn express(&self) -> Self {
        let mut terms = Terms::clone(&self.terms);
        // Whoever owns a lease works on one message at a time.
        terms.owner.push_str("/express");
        Self {
            lane: match &self.lane {
                Lane::All(busy) => Lane::Critical(busy.subscribe()),
                Lane::Critical(busy) => Lane::Critical(busy.clone()),
            },
            db: self.db.clone(),
            sender: self.sender.clone(),
            config: self.config.clone(),
            renderer: Arc::clone(&self.renderer),
            terms: Arc::new(terms),
            // A poke wakes one, and that must be the lane that takes everything.
            poke: Arc::new(Notify::new()),
            stopped: self.stopped.clone(),
            changes: None,
            unrecorded: Vec::new(),
            broken_until: None,
            broken_told: false,
            last_upkeep: None,
            condition: Condition::Works,
            db_failures: 0,
        }
    }

    fn now(&self) -> Timestamp {
        (self.config.now)()
    }

    /// What this worker takes.
    fn only(&self) -> Option<Priority> {
        match self.lane {
            Lane::All(_) => None,
            Lane::Critical(_) => Some(Priority::Critical),
        }
    }

    fn set_busy(&self, busy: bool) {
        if let Lane::All(say) = &self.lane {
            say.send_replace(busy);
        }
    }

    fn stopping(&self) -> bool {
        *self.stopped.borrow()
    }

    async fn work(&mut self, progress: &impl Fn()) {
        self.begin().await;
        while !self.stopping() {
            progress();
            self.step(progress).await;
        }
    }

    /// The work of the express lane: only while the other one waits for an answer, or something is left to store.
    async fn attend(&mut self, progress: &impl Fn()) {
        while !self.stopping() {
            if let Lane::Critical(busy) = &mut self.lane
                && self.unrecorded.is_empty()
            {
                let mut stopped = self.stopped.clone();
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    busy = busy.wait_for(|busy| *busy) => if busy.is_err() { return },
                }
            }
            self.step(progress).await;
        }
    }

    async fn step(&mut self, progress: &impl Fn()) {
        match self.turn(progress).await {
            Ok(turn) => {
                self.db_works();
                if let Turn::Rest(until) = turn {
                    self.rest(until, progress).await;
                }
            }
            Err(error) => {
                self.db_failed(&error);
                let pause = limits::doubling(
                    self.config.limits.db_pause,
                    self.db_failures,
                    self.config.limits.db_pause_most,
                );
                self.pause(pause).await;
            }
        }
    }

    async fn begin(&mut self) {
        let Some(sender) = &self.sender else {
            tracing::warn!(
                event = "notify.no_channel",
                effect = "messages are kept as suppressed and nobody is told"
            );
            return;
        };
        if !sender.has_thread() {
            return;
        }
        // A topic that was gone may be another one now: the configuration is read at start.
        let (terms, clock) = (Arc::clone(&self.terms), Arc::clone(&self.config.now));
        let reset = self
            .db
            .write("notify.begin", move |tx| {
                let mut channel = outbox::channel(tx, &terms.chat_id)?;
                if channel.without_thread {
                    channel.without_thread = false;
                    outbox::set_channel(tx, &terms.chat_id, &channel, clock())?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = reset {
            self.db_failed(&error);
        }
    }

    async fn turn(&mut self, progress: &impl Fn()) -> Result<Turn, DbError> {
        self.record_late().await?;
        if matches!(self.lane, Lane::All(_))
            && self
                .last_upkeep
                .is_none_or(|last| last.elapsed() >= self.config.limits.upkeep_every)
        {
            self.upkeep().await?;
            self.last_upkeep = Some(Instant::now());
        }
        if self.sender.is_none() {
            return Ok(Turn::Rest(None));
        }
        if let Some(until) = self.broken_until {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Ok(Turn::Rest(Some(plus(self.now(), left))));
            }
            self.broken_until = None;
        }
        match self.look().await? {
            Look::Idle { next } => Ok(Turn::Rest(next)),
            Look::Wait(until) => Ok(Turn::Rest(Some(until))),
            Look::Due(_) => match self.claim(self.only()).await? {
                Claim::Send(row) => {
                    self.deliver(vec![*row], None, progress).await;
                    Ok(Turn::Worked)
                }
                Claim::Digest(rows) => {
                    self.deliver(rows, None, progress).await;
                    Ok(Turn::Worked)
                }
                Claim::Edit { rows, message_id } => {
                    self.deliver(rows, Some(message_id), progress).await;
                    Ok(Turn::Worked)
                }
                Claim::Wait(until) => Ok(Turn::Rest(Some(until))),
                Claim::Idle { next } => Ok(Turn::Rest(next)),
            },
        }
    }

    async fn look(&self) -> Result<Look, DbError> {
        let (terms, clock) = (Arc::clone(&self.terms), Arc::clone(&self.config.now));
        let only = self.only();
        self.db
            .read("notify.look", move |tx| outbox::look(tx, &terms, only, clock()))
            .await
    }

    /// The clock is read inside the transaction, so that the recorded instant is that of the turn and not of the queue.
    async fn claim(&self, only: Option<Priority>) -> Result<Claim, DbError> {
        let (terms, clock) = (Arc::clone(&self.terms), Arc::clone(&self.config.now));
        self.db
            .write("notify.claim", move |tx| outbox::claim(tx, &terms, only, clock()))
            .await
    }

    /// Waits until `until`, a poke, a commit of any process, the end, or for the longest rest.
    async fn rest(&mut self, until: Option<Timestamp>, progress: &impl Fn()) {
        let limits = &self.config.limits;
        let wait = until.map_or(limits.longest_rest, |until| {
            since(until, self.now()).min(limits.longest_rest)
        });
        let poll = limits.poll;
        let end = Instant::now() + wait;
        loop {
            progress();
            let step = end.min(Instant::now() + poll);
            let poke = Arc::clone(&self.poke);
            tokio::select! {
                _ = self.stopped.wait_for(|stop| *stop) => return,
                () = poke.notified() => return,
                () = tokio::time::sleep_until(step) => {}
            }
            if Instant::now() >= end || self.changed().await {
                return;
            }
        }
    }

    /// Whether anything was committed since the last time, by any process. True where that is not known.
    async fn changed(&mut self) -> bool {
        let (watch, db) = (self.changes.take(), self.db.clone());
        let polled = tokio::task::spawn_blocking(move || match watch {
            None => db.changes().map(|watch| (watch, true)),
            Some(mut watch) => watch.poll().map(|changed| (watch, changed)),
        });
        match polled.await {
            Ok(Ok((watch, changed))) => {
                self.changes = Some(watch);
                changed
            }
            _ => true,
        }
    }

    async fn pause(&mut self, length: Duration) {
        tokio::select! {
            _ = self.stopped.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(length) => {}
        }
    }

    fn db_failed(&mut self, error: &DbError) {
        self.db_failures = self.db_failures.saturating_add(1);
        if self.db_failures.is_power_of_two() {
            tracing::warn!(event = "notify.db.failed", code = error.code(), failures = self.db_failures, error = %error);
        }
    }

    fn db_works(&mut self) {
        let failures = std::mem::take(&mut self.db_failures);
        if failures > 0 {
            tracing::info!(event = "notify.db.recovered", failures);
        }
    }
}
