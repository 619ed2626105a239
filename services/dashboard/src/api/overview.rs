//! `GET /api/overview`: everything the main page shows.

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::{Answer, value};
use crate::accounts::Member;
use crate::app::App;
use crate::pages;

pub(crate) async fn get(State(app): State<App>, _member: Member) -> Answer {
    let overview = pages::main::situation(&app).await?;
    let mut body = value(&overview)?;
    body["success"] = json!(true);
    Ok(Json(body))
}
