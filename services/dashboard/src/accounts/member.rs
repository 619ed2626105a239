//! The signed-in person of a request, and the gate in front of everything that is not public.
//!
//! Must hold: a route behind [`gate`] is reached only with a live session; a change only with that session's secret
//! repeated in a header or form field; an account that must set a new password reaches nothing else. The gate stands
//! in front of whole routers, so a new route cannot forget it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use db::sessions::{self, Session};
use db::users::Role;
use domain::time::{minus, since};
use subtle::ConstantTimeEq as _;

use super::{bearer, token};
use crate::answer::{self, Failure};
use crate::app::App;
use crate::{pages, submission};

/// Where a page's script repeats the session's secret.
pub(crate) const SECRET_HEADER: &str = "x-csrf-token";

/// The form field with it.
pub(crate) const SECRET_FIELD: &str = "csrf";

/// Set by a page that refreshes itself while nobody touches it: such requests do not keep a session alive.
pub(crate) const UNATTENDED: &str = "x-unattended";

/// A session's last use is stored at most this often: each time is a commit that every open page hears of.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A stream that a page opens again by itself is no use of the session either.
const STREAM: &str = "/api/live";

/// Paths that an account with a one-time password may use.
const BEFORE_CHANGE: [&str; 3] = ["/password", "/api/change-password", "/logout"];

/// Paths that a session which still owes its second factor may use.
const OWING: [&str; 2] = ["/second-factor", "/logout"];

/// Who asks. Handlers behind the gate take it as an argument.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    session: Session,
    /// Number of the token, when it is a program.
    machine: Option<i64>,
}

impl Member {
    /// The account's name: the actor of whatever this request changes.
    pub(crate) fn name(&self) -> &str {
        &self.session.user
    }

    pub(crate) fn role(&self) -> Role {
        self.session.role
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A program with a token.
    pub(super) fn machine(session: Session, token: i64) -> Self {
        Self {
            session,
            machine: Some(token),
        }
    }

    /// Refuses programs: what a token may do must not be more than its role, and an account is a person's.
    ///
    /// # Errors
    /// 403 for a program.
    pub(crate) fn is_person(&self) -> Result<(), Failure> {
        if self.is_machine() {
            let text = "This is for people with a session, not for tokens.";
            return Err(Failure::forbidden("people_only", text));
        }
        Ok(())
    }

    /// Whether it is a program with a token, and not a person.
    pub(crate) fn is_machine(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether the person may change things.
    pub(crate) fn may_operate(&self) -> bool {
        self.session.role >= Role::Operator
    }

    /// Refuses those whose role is too small.
    ///
    /// # Errors
    /// 403 that names the role.
    pub(crate) fn needs(&self, role: Role) -> Result<(), Failure> {
        if self.session.role >= role {
            return Ok(());
        }
        let text = format!(
            "This needs the role {}; {} has {}.",
            role.as_str(),
            self.name(),
            self.role().as_str()
        );
        Err(Failure::forbidden("role_too_small", text))
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Lets in whoever has a session, and of changes those that carry its secret.
pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    match admit(&app, request).await {
        Ok((member, mut request)) => {
            request.extensions_mut().insert(member.clone());
            let mut response = next.run(request).await;
            // For the error page, which is made further out.
            response.extensions_mut().insert(member);
            response
        }
        Err(refusal) => *refusal,
    }
}

async fn admit(app: &App, request: Request) -> Result<(Member, Request), Box<Response>> {
    let refuse = |failure: Failure| Box::new(failure.into_response());
    if bearer::is_given(request.headers()) {
        let (path, client) = (request.uri().path().to_owned(), request.extensions().get().copied());
        let member = bearer::admit(app, request.headers(), &path, client)
            .await
            .map_err(refuse)?;
        return Ok((member, request));
    }
    let Some(session) = find(app, request.headers())
        .await
        .map_err(|error| refuse(error.into()))?
    else {
        return Err(Box::new(nobody(app, &request)));
    };
    let member = Member { session, machine: None };
    let path = request.uri().path();
    if member.session.owes_factor && !OWING.contains(&path) {
        let answer = if answer::for_program(request.uri(), request.headers()) {
            let text = "A second factor is asked for.";
            Failure::new(StatusCode::UNAUTHORIZED, "second_factor_required", text).into_response()
        } else {
            pages::go_to("/second-factor")
        };
        return Err(Box::new(answer));
    }
    if member.session.must_change && !member.session.owes_factor && !BEFORE_CHANGE.contains(&path) {
        let answer = if answer::for_program(request.uri(), request.headers()) {
            Failure::forbidden("password_change_required", "Set a new password first.").into_response()
        } else {
            pages::go_to("/password")
        };
        return Err(Box::new(answer));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let request = if reads {
        request
    } else {
        with_secret(request, &member.session.csrf).await.map_err(|failure| {
            app.counters().refused_changes.inc();
            tracing::warn!(
                event = "dashboard.change.refused",
                because = failure.code(),
                actor = member.name()
            );
            refuse(failure)
        })?
    };
    if !request.headers().contains_key(UNATTENDED) && request.uri().path() != STREAM {
        touch(app, &member.session).await;
    }
    Ok((member, request))
}

/// The live session that a request belongs to.
pub(crate) async fn find(app: &App, headers: &HeaderMap) -> Result<Option<Session>, db::DbError> {
    let Some(secret) = app.cookie().read(headers) else {
        return Ok(None);
    };
    let hash = token::digest(secret);
    let now = app.now();
    let idle_since = minus(now, app.settings().dashboard.session_idle);
    app.db()
        .read("session", move |tx| sessions::find(tx, &hash, idle_since, now))
        .await
}

/// Remembers that the session is in use. A failure costs the person a login at worst, never the request.
async fn touch(app: &App, session: &Session) {
    let now = app.now();
    let every = TOUCH_EVERY.min(app.settings().dashboard.session_idle / 4);
    if since(now, session.seen_at) < every {
        return;
    }
    let hash = session.token_hash.clone();
    if let Err(error) = app
        .db()
        .write("session touch", move |tx| sessions::touch(tx, &hash, now))
        .await
    {
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::debug!(event = "dashboard.session.touch_failed", error);
    }
}

/// The answer to a request without a session.
fn nobody(app: &App, request: &Request) -> Response {
    if answer::for_program(request.uri(), request.headers()) {
        return Failure::new(
            StatusCode::UNAUTHORIZED,
            "authentication_required",
            "Authentication required",
        )
        .into_response();
    }
    // A link in a message opens the page from another site, and a Strict cookie is not sent then. One step on our own
    // pages later it is; only who has none goes to the login.
    let from_elsewhere = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site");
    let has_cookie = app.cookie().read(request.headers()).is_some();
    if from_elsewhere && !has_cookie && request.method() == Method::GET {
        return pages::hop::page(request.uri());
    }
    // Only what was to be looked at is come back to; a change is not made behind a login.
    let wanted = if request.method() == Method::GET {
        login_address(request.uri())
    } else {
        "/login".to_owned()
    };
    let mut answer = pages::go_to(&wanted);
    if has_cookie {
        app.cookie().take(answer.headers_mut());
    }
    answer
}

/// The login page, which comes back to where the person wanted to go.
fn login_address(wanted: &Uri) -> String {
    match wanted.path_and_query().map(|path| path.as_str()) {
        Some("/") | None => "/login".to_owned(),
        Some(path) => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("next", path)
                .finish();
            format!("/login?{query}")
        }
    }
}

/// The request again, if it repeats the session's secret in a header or, as a form does, in its body.
async fn with_secret(request: Request, secret: &str) -> Result<Request, Failure> {
    let refused = || Failure::forbidden("csrf_refused", "The page is out of date. Reload it and try again.");
    let same = |given: &str| bool::from(given.as_bytes().ct_eq(secret.as_bytes()));
    if let Some(given) = request.headers().get(SECRET_HEADER) {
        return if given.to_str().is_ok_and(same) {
            Ok(request)
        } else {
            Err(refused())
        };
    }
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !kind.is_some_and(submission::is_form) {
        return Err(refused());
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, submission::LARGEST)
        .await
        .map_err(|_| submission::too_large())?;
    let found = url::form_urlencoded::parse(&bytes).any(|(name, value)| name == SECRET_FIELD && same(&value));
    if !found {
        return Err(refused());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
