//! A prefix as pages and API show it. Filled by [`super::judge`]; nothing is decided here.

use db::intents::Intent;
use domain::calm::WindowSum;
use domain::decision::Mode;
use domain::hold::Hold;
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use crate::overview::state::State;
use crate::overview::why::Why;
use crate::words;

/// An instant that something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Deadline {
    pub(crate) at: Timestamp,
    /// `withdrawal`, `advertised` or `withdrawn`.
    pub(crate) what: &'static str,
    /// The countdown may run until then; `None` when it stands.
    pub(crate) runs_until: Option<Timestamp>,
    /// Why it stands.
    pub(crate) stands_because: Option<String>,
}

/// An act that is filed and not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UnderWay {
    pub(crate) id: IntentId,
    pub(crate) act: Act,
    pub(crate) state: IntentState,
    /// Who wants it.
    pub(crate) by: String,
    pub(crate) reason: String,
    pub(crate) created_at: Timestamp,
    /// When Cloudflare was asked.
    pub(crate) sent_at: Option<Timestamp>,
}

impl UnderWay {
    pub(crate) fn of(intent: &Intent) -> Self {
        Self {
            id: intent.id,
            act: intent.act,
            state: intent.state,
            by: match &intent.origin {
                Origin::Automatic => "the automation".to_owned(),
                Origin::Person { actor, .. } => words::outside_up_to(actor, 40),
            },
            reason: words::outside(&intent.reason),
            created_at: intent.created_at,
            sent_at: intent.sending_at,
        }
    }

    /// `withdraw planned`, `advertise sent, being read back`
    pub(crate) fn words(&self) -> String {
        let state = match self.state {
            IntentState::Planned => "planned",
            IntentState::Sending => "being sent",
            IntentState::Verifying => "sent, being read back",
            other => other.as_str(),
        };
        format!("{} {state}", self.act)
    }
}

/// Dropped traffic of one look-back window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Dropped {
    pub(crate) packets: u64,
    pub(crate) bits: u64,
    pub(crate) packets_per_second: f64,
    pub(crate) bits_per_second: f64,
    pub(crate) samples: u64,
    pub(crate) ends_at: Timestamp,
}

impl From<WindowSum> for Dropped {
    fn from(window: WindowSum) -> Self {
        Self {
            packets: window.packets.0,
            bits: window.bits.0,
            packets_per_second: window.packet_rate.0,
            bits_per_second: window.bit_rate.0,
            samples: window.samples,
            ends_at: window.ends_at,
        }
    }
}

/// A prefix as pages and API show it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PrefixView {
    pub(crate) prefix: Prefix,
    pub(crate) description: String,
    pub(crate) asn: Option<u32>,
    pub(crate) managed: bool,
    pub(crate) state: State,
    /// The state in words, with whom and until when.
    pub(crate) words: String,
    /// Since when nothing is known; only with state unknown.
    pub(crate) unknown_since: Option<Timestamp>,
    /// `None` is unknown.
    pub(crate) advertised: Option<bool>,
    pub(crate) advertised_changed_at: Option<Timestamp>,
    pub(crate) on_demand_enabled: Option<bool>,
    pub(crate) deadline: Option<Deadline>,
    /// What happens next and why, one sentence.
    pub(crate) next: String,
    pub(crate) hold: Option<Hold>,
    /// An act on it that is filed and not finished.
    pub(crate) intent: Option<UnderWay>,
    /// Attack alerts that are open and concern it: event numbers.
    pub(crate) open_alerts: Vec<i64>,
    /// Whether drops exceed the thresholds; `None` is unknown.
    pub(crate) under_attack: Option<bool>,
    pub(crate) dropped: Option<Dropped>,
    pub(crate) peak: Option<Dropped>,
    /// An excess rests on too few samples.
    pub(crate) noise: bool,
    pub(crate) systems: Vec<String>,
    pub(crate) calm_since: Option<Timestamp>,
    pub(crate) calm_proven_s: Option<u64>,
    pub(crate) calm_period_s: Option<u64>,
    /// When the automation last judged it.
    pub(crate) decided_at: Option<Timestamp>,
    /// When its BGP state was last read.
    pub(crate) read_at: Option<Timestamp>,
    /// Why the latest read failed, and since when reads fail.
    pub(crate) error: Option<String>,
    pub(crate) error_since: Option<Timestamp>,
    pub(crate) mode: Option<Mode>,
    pub(crate) why: Vec<Why>,
}

impl PrefixView {
    /// Whether an attack may be going on without anybody being able to tell.
    pub(crate) fn attack_is_uncertain(&self) -> bool {
        self.under_attack.is_none() && self.advertised != Some(false)
    }

    /// An alert is open, and whether the attack goes on or is scrubbed is not known.
    pub(crate) fn is_alerted_blindly(&self) -> bool {
        !self.open_alerts.is_empty() && self.attack_is_uncertain()
    }

    /// An alert is open and the traffic is not scrubbed.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.open_alerts.is_empty() && self.advertised == Some(false)
    }
}
