//! `GET /api/messages`: what was to be told to people, and what became of it. Which chat a message went to is the
//! configuration's business and not told.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use db::lists::Page;
use db::lists::messages::{self, Filter};
use db::outbox::Notification;
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::Serialize;

use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// What a message can have come to.
const STATES: &[&str] = &["queued", "sent", "suppressed", "failed", "expired"];

/// A message and its fate.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Message {
    id: i64,
    created_at: Timestamp,
    kind: String,
    /// critical, high, normal, low
    priority: String,
    /// queued, sent, suppressed, failed, expired
    state: String,
    /// Why it is suppressed, failed or expired
    reason: Option<String>,
    attempts: u32,
    not_before: Timestamp,
    sent_at: Option<Timestamp>,
    event_id: Option<i64>,
    incident_id: Option<i64>,
    is_test: bool,
}

impl From<&Notification> for Message {
    fn from(row: &Notification) -> Self {
        Self {
            id: row.id.0,
            created_at: row.created_at,
            kind: row.kind.clone(),
            priority: row.priority.as_str().to_owned(),
            state: row.state.clone(),
            reason: row.reason.clone(),
            attempts: row.attempts,
            not_before: row.not_before,
            sent_at: row.sent_at,
            event_id: row.event.map(|id| id.0),
            incident_id: row.incident.map(|id| id.0),
            is_test: row.is_test,
        }
    }
}

/// A page of the messages.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MessageList {
    success: bool,
    messages: Vec<Message>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// Messages, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Messages(Filter);

impl List for Messages {
    const NAME: &'static str = "messages";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "created_at",
        "kind",
        "priority",
        "state",
        "reason",
        "attempts",
        "not_before",
        "sent_at",
        "event_id",
        "incident_id",
        "is_test",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "state", "kind", "q"];
    type Row = Message;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(Filter {
            span: params.span()?,
            state: params.word("state", STATES)?.map(str::to_owned),
            kind: params.text("kind")?,
            text: params.text("q")?,
        }))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(messages::list(tx, &self.0, Page { before, limit })?.map(|row| Message::from(&row)))
    }
}

/// Messages to people and their fate, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/messages", operation_id = "list_messages", tag = "records",
    params(crate::api::document::Span, crate::api::document::Paging,
        ("state" = Option<String>, Query, description = "queued, sent, suppressed, failed, expired", example = "sent"),
        ("kind" = Option<String>, Query, description = "Exactly this kind", example = "advertised"),
        crate::api::document::Text),
    responses((status = 200, body = MessageList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<MessageList>, Failure> {
    let found = listing::page::<Messages>(&app, &member, &uri).await?;
    Ok(Json(MessageList {
        success: true,
        messages: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}
