//! Signs of life of the services, judged: seen lately, late, silent, stopped, never seen.
//!
//! Must hold: a countdown runs only while the service that would act on it is seen; a service that was never seen is
//! unknown and not fine.

use std::time::Duration;

use db::heartbeats::{Heartbeat, SILENT_AFTER};
use domain::time::{plus, since};
use jiff::Timestamp;
use serde::Serialize;

use super::state::Tone;
use crate::words;

/// Four missed beats. From here on nothing that a service promised is taken for granted.
pub(crate) const LATE_AFTER: Duration = Duration::from_secs(60);

/// The unit that decides and performs withdrawals.
pub(crate) const AUTOWITHDRAW: &str = "cloudflare-autowithdraw";

/// The units every installation has, with what they do.
const UNITS: [(&str, &str); 4] = [
    ("cloudflare-webhook", "receives Cloudflare's notifications"),
    ("cloudflare-analytics-monitor", "polls attack analytics"),
    (AUTOWITHDRAW, "decides and performs withdrawals"),
    ("cloudflare-dashboard", "shows this page"),
];

/// Whether a service is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Life {
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
    fn of(beat: &Heartbeat, now: Timestamp) -> Self {
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
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Self::Running | Self::Degraded | Self::Failing)
    }

    pub(crate) fn word(self) -> &'static str {
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

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Running => Tone::Good,
            Self::Degraded | Self::Failing | Self::Late | Self::Stopped => Tone::Warn,
            Self::Silent | Self::NeverSeen => Tone::Unknown,
        }
    }
}

/// A service as pages and API show it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) description: &'static str,
    pub(crate) life: Life,
    /// What it says it is doing.
    pub(crate) doing: String,
    pub(crate) seen_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) version: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) pid: Option<u32>,
}

impl Service {
    fn of(name: &str, description: &'static str, beat: Option<&Heartbeat>, now: Timestamp) -> Self {
        Self {
            name: words::outside(name),
            description,
            life: beat.map_or(Life::NeverSeen, |beat| Life::of(beat, now)),
            doing: beat.map(|beat| words::outside(&beat.status)).unwrap_or_default(),
            seen_at: beat.map(|beat| beat.beat_at),
            started_at: beat.map(|beat| beat.started_at),
            version: beat.map(|beat| words::outside(&beat.version)),
            host: beat.map(|beat| words::outside(&beat.host)),
            pid: beat.map(|beat| beat.pid),
        }
    }

    /// A service that nobody has seen.
    pub(crate) fn default_of(name: &str) -> Self {
        Self::of(name, "", None, Timestamp::UNIX_EPOCH)
    }

    /// Until when its last beat vouches for it; `None` when it does not.
    pub(crate) fn vouches_until(&self) -> Option<Timestamp> {
        self.seen_at
            .filter(|_| self.life.is_there())
            .map(|seen| plus(seen, LATE_AFTER))
    }

    /// One clause about a service that is not there.
    pub(crate) fn absence(&self, now: Timestamp) -> String {
        match (self.life, self.seen_at) {
            (Life::Stopped, Some(at)) => format!("{} was stopped {} ago", self.name, words::age_at(at, now)),
            (_, Some(at)) => format!("{} was last seen {} ago", self.name, words::age_at(at, now)),
            (_, None) => format!("{} was never seen", self.name),
        }
    }
}

/// The services of every installation, then others that ever beat.
pub(crate) fn services(beats: &[Heartbeat], now: Timestamp) -> Vec<Service> {
    let find = |name: &str| beats.iter().find(|beat| beat.service == name);
    let expected = UNITS
        .iter()
        .map(|(name, does)| Service::of(name, does, find(name), now));
    let others = beats
        .iter()
        .filter(|beat| UNITS.iter().all(|(name, _)| *name != beat.service));
    expected
        .chain(others.map(|beat| Service::of(&beat.service, "", Some(beat), now)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_there_only_while_it_is_seen() {
        let now: Timestamp = "2026-11-22T03:27:00Z".parse().unwrap();
        let beat = |state: &str, age: u64| Heartbeat {
            service: AUTOWITHDRAW.into(),
            pid: 7,
            host: "edge1".into(),
            version: "1".into(),
            started_at: now,
            beat_at: domain::time::minus(now, Duration::from_secs(age)),
            state: state.into(),
            status: "watching".into(),
        };
        let life = |state, age| services(&[beat(state, age)], now)[2].life;
        assert_eq!(life("ok", 60), Life::Running);
        assert_eq!(life("ok", 61), Life::Late);
        assert_eq!(life("ok", 181), Life::Silent);
        assert_eq!(life("degraded", 3), Life::Degraded);
        assert_eq!(life("some new word", 3), Life::Failing);
        assert_eq!(life("stopped", 3), Life::Stopped);
        let all = services(&[], now);
        assert_eq!(all.len(), 4);
        assert!(
            all.iter()
                .all(|service| service.life == Life::NeverSeen && service.vouches_until().is_none())
        );
        assert_eq!(all[2].absence(now), "cloudflare-autowithdraw was never seen");
    }
}
