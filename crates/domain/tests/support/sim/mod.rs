//! The simulation of decision and journal: virtual time, drawn schedules of attacks and faults,
//! daemons and people as processes that stop, crash and race, and invariants that are checked
//! against what truly happened.
//!
//! | Module | Holds |
//! |---|---|
//! | [`fault`] | everything that can happen, by name |
//! | [`schedule`] | who is there and what happens when; as a file |
//! | [`draw`], [`shrink`] | schedules from seeds, and the smallest that still fails |
//! | [`edge`] | the true network, Cloudflare's state, and what it answers |
//! | [`journal`], [`memory`] | the transactions of the product over rows; rows in memory |
//! | [`process`], [`acting`], [`people`] | a daemon cycle by cycle, a step of an intent, what people do |
//! | [`stage`] | virtual time and whose turn it is |
//! | [`invariants`] | what must hold, each by its name |

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::collapsible_match,
    clippy::large_enum_variant,
    clippy::unwrap_used,
    clippy::expect_used
)]

pub mod acting;
pub mod draw;
pub mod edge;
pub mod fault;
pub mod invariants;
pub mod journal;
pub mod memory;
pub mod people;
pub mod process;
pub mod schedule;
pub mod shrink;
pub mod stage;
