//! `GET /api/overview`: everything the main page shows.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::Overview;
use crate::pages;

/// What the main page shows. Keys may be added; those that are named here stay.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct OverviewAnswer {
    success: bool,
    #[serde(flatten)]
    #[cfg_attr(test, schema(value_type = crate::api::document::OverviewShape))]
    overview: Overview,
}

/// Everything the main page shows
#[cfg_attr(test, utoipa::path(
    get, path = "/api/overview", operation_id = "get_overview", tag = "situation",
    responses((status = 200, body = OverviewAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, _member: Member) -> Result<Json<OverviewAnswer>, Failure> {
    let overview = pages::main::situation(&app).await?;
    Ok(Json(OverviewAnswer {
        success: true,
        overview,
    }))
}
