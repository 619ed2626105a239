//! `GET /api/services`: the services by their own signs of life.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::{Answer, value};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::sign::{Life, Service};
use crate::pages;

pub(crate) async fn list(State(app): State<App>, _member: Member) -> Answer {
    let overview = pages::main::situation(&app).await?;
    let services: Result<Vec<Value>, Failure> = overview.services.iter().map(document).collect();
    Ok(Json(
        json!({"success": true, "services": services?, "timestamp": overview.at}),
    ))
}

/// `status` and `uptime` (the instant of the start) are the predecessor's; `life` says more.
fn document(service: &Service) -> Result<Value, Failure> {
    let mut body = value(service)?;
    body["status"] = json!(match service.life {
        Life::Running | Life::Degraded => "active",
        Life::Stopped => "inactive",
        Life::Failing | Life::Late | Life::Silent | Life::NeverSeen => "error",
    });
    body["uptime"] = json!(service.started_at.filter(|_| service.life.is_there()));
    Ok(body)
}
