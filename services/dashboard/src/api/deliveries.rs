//! `GET /api/deliveries`: webhook deliveries as they came in. Their bodies are in `/api/attacks/{id}`.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use db::lists::Page;
use db::lists::deliveries::{self, Filter};
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::Serialize;

use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// One authenticated delivery.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Delivery {
    id: i64,
    received_at: Option<Timestamp>,
    alert_type: Option<String>,
    /// Cloudflare's alert_event
    event_state: Option<String>,
    /// Attack id, or whatever else ties it to others
    alert_id: Option<String>,
    policy_id: Option<String>,
    policy_name: Option<String>,
    target_ip: Option<String>,
    prefix: Option<String>,
    /// Who sent it
    source_ip: Option<String>,
    /// received, imported, recovered; older rows have other words
    action_taken: Option<String>,
    /// The sender's instant
    event_time: Option<Timestamp>,
    /// What could not be read of it
    problem: Option<String>,
    is_test: bool,
    /// How often the same body came again
    duplicates: i64,
}

impl From<deliveries::Delivery> for Delivery {
    fn from(row: deliveries::Delivery) -> Self {
        Self {
            id: row.id,
            received_at: row.received_at,
            alert_type: row.alert_type,
            event_state: row.event_state,
            alert_id: row.alert_id,
            policy_id: row.policy_id,
            policy_name: row.policy_name,
            target_ip: row.target_ip,
            prefix: row.prefix,
            source_ip: row.source_ip,
            action_taken: row.action_taken,
            event_time: row.event_time,
            problem: row.problem,
            is_test: row.is_test,
            duplicates: row.duplicates,
        }
    }
}

/// A page of the deliveries.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DeliveryList {
    success: bool,
    deliveries: Vec<Delivery>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// Deliveries, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries(Filter);

impl List for Deliveries {
    const NAME: &'static str = "deliveries";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "received_at",
        "alert_type",
        "event_state",
        "prefix",
        "target_ip",
        "alert_id",
        "policy_name",
        "policy_id",
        "event_time",
        "action_taken",
        "duplicates",
        "problem",
        "source_ip",
        "is_test",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "prefix", "alert_type", "q"];
    type Row = Delivery;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(Filter {
            span: params.span()?,
            prefix: params.prefix()?,
            alert_type: params.text("alert_type")?,
            text: params.text("q")?,
        }))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(deliveries::list(tx, &self.0, Page { before, limit })?.map(Delivery::from))
    }
}

/// Webhook deliveries, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/deliveries", operation_id = "list_deliveries", tag = "records",
    params(crate::api::document::Span, crate::api::document::Paging, crate::api::document::OfPrefix,
        ("alert_type" = Option<String>, Query, description = "Exactly this type", example = "dos_attack_l4"),
        crate::api::document::Text),
    responses((status = 200, body = DeliveryList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<DeliveryList>, Failure> {
    let found = listing::page::<Deliveries>(&app, &member, &uri).await?;
    Ok(Json(DeliveryList {
        success: true,
        deliveries: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}
