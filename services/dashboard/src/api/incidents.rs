//! `GET /api/incidents` and `/api/incidents/{id}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use db::incidents::Line;
use db::lists::{Page, Records, incidents};
use db::{DbError, ReadTx};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use super::attacks::Attack;
use super::listing::{self, List, Rows};
use super::messages::Message;
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::pages;

/// An attack from its first sign to the withdrawal.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) vector: Option<String>,
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    pub(crate) prefixes: Vec<Prefix>,
    /// First sign
    pub(crate) began_at: Timestamp,
    pub(crate) last_sign_at: Timestamp,
    /// Cloudflare's END
    pub(crate) ended_at: Option<Timestamp>,
    /// The last of its prefixes was withdrawn
    pub(crate) withdrawn_at: Option<Timestamp>,
    /// Packets per second
    pub(crate) peak_pps: Option<f64>,
    /// Bits per second
    pub(crate) peak_bps: Option<f64>,
    pub(crate) is_test: bool,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) acknowledged_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

impl From<&db::incidents::Incident> for Incident {
    fn from(row: &db::incidents::Incident) -> Self {
        let row = row.clone();
        Self {
            id: row.id.0,
            title: row.title,
            vector: row.vector,
            prefixes: row.prefixes,
            began_at: row.began_at,
            last_sign_at: row.last_sign_at,
            ended_at: row.ended_at,
            withdrawn_at: row.withdrawn_at,
            peak_pps: row.peak_pps,
            peak_bps: row.peak_bps,
            is_test: row.is_test,
            acknowledged_by: row.acknowledged_by,
            acknowledged_at: row.acknowledged_at,
            updated_at: row.updated_at,
        }
    }
}

/// A page of the incidents.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct IncidentList {
    success: bool,
    incidents: Vec<Incident>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// Incidents, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Incidents(Records);

impl List for Incidents {
    const NAME: &'static str = "incidents";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "began_at",
        "title",
        "vector",
        "prefixes",
        "peak_bps",
        "peak_pps",
        "last_sign_at",
        "ended_at",
        "withdrawn_at",
        "acknowledged_by",
        "acknowledged_at",
        "is_test",
        "updated_at",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "prefix", "q"];
    type Row = Incident;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(params.records()?))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(incidents::list(tx, &self.0, Page { before, limit })?.map(|row| Incident::from(&row)))
    }
}

/// Incidents, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/incidents", operation_id = "list_incidents", tag = "incidents",
    params(crate::api::document::Span, crate::api::document::Paging, crate::api::document::OfPrefix,
        crate::api::document::Text),
    responses((status = 200, body = IncidentList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<IncidentList>, Failure> {
    let found = listing::page::<Incidents>(&app, &member, &uri).await?;
    Ok(Json(IncidentList {
        success: true,
        incidents: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}

/// Something that happened in an incident.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct TimelineLine {
    at: Timestamp,
    kind: String,
    text: String,
    /// Program
    source: String,
    actor: Option<String>,
    reference: Option<Reference>,
}

/// The row that a line of a timeline stands for.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Reference {
    table: String,
    id: i64,
}

impl From<&Line> for TimelineLine {
    fn from(line: &Line) -> Self {
        Self {
            at: line.at,
            kind: line.kind.clone(),
            text: line.text.clone(),
            source: line.source.clone(),
            actor: line.actor.clone(),
            reference: line.reference.as_ref().map(|(table, id)| Reference {
                table: table.to_string(),
                id: *id,
            }),
        }
    }
}

/// Everything about one incident.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct IncidentAnswer {
    success: bool,
    incident: Incident,
    timeline: Vec<TimelineLine>,
    messages: Vec<Message>,
    events: Vec<Attack>,
}

/// One incident with its timeline, messages and events
#[cfg_attr(test, utoipa::path(
    get, path = "/api/incidents/{id}", operation_id = "get_incident", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    responses((status = 200, body = IncidentAnswer), crate::api::document::OneFailures)
))]
pub(crate) async fn one(
    State(app): State<App>,
    _member: Member,
    Path(id): Path<i64>,
) -> Result<Json<IncidentAnswer>, Failure> {
    let stored = pages::incident::stored(&app, id).await?;
    Ok(Json(IncidentAnswer {
        success: true,
        incident: Incident::from(&stored.incident),
        timeline: stored.timeline.iter().map(TimelineLine::from).collect(),
        messages: stored.messages.iter().map(Message::from).collect(),
        events: stored.events.iter().map(Attack::from).collect(),
    }))
}
