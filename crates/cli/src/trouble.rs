//! Why a command did not do what it was asked to: what failed, a stable code, what to do, and the exit code.

use std::error::Error;

use db::{DbError, OpenError};

/// A rule blocked it: held, too early, locked. Nothing was changed.
pub const BLOCKED: u8 = 3;
/// The person at the terminal said no. Nothing was changed.
pub const CANCELLED: u8 = 4;

/// An end other than done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Trouble {
    /// Exit code of the process.
    pub exit: u8,
    /// Stable code, as in logs, JSON and the runbook.
    pub code: String,
    /// What failed, for which prefix or event, and why; one sentence.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Trouble {
    /// An end with this exit code.
    pub fn new(exit: u8, code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.into(),
            text: text.into(),
            remedy: None,
        }
    }

    /// It failed at run time.
    pub fn failed(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(daemon::exit::FAILURE, code, text)
    }

    /// It was called in a way it does not understand.
    pub fn usage(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(daemon::exit::USAGE, code, text)
    }

    /// A rule forbids it.
    pub fn blocked(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(BLOCKED, code, text)
    }

    /// The person said no.
    pub fn cancelled() -> Self {
        Self::new(CANCELLED, "cancelled", "cancelled; nothing was changed")
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A failed read or write. `what` is a clause: `the holds could not be read`.
    pub fn database(what: &str, error: &DbError) -> Self {
        Self::failed(error.code(), format!("{what}: {}", chain(error)))
    }

    /// The database could not be opened.
    pub fn open(error: &OpenError) -> Self {
        Self::failed(error.code(), chain(error)).remedy(error.remedy())
    }

    /// An error with its causes, in no class of its own.
    pub fn internal(error: &anyhow::Error) -> Self {
        Self::new(daemon::exit::code_of(error), "internal", format!("{error:#}"))
    }
}

/// An error and its causes on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
