//! `cloudflare-prefix-manager` as people and scripts use it: the real program against the simulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../cli/tests/support/mod.rs"]
mod support;

mod acts;
mod documented;
mod emergency;
mod menu;
mod questions;
mod reading;
mod words;
mod world;
