//! The product's waiting times in fast motion. Every value is a setting of `settings.json`; no code path differs.

use std::time::Duration;

use serde_json::{Value, json};

/// Times of the automation and the monitor, in real time.
#[derive(Debug, Clone)]
pub struct Pace {
    /// `autowithdraw.check_interval`. A query each: not below 1 s, or 300 queries in 5 minutes do not suffice.
    pub check_interval: Duration,
    /// `autowithdraw.calm_period`.
    pub calm_period: Duration,
    /// `autowithdraw.attack_lookback`. Below 50 s the data is asked for by the second.
    pub lookback: Duration,
    /// `autowithdraw.settle`; a dataset that stands still for three times that is stale.
    pub settle: Duration,
    /// `autowithdraw.propagation`.
    pub propagation: Duration,
    /// `autowithdraw.min_advertised`.
    pub min_advertised: Duration,
    /// `autowithdraw.open_alert_veto`.
    pub veto: Duration,
    /// `autowithdraw.unknown_alert_after`.
    pub blind_after: Duration,
    /// `autowithdraw.overdue_after`.
    pub overdue_after: Duration,
    /// `analytics.poll_interval`.
    pub poll_interval: Duration,
    /// `analytics.lookback`.
    pub poll_lookback: Duration,
}

impl Pace {
    /// About a hundredth of the real times: an attack of seconds is over and withdrawn within half a minute.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            check_interval: Duration::from_secs(1),
            calm_period: Duration::from_secs(8),
            lookback: Duration::from_secs(4),
            settle: Duration::from_secs(2),
            propagation: Duration::from_secs(2),
            min_advertised: Duration::from_secs(3),
            veto: Duration::from_secs(30),
            // A prefix that appears is found within one rotation of its parents: six seconds here.
            blind_after: Duration::from_secs(9),
            overdue_after: Duration::from_secs(3_600),
            // Each poll that sees an attack grow tells it; more of them only fill the chat's 20 messages a minute.
            poll_interval: Duration::from_secs(5),
            poll_lookback: Duration::from_secs(60),
        }
    }

    /// The longest time from the begin of calm to a withdrawal, when nothing stands in the way, with room for a busy
    /// machine.
    #[must_use]
    pub fn withdrawn_within(&self) -> Duration {
        self.lookback + self.calm_period + self.settle + self.check_interval * 3 + Duration::from_secs(20)
    }

    /// The section `autowithdraw` without its address.
    #[must_use]
    pub fn autowithdraw(&self) -> Value {
        json!({
            "mode": "act",
            "check_interval": text(self.check_interval),
            "calm_period": text(self.calm_period),
            "attack_lookback": text(self.lookback),
            "settle": text(self.settle),
            "propagation": text(self.propagation),
            "min_advertised": text(self.min_advertised),
            "open_alert_veto": text(self.veto),
            "unknown_alert_after": text(self.blind_after),
            "overdue_after": text(self.overdue_after),
            "direct_route": {"*": "always_announced"},
        })
    }

    /// The section `analytics` without its address.
    #[must_use]
    pub fn analytics(&self) -> Value {
        json!({
            "poll_interval": text(self.poll_interval),
            "lookback": text(self.poll_lookback),
            "settle": text(self.settle),
        })
    }
}

fn text(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
