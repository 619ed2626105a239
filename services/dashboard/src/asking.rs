//! Somebody who asks for a change: who, from where, and the change as it came with its request. One extractor for every
//! handler that changes rules or connectors, so that none forgets one of them.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;

/// What somebody says besides the change itself.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Said {
    /// Names the state that they saw.
    #[serde(default)]
    pub(crate) seen: String,
    /// What is typed out.
    pub(crate) confirm: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Said {
    /// By somebody who saw this state and has said nothing yet.
    pub(crate) fn having_seen(seen: String) -> Self {
        Self {
            seen,
            ..Self::default()
        }
    }

    /// Whether exactly this was typed.
    pub(crate) fn has_typed(&self, word: &str) -> bool {
        self.confirm.as_deref().map(str::trim) == Some(word)
    }
}

/// A change that is asked for.
pub(crate) struct Asking<T> {
    pub(crate) app: App,
    pub(crate) member: Member,
    pub(crate) client: ClientAddr,
    pub(crate) fields: T,
    began: Instant,
}

/// Below the deadline of a request, so that the person is told in words.
const ANSWERED_WITHIN: Duration = Duration::from_secs(9);

impl<T> Asking<T> {
    /// How long the answer may still take; whatever was read before counts.
    pub(crate) fn left(&self) -> Duration {
        ANSWERED_WITHIN.saturating_sub(self.began.elapsed())
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Asking<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Self::Rejection> {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        // Both are put there by what every request passes before.
        let absent = |status: StatusCode| Failure::new(status, "internal", "An internal error; it has been logged.");
        let member = Member::from_request_parts(&mut parts, app).await.map_err(absent)?;
        let client = ClientAddr::from_request_parts(&mut parts, app).await.map_err(absent)?;
        // A role that is too small is told before anything is read.
        member.needs(db::users::Role::Operator)?;
        let submission = Submission::from_request(Request::from_parts(parts, body), app).await?;
        Ok(Self {
            app: app.clone(),
            member,
            client,
            fields: submission.fields,
            began,
        })
    }
}

/// The answer to a change that was made.
pub(crate) fn done(told: String) -> Result<Response, Failure> {
    Ok(Json(json!({"success": true, "message": told})).into_response())
}
