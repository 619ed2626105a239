//! `POST /api/incidents/{id}/notes`: what people write about an incident. Notes stay: they are lines of its timeline.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use db::incidents::{self, Line};
use db::users::Role;
use db::{DbError, WriteTx, audit};
use domain::ids::IncidentId;
use serde::Deserialize;
use serde_json::json;

use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// Most characters of a note.
const LONGEST: usize = 1_000;

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = NoteWanted))]
pub(crate) struct Wanted {
    #[serde(default)]
    text: String,
}

/// Adds a note to the timeline of an incident
#[cfg_attr(test, utoipa::path(
    post, path = "/api/incidents/{id}/notes", operation_id = "add_note", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    request_body = Wanted,
    responses((status = 200, body = crate::api::document::Done), crate::api::document::ChangeFailures)
))]
pub(crate) async fn add(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let text = words::outside_up_to(&submission.fields.text, LONGEST);
    if text.is_empty() {
        return Err(Failure::bad_request(
            "note_required",
            "Write something; nothing was added.",
        ));
    }
    let now = app.now();
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let store = move |tx: &WriteTx<'_>| {
        let id = IncidentId(id);
        incidents::get(tx, id)?.ok_or(DbError::NotFound)?;
        let line = Line {
            at: now,
            kind: "note".to_owned(),
            text: text.clone(),
            source: "dashboard".to_owned(),
            actor: Some(actor.clone()),
            reference: None,
        };
        incidents::note(tx, id, &line, now)?;
        let subject = format!("incident {id}");
        let who = (actor.as_str(), role.as_str());
        let row = audit_row(now, who, &address, ("incident.note", &subject), "ok");
        audit::append(
            tx,
            &audit::Entry {
                after: Some(text),
                ..row
            },
        )
    };
    app.db().write("note", store).await?;
    app.changed();
    tracing::info!(event = "dashboard.incident.noted", incident = id, actor = member.name());
    if submission.by_form {
        return Ok(pages::go_to(&format!("/incidents/{id}")));
    }
    Ok(Json(json!({"success": true, "message": "The note is added."})).into_response())
}
