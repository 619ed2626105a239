//! `GET /api/analytics-summary`: what the card says that stands for the list while everything is withdrawn.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use db::lists::{Page, traffic};
use db::{DbError, ReadTx, analytics};
use domain::time::minus;
use jiff::Timestamp;
use serde::Serialize;

use super::Measured;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

const DAY: Duration = Duration::from_secs(86_400);

/// How much there is.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Summary {
    /// Rows of the analytics
    pub(crate) total_events: u64,
    /// Of them stored within 24 h
    pub(crate) events_24h: u64,
    /// Instant of the newest row
    pub(crate) latest_event: Option<Timestamp>,
    /// Instant of the newest row that concerns a prefix of ours
    pub(crate) latest_own_event: Option<Timestamp>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct SummaryAnswer {
    success: bool,
    summary: Summary,
    timestamp: Timestamp,
}

/// Counts it.
///
/// # Errors
/// Those of the database.
pub(crate) fn read(tx: &ReadTx<'_>, now: Timestamp) -> Result<Summary, DbError> {
    let (total_events, events_24h) = analytics::counts(tx, minus(now, DAY))?;
    let newest = |own| -> Result<Option<Timestamp>, DbError> {
        let filter = traffic::Filter {
            own,
            ..traffic::Filter::default()
        };
        let page = Page { before: None, limit: 1 };
        let found = traffic::list(tx, &filter, page)?.rows.pop().map(Measured::from);
        Ok(found.and_then(|row| row.event_datetime))
    };
    Ok(Summary {
        total_events,
        events_24h,
        latest_event: newest(false)?,
        latest_own_event: newest(true)?,
    })
}

/// How much attack traffic is recorded
#[cfg_attr(test, utoipa::path(
    get, path = "/api/analytics-summary", operation_id = "get_analytics_summary", tag = "records",
    responses((status = 200, body = SummaryAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, _member: Member) -> Result<Json<SummaryAnswer>, Failure> {
    let now = app.now();
    let summary = app.db().read("analytics summary", move |tx| read(tx, now)).await?;
    Ok(Json(SummaryAnswer {
        success: true,
        summary,
        timestamp: now,
    }))
}
