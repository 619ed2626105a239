//! `GET /api/overview`: everything the main page shows.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::Overview;
use crate::{condense, pages};

/// What the main page shows. Keys may be added; those that are named here stay.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct OverviewAnswer<'a> {
    success: bool,
    #[serde(flatten)]
    #[cfg_attr(test, schema(value_type = crate::api::document::OverviewShape))]
    overview: &'a Overview,
}

/// Everything the main page shows
#[cfg_attr(test, utoipa::path(
    get, path = "/api/overview", operation_id = "get_overview", tag = "situation",
    responses((status = 200, body = OverviewAnswer<'static>), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, _member: Member, headers: HeaderMap) -> Result<Response, Failure> {
    let situation = pages::main::situation(&app).await?;
    let write = || {
        let body = OverviewAnswer {
            success: true,
            overview: &situation,
        };
        Json(body).into_response()
    };
    Ok(condense::unless_known(&headers, situation.mark(), write))
}
