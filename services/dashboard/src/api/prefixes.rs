//! `GET /api/prefixes`: every prefix with its state.
//!
//! Where the predecessor said 0 or `false` for what it did not know, this says `null`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::Trouble;
use crate::overview::automation::Automation;
use crate::overview::prefix::PrefixView;
use crate::overview::state::State as PrefixState;
use crate::{condense, pages};

/// A prefix: the predecessor's keys beside those of `/api/overview`.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PrefixDocument {
    #[serde(flatten)]
    #[cfg_attr(test, schema(value_type = crate::api::document::PrefixShape))]
    view: PrefixView,
    #[cfg_attr(test, schema(value_type = String))]
    cidr: Prefix,
    /// advertised, withdrawn, error (it could not be read), unknown
    status: &'static str,
    advertised_modified_at: Option<Timestamp>,
    /// Proven calm, while a clock runs
    calm_minutes: Option<f64>,
    /// Until the withdrawal that is announced
    time_to_withdraw: Option<f64>,
    /// Estimated packets dropped in the last look-back
    dropped_packets: Option<u64>,
    /// Megabits per second dropped in the last look-back
    dropped_mbps: Option<f64>,
    /// When the automation judged it last
    calm_last_updated: Option<Timestamp>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PrefixesAnswer<'a> {
    success: bool,
    prefixes: Vec<PrefixDocument>,
    #[cfg_attr(test, schema(value_type = serde_json::Value))]
    automation: &'a Automation,
    timestamp: Timestamp,
    /// Parts of the situation that could not be read, with why
    #[cfg_attr(test, schema(value_type = Vec<serde_json::Value>))]
    troubles: &'a [Trouble],
}

/// Every prefix with its state, reasons and next action
#[cfg_attr(test, utoipa::path(
    get, path = "/api/prefixes", operation_id = "list_prefixes", tag = "situation",
    responses((status = 200, body = PrefixesAnswer<'static>), crate::api::document::Failures)
))]
pub(crate) async fn list(State(app): State<App>, _member: Member, headers: HeaderMap) -> Result<Response, Failure> {
    let overview = pages::main::situation(&app).await?;
    let write = || {
        let body = PrefixesAnswer {
            success: true,
            prefixes: overview
                .prefixes
                .iter()
                .map(|view| document(view, overview.at))
                .collect(),
            automation: &overview.automation,
            timestamp: overview.at,
            troubles: &overview.troubles,
        };
        Json(body).into_response()
    };
    // What is left of a clock goes on while the situation stays the same: it is counted here, from `at`.
    let left: Vec<Option<u64>> = overview
        .prefixes
        .iter()
        .map(|view| Some(domain::time::since(view.deadline.as_ref()?.at, overview.at).as_secs() / 6))
        .collect();
    let left: String = left.iter().flatten().map(|tenths| format!("-{tenths}")).collect();
    let mark = format!("{}{left}\"", overview.mark().trim_end_matches('"'));
    Ok(condense::unless_known(&headers, &mark, write))
}

fn document(view: &PrefixView, now: Timestamp) -> PrefixDocument {
    let mut view = view.clone();
    let status = match (view.advertised, &view.error) {
        (Some(true), _) => "advertised",
        (Some(false), _) => "withdrawn",
        (None, Some(_)) => "error",
        (None, None) => "unknown",
    };
    if view.state == PrefixState::Unknown && view.error.is_none() {
        view.error = Some(view.next.clone());
    }
    let withdrawal = view.deadline.as_ref().filter(|deadline| deadline.what == "withdrawal");
    PrefixDocument {
        cidr: view.prefix,
        status,
        advertised_modified_at: view.advertised_changed_at,
        calm_minutes: view.calm_proven_s.map(minutes),
        time_to_withdraw: withdrawal.map(|deadline| minutes(domain::time::since(deadline.at, now).as_secs())),
        dropped_packets: view.dropped.map(|dropped| dropped.packets),
        dropped_mbps: view
            .dropped
            .map(|dropped| (dropped.bits_per_second / 1e4).round() / 100.0),
        calm_last_updated: view.decided_at,
        view,
    }
}

/// Minutes to one decimal.
#[allow(clippy::cast_precision_loss)]
fn minutes(seconds: u64) -> f64 {
    (seconds as f64 / 6.0).round() / 10.0
}
