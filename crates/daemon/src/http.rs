//! Serving HTTP/1.1: listeners that fail clearly before READY, and an accept loop with a limit on everything.
//!
//! `axum::serve` sets no timer, so a silent or half-sent request would stay for ever; this loop closes it. HTTP/2 stays
//! off: nobody here needs it and it has a larger surface. Limits on bodies are set per route by the services.

mod connection;
mod limits;
mod listener;
mod server;
mod stall;

pub use connection::PeerAddr;
pub use limits::HttpLimits;
pub use listener::{ListenError, PreboundListener};
pub use server::serve;
