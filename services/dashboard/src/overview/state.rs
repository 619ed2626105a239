//! The one vocabulary for the state of a prefix, in pages and API alike.

use serde::Serialize;

/// What a prefix is, in one word. A colour only repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Withdrawn: traffic flows natively.
    Direct,
    /// Advertised and read back; why it stays so is said beside it.
    Protected,
    /// A change was accepted and still spreads.
    Propagating,
    /// Drops exceed both thresholds now.
    UnderAttack,
    /// The calm clock runs, and a withdrawal follows.
    Calm,
    /// A person's hold or pause wins.
    Held,
    /// No reading that could be trusted.
    Unknown,
    /// Automation does not touch it.
    NotManaged,
}

impl State {
    /// The word of API, style sheet and icon.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Protected => "protected",
            Self::Propagating => "propagating",
            Self::UnderAttack => "under_attack",
            Self::Calm => "calm",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::NotManaged => "not_managed",
        }
    }

    /// The word on the badge.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::UnderAttack => "under attack",
            Self::NotManaged => "not managed",
            other => other.key(),
        }
    }

    /// How urgently it is shown: what needs a person first.
    pub(crate) fn urgency(self) -> u8 {
        match self {
            Self::UnderAttack => 0,
            Self::Unknown => 1,
            Self::Propagating => 2,
            Self::Calm => 3,
            Self::Held => 4,
            Self::Protected => 5,
            Self::NotManaged => 6,
            Self::Direct => 7,
        }
    }
}

/// How a part of the status line is to be taken. Red is the attack's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    /// As it is most of the time.
    Plain,
    /// Known to be as it should.
    Good,
    /// Somebody should look.
    Warn,
    /// Nothing is known about it.
    Unknown,
    /// An attack.
    Attack,
}

impl Tone {
    /// The word of the style sheet.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Attack => "attack",
        }
    }
}
