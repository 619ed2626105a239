//! One cycle of the automation as a line of a recording: everything its decisions looked at, and what they said.
//!
//! The same decision code reads it back ([`replay`]), so that every incident can become a test. Must hold: nothing but
//! what is in the line goes into the replayed decision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Inputs, Policy, PrefixState, apply_mass_calm_brake, decide};
use crate::prefix::Prefix;

/// Version of the shape.
pub const VERSION: u32 = 1;

/// A cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedCycle {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// When its inputs were complete.
    pub at: Timestamp,
    /// One for each known prefix.
    pub prefixes: Vec<RecordedPrefix>,
}

/// What a cycle looked at for one prefix, and what it said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedPrefix {
    /// The rules it was decided by.
    pub policy: Policy,
    /// What was remembered.
    pub before: PrefixState,
    /// What was read.
    pub inputs: Inputs,
    /// Key of the verdict.
    pub verdict: String,
}

/// A recorded decision, decided again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The prefix.
    pub prefix: Prefix,
    /// Key of the verdict of the cycle before; empty in a prefix's first.
    pub before: String,
    /// Key of the recorded verdict.
    pub recorded: String,
    /// What is decided now.
    pub decision: Decision,
}

impl Replayed {
    /// Whether it is decided as it was.
    pub fn agrees(&self) -> bool {
        self.recorded == self.decision.verdict.key()
    }
}

/// Decides a cycle again, each prefix from what it remembered then.
pub fn replay(cycle: &RecordedCycle) -> Vec<Replayed> {
    let mut decisions: Vec<(Prefix, bool, Decision)> = cycle
        .prefixes
        .iter()
        .map(|recorded| {
            let decision = decide(&recorded.before, &recorded.inputs, &recorded.policy);
            (recorded.inputs.prefix, recorded.before.was_ready, decision)
        })
        .collect();
    apply_mass_calm_brake(&mut decisions);
    cycle
        .prefixes
        .iter()
        .zip(decisions)
        .map(|(recorded, (prefix, _, decision))| Replayed {
            prefix,
            before: recorded.before.last_verdict.clone(),
            recorded: recorded.verdict.clone(),
            decision,
        })
        .collect()
}
