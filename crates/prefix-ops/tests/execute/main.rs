//! Execution of intents against the simulator.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod advertise;
mod guards;
mod holds;
mod outcomes;
mod world;
