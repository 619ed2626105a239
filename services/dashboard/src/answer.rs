//! Answers that are not what was asked for: one JSON shape for programs, one page for people.
//!
//! A handler returns a [`Failure`]; [`dress`] gives it its form by who asked, and gives the same form to what the
//! framework refuses by itself (no such path, wrong method, too large a body). Must hold: no answer quotes a path, an
//! account id or a chain of causes; those go to the log.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use db::DbError;
use serde_json::json;

use crate::accounts::Member;
use crate::accounts::password::HashError;
use crate::app::App;
use crate::{pages, submission};

/// Something was asked for that is not given, with the reason in words for whoever asked.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    text: String,
    retry_after: Option<Duration>,
}

impl Failure {
    /// `code` is stable and documented; `text` is one sentence.
    pub(crate) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
            retry_after: None,
        }
    }

    /// The request itself cannot be meant.
    pub(crate) fn bad_request(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, text)
    }

    /// There is no such thing.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }

    /// The person may not do that.
    pub(crate) fn forbidden(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, text)
    }

    /// A defect or a refusal of the system, told to the log in full and to the person in one sentence.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(event = "dashboard.request.failed", error);
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Says when to try again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// One sentence for the person.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The wait in whole seconds, at least one.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        self.retry_after
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            .map(|s| s.max(1))
    }

    /// What is said about a status that came without words.
    fn of_status(status: StatusCode) -> Self {
        let (code, text) = match status {
            StatusCode::NOT_FOUND => ("not_found", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This address does not take that method."),
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "The request is too large."),
            StatusCode::INTERNAL_SERVER_ERROR => ("internal", "An internal error; it has been logged."),
            _ => ("refused", "The request was refused."),
        };
        Self::new(status, code, text)
    }

    fn into_json(self) -> Response {
        let mut body = json!({"success": false, "error": self.text, "code": self.code});
        if let Some(seconds) = self.retry_after_s() {
            body["retry_after_s"] = seconds.into();
        }
        (self.status, Json(body)).into_response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        match &error {
            DbError::NotFound => Self::not_found("There is no such entry."),
            DbError::Conflict { .. } => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "Somebody changed it at the same moment; look again.",
            ),
            trouble if trouble.is_outage() => {
                let (code, text) = (trouble.code(), sentence(trouble));
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(event = "dashboard.database.failed", code, error);
                let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, text);
                failure.retry_after(Duration::from_secs(2))
            }
            _ => Self::internal(&error),
        }
    }
}

/// The class of an outage, without its causes: those may name paths.
fn sentence(error: &DbError) -> String {
    match error {
        DbError::NoAnswer { .. } => "The database did not answer in time; it is not known whether the change is stored. Look before you repeat it.".to_owned(),
        DbError::Deadline { .. } => "Reading took too long and was stopped.".to_owned(),
        other => format!("{}.", crate::words::sentence(&other.to_string())),
    }
}

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => {
                let text = "Too many people sign in at this moment. Try again in a few seconds.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "login_busy", text).retry_after(Duration::from_secs(3))
            }
            other => Self::internal(&other),
        }
    }
}

/// Whether a program asked, which is answered in JSON: everything under `/api`, and whoever does not take HTML. A form
/// that a page without script sends to the API is a person.
pub(crate) fn for_program(uri: &Uri, headers: &HeaderMap) -> bool {
    let takes_html = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let by_form = kind.is_some_and(submission::is_form);
    let of_api = uri.path() == "/api" || uri.path().starts_with("/api/");
    !takes_html || (of_api && !by_form)
}

/// Gives every failure its form.
pub(crate) async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let program = for_program(request.uri(), request.headers());
    let bodiless = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let told = response.extensions_mut().remove::<Failure>();
    let failure = match told {
        Some(failure) => failure,
        None if is_bare_refusal(&response) => Failure::of_status(response.status()),
        None => return response,
    };
    let member = response.extensions_mut().remove::<Member>();
    let (retry_after, allow) = (failure.retry_after_s(), response.headers().get(header::ALLOW).cloned());
    let mut dressed = if program {
        failure.into_json()
    } else {
        pages::error::page(&app, member.as_ref(), &failure)
    };
    if let Some(seconds) = retry_after {
        dressed
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = allow {
        dressed.headers_mut().insert(header::ALLOW, allow);
    }
    if bodiless {
        *dressed.body_mut() = axum::body::Body::empty();
    }
    dressed
}

/// An error status of the framework, which writes plain text or nothing.
fn is_bare_refusal(response: &Response) -> bool {
    let status = response.status();
    let written = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    (status.is_client_error() || status.is_server_error()) && written.is_none_or(|kind| kind.starts_with("text/plain"))
}

/// For every path that no route knows.
pub(crate) async fn no_route() -> Failure {
    Failure::of_status(StatusCode::NOT_FOUND)
}

/// For every method that a route does not take.
pub(crate) async fn no_method() -> Failure {
    Failure::of_status(StatusCode::METHOD_NOT_ALLOWED)
}
