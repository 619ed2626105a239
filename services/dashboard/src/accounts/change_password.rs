//! Setting a new password. It ends all other sessions of the account and renews this one.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use db::users::{self, User};
use db::{WriteTx, audit, sessions};
use domain::time::minus;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::login::{NewLogin, agent, too_many};
use super::password::{Stored, Turn};
use super::{Member, audit_row, first, policy, throttle};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

#[derive(Deserialize)]
pub(crate) struct Change {
    #[serde(default)]
    current_password: SecretString,
    #[serde(default)]
    new_password: SecretString,
    #[serde(default)]
    confirm_password: SecretString,
}

#[derive(Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    done: Option<String>,
}

/// `GET /password`
pub(crate) async fn form(State(app): State<App>, member: Member, Query(shown): Query<Shown>) -> Response {
    pages::password::page(&app, &member, shown.done.is_some(), None)
}

/// Sets a new password of one's own
///
/// Ends all other sessions of the account and renews this one. Not for tokens.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/change-password", operation_id = "change_password", tag = "settings",
    request_body = crate::api::document::PasswordChange,
    responses((status = 200, body = crate::api::document::Done), crate::api::document::ChangeFailures)
))]
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    headers: HeaderMap,
    member: Member,
    submission: Submission<Change>,
) -> Response {
    let Submission { fields, by_form } = submission;
    match change(&app, &client, &headers, &member, fields).await {
        Ok(secret) => {
            let mut answer = if by_form {
                pages::go_to("/password?done")
            } else {
                Json(json!({"success": true, "message": "Password changed; other sessions are ended"})).into_response()
            };
            app.cookie()
                .give(answer.headers_mut(), &secret, app.settings().dashboard.session_max);
            answer
        }
        Err(failure) if by_form && failure.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            pages::password::page(&app, &member, false, Some(&failure))
        }
        Err(failure) => failure.into_response(),
    }
}

/// The renewed session's secret.
async fn change(
    app: &App,
    client: &ClientAddr,
    headers: &HeaderMap,
    member: &Member,
    fields: Change,
) -> Result<String, Failure> {
    let (current, new) = (
        fields.current_password.expose_secret(),
        fields.new_password.expose_secret(),
    );
    if current.is_empty() || new.is_empty() {
        return Err(Failure::bad_request(
            "fields_required",
            "The current and the new password are required.",
        ));
    }
    if new != fields.confirm_password.expose_secret() {
        return Err(Failure::bad_request(
            "passwords_differ",
            "The two new passwords differ.",
        ));
    }
    if let Some(because) = policy::refuse(new, current, member.name()) {
        return Err(Failure::bad_request("weak_password", because));
    }
    let now = app.now();
    let address = client.0.to_string();
    let (user, turn) = proven(app, client, member, fields.current_password, "password.change").await?;
    let hash = turn.hash(fields.new_password).await?;
    let opened = NewLogin::make(app, &user, &address, &agent(headers), now)?;
    let secret = opened.secret.clone();
    tracing::info!(event = "dashboard.password.changed", account = user.name, address);
    let was_one_time = user.must_change;
    let store = move |tx: &WriteTx<'_>| {
        users::set_password(tx, &user.name, &hash, false, now)?;
        let ended = sessions::close_others(tx, user.id, None)?;
        opened.store(tx, now)?;
        let who = (user.name.as_str(), user.role.as_str());
        let mut row = audit_row(now, who, &address, ("password.change", &user.name), "ok");
        row.after = Some(format!("{} sessions ended", ended.saturating_sub(1)));
        audit::append(tx, &row)
    };
    app.db().write("password change", store).await?;
    if was_one_time {
        first::forget_password_file(app.db().path());
    }
    Ok(secret)
}

/// Whether it is really the person, and not whoever found an open session: the account, if the password is its own.
///
/// # Errors
/// 401 when the password is wrong, 429 when too many were.
pub(crate) async fn prove(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    password: SecretString,
    action: &'static str,
) -> Result<User, Failure> {
    let (user, _) = proven(app, client, member, password, action).await?;
    Ok(user)
}

async fn proven(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    password: SecretString,
    action: &'static str,
) -> Result<(User, Turn), Failure> {
    member.is_person()?;
    let turn = app.hasher().turn().await?;
    let now = app.now();
    let origin = throttle::origin(client.0);
    let user = look_up(app, member, &origin, now).await?;
    let stored = Stored {
        hash: Some(user.password_hash.clone()),
        bcrypt_cost: None,
    };
    if turn.verify(password, stored).await?.matches {
        return Ok((user, turn));
    }
    Err(refuse(app, user, (client.0.to_string(), origin), action, now).await)
}

/// The account, unless too many wrong passwords were given for it.
async fn look_up(app: &App, member: &Member, origin: &str, now: Timestamp) -> Result<User, Failure> {
    let (name, origin) = (member.name().to_owned(), origin.to_owned());
    let read = move |tx: &db::ReadTx<'_>| {
        let failures = users::failures(tx, &name.to_lowercase(), &origin, minus(now, throttle::MEMORY))?;
        Ok((
            throttle::wait(throttle::ACCOUNT, failures.0, now),
            users::by_name(tx, &name)?,
        ))
    };
    let (wait, user) = app.db().read("password change", read).await?;
    if let Some(wait) = wait {
        return Err(too_many(wait));
    }
    user.ok_or_else(|| Failure::not_found("The account does not exist any more."))
}

/// A session in strange hands must not serve for guessing the password.
async fn refuse(
    app: &App,
    user: User,
    (address, origin): (String, String),
    action: &'static str,
    now: Timestamp,
) -> Failure {
    tracing::warn!(
        event = "dashboard.login.failed",
        account = user.name,
        address,
        because = "wrong current password"
    );
    let store = move |tx: &WriteTx<'_>| {
        users::login_failed(tx, &user.name.to_lowercase(), &origin, now)?;
        let who = (user.name.as_str(), user.role.as_str());
        let result = "refused: wrong current password";
        audit::append(tx, &audit_row(now, who, &address, (action, &user.name), result))
    };
    match app.db().write("failed password change", store).await {
        Ok(()) => Failure::new(
            StatusCode::UNAUTHORIZED,
            "wrong_password",
            "The current password is wrong.",
        ),
        Err(error) => error.into(),
    }
}
