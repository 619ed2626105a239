//! The frame of a command: arguments to exit code, with a clean end on Ctrl-C.
//!
//! Codes: 0 done (also when the reader of our output went away), 1 failed, 2 wrong arguments, 78 bad configuration,
//! 130 interrupted, 143 terminated. An interrupt ends the command at its next wait, unless it is in the middle of
//! something that must not be left half done ([`Interrupts::finish_first`]); that gets a bounded time.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::exit;
use crate::logging::{self, LogFilter};
use crate::output;

/// How long an act that was begun may still take after an interrupt: an API call has 10 s, its record a few more.
const FINISH_LIMIT: Duration = Duration::from_secs(15);

/// Protects a part of a command against being interrupted half-way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    protected: Arc<watch::Sender<u32>>,
}

impl Interrupts {
    /// While the returned guard lives, Ctrl-C waits for its end (15 s at most, or until pressed again).
    #[must_use = "the protection ends when the guard is dropped"]
    pub fn finish_first(&self) -> FinishFirst {
        self.protected.send_modify(|count| *count += 1);
        FinishFirst {
            protected: Arc::clone(&self.protected),
        }
    }

    fn any_protected(&self) -> bool {
        *self.protected.borrow() > 0
    }

    async fn none_protected(&self) {
        let mut protected = self.protected.subscribe();
        let _ = protected.wait_for(|count| *count == 0).await;
    }
}

/// See [`Interrupts::finish_first`].
#[derive(Debug)]
pub struct FinishFirst {
    protected: Arc<watch::Sender<u32>>,
}

impl Drop for FinishFirst {
    fn drop(&mut self) {
        self.protected.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Runs a command and returns the exit code for `main`. `work` returns the exit code of its own outcome; its error is
/// printed once as `program: cause: cause`. Logging goes to stderr as `filter` says.
pub fn run<W, F>(program: &str, filter: &LogFilter, work: W) -> ExitCode
where
    W: FnOnce(Interrupts) -> F,
    F: Future<Output = anyhow::Result<u8>> + Send + 'static,
{
    let outcome = logging::init(program, filter, SystemClock::shared())
        .context("cannot set up logging")
        .and_then(|_| block_on(program, work));
    let code = match outcome {
        Ok(code) => code,
        Err(error) => {
            let code = exit::code_of(&error);
            if code != exit::DONE {
                output::complain(&format!("{program}: {}\n", shown(&format!("{error:#}"))));
            }
            code
        }
    };
    ExitCode::from(code)
}

fn block_on<W, F>(program: &str, work: W) -> anyhow::Result<u8>
where
    W: FnOnce(Interrupts) -> F,
    F: Future<Output = anyhow::Result<u8>> + Send + 'static,
{
    // Two threads: one may be busy with a table or with reading its input while the other hears the signals.
    let working = runtime()?;
    let watching = runtime()?;
    let interrupts = Interrupts::default();
    // Before the work begins: an interrupt in its first moment must not end what it has just begun.
    let (mut interrupt, mut terminate) = {
        let _inside = watching.enter();
        let listen = |kind| signal(kind).context("cannot install signal handlers");
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?)
    };
    let mut work = working.spawn(work(interrupts.clone()));
    let (finished, until_finished) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("work".into())
        .spawn(move || {
            // An error is the other side's end, which is what is waited for.
            let _ = working.block_on(until_finished);
            working.shutdown_background();
        })
        .context("cannot start the working thread")?;
    let outcome = watching.block_on(async {
        let code = tokio::select! {
            done = &mut work => return done.context("the command panicked")?,
            code = stop_signal(&mut interrupt, &mut terminate) => code,
        };
        if interrupts.any_protected() {
            output::complain(&format!(
                "{program}: finishing what was begun; press Ctrl-C again to stop at once\n"
            ));
        }
        tokio::select! {
            biased;
            // What was protected may have been the last thing to do, but the user is told it was interrupted.
            _ = &mut work => {}
            () = interrupts.none_protected() => {}
            _ = stop_signal(&mut interrupt, &mut terminate) => {}
            () = tokio::time::sleep(FINISH_LIMIT) => {}
        }
        work.abort();
        Ok(code)
    });
    drop(finished);
    watching.shutdown_background();
    outcome
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Waits for Ctrl-C or SIGTERM and returns the exit code that goes with it.
async fn stop_signal(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => exit::INTERRUPTED,
        _ = terminate.recv() => exit::TERMINATED,
    }
}

/// Error texts may quote the outside world; on a terminal they must not move the cursor.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if logging::is_unsafe(c) && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn protection_lasts_as_long_as_the_last_guard() {
        let interrupts = Interrupts::default();
        interrupts.none_protected().await;
        let first = interrupts.finish_first();
        let second = interrupts.clone().finish_first();
        let waiting = tokio::spawn({
            let interrupts = interrupts.clone();
            async move { interrupts.none_protected().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.expect("joins");
    }

    #[test]
    fn errors_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\nc");
    }
}
