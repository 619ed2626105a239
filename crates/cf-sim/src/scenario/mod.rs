//! Scenarios: what they are written in, what they make happen, and what they claim about themselves.
//!
//! | Module | Holds |
//! |---|---|
//! | `file`, `attack` | the file format |
//! | `library` | the scenarios that are built in |
//! | `senders`, `streams`, `tunnels` | traffic and health checks |
//! | `monitoring` | what the rules of Network Monitoring find |
//! | `run` | the timeline, with `phases` of attacks and `events` |
//! | `alerts` | bodies of notifications |
//! | `expect`, `rehearsal` | claims, and a run in no time |

pub(crate) mod alerts;
pub(crate) mod attack;
mod events;
pub(crate) mod expect;
pub(crate) mod file;
mod library;
mod monitoring;
mod phases;
pub(crate) mod rehearsal;
pub(crate) mod run;
mod senders;
mod streams;
pub(crate) mod tunnels;
