//! Where many deliveries come at once, they are stored as they are, answered, and read afterwards.
//!
//! Reading one writes its delivery, event, incident, veto and message: ten times what storing its body takes. Few at a time are
//! read before the answer, as always; from [`CROWD`] on the answer waits for the body alone, which is as durable.
//! What must hold:
//! - Nothing that is answered is lost: reading takes a row out of the inbox in the transaction that keeps what it says, also
//!   after a crash.
//! - Whatever is not read yet vetoes every withdrawal (`db::ledger::open`), because nobody knows what it is about.
//! - Reading goes on under any load (a slice every twenty milliseconds at least), and what waits is bounded ([`MOST_WAITING`],
//!   [`MOST_BYTES`]): beyond, deliveries are read before their answer again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assembly::intake::unread::{Waiting, notice_of};
use daemon::{Frame, LoopHandle, Streak, Weight};
use db::inbox::{Backlog, Unread};
use db::{Db, DbError, ReadTx, WriteTx};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::routes::Receiver;

/// Deliveries on their way from which on the next one is stored before it is read. Cloudflare sends a few at a time.
pub const CROWD: usize = 16;

/// Deliveries that may wait to be read. When the crowd is gone they are read in about twenty seconds on two cores.
pub const MOST_WAITING: u64 = 100_000;

/// Bytes of bodies that may wait to be read.
pub const MOST_BYTES: u64 = 128 * 1024 * 1024;

/// Deliveries read in one transaction while a crowd waits for its answers.
const SLICE: u32 = 32;

/// Deliveries read in one transaction otherwise: some ten milliseconds in which no other process writes.
const LARGE_SLICE: u32 = 64;

/// Bytes of bodies after which a slice takes no further delivery.
const SLICE_BYTES: usize = 1024 * 1024;

/// How long reading rests after each slice while a crowd waits for its answers.
const TURN: Duration = Duration::from_millis(20);

/// How long after a failure reading is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long one step of reading may take; the database has shorter limits of its own.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// How old the oldest unread delivery may become before health says so.
const TOO_OLD: Duration = Duration::from_secs(60);

/// How often health looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a crowd counts as one after it was last seen: between two commits all of them have their answers.
const CROWD_FOR: Duration = Duration::from_millis(50);

/// What waits, and who is on the way.
#[derive(Debug)]
pub struct Inbox {
    on_their_way: AtomicUsize,
    began: Instant,
    /// Until when there is a crowd, in milliseconds since `began`.
    crowd_until: AtomicU64,
    waiting: AtomicU64,
    bytes: AtomicU64,
    came: Notify,
}

/// A delivery between its last byte and its answer.
#[derive(Debug)]
pub struct OnItsWay<'a> {
    inbox: &'a Inbox,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.inbox.on_their_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OnItsWay<'_> {
    /// Whether it is to be stored before it is read.
    pub fn goes_first(&self) -> bool {
        self.inbox.is_crowded()
            && self.inbox.waiting.load(Ordering::Relaxed) < MOST_WAITING
            && self.inbox.bytes.load(Ordering::Relaxed) < MOST_BYTES
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            on_their_way: AtomicUsize::new(0),
            began: Instant::now(),
            crowd_until: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            came: Notify::new(),
        }
    }
}

impl Inbox {
    /// One more delivery wants an answer.
    pub fn enter(&self) -> OnItsWay<'_> {
        let others = self.on_their_way.fetch_add(1, Ordering::Relaxed);
        if others >= CROWD {
            let until = self.now() + u64::try_from(CROWD_FOR.as_millis()).unwrap_or(u64::MAX);
            self.crowd_until.store(until, Ordering::Relaxed);
        }
        OnItsWay { inbox: self }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many wait to be read.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Stores a delivery as it is.
    ///
    /// # Errors
    /// Those of the database; it is not stored then.
    pub async fn put(&self, db: &Db, unread: Unread) -> Result<(), DbError> {
        let bytes = unread.body.len() as u64;
        let unread = Arc::new(unread);
        let shared = Arc::clone(&unread);
        // Counted before: a reader that is faster must not count below zero.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let put = move |tx: &WriteTx<'_>| db::inbox::put(tx, &shared);
        let stored = db.write_repeatable("inbox.put", put).await;
        match stored {
            Ok(()) => self.came.notify_one(),
            // Whether it will be stored is not known: the next count tells, and wakes the reader.
            Err(DbError::NoAnswer { .. }) => {}
            Err(_) => self.gone(1, bytes),
        }
        stored
    }

    /// Sets the numbers right while nobody changes them.
    fn count(&self, backlog: &Backlog) {
        if self.on_their_way.load(Ordering::Relaxed) == 0 {
            self.waiting.store(backlog.deliveries, Ordering::Relaxed);
            self.bytes.store(backlog.bytes, Ordering::Relaxed);
        }
    }

    fn gone(&self, deliveries: u64, bytes: u64) {
        let less = |counter: &AtomicU64, by: u64| {
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(by)));
        };
        less(&self.waiting, deliveries);
        less(&self.bytes, bytes);
    }

    fn is_crowded(&self) -> bool {
        self.now() < self.crowd_until.load(Ordering::Relaxed)
    }
}

/// Starts reading what waits, beginning with what an earlier process left.
///
/// # Errors
/// What waits cannot be counted.
pub async fn start(frame: &Frame, receiver: &Arc<Receiver>) -> Result<(), DbError> {
    look(receiver).await?;
    watch(frame, receiver);
    let (receiver, inner) = (Arc::clone(receiver), frame.clone());
    frame.spawn_loop("inbox", STEP_LIMIT, |turn| async move {
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        let mut stuck = Stuck::default();
        loop {
            let read = tokio::select! {
                _ = &mut stop => return Ok(()),
                read = read_all(&receiver, &turn, &mut stuck) => read,
            };
            stuck.note(&read, &inner);
            let pause = async {
                match read {
                    Ok(()) => receiver.inbox.came.notified().await,
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            };
            tokio::select! {
                _ = &mut stop => return Ok(()),
                () = turn.idle(pause) => {}
            }
        }
    });
    Ok(())
}

/// What reading failed at so far.
#[derive(Debug, Default)]
struct Stuck {
    streak: Streak,
    /// Deliveries that cannot be taken in and that people were told of.
    told: BTreeSet<i64>,
}

impl Stuck {
    fn note(&mut self, read: &Result<(), DbError>, frame: &Frame) {
        let now = frame.clock().monotonic();
        match read {
            Ok(()) => drop(self.streak.recovered(now)),
            Err(error) => {
                if let Some(run) = self.streak.failed(now) {
                    let failures = run.failures;
                    tracing::error!(event = "webhook.unread", code = error.code(), error = %error, failures);
                }
            }
        }
    }
}

/// Reads slice after slice until nothing waits; the next one is read while one is kept. A slice that cannot be kept is tried one by
/// one, so that one delivery holds up no other. Trouble of the database itself is nobody's fault: everything stays.
async fn read_all(receiver: &Arc<Receiver>, turn: &LoopHandle, stuck: &mut Stuck) -> Result<(), DbError> {
    let mut failed = None;
    let mut slice = next_slice(receiver, 0).await?;
    while let Some(last) = slice.last() {
        turn.tick();
        let after = last.id;
        let ids: Vec<i64> = slice.iter().map(|one| one.id).collect();
        let (kept, next) = tokio::join!(keep(receiver, slice), next_slice(receiver, after));
        if let Err(error) = kept {
            if error.is_outage() {
                return Err(error);
            }
            for id in ids {
                turn.tick();
                match keep_alone(receiver, id, stuck).await {
                    Ok(()) => {}
                    Err(error) if error.is_outage() => return Err(error),
                    Err(error) => failed = Some(error),
                }
            }
        }
        slice = next?;
        if receiver.inbox.is_crowded() {
            turn.idle(tokio::time::sleep(TURN)).await;
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What waits after `after`, read; as much as one transaction takes in.
async fn next_slice(receiver: &Receiver, after: i64) -> Result<Vec<Waiting>, DbError> {
    let most = if receiver.inbox.is_crowded() {
        SLICE
    } else {
        LARGE_SLICE
    };
    let look = move |tx: &ReadTx<'_>| db::inbox::oldest(tx, after, most, SLICE_BYTES);
    let unread = receiver.db.read("inbox.oldest", look).await?;
    let mut slice = Vec::with_capacity(unread.len());
    for (number, unread) in unread.into_iter().enumerate() {
        if number % 16 == 15 {
            // Others want answers meanwhile.
            tokio::task::yield_now().await;
        }
        slice.push(Waiting::read(unread));
    }
    Ok(slice)
}

/// A delivery alone. One at which our own code or its statements fail stays and vetoes, and people are told once: a later version
/// of this program, or a mended row of another table, may let it in.
async fn keep_alone(receiver: &Receiver, id: i64, stuck: &mut Stuck) -> Result<(), DbError> {
    let find = move |tx: &ReadTx<'_>| db::inbox::oldest(tx, id - 1, 1, 1);
    let found = receiver.db.read("inbox.alone", find).await?.into_iter().next();
    let Some(unread) = found.filter(|found| found.id == id) else {
        return Ok(());
    };
    let Err(error) = keep(receiver, vec![Waiting::read(unread.clone())]).await else {
        return Ok(());
    };
    if !error.is_outage() && !stuck.told.contains(&id) {
        let (notice, now) = (notice_of(&unread, &error.to_string()), receiver.clock.now());
        let tell = move |tx: &WriteTx<'_>| db::outbox::enqueue(tx, &notice, now).map(drop);
        receiver.db.write_repeatable("inbox.tell", tell).await?;
        stuck.told.insert(id);
    }
    Err(error)
}

/// Takes in what was read, in one transaction.
async fn keep(receiver: &Receiver, waiting: Vec<Waiting>) -> Result<(), DbError> {
    let (deliveries, bytes) = (waiting.len() as u64, waiting.iter().map(|one| one.bytes).sum());
    let (networks, now) = (receiver.networks.current(), receiver.clock.now());
    let kept = receiver
        .db
        .write_repeatable("inbox.keep", move |tx| {
            let kept = waiting.iter().map(|one| one.keep(tx, &networks, now));
            kept.collect::<Result<Vec<_>, DbError>>()
        })
        .await?;
    receiver.inbox.gone(deliveries, bytes);
    for kept in kept.into_iter().flatten() {
        receiver.counts.kept(&kept);
        tracing::info!(
            event = "webhook.stored",
            delivery = kept.delivery.0,
            kind = kept.kind,
            duplicate = kept.duplicate,
            waited = true,
        );
    }
    Ok(())
}

/// Health of the promise that what was answered is read soon. The numbers are counted anew meanwhile.
fn watch(frame: &Frame, receiver: &Arc<Receiver>) {
    let check = frame.health().check("inbox", Weight::Supporting, LOOK_EVERY * 6);
    let (receiver, inner) = (Arc::clone(receiver), frame.clone());
    frame.spawn_loop("inbox-watch", LOOK_EVERY * 6, |turn| async move {
        let mut turns = tokio::time::interval(LOOK_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            match look(&receiver).await {
                Ok(None) => check.ok("every delivery is read"),
                Ok(Some(oldest)) => {
                    // Stored by another process, or after its sender was told that nobody knows.
                    receiver.inbox.came.notify_one();
                    let age = domain::time::since(receiver.clock.now(), oldest);
                    let text = format!(
                        "{} deliveries are stored and not read yet, the oldest for {} s",
                        receiver.inbox.waiting().max(1),
                        age.as_secs()
                    );
                    if age < TOO_OLD {
                        check.ok(text);
                    } else {
                        check.degraded(text);
                    }
                }
                Err(error) => check.failing(error.to_string()),
            }
        }
    });
}

/// When the oldest unread delivery came. Counts what waits anew while no crowd changes it.
async fn look(receiver: &Receiver) -> Result<Option<Timestamp>, DbError> {
    if receiver.inbox.is_crowded() {
        return receiver.db.read("inbox.oldest_at", db::inbox::oldest_at).await;
    }
    let backlog = receiver.db.read("inbox.backlog", db::inbox::backlog).await?;
    receiver.inbox.count(&backlog);
    Ok(backlog.oldest)
}
