//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod crowd;
mod deliveries;
mod faults;
mod generated;
mod limits;
mod support;
