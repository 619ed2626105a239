//! `GET /health` for people and scripts, `GET /metrics` for Prometheus.
//!
//! 200 for ok and degraded, 503 for failing, so that a check that looks at nothing but the code restarts only what does
//! not work. The body is never cached. A service merges these routes or serves them on a port of their own.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::registry::{CheckState, Health};
use crate::frame::Frame;
use crate::metrics::OPENMETRICS;

/// The routes `/health` and `/metrics` of `frame`.
pub fn routes(frame: &Frame) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(frame.clone())
}

/// The health document alone, for a service that offers it under a further path.
pub fn health_alias(frame: &Frame, path: &str) -> Router {
    Router::new().route(path, get(health)).with_state(frame.clone())
}

/// The health of `frame` as JSON, with the verdict on the whole.
pub fn document(frame: &Frame) -> (Health, Value) {
    let (mut status, mut checks) = frame.health().survey();
    if let Some(phase) = not_in_service(frame) {
        status = status.max(phase.status);
        checks.insert(0, phase);
    }
    let own = json!({
        "status": status,
        "service": frame.service(),
        "version": crate::args::version(),
        "started_at": format!("{:.0}", frame.started_at()),
        "uptime_s": frame.uptime().as_secs(),
        "timestamp": format!("{:.0}", frame.clock().now()),
        "doing": frame.current_status(),
        "checks": checks,
    });
    let mut document: Map<String, Value> = frame.health().facts();
    if let Value::Object(own) = own {
        document.extend(own);
    }
    (status, Value::Object(document))
}

/// Before READY and after the stop signal the process does not do its work, which is not ok either.
fn not_in_service(frame: &Frame) -> Option<CheckState> {
    let detail = if frame.shutdown().is_triggered() {
        "stopping"
    } else if !frame.is_ready() {
        "starting"
    } else {
        return None;
    };
    Some(CheckState {
        name: "in_service".to_owned(),
        ok: false,
        status: Health::Degraded,
        age_s: None,
        detail: detail.to_owned(),
    })
}

async fn health(State(frame): State<Frame>) -> Response {
    let (status, document) = document(&frame);
    let code = match status {
        Health::Ok | Health::Degraded => StatusCode::OK,
        Health::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (code, headers, Body::from(format!("{document}\n"))).into_response()
}

async fn metrics(State(frame): State<Frame>) -> Response {
    match frame.metrics().encode() {
        Ok(text) => {
            let headers = [(header::CONTENT_TYPE, OPENMETRICS), (header::CACHE_CONTROL, "no-store")];
            (headers, text).into_response()
        }
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(event = "metrics.encode.failed", error);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
