//! The withdraw decision: `(state, evidence, policy, now) -> (next state, verdict, effects)`.
//!
//! ```text
//!            advertised                  propagation over
//! direct ───────────────▶ propagating ──────────────────▶ calm running ◀──┐
//!   ▲                          │ ▲                          │    │        │ no excess
//!   │ withdrawn                │ │ excess                   │    └──▶ attack
//!   └──────── ready ◀──────────┼─┴──────────────────────────┘ proven
//!               │              ▼
//!               └──▶ blocked   unknown   (any unreadable input; advances nothing)
//! ```
//!
//! Pure: clock, configuration and every reading are passed in. What must hold is written in
//! `docs/80-architecture.md` as sixteen rules; the tests name them.

mod judge;
mod memory;
mod next;
mod outlook;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::OpenAlert;
use crate::bgp::{BgpState, Epoch, NotControllable};
use crate::brakes;
use crate::calm::{CalmTrack, FUTURE_TOLERANCE, TrafficAnswer, TrafficPolicy, TrafficUnknown, WindowSum, read_traffic};
use crate::duration::human;
use crate::evidence::{Observed, PrefixTraffic};
use crate::hold::Hold;
use crate::prefix::Prefix;
use crate::time::{for_people, plus, since};

/// Whether automation acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decides and withdraws.
    Act,
    /// Decides, records and announces what it would do.
    DryRun,
    /// Decides and records; does nothing.
    Paused,
}

impl Mode {
    /// Text for logs and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::DryRun => "dry_run",
            Self::Paused => "paused",
        }
    }
}

/// Everything configurable about the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// What is an attack, how fresh data must be.
    pub traffic: TrafficPolicy,
    /// Whether automation acts.
    pub mode: Mode,
    /// Continuous calm that must be proven.
    #[serde(with = "crate::duration::text")]
    pub calm_period: Duration,
    /// Shortest time a prefix stays advertised.
    #[serde(with = "crate::duration::text")]
    pub min_advertised: Duration,
    /// Longest time an open alert blocks.
    #[serde(with = "crate::duration::text")]
    pub open_alert_veto: Duration,
    /// Unknown for this long raises a notice.
    #[serde(with = "crate::duration::text")]
    pub unknown_alert_after: Duration,
    /// Advertised for this long without a withdrawal raises a notice, repeated daily.
    #[serde(with = "crate::duration::text")]
    pub overdue_after: Duration,
    /// Automatic withdrawals per hour.
    pub max_withdrawals_per_hour: u32,
    /// How old the BGP read may be.
    #[serde(with = "crate::duration::text")]
    pub max_reading_age: Duration,
}

/// Whether the prefix is automation's to touch (rule 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Managed {
    /// Listed by the operator.
    Yes,
    /// Not listed.
    NotListed,
}

/// Whether the operator's own route is there to take the traffic (rule 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "route", rename_all = "snake_case")]
pub enum DirectRoute {
    /// The operator states that it is always announced.
    AlwaysAnnounced,
    /// A check succeeded at this instant.
    Checked {
        /// When.
        at: Timestamp,
    },
    /// Nobody has said how the prefix is reachable once it is withdrawn: unknown, not fine.
    NotDeclared,
    /// The check failed, or none succeeded yet.
    NotProven {
        /// Why.
        reason: String,
    },
}

/// How old a successful route check may be.
pub const ROUTE_CHECK_AGE: Duration = Duration::from_secs(300);

/// Everything one decision looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The prefix.
    pub prefix: Prefix,
    /// Listed or not.
    pub managed: Managed,
    /// The live state.
    pub bgp: Observed<BgpState>,
    /// The traffic that belongs to it.
    pub traffic: Observed<PrefixTraffic>,
    /// Open attack alerts, of any prefix.
    pub alerts: Observed<Vec<OpenAlert>>,
    /// The hold or pause in force.
    pub hold: Option<Hold>,
    /// The operator's own route.
    pub direct_route: DirectRoute,
    /// Automatic withdrawals of this prefix, newest last.
    pub own_withdrawals: Vec<Timestamp>,
    /// Automatic withdrawals of all prefixes, newest last.
    pub all_withdrawals: Vec<Timestamp>,
    /// Another automatic intent is open.
    pub other_intent_open: bool,
    /// Now, by our clock.
    pub now: Timestamp,
}

/// What is remembered about a prefix between cycles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefixState {
    /// The calm clock of the current epoch.
    pub calm: Option<CalmTrack>,
    /// The largest attack window of the epoch.
    pub peak: Option<WindowSum>,
    /// Systems that dropped during the epoch.
    pub systems: BTreeSet<String>,
    /// End of the first window that was an attack in this epoch.
    pub attack_since: Option<Timestamp>,
    /// End of the last one.
    pub last_attack_end: Option<Timestamp>,
    /// Since when nothing can be said.
    pub unknown_since: Option<Timestamp>,
    /// Unknown cycles in a row.
    pub unknown_cycles: u32,
    /// The blindness was announced.
    pub blind_announced: bool,
    /// The last gap was [`brakes::BLIND_CYCLES`] or longer and calm was not restarted for it yet.
    pub after_blindness: bool,
    /// Calm was proven in the last cycle.
    pub was_ready: bool,
    /// When "overdue" was last announced.
    pub overdue_announced_at: Option<Timestamp>,
    /// "Would withdraw" was announced in this epoch.
    pub dry_run_announced: bool,
    /// Reaching the hourly limit was announced for this wait.
    pub limit_announced: bool,
    /// What the last BGP read said, to recognise changes (rule 14).
    pub last_bgp: Option<BgpState>,
    /// Key of the last verdict, to record only changes.
    pub last_verdict: String,
}

/// Why nothing can be said about a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "unknown", rename_all = "snake_case")]
pub enum Unknown {
    /// The live BGP state was not read.
    Bgp {
        /// Why.
        reason: String,
    },
    /// The BGP state was read but does not say whether or since when it is advertised.
    BgpIncomplete,
    /// The traffic was not read.
    Traffic {
        /// Why.
        reason: String,
    },
    /// The traffic was read and proves nothing.
    Data(TrafficUnknown),
    /// Whether alerts are open is not known.
    Alerts {
        /// Why.
        reason: String,
    },
}

impl Unknown {
    /// One clause for people.
    pub fn explain(&self) -> String {
        match self {
            Self::Bgp { reason } => format!("its BGP state could not be read: {reason}"),
            Self::BgpIncomplete => "Cloudflare does not say since when it is advertised".into(),
            Self::Traffic { reason } => format!("its traffic could not be read: {reason}"),
            Self::Data(data) => data.explain(),
            Self::Alerts { reason } => format!("open alerts are not known: {reason}"),
        }
    }

    /// Short stable name.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bgp { .. } => "bgp_unavailable",
            Self::BgpIncomplete => "bgp_incomplete",
            Self::Traffic { .. } => "traffic_unavailable",
            Self::Data(TrafficUnknown::Truncated) => "traffic_truncated",
            Self::Data(TrafficUnknown::EmptyDataset) => "traffic_empty",
            Self::Data(TrafficUnknown::Stale { .. }) => "traffic_stale",
            Self::Data(TrafficUnknown::FutureRows { .. }) => "traffic_in_future",
            Self::Data(TrafficUnknown::NoRowsForPrefix) => "traffic_no_rows",
            Self::Data(TrafficUnknown::SampledTooCoarsely { .. }) => "traffic_too_coarse",
            Self::Alerts { .. } => "alerts_unknown",
        }
    }
}

/// Why a proven calm does not lead to a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// Automation is paused by configuration.
    ModePaused,
    /// Automation only says what it would do.
    DryRun,
    /// A hold or pause of a person.
    Held {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Until when.
        until: Option<Timestamp>,
        /// Whether it pauses everything.
        everywhere: bool,
    },
    /// An open attack alert.
    OpenAlert {
        /// Event number; 0 for notifications that are not read yet.
        event: i64,
        /// Until when it can block.
        until: Timestamp,
        /// Whether it blocks because its prefixes are not known.
        unresolved: bool,
    },
    /// The prefix has not been advertised long enough.
    TooSoon {
        /// Until when.
        until: Timestamp,
    },
    /// Too many withdrawals within the hour.
    HourlyLimit {
        /// Until when.
        until: Timestamp,
    },
    /// Another automatic withdrawal is under way.
    OneAtATime,
    /// The operator's own route is not proven.
    NoDirectRoute {
        /// Why.
        reason: String,
    },
    /// Cloudflare would refuse.
    NotControllable(NotControllable),
}

impl Block {
    /// One clause for people.
    pub fn explain(&self) -> String {
        match self {
            Self::ModePaused => "automation is paused by configuration".into(),
            Self::DryRun => "automation runs dry: it says what it would do and does nothing".into(),
            Self::Held {
                by,
                reason,
                until,
                everywhere,
            } => {
                let what = if *everywhere {
                    "all automation is paused"
                } else {
                    "it is held"
                };
                let end = until.map_or_else(|| "until released".to_owned(), |at| format!("until {}", for_people(at)));
                format!("{what} by {by} {end}: {reason}")
            }
            Self::OpenAlert {
                event,
                until,
                unresolved,
            } => {
                let end = for_people(*until);
                if *event == 0 {
                    "notifications of Cloudflare are received and not read yet; they block all until they are"
                        .to_owned()
                } else if *unresolved {
                    format!(
                        "attack alert #{event} is open and names no prefix of ours, so it blocks all until it ends, at the latest {end}"
                    )
                } else {
                    format!("attack alert #{event} is open; it blocks until it ends, at the latest {end}")
                }
            }
            Self::TooSoon { until } => {
                format!("it must stay advertised until {}", for_people(*until))
            }
            Self::HourlyLimit { until } => format!(
                "the hourly limit of withdrawals is reached until {}",
                for_people(*until)
            ),
            Self::OneAtATime => "another automatic withdrawal is under way".into(),
            Self::NoDirectRoute { reason } => format!("the direct route is not proven: {reason}"),
            Self::NotControllable(why) => why.explain().into(),
        }
    }

    /// Short stable name.
    pub fn key(&self) -> &'static str {
        match self {
            Self::ModePaused => "mode_paused",
            Self::DryRun => "dry_run",
            Self::Held { .. } => "held",
            Self::OpenAlert { .. } => "open_alert",
            Self::TooSoon { .. } => "min_advertised",
            Self::HourlyLimit { .. } => "hourly_limit",
            Self::OneAtATime => "one_at_a_time",
            Self::NoDirectRoute { .. } => "no_direct_route",
            Self::NotControllable(_) => "not_controllable",
        }
    }

    /// The instant at which it lifts by itself, if there is one.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Held { until, .. } => *until,
            // It lifts as soon as they are read.
            Self::OpenAlert { event: 0, .. } => None,
            Self::OpenAlert { until, .. } | Self::TooSoon { until } | Self::HourlyLimit { until } => Some(*until),
            _ => None,
        }
    }
}

/// The answer for one prefix in one cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Not advertised: traffic flows natively.
    Direct,
    /// Advertised, and automation does not touch it.
    NotManaged,
    /// Nothing can be said; nothing advances.
    Unknown {
        /// Why.
        because: Unknown,
        /// Since when.
        since: Timestamp,
    },
    /// The announcement still spreads.
    Propagating {
        /// Until when.
        until: Timestamp,
    },
    /// Drops exceed both thresholds now.
    Attack,
    /// The calm clock runs.
    Calm {
        /// Since when, in data time.
        since: Timestamp,
        /// When calm will be proven at the earliest, by our clock.
        due: Timestamp,
    },
    /// Calm is proven and something forbids acting.
    Blocked {
        /// What; never empty.
        by: Vec<Block>,
    },
    /// Calm is proven and nothing forbids acting: withdraw.
    Withdraw,
}

impl Verdict {
    /// Short stable name; a change of it is a state change worth recording.
    pub fn key(&self) -> String {
        match self {
            Self::Direct => "direct".into(),
            Self::NotManaged => "not_managed".into(),
            Self::Unknown { because, .. } => format!("unknown:{}", because.key()),
            Self::Propagating { .. } => "propagating".into(),
            Self::Attack => "attack".into(),
            Self::Calm { .. } => "calm".into(),
            Self::Blocked { by } => {
                let keys: Vec<&str> = by.iter().map(Block::key).collect();
                format!("blocked:{}", keys.join("+"))
            }
            Self::Withdraw => "withdraw".into(),
        }
    }
}

/// What the world should do about a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// File an automatic withdrawal intent (at most one open per prefix).
    IntendWithdrawal {
        /// The epoch it is meant for.
        epoch: Epoch,
        /// Proven calm, seconds.
        calm_s: u64,
    },
    /// Cancel an unsent automatic intent, if there is one (rule 11).
    CancelIntent {
        /// Why.
        because: String,
    },
    /// Unknown for too long.
    AnnounceBlind {
        /// Why.
        because: String,
        /// Since when.
        since: Timestamp,
    },
    /// Readings are back after an announced blindness.
    AnnounceSighted {
        /// Since when it was blind.
        since: Timestamp,
    },
    /// Advertised for long.
    AnnounceOverdue {
        /// Advertised since.
        since: Timestamp,
        /// What holds it.
        because: String,
    },
    /// Dry run: calm is proven.
    AnnounceWouldWithdraw {
        /// Proven calm, seconds.
        calm_s: u64,
    },
    /// The hourly brake holds a withdrawal.
    AnnounceLimit {
        /// Until when.
        until: Timestamp,
    },
    /// The advertisement, lock, prepend or binding changed since the last read.
    BgpChanged {
        /// Before; `None` on the first read ever.
        before: Option<BgpState>,
        /// Now.
        after: BgpState,
    },
    /// An attack within 20 min after the last own withdrawal (rule 12).
    AnnounceReattack {
        /// When it was withdrawn.
        withdrawn_at: Timestamp,
    },
}

/// How soon an attack after a withdrawal is a critical notice.
pub const REATTACK_WINDOW: Duration = Duration::from_secs(20 * 60);

/// How often "overdue" is repeated.
pub const OVERDUE_REPEAT: Duration = Duration::from_secs(86_400);

/// A decision with everything that follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// What to remember.
    pub state: PrefixState,
    /// What to do.
    pub effects: Vec<Effect>,
    /// What forbids acting now, whether or not calm is proven yet.
    pub blocks: Vec<Block>,
    /// What will happen next.
    pub next: NextAction,
    /// The calm period in force (flapping lengthens it).
    #[serde(with = "crate::duration::text")]
    pub calm_period: Duration,
    /// Data counts as complete up to here.
    pub settled_until: Option<Timestamp>,
    /// The newest look-back window that is over; `None` when no traffic was read.
    pub latest: Option<WindowSum>,
    /// An excess rests on too few samples.
    pub noise: bool,
    /// The newest windows are no attack and exceed the lower thresholds for calm.
    #[serde(default)]
    pub restless: bool,
    /// When it was decided, by our clock.
    #[serde(default)]
    pub decided_at: Timestamp,
}

pub use judge::decide;
pub use next::{NextAction, NextKind, Reason};
pub use outlook::apply_mass_calm_brake;
