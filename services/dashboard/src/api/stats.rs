//! `GET /api/stats`: how much is recorded. Self-tests are not counted.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use db::{analytics, deliveries, events, history};
use domain::time::minus;
use jiff::Timestamp;
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

const DAY: Duration = Duration::from_secs(86_400);

/// How much is recorded.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Stats {
    /// Beginnings of attacks
    total_attacks: u64,
    attacks_24h: u64,
    /// Rows of the analytics
    total_analytics: u64,
    analytics_24h: u64,
    /// Deliveries
    total_webhooks: u64,
    total_withdrawals: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct StatsAnswer {
    success: bool,
    stats: Stats,
    timestamp: Timestamp,
}

/// How much is recorded, self-tests not counted
#[cfg_attr(test, utoipa::path(
    get, path = "/api/stats", operation_id = "get_stats", tag = "situation",
    responses((status = 200, body = StatsAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, _member: Member) -> Result<Json<StatsAnswer>, Failure> {
    let now = app.now();
    let day_ago = minus(now, DAY);
    let counted = app.db().read("stats", move |tx| {
        let attacks = events::totals(tx, day_ago)?;
        let (total_analytics, analytics_24h) = analytics::counts(tx, day_ago)?;
        Ok(Stats {
            total_attacks: attacks.attacks,
            attacks_24h: attacks.attacks_24h,
            total_analytics,
            analytics_24h,
            total_webhooks: deliveries::count(tx)?,
            total_withdrawals: history::count(tx)?,
        })
    });
    Ok(Json(StatsAnswer {
        success: true,
        stats: counted.await?,
        timestamp: now,
    }))
}
