//! The only code that changes BGP at Cloudflare.
//!
//! | Module | Holds |
//! |---|---|
//! | [`request`] | filing what a person wants, with everything it must rest on |
//! | [`execute`] | one step of an open intent: re-check, mark, one call, read back, record |
//! | [`emergency`] | an act while the journal cannot be written: spool file, call, read-back, import |
//! | [`limits`] | the spans that bound an execution, and the proof of being the one actor |
//! | [`holds`] | holds as automation sees them: none ends unannounced |
//! | [`record`] | the one transaction in which an act becomes history |
//! | [`budget`] | the request budget of all services, shared through the database |
//!
//! What must hold (rules 10 to 13): intent before act; the last check and the mark `sending` are
//! one transaction; a call is made at most once per mark; success is what a re-read shows;
//! a lost answer is read back and never repeated blindly; every act ends in exactly one record.

pub mod budget;
pub mod emergency;
pub mod execute;
pub mod holds;
pub mod limits;
pub mod record;
pub mod request;

pub use execute::{PrefixOps, Step};
pub use limits::{Actor, Limits};
pub use request::{Request, RequestError, Requested};
