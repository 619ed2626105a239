//! Whether a notice is sent: mutes, and what nobody needs to read. Pure; the reason is stored with the row.
//!
//! What must hold: a critical notice is always sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Facts, Notice, Priority};
use crate::alert::AlertKind;
use crate::time::for_people;

/// A kind silenced by a person for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Kind name.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// Until when.
    pub until: Timestamp,
}

/// Whether a notice is sent. The reason of a suppression is stored with the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum Plan {
    /// Send it.
    Send,
    /// Keep the row, send nothing.
    Suppress {
        /// Why.
        reason: String,
    },
}

/// Decides whether a notice is sent. Critical notices cannot be muted.
pub fn plan(notice: &Notice, mutes: &[Mute], now: Timestamp) -> Plan {
    if let Facts::Alert { alert, .. } = &notice.facts
        && alert.kind == AlertKind::Verification
    {
        return Plan::Suppress {
            reason: "Cloudflare's test of the destination; stored and answered, nobody needs to read it".into(),
        };
    }
    if notice.facts.priority() == Priority::Critical {
        return Plan::Send;
    }
    match mutes
        .iter()
        .find(|mute| mute.kind == notice.facts.kind() && now < mute.until)
    {
        Some(mute) => Plan::Suppress {
            reason: format!("muted by {} until {}", mute.actor, for_people(mute.until)),
        },
        None => Plan::Send,
    }
}
