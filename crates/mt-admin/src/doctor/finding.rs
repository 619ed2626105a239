//! One thing that was looked at: how bad it is, what that means for protection, and what to do.

use cf_api::{CfError, ErrorClass};
use serde::Serialize;

/// How bad it is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Protection or alarming is impaired.
    Critical,
    /// It could not be found out, which is not fine.
    Unknown,
    /// It works with less, or will not for long.
    Warning,
    /// Worth knowing; nothing is wrong.
    Info,
    /// As it should be.
    Ok,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Unknown, Self::Warning, Self::Info, Self::Ok];

    /// The word people and scripts read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Ok => "ok",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, as a stable word: `database.integrity`.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub text: String,
    /// What it means for protection; absent when it is as it should be.
    pub means: Option<String>,
    /// What to do; absent when there is nothing to do.
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self {
            check,
            severity: Severity::Ok,
            text: text.into(),
            means: None,
            remedy: None,
        }
    }

    /// Not as it should be.
    pub fn of(
        severity: Severity,
        check: &'static str,
        text: impl Into<String>,
        means: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            severity,
            text: text.into(),
            means: Some(means.into()),
            remedy: Some(remedy.into()),
        }
    }

    /// It could not be found out.
    pub fn unknown(check: &'static str, text: impl Into<String>, means: impl Into<String>) -> Self {
        let remedy = "run it again; if it stays so, look at the network and the service it asks";
        Self::of(Severity::Unknown, check, text, means, remedy)
    }

    /// A call to Cloudflare failed. `means` is what follows if the call is never answered, `permission` what the token
    /// needs for it.
    pub fn cloudflare(check: &'static str, error: &CfError, means: &str, permission: &str) -> Self {
        let text = error.to_string();
        match error.class {
            ErrorClass::Auth => Self::of(
                Severity::Critical,
                check,
                text,
                means,
                "cloudflare.api_token is refused: make a new token at Cloudflare and put it into settings.json",
            ),
            ErrorClass::Permission => Self::of(
                Severity::Critical,
                check,
                text,
                means,
                format!("give the API token the permission {permission} at Cloudflare"),
            ),
            ErrorClass::NotFound => Self::of(
                Severity::Critical,
                check,
                text,
                means,
                "is cloudflare.account_id the right one, and has the account this product?",
            ),
            _ => Self::unknown(check, text, means),
        }
    }
}
