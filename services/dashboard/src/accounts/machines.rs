//! `POST /settings/tokens`: tokens for programs, made and revoked by admins. A token is shown once.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use db::tokens::{self, NewToken};
use db::users::Role;
use db::{DbError, WriteTx, audit};
use domain::time::plus;
use serde::Deserialize;
use serde_json::json;

use super::{Member, audit_row, bearer, people, token};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::pages::settings::Once;
use crate::submission::Submission;

/// Longest life of a token, in days: what nobody renews within a year nobody remembers.
const LONGEST_DAYS: u64 = 365;

/// What the form asks for.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// make or revoke
    act: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
    /// Until its end
    #[serde(default)]
    days: String,
    /// Number of the token to be revoked
    #[serde(default)]
    id: String,
}

/// `POST /settings/tokens`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.is_person()?;
    member.needs(Role::Admin)?;
    let wanted = submission.fields;
    match wanted.act.as_str() {
        "make" => make(&app, &client, &member, &wanted, submission.by_form).await,
        "revoke" => revoke(&app, &client, &member, &wanted, submission.by_form).await,
        _ => Err(Failure::bad_request("bad_fields", "act is make or revoke.")),
    }
}

async fn make(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    wanted: &Wanted,
    by_form: bool,
) -> Result<Response, Failure> {
    let (name, role) = (people::name(&wanted.name)?, people::role(&wanted.role)?);
    let days = wanted
        .days
        .trim()
        .parse()
        .ok()
        .filter(|days| (1..=LONGEST_DAYS).contains(days));
    let days: u64 =
        days.ok_or_else(|| Failure::bad_request("invalid_value", "days must be a number from 1 to 365."))?;
    let secret = token::secret().map_err(|error| Failure::internal(&error))?;
    let secret = format!("{}{secret}", bearer::MARK);
    let (hash, now) = (token::digest(&secret), app.now());
    let ends = plus(now, Duration::from_secs(days * 86_400));
    let (actor, subject) = (member.name().to_owned(), name.clone());
    let mut row = audit_row(
        now,
        (member.name(), member.role().as_str()),
        &client.0.to_string(),
        ("token.make", &name),
        "ok",
    );
    row.after = Some(format!("{}, until {}", role.as_str(), crate::words::iso(ends)));
    let store = move |tx: &WriteTx<'_>| {
        let new = NewToken {
            name: &subject,
            token_hash: &hash,
            role,
            created_by: &actor,
            expires_at: ends,
        };
        tokens::add(tx, &new, now)?;
        audit::append(tx, &row)
    };
    app.db().write("token", store).await.map_err(|error| match error {
        DbError::Conflict { .. } => {
            let text = "There is a token of this name, or there was one; take another name.";
            Failure::bad_request("name_taken", text)
        }
        other => other.into(),
    })?;
    tracing::warn!(
        event = "dashboard.token.made",
        token = name,
        role = role.as_str(),
        actor = member.name()
    );
    if by_form {
        let once = Once {
            what: format!("The token {name}"),
            secret,
        };
        return pages::settings::shown(app, member, Some(once)).await;
    }
    Ok(Json(json!({"success": true, "name": name, "token": secret, "expires_at": ends})).into_response())
}

async fn revoke(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    wanted: &Wanted,
    by_form: bool,
) -> Result<Response, Failure> {
    let id: i64 = wanted
        .id
        .parse()
        .map_err(|_| Failure::bad_request("invalid_value", "id must be the number of a token."))?;
    let (now, actor, role) = (app.now(), member.name().to_owned(), member.role());
    let address = client.0.to_string();
    let store = move |tx: &WriteTx<'_>| {
        let name = tokens::revoke(tx, id, &actor, now)?.ok_or(DbError::NotFound)?;
        let row = audit_row(now, (&actor, role.as_str()), &address, ("token.revoke", &name), "ok");
        audit::append(tx, &row)?;
        Ok(name)
    };
    let name = app.db().write("token", store).await?;
    tracing::warn!(event = "dashboard.token.revoked", token = name, actor = member.name());
    if by_form {
        return Ok(pages::go_to("/settings#tokens"));
    }
    Ok(Json(json!({"success": true, "message": format!("The token {name} is revoked.")})).into_response())
}
