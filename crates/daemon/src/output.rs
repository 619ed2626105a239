//! Writing to stdout and stderr outside the log: help, reports, printed configuration.
//!
//! A reader that closed the pipe (`... | head`) has what it wanted: that is no failure and never a panic.

use std::io::{self, Write as _};

/// Writes `text` to stdout and flushes it. A closed pipe counts as written.
///
/// # Errors
/// When stdout cannot be written for another reason, such as a full disk behind it.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes `text` to stderr. If that fails there is nobody left to tell.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether `error` is, at its root, only that the reader of our output went away.
///
/// A broken connection to somewhere else has the same kind, so commands keep the error of writing their own output
/// unwrapped or in plain context, and clients of the network wrap theirs in types of their own.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the API did not answer")]
    struct Api(#[source] io::Error);

    fn broken() -> io::Error {
        io::Error::from(io::ErrorKind::BrokenPipe)
    }

    #[test]
    fn only_our_own_output_counts() {
        assert!(is_closed_pipe(&broken().into()));
        let in_context = Err::<(), _>(broken())
            .context("cannot write the table")
            .expect_err("an error");
        assert!(is_closed_pipe(&in_context));
        assert!(!is_closed_pipe(&Api(broken()).into()));
    }
}
