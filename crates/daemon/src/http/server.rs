//! The accept loop of one listener.
//!
//! Must hold: nothing a peer does or omits keeps a connection, a slot or the shutdown for longer than its limit; a full
//! house or a lack of file descriptors slows accepting down and never ends it; a panic in one connection touches no other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tower_http::catch_panic::CatchPanicLayer;

use super::connection::{self, Counters};
use super::limits::HttpLimits;
use super::listener::{Accept, PreboundListener};
use crate::clock::SharedClock;
use crate::frame::Frame;
use crate::progress::LoopHandle;
use crate::streak::Streak;
use crate::tasks::panic_text;

/// The accept loop ticks whenever it waits, so only a runtime that stands still stalls it.
const LOOP_LIMIT: Duration = Duration::from_secs(15);

/// First wait after an accept error that concerns the machine; doubled up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Longest wait after an accept error.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` until shutdown, as the loop `http:NAME` of `frame`.
///
/// At shutdown the listener is closed, idle connections end at once, running requests get `limits.drain`, and what is
/// left is cut off and counted. Streams without an end must watch [`Frame::shutdown`] themselves.
pub fn serve(frame: &Frame, name: &str, listener: PreboundListener, router: Router, limits: HttpLimits) {
    tracing::info!(event = "http.listening", listener = name, address = %listener.address());
    serve_from(frame, name, listener, router, limits);
}

fn serve_from<A: Accept>(frame: &Frame, name: &str, acceptor: A, router: Router, limits: HttpLimits) {
    let server = Server {
        name: name.to_owned(),
        clock: Arc::clone(frame.clock()),
        limits,
        builder: connection::builder(&limits),
        router: router.layer(CatchPanicLayer::custom(connection::answer_panic)),
        counters: Counters::register(frame.metrics(), name),
        slots: Arc::new(Semaphore::new(limits.max_connections)),
        graceful: GracefulShutdown::new(),
        connections: JoinSet::new(),
        accept_errors: Streak::new(),
        full_since: None,
    };
    let stop = frame.shutdown().triggered();
    frame.spawn_loop(&format!("http:{name}"), LOOP_LIMIT, |turn| async move {
        server.run(acceptor, turn, stop).await;
        Ok(())
    });
}

struct Server {
    name: String,
    clock: SharedClock,
    limits: HttpLimits,
    builder: http1::Builder,
    router: Router,
    counters: Counters,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
    accept_errors: Streak,
    full_since: Option<Duration>,
}

impl Server {
    async fn run<A: Accept>(mut self, mut acceptor: A, turn: LoopHandle, stop: impl Future) {
        let mut stop = std::pin::pin!(stop);
        let mut backoff = MIN_BACKOFF;
        loop {
            let slots = Arc::clone(&self.slots);
            self.note_fullness();
            let next = async {
                // Closed only with the server, so the wait ends with a permit.
                let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
                acceptor.accept().await.map(|connection| (slot, connection))
            };
            let accepted = tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(ended) = self.connections.join_next() => {
                    self.note_end(ended);
                    turn.tick();
                    continue;
                }
                accepted = turn.idle(next) => accepted,
            };
            match accepted {
                Ok((slot, connection)) => {
                    backoff = MIN_BACKOFF;
                    self.note_accept_works();
                    self.begin(slot, connection);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    self.note_accept_error(&error);
                    tokio::select! {
                        biased;
                        _ = &mut stop => break,
                        () = tokio::time::sleep(backoff) => {}
                    }
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        // Closing the listener first lets a successor claim the address while requests finish.
        drop(acceptor);
        self.drain().await;
    }

    fn begin(&mut self, slot: OwnedSemaphorePermit, connection: (TcpStream, SocketAddr)) {
        self.counters.accepted.inc();
        let open = Open::count(&self.counters);
        let serving = connection::serve(
            self.builder.clone(),
            self.limits,
            self.router.clone(),
            self.counters.clone(),
            self.graceful.watcher(),
            connection,
        );
        self.connections.spawn(async move {
            let _held = (slot, open);
            serving.await;
        });
    }

    async fn drain(mut self) {
        let limit = tokio::time::sleep(self.limits.drain);
        let mut limit = std::pin::pin!(limit);
        let mut told = std::pin::pin!(self.graceful.shutdown());
        let mut all_told = false;
        loop {
            tokio::select! {
                biased;
                () = &mut told, if !all_told => all_told = true,
                ended = self.connections.join_next() => match ended {
                    None => return,
                    Some(ended) => note_end(&self.name, ended),
                },
                () = &mut limit => break,
            }
        }
        let cut_off = self.connections.len();
        let limit_s = self.limits.drain.as_secs_f64();
        tracing::warn!(event = "http.drain.expired", listener = self.name, cut_off, limit_s);
        self.connections.shutdown().await;
    }

    fn note_end(&self, ended: Result<(), JoinError>) {
        note_end(&self.name, ended);
    }

    fn note_fullness(&mut self) {
        let now = self.clock.monotonic();
        let free = self.slots.available_permits();
        // Only a real relief counts as one, so that a house that is just full does not fill the log.
        let relieved = free > self.limits.max_connections / 8;
        match self.full_since {
            None if free == 0 => {
                self.full_since = Some(now);
                let limit = self.limits.max_connections;
                tracing::warn!(event = "http.connections.full", listener = self.name, limit);
            }
            Some(since) if relieved => {
                self.full_since = None;
                let lasted_s = now.saturating_sub(since).as_secs_f64();
                tracing::info!(event = "http.connections.freed", listener = self.name, lasted_s);
            }
            _ => {}
        }
    }

    fn note_accept_error(&mut self, error: &io::Error) {
        if let Some(run) = self.accept_errors.failed(self.clock.monotonic()) {
            let error: &(dyn std::error::Error + 'static) = error;
            let failures = run.failures;
            tracing::error!(event = "http.accept.failed", listener = self.name, failures, error);
        }
    }

    fn note_accept_works(&mut self) {
        if let Some(run) = self.accept_errors.recovered(self.clock.monotonic()) {
            let lasted_s = run.lasted.as_secs_f64();
            let failures = run.failures;
            tracing::info!(
                event = "http.accept.recovered",
                listener = self.name,
                failures,
                lasted_s
            );
        }
    }
}

fn note_end(listener: &str, ended: Result<(), JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        let problem = panic_text(&*panic);
        tracing::error!(event = "http.connection.panicked", listener, problem);
    }
}

/// Errors of the connection that was about to be accepted, see accept(2); all others concern the machine, and trying
/// again at once would only burn the processor.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Counts a connection as open as long as it lives, however it ends.
struct Open(Counters);

impl Open {
    fn count(counters: &Counters) -> Self {
        counters.open.inc();
        Self(counters.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

#[cfg(test)]
mod tests;
