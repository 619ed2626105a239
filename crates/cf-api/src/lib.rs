//! Cloudflare on the wire.
//!
//! | Module | Holds |
//! |---|---|
//! | [`transport`] | the one HTTP client: racing IPv6 and IPv4 up to TLS, deadlines, trust store |
//! | [`client`] | who we are, where Cloudflare is, the one place where requests leave |
//! | [`rest`] | token check, prefixes, BGP prefixes, monitoring rules, notifications and their history, Cloudflare's clock |
//! | [`graphql`] | evidence for decisions, limits of the account, mitigations |
//! | [`webhook`] | notification bodies, decoded tolerantly |
//! | [`error`] | classes of failure, and whether a call may have had an effect |
//! | [`budget`] | the shared share of Cloudflare's request limits |
//! | [`credentials`] | token or global key |
//!
//! No other crate speaks HTTP to Cloudflare. Nothing here decides anything.

pub mod budget;
pub mod client;
pub mod credentials;
pub mod error;
pub mod graphql;
pub mod rest;
pub mod transport;
pub mod webhook;

mod outside_text;
mod rate_headers;

pub use client::{CloudflareClient, Deadlines, SetupError};
pub use credentials::Credentials;
pub use error::{CfError, ErrorClass};
pub use transport::{Transport, TransportConfig};
