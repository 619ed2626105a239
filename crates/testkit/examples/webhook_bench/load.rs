//! Load and its latencies: closed loops (each connection asks as soon as it is answered) and open loops (requests have
//! a fixed time each, and latency counts from that time, so a stall is seen by everything that waits behind it).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::wire::Wire;

/// Makes the bytes of request number `n`.
pub(crate) type Request = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// What a load did.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// How long it took.
    pub(crate) took: Duration,
    /// Latencies of the answers 200.
    good: Vec<Duration>,
    /// Other answers and broken connections.
    pub(crate) bad: u64,
}

impl Answers {
    /// Good answers a second.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(crate) fn rate(&self) -> f64 {
        self.good.len() as f64 / self.took.as_secs_f64()
    }

    /// How many were good.
    pub(crate) fn good(&self) -> usize {
        self.good.len()
    }

    /// Latency in milliseconds below which `share` of the good answers lie.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let Some(last) = self.good.len().checked_sub(1) else {
            return f64::NAN;
        };
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let at = ((last as f64) * share).ceil() as usize;
        self.good[at.min(last)].as_secs_f64() * 1_000.0
    }

    fn add(&mut self, other: Self) {
        self.good.extend(other.good);
        self.bad += other.bad;
    }

    async fn of(mut workers: JoinSet<Self>, began: Instant) -> Self {
        let mut all = Self::default();
        while let Some(part) = workers.join_next().await {
            all.add(part.expect("a worker does not panic"));
        }
        all.took = began.elapsed();
        all.good.sort_unstable();
        all
    }
}

async fn one(wire: &mut Option<Wire>, to: SocketAddr, request: &[u8]) -> bool {
    if wire.is_none() {
        *wire = Wire::connect(to).await.ok();
    }
    let Some(open) = wire else { return false };
    match open.exchange(request).await {
        Ok(status) => status == 200,
        Err(_) => {
            *wire = None;
            false
        }
    }
}

/// `connections` ask as fast as they are answered, for `span`. Numbers come from `numbers`.
pub(crate) async fn closed(
    to: SocketAddr,
    connections: usize,
    span: Duration,
    request: &Request,
    numbers: &Arc<AtomicU64>,
) -> Answers {
    let began = Instant::now();
    let until = began + span;
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (request, numbers) = (Arc::clone(request), Arc::clone(numbers));
        workers.spawn(async move {
            let mut answers = Answers::default();
            let mut wire = None;
            while Instant::now() < until {
                let bytes = request(numbers.fetch_add(1, Ordering::Relaxed));
                let asked = Instant::now();
                if one(&mut wire, to, &bytes).await {
                    answers.good.push(asked.elapsed());
                } else {
                    answers.bad += 1;
                }
            }
            answers
        });
    }
    Answers::of(workers, began).await
}

/// `rate` requests a second for `span` on at most `connections`, each at its own time. The timer looks every
/// millisecond, which the latencies include.
pub(crate) async fn open(
    to: SocketAddr,
    connections: usize,
    rate: u32,
    span: Duration,
    request: &Request,
    numbers: &Arc<AtomicU64>,
) -> Answers {
    let began = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) / rate;
    let total = u64::from(rate) * span.as_secs();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (request, numbers, next) = (Arc::clone(request), Arc::clone(numbers), Arc::clone(&next));
        workers.spawn(async move {
            let mut answers = Answers::default();
            let mut wire = Wire::connect(to).await.ok();
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if turn >= total {
                    return answers;
                }
                let bytes = request(numbers.fetch_add(1, Ordering::Relaxed));
                let due = began + gap * u32::try_from(turn).expect("some minutes at most");
                tokio::time::sleep_until(due).await;
                if one(&mut wire, to, &bytes).await {
                    answers.good.push(due.elapsed());
                } else {
                    answers.bad += 1;
                }
            }
        });
    }
    Answers::of(workers, began).await
}
