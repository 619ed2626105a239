//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod answer_size;
mod budget_properties;
mod budget_shared;
mod connection_race;
mod dead_ipv6;
mod graphql_calls;
mod rest_calls;
mod secrets_stay_secret;
mod simulated;
mod tls_server;
mod webhook_decoding;
mod webhook_urgency;
mod witnesses;
