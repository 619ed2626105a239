//! One notification of Cloudflare in normal form, whatever generation of field names it came in.
//!
//! Decoding the wire is `cf-api`'s; what an alert means for prefixes, priority and vetoes is here.
//! Type names: Cloudflare Notifications API, `alert_type`.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prefix::{Prefix, PrefixMap};

/// No notification about Magic Transit was sent before 2019, when it began.
const EARLIEST: Timestamp = Timestamp::constant(1_546_300_800, 0);

/// The kinds that have their own handling; all others keep their name and are shown generically.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// `advanced_ddos_attack_l4_alert`
    AdvancedL4,
    /// `dos_attack_l4`
    L4,
    /// `advanced_ddos_attack_l7_alert`
    AdvancedL7,
    /// `dos_attack_l7`
    L7,
    /// `fbm_dosd_attack`: network monitoring, sFlow fingerprint
    MonitoringDdos,
    /// `fbm_volumetric_attack`: network monitoring, threshold
    MonitoringVolumetric,
    /// `fbm_auto_advertisement`
    AutoAdvertisement,
    /// `magic_tunnel_health_check_event` and `magic_wan_tunnel_health`
    TunnelHealth,
    /// `incident_alert`
    ProviderIncident,
    /// `health_check_status_notification`
    HealthCheck,
    /// `bgp_hijack_notification`
    BgpHijack,
    /// `maintenance_event_notification` and `cni_maintenance_notification`
    Maintenance,
    /// The message Cloudflare sends when a destination is saved: only `text`.
    Verification,
    /// Anything else, by its own name.
    Other(String),
}

const NAMES: [(&str, AlertKind); 13] = [
    ("advanced_ddos_attack_l4_alert", AlertKind::AdvancedL4),
    ("dos_attack_l4", AlertKind::L4),
    ("advanced_ddos_attack_l7_alert", AlertKind::AdvancedL7),
    ("dos_attack_l7", AlertKind::L7),
    ("fbm_dosd_attack", AlertKind::MonitoringDdos),
    ("fbm_volumetric_attack", AlertKind::MonitoringVolumetric),
    ("fbm_auto_advertisement", AlertKind::AutoAdvertisement),
    ("magic_tunnel_health_check_event", AlertKind::TunnelHealth),
    ("incident_alert", AlertKind::ProviderIncident),
    ("health_check_status_notification", AlertKind::HealthCheck),
    ("bgp_hijack_notification", AlertKind::BgpHijack),
    ("maintenance_event_notification", AlertKind::Maintenance),
    ("verification", AlertKind::Verification),
];

impl AlertKind {
    /// Reads Cloudflare's `alert_type`.
    pub fn from_name(name: &str) -> Self {
        match name {
            "magic_wan_tunnel_health" => return Self::TunnelHealth,
            "cni_maintenance_notification" => return Self::Maintenance,
            _ => {}
        }
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map_or_else(|| Self::Other(name.to_owned()), |(_, kind)| kind.clone())
    }

    /// The name stored and shown.
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES
                .iter()
                .find(|(_, kind)| kind == known)
                .map_or("unknown", |(name, _)| name),
        }
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        match self {
            Self::AdvancedL4 => "Advanced L3/4 DDoS attack",
            Self::L4 => "L3/4 DDoS attack",
            Self::AdvancedL7 => "Advanced HTTP DDoS attack",
            Self::L7 => "HTTP DDoS attack",
            Self::MonitoringDdos => "Network monitoring: DDoS attack",
            Self::MonitoringVolumetric => "Network monitoring: volumetric attack",
            Self::AutoAdvertisement => "Auto-advertisement",
            Self::TunnelHealth => "Tunnel health",
            Self::ProviderIncident => "Cloudflare incident",
            Self::HealthCheck => "Health check",
            Self::BgpHijack => "BGP hijack",
            Self::Maintenance => "Cloudflare maintenance",
            Self::Verification => "Test message",
            Self::Other(name) => name,
        }
    }

    /// Whether an open alert of this kind blocks automatic withdrawals (rule 6).
    pub fn vetoes_withdrawal(&self) -> bool {
        matches!(
            self,
            Self::AdvancedL4 | Self::L4 | Self::MonitoringDdos | Self::MonitoringVolumetric
        )
    }

    /// Whether it announces an attack of any layer.
    pub fn is_attack(&self) -> bool {
        self.vetoes_withdrawal() || matches!(self, Self::L7 | Self::AdvancedL7)
    }
}

/// Where in its life the alerted thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It began (`ALERT_STATE_EVENT_START`, or a kind that has no events).
    Start,
    /// It goes on.
    Update,
    /// It ended (`ALERT_STATE_EVENT_END`).
    End,
}

impl Phase {
    /// Text of `attack_events.event_type`.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Update => "UPDATE",
            Self::End => "END",
        }
    }
}

/// Outcome words of an auto-advertisement, per prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvertiseStatus {
    /// Now advertised.
    Advertised,
    /// Was already.
    AlreadyAdvertised,
    /// Cloudflare will retry and notify again.
    Delayed,
    /// Locked: a person must act now.
    Locked,
    /// Could not: a person must act now.
    CouldNot,
    /// Error: a person must act now.
    Error,
    /// A word the documentation does not list.
    Other(String),
}

impl AdvertiseStatus {
    /// Reads the word, ignoring case, spaces and underscores as Cloudflare varies them.
    pub fn from_word(word: &str) -> Self {
        let plain: String = word
            .chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        match plain.as_str() {
            "advertised" | "success" | "active" => Self::Advertised,
            "alreadyadvertised" => Self::AlreadyAdvertised,
            "delayed" | "pending" | "inprogress" => Self::Delayed,
            "locked" => Self::Locked,
            "couldnotadvertise" => Self::CouldNot,
            "error" | "failed" => Self::Error,
            _ => Self::Other(word.chars().take(60).collect()),
        }
    }

    /// Whether the prefix is advertised according to this word.
    pub fn is_advertised(&self) -> bool {
        matches!(self, Self::Advertised | Self::AlreadyAdvertised)
    }

    /// Whether protection did not come up and nobody will retry. Unknown words count: nothing is
    /// inferred healthy.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Locked | Self::CouldNot | Self::Error | Self::Other(_))
    }

    /// What people read.
    pub fn words(&self) -> &str {
        match self {
            Self::Advertised => "advertised",
            Self::AlreadyAdvertised => "was already advertised",
            Self::Delayed => "delayed, Cloudflare retries",
            Self::Locked => "locked, NOT advertised",
            Self::CouldNot => "could NOT be advertised",
            Self::Error => "error, NOT advertised",
            Self::Other(word) => word,
        }
    }
}

/// One prefix of an auto-advertisement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvertiseResult {
    /// The prefix as written; kept because it may not parse.
    pub written: String,
    /// The prefix, when it parses.
    pub prefix: Option<Prefix>,
    /// What happened.
    pub status: AdvertiseStatus,
}

/// A notification in normal form. Every field that Cloudflare may leave out is optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Kind.
    pub kind: AlertKind,
    /// Start, update or end.
    pub phase: Phase,
    /// Joins START and END (`alert_correlation_id`), normalised.
    pub correlation_id: Option<String>,
    /// `data.attack_id`, normalised.
    pub attack_id: Option<String>,
    /// Policy id, normalised.
    pub policy_id: Option<String>,
    /// Policy name.
    pub policy_name: Option<String>,
    /// Cloudflare's human text.
    pub text: Option<String>,
    /// Envelope `ts`: when Cloudflare dispatched it.
    pub sent_at: Option<Timestamp>,
    /// `start_time` of the attack.
    pub started_at: Option<Timestamp>,
    /// When we stored it.
    pub received_at: Timestamp,
    /// Networks named as target: target ip, prefix, hijacked prefix.
    pub targets: Vec<Prefix>,
    /// Target host name (HTTP attacks).
    pub hostname: Option<String>,
    /// Target port.
    pub target_port: Option<u16>,
    /// Protocol name.
    pub protocol: Option<String>,
    /// Attack vector or type.
    pub vector: Option<String>,
    /// Rule id.
    pub rule_id: Option<String>,
    /// Rule name.
    pub rule_name: Option<String>,
    /// Action and mitigation as written.
    pub action: Option<String>,
    /// Severity, where given.
    pub severity: Option<String>,
    /// Packets per second.
    pub packets_per_second: Option<f64>,
    /// Bits per second.
    pub bits_per_second: Option<f64>,
    /// Requests per second (HTTP attacks).
    pub requests_per_second: Option<f64>,
    /// Auto-advertisement results.
    pub advertise: Vec<AdvertiseResult>,
    /// Link to Cloudflare's dashboard, scheme completed, only to Cloudflare hosts.
    pub link: Option<String>,
    /// Everything else worth showing: key and clamped text, in the order received.
    pub details: Vec<(String, String)>,
    /// A marked self-test: goes the whole way, stays out of statistics and vetoes.
    pub is_test: bool,
    /// What could not be read as documented.
    pub problems: Vec<String>,
}

/// Which of our prefixes an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Our prefixes, sorted, without duplicates.
    pub prefixes: Vec<Prefix>,
    /// True when the alert names something that we cannot tie to our prefixes, or nothing at all.
    /// Such an alert vetoes every prefix until somebody resolves it (rule 6).
    pub unresolved: bool,
}

impl Alert {
    /// Whether the alert itself names networks; only when it does not, its rule's are asked for.
    pub fn names_networks(&self) -> bool {
        !self.targets.is_empty() || self.advertise.iter().any(|result| result.prefix.is_some())
    }

    /// Addresses of our network the alert is about: each target to its longest match among
    /// `inventory`; a threshold rule names no target, so its prefixes come from `rule_prefixes`
    /// (the rule's networks by rule name, from the cached rule list), all of them.
    pub fn affected(&self, inventory: &PrefixMap<()>, rule_prefixes: Option<&[Prefix]>) -> Affected {
        let mut named: Vec<Prefix> = self.targets.clone();
        named.extend(self.advertise.iter().filter_map(|result| result.prefix));
        let mut unresolved = self.advertise.iter().any(|result| result.prefix.is_none());
        if !self.names_networks() {
            match rule_prefixes {
                Some(networks) if !networks.is_empty() => named.extend_from_slice(networks),
                _ => unresolved = true,
            }
        }
        let mut prefixes = Vec::new();
        for network in named {
            let owners = crate::prefix::owners_of(inventory, network);
            if owners.is_empty() {
                unresolved = true;
            }
            prefixes.extend(owners);
        }
        prefixes.sort();
        prefixes.dedup();
        Affected { prefixes, unresolved }
    }

    /// The instant the alert speaks of: dispatch time, but never later than its reception
    /// (a sender's clock that runs ahead must not move anything into the future).
    /// An instant before anything could have been sent is a defect and counts as none: it would end an alert's veto at
    /// once, as if the attack were long over.
    pub fn at(&self) -> Timestamp {
        let sent = self.sent_at.filter(|at| *at >= EARLIEST);
        sent.unwrap_or(self.received_at).min(self.received_at)
    }

    /// A detail by its key, as text.
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.details
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, text)| text.as_str())
    }

    /// First target address that is a single host, for the record.
    pub fn target_ip(&self) -> Option<IpAddr> {
        self.targets
            .iter()
            .find(|target| target.net().prefix_len() == target.net().max_prefix_len())
            .map(|target| target.net().addr())
    }
}

/// An attack alert that has started and not ended, or what may be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// Event number of the START in the log; 0 for what was received and not read yet.
    pub event: i64,
    /// Kind name.
    pub kind: String,
    /// The earlier of `ts` and reception of its latest START or update; the veto's clock starts here.
    pub since: Timestamp,
    /// Our prefixes it names.
    pub prefixes: Vec<Prefix>,
    /// Whether it could not be tied to prefixes; it then blocks all.
    pub unresolved: bool,
}

impl OpenAlert {
    /// Stands for notifications that are stored and not read yet. Nobody knows what they are about, so they block all.
    pub fn unread(since: Timestamp) -> Self {
        Self {
            event: 0,
            kind: "unread".to_owned(),
            since,
            prefixes: Vec::new(),
            unresolved: true,
        }
    }

    /// Whether it stands for notifications that are not read yet.
    pub fn is_unread(&self) -> bool {
        self.event == 0
    }

    /// Whether it blocks acting on `prefix`.
    pub fn concerns(&self, prefix: Prefix) -> bool {
        self.unresolved || self.prefixes.iter().any(|named| named.overlaps(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_kind_reads_back() {
        for (name, kind) in NAMES {
            assert_eq!(AlertKind::from_name(name), kind);
            assert_eq!(kind.name(), name);
        }
        assert_eq!(AlertKind::from_name("web_thing").name(), "web_thing");
    }

    #[test]
    fn status_words_ignore_case_spaces_and_underscores() {
        assert_eq!(
            AdvertiseStatus::from_word("already_ADVERTISED"),
            AdvertiseStatus::AlreadyAdvertised
        );
        assert!(AdvertiseStatus::from_word("Could not Advertise").needs_a_person());
        assert!(AdvertiseStatus::from_word("who knows").needs_a_person());
        assert!(!AdvertiseStatus::from_word("Delayed").is_advertised());
    }
}
