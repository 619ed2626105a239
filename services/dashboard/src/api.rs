//! The JSON API. Keys that the predecessor had keep their names and meanings; all instants are RFC 3339 in UTC.
//!
//! Every answer has `success`; lists are read in pages by [`paging`]; a failure is
//! `{"success": false, "error": TEXT, "code": WORD}` with a status that says the same.

pub(crate) mod acknowledge;
pub(crate) mod acts;
pub(crate) mod analytics;
pub(crate) mod attacks;
pub(crate) mod holds;
pub(crate) mod incidents;
pub(crate) mod overview;
pub(crate) mod paging;
pub(crate) mod prefixes;
mod reason;
pub(crate) mod services;
pub(crate) mod stats;

use axum::Json;
use serde_json::{Value, json};

use crate::answer::Failure;

/// What a handler of the API returns.
pub(crate) type Answer = Result<Json<Value>, Failure>;

/// A list under its name, with where the next, older page begins.
fn list(name: &str, rows: Vec<Value>, next_before: Option<i64>) -> Json<Value> {
    Json(json!({"success": true, name: rows, "next_before": next_before}))
}

/// A value as JSON. Our own shapes always have a form; a failure is a defect.
fn value<T: serde::Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::internal(&error))
}
