//! Where the events of a process go: the journal under systemd, else one line each on stderr.
//!
//! Must hold: exactly one place gets an event, no event is dropped because of what is in it, and nothing from outside
//! can make one event look like two. Records of the `log` crate (the connection pool uses it) arrive here as well.
//! Names and meanings of the events are in [`crate::events`].

mod console;
mod filter;
mod journal;
mod panics;
pub(crate) mod tally;
mod text;
mod visit;

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tracing_subscriber::prelude::*;

pub use filter::{LogFilter, LogFilterError};
pub(crate) use text::is_unsafe;
pub use visit::cause_chain;

use crate::clock::SharedClock;

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Something in this process has claimed the events before.
    #[error("logging is already set up in this process")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

/// Where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// systemd's journal, with priority and structured fields.
    Journal,
    /// Lines on stderr.
    Stderr,
}

/// Claims all events of this process from here on and reports panics as events. Call once, before the first thread.
///
/// `program` is what the journal shows as identifier.
///
/// # Errors
/// When something in this process has done so before.
pub fn init(program: &str, filter: &LogFilter, clock: SharedClock) -> Result<LogTarget, LogError> {
    let registry = tracing_subscriber::registry().with(filter.targets());
    let journal = stderr_is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref())
        .then(|| journal::JournalLayer::open(Path::new(journal::JOURNAL_SOCKET), program))
        .and_then(Result::ok);
    let target = match journal {
        Some(journal) => {
            registry.with(journal).try_init().map_err(LogError::AlreadySet)?;
            LogTarget::Journal
        }
        None => {
            let console = console::ConsoleLayer::on_stderr(clock, wants_colour());
            registry.with(console).try_init().map_err(LogError::AlreadySet)?;
            LogTarget::Stderr
        }
    };
    panics::report_as_events();
    Ok(target)
}

/// Whether stderr is the stream systemd gave us. The variable is inherited by children whose stderr goes elsewhere, so
/// device and inode are compared, as systemd.exec(5) demands under `$JOURNAL_STREAM`.
fn stderr_is_journal(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|text| text.split_once(':')) else {
        return false;
    };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else {
        return false;
    };
    let stderr = std::io::stderr();
    let Ok(metadata) = stderr
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| File::from(fd).metadata())
    else {
        return false;
    };
    (metadata.dev(), metadata.ino()) == (device, inode)
}

/// Colour on a terminal that can show it, unless the user declined (<https://no-color.org>).
fn wants_colour() -> bool {
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stderr().is_terminal() && !declined && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_used_only_when_stderr_is_its_stream() {
        let stderr = std::io::stderr();
        let metadata = File::from(stderr.as_fd().try_clone_to_owned().expect("clones"))
            .metadata()
            .expect("stats");
        let ours = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(stderr_is_journal(Some(&ours)));
        let other = format!("{}:{}", metadata.dev(), metadata.ino() + 1);
        assert!(!stderr_is_journal(Some(&other)));
        for nonsense in ["", ":", "1", "a:b", "1:2:3"] {
            assert!(!stderr_is_journal(Some(nonsense)), "{nonsense}");
        }
        assert!(!stderr_is_journal(None));
    }
}
