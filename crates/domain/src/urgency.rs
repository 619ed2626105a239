//! How urgent a notification of Cloudflare is: by its type, raised or lowered by what it says.
//!
//! Source of the priorities per type: those that operators are used to. What must hold: a word that nobody knows is never
//! taken for good news, and an end is never as urgent as its beginning.

use crate::alert::{Alert, AlertKind, Phase};
use crate::notice::Priority;

/// State of a tunnel as its alerts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelStatus {
    /// `MAGIC_TUNNEL_STATUS_UP`, `healthy`.
    Healthy,
    /// `MAGIC_TUNNEL_STATUS_DEGRADED`.
    Degraded,
    /// `MAGIC_TUNNEL_STATUS_DOWN`.
    Down,
    /// Any other word, or none.
    Unknown,
}

impl TunnelStatus {
    /// Reads the word, with or without Cloudflare's prefix, in any case.
    pub fn from_word(word: Option<&str>) -> Self {
        let plain = word.unwrap_or_default().trim().to_ascii_lowercase();
        match plain.strip_prefix("magic_tunnel_status_").unwrap_or(&plain) {
            "up" | "healthy" => Self::Healthy,
            "degraded" => Self::Degraded,
            "down" | "unhealthy" => Self::Down,
            _ => Self::Unknown,
        }
    }
}

/// How urgent a change of a tunnel is. What gets better is less urgent than what gets worse.
pub fn of_tunnel(before: TunnelStatus, now: TunnelStatus) -> Priority {
    match (before, now) {
        (_, TunnelStatus::Down | TunnelStatus::Unknown) => Priority::High,
        (_, TunnelStatus::Degraded) | (TunnelStatus::Down | TunnelStatus::Unknown, TunnelStatus::Healthy) => {
            Priority::Medium
        }
        (TunnelStatus::Degraded | TunnelStatus::Healthy, TunnelStatus::Healthy) => Priority::Info,
    }
}

/// How urgent an alert is.
pub fn of_alert(alert: &Alert) -> Priority {
    let failed = alert.advertise.iter().any(|result| result.status.needs_a_person());
    let over = alert.phase == Phase::End;
    match &alert.kind {
        // Protection did not come up and nobody will try again.
        _ if failed => Priority::Critical,
        AlertKind::BgpHijack if over => Priority::High,
        AlertKind::BgpHijack => Priority::Critical,
        AlertKind::AutoAdvertisement => {
            let worked = alert.advertise.iter().all(|result| result.status.is_advertised());
            if worked && !alert.advertise.is_empty() {
                Priority::Info
            } else {
                Priority::High
            }
        }
        AlertKind::MonitoringVolumetric | AlertKind::HealthCheck if over => Priority::Info,
        AlertKind::MonitoringVolumetric | AlertKind::HealthCheck => raised(alert, Priority::Medium),
        kind if kind.is_attack() && over => Priority::Medium,
        kind if kind.is_attack() => Priority::High,
        AlertKind::TunnelHealth => {
            let status = |keys: &[&str]| TunnelStatus::from_word(keys.iter().find_map(|key| alert.detail(key)));
            of_tunnel(
                status(&["previous_status", "old_status"]),
                status(&["new_status", "tunnel_status", "status"]),
            )
        }
        AlertKind::ProviderIncident => of_provider_incident(alert, over),
        AlertKind::Verification | AlertKind::Maintenance => Priority::Info,
        _ => raised(alert, Priority::Medium),
    }
}

/// By its impact; a resolved one is for the record.
fn of_provider_incident(alert: &Alert, over: bool) -> Priority {
    if over {
        return Priority::Info;
    }
    let impact = alert.detail("incident_impact").unwrap_or_default().to_ascii_uppercase();
    match impact.strip_prefix("INCIDENT_IMPACT_").unwrap_or(&impact) {
        "CRITICAL" => Priority::Critical,
        "MAJOR" => Priority::High,
        "NONE" => Priority::Info,
        _ => Priority::Medium,
    }
}

/// What Cloudflare itself calls critical or high is at least high.
fn raised(alert: &Alert, usual: Priority) -> Priority {
    let severity = alert.severity.as_deref().unwrap_or_default().to_ascii_lowercase();
    if matches!(severity.as_str(), "critical" | "high" | "p1") {
        usual.min(Priority::High)
    } else {
        usual
    }
}

#[cfg(test)]
mod tests {
    use super::TunnelStatus::{Degraded, Down, Healthy, Unknown};
    use super::*;

    #[test]
    fn words_of_both_generations_are_read_and_others_are_unknown() {
        for (word, status) in [
            ("MAGIC_TUNNEL_STATUS_UP", Healthy),
            ("healthy", Healthy),
            ("MAGIC_TUNNEL_STATUS_DEGRADED", Degraded),
            (" Down ", Down),
            ("MAGIC_TUNNEL_STATUS_UPSIDE_DOWN", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(TunnelStatus::from_word(Some(word)), status, "{word}");
        }
        assert_eq!(TunnelStatus::from_word(None), Unknown);
    }

    #[test]
    fn getting_worse_is_more_urgent_than_getting_better() {
        for before in [Healthy, Degraded, Down, Unknown] {
            assert_eq!(of_tunnel(before, Down), Priority::High);
            assert_eq!(of_tunnel(before, Unknown), Priority::High, "unknown is never calm");
            assert_eq!(of_tunnel(before, Degraded), Priority::Medium);
        }
        assert_eq!(
            of_tunnel(Down, Healthy),
            Priority::Medium,
            "whoever was woken hears of the end"
        );
        assert_eq!(of_tunnel(Degraded, Healthy), Priority::Info);
    }
}
