//! `/password`: setting a new password.

use askama::Template;
use axum::response::Response;

use super::{Shell, rendered};
use crate::accounts::{Member, policy};
use crate::answer::Failure;
use crate::app::App;

#[derive(Template)]
#[template(path = "password.html")]
struct Page<'a> {
    shell: Shell,
    shortest: usize,
    must_change: bool,
    done: bool,
    problem: Option<&'a str>,
}

/// The form, with what went wrong or that it is done.
pub(crate) fn page(app: &App, member: &Member, done: bool, failure: Option<&Failure>) -> Response {
    let mut response = rendered(&Page {
        shell: Shell::bare(app, member, "Password", "password"),
        shortest: policy::SHORTEST,
        must_change: member.session().must_change,
        done: done && !member.session().must_change,
        problem: failure.map(Failure::text),
    });
    if let Some(failure) = failure {
        *response.status_mut() = failure.status();
    }
    response
}
