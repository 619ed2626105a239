//! One connection: hyper with its limits, the peer's address for the handlers, panics turned into answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::net::TcpStream;
use tower::Service as _;

use super::limits::HttpLimits;
use super::stall::StallGuard;
use crate::metrics::Metrics;
use crate::tasks::panic_text;

/// The address the connection came from: the peer itself, not what a header claims. Handlers take it as an argument or
/// from the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl<S: Sync> FromRequestParts<S> for PeerAddr {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // Without it a check of the sender would be blind, so its absence is an error and not an unknown address.
        parts.extensions.get().copied().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

type Labels = Vec<(&'static str, String)>;

/// What is counted per listener.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    pub(super) open: Gauge,
    pub(super) accepted: Counter<u64, AtomicU64>,
    timed_out: Counter<u64, AtomicU64>,
    requests: Family<Labels, Counter<u64, AtomicU64>>,
    seconds: Histogram,
}

impl Counters {
    /// Registers the metrics of the listener called `name`.
    pub(super) fn register(metrics: &Metrics, name: &str) -> Self {
        // From half a millisecond to 8 s: an answer from memory, one durable write, one that is too slow.
        const BUCKETS: [f64; 8] = [0.0005, 0.002, 0.008, 0.03, 0.125, 0.5, 2.0, 8.0];
        let counters = Self {
            open: Gauge::default(),
            accepted: Counter::default(),
            timed_out: Counter::default(),
            requests: Family::default(),
            seconds: Histogram::new(BUCKETS),
        };
        metrics.register(|registry| {
            let label = ("listener".into(), name.to_owned().into());
            let http = registry.sub_registry_with_prefix("http").sub_registry_with_label(label);
            http.register("connections_open", "Connections at this moment", counters.open.clone());
            http.register("connections", "Connections accepted", counters.accepted.clone());
            http.register(
                "connections_timed_out",
                "Connections closed because no complete request head came in time",
                counters.timed_out.clone(),
            );
            http.register(
                "requests",
                "Requests answered, by class of status",
                counters.requests.clone(),
            );
            http.register(
                "request_seconds",
                "Time from request head to answer head",
                counters.seconds.clone(),
            );
        });
        counters
    }

    fn answered(&self, status: StatusCode, started: Instant) {
        let labels = vec![("code", format!("{}xx", status.as_u16() / 100))];
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(started.elapsed().as_secs_f64());
    }
}

/// hyper's settings for all connections of a listener.
pub(super) fn builder(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer the limit below would panic.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.max_head_bytes)
        // hyper wants 8 KiB at least; twice the head leaves room for the beginning of a body.
        .max_buf_size((limits.max_head_bytes * 2).max(8 * 1024))
        .half_close(limits.finish_without_peer);
    builder
}

/// Serves one connection until it ends.
pub(super) async fn serve(
    builder: http1::Builder,
    limits: HttpLimits,
    router: Router,
    counters: Counters,
    watcher: Watcher,
    (stream, peer): (TcpStream, SocketAddr),
) {
    // Answers are small; waiting to fill a packet only delays them. A socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(StallGuard::new(stream, limits.write_stall));
    let requests = counters.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let started = Instant::now();
        let counters = requests.clone();
        let mut router = router.clone();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(PeerAddr(peer));
        async move {
            // A router is always ready and cannot fail.
            let answer: Result<Response, Infallible> = router.call(request).await;
            if let Ok(response) = &answer {
                counters.answered(response.status(), started);
            }
            answer
        }
    });
    if let Err(error) = watcher.watch(builder.serve_connection(io, service)).await {
        if error.is_timeout() {
            counters.timed_out.inc();
        }
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::debug!(event = "http.connection.broken", %peer, error);
    }
}

/// The answer to a request whose handler panicked. The panic itself has been logged where it happened.
pub(super) fn answer_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(event = "http.handler.panicked", problem = panic_text(&*panic));
    let body = r#"{"error":{"code":"internal","message":"an internal error; it has been logged"}}"#;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, body).into_response()
}
