//! Changing something at Cloudflare for a person: recorded before it is sent, and again with what came of it.
//!
//! Must hold: without a record nothing is sent; a change follows a good read of what it changes, made after the person
//! asked, and is refused when that differs from what the person saw; each call is sent once, and one whose answer was
//! lost is called unknown; an act goes on when whoever asked for it goes away. BGP is changed elsewhere.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::StatusCode;
use cf_api::{CfError, ErrorClass};
use db::audit;
use sha2::{Digest as _, Sha256};

use super::said;
use crate::accounts::audit_row;
use crate::answer::Failure;
use crate::app::App;
use crate::asking::Asking;

/// Longest text of a state in the audit.
const LONGEST_STATE: usize = 20_000;

/// What is going to be done, for the record.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// `tunnel.change`
    pub(crate) action: &'static str,
    /// On what.
    pub(crate) subject: String,
    /// What the person asks for, as text.
    pub(crate) wanted: String,
    /// Why.
    pub(crate) reason: String,
}

/// What was done.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// State as it was read afterwards, as JSON or text.
    pub(crate) after: Option<String>,
    /// What the person is told, one sentence.
    pub(crate) told: String,
}

/// Takes the state before, so that it is in the record whatever comes of the act.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before(Arc<OnceLock<String>>);

impl Before {
    /// Keeps it; the first one counts.
    pub(crate) fn was(&self, state: String) {
        let _ = self.0.set(state);
    }
}

/// Why it was not done, or is not known to be.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// What is to be changed could not be read: nothing was sent.
    Unread(CfError),
    /// It is not what the person saw: nothing was sent.
    Changed(String),
    /// It is not sensible: nothing was sent.
    NotSensible(String),
    /// Cloudflare declined or did not answer.
    Cloudflare(CfError),
    /// It was sent and taken, but what is there now is not what was asked for.
    NotAsAsked(String),
}

impl Trouble {
    /// For the audit.
    fn result(&self) -> String {
        match self {
            Self::Unread(error) => format!("refused: nothing was sent, it could not be read: {}", said(error)),
            Self::Changed(text) | Self::NotSensible(text) => format!("refused: {text}"),
            Self::Cloudflare(error) if error.outcome_unknown() => format!("unknown: {}", said(error)),
            Self::Cloudflare(error) => format!("failed: {}", said(error)),
            Self::NotAsAsked(text) => format!("failed: {text}"),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unread(error) => {
                let text = format!(
                    "Nothing was sent, because what is there now cannot be read: {}.",
                    said(&error)
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "cloudflare_unreadable", text)
            }
            Trouble::Changed(text) => Self::new(StatusCode::CONFLICT, "changed_meanwhile", text),
            Trouble::NotSensible(text) => Self::bad_request("invalid_value", text),
            Trouble::NotAsAsked(text) => Self::new(StatusCode::CONFLICT, "not_as_asked", text),
            Trouble::Cloudflare(error) if error.outcome_unknown() => {
                let text = format!(
                    "It is not known whether Cloudflare did it: {}. Look before you repeat it.",
                    said(&error)
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", text)
            }
            Trouble::Cloudflare(error) => {
                let text = format!("Nothing was changed: {}.", said(&error));
                match error.class {
                    ErrorClass::RateLimited | ErrorClass::BudgetExhausted => {
                        let wait = error.retry_after.unwrap_or(Duration::from_secs(60));
                        Self::new(StatusCode::TOO_MANY_REQUESTS, "cloudflare_busy", text).retry_after(wait)
                    }
                    ErrorClass::Transient | ErrorClass::Unknown | ErrorClass::Malformed => {
                        Self::new(StatusCode::SERVICE_UNAVAILABLE, "cloudflare_failed", text)
                    }
                    _ => Self::new(StatusCode::CONFLICT, "cloudflare_refused", text),
                }
            }
        }
    }
}

/// Names a state, so that a form can say which one its person saw.
pub(crate) fn fingerprint(state: &str) -> String {
    hex::encode(Sha256::digest(state))[..16].to_owned()
}

/// Records the act, does `work`, and records what came of it.
///
/// # Errors
/// Those of [`Trouble`]; 503 when the act cannot be recorded (then nothing is sent) or takes too long (then it goes on).
pub(crate) async fn carry_out<F, W>(
    asking: &Asking<F>,
    act: Act,
    work: impl FnOnce(Before) -> W,
) -> Result<Done, Failure>
where
    W: Future<Output = Result<Done, Trouble>> + Send + 'static,
{
    let (app, member, client) = (&asking.app, &asking.member, &asking.client);
    let mut row = audit_row(
        app.now(),
        (member.name(), member.role().as_str()),
        &client.0.to_string(),
        (act.action, &act.subject),
        "asked: sent to Cloudflare next",
    );
    row.reason = Some(act.reason.clone());
    row.after = Some(clamped(act.wanted.clone()));
    record(app, row.clone()).await?;
    let (action, subject, actor) = (act.action, act.subject.clone(), member.name().to_owned());
    tracing::info!(
        event = "dashboard.change.asked",
        action,
        subject,
        actor,
        reason = act.reason
    );
    let (doing, before) = (app.clone(), Before::default());
    let work = work(before.clone());
    let running = tokio::spawn(async move {
        let outcome = work.await;
        let app = doing;
        row.before = before.0.get().cloned().map(clamped);
        row.at = app.now();
        match &outcome {
            Ok(done) => {
                row.after = done.after.clone().map(clamped);
                row.result = "ok".to_owned();
                tracing::info!(event = "dashboard.change.done", action, subject, actor);
            }
            Err(trouble) => {
                row.result = trouble.result();
                let result = row.result.as_str();
                tracing::warn!(event = "dashboard.change.failed", action, subject, actor, result);
            }
        }
        if let Err(error) = record(&app, row).await {
            let error = error.text();
            tracing::error!(event = "dashboard.change.unrecorded", action, subject, actor, error);
        }
        app.changed();
        outcome
    });
    match tokio::time::timeout(asking.left(), running).await {
        Ok(Ok(outcome)) => outcome.map_err(Failure::from),
        Ok(Err(error)) => Err(Failure::internal(&error)),
        Err(_) => {
            app.changed();
            let text = "Cloudflare takes too long to answer. It is not known yet whether it was done; the audit will say. Look before you repeat it.";
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", text))
        }
    }
}

async fn record(app: &App, row: audit::Entry) -> Result<(), Failure> {
    let stored = app.db().write("audit", move |tx| audit::append(tx, &row)).await;
    stored.map_err(Failure::from)
}

fn clamped(text: String) -> String {
    if text.chars().count() <= LONGEST_STATE {
        return text;
    }
    text.chars().take(LONGEST_STATE).chain(['…']).collect()
}
