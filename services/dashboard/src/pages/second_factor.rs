//! `/second-factor`, where a code is asked for, and `/settings/second-factor`, where it is set up.

use askama::Template;
use axum::http::header;
use axum::response::Response;
use db::second_factor::Factor;
use jiff::Timestamp;

use super::{Shell, rendered};
use crate::accounts::Member;
use crate::accounts::second_factor::code;
use crate::answer::Failure;
use crate::app::App;

#[derive(Template)]
#[template(path = "second_factor.html")]
struct Asked<'a> {
    shell: Shell,
    next: &'a str,
    problem: Option<&'a str>,
}

/// The question for a code.
pub(crate) fn asked(app: &App, member: &Member, next: &str, failure: Option<&Failure>) -> Response {
    // Whoever is here has given a password and nothing else: no name, no navigation, no organisation.
    let mut shell = Shell::outside(app, "Sign in");
    shell.csrf_of_half = Some(member.session().csrf.clone());
    let page = Asked {
        shell,
        next,
        problem: failure.map(Failure::text),
    };
    with_failure(rendered(&page), failure)
}

/// What the settings page is about.
pub(crate) enum State {
    /// There is none.
    None,
    /// A secret waits to be confirmed.
    Enrolling { secret: String },
    /// Codes for paper, shown once.
    Codes { codes: Vec<String> },
    /// It is asked for.
    Set { since: Timestamp, codes_left: u32 },
}

impl State {
    /// What is stored.
    pub(crate) fn of(factor: Factor) -> Self {
        match (factor.since, factor.secret) {
            (Some(since), _) => Self::Set {
                since,
                codes_left: factor.codes_left,
            },
            (None, Some(secret)) => Self::Enrolling { secret },
            (None, None) => Self::None,
        }
    }
}

#[derive(Template)]
#[template(path = "settings_second_factor.html")]
struct Settings<'a> {
    shell: Shell,
    state: &'a State,
    /// Path and side of the picture that telephones read.
    picture: Option<(String, usize)>,
    problem: Option<&'a str>,
}

impl Settings<'_> {
    /// In groups of four, as people type it.
    fn grouped(&self, secret: &str) -> String {
        let letters: Vec<char> = secret.chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join(" ")
    }
}

/// The page on which it is set up.
pub(crate) fn settings(app: &App, member: &Member, state: &State, failure: Option<&Failure>) -> Response {
    let organisation = &app.settings().organisation;
    let issuer = if organisation.name.is_empty() {
        &organisation.brand
    } else {
        &organisation.name
    };
    let picture = match state {
        State::Enrolling { secret } => code::picture(&code::address(secret, issuer, member.name())),
        _ => None,
    };
    let page = Settings {
        shell: Shell::bare(app, member, "Second factor", "settings"),
        state,
        picture,
        problem: failure.map(Failure::text),
    };
    with_failure(rendered(&page), failure)
}

fn with_failure(mut response: Response, failure: Option<&Failure>) -> Response {
    if let Some(failure) = failure {
        *response.status_mut() = failure.status();
        if let Some(wait) = failure.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
        }
    }
    response
}
