//! `GET /api/attacks` and `/api/attacks/{id}`: the operator's log.

mod payload;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use db::events::{self, Event};
use db::lists::Page;
use db::lists::attacks::{self, Filter};
use db::{DbError, ReadTx};
use domain::ids::EventId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::log::number;

pub(crate) use payload::{Lifted, lifted};

/// A row of the operator's log: an alert, or an act.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Attack {
    id: i64,
    /// START, UPDATE, END, ADVERTISE, WITHDRAW, NOTE
    event_type: String,
    /// Cloudflare's type of alert, or who acted: autowithdraw_daemon, prefix_manager_manual, dashboard_manual
    alert_type: Option<String>,
    attack_id: Option<String>,
    policy_id: Option<String>,
    policy_name: Option<String>,
    /// CIDR; the first where there are several
    prefix: Option<String>,
    target_ip: Option<String>,
    target_port: Option<i64>,
    protocol: Option<String>,
    attack_vector: Option<String>,
    packets_per_second: Option<f64>,
    megabits_per_second: Option<f64>,
    severity: Option<String>,
    action_taken: Option<String>,
    /// When it was recorded; null in an old row whose text is no instant
    timestamp: Option<Timestamp>,
    /// The sender's instant
    event_time: Option<Timestamp>,
    incident_id: Option<i64>,
    /// Who acted
    actor: Option<String>,
    /// A self-test
    is_test: bool,
}

impl From<&Event> for Attack {
    fn from(event: &Event) -> Self {
        Self::from(event.clone())
    }
}

impl From<Event> for Attack {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            event_type: event.event_type,
            alert_type: event.alert_type,
            attack_id: event.attack_id,
            policy_id: event.policy_id,
            policy_name: event.policy_name,
            prefix: event.prefix,
            target_ip: event.target_ip,
            target_port: event.target_port,
            protocol: event.protocol,
            attack_vector: event.attack_vector,
            packets_per_second: number(event.packets_per_second.as_deref()),
            megabits_per_second: number(event.megabits_per_second.as_deref()),
            severity: event.severity,
            action_taken: event.action_taken,
            timestamp: event.created_at,
            event_time: event.event_time,
            incident_id: event.incident_id,
            actor: event.actor,
            is_test: event.is_test,
        }
    }
}

/// A page of the log.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct AttackList {
    success: bool,
    attacks: Vec<Attack>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// The log, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Attacks(Filter);

impl List for Attacks {
    const NAME: &'static str = "attacks";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "timestamp",
        "event_type",
        "alert_type",
        "prefix",
        "target_ip",
        "target_port",
        "protocol",
        "attack_vector",
        "packets_per_second",
        "megabits_per_second",
        "severity",
        "action_taken",
        "actor",
        "policy_name",
        "policy_id",
        "attack_id",
        "incident_id",
        "event_time",
        "is_test",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "prefix", "event_type", "alert_type", "q"];
    type Row = Attack;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(Filter {
            span: params.span()?,
            prefix: params.prefix()?,
            event_type: params.text("event_type")?.map(|word| word.to_uppercase()),
            alert_type: params.text("alert_type")?,
            text: params.text("q")?,
            ..Filter::default()
        }))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(attacks::list(tx, &self.0, Page { before, limit })?.map(Attack::from))
    }
}

/// The operator's log, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/attacks", operation_id = "list_attacks", tag = "records",
    params(crate::api::document::Span, crate::api::document::Paging, crate::api::document::OfPrefix,
        ("event_type" = Option<String>, Query, description = "START, UPDATE, END, ADVERTISE, WITHDRAW, NOTE", example = "START"),
        ("alert_type" = Option<String>, Query, description = "Exactly this type", example = "dos_attack_l4"),
        crate::api::document::Text),
    responses((status = 200, body = AttackList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<AttackList>, Failure> {
    let found = listing::page::<Attacks>(&app, &member, &uri).await?;
    Ok(Json(AttackList {
        success: true,
        attacks: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}

/// A row with everything that is known of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct AttackDetail {
    #[serde(flatten)]
    row: Attack,
    #[serde(flatten)]
    lifted: Lifted,
    /// The delivery as it came in, or the facts of the act
    #[cfg_attr(test, schema(value_type = Option<serde_json::Value>))]
    raw_payload: Option<Value>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct AttackAnswer {
    success: bool,
    event: AttackDetail,
}

/// One row of the log with the delivery it came from
#[cfg_attr(test, utoipa::path(
    get, path = "/api/attacks/{id}", operation_id = "get_attack", tag = "records",
    params(("id" = i64, Path, example = 7)),
    responses((status = 200, body = AttackAnswer), crate::api::document::OneFailures)
))]
pub(crate) async fn one(
    State(app): State<App>,
    _member: Member,
    Path(id): Path<i64>,
) -> Result<Json<AttackAnswer>, Failure> {
    let event = app.db().read("attack", move |tx| events::get(tx, EventId(id))).await?;
    let event = event.ok_or_else(|| Failure::not_found("There is no such event."))?;
    let payload = payload::of(&event);
    let event = AttackDetail {
        row: Attack::from(&event),
        lifted: payload.as_ref().map(lifted).unwrap_or_default(),
        raw_payload: payload,
    };
    Ok(Json(AttackAnswer { success: true, event }))
}
