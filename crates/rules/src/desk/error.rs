//! Why a change of rules did not happen, or whether it may have.

use cf_api::{CfError, ErrorClass};
use db::DbError;
use serde::Serialize;

/// What is known about the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was changed.
    NotDone,
    /// Nobody knows: look before anything else.
    Unknown,
    /// It was changed, and the record of it is missing.
    Done,
}

/// Why a change of rules did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DeskError {
    /// Stable code.
    pub code: String,
    /// What failed and why.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
    /// What is known about the change.
    pub outcome: Outcome,
    /// Cloudflare's part in it.
    pub class: Option<ErrorClass>,
}

impl DeskError {
    pub(super) fn new(code: &str, text: impl Into<String>, remedy: Option<&str>, outcome: Outcome) -> Self {
        Self {
            code: code.to_owned(),
            text: text.into(),
            remedy: remedy.map(str::to_owned),
            outcome,
            class: None,
        }
    }

    pub(crate) fn reading(error: &CfError) -> Self {
        Self {
            class: Some(error.class),
            ..Self::new(
                &format!("cloudflare.{}", error.class),
                format!("the rules could not be read, so nothing was changed: {error}"),
                remedy(error.class),
                Outcome::NotDone,
            )
        }
    }

    pub(super) fn changing(error: &CfError) -> Self {
        let (outcome, text) = if error.outcome_unknown() {
            (
                Outcome::Unknown,
                format!("nobody knows whether it was changed: {error}"),
            )
        } else {
            (Outcome::NotDone, format!("nothing was changed: {error}"))
        };
        let remedy = match outcome {
            Outcome::Unknown => Some("read the rules again before you repeat it"),
            _ => remedy(error.class),
        };
        Self {
            class: Some(error.class),
            ..Self::new(&format!("cloudflare.{}", error.class), text, remedy, outcome)
        }
    }

    pub(crate) fn database(error: &DbError) -> Self {
        Self::new(
            "rule.no_backup",
            format!("nothing was changed, because the backup could not be stored: {error}"),
            Some("make the database writable"),
            Outcome::NotDone,
        )
    }

    pub(super) fn end_not_stored(error: &DbError) -> Self {
        Self::new(
            "rule.no_end",
            format!("until when the override stands could not be stored: {error}"),
            Some("set its end again"),
            Outcome::NotDone,
        )
    }

    /// The override itself was changed.
    pub(super) fn after_the_change(self) -> Self {
        Self {
            text: format!("it was changed, but {}", self.text),
            outcome: Outcome::Done,
            ..self
        }
    }

    pub(super) fn end_without_rule() -> Self {
        Self::new(
            "rule.no_end",
            "it was made, but Cloudflare's answer does not show it as it was asked for, so its end could not be stored",
            Some("look at it and set its end"),
            Outcome::Done,
        )
    }

    pub(super) fn not_recorded(error: &DbError, done: bool) -> Self {
        let (text, outcome) = if done {
            (
                "it was changed, but the record of it could not be closed",
                Outcome::Done,
            )
        } else {
            ("the record of the attempt could not be closed", Outcome::Unknown)
        };
        Self::new("rule.not_recorded", format!("{text}: {error}"), None, outcome)
    }

    pub(super) fn conflict(name: &str) -> Self {
        Self {
            class: Some(ErrorClass::Conflict),
            ..Self::new(
                "rule.conflict",
                format!("rule {name} was changed by somebody else since it was read; nothing was changed"),
                Some("read it again and decide anew"),
                Outcome::NotDone,
            )
        }
    }

    pub(super) fn not_as_wanted(name: &str) -> Self {
        Self::new(
            "rule.not_as_wanted",
            format!("Cloudflare answered with other values for rule {name} than were asked for"),
            Some("read it again"),
            Outcome::Unknown,
        )
    }

    pub(crate) fn invalid(text: &str) -> Self {
        Self::new("rule.invalid", text, None, Outcome::NotDone)
    }
}

fn remedy(class: ErrorClass) -> Option<&'static str> {
    Some(match class {
        ErrorClass::Auth => "check the token",
        ErrorClass::Permission => {
            "the token needs 'Magic Network Monitoring Write' for monitoring rules and 'L3/4 DDoS Managed Ruleset Write' \
             for overrides"
        }
        ErrorClass::Conflict => "read the rules again and decide anew",
        ErrorClass::RateLimited | ErrorClass::BudgetExhausted | ErrorClass::Transient => "try again later",
        _ => return None,
    })
}
