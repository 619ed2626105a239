//! The HTTP surface: one POST, and health.
//!
//! | Answer | When |
//! |---|---|
//! | 200 | stored, also for a duplicate |
//! | 400 | authenticated and not JSON: stored and announced all the same |
//! | 401 / 403 | secret missing / wrong, or the source may not post: counted, nothing stored |
//! | 413 | larger than `webhook.max_body`: a stub is stored and announced |
//! | 503 | could not be stored; Cloudflare's history has it, and we said so |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use daemon::{PeerAddr, SharedClock};
use db::Db;
use http_body_util::BodyExt;
use serde_json::json;

use crate::gate::{Gate, Refusal, SECRET_HEADER};
use crate::intake::{Arrival, Intake};
use crate::networks::Networks;

/// How long a body may take to arrive whole.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// What a too large body's stub keeps.
const STUB_BYTES: usize = 4_096;

/// Headers kept with a delivery; the secret is never among them.
const KEPT_HEADERS: [&str; 5] = [
    "content-type",
    "user-agent",
    "cf-ray",
    "cf-connecting-ip",
    "x-forwarded-for",
];

/// Longest header value kept.
const KEPT_HEADER_CHARS: usize = 300;

/// Numbers for metrics and health.
#[derive(Debug, Default)]
pub struct Counts {
    /// Stored as new.
    pub stored: AtomicU64,
    /// Identical to a stored one.
    pub duplicates: AtomicU64,
    /// Stored although unreadable.
    pub unreadable: AtomicU64,
    /// Turned away.
    pub refused: AtomicU64,
    /// Could not be stored.
    pub failed: AtomicU64,
}

/// What the handler needs.
#[derive(Debug)]
pub struct Receiver {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: SharedClock,
    /// Who may post; replaced on reload.
    pub gate: std::sync::RwLock<Arc<Gate>>,
    /// Our prefixes.
    pub networks: Networks,
    /// Largest body read.
    pub max_body: usize,
    /// Numbers.
    pub counts: Counts,
}

/// The routes of the receiver.
pub fn router(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/webhook/cloudflare", post(receive))
        .with_state(receiver)
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    Extension(PeerAddr(peer)): Extension<PeerAddr>,
    request: Request,
) -> Response {
    let gate = Arc::clone(&receiver.gate.read().unwrap_or_else(std::sync::PoisonError::into_inner));
    let (head, body) = request.into_parts();
    let forwarded: Vec<&str> = head
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let client = gate.client(peer.ip(), &forwarded);
    let secret = head.headers.get(SECRET_HEADER).map(HeaderValue::as_bytes);
    if let Err(refusal) = gate.admit(client, secret) {
        return refuse(&receiver, refusal, client);
    }
    let (body, oversized) = match tokio::time::timeout(BODY_DEADLINE, read_body(body, receiver.max_body)).await {
        Ok(Ok(read)) => read,
        Ok(Err(broken)) => return answer(StatusCode::BAD_REQUEST, "body_broken", &broken),
        Err(_) => {
            return answer(
                StatusCode::REQUEST_TIMEOUT,
                "body_slow",
                "the body did not arrive within 10 s",
            );
        }
    };
    let arrival = Arrival {
        body,
        oversized,
        received_at: receiver.clock.now(),
        source: client.to_string(),
        headers: kept_headers(&head.headers),
    };
    let intake = Intake::read(arrival);
    let (networks, now) = (receiver.networks.current(), receiver.clock.now());
    match receiver
        .db
        .write("delivery", move |tx| intake.keep(tx, &networks, now))
        .await
    {
        Ok(kept) => {
            let count = if kept.duplicate {
                &receiver.counts.duplicates
            } else if kept.readable {
                &receiver.counts.stored
            } else {
                &receiver.counts.unreadable
            };
            count.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                event = "webhook.stored",
                delivery = kept.delivery.0,
                kind = kept.kind,
                duplicate = kept.duplicate,
                source = %client,
            );
            if oversized.is_some() {
                answer(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    "larger than webhook.max_body; its beginning is stored",
                )
            } else if !kept.readable {
                answer(StatusCode::BAD_REQUEST, "not_json", "stored, but it is not JSON")
            } else {
                let body = json!({"status": "ok", "delivery": kept.delivery.0, "duplicate": kept.duplicate});
                (StatusCode::OK, axum::Json(body)).into_response()
            }
        }
        Err(error) => {
            receiver.counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(event = "webhook.not_stored", code = error.code(), error = %error, source = %client);
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, error.code(), "it could not be stored");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}

fn refuse(receiver: &Receiver, refusal: Refusal, client: std::net::IpAddr) -> Response {
    let count = receiver.counts.refused.fetch_add(1, Ordering::Relaxed) + 1;
    // Powers of two: a flood of wrong secrets must not flood the journal.
    if count.is_power_of_two() {
        tracing::warn!(event = "webhook.refused", why = refusal.as_str(), source = %client, refused = count);
    }
    let status = match refusal {
        Refusal::MissingSecret => StatusCode::UNAUTHORIZED,
        Refusal::WrongSecret | Refusal::Source => StatusCode::FORBIDDEN,
    };
    answer(status, refusal.as_str(), "not accepted")
}

fn answer(status: StatusCode, code: &str, error: &str) -> Response {
    (
        status,
        axum::Json(json!({"status": "error", "code": code, "error": error})),
    )
        .into_response()
}

/// Reads up to `limit` bytes; of a larger body its beginning and its size as far as announced.
async fn read_body(mut body: Body, limit: usize) -> Result<(Vec<u8>, Option<u64>), String> {
    use axum::body::HttpBody as _;
    let announced = body.size_hint().exact();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the body broke off: {error}"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            let size = announced.unwrap_or((bytes.len() + data.len()) as u64);
            let room = STUB_BYTES.saturating_sub(bytes.len()).min(data.len());
            bytes.extend_from_slice(&data[..room]);
            bytes.truncate(STUB_BYTES);
            return Ok((bytes, Some(size)));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, None))
}

fn kept_headers(headers: &HeaderMap) -> String {
    let kept: serde_json::Map<String, serde_json::Value> = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            let value = headers.get(HeaderName::from_static(name))?;
            let text: String = String::from_utf8_lossy(value.as_bytes())
                .chars()
                .take(KEPT_HEADER_CHARS)
                .collect();
            Some(((*name).to_owned(), text.into()))
        })
        .collect();
    serde_json::Value::Object(kept).to_string()
}
