//! `GET /api/prefixes`: every prefix with its state.
//!
//! Where the predecessor said 0 or `false` for what it did not know, this says `null`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{Answer, value};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::prefix::PrefixView;
use crate::overview::state::State as PrefixState;
use crate::pages;

pub(crate) async fn list(State(app): State<App>, _member: Member) -> Answer {
    let overview = pages::main::situation(&app).await?;
    let prefixes: Result<Vec<Value>, Failure> = overview
        .prefixes
        .iter()
        .map(|view| document(view, overview.at))
        .collect();
    Ok(Json(json!({
        "success": true,
        "prefixes": prefixes?,
        "automation": value(&overview.automation)?,
        "timestamp": overview.at,
        "troubles": overview.troubles,
    })))
}

fn document(view: &PrefixView, now: jiff::Timestamp) -> Result<Value, Failure> {
    let status = match (view.advertised, &view.error) {
        (Some(true), _) => "advertised",
        (Some(false), _) => "withdrawn",
        (None, Some(_)) => "error",
        (None, None) => "unknown",
    };
    let withdrawal = view.deadline.as_ref().filter(|deadline| deadline.what == "withdrawal");
    let mut body = value(view)?;
    let predecessor = json!({
        "cidr": view.prefix,
        "status": status,
        "advertised_modified_at": view.advertised_changed_at,
        "calm_minutes": view.calm_proven_s.map(minutes),
        "time_to_withdraw": withdrawal.map(|deadline| minutes(domain::time::since(deadline.at, now).as_secs())),
        "dropped_packets": view.dropped.map(|dropped| dropped.packets),
        "dropped_mbps": view.dropped.map(|dropped| (dropped.bits_per_second / 1e4).round() / 100.0),
        "calm_last_updated": view.decided_at,
    });
    if let (Value::Object(body), Value::Object(predecessor)) = (&mut body, predecessor) {
        body.extend(predecessor);
        if view.state == PrefixState::Unknown && view.error.is_none() {
            body.insert("error".to_owned(), json!(view.next));
        }
    }
    Ok(body)
}

/// Minutes to one decimal.
#[allow(clippy::cast_precision_loss)]
fn minutes(seconds: u64) -> f64 {
    (seconds as f64 / 6.0).round() / 10.0
}
