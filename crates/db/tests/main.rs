//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod analytics_tables;
mod common;
mod copies;
mod deliveries;
mod inbox;
mod open;
mod processes;
mod restore;
mod tables;
