//! The fire drill on a real receiver, with the simulator behind: it goes well where all is well, names the hop that is
//! broken where one is, and touches nothing. The receiver is the real program, which `cargo build --workspace --bins` makes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../cli/tests/support/mod.rs"]
mod support;

mod broken;
mod fake;
mod stage;
mod whole;
