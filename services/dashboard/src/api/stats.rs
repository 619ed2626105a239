//! `GET /api/stats`: how much is recorded. Self-tests are not counted.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use db::{analytics, deliveries, events, history};
use domain::time::minus;
use serde_json::json;

use super::Answer;
use crate::accounts::Member;
use crate::app::App;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn get(State(app): State<App>, _member: Member) -> Answer {
    let now = app.now();
    let day_ago = minus(now, DAY);
    let counted = app.db().read("stats", move |tx| {
        let attacks = events::totals(tx, day_ago)?;
        let (analytics, analytics_24h) = analytics::counts(tx, day_ago)?;
        Ok(json!({
            "total_attacks": attacks.attacks,
            "attacks_24h": attacks.attacks_24h,
            "total_analytics": analytics,
            "analytics_24h": analytics_24h,
            "total_webhooks": deliveries::count(tx)?,
            "total_withdrawals": history::count(tx)?,
        }))
    });
    Ok(Json(
        json!({"success": true, "stats": counted.await?, "timestamp": now}),
    ))
}
