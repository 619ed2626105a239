//! `/login`. It says nothing about product, version or organisation: whoever sees it is nobody yet.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::{Shell, rendered};
use crate::answer::Failure;
use crate::app::App;

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    shell: Shell,
    /// Where to go after the login.
    next: &'a str,
    problem: Option<&'a str>,
}

/// The form, with what went wrong.
pub(crate) fn page(app: &App, next: &str, failure: Option<&Failure>) -> Response {
    let shell = Shell::outside(app, "Sign in");
    let problem = failure.map(|failure| match failure.status() {
        StatusCode::UNAUTHORIZED => "The name or the password is wrong.",
        _ => failure.text(),
    });
    let mut response = rendered(&Page { shell, next, problem });
    if let Some(failure) = failure {
        *response.status_mut() = failure.status();
        if let Some(wait) = failure.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
        }
    }
    response
}
