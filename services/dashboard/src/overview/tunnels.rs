//! The tunnels to us, as Cloudflare reported them last.
//!
//! Must hold: a report is a report and not a reading, so its age stands beside it; a tunnel that was never reported is not
//! said to be up.

use db::lists::tunnels::TunnelReport;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::state::Tone;
use crate::words;

/// All of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tunnels {
    pub(crate) word: String,
    pub(crate) tone: Tone,
    pub(crate) detail: String,
    /// What needs a person first.
    pub(crate) tunnels: Vec<Tunnel>,
}

/// One tunnel.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tunnel {
    pub(crate) name: String,
    /// `up`, `down`, `degraded`, `unknown`.
    pub(crate) state: &'static str,
    pub(crate) tone: Tone,
    /// Where Cloudflare saw it.
    pub(crate) places: Option<String>,
    pub(crate) reported_at: Option<Timestamp>,
}

impl Tunnels {
    /// When Cloudflare last said something about any of them.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.tunnels.iter().filter_map(|tunnel| tunnel.reported_at).max()
    }
}

impl Tunnel {
    fn of(report: &TunnelReport) -> Self {
        let status = report.status.as_deref().unwrap_or_default().to_ascii_lowercase();
        // `MAGIC_TUNNEL_STATUS_UP` and `Healthy` alike: the last word counts. What is not understood is unknown.
        let (state, tone) = match status.rsplit(['_', ' ']).next().unwrap_or_default() {
            "up" | "healthy" => ("up", Tone::Good),
            "down" | "unhealthy" => ("down", Tone::Warn),
            "degraded" => ("degraded", Tone::Warn),
            _ => ("unknown", Tone::Unknown),
        };
        Self {
            name: words::outside_up_to(&report.name, 60),
            state,
            tone,
            places: report.places.as_deref().map(|places| words::outside_up_to(places, 60)),
            reported_at: report.sent_at.or(report.received_at),
        }
    }
}

impl Tunnels {
    pub(crate) fn of(reports: &[TunnelReport], is_readable: bool, now: Timestamp) -> Self {
        let mut tunnels: Vec<Tunnel> = reports.iter().map(Tunnel::of).collect();
        let urgency = |tunnel: &Tunnel| match tunnel.tone {
            Tone::Warn => 0,
            Tone::Unknown => 1,
            _ => 2,
        };
        tunnels.sort_by_key(urgency);
        let count = |tone| tunnels.iter().filter(|tunnel| tunnel.tone == tone).count();
        let newest = tunnels.iter().filter_map(|tunnel| tunnel.reported_at).max();
        let (word, tone, detail) = match (count(Tone::Warn), count(Tone::Unknown), tunnels.len()) {
            _ if !is_readable => (
                "unknown".to_owned(),
                Tone::Unknown,
                "The reports could not be read.".to_owned(),
            ),
            (0, 0, 0) => (
                "unknown".to_owned(),
                Tone::Unknown,
                "Cloudflare never reported a change of a tunnel's health: nothing is known here about any.".to_owned(),
            ),
            (0, 0, _) => ("none reported down".to_owned(), Tone::Good, told(newest, now)),
            (0, unknown, _) => (format!("{unknown} unknown"), Tone::Unknown, told(newest, now)),
            (down, ..) => (format!("{down} not up"), Tone::Warn, told(newest, now)),
        };
        Self {
            word,
            tone,
            detail,
            tunnels,
        }
    }
}

fn told(newest: Option<Timestamp>, now: Timestamp) -> String {
    match newest {
        Some(at) => format!(
            "As Cloudflare reported them, last {} ago. Tunnels whose health never changed are not listed.",
            words::age(since(now, at))
        ),
        None => "As Cloudflare reported them, it is not known when.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, status: Option<&str>) -> TunnelReport {
        TunnelReport {
            delivery: 1,
            name: name.into(),
            id: None,
            status: status.map(str::to_owned),
            previous: None,
            places: None,
            received_at: Some(Timestamp::from_second(1_000_000).unwrap()),
            sent_at: None,
        }
    }

    #[test]
    fn what_is_not_understood_or_never_reported_is_unknown() {
        let now = Timestamp::from_second(1_000_060).unwrap();
        let judged = |reports: &[TunnelReport], readable| {
            let found = Tunnels::of(reports, readable, now);
            (found.word, found.tone)
        };
        assert_eq!(judged(&[], true), ("unknown".into(), Tone::Unknown));
        let up = report("a", Some("MAGIC_TUNNEL_STATUS_UP"));
        assert_eq!(
            judged(std::slice::from_ref(&up), true),
            ("none reported down".into(), Tone::Good)
        );
        assert_eq!(
            judged(std::slice::from_ref(&up), false),
            ("unknown".into(), Tone::Unknown)
        );
        let odd = report("b", Some("SETTING_UP_SOON"));
        assert_eq!(
            judged(&[up.clone(), odd.clone()], true),
            ("1 unknown".into(), Tone::Unknown)
        );
        let down = report("c", Some("MAGIC_TUNNEL_STATUS_DOWN"));
        let found = Tunnels::of(&[up, odd, report("d", None), down], true, now);
        assert_eq!((found.word.as_str(), found.tone), ("1 not up", Tone::Warn));
        let order: Vec<_> = found
            .tunnels
            .iter()
            .map(|tunnel| (tunnel.name.as_str(), tunnel.state))
            .collect();
        assert_eq!(order, [("c", "down"), ("b", "unknown"), ("d", "unknown"), ("a", "up")]);
        assert!(found.detail.contains("last 1 min ago"), "{}", found.detail);
    }
}
