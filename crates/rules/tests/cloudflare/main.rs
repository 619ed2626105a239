//! Changes, plans and undo against a simulated Cloudflare and a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod account;
mod desk;
mod managed;
mod plans;
