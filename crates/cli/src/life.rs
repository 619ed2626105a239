//! Whether a service is there, judged by its signs of life in the database.
//!
//! Must hold: what a service promised counts only while it is seen; one that was never seen is unknown and not fine.

use std::time::Duration;

use db::heartbeats::{Heartbeat, SILENT_AFTER};
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use crate::words;

/// Four missed beats. From here on nothing that a service promised is taken for granted.
pub const LATE_AFTER: Duration = Duration::from_secs(60);

/// The unit that decides and performs withdrawals.
pub const AUTOWITHDRAW: &str = "cloudflare-autowithdraw";

/// The unit that receives Cloudflare's notifications.
pub const WEBHOOK: &str = "cloudflare-webhook";

/// The units every installation has.
pub const UNITS: [&str; 4] = [
    WEBHOOK,
    "cloudflare-analytics-monitor",
    AUTOWITHDRAW,
    "cloudflare-dashboard",
];

/// Whether a service is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Seen lately, and it says that it works.
    Running,
    /// Seen lately, and it says that it works with less.
    Degraded,
    /// Seen lately, and it says that it does not work.
    Failing,
    /// Some beats are missing.
    Late,
    /// Missing for so long that people were told.
    Silent,
    /// It said that it stops.
    Stopped,
    /// It never beat.
    NeverSeen,
}

impl Life {
    /// Judges a service's last beat.
    pub fn of(beat: Option<&Heartbeat>, now: Timestamp) -> Self {
        let Some(beat) = beat else {
            return Self::NeverSeen;
        };
        let age = since(now, beat.beat_at);
        match beat.state.as_str() {
            "stopped" => Self::Stopped,
            _ if age > SILENT_AFTER => Self::Silent,
            _ if age > LATE_AFTER => Self::Late,
            "ok" => Self::Running,
            "degraded" => Self::Degraded,
            _ => Self::Failing,
        }
    }

    /// Whether it can be expected to do what it announced.
    pub fn is_there(self) -> bool {
        matches!(self, Self::Running | Self::Degraded | Self::Failing)
    }

    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::Stopped => "stopped",
            Self::NeverSeen => "never seen",
        }
    }
}

/// A service as text and JSON show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Unit name.
    pub service: String,
    /// Whether it is there.
    pub life: Life,
    /// What it says it is doing.
    pub doing: String,
    /// Its last beat.
    pub seen_at: Option<Timestamp>,
    /// Age of that beat in seconds.
    pub age_s: Option<u64>,
    /// Start of the process.
    pub started_at: Option<Timestamp>,
    /// Version.
    pub version: Option<String>,
    /// Host.
    pub host: Option<String>,
    /// Process id.
    pub pid: Option<u32>,
}

impl Service {
    /// A service by its last beat.
    pub fn of(name: &str, beat: Option<&Heartbeat>, now: Timestamp) -> Self {
        let short = |text: &str| words::outside(text, 80);
        Self {
            service: short(name),
            life: Life::of(beat, now),
            doing: beat.map(|beat| words::outside(&beat.status, 300)).unwrap_or_default(),
            seen_at: beat.map(|beat| beat.beat_at),
            age_s: beat.map(|beat| since(now, beat.beat_at).as_secs()),
            started_at: beat.map(|beat| beat.started_at),
            version: beat.map(|beat| short(&beat.version)),
            host: beat.map(|beat| short(&beat.host)),
            pid: beat.map(|beat| beat.pid),
        }
    }

    /// Why its word does not count, as a clause: `cloudflare-autowithdraw is silent since 03:12 UTC`.
    pub fn absence(&self, now: Timestamp) -> String {
        let name = &self.service;
        match (self.life, self.seen_at) {
            (Life::NeverSeen, _) | (_, None) => format!("{name} has never run"),
            (Life::Stopped, Some(at)) => format!("{name} was stopped at {}", words::clock(at, now)),
            (Life::Late | Life::Silent, Some(at)) => format!("{name} is silent since {}", words::clock(at, now)),
            (life, Some(_)) => format!("{name} is {}", life.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_beat_counts() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let beat = |age_s: i64, state: &str| Heartbeat {
            service: AUTOWITHDRAW.into(),
            pid: 1,
            host: "mt1".into(),
            version: "1".into(),
            started_at: now,
            beat_at: Timestamp::from_second(1_800_000_000 - age_s).unwrap(),
            state: state.into(),
            status: String::new(),
        };
        for (age_s, state, life) in [
            (1, "ok", Life::Running),
            (59, "degraded", Life::Degraded),
            (2, "failing", Life::Failing),
            (61, "ok", Life::Late),
            (181, "ok", Life::Silent),
            (9_999, "stopped", Life::Stopped),
        ] {
            let judged = Life::of(Some(&beat(age_s, state)), now);
            assert_eq!(judged, life, "{age_s} {state}");
        }
        assert_eq!(Life::of(None, now), Life::NeverSeen);
        assert!(!Life::NeverSeen.is_there() && !Life::Late.is_there());
    }
}
