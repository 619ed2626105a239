//! What people do about an incident: `POST /api/incidents/{id}/acknowledge`, `/assign` and `/notes`.
//!
//! Must hold: each needs the role of an operator, and is one transaction of the change, a line of the incident's timeline
//! and a row of the audit. Notes stay: they are lines of the timeline.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use db::incidents::{self, Line};
use db::users::{self, Role};
use db::{DbError, WriteTx, audit};
use domain::ids::IncidentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::incidents::Incident;
use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// Most characters of a note.
const LONGEST: usize = 1_000;

/// Somebody does something about an incident.
struct Hand {
    actor: String,
    role: Role,
    address: String,
    now: Timestamp,
    incident: IncidentId,
}

/// What is kept of it.
struct Trace<'a> {
    /// Kind of line in the timeline.
    kind: &'a str,
    text: &'a str,
    /// Action of the audit.
    action: &'a str,
    before: Option<String>,
    after: Option<String>,
}

impl Hand {
    /// # Errors
    /// 403 for a viewer.
    fn of(app: &App, client: &ClientAddr, member: &Member, id: i64) -> Result<Self, Failure> {
        member.needs(Role::Operator)?;
        Ok(Self {
            actor: member.name().to_owned(),
            role: member.role(),
            address: client.0.to_string(),
            now: app.now(),
            incident: IncidentId(id),
        })
    }

    /// Writes it down.
    fn leave(&self, tx: &WriteTx<'_>, trace: Trace<'_>) -> Result<(), DbError> {
        let line = Line {
            at: self.now,
            kind: trace.kind.to_owned(),
            text: trace.text.to_owned(),
            source: "dashboard".to_owned(),
            actor: Some(self.actor.clone()),
            reference: None,
        };
        // It may have been merged into another one since the page was made.
        let incident = incidents::survivor(tx, self.incident)?;
        incidents::note(tx, incident, &line, self.now)?;
        let subject = format!("incident {incident}");
        let (who, what) = (
            (self.actor.as_str(), self.role.as_str()),
            (trace.action, subject.as_str()),
        );
        let row = audit::Entry {
            before: trace.before,
            after: trace.after,
            ..audit_row(self.now, who, &self.address, what, "ok")
        };
        audit::append(tx, &row)
    }
}

/// The page again for a form, the body for a program.
fn answer(by_form: bool, id: i64, body: impl Serialize) -> Response {
    if by_form {
        return pages::go_to(&format!("/incidents/{id}"));
    }
    Json(body).into_response()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct AcknowledgeAnswer {
    success: bool,
    message: &'static str,
    incident: Incident,
}

/// Takes note of an incident
///
/// The first acknowledgement stays; a second changes nothing and is answered like the first. Needs the role of an
/// operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/incidents/{id}/acknowledge", operation_id = "acknowledge_incident", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    request_body = crate::api::document::Nothing,
    responses((status = 200, body = AcknowledgeAnswer), crate::api::document::ChangeFailures)
))]
pub(crate) async fn acknowledge(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<Nothing>,
) -> Result<Response, Failure> {
    let hand = Hand::of(&app, &client, &member, id)?;
    let store = move |tx: &WriteTx<'_>| {
        let before = incidents::get(tx, hand.incident)?.ok_or(DbError::NotFound)?;
        if before.acknowledged_by.is_some() {
            return Ok((before, false));
        }
        incidents::acknowledge(tx, hand.incident, &hand.actor, hand.now)?;
        let trace = Trace {
            kind: "acknowledged",
            text: "Acknowledged",
            action: "incident.acknowledge",
            before: None,
            after: None,
        };
        hand.leave(tx, trace)?;
        Ok((incidents::get(tx, hand.incident)?.ok_or(DbError::NotFound)?, true))
    };
    let (incident, first) = app.db().write("acknowledge", store).await?;
    if first {
        app.changed();
        let actor = member.name();
        tracing::info!(event = "dashboard.incident.acknowledged", incident = id, actor);
    }
    let message = if first {
        "Acknowledged."
    } else {
        "It was acknowledged before."
    };
    let body = AcknowledgeAnswer {
        success: true,
        message,
        incident: Incident::from(&incident),
    };
    Ok(answer(submission.by_form, id, body))
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = AssignWanted))]
pub(crate) struct AssignWanted {
    /// Account name; empty or absent: nobody.
    #[serde(default)]
    person: Option<String>,
}

/// Gives the incident to somebody who may operate, or to nobody
#[cfg_attr(test, utoipa::path(
    post, path = "/api/incidents/{id}/assign", operation_id = "assign_incident", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    request_body = AssignWanted,
    responses((status = 200, body = crate::api::document::Done), crate::api::document::ChangeFailures)
))]
pub(crate) async fn assign(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<AssignWanted>,
) -> Result<Response, Failure> {
    let hand = Hand::of(&app, &client, &member, id)?;
    let asked = submission.fields.person.as_deref().map(str::trim);
    let asked = asked.filter(|name| !name.is_empty()).map(str::to_owned);
    let store = move |tx: &WriteTx<'_>| {
        let person = match &asked {
            None => None,
            Some(name) => match users::by_name(tx, name)? {
                Some(user) if user.role >= Role::Operator && !user.disabled => Some(user.name),
                _ => return Ok(None),
            },
        };
        let before = incidents::duty(tx, hand.incident)?.map(|duty| duty.person);
        incidents::assign(tx, hand.incident, person.as_deref(), &hand.actor, hand.now)?;
        let text = match &person {
            Some(person) => format!("{person} looks after it"),
            None => "Nobody looks after it any more".to_owned(),
        };
        let trace = Trace {
            kind: "assigned",
            text: &text,
            action: "incident.assign",
            before,
            after: person,
        };
        hand.leave(tx, trace)?;
        Ok(Some(text))
    };
    let Some(text) = app.db().write("assign", store).await? else {
        let text = "There is no such account, or it may not operate; nothing was changed.";
        return Err(Failure::bad_request("unknown_person", text));
    };
    app.changed();
    let actor = member.name();
    tracing::info!(event = "dashboard.incident.assigned", incident = id, actor);
    let body = json!({"success": true, "message": format!("{text}.")});
    Ok(answer(submission.by_form, id, body))
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = NoteWanted))]
pub(crate) struct NoteWanted {
    #[serde(default)]
    text: String,
}

/// Adds a note to the timeline of an incident
#[cfg_attr(test, utoipa::path(
    post, path = "/api/incidents/{id}/notes", operation_id = "add_note", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    request_body = NoteWanted,
    responses((status = 200, body = crate::api::document::Done), crate::api::document::ChangeFailures)
))]
pub(crate) async fn note(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<NoteWanted>,
) -> Result<Response, Failure> {
    let hand = Hand::of(&app, &client, &member, id)?;
    let text = words::outside_up_to(&submission.fields.text, LONGEST);
    if text.is_empty() {
        let text = "Write something; nothing was added.";
        return Err(Failure::bad_request("note_required", text));
    }
    let store = move |tx: &WriteTx<'_>| {
        incidents::get(tx, hand.incident)?.ok_or(DbError::NotFound)?;
        let trace = Trace {
            kind: "note",
            text: &text,
            action: "incident.note",
            before: None,
            after: Some(text.clone()),
        };
        hand.leave(tx, trace)
    };
    app.db().write("note", store).await?;
    app.changed();
    let actor = member.name();
    tracing::info!(event = "dashboard.incident.noted", incident = id, actor);
    let body = json!({"success": true, "message": "The note is added."});
    Ok(answer(submission.by_form, id, body))
}
