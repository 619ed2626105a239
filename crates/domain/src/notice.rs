//! Kinds of messages to people: their facts, their priority, what may be grouped or held back.
//!
//! A notice carries facts, never finished text: it is rendered when it is sent, with the state of
//! that moment looked up. Whether to send is a pure function whose reason is stored (`plan`).

mod plan;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertKind, Phase};
use crate::bgp::BgpState;
use crate::binding::BindingChange;
use crate::calm::WindowSum;
use crate::ids::{EventId, IncidentId};
use crate::intent::{Act, Origin};
use crate::prefix::Prefix;

pub use plan::{Mute, Plan, plan};

/// Version of the facts' shapes, stored with each row.
pub const FACTS_VERSION: u32 = 1;

/// What messages call Cloudflare's notification history as a source of data.
pub const ALERT_HISTORY: &str = "alert history";

/// How urgent a message is. Lower numbers go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Protection or alarming is impaired: never waits behind others, never merged.
    Critical,
    /// An attack or an act on BGP.
    High,
    /// Worth knowing soon.
    Medium,
    /// For the record.
    Info,
}

impl Priority {
    /// All, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Info];

    /// Rank in the database: 0 is most urgent.
    pub fn rank(self) -> i64 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Info => 3,
        }
    }

    /// Reads the rank.
    pub fn from_rank(rank: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.rank() == rank)
    }

    /// Word for pages and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Info => "info",
        }
    }
}

/// An incident of which alerts were recovered. How it stands is looked up when it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredIncident {
    /// The incident.
    pub incident: IncidentId,
    /// Alerts of it that were recovered.
    pub alerts: u64,
    /// The first and the last of their numbers.
    pub events: Option<(EventId, EventId)>,
}

/// A recovered alert that belongs to no incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveredAlert {
    /// Its kind.
    pub kind: AlertKind,
    /// Begin, change or end.
    pub phase: Phase,
    /// What it names: a tunnel, an address, a place. Outside text.
    pub subject: Option<String>,
    /// Prefixes of ours in it.
    pub prefixes: Vec<Prefix>,
    /// When it happened, as Cloudflare says.
    pub happened_at: Timestamp,
    /// Its number.
    pub event: Option<EventId>,
}

/// What a notice is about, with everything needed to say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Facts {
    /// A notification of Cloudflare, in normal form.
    Alert {
        /// The alert.
        alert: Box<Alert>,
        /// Our prefixes in it.
        prefixes: Vec<Prefix>,
        /// Whether it could not be tied to prefixes of ours.
        unresolved: bool,
    },
    /// An authenticated delivery that could not be read.
    UnreadableAlert {
        /// Size of the body in bytes.
        size: u64,
        /// Its first characters.
        head: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A prefix was withdrawn or advertised by us, as shown by a re-read.
    Acted {
        /// Which.
        act: Act,
        /// The prefix.
        prefix: Prefix,
        /// Its description.
        description: String,
        /// Who wanted it.
        origin: Origin,
        /// Why.
        reason: String,
        /// Since when it was advertised (for a withdrawal).
        advertised_at: Option<Timestamp>,
        /// When Cloudflare says it changed.
        changed_at: Timestamp,
        /// Proven calm before a withdrawal, seconds.
        calm_s: Option<u64>,
        /// Largest attack window of the epoch.
        peak: Option<WindowSum>,
        /// Systems that dropped.
        systems: Vec<String>,
    },
    /// Cloudflare or a last check refused.
    ActRefused {
        /// Which.
        act: Act,
        /// The prefix.
        prefix: Prefix,
        /// Who wanted it.
        origin: Origin,
        /// Stable class: `locked`, `permission`, `rate_limited`, ...
        class: String,
        /// Cloudflare's or our words.
        words: String,
        /// When it will be tried again; `None` when a person must act.
        retry_at: Option<Timestamp>,
    },
    /// No re-read showed the wanted state in time.
    ActUnresolved {
        /// Which.
        act: Act,
        /// The prefix.
        prefix: Prefix,
        /// Who wanted it.
        origin: Origin,
        /// What the last read said.
        last_read: String,
        /// When the call was made.
        sent_at: Timestamp,
    },
    /// Automation cannot see.
    AutomationBlind {
        /// The prefix.
        prefix: Prefix,
        /// Why.
        because: String,
        /// Since when.
        since: Timestamp,
    },
    /// Automation sees again.
    AutomationSighted {
        /// The prefix.
        prefix: Prefix,
        /// Since when it was blind.
        since: Timestamp,
    },
    /// Dry run: it would have withdrawn.
    WouldWithdraw {
        /// The prefix.
        prefix: Prefix,
        /// Proven calm, seconds.
        calm_s: u64,
    },
    /// Advertised for long.
    Overdue {
        /// The prefix.
        prefix: Prefix,
        /// Advertised since.
        since: Timestamp,
        /// What holds it.
        because: String,
    },
    /// The hourly brake holds a withdrawal.
    LimitReached {
        /// The prefix that waits.
        prefix: Prefix,
        /// Until when.
        until: Timestamp,
    },
    /// Several prefixes turned calm at once after blindness.
    MassCalm {
        /// The prefixes.
        prefixes: Vec<Prefix>,
    },
    /// Advertisement, lock or prepend changed without an intent of ours.
    ForeignChange {
        /// The prefix.
        prefix: Prefix,
        /// Before.
        before: BgpState,
        /// Now.
        after: BgpState,
    },
    /// Many changes at once that no intent of ours explains: one event at the provider.
    ProviderEvent {
        /// Withdrawn.
        withdrawn: Vec<Prefix>,
        /// Advertised.
        advertised: Vec<Prefix>,
        /// Changed otherwise: lock, prepend.
        changed: Vec<Prefix>,
    },
    /// Networks were bound to other services at Cloudflare; no act of ours does that.
    BindingsChanged {
        /// Our prefixes in or around those networks.
        prefixes: Vec<Prefix>,
        /// What changed.
        changes: Vec<BindingChange>,
    },
    /// An attack shortly after our own withdrawal.
    Reattack {
        /// The prefix.
        prefix: Prefix,
        /// When it was withdrawn.
        withdrawn_at: Timestamp,
    },
    /// A hold or pause ends soon.
    HoldEnding {
        /// The prefix; `None` is a pause of everything.
        prefix: Option<Prefix>,
        /// Who set it.
        actor: String,
        /// Why.
        reason: String,
        /// When it ends.
        until: Timestamp,
    },
    /// A service came up.
    ServiceStarted {
        /// Unit name.
        service: String,
        /// Version.
        version: String,
        /// Label and text of each line worth knowing.
        lines: Vec<(String, String)>,
    },
    /// A service stopped as asked.
    ServiceStopped {
        /// Unit name.
        service: String,
        /// Label and text of each line worth knowing.
        lines: Vec<(String, String)>,
    },
    /// A service does not beat any more.
    ServiceSilent {
        /// Unit name.
        service: String,
        /// Last beat.
        since: Timestamp,
    },
    /// A service beats again.
    ServiceBack {
        /// Unit name.
        service: String,
        /// Last beat before the silence.
        since: Timestamp,
    },
    /// A source of data fails.
    FeedBlind {
        /// Which: `attack analytics`, ...
        feed: String,
        /// Why.
        because: String,
        /// Since when.
        since: Timestamp,
    },
    /// A source of data is back.
    FeedRestored {
        /// Which.
        feed: String,
        /// Since when it had failed.
        since: Timestamp,
    },
    /// Time that a source of data does not have any more and that nobody read.
    DataGap {
        /// Which.
        feed: String,
        /// First instant.
        from: Timestamp,
        /// Last instant.
        to: Timestamp,
    },
    /// Alerts that the receiver never got were read from Cloudflare's notification history.
    CaughtUp {
        /// How many; 0 when there is only doubt about `lost_since`.
        recovered: u64,
        /// When Cloudflare sent the first and the last of them.
        sent: Option<(Timestamp, Timestamp)>,
        /// Their incidents.
        incidents: Vec<RecoveredIncident>,
        /// Those of no incident.
        others: Vec<RecoveredAlert>,
        /// Incidents and alerts beyond those listed.
        more: u64,
        /// How many could not be tied to a prefix of ours.
        unresolved: u64,
        /// Begin of a time that the history may not have any more.
        lost_since: Option<Timestamp>,
        /// As urgent as what may still be going on when it was written.
        priority: Priority,
    },
    /// Nothing reaches the chat.
    ChatUnreachable {
        /// Since when something waits.
        since: Timestamp,
        /// How many waited when it was written.
        waiting: u64,
        /// What is known of the reason.
        because: Option<String>,
    },
    /// Messages reach the chat again.
    ChatReachable {
        /// Since when they had not.
        since: Timestamp,
        /// How many still waited when it was written.
        waiting: u64,
    },
    /// Messages were given up because they were too old.
    MessagesExpired {
        /// How many of which kind, most urgent first.
        kinds: Vec<(String, u64)>,
        /// Whether critical or high ones are among them.
        urgent: bool,
    },
    /// New rows of dropped traffic for one attack.
    Mitigation {
        /// Attack id, as Cloudflare names it.
        attack_id: Option<String>,
        /// Attack vectors.
        vectors: Vec<String>,
        /// Number of rows.
        events: u64,
        /// Estimated packets.
        packets: u64,
        /// Estimated bits.
        bits: u64,
        /// First and last instant of the rows.
        from: Timestamp,
        /// Last instant.
        to: Timestamp,
        /// Targets, by volume.
        targets: Vec<String>,
        /// Sources with country and AS, by volume.
        sources: Vec<String>,
        /// Cloudflare locations, by volume.
        locations: Vec<String>,
        /// Number of distinct sources seen in the samples.
        distinct_sources: u64,
        /// How many of those cannot be real.
        spoofed_sources: u64,
        /// Packets per sample, coarsest.
        sample_interval: u64,
    },
    /// A person's test of the chain.
    SelfTest {
        /// Who asked.
        actor: String,
        /// Free text.
        note: String,
    },
    /// Something a script or a person raises by command.
    Raised {
        /// Title.
        title: String,
        /// Text.
        text: String,
        /// Priority asked for.
        priority: Priority,
    },
}

impl Facts {
    /// Stable name, as stored, routed and muted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Alert { .. } => "alert",
            Self::UnreadableAlert { .. } => "unreadable_alert",
            Self::Acted { act: Act::Withdraw, .. } => "withdrawn",
            Self::Acted {
                act: Act::Advertise, ..
            } => "advertised",
            Self::ActRefused { act: Act::Withdraw, .. } => "withdraw_refused",
            Self::ActRefused {
                act: Act::Advertise, ..
            } => "advertise_refused",
            Self::ActUnresolved { .. } => "act_unresolved",
            Self::AutomationBlind { .. } => "automation_blind",
            Self::AutomationSighted { .. } => "automation_sighted",
            Self::WouldWithdraw { .. } => "would_withdraw",
            Self::Overdue { .. } => "overdue",
            Self::LimitReached { .. } => "limit_reached",
            Self::MassCalm { .. } => "mass_calm",
            Self::ForeignChange { .. } => "foreign_change",
            Self::ProviderEvent { .. } => "provider_event",
            Self::BindingsChanged { .. } => "bindings_changed",
            Self::Reattack { .. } => "reattack",
            Self::HoldEnding { .. } => "hold_ending",
            Self::ServiceStarted { .. } => "service_started",
            Self::ServiceStopped { .. } => "service_stopped",
            Self::ServiceSilent { .. } => "service_silent",
            Self::ServiceBack { .. } => "service_back",
            Self::FeedBlind { .. } => "feed_blind",
            Self::FeedRestored { .. } => "feed_restored",
            Self::DataGap { .. } => "data_gap",
            Self::CaughtUp { .. } => "caught_up",
            Self::ChatUnreachable { .. } => "chat_unreachable",
            Self::ChatReachable { .. } => "chat_reachable",
            Self::MessagesExpired { .. } => "messages_expired",
            Self::Mitigation { .. } => "mitigation",
            Self::SelfTest { .. } => "self_test",
            Self::Raised { .. } => "raised",
        }
    }

    /// How urgent it is, by kind and content.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Alert { alert, .. } => alert_priority(alert),
            Self::UnreadableAlert { .. }
            | Self::Acted { .. }
            | Self::Overdue { .. }
            | Self::LimitReached { .. }
            | Self::MassCalm { .. }
            | Self::HoldEnding { .. }
            | Self::ServiceBack { .. }
            | Self::AutomationSighted { .. }
            | Self::FeedRestored { .. }
            | Self::DataGap { .. }
            | Self::ChatReachable { .. }
            | Self::MessagesExpired { urgent: false, .. } => Priority::High,
            // It is read besides what the receiver gets, in case the receiver gets nothing.
            Self::FeedBlind { feed, .. } if feed == ALERT_HISTORY => Priority::High,
            Self::ActRefused { .. }
            | Self::ActUnresolved { .. }
            | Self::AutomationBlind { .. }
            | Self::ForeignChange { .. }
            | Self::ProviderEvent { .. }
            | Self::BindingsChanged { .. }
            | Self::Reattack { .. }
            | Self::ServiceSilent { .. }
            | Self::FeedBlind { .. }
            | Self::ChatUnreachable { .. }
            | Self::MessagesExpired { urgent: true, .. } => Priority::Critical,
            Self::WouldWithdraw { .. } | Self::Mitigation { .. } => Priority::Medium,
            Self::ServiceStarted { .. } | Self::ServiceStopped { .. } | Self::SelfTest { .. } => Priority::Info,
            Self::Raised { priority, .. } | Self::CaughtUp { priority, .. } => *priority,
        }
    }
}

/// Every kind that [`Facts::kind`] gives, in alphabetical order: what can be routed and muted.
pub const KINDS: [&str; 32] = [
    "act_unresolved",
    "advertise_refused",
    "advertised",
    "alert",
    "automation_blind",
    "automation_sighted",
    "bindings_changed",
    "caught_up",
    "chat_reachable",
    "chat_unreachable",
    "data_gap",
    "feed_blind",
    "feed_restored",
    "foreign_change",
    "hold_ending",
    "limit_reached",
    "mass_calm",
    "messages_expired",
    "mitigation",
    "overdue",
    "provider_event",
    "raised",
    "reattack",
    "self_test",
    "service_back",
    "service_silent",
    "service_started",
    "service_stopped",
    "unreadable_alert",
    "withdraw_refused",
    "withdrawn",
    "would_withdraw",
];

/// Priority of an alert by kind and content.
pub fn alert_priority(alert: &Alert) -> Priority {
    crate::urgency::of_alert(alert)
}

/// A notice on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What it says.
    pub facts: Facts,
    /// The event it tells of; shown in the message.
    pub event: Option<EventId>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// Messages with the same key may be shown as one in a storm.
    pub group: Option<String>,
}

impl Notice {
    /// A notice about nothing stored elsewhere.
    pub fn about(facts: Facts) -> Self {
        Self {
            facts,
            event: None,
            incident: None,
            group: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_read_back_and_order_by_urgency() {
        for priority in Priority::ALL {
            assert_eq!(Priority::from_rank(priority.rank()), Some(priority));
        }
        assert_eq!(Priority::from_rank(4), None);
        assert!(Priority::Critical < Priority::High && Priority::Medium < Priority::Info);
    }

    #[test]
    fn kinds_are_listed_once_and_in_order() {
        assert!(KINDS.is_sorted_by(|a, b| a < b));
        let feed = |feed: &str| Facts::FeedBlind {
            feed: feed.into(),
            because: String::new(),
            since: Timestamp::UNIX_EPOCH,
        };
        assert!(KINDS.contains(&feed("x").kind()));
        assert_eq!(feed("attack analytics").priority(), Priority::Critical);
        assert_eq!(feed(ALERT_HISTORY).priority(), Priority::High);
    }

    #[test]
    fn what_impairs_protection_is_critical() {
        let prefix = "203.0.113.0/24".parse().unwrap();
        let when = Timestamp::UNIX_EPOCH;
        let blind = Facts::AutomationBlind {
            prefix,
            because: "x".into(),
            since: when,
        };
        let again = Facts::Reattack {
            prefix,
            withdrawn_at: when,
        };
        assert_eq!(
            (blind.priority(), again.priority()),
            (Priority::Critical, Priority::Critical)
        );
    }
}
