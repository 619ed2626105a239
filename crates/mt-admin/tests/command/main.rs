//! `cloudflare-mt` as people and scripts use it: the real program on a real file, with the simulator behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../cli/tests/support/mod.rs"]
mod support;

mod accounts;
mod chain;
mod doctoring;
mod documented;
mod explaining;
mod file;
mod importing;
mod messages;
mod setting_up;
mod taking_over;
mod words;
mod world;
