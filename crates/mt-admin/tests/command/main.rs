//! `cloudflare-mt` as people and scripts use it: the real program on a real file, with the simulator behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../cli/tests/support/mod.rs"]
mod support;

mod accounts;
mod chain;
mod explaining;
mod file;
mod importing;
mod messages;
mod words;
mod world;
