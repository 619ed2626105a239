//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod alert_messages;
mod any_text;
mod channels;
mod delivery;
mod documentation;
mod edited_messages;
mod mail;
mod messages;
mod passage_messages;
mod questions;
mod refusals;
mod secrets;
mod service_messages;
mod storm;
mod support;
mod together;
