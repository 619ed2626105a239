//! `/api/holds`: a person's word against automation. Setting one stops every withdrawal of the prefix at once; nothing
//! here touches BGP.
//!
//! Must hold: each has a reason and a name; a withdrawal that is planned and not sent is cancelled in the same
//! transaction; releasing says what still holds.

mod store;
mod wanted;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use db::holds;
use db::users::Role;
use domain::hold::Hold;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use self::store::By;
use self::wanted::{Scope, Wanted};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// A person's word against automation.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct HoldsAnswer {
    success: bool,
    /// Those in force
    #[cfg_attr(test, schema(value_type = Vec<crate::api::document::HoldShape>))]
    holds: Vec<Hold>,
    timestamp: Timestamp,
}

/// The holds in force
#[cfg_attr(test, utoipa::path(
    get, path = "/api/holds", operation_id = "list_holds", tag = "acts",
    responses((status = 200, body = HoldsAnswer), crate::api::document::Failures)
))]
pub(crate) async fn list(State(app): State<App>, _member: Member) -> Result<Json<HoldsAnswer>, Failure> {
    let now = app.now();
    let holds = app.db().read("holds", move |tx| holds::in_force(tx, now)).await?;
    Ok(Json(HoldsAnswer {
        success: true,
        holds,
        timestamp: now,
    }))
}

/// Holds a prefix, or pauses everything
///
/// A withdrawal that is planned and not sent is cancelled in the same transaction. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/holds", operation_id = "set_hold", tag = "acts",
    request_body = crate::api::document::HoldWanted,
    responses((status = 200, body = crate::api::document::HoldDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn set(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let now = app.now();
    let wanted = &submission.fields;
    let (scope, reason, until) = (wanted.scope()?, wanted.reason()?, wanted.until(now)?);
    let by = By::of(&member, &client, &app);
    let stored = app
        .db()
        .write("hold", move |tx| store::set(tx, scope, &reason, until, &by))
        .await?;
    let Some((hold, cancelled)) = stored else {
        let text = format!("{} is no prefix of ours and overlaps none.", scope.subject());
        return Err(Failure::new(StatusCode::NOT_FOUND, "unknown_prefix", text));
    };
    app.changed();
    let until_text = hold.until.map_or_else(|| "released".to_owned(), words::iso);
    let (prefix, actor) = (scope.subject(), member.name());
    tracing::info!(
        event = "dashboard.hold.set",
        prefix,
        actor,
        until = until_text,
        cancelled,
        reason = hold.reason
    );
    let end = hold.until.map_or_else(
        || "until it is released".to_owned(),
        |at| format!("until {}", words::said(at, now)),
    );
    let note = if cancelled > 0 {
        " A withdrawal that was planned is cancelled."
    } else {
        ""
    };
    let message = format!("{prefix} is held {end}.{note}");
    Ok(answer(
        submission.by_form,
        &message,
        json!({"hold": hold, "cancelled_withdrawals": cancelled}),
    ))
}

/// Releases the hold on exactly this
///
/// Says what still holds it. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/holds/release", operation_id = "release_hold", tag = "acts",
    request_body = crate::api::document::ReleaseWanted,
    responses((status = 200, body = crate::api::document::ReleaseDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn release(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let scope = submission.fields.scope()?;
    release_scope(&app, &client, &member, scope, submission.by_form).await
}

/// Releases the hold on exactly this prefix; `everything` ends the pauses
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/holds/{prefix}", operation_id = "delete_hold", tag = "acts",
    params(("prefix" = String, Path, description = "A network, its slash plain or encoded; or everything", example = "203.0.113.0/24")),
    responses((status = 200, body = crate::api::document::ReleaseDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn delete(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(written): Path<String>,
) -> Result<Response, Failure> {
    let scope = if written == "everything" {
        Scope::Everything
    } else {
        wanted::scope(Some(&written), None)?
    };
    release_scope(&app, &client, &member, scope, false).await
}

async fn release_scope(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    scope: Scope,
    by_form: bool,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let by = By::of(member, client, app);
    let (released, still) = app
        .db()
        .write("hold release", move |tx| store::lift(tx, scope, &by))
        .await?;
    let prefix = scope.subject();
    if released == 0 {
        let text = format!("No hold is in force on exactly {prefix}.");
        return Err(Failure::new(StatusCode::NOT_FOUND, "no_hold", text));
    }
    app.changed();
    tracing::info!(
        event = "dashboard.hold.released",
        prefix,
        actor = member.name(),
        released
    );
    let note = still.as_ref().map_or_else(String::new, |hold| {
        let on = hold
            .prefix
            .map_or_else(|| "everything".to_owned(), |held| held.to_string());
        format!(" It is still held by the hold on {on}.")
    });
    let message = format!("The hold on {prefix} is released.{note}");
    Ok(answer(
        by_form,
        &message,
        json!({"released": released, "still_held_by": still}),
    ))
}

fn answer(by_form: bool, message: &str, more: Value) -> Response {
    if by_form {
        return pages::go_to("/");
    }
    let mut body = json!({"success": true, "message": message});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Json(body).into_response()
}
