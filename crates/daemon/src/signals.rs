//! What the process does when it is signalled.
//!
//! SIGTERM and SIGINT ask for a graceful end, a second one of either for an immediate end, SIGHUP for reading files
//! again. The handlers must be installed before the service starts, so that no early signal kills the process unasked.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::frame::Frame;
use crate::shutdown::StopReason;

/// The signals of this process, claimed.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Claims the signals. Must be called within a tokio runtime.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Passes signals on to `frame` until dropped.
    pub(crate) async fn forward(mut self, frame: Frame) {
        let mut stops = 0_u32;
        loop {
            let reason = tokio::select! {
                _ = self.terminate.recv() => StopReason::Terminate,
                _ = self.interrupt.recv() => StopReason::Interrupt,
                _ = self.hangup.recv() => {
                    let listeners = frame.request_reload();
                    tracing::info!(event = "process.reload.requested", listeners);
                    continue;
                }
            };
            // Signals are counted, not triggers: a stop that a failure began may still drain when the first one comes.
            stops += 1;
            frame.shutdown().trigger(reason);
            if stops > 1 {
                frame.forced().trigger(reason);
            }
        }
    }
}
