//! The webhook receiver: accept, authenticate, store durably, answer; nothing else.
//!
//! | Module | Holds |
//! |---|---|
//! | [`gate`] | who may post: source networks, secret, proxies |
//! | [`inbox`] | a crowd of deliveries: stored as they are, read afterwards |
//! | [`networks`] | our prefixes, kept at hand for longest match |
//! | [`routes`] | the HTTP surface and its answers |
//! | [`service`] | parts from settings, loops, READY |
//!
//! What must hold: 200 is answered only after the commit; the handler touches neither Telegram nor
//! DNS nor Cloudflare nor the file system; an authenticated body is never lost because it is odd.

pub mod gate;
pub mod inbox;
pub mod networks;
pub mod routes;
pub mod service;

pub use service::run;
