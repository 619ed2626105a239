//! `POST /settings/sessions`: ending sessions, one or all. People end their own, admins anybody's.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use db::users::Role;
use db::{DbError, WriteTx, audit, sessions};
use serde::Deserialize;
use serde_json::json;

use super::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

/// How much of the hash of a session's secret names it in lists: enough to be its own, and nothing can be done with it.
pub(crate) const ID_DIGITS: usize = 16;

/// What the form asks for.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// end or everywhere
    act: String,
    #[serde(default)]
    id: String,
}

/// `POST /settings/sessions`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.is_person()?;
    let (now, actor, role) = (app.now(), member.name().to_owned(), member.role());
    let (address, user_id) = (client.0.to_string(), member.session().user_id);
    match submission.fields.act.as_str() {
        "everywhere" => {
            let store = move |tx: &WriteTx<'_>| {
                let ended = sessions::close_others(tx, user_id, None)?;
                let what = ("session.end_all", actor.as_str());
                let mut row = audit_row(now, (&actor, role.as_str()), &address, what, "ok");
                row.after = Some(format!("{ended} sessions ended"));
                audit::append(tx, &row)
            };
            app.db().write("sessions", store).await?;
            let mut answer = if submission.by_form {
                pages::go_to("/login")
            } else {
                Json(json!({"success": true, "message": "All sessions are ended."})).into_response()
            };
            app.cookie().take(answer.headers_mut());
            Ok(answer)
        }
        "end" => {
            let id = submission.fields.id;
            if id.len() != ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Failure::bad_request("invalid_value", "id must be that of a session."));
            }
            let of = (role < Role::Admin).then_some(user_id);
            let store = move |tx: &WriteTx<'_>| {
                let owner = sessions::close_listed(tx, &id, of)?.ok_or(DbError::NotFound)?;
                let row = audit_row(now, (&actor, role.as_str()), &address, ("session.end", &owner), "ok");
                audit::append(tx, &row)
            };
            app.db().write("sessions", store).await?;
            if submission.by_form {
                return Ok(pages::go_to("/settings#sessions"));
            }
            Ok(Json(json!({"success": true, "message": "The session is ended."})).into_response())
        }
        _ => Err(Failure::bad_request("bad_fields", "act is end or everywhere.")),
    }
}
