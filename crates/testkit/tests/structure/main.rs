//! The house's own rules, checked: which way the arrows point, what stands where, which crates and licences come in.
//!
//! Nothing here runs the product; it reads the sources and `cargo metadata`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arrows;
mod crates;
mod files;
mod licence;
mod metadata;
mod words;
