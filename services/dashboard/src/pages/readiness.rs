//! `/readiness`: whether diversion would work if it began now, and what to do where it would not.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::{Shell, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::readiness;
use crate::app::App;
use crate::readiness::{Answer, Readiness};

#[derive(Template)]
#[template(path = "readiness.html")]
struct Page {
    shell: Shell,
    readiness: Readiness,
}

/// `GET /readiness`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    let (overview, readiness) = readiness::judged(&app).await?;
    let shell = Shell::over(&app, &member, &overview, "Readiness", "readiness");
    Ok(rendered(&Page { shell, readiness }))
}

impl Page {
    /// `3 would work`, without those that are none.
    fn counts(&self) -> Vec<(&'static str, &'static str, usize)> {
        [Answer::Fine, Answer::Doubt, Answer::Unknown, Answer::Stops]
            .into_iter()
            .map(|answer| (answer.verdict(), answer.tone().key(), self.readiness.count(answer)))
            .filter(|(_, _, count)| *count > 0)
            .collect()
    }

    fn anchor(&self, prefix: &domain::prefix::Prefix) -> String {
        super::anchor(*prefix)
    }
}
