//! The automation against a simulated Cloudflare, in fast motion: the daemon runs in process, on a
//! runtime of its own so that it can die without a farewell.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod actors;
mod acts;
mod blindness;
mod changes;
mod commits;
mod emergencies;
mod house;
mod leases;
mod moved;
mod restraint;
