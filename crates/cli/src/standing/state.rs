//! The one vocabulary for the state of a prefix, the same as on the dashboard.

use serde::Serialize;

use crate::screen::{Ink, ink};

/// What a prefix is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Drops exceed both thresholds now.
    UnderAttack,
    /// No reading that could be trusted.
    Unknown,
    /// A change was accepted and still spreads.
    Propagating,
    /// The calm clock runs, and a withdrawal follows.
    Calm,
    /// A person's hold or pause wins.
    Held,
    /// Advertised and read back.
    Protected,
    /// Advertised, and automation does not touch it.
    NotManaged,
    /// Withdrawn: traffic flows natively.
    Direct,
}

impl State {
    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnderAttack => "under attack",
            Self::Unknown => "unknown",
            Self::Propagating => "propagating",
            Self::Calm => "calm",
            Self::Held => "held",
            Self::Protected => "protected",
            Self::NotManaged => "not managed",
            Self::Direct => "direct",
        }
    }

    /// `text` in the look of this state.
    pub fn inked(self, text: &str) -> String {
        match self {
            Self::UnderAttack => ink(Ink::Attack, text),
            Self::Propagating | Self::Protected => ink(Ink::Shield, text),
            Self::Calm => ink(Ink::Calm, text),
            Self::Held | Self::Unknown => ink(Ink::Warn, text),
            Self::NotManaged => ink(Ink::Faint, text),
            Self::Direct => text.to_owned(),
        }
    }
}
