//! The scenario file: a timeline in scenario time, which the factor shortens when it is run.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::duration_text;
use crate::faults::FaultSpec;
use crate::prefixes::PrefixChange;

const EMBEDDED: [(&str, &str); 4] = [
    ("demo", include_str!("../../scenarios/demo.toml")),
    ("quiet", include_str!("../../scenarios/quiet.toml")),
    ("ipv6", include_str!("../../scenarios/ipv6.toml")),
    ("two-prefixes", include_str!("../../scenarios/two-prefixes.toml")),
];

/// A scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No embedded scenario has this name.
    #[error("no scenario is called {name}; there are {known}")]
    Unknown {
        /// As asked.
        name: String,
        /// All names.
        known: String,
    },
    /// The text is no scenario.
    #[error("not a scenario")]
    Syntax(#[from] toml::de::Error),
    /// The values contradict each other.
    #[error("{0}")]
    Invalid(String),
}

/// A timeline. All durations are scenario time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name.
    pub name: String,
    /// What happens, in a sentence.
    #[serde(default)]
    pub description: String,
    /// After this the scenario is over and all its traffic stops.
    #[serde(with = "duration_text")]
    pub duration: Duration,
    /// Begins again when it is over.
    #[serde(default)]
    pub repeat: bool,
    /// State of prefixes before it begins; others stay as they are.
    #[serde(default)]
    pub prefix: Vec<InitialPrefix>,
    /// Ordinary traffic.
    #[serde(default)]
    pub background: Vec<Background>,
    /// Attacks.
    #[serde(default)]
    pub attack: Vec<Attack>,
    /// Anything else at a point in time.
    #[serde(default)]
    pub event: Vec<Event>,
}

/// What a prefix is before the scenario begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialPrefix {
    /// The network.
    pub cidr: IpNet,
    /// Advertised at Cloudflare, since long.
    #[serde(default)]
    pub advertised: Option<bool>,
    /// `on_demand_locked`.
    #[serde(default)]
    pub locked: Option<bool>,
}

/// Traffic that flows whether or not there is an attack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// The network it goes to.
    pub prefix: IpNet,
    /// Addresses it goes to; a few of the network when empty.
    #[serde(default)]
    pub hosts: Vec<IpAddr>,
    /// Packets per second.
    pub pps: u64,
    /// Megabits per second.
    pub mbps: u64,
    /// Destination port.
    #[serde(default = "https")]
    pub port: u16,
    /// `TCP`, `UDP`, ...
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Where it comes from; two documentation addresses when empty.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// Where traffic comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Address.
    pub address: IpAddr,
    /// Port.
    #[serde(default)]
    pub port: u16,
    /// Origin AS.
    #[serde(default)]
    pub asn: u32,
    /// Its name.
    #[serde(default)]
    pub asn_name: String,
    /// Two letters.
    #[serde(default)]
    pub country: String,
    /// Cloudflare location where it arrives, for instance `FRA`.
    #[serde(default = "frankfurt")]
    pub colo: String,
    /// City of that location.
    #[serde(default)]
    pub colo_city: String,
    /// Country of that location.
    #[serde(default)]
    pub colo_country: String,
    /// Its part of the traffic, relative to the other sources.
    #[serde(default = "one")]
    pub share: f64,
}

/// Automatic advertisement by Network Monitoring.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAdvertise {
    /// Off: the prefix stays as it is and no notification comes.
    pub enabled: bool,
    /// From detection to the change.
    #[serde(with = "duration_text")]
    pub delay: Duration,
    /// Forces this status word (`Delayed`, `Locked`, `Could not Advertise`, `Error`): the prefix is not advertised.
    /// Without it the word follows from the prefix's state.
    pub status: Option<String>,
    /// After `Delayed`: from then to the successful try. Without it there is none.
    pub retry_after_s: Option<u64>,
    /// Networks besides the attacked one in the same rule; all are advertised.
    pub also: Vec<IpNet>,
}

impl Default for AutoAdvertise {
    fn default() -> Self {
        Self {
            enabled: true,
            delay: Duration::from_secs(10),
            status: None,
            retry_after_s: None,
            also: Vec::new(),
        }
    }
}

/// One attack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Name in the status; ids in alerts are made from the seed.
    pub name: String,
    /// The network.
    pub prefix: IpNet,
    /// The address under attack.
    pub target_ip: IpAddr,
    /// The port under attack.
    #[serde(default)]
    pub target_port: u16,
    /// As Cloudflare names it, for instance `UDP flood`.
    pub vector: String,
    /// `UDP`, `TCP`, `ICMP`, ...
    pub protocol: String,
    /// Rule that fits, for instance `udp_generic`.
    #[serde(default = "rule")]
    pub rule_name: String,
    /// From the beginning of the scenario.
    #[serde(with = "duration_text")]
    pub start: Duration,
    /// How long it lasts.
    #[serde(with = "duration_text")]
    pub duration: Duration,
    /// Packets per second at full strength.
    pub pps: u64,
    /// Megabits per second at full strength.
    pub mbps: u64,
    /// Until full strength, and the same at the end.
    #[serde(with = "duration_text", default)]
    pub ramp: Duration,
    /// Part that Cloudflare drops, 0 to 1.
    #[serde(default = "nearly_all")]
    pub mitigated: f64,
    /// Who drops it, as the traffic node names it: `dosd`, `flowtrackd` (Advanced TCP Protection), `magic-firewall`, or
    /// `advanced-dns-protection`. Only the first knows attacks.
    #[serde(default = "dosd")]
    pub system: String,
    /// Where it comes from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// From its beginning to the volumetric alert.
    #[serde(with = "duration_text", default = "half_a_minute")]
    pub detection: Duration,
    /// From the first mitigated packet at Cloudflare to the L3/4 alert.
    #[serde(with = "duration_text", default = "half_a_minute")]
    pub l4_delay: Duration,
    /// From its end to the END alerts.
    #[serde(with = "duration_text", default = "a_minute")]
    pub end_delay: Duration,
    /// Extra time every alert of this attack takes until it is sent.
    #[serde(with = "duration_text", default)]
    pub webhook_delay: Duration,
    /// Sends `fbm_volumetric_attack`.
    #[serde(default = "yes")]
    pub volumetric_alert: bool,
    /// Sends `advanced_ddos_attack_l4_alert`.
    #[serde(default = "yes")]
    pub l4_alert: bool,
    /// Sends END alerts.
    #[serde(default = "yes")]
    pub end_alerts: bool,
    /// Automatic advertisement.
    #[serde(default)]
    pub auto_advertise: AutoAdvertise,
}

/// Something at a point in time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// From the beginning of the scenario.
    #[serde(with = "duration_text")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happens. In files the variant is the field `do`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody else changes a prefix.
    Prefix {
        /// The network.
        cidr: IpNet,
        /// The change.
        change: PrefixChange,
    },
    /// An alert from a template (see `POST /_sim/webhook`).
    Alert {
        /// Template name.
        template: String,
        /// Replaces fields of `data`.
        #[serde(default)]
        data: Option<Value>,
        /// Replaces fields of the envelope.
        #[serde(default)]
        envelope: Option<Value>,
    },
    /// A fault begins.
    Fault {
        /// The fault.
        fault: FaultSpec,
    },
    /// All faults end.
    ClearFaults,
}

fn https() -> u16 {
    443
}
fn tcp() -> String {
    "TCP".into()
}
fn frankfurt() -> String {
    "FRA".into()
}
fn rule() -> String {
    "udp_generic".into()
}
fn one() -> f64 {
    1.0
}
fn dosd() -> String {
    "dosd".to_owned()
}

fn nearly_all() -> f64 {
    0.995
}
fn yes() -> bool {
    true
}
fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}
fn a_minute() -> Duration {
    Duration::from_secs(60)
}

impl Scenario {
    /// The embedded scenarios' names.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        EMBEDDED.iter().map(|(name, _)| *name).collect()
    }

    /// An embedded scenario.
    ///
    /// # Errors
    /// No such name.
    pub fn named(name: &str) -> Result<Self, ScenarioError> {
        match EMBEDDED.iter().find(|(n, _)| *n == name) {
            Some((_, text)) => Self::parse(text),
            None => Err(ScenarioError::Unknown {
                name: name.to_owned(),
                known: Self::names().join(", "),
            }),
        }
    }

    /// A scenario from TOML text.
    ///
    /// # Errors
    /// The text is not TOML, has unknown or missing keys, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check().map_err(ScenarioError::Invalid)?;
        Ok(scenario)
    }

    /// Whether the values fit each other.
    pub(crate) fn check(&self) -> Result<(), String> {
        for attack in &self.attack {
            let name = &attack.name;
            if !attack.prefix.contains(&attack.target_ip) {
                return Err(format!(
                    "attack {name}: {} is not in {}",
                    attack.target_ip, attack.prefix
                ));
            }
            if !(0.0..=1.0).contains(&attack.mitigated) {
                return Err(format!("attack {name}: mitigated must be 0 to 1"));
            }
            if attack.start + attack.duration > self.duration {
                return Err(format!("attack {name} lasts longer than the scenario"));
            }
            if attack.pps == 0 {
                return Err(format!("attack {name} has no packets"));
            }
        }
        for background in &self.background {
            if let Some(host) = background.hosts.iter().find(|h| !background.prefix.contains(*h)) {
                return Err(format!("background: {host} is not in {}", background.prefix));
            }
        }
        let sources = self
            .attack
            .iter()
            .flat_map(|a| &a.sources)
            .chain(self.background.iter().flat_map(|b| &b.sources));
        for source in sources {
            if !(source.share.is_finite() && source.share > 0.0) {
                return Err(format!("source {}: share must be above 0", source.address));
            }
        }
        if let Some(event) = self.event.iter().find(|e| e.at > self.duration) {
            return Err(format!("an event at {:?} is after the scenario's end", event.at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_scenarios_are_valid() {
        for name in Scenario::names() {
            let scenario = Scenario::named(name).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(scenario.name, name);
        }
    }

    #[test]
    fn a_target_outside_its_prefix_is_refused() {
        let text = include_str!("../../scenarios/demo.toml")
            .replace("target_ip = \"203.0.113.10\"", "target_ip = \"192.0.2.1\"");
        assert!(Scenario::parse(&text).is_err());
    }
}
