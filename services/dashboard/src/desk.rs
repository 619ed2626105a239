//! Changing rules for a person: through the desk of the `rules` crate, which keeps a backup, sends once, reads back and
//! records.
//!
//! Must hold: a change goes on when whoever asked for it goes away; what the desk says about a failure reaches the person
//! in a status that programs understand: not done, done by somebody else meanwhile, or not known.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use cf_api::ErrorClass;
use rules::desk::{By, Desk, DeskError, Done, Outcome};

use crate::answer::Failure;
use crate::app::App;
use crate::asking::Asking;
use crate::words;

/// How the desk's records name this program.
const VIA: &str = "dashboard";

/// A desk over the pages' client.
///
/// # Errors
/// 503 without a credential.
pub(crate) fn desk(app: &App) -> Result<Desk, Failure> {
    let api = app.upstream().client(app).map_err(|error| {
        let text = words::outside(&format!("{error:#}."));
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "no_credential", text)
    })?;
    let clock = app.frame().clock().clone();
    Ok(Desk::new(api, app.db().clone(), Arc::new(move || clock.now())))
}

/// What leaves a row of `rule_changes`, or none.
pub(crate) trait Recorded: Send + 'static {
    /// Its number.
    fn change(&self) -> Option<i64>;
}

impl Recorded for Done {
    fn change(&self) -> Option<i64> {
        Some(self.change)
    }
}

/// Until when an override stands: nothing at Cloudflare is changed.
impl Recorded for () {
    fn change(&self) -> Option<i64> {
        None
    }
}

/// Does `work` at the desk for this person.
///
/// # Errors
/// What the desk says; 503 when it takes too long (then it goes on).
pub(crate) async fn at_desk<F, W, R, T>(asking: &Asking<F>, reason: String, work: W) -> Result<T, Failure>
where
    W: FnOnce(Desk, By) -> R,
    R: Future<Output = Result<T, DeskError>> + Send + 'static,
    T: Recorded,
{
    let (app, member) = (&asking.app, &asking.member);
    let by = By {
        actor: member.name().to_owned(),
        role: member.role().as_str().to_owned(),
        via: VIA.to_owned(),
        address: Some(asking.client.0.to_string()),
        reason: Some(reason),
    };
    let running = tokio::spawn(work(desk(app)?, by));
    let outcome = tokio::time::timeout(asking.left(), running).await;
    app.upstream().rules_changed();
    app.upstream().overrides_changed();
    app.changed();
    match outcome {
        Ok(Ok(Ok(done))) => {
            tracing::info!(
                event = "dashboard.rule.changed",
                change = done.change(),
                actor = member.name()
            );
            Ok(done)
        }
        Ok(Ok(Err(error))) => {
            let (code, outcome, error) = (error.code.as_str(), format!("{:?}", error.outcome), failure(&error));
            let text = error.text();
            tracing::warn!(
                event = "dashboard.rule.unchanged",
                code,
                outcome,
                actor = member.name(),
                error = text
            );
            Err(error)
        }
        Ok(Err(error)) => Err(Failure::internal(&error)),
        Err(_) => {
            let text = "Cloudflare takes too long to answer. It is not known yet whether it was done; the audit will say. Look before you repeat it.";
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", text))
        }
    }
}

/// What a person is told.
pub(crate) fn failure(error: &DeskError) -> Failure {
    let remedy = error
        .remedy
        .as_deref()
        .map(|remedy| format!(" {}.", words::sentence(remedy)))
        .unwrap_or_default();
    let text = words::outside(&format!("{}.{remedy}", words::sentence(&error.text)));
    let passing = error.class.is_some_and(ErrorClass::is_passing);
    match (error.outcome, error.class) {
        (Outcome::Unknown, _) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", text),
        (Outcome::Done, _) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_recorded", text),
        (_, Some(ErrorClass::Conflict)) => Failure::new(StatusCode::CONFLICT, "changed_meanwhile", text),
        (_, Some(ErrorClass::RateLimited | ErrorClass::BudgetExhausted)) => {
            Failure::new(StatusCode::TOO_MANY_REQUESTS, "cloudflare_busy", text).retry_after(Duration::from_secs(60))
        }
        (_, Some(_)) if passing => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "cloudflare_failed", text),
        (_, Some(_)) => Failure::new(StatusCode::CONFLICT, "cloudflare_refused", text),
        (_, None) if error.code == "rule.invalid" => Failure::bad_request("invalid_value", text),
        (_, None) if error.code.starts_with("undo.") => Failure::new(StatusCode::CONFLICT, "cannot_undo", text),
        (_, None) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_done", text),
    }
}
