//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod announcements;
mod catch_up;
mod failures;
mod hostnames;
mod no_event_lost;
mod polls;
mod service;
mod support;
mod witnesses;
