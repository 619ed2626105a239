//! What operation promises: a long time at work, documents whose commands work, and a runbook for everything red.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod commands;
mod package;
mod runbooks;
mod soak;
