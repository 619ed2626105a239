//! What will happen next, as data: a kind, an instant, and the reasons in the order of their weight.
//! Words for people are made where it is shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Block, Unknown};
use crate::bgp::NotControllable;
use crate::duration::human;
use crate::time::for_people;

/// What automation will do next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextKind {
    /// Nothing: there is nothing to do, or it is not automation's.
    Nothing,
    /// Leave the prefix advertised.
    #[default]
    Hold,
    /// Start the calm clock once the announcement has spread.
    StartCalmClock,
    /// Withdraw the prefix.
    Withdraw,
}

impl NextKind {
    /// Text for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Hold => "hold the advertisement",
            Self::StartCalmClock => "start the calm clock",
            Self::Withdraw => "withdraw",
        }
    }
}

/// Why something is next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Traffic flows natively.
    NotAdvertised,
    /// The operator does not list the prefix.
    NotListed,
    /// Cloudflare would refuse.
    NotControllable {
        /// Why.
        why: NotControllable,
    },
    /// Automation does not manage it, and nothing says why.
    NotManaged,
    /// Nothing can be said.
    Unknown {
        /// Why.
        because: Unknown,
    },
    /// The announcement still spreads.
    Spreads,
    /// Drops exceed the thresholds.
    AttackGoesOn,
    /// The calm clock runs.
    CalmRuns {
        /// Since when, in data time.
        since: Timestamp,
        /// Proven calm, seconds.
        proven_s: u64,
        /// The calm period in force, seconds.
        needed_s: u64,
    },
    /// Drops are no attack any more (or none yet) and still too many for calm.
    Restless,
    /// Something forbids acting.
    Blocked {
        /// What.
        block: Block,
    },
    /// Calm is proven.
    CalmProven,
    /// Several prefixes turned calm at once after blindness.
    MassCalm,
}

impl Reason {
    /// Short stable name.
    pub fn key(&self) -> String {
        match self {
            Self::NotAdvertised => "not_advertised".into(),
            Self::NotListed => "not_listed".into(),
            Self::NotControllable { .. } => "not_controllable".into(),
            Self::NotManaged => "not_managed".into(),
            Self::Unknown { because } => format!("unknown:{}", because.key()),
            Self::Spreads => "spreads".into(),
            Self::AttackGoesOn => "attack".into(),
            Self::CalmRuns { .. } => "calm_runs".into(),
            Self::Restless => "restless".into(),
            Self::Blocked { block } => format!("blocked:{}", block.key()),
            Self::CalmProven => "calm_proven".into(),
            Self::MassCalm => "mass_calm".into(),
        }
    }

    /// One clause for people.
    pub fn explain(&self) -> String {
        let seconds = |seconds: u64| human(std::time::Duration::from_secs(seconds));
        match self {
            Self::NotAdvertised => "it is not advertised".into(),
            Self::NotListed => "automation does not manage it: it is not listed".into(),
            Self::NotControllable { why } => format!("automation does not manage it: {}", why.explain()),
            Self::NotManaged => "automation does not manage it".into(),
            Self::Unknown { because } => because.explain(),
            Self::Spreads => "the announcement still spreads".into(),
            Self::AttackGoesOn => "the attack goes on".into(),
            Self::CalmRuns {
                since,
                proven_s,
                needed_s,
            } => format!(
                "calm since {}, {} of {} proven",
                for_people(*since),
                seconds(*proven_s),
                seconds(*needed_s)
            ),
            Self::Restless => "drops still exceed the thresholds for calm".into(),
            Self::Blocked { block } => block.explain(),
            Self::CalmProven => "calm is proven".into(),
            Self::MassCalm => {
                "several prefixes turned calm at once after analytics were blind, so calm starts anew".into()
            }
        }
    }
}

/// What will happen next, and why, as data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NextAction {
    /// What.
    pub kind: NextKind,
    /// Not before; `None` when no instant can be named.
    pub not_before: Option<Timestamp>,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
}

impl NextAction {
    /// What, for people.
    pub fn action(&self) -> &'static str {
        self.kind.words()
    }

    /// Why, for people: one sentence without its full stop.
    pub fn because(&self) -> String {
        if self.reasons.is_empty() {
            return "no reason is known".into();
        }
        let clauses: Vec<String> = self.reasons.iter().map(Reason::explain).collect();
        clauses.join("; ")
    }
}
