//! The one signal that tells every part of a process to finish.
//!
//! It is triggered once and stays triggered; whoever asks later sees it too, so no wait can miss it. It carries why,
//! because the log line about a stop has to say who asked for it. It does not stop anything by itself.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a process is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM: the service manager or an operator asked.
    Terminate,
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// The program itself decided to stop, for example because one of its loops ended.
    Internal,
}

impl StopReason {
    /// A stable word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Interrupt => "interrupt",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A handle on the stop signal. Clones share it; any of them may trigger it or wait for it.
#[derive(Clone)]
pub struct Shutdown {
    state: Arc<watch::Sender<Option<StopReason>>>,
}

impl Shutdown {
    /// A signal nobody has triggered yet.
    pub fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Asks everybody to finish. Returns whether this call was the first; later reasons do not replace the first.
    pub fn trigger(&self, reason: StopReason) -> bool {
        self.state.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                *state = Some(reason);
            }
            first
        })
    }

    /// Whether finishing has been asked for.
    pub fn is_triggered(&self) -> bool {
        self.reason().is_some()
    }

    /// Why, once it has been asked for.
    pub fn reason(&self) -> Option<StopReason> {
        *self.state.borrow()
    }

    /// Waits until finishing is asked for; returns at once if it has been already.
    ///
    /// The future owns its subscription, so it can be moved into a task or a response body.
    pub fn triggered(&self) -> impl Future<Output = StopReason> + Send + 'static {
        // The clone keeps the sender alive: a wait must never end because the other handles were dropped.
        let keep = self.clone();
        async move {
            let mut changes = keep.state.subscribe();
            loop {
                if let Some(reason) = *changes.borrow_and_update() {
                    return reason;
                }
                if changes.changed().await.is_err() {
                    // Cannot happen while `keep` lives; if it ever did, waiting is the safe answer.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.reason()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_that_starts_late_still_ends() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_triggered());
        assert!(shutdown.trigger(StopReason::Terminate));
        assert_eq!(shutdown.triggered().await, StopReason::Terminate);
    }

    #[tokio::test]
    async fn the_first_reason_is_kept() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn(shutdown.triggered());
        assert!(shutdown.trigger(StopReason::Interrupt));
        assert!(!shutdown.trigger(StopReason::Internal));
        assert_eq!(waiting.await.expect("joins"), StopReason::Interrupt);
        assert_eq!(shutdown.reason(), Some(StopReason::Interrupt));
    }
}
