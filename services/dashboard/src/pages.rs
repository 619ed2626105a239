//! The pages. Each is a template with a typed context; nothing here decides anything.

pub(crate) mod audit;
pub(crate) mod connectors;
pub(crate) mod curves;
pub(crate) mod ddos_override;
pub(crate) mod ddos_rules;
pub(crate) mod ddos_setting;
pub(crate) mod design;
pub(crate) mod error;
pub(crate) mod filters;
pub(crate) mod flow;
pub(crate) mod hop;
pub(crate) mod incident;
pub(crate) mod incidents;
pub(crate) mod login;
pub(crate) mod main;
pub(crate) mod measured;
pub(crate) mod mnm_rules;
pub(crate) mod password;
pub(crate) mod readiness;
pub(crate) mod rule_changes;
pub(crate) mod second_factor;
pub(crate) mod settings;
mod shares;
mod shell;

pub(crate) use shell::Shell;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use domain::prefix::Prefix;

use crate::answer::Failure;

/// The page, or the defect that kept it from being written.
fn rendered(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => Failure::internal(&error).into_response(),
    }
}

/// A step to another page of this site, taken with GET.
pub(crate) fn go_to(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// The id of a prefix's card: `p-203.0.113.0-24`, `p-2001_db8__-48`.
fn anchor(prefix: Prefix) -> String {
    format!("p-{prefix}").replace('/', "-").replace(':', "_")
}
