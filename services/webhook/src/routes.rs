//! The HTTP surface: one POST, and health.
//!
//! | Answer | When |
//! |---|---|
//! | 200 | stored, also for a duplicate; where many come at once, it is read afterwards ([`crate::inbox`]) |
//! | 400 | authenticated and not JSON: stored and announced all the same |
//! | 401 / 403 | secret missing / wrong, or the source may not post: counted, nothing stored |
//! | 413 | larger than `webhook.max_body`: a stub is stored and announced |
//! | 408 | the body did not arrive in time |
//! | 503 | could not be stored, or no room for the body; Cloudflare's history has it, and we said so |
//!
//! Memory is bounded by the connections (512), their heads (16 KiB each) and [`BODY_ROOM`] for all bodies together. Each
//! connection waits for one write at a time, so requests can never fill the writer's queue (4,096) against the writes of
//! this process itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use assembly::intake::{Arrival, Intake, Kept, Way};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use cf_api::webhook::glance;
use daemon::{PeerAddr, SharedClock};
use db::{Db, DbError, WriteTx};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gate::{Gate, Refusal, SECRET_HEADER};
use crate::inbox::Inbox;
use crate::networks::Networks;

/// How long a body may take to arrive whole.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of bodies that may be in memory at the same time, from their first byte to their answer.
pub const BODY_ROOM: usize = 16 * 1024 * 1024;

/// How long a body waits for room before the sender is asked to come again.
const ROOM_WAIT: Duration = Duration::from_secs(2);

/// What a sender that is asked to come again is told to wait, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

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

impl Counts {
    /// Counts what became of a delivery.
    pub fn kept(&self, kept: &Kept) {
        let count = if kept.duplicate {
            &self.duplicates
        } else if kept.readable {
            &self.stored
        } else {
            &self.unreadable
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
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
    /// Room for bodies: one permit a byte, [`BODY_ROOM`] in all or as much as the largest body needs.
    pub room: Arc<Semaphore>,
    /// What is stored and not read yet.
    pub inbox: Inbox,
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
    let reading = read_body(body, receiver.max_body, &receiver.room);
    let (body, oversized, _room) = match tokio::time::timeout(BODY_DEADLINE, reading).await {
        Ok(Ok(read)) => (read.bytes, read.oversized, read.room),
        Ok(Err(Unread::Broken(why))) => return answer(StatusCode::BAD_REQUEST, "body_broken", &why),
        Ok(Err(Unread::NoRoom)) => {
            let why = "bodies fill the memory that is allowed for them";
            return not_stored(&receiver, "no_room", why, client);
        }
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
    let on_its_way = receiver.inbox.enter();
    let glance = on_its_way.goes_first().then(|| glance(&arrival.body));
    let stored = match glance {
        // A self-test wants to know its delivery.
        Some(glance) if !glance.is_test => receiver.inbox.put(&receiver.db, arrival.into_unread()).await.map(|()| {
            (
                glance.is_json && oversized.is_none(),
                json!({"status": "ok", "waiting": true}),
            )
        }),
        _ => keep(&receiver, arrival, client).await,
    };
    match stored {
        Ok(_) if oversized.is_some() => answer(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "larger than webhook.max_body; its beginning is stored",
        ),
        Ok((false, _)) => answer(StatusCode::BAD_REQUEST, "not_json", "stored, but it is not JSON"),
        Ok((true, body)) => (StatusCode::OK, axum::Json(body)).into_response(),
        Err(error) => not_stored(&receiver, error.code(), &error.to_string(), client),
    }
}

/// Reads a delivery and keeps it with everything that follows. Whether it is readable, and the answer if it is.
async fn keep(receiver: &Receiver, arrival: Arrival, client: IpAddr) -> Result<(bool, serde_json::Value), DbError> {
    let intake = Arc::new(Intake::read(arrival, Way::Received));
    let (networks, now) = (receiver.networks.current(), receiver.clock.now());
    let kept = {
        // What was allocated here is freed here too, after the writer is done with it: the two threads would wait for each
        // other's heap otherwise.
        let intake = Arc::clone(&intake);
        let keep = move |tx: &WriteTx<'_>| intake.keep(tx, &networks, now);
        receiver.db.write_repeatable("delivery", keep).await?
    };
    receiver.counts.kept(&kept);
    tracing::info!(
        event = "webhook.stored",
        delivery = kept.delivery.0,
        kind = kept.kind,
        duplicate = kept.duplicate,
        source = %client,
    );
    let answer = json!({"status": "ok", "delivery": kept.delivery.0, "duplicate": kept.duplicate});
    Ok((kept.readable, answer))
}

/// The sender keeps it and is asked to come again; what it does not repeat is found in Cloudflare's history.
fn not_stored(receiver: &Receiver, code: &str, why: &str, client: IpAddr) -> Response {
    receiver.counts.failed.fetch_add(1, Ordering::Relaxed);
    tracing::error!(event = "webhook.not_stored", code, error = why, source = %client);
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, code, "it could not be stored");
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn refuse(receiver: &Receiver, refusal: Refusal, client: IpAddr) -> Response {
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

/// A body as far as it is kept.
struct Read {
    bytes: Vec<u8>,
    /// Size of one that is larger than allowed, as far as announced.
    oversized: Option<u64>,
    /// Its share of the memory for bodies.
    room: Option<OwnedSemaphorePermit>,
}

enum Unread {
    Broken(String),
    NoRoom,
}

/// Reads up to `limit` bytes; of a larger body its beginning. Room is taken for what has arrived, so a slow sender holds
/// no more than it sent.
async fn read_body(mut body: Body, limit: usize, room: &Arc<Semaphore>) -> Result<Read, Unread> {
    use axum::body::HttpBody as _;
    let announced = body.size_hint().exact();
    let mut read = Read {
        bytes: Vec::new(),
        oversized: None,
        room: None,
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Broken(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = read.bytes.len();
        if so_far + data.len() > limit {
            let size = announced.unwrap_or((so_far + data.len()) as u64);
            let kept = STUB_BYTES.saturating_sub(so_far).min(data.len());
            read.bytes.extend_from_slice(&data[..kept]);
            read.bytes.truncate(STUB_BYTES);
            read.oversized = Some(size);
            return Ok(read);
        }
        let wanted = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let taking = Arc::clone(room).acquire_many_owned(wanted);
        let Ok(Ok(taken)) = tokio::time::timeout(ROOM_WAIT, taking).await else {
            return Err(Unread::NoRoom);
        };
        match &mut read.room {
            Some(room) => room.merge(taken),
            none => *none = Some(taken),
        }
        read.bytes.extend_from_slice(&data);
    }
    Ok(read)
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
