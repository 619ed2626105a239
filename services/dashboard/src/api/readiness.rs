//! `GET /api/readiness`: whether diversion would work if it began now.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::answer::Failure;
use crate::app::App;
use crate::overview::Overview;
use crate::readiness::{Facts, Readiness};

/// The answer with every finding.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ReadinessAnswer {
    success: bool,
    #[cfg_attr(test, schema(value_type = crate::api::document::ReadinessShape))]
    readiness: Readiness,
}

/// Whether diversion would work if it began now, per prefix, with what to do about what is not fine
#[cfg_attr(test, utoipa::path(
    get, path = "/api/readiness", operation_id = "get_readiness", tag = "situation",
    responses((status = 200, body = ReadinessAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>) -> Result<Json<ReadinessAnswer>, Failure> {
    let (_, readiness) = judged(&app).await?;
    Ok(Json(ReadinessAnswer {
        success: true,
        readiness,
    }))
}

/// The judgement of this moment, with the situation that it rests on.
///
/// # Errors
/// When the database cannot be read. What Cloudflare does not tell is in the judgement.
pub(crate) async fn judged(app: &App) -> Result<(Overview, Readiness), Failure> {
    let picture = app.pictures().current(app).await?;
    let overview = Overview::of(&picture, app.settings(), app.now());
    let upstream = app.upstream();
    let (tunnels, routes, health, policies, token) = tokio::join!(
        upstream.all_tunnels(app),
        upstream.routes(app),
        upstream.health(app),
        upstream.policies(app),
        upstream.token(app),
    );
    let facts = Facts {
        now: app.now(),
        settings: app.settings(),
        overview: &overview,
        inventory: &picture.inventory,
        rules: &picture.rules,
        tunnels,
        routes,
        health,
        policies,
        token,
    };
    let readiness = Readiness::of(&facts);
    Ok((overview, readiness))
}
