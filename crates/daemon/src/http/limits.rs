//! What one listener allows.

use std::time::Duration;

/// The limits of a listener. The defaults suit all services; a field is changed with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// From the first wait for a request to its complete head. Also how long an idle keep-alive connection is kept.
    pub head_timeout: Duration,
    /// Request line and header fields together, in bytes. More is answered 431. (More than 100 fields as well: that is
    /// hyper's own limit.)
    pub max_head_bytes: usize,
    /// How long a peer may refuse to take any byte of an answer.
    pub write_stall: Duration,
    /// Connections at the same time. Further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How long requests may go on after the stop signal. Shorter than the drain of the process.
    pub drain: Duration,
    /// What was asked is done to its end although the peer is gone: nobody looks for that while an answer is made, which
    /// also saves a system call for each request. Not for answers without an end.
    pub finish_without_peer: bool,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(5),
            max_head_bytes: 16 * 1024,
            write_stall: Duration::from_secs(30),
            max_connections: 512,
            drain: Duration::from_secs(5),
            finish_without_peer: false,
        }
    }
}
