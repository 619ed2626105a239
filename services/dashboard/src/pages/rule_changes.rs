//! `/rule-changes`: what was changed of rules and overrides, by whom, and taking one change back.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use db::rule_changes::{Change, State as Stage};
use db::users::Role;
use serde::Deserialize;

use super::{Shell, go_to, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::reason;
use crate::app::App;
use crate::asking::Asking;
use crate::desk::{at_desk, desk, failure};
use crate::overview::state::Tone;
use crate::words;

/// Rows of the list.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "rule_changes.html")]
struct Page {
    shell: Shell,
    changes: Vec<Change>,
    problem: Option<String>,
    /// What was typed, by number of the change.
    typed: Option<Wanted>,
}

/// Which change is to be taken back.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Wanted {
    change: String,
    #[serde(default)]
    reason: Option<String>,
}

/// `GET /rule-changes`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    shown(&app, &member, None, None).await
}

/// `POST /rule-changes`
pub(crate) async fn undo(asking: Asking<Wanted>) -> Result<Response, Failure> {
    match take_back(&asking).await {
        Ok(()) => Ok(go_to("/rule-changes")),
        Err(failure) => shown(&asking.app, &asking.member, Some(failure), Some(asking.fields)).await,
    }
}

/// Takes a change back.
///
/// # Errors
/// 400 for a number that is none, 409 when something was changed since, 503 when it cannot be read or is not known.
pub(crate) async fn take_back(asking: &Asking<Wanted>) -> Result<(), Failure> {
    let wanted = &asking.fields;
    asking.member.needs(Role::Operator)?;
    let why = reason::of(wanted.reason.as_deref())?;
    let number = wanted.change.trim().parse();
    let number: i64 =
        number.map_err(|_| Failure::bad_request("invalid_value", "change must be a number of the list."))?;
    let work = move |desk: rules::desk::Desk, by: rules::desk::By| async move {
        desk.undo(&by, Some(number)).await.map(|(_, done)| done)
    };
    at_desk(asking, why, work).await.map(drop)
}

async fn shown(
    app: &App,
    member: &Member,
    problem: Option<Failure>,
    typed: Option<Wanted>,
) -> Result<Response, Failure> {
    let overview = main::situation(app).await?;
    let changes = desk(app)?.changes(ROWS).await.map_err(|error| failure(&error))?;
    let status = problem.as_ref().map_or(StatusCode::OK, Failure::status);
    let mut response = rendered(&Page {
        shell: Shell::over(app, member, &overview, "Changes of rules", "mnm-rules"),
        changes,
        problem: problem.map(|problem| problem.text().to_owned()),
        typed,
    });
    *response.status_mut() = status;
    Ok(response)
}

impl Page {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 120)
    }

    fn optional(&self, text: &Option<String>) -> String {
        text.as_deref().map_or_else(|| "–".to_owned(), |text| self.short(text))
    }

    /// What came of it: how it looks, and the words.
    fn outcome(&self, change: &Change) -> (Tone, String) {
        let told = change
            .result
            .as_deref()
            .map(|text| self.short(text))
            .unwrap_or_default();
        match change.state {
            Stage::Open if change.is_unsettled(self.shell.now) => {
                let text = "not known: nobody recorded what came of it. Look whether it is there.";
                (Tone::Unknown, text.to_owned())
            }
            Stage::Open => (Tone::Plain, "under way".to_owned()),
            Stage::Unknown => (
                Tone::Unknown,
                format!("not known: {}", told.trim_start_matches("unknown: ")),
            ),
            Stage::Refused => (
                Tone::Plain,
                format!("not done: {}", told.trim_start_matches("failed: ")),
            ),
            Stage::Done if told == "ok" || told.is_empty() => (Tone::Good, "done".to_owned()),
            Stage::Done => (Tone::Good, format!("done: {told}")),
        }
    }

    fn can_undo(&self, change: &Change) -> bool {
        change.state == Stage::Done && change.undone_by.is_none()
    }

    fn reason(&self, change: &Change) -> &str {
        let typed = self
            .typed
            .as_ref()
            .filter(|typed| typed.change == change.id.to_string());
        typed.and_then(|typed| typed.reason.as_deref()).unwrap_or_default()
    }
}
