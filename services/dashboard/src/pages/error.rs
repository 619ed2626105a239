//! What a person sees instead of the page they asked for: what failed, what it means, what to do.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::Shell;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    shell: Shell,
    status: u16,
    heading: &'static str,
    text: &'a str,
    code: &'static str,
    advice: Option<&'static str>,
}

/// The page about a failure, with its status.
pub(crate) fn page(app: &App, member: Option<&Member>, failure: &Failure) -> Response {
    let (heading, advice) = words(failure.status());
    let shell = match member {
        Some(member) => Shell::bare(app, member, heading, ""),
        None => Shell::outside(app, heading),
    };
    let page = Page {
        shell,
        heading,
        advice,
        status: failure.status().as_u16(),
        text: failure.text(),
        code: failure.code(),
    };
    let mut response = match page.render() {
        Ok(text) => axum::response::Html(text).into_response(),
        // Not `Failure` again: that would come back here.
        Err(_) => "The page about an error could not be written.".into_response(),
    };
    *response.status_mut() = failure.status();
    response
}

fn words(status: StatusCode) -> (&'static str, Option<&'static str>) {
    match status {
        StatusCode::NOT_FOUND => ("Not found", None),
        StatusCode::FORBIDDEN => ("Not allowed", None),
        StatusCode::SERVICE_UNAVAILABLE => (
            "Not available now",
            Some(
                "What the page would show is not known at this moment. Protection does not depend on it: the other \
                 services go on. cloudflare-prefix-manager status on the server asks Cloudflare itself.",
            ),
        ),
        StatusCode::INTERNAL_SERVER_ERROR => (
            "Something is broken",
            Some("The log of cloudflare-dashboard says what."),
        ),
        _ => ("That did not work", None),
    }
}
