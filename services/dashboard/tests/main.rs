//! All tests of this package in one program: each one more would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod acts;
mod api;
mod export;
mod failures;
mod faults;
mod flow;
mod gate;
mod live;
mod login;
mod machines;
mod openapi;
mod overrides;
mod pages;
mod predecessor;
mod rules;
mod second_factor;
mod settings;
mod support;
