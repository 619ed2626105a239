//! `GET /api/services`: the services by their own signs of life.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::sign::{Life, Service};
use crate::pages;

/// A service. `status` and `uptime` are the predecessor's; `life` says more.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ServiceDocument<'a> {
    #[serde(flatten)]
    #[cfg_attr(test, schema(value_type = crate::api::document::ServiceShape))]
    service: &'a Service,
    /// active, inactive (it said that it stops), error
    status: &'static str,
    /// Instant of the start, while it runs
    uptime: Option<Timestamp>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ServicesAnswer<'a> {
    success: bool,
    services: Vec<ServiceDocument<'a>>,
    timestamp: Timestamp,
}

/// The services by their own signs of life
#[cfg_attr(test, utoipa::path(
    get, path = "/api/services", operation_id = "list_services", tag = "situation",
    responses((status = 200, body = ServicesAnswer<'static>), crate::api::document::Failures)
))]
pub(crate) async fn list(State(app): State<App>, _member: Member) -> Result<Response, Failure> {
    let overview = pages::main::situation(&app).await?;
    let body = ServicesAnswer {
        success: true,
        services: overview.services.iter().map(document).collect(),
        timestamp: overview.at,
    };
    Ok(Json(body).into_response())
}

fn document(service: &Service) -> ServiceDocument<'_> {
    ServiceDocument {
        service,
        status: match service.life {
            Life::Running | Life::Degraded => "active",
            Life::Stopped => "inactive",
            Life::Failing | Life::Late | Life::Silent | Life::NeverSeen => "error",
        },
        uptime: service.started_at.filter(|_| service.life.is_there()),
    }
}
