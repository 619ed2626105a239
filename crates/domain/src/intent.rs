//! The journal of acts on BGP: durable before the act, one open automatic intent per prefix.
//!
//! ```text
//!            claim + re-check + mark                 answer                read-back
//! planned ───────────────────────────▶ sending ─────────────────▶ verifying ──────────▶ done
//!    │  ▲            refused for now      │ lost answer ────────────┘  │ 15 min
//!    │  └─────────────────────────────────┤                            ▼
//!    ▼                                    ▼                        unresolved
//! cancelled                            refused
//! ```
//!
//! Only `planned` may be cancelled. From `sending` on, the outside world decides, and the truth
//! is what a re-read shows.

mod limits;
mod steps;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use limits::Limits;
pub use steps::{
    BeforeMark, DEAD_AFTER, Entry, Facts, Gate, Watch, before_mark, gives_up, is_too_late, last_check,
    may_assert_again, may_begin, pause, shows, shows_another, withdrawal_may_arrive,
};

/// What the intent wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Announce the prefix at Cloudflare: protection on.
    Advertise,
    /// Stop announcing it: traffic flows natively again.
    Withdraw,
}

impl Act {
    /// The `advertised` flag that shows the act succeeded.
    pub fn wanted(self) -> bool {
        matches!(self, Self::Advertise)
    }

    /// Database and log text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advertise => "advertise",
            Self::Withdraw => "withdraw",
        }
    }

    /// Reads the database text.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Advertise, Self::Withdraw]
            .into_iter()
            .find(|act| act.as_str() == text)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Origin {
    /// The auto-withdraw daemon, after calm was proven.
    Automatic,
    /// A person, by command line or dashboard.
    Person {
        /// `user@host` or the account name.
        actor: String,
        /// `prefix_manager`, `dashboard`, `autowithdraw`.
        via: String,
    },
}

impl Origin {
    /// Whether nobody asked for it.
    pub fn is_automatic(&self) -> bool {
        matches!(self, Self::Automatic)
    }
}

/// Where an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Durable, not yet sent.
    Planned,
    /// Marked in the journal immediately before the call: from here on it may have happened.
    Sending,
    /// Answered or lost; being read back.
    Verifying,
    /// A re-read showed the wanted state.
    Done,
    /// Cloudflare or a re-check refused; nothing was changed by us.
    Refused,
    /// Withdrawn from the journal before it was sent.
    Cancelled,
    /// No re-read showed the wanted state in time; a person must look.
    Unresolved,
}

impl IntentState {
    /// All states, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Sending,
        Self::Verifying,
        Self::Done,
        Self::Refused,
        Self::Cancelled,
        Self::Unresolved,
    ];

    /// Database and log text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Verifying => "verifying",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Unresolved => "unresolved",
        }
    }

    /// Reads the database text.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether somebody still has to finish it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sending | Self::Verifying)
    }

    /// Whether the call may already have reached Cloudflare.
    pub fn may_have_been_sent(self) -> bool {
        matches!(self, Self::Sending | Self::Verifying | Self::Done | Self::Unresolved)
    }

    /// Whether the journal may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use IntentState::{Cancelled, Done, Planned, Refused, Sending, Unresolved, Verifying};
        matches!(
            (self, next),
            (Planned, Sending | Cancelled | Refused | Done)
                | (Sending, Verifying | Planned | Refused | Done | Unresolved)
                | (Verifying, Done | Unresolved | Refused)
        )
    }
}

impl fmt::Display for IntentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_states_stay_closed_and_sent_ones_cannot_be_cancelled() {
        for from in IntentState::ALL {
            for to in IntentState::ALL {
                if !from.is_open() {
                    assert!(!from.may_become(to), "{from} -> {to}");
                }
                if from.may_have_been_sent() {
                    assert!(!from.may_become(IntentState::Cancelled), "{from}");
                }
            }
            assert_eq!(IntentState::from_text(from.as_str()), Some(from));
        }
    }
}
