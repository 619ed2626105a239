//! Host names of attacking addresses, looked up in the background: the database says whose names are wanted and remembers
//! the answers. Nothing waits for this, and nothing that goes wrong here is a fault of the service.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Frame, LoopHandle, SharedClock, Streak};
use db::Db;
use db::hostnames::Hostname;
use domain::time::{minus, plus};
use geoip::names::{Boxed, CacheError, NameCache, Names, Remembered, Resolver, Round};
use tokio::time::MissedTickBehavior;

/// Limit within which the loop promises progress: a full round of look-ups none of which is answered, and room.
const LOOP_LIMIT: Duration = Duration::from_secs(120);

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(15);

/// Sources of rows stored within this time are looked up.
const SINCE: Duration = Duration::from_secs(86_400);

/// Addresses of one round.
const AT_A_TIME: u32 = 64;

/// Answers that expired longer ago than this are forgotten.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Rows forgotten by one round.
const FORGOTTEN: u32 = 500;

/// The cache in the database.
struct InDatabase {
    db: Db,
    clock: SharedClock,
    /// How Cloudflare writes the addresses.
    texts: BTreeMap<IpAddr, String>,
}

impl InDatabase {
    fn text(&self, address: IpAddr) -> String {
        self.texts.get(&address).cloned().unwrap_or_else(|| address.to_string())
    }
}

impl NameCache for InDatabase {
    fn known(&self, addresses: Vec<IpAddr>) -> Boxed<'_, Result<Vec<IpAddr>, CacheError>> {
        let texts: Vec<(IpAddr, String)> = addresses
            .into_iter()
            .map(|address| (address, self.text(address)))
            .collect();
        let now = self.clock.now();
        Box::pin(async move {
            let known = self.db.read("hostnames.known", move |tx| {
                let mut known = Vec::new();
                for (address, text) in texts {
                    if db::hostnames::get(tx, &text)?.is_some_and(|answer| answer.expires_at > now) {
                        known.push(address);
                    }
                }
                Ok(known)
            });
            Ok(known.await?)
        })
    }

    fn keep(&self, answers: Vec<Remembered>) -> Boxed<'_, Result<(), CacheError>> {
        let now = self.clock.now();
        let answers: Vec<Hostname> = answers
            .into_iter()
            .map(|answer| Hostname {
                address: self.text(answer.address),
                name: answer.name,
                problem: answer.problem,
                looked_up_at: now,
                expires_at: plus(now, answer.valid_for),
            })
            .collect();
        Box::pin(async move {
            let kept = self
                .db
                .write("hostnames.keep", move |tx| db::hostnames::store(tx, &answers));
            Ok(kept.await?)
        })
    }
}

/// One round: the sources that are wanted most.
///
/// # Errors
/// Those of the database.
pub async fn round(db: &Db, clock: &SharedClock, resolver: &Arc<dyn Resolver>) -> Result<Round, CacheError> {
    let now = clock.now();
    let wanted = db
        .read("hostnames.wanted", move |tx| {
            db::hostnames::wanted(tx, minus(now, SINCE), now, AT_A_TIME)
        })
        .await?;
    let (mut texts, mut unreadable) = (BTreeMap::new(), Vec::new());
    for text in wanted {
        match text.trim().parse::<IpAddr>() {
            Ok(address) => drop(texts.insert(address, text)),
            Err(_) => unreadable.push(Hostname {
                address: text,
                name: None,
                problem: Some("no address".to_owned()),
                looked_up_at: now,
                expires_at: plus(now, KEPT),
            }),
        }
    }
    if !unreadable.is_empty() {
        db.write("hostnames.unreadable", move |tx| db::hostnames::store(tx, &unreadable))
            .await?;
    }
    let addresses: Vec<IpAddr> = texts.keys().copied().collect();
    let cache = InDatabase {
        db: db.clone(),
        clock: clock.clone(),
        texts,
    };
    Names::new(Arc::clone(resolver), Arc::new(cache))
        .look_up(addresses)
        .await
}

/// Looks names up until shutdown.
pub fn look_up_names(frame: &Frame, db: Db, resolver: Arc<dyn Resolver>) {
    let inner = frame.clone();
    frame.spawn_loop("hostnames", LOOP_LIMIT, move |turn: LoopHandle| async move {
        let mut turns = tokio::time::interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        let mut failures = Streak::new();
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            let outcome = tokio::select! {
                _ = &mut stop => return Ok(()),
                outcome = round(&db, inner.clock(), &resolver) => outcome,
            };
            turn.tick();
            let monotonic = inner.clock().monotonic();
            match outcome {
                Ok(round) if round.failed > 0 && round.named + round.nameless == 0 => {
                    if let Some(run) = failures.failed(monotonic) {
                        tracing::warn!(
                            event = "hostnames.unanswered",
                            failures = run.failures,
                            addresses = round.failed
                        );
                    }
                }
                Ok(round) => {
                    if round.named + round.nameless > 0 {
                        failures.recovered(monotonic);
                        tracing::debug!(
                            event = "hostnames.looked_up",
                            named = round.named,
                            nameless = round.nameless,
                            failed = round.failed,
                        );
                    }
                }
                Err(error) => tracing::warn!(event = "hostnames.not_kept", error = %error),
            }
            let before = minus(inner.clock().now(), KEPT);
            let forgotten = db.read("hostnames.old", move |tx| db::hostnames::has_expired(tx, before));
            if forgotten.await.unwrap_or(false) {
                let pruned = db.write("hostnames.prune", move |tx| db::hostnames::prune(tx, before, FORGOTTEN));
                drop(pruned.await);
            }
        }
    });
}
