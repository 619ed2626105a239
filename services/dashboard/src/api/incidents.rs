//! `GET /api/incidents` and `/api/incidents/{id}`.

use axum::Json;
use axum::extract::{Path, State};
use db::incidents::{self, Line};
use db::outbox::Notification;
use domain::ids::IncidentId;
use serde_json::{Value, json};

use super::paging::Paging;
use super::{Answer, attacks, list, value};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::pages;

pub(crate) async fn list_all(State(app): State<App>, _member: Member, paging: Paging<50>) -> Answer {
    let (before, limit) = (paging.before.map(IncidentId), paging.limit);
    let found = app
        .db()
        .read("incidents", move |tx| incidents::newest(tx, before, limit))
        .await?;
    let next = paging.next(found.last().map(|incident| incident.id.0), found.len());
    let rows: Result<Vec<Value>, Failure> = found.iter().map(value).collect();
    Ok(list("incidents", rows?, next))
}

pub(crate) async fn one(State(app): State<App>, _member: Member, Path(id): Path<i64>) -> Answer {
    let stored = pages::incident::stored(&app, id).await?;
    Ok(Json(json!({
        "success": true,
        "incident": value(&stored.incident)?,
        "timeline": stored.timeline.iter().map(line).collect::<Vec<_>>(),
        "messages": stored.messages.iter().map(message).collect::<Vec<_>>(),
        "events": stored.events.iter().map(attacks::row).collect::<Vec<_>>(),
    })))
}

fn line(line: &Line) -> Value {
    json!({
        "at": line.at,
        "kind": line.kind,
        "text": line.text,
        "source": line.source,
        "actor": line.actor,
        "reference": line.reference.as_ref().map(|(table, id)| json!({"table": table, "id": id})),
    })
}

/// A message and its fate. Which chat it went to is the configuration's business.
fn message(message: &Notification) -> Value {
    json!({
        "id": message.id,
        "created_at": message.created_at,
        "kind": message.kind,
        "priority": message.priority.as_str(),
        "state": message.state,
        "reason": message.reason,
        "attempts": message.attempts,
        "not_before": message.not_before,
        "sent_at": message.sent_at,
        "event_id": message.event,
    })
}
