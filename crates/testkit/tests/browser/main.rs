//! What a person does: the real dashboard in a headless Chromium, against the simulated Cloudflare.
//!
//! Each test is one scenario of `scripts/`; it starts the programs, plays the world outside of the browser, and fails
//! with everything the script found wrong. Every window is also watched for errors on its console, for requests to other
//! hosts, and for scripts that ask something. What pages look like is kept under `target/screenshots`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod browser;
mod countdown;
mod door;
mod night;
mod rules;
mod seeded;
mod stage;

#[path = "../../../../services/dashboard/tests/support/seed/mod.rs"]
mod seed;
