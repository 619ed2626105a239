//! `/second-factor`: what is still asked for after the password.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use db::users::User;
use db::{DbError, ReadTx, WriteTx, audit, sessions, users};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Outcome, check};
use crate::accounts::login::{NewLogin, agent, local_path, too_many};
use crate::accounts::{Member, audit_row, throttle};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

#[derive(Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: Option<String>,
}

/// `GET /second-factor`
pub(crate) async fn form(State(app): State<App>, member: Member, Query(shown): Query<Shown>) -> Response {
    let next = local_path(shown.next.as_deref());
    if !member.session().owes_factor {
        return pages::go_to(next);
    }
    pages::second_factor::asked(&app, &member, next, None)
}

/// `POST /second-factor`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    headers: HeaderMap,
    member: Member,
    submission: Submission<Given>,
) -> Response {
    let Submission { fields, by_form } = submission;
    let next = local_path(fields.next.as_deref()).to_owned();
    match complete(&app, &client, &headers, &member, fields.code).await {
        Ok(secret) => {
            let mut answer = if by_form {
                pages::go_to(&next)
            } else {
                Json(json!({"success": true, "message": "Login successful"})).into_response()
            };
            let lives = app.settings().dashboard.session_max;
            app.cookie().give(answer.headers_mut(), &secret, lives);
            answer
        }
        Err(failure) if by_form && failure.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            pages::second_factor::asked(&app, &member, &next, Some(&failure))
        }
        Err(failure) => failure.into_response(),
    }
}

/// A whole session instead of the half one; its secret.
async fn complete(
    app: &App,
    client: &ClientAddr,
    headers: &HeaderMap,
    member: &Member,
    code: String,
) -> Result<String, Failure> {
    if !member.session().owes_factor {
        return Err(Failure::bad_request("nothing_owed", "This session is complete."));
    }
    let now = app.now();
    let name = member.name().to_owned();
    let found = app
        .db()
        .read("account", move |tx: &ReadTx<'_>| users::by_name(tx, &name));
    let user = found
        .await?
        .ok_or_else(|| Failure::not_found("The account does not exist any more."))?;
    let opened = NewLogin::make(app, &user, &client.0.to_string(), &agent(headers), now)?;
    let half = member.session().token_hash.clone();
    let tried = Tried {
        user,
        address: client.0.to_string(),
        origin: throttle::origin(client.0),
        code,
    };
    tried.store(app, opened, Some(half), now).await
}

/// A code that was given for a login.
pub(crate) struct Tried {
    pub(crate) user: User,
    pub(crate) address: String,
    pub(crate) origin: String,
    pub(crate) code: String,
}

impl Tried {
    /// Checks the code and opens the session if it is right; the new session's secret. `old` ends with it.
    ///
    /// # Errors
    /// 401 when the code is wrong, 429 when too many were.
    pub(crate) async fn store(
        self,
        app: &App,
        opened: NewLogin,
        old: Option<String>,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let secret = opened.secret.clone();
        let (account, address) = (self.user.name.clone(), self.address.clone());
        let role = self.user.role.as_str();
        let store = move |tx: &WriteTx<'_>| {
            let outcome = check(tx, &self.user, &self.code, &self.origin, now)?;
            let who = (self.user.name.as_str(), role);
            match outcome {
                Outcome::Right { from_paper } => {
                    if let Some(old) = &old {
                        sessions::close(tx, old)?;
                    }
                    users::forget_failures(tx, &self.user.name.to_lowercase())?;
                    users::logged_in(tx, self.user.id, now)?;
                    opened.store(tx, now)?;
                    let mut row = audit_row(now, who, &self.address, ("login", &self.user.name), "ok");
                    row.after = Some(
                        if from_paper {
                            "with a recovery code"
                        } else {
                            "with a second factor"
                        }
                        .to_owned(),
                    );
                    audit::append(tx, &row)?;
                }
                Outcome::Wrong => {
                    let what = ("login.failed", self.user.name.as_str());
                    let row = audit_row(now, who, &self.address, what, "refused: wrong second factor");
                    audit::append(tx, &row)?;
                }
                Outcome::Wait(_) => {}
            }
            Ok::<_, DbError>(outcome)
        };
        match app.db().write("second factor", store).await? {
            Outcome::Right { from_paper } => {
                tracing::info!(event = "dashboard.login.succeeded", account, address, role, from_paper);
                Ok(secret)
            }
            Outcome::Wrong => {
                app.counters().failed_logins.inc();
                let because = "wrong second factor";
                tracing::warn!(event = "dashboard.login.failed", account, address, because);
                let text = "The code is wrong, or it was used before. Wait for the next one.";
                Err(Failure::new(StatusCode::UNAUTHORIZED, "wrong_second_factor", text))
            }
            Outcome::Wait(wait) => {
                app.counters().throttled_logins.inc();
                Err(too_many(wait))
            }
        }
    }
}
