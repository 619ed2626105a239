//! Stopping a read from another thread: at its deadline, or when nobody waits for its result any more.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, InterruptHandle};

/// Lets another thread interrupt a read, but never the next read on the same connection.
#[derive(Default)]
pub(crate) struct Stop(Mutex<StopState>);

#[derive(Default)]
struct StopState {
    stopped: bool,
    running: Option<InterruptHandle>,
}

impl Stop {
    /// Registers the connection for the time of the read; `None` if the stop came first.
    pub(crate) fn watch(&self, conn: &Connection) -> Option<Watched<'_>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return None;
        }
        state.running = Some(conn.get_interrupt_handle());
        Some(Watched(self))
    }

    pub(crate) fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        // Under the lock: the read cannot give its connection back between our look and our call.
        if let Some(handle) = &state.running {
            handle.interrupt();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }
}

pub(crate) struct Watched<'a>(&'a Stop);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).running = None;
    }
}

/// Stops the read when its caller goes away or has waited long enough.
pub(crate) struct StopOnDrop(pub(crate) Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
