//! For tests only: what an end-to-end test needs besides its own story.
//!
//! | Module | Holds |
//! |---|---|
//! | [`site`] | a temporary installation: configuration, database, addresses, and a simulated Cloudflare |
//! | [`pace`] | the product's waiting times in fast motion, and what a test may wait for at most |
//! | [`binaries`] | where cargo put the programs |
//! | [`notify_socket`] | the end of a NOTIFY_SOCKET that the test owns |
//! | [`service`] | a real program as a child: READY, `kill -9`, orderly end, memory, log |
//! | [`record`] | everything a test asks the database, in one snapshot |
//! | [`undone`] | the check that nothing is left undone |
//! | [`stories`] | scenarios for the simulator, in real seconds |
//! | [`wait`] | level-triggered waits with a limit |
//!
//! Failures panic with what was waited for and what was seen instead: this crate never runs in production and only
//! dev-dependencies may name it (`tests/structure` checks that).

// Every failure here is a failed test, and a panic is how a test fails.
#![allow(clippy::expect_used, clippy::panic)]

pub mod binaries;
pub mod notify_socket;
pub mod pace;
pub mod record;
pub mod service;
pub mod site;
pub mod stories;
pub mod undone;
pub mod wait;

pub use pace::Pace;
pub use record::Record;
pub use service::{Program, RealService};
pub use site::Site;
