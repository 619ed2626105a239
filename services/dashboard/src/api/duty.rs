//! `POST /api/incidents/{id}/assign`: who looks after an incident.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use db::incidents::{self, Line};
use db::users::{self, Role};
use db::{DbError, WriteTx, audit};
use domain::ids::IncidentId;
use serde::Deserialize;
use serde_json::json;

use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = AssignWanted))]
pub(crate) struct Wanted {
    /// Account name; empty or absent: nobody.
    #[serde(default)]
    person: Option<String>,
}

/// Gives the incident to somebody who may operate, or to nobody
#[cfg_attr(test, utoipa::path(
    post, path = "/api/incidents/{id}/assign", operation_id = "assign_incident", tag = "incidents",
    params(("id" = i64, Path, example = 4)),
    request_body = Wanted,
    responses((status = 200, body = crate::api::document::Done), crate::api::document::ChangeFailures)
))]
pub(crate) async fn assign(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let now = app.now();
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let asked = submission.fields.person.as_deref().map(str::trim);
    let asked = asked.filter(|name| !name.is_empty()).map(str::to_owned);
    let store = move |tx: &WriteTx<'_>| {
        let id = IncidentId(id);
        let person = match &asked {
            None => None,
            Some(name) => match users::by_name(tx, name)? {
                Some(user) if user.role >= Role::Operator && !user.disabled => Some(user.name),
                _ => return Ok(None),
            },
        };
        let before = incidents::duty(tx, id)?.map(|duty| duty.person);
        incidents::assign(tx, id, person.as_deref(), &actor, now)?;
        let text = match &person {
            Some(person) => format!("{person} looks after it"),
            None => "Nobody looks after it any more".to_owned(),
        };
        let line = Line {
            at: now,
            kind: "assigned".to_owned(),
            text: text.clone(),
            source: "dashboard".to_owned(),
            actor: Some(actor.clone()),
            reference: None,
        };
        incidents::note(tx, id, &line, now)?;
        let subject = format!("incident {id}");
        let who = (actor.as_str(), role.as_str());
        let row = audit_row(now, who, &address, ("incident.assign", &subject), "ok");
        audit::append(
            tx,
            &audit::Entry {
                before,
                after: person,
                ..row
            },
        )?;
        Ok::<_, DbError>(Some(text))
    };
    let Some(text) = app.db().write("assign", store).await? else {
        let text = "There is no such account, or it may not operate; nothing was changed.";
        return Err(Failure::bad_request("unknown_person", text));
    };
    app.changed();
    tracing::info!(
        event = "dashboard.incident.assigned",
        incident = id,
        actor = member.name()
    );
    if submission.by_form {
        return Ok(pages::go_to(&format!("/incidents/{id}")));
    }
    Ok(Json(json!({"success": true, "message": format!("{text}.")})).into_response())
}
