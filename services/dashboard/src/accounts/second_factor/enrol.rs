//! `/settings/second-factor`: setting a second factor up, and taking it away.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use db::users::User;
use db::{DbError, ReadTx, WriteTx, audit, second_factor, users};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::{Outcome, check, code};
use crate::accounts::login::too_many;
use crate::accounts::{Member, audit_row, change_password, throttle};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::pages::second_factor::State as Shown;
use crate::submission::Submission;

/// What the form asks for.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// begin, confirm, renew, remove
    act: String,
    #[serde(default)]
    current_password: SecretString,
    #[serde(default)]
    code: String,
}

/// `GET /settings/second-factor`
pub(crate) async fn form(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.is_person()?;
    let id = member.session().user_id;
    let factor = app
        .db()
        .read("second factor", move |tx| second_factor::get(tx, id))
        .await?;
    Ok(pages::second_factor::settings(&app, &member, &Shown::of(factor), None))
}

/// `POST /settings/second-factor`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.is_person()?;
    let fields = submission.fields;
    let asked = Asked {
        app: &app,
        client: &client,
        member: &member,
        now: app.now(),
    };
    let done = match fields.act.as_str() {
        "begin" => asked.begin(fields.current_password).await,
        "confirm" => asked.confirm(fields.code).await,
        "renew" => asked.renew(fields.code).await,
        "remove" => asked.remove(fields.code).await,
        _ => Err(Failure::bad_request(
            "bad_fields",
            "act is begin, confirm, renew or remove.",
        )),
    };
    match done {
        Ok(shown) => Ok(pages::second_factor::settings(&app, &member, &shown, None)),
        Err(failure) if submission.by_form && failure.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            let id = member.session().user_id;
            let factor = app
                .db()
                .read("second factor", move |tx| second_factor::get(tx, id))
                .await?;
            let shown = Shown::of(factor);
            Ok(pages::second_factor::settings(&app, &member, &shown, Some(&failure)))
        }
        Err(failure) => Ok(failure.into_response()),
    }
}

/// Who asks, and where from.
struct Asked<'a> {
    app: &'a App,
    client: &'a ClientAddr,
    member: &'a Member,
    now: Timestamp,
}

impl Asked<'_> {
    /// A secret to be taken into a telephone.
    async fn begin(&self, password: SecretString) -> Result<Shown, Failure> {
        let user = change_password::prove(self.app, self.client, self.member, password, "second_factor.begin").await?;
        let secret = code::secret().map_err(|error| Failure::internal(&error))?;
        let stored = secret.clone();
        let begun = self
            .app
            .db()
            .write("second factor", move |tx| second_factor::begin(tx, user.id, &stored))
            .await?;
        if !begun {
            let text = "There is a second factor already; remove it first.";
            return Err(Failure::new(StatusCode::CONFLICT, "factor_exists", text));
        }
        Ok(Shown::Enrolling { secret })
    }

    /// The telephone makes codes from it: from now on they are asked for.
    async fn confirm(&self, given: String) -> Result<Shown, Failure> {
        let (id, now) = (self.member.session().user_id, self.now);
        let factor = self
            .app
            .db()
            .read("second factor", move |tx| second_factor::get(tx, id))
            .await?;
        let (Some(secret), None) = (factor.secret, factor.since) else {
            return Err(Failure::bad_request(
                "nothing_begun",
                "There is nothing to confirm; begin again.",
            ));
        };
        let Some(step) = code::step_of(&secret, &given, now) else {
            let text =
                "That is not the code of this moment. See that the telephone's clock is right and try the next one.";
            return Err(Failure::bad_request("wrong_second_factor", text));
        };
        let (codes, hashes) = code::paper().map_err(|error| Failure::internal(&error))?;
        let row = self.row("second_factor.set", "ok");
        let store = move |tx: &WriteTx<'_>| {
            if !second_factor::confirm(tx, id, &secret, step, now)? {
                return Ok(false);
            }
            second_factor::set_recovery_codes(tx, id, &hashes)?;
            audit::append(tx, &row)?;
            Ok(true)
        };
        if !self.app.db().write("second factor", store).await? {
            return Err(Failure::bad_request(
                "nothing_begun",
                "There is nothing to confirm; begin again.",
            ));
        }
        tracing::info!(event = "dashboard.second_factor.set", account = self.member.name());
        Ok(Shown::Codes { codes })
    }

    /// New codes for paper in place of the old ones.
    async fn renew(&self, given: String) -> Result<Shown, Failure> {
        let (codes, hashes) = code::paper().map_err(|error| Failure::internal(&error))?;
        self.with_code(given, "second_factor.codes", move |tx, user| {
            second_factor::set_recovery_codes(tx, user.id, &hashes)
        })
        .await?;
        Ok(Shown::Codes { codes })
    }

    async fn remove(&self, given: String) -> Result<Shown, Failure> {
        self.with_code(given, "second_factor.remove", |tx, user| {
            second_factor::remove(tx, user.id).map(|_| ())
        })
        .await?;
        tracing::warn!(
            event = "dashboard.second_factor.removed",
            account = self.member.name(),
            actor = self.member.name()
        );
        Ok(Shown::None)
    }

    /// Changes something if the code is right.
    async fn with_code<F>(&self, given: String, action: &'static str, change: F) -> Result<(), Failure>
    where
        F: FnOnce(&WriteTx<'_>, &User) -> Result<(), DbError> + Send + 'static,
    {
        let name = self.member.name().to_owned();
        let found = self
            .app
            .db()
            .read("account", move |tx: &ReadTx<'_>| users::by_name(tx, &name));
        let user = found
            .await?
            .ok_or_else(|| Failure::not_found("The account does not exist any more."))?;
        let (origin, now) = (throttle::origin(self.client.0), self.now);
        let (done, refused) = (self.row(action, "ok"), self.row(action, "refused: wrong second factor"));
        let store = move |tx: &WriteTx<'_>| {
            let outcome = check(tx, &user, &given, &origin, now)?;
            match outcome {
                Outcome::Right { .. } => {
                    change(tx, &user)?;
                    audit::append(tx, &done)?;
                }
                Outcome::Wrong => audit::append(tx, &refused)?,
                Outcome::Wait(_) => {}
            }
            Ok::<_, DbError>(outcome)
        };
        match self.app.db().write("second factor", store).await? {
            Outcome::Right { .. } => Ok(()),
            Outcome::Wrong => {
                let text = "The code is wrong, or it was used before. Nothing was changed.";
                Err(Failure::new(StatusCode::UNAUTHORIZED, "wrong_second_factor", text))
            }
            Outcome::Wait(wait) => Err(too_many(wait)),
        }
    }

    fn row(&self, action: &str, result: &str) -> audit::Entry {
        let who = (self.member.name(), self.member.role().as_str());
        audit_row(
            self.now,
            who,
            &self.client.0.to_string(),
            (action, self.member.name()),
            result,
        )
    }
}
