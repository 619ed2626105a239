//! How a process ends: the exit codes, and the one report about it.
//!
//! The codes are part of the interface: `RestartPreventExitStatus=78` keeps systemd from restarting into the same bad
//! configuration for ever. The cause chain is written once, here, and nowhere else.

use std::process::ExitCode;
use std::time::Duration;

use crate::shutdown::StopReason;

/// Did what it was asked to.
pub const DONE: u8 = 0;
/// Failed at run time.
pub const FAILURE: u8 = 1;
/// Called with arguments it does not understand.
pub const USAGE: u8 = 2;
/// The configuration is bad; starting again without changing it is useless (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIG: u8 = settings::EXIT_BAD_CONFIG;
/// A command ended by Ctrl-C: 128 + SIGINT, as shells show it.
pub const INTERRUPTED: u8 = 130;
/// A command ended by SIGTERM: 128 + SIGTERM.
pub const TERMINATED: u8 = 143;

/// The configuration can be read but the program refuses to work with it, for example because a secret is missing.
/// Anywhere in the chain of a failure, it makes the exit code [`BAD_CONFIG`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct ConfigRefused {
    /// What is wrong, with the key.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// How the process ended and why.
#[derive(Debug)]
pub struct ExitReport {
    /// Who asked for the end.
    pub reason: StopReason,
    /// Whether the end was demanded a second time before the first was complete.
    pub forced: bool,
    /// What went wrong, if anything did.
    pub failure: Option<anyhow::Error>,
    /// What had not stopped when the time was over.
    pub not_stopped: Vec<String>,
    /// Time from start to end.
    pub uptime: Duration,
}

impl ExitReport {
    /// A process that never came to run.
    pub fn not_started(failure: anyhow::Error, uptime: Duration) -> Self {
        Self {
            reason: StopReason::Internal,
            forced: false,
            failure: Some(failure),
            not_stopped: Vec::new(),
            uptime,
        }
    }

    /// The exit code of the process. Leaving something behind that did not stop is a failure, too.
    pub fn code(&self) -> u8 {
        match &self.failure {
            Some(failure) => code_of(failure),
            None if self.not_stopped.is_empty() => DONE,
            None => FAILURE,
        }
    }

    /// Writes the one line about the end and returns the exit code.
    pub fn conclude(self) -> ExitCode {
        let code = self.code();
        let uptime_s = self.uptime.as_secs_f64();
        let reason = self.reason.as_str();
        let forced = self.forced;
        let not_stopped = self.not_stopped.join(",");
        if code == DONE {
            tracing::info!(event = "process.stopped", code, reason, uptime_s);
        } else {
            let error = match self.failure {
                Some(failure) => format!("{failure:#}"),
                None if forced => "a second signal came before everything had stopped".to_owned(),
                None => "not everything stopped in time".to_owned(),
            };
            tracing::error!(
                event = "process.failed",
                code,
                reason,
                forced,
                not_stopped,
                uptime_s,
                error
            );
        }
        ExitCode::from(code)
    }
}

/// The exit code for an error: [`BAD_CONFIG`] when a [`ConfigRefused`] is in its chain, [`DONE`] when it is only that
/// the reader of our output went away, else [`FAILURE`].
pub fn code_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<ConfigRefused>()) {
        BAD_CONFIG
    } else if crate::output::is_closed_pipe(error) {
        DONE
    } else {
        FAILURE
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn report(failure: Option<anyhow::Error>, not_stopped: &[&str]) -> ExitReport {
        ExitReport {
            reason: StopReason::Terminate,
            forced: false,
            failure,
            not_stopped: not_stopped.iter().map(|name| (*name).to_owned()).collect(),
            uptime: Duration::from_secs(1),
        }
    }

    #[test]
    fn codes() {
        assert_eq!(report(None, &[]).code(), DONE);
        assert_eq!(report(None, &["poll"]).code(), FAILURE);
        assert_eq!(report(Some(anyhow::anyhow!("x")), &[]).code(), FAILURE);
        let refused = ConfigRefused {
            problem: "cloudflare.webhook_secret is empty".into(),
            remedy: "set it".into(),
        };
        let nested = Err::<(), _>(refused).context("cannot start").expect_err("an error");
        assert_eq!(report(Some(nested), &[]).code(), BAD_CONFIG);
    }
}
