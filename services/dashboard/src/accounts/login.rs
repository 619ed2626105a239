//! Signing in and out.
//!
//! A form is answered with pages, JSON with JSON. Must hold: wrong name, wrong password and a disabled account look and
//! take the same; each failure is counted before the next guess is compared; a good login always begins a new session
//! and ends the one the browser brought.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use db::sessions::{self, NewSession};
use db::users::{self, User};
use db::{DbError, WriteTx, audit};
use domain::time::{minus, plus};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::password::{self, Stored, Turn};
use super::second_factor::login::Tried;
use super::{Member, audit_row, member, throttle, token};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// Longest account name that is looked at, in characters.
const LONGEST_NAME: usize = 64;

/// How long the question for the second factor stands.
const HALF_LASTS: Duration = Duration::from_secs(300);

/// How much of a browser's own name is kept with its session.
const LONGEST_AGENT: usize = 160;

#[derive(Deserialize)]
pub(crate) struct Credentials {
    username: String,
    password: SecretString,
    /// Of the second factor, where one is asked for. A form asks for it on a page of its own.
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    next: Option<String>,
}

/// `GET /login`
pub(crate) async fn form(
    State(app): State<App>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let next = local_path(wanted.next.as_deref());
    if member::find(&app, &headers).await?.is_some() {
        return Ok(pages::go_to(next));
    }
    Ok(pages::login::page(&app, next, None))
}

/// `POST /login`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    headers: HeaderMap,
    submission: Submission<Credentials>,
) -> Response {
    let Submission { fields, by_form } = submission;
    let next = local_path(fields.next.as_deref()).to_owned();
    let request = Attempt {
        name: fields
            .username
            .trim()
            .to_lowercase()
            .chars()
            .take(LONGEST_NAME)
            .collect(),
        password: fields.password,
        code: fields.code.filter(|code| !code.trim().is_empty()),
        address: client.0.to_string(),
        origin: throttle::origin(client.0),
        agent: agent(&headers),
        old_session: app.cookie().read(&headers).map(token::digest),
    };
    match request.run(&app).await {
        Ok(Opened::Whole(secret)) => {
            let mut answer = if by_form {
                pages::go_to(&next)
            } else {
                Json(json!({"success": true, "message": "Login successful"})).into_response()
            };
            let lives = app.settings().dashboard.session_max;
            app.cookie().give(answer.headers_mut(), &secret, lives);
            answer
        }
        Ok(Opened::Half(secret)) => {
            let mut answer = if by_form {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("next", &next)
                    .finish();
                pages::go_to(&format!("/second-factor?{query}"))
            } else {
                let text = "A second factor is asked for: send the same again with its code.";
                Failure::new(StatusCode::UNAUTHORIZED, "second_factor_required", text).into_response()
            };
            if by_form {
                app.cookie().give(answer.headers_mut(), &secret, HALF_LASTS);
            }
            answer
        }
        Err(failure) if by_form && failure.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            pages::login::page(&app, &next, Some(&failure))
        }
        Err(failure) => failure.into_response(),
    }
}

/// `POST /logout`
pub(crate) async fn logout(State(app): State<App>, client: ClientAddr, member: Member) -> Result<Response, Failure> {
    let now = app.now();
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let hash = member.session().token_hash.clone();
    let close = move |tx: &WriteTx<'_>| {
        sessions::close(tx, &hash)?;
        let row = audit_row(now, (&actor, role.as_str()), &address, ("logout", &actor), "ok");
        audit::append(tx, &row)
    };
    app.db().write("logout", close).await?;
    let mut answer = pages::go_to("/login");
    app.cookie().take(answer.headers_mut());
    Ok(answer)
}

/// What a right password opens.
enum Opened {
    /// A session.
    Whole(String),
    /// One that still owes the second factor.
    Half(String),
}

/// One try to sign in.
struct Attempt {
    /// As compared and counted: lower case, bounded.
    name: String,
    password: SecretString,
    code: Option<String>,
    address: String,
    /// Under which name failures from there are counted.
    origin: String,
    agent: String,
    old_session: Option<String>,
}

impl Attempt {
    /// The new session.
    async fn run(self, app: &App) -> Result<Opened, Failure> {
        let turn = app.hasher().turn().await?;
        let now = app.now();
        let known = self.look_up(app, now).await?;
        if let Some(wait) = known.wait {
            app.counters().throttled_logins.inc();
            tracing::debug!(
                event = "dashboard.login.throttled",
                account = self.name,
                address = self.address
            );
            return Err(too_many(wait));
        }
        let stored = Stored {
            hash: known.user.as_ref().map(|user| user.password_hash.clone()),
            bcrypt_cost: known.bcrypt_cost,
        };
        let bounded = secrecy::ExposeSecret::expose_secret(&self.password).len() <= password::LONGEST;
        let password = if bounded {
            self.password.clone()
        } else {
            SecretString::from("")
        };
        let verdict = turn.verify(password, stored).await?;
        match known.user {
            Some(user) if verdict.matches && bounded && !user.disabled => {
                if known.wants_factor {
                    return self.ask_for_factor(app, user, now).await;
                }
                let secret = self.succeed(app, &turn, user, verdict.rehash, now).await?;
                Ok(Opened::Whole(secret))
            }
            user => {
                let because = match user {
                    Some(user) if user.disabled && verdict.matches => "refused: the account is disabled",
                    _ => "refused: wrong name or password",
                };
                self.fail(app, because, now).await
            }
        }
    }

    async fn look_up(&self, app: &App, now: Timestamp) -> Result<Known, DbError> {
        let (name, origin) = (self.name.clone(), self.origin.clone());
        let read = move |tx: &db::ReadTx<'_>| {
            let (of_account, of_address) = users::failures(tx, &name, &origin, minus(now, throttle::MEMORY))?;
            let wait = throttle::wait(throttle::ACCOUNT, of_account, now);
            let bcrypt_costs = users::all(tx)?
                .into_iter()
                .filter_map(|user| password::bcrypt_cost(&user.password_hash));
            let bcrypt_cost = bcrypt_costs.max();
            let user = users::by_name(tx, &name)?;
            let wants_factor = match &user {
                Some(user) => db::second_factor::get(tx, user.id)?.since.is_some(),
                None => false,
            };
            Ok(Known {
                wait: wait.max(throttle::wait(throttle::ADDRESS, of_address, now)),
                bcrypt_cost,
                user,
                wants_factor,
            })
        };
        app.db().read("login", read).await
    }

    async fn succeed(
        self,
        app: &App,
        turn: &Turn,
        user: User,
        rehash: bool,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let stronger = if rehash {
            Some(turn.hash(self.password.clone()).await?)
        } else {
            None
        };
        let opened = NewLogin::make(app, &user, &self.address, &self.agent, now)?;
        let secret = opened.secret.clone();
        let (account, role) = (user.name.clone(), user.role.as_str());
        tracing::info!(
            event = "dashboard.login.succeeded",
            account,
            address = self.address,
            role
        );
        let store = move |tx: &WriteTx<'_>| {
            users::forget_failures(tx, &self.name)?;
            users::logged_in(tx, user.id, now)?;
            if let Some(new) = &stronger {
                users::rehash(tx, user.id, &user.password_hash, new)?;
            }
            if let Some(old) = &self.old_session {
                sessions::close(tx, old)?;
            }
            opened.store(tx, now)?;
            let row = audit_row(
                now,
                (&user.name, user.role.as_str()),
                &self.address,
                ("login", &user.name),
                "ok",
            );
            audit::append(tx, &row)
        };
        app.db().write("login", store).await?;
        Ok(secret)
    }

    /// The password was right and is not enough. What is opened reaches nothing but the question for the code.
    async fn ask_for_factor(self, app: &App, user: User, now: Timestamp) -> Result<Opened, Failure> {
        let opened = NewLogin::make(app, &user, &self.address, &self.agent, now)?;
        if let Some(code) = self.code {
            let tried = Tried {
                user,
                address: self.address,
                origin: self.origin,
                code,
            };
            let secret = tried.store(app, opened, self.old_session, now).await?;
            return Ok(Opened::Whole(secret));
        }
        let half = NewLogin {
            ends: plus(now, HALF_LASTS),
            ..opened
        };
        let secret = half.secret.clone();
        let store = move |tx: &WriteTx<'_>| {
            if let Some(old) = &self.old_session {
                sessions::close(tx, old)?;
            }
            half.store(tx, now)?;
            sessions::owe_factor(tx, &token::digest(&half.secret))
        };
        app.db().write("login", store).await?;
        Ok(Opened::Half(secret))
    }

    async fn fail(self, app: &App, because: &'static str, now: Timestamp) -> Result<Opened, Failure> {
        app.counters().failed_logins.inc();
        let account = words::outside_up_to(&self.name, LONGEST_NAME);
        tracing::warn!(
            event = "dashboard.login.failed",
            account,
            address = self.address,
            because
        );
        let store = move |tx: &WriteTx<'_>| {
            users::login_failed(tx, &self.name, &self.origin, now)?;
            let row = audit_row(
                now,
                (&account, "none"),
                &self.address,
                ("login.failed", &account),
                because,
            );
            audit::append(tx, &row)
        };
        app.db().write("failed login", store).await?;
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "invalid_credentials",
            "Invalid credentials",
        ))
    }
}

/// What the database knows about a try.
struct Known {
    wait: Option<Duration>,
    user: Option<User>,
    wants_factor: bool,
    bcrypt_cost: Option<u32>,
}

/// A session about to be stored.
pub(crate) struct NewLogin {
    pub(crate) secret: String,
    csrf: String,
    user_id: i64,
    ends: Timestamp,
    address: String,
    agent: String,
}

impl NewLogin {
    pub(crate) fn make(app: &App, user: &User, address: &str, agent: &str, now: Timestamp) -> Result<Self, Failure> {
        let secret = || token::secret().map_err(|error| Failure::internal(&error));
        Ok(Self {
            secret: secret()?,
            csrf: secret()?,
            user_id: user.id,
            ends: plus(now, app.settings().dashboard.session_max),
            address: address.to_owned(),
            agent: agent.to_owned(),
        })
    }

    pub(crate) fn store(&self, tx: &WriteTx<'_>, now: Timestamp) -> Result<(), DbError> {
        let new = NewSession {
            token_hash: &token::digest(&self.secret),
            user_id: self.user_id,
            csrf: &self.csrf,
            expires_at: self.ends,
            address: &self.address,
            agent: &self.agent,
        };
        sessions::open(tx, &new, now)
    }
}

/// The browser's own name, as it is shown in the list of sessions.
pub(crate) fn agent(headers: &HeaderMap) -> String {
    let written = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    words::outside_up_to(written.unwrap_or_default(), LONGEST_AGENT)
}

/// The answer to a guesser.
pub(crate) fn too_many(wait: Duration) -> Failure {
    let text = format!(
        "Too many failed attempts. Try again in {}.",
        words::age(wait + Duration::from_millis(999))
    );
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", text).retry_after(wait)
}

/// A path of this site; everything else leads to the main page.
pub(crate) fn local_path(next: Option<&str>) -> &str {
    let is_local = |path: &&str| {
        let rest = path.strip_prefix('/');
        rest.is_some_and(|rest| !rest.starts_with(['/', '\\'])) && path.bytes().all(|byte| (0x21..0x7f).contains(&byte))
    };
    next.filter(is_local).filter(|path| !path.contains('\\')).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_never_leads_to_another_site() {
        assert_eq!(local_path(Some("/incidents/3?all=1")), "/incidents/3?all=1");
        for foreign in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "",
            "incidents",
            "/a\r\nb",
            "/a\\b",
        ] {
            assert_eq!(local_path(Some(foreign)), "/", "{foreign}");
        }
        assert_eq!(local_path(None), "/");
    }
}
