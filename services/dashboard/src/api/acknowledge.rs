//! `POST /api/incidents/{id}/acknowledge`: a person has seen it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use db::incidents::{self, Line};
use db::users::Role;
use db::{DbError, WriteTx, audit};
use domain::ids::IncidentId;
use serde::{Deserialize, Serialize};

use super::incidents::Incident;
use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

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
pub(crate) async fn post(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<i64>,
    submission: Submission<Nothing>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let now = app.now();
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let store = move |tx: &WriteTx<'_>| {
        let id = IncidentId(id);
        let before = incidents::get(tx, id)?.ok_or(DbError::NotFound)?;
        if before.acknowledged_by.is_some() {
            return Ok((before, false));
        }
        incidents::acknowledge(tx, id, &actor, now)?;
        let line = Line {
            at: now,
            kind: "acknowledged".to_owned(),
            text: "Acknowledged".to_owned(),
            source: "dashboard".to_owned(),
            actor: Some(actor.clone()),
            reference: None,
        };
        incidents::note(tx, id, &line, now)?;
        let subject = format!("incident {id}");
        audit::append(
            tx,
            &audit_row(
                now,
                (&actor, role.as_str()),
                &address,
                ("incident.acknowledge", &subject),
                "ok",
            ),
        )?;
        Ok((incidents::get(tx, id)?.ok_or(DbError::NotFound)?, true))
    };
    let (incident, first) = app.db().write("acknowledge", store).await?;
    if first {
        app.changed();
        tracing::info!(
            event = "dashboard.incident.acknowledged",
            incident = id,
            actor = member.name()
        );
    }
    if submission.by_form {
        return Ok(pages::go_to(&format!("/incidents/{id}")));
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
    Ok(Json(body).into_response())
}
