//! An attack as scenario files describe it: what it sends, from where, how strong it is at which time, who drops how
//! much of it, and what Cloudflare says about it. All durations are scenario time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::config::duration_text;

/// The managed DDoS rulesets, as the traffic node names them; only they know attacks and tell of them.
pub(crate) const DOSD: &str = "dosd";

/// Weakest attack in packets per second that Cloudflare tells of (the documented filter's default).
pub(crate) const ALERTED_FROM_PPS: u64 = 12_000;

/// Most streams of one attack: more would only make the run slow.
const MOST_STREAMS: u32 = 2_048;

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

/// Many sources, made from the seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// How many addresses.
    pub addresses: u32,
    /// Part of the packets whose source is forged: private, reserved and unrouted addresses without an AS.
    #[serde(default)]
    pub spoofed: f64,
    /// Countries, ASes and locations they come from; some invented ones when empty.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// Source port of all, as reflectors have it; any port when absent.
    #[serde(default)]
    pub port: Option<u16>,
}

/// A network that part of a crowd comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Two letters.
    pub country: String,
    /// Origin AS.
    pub asn: u32,
    /// Its name.
    #[serde(default)]
    pub asn_name: String,
    /// Cloudflare location where it arrives.
    #[serde(default = "frankfurt")]
    pub colo: String,
    /// City of that location.
    #[serde(default)]
    pub colo_city: String,
    /// Country of that location.
    #[serde(default)]
    pub colo_country: String,
    /// Its part of the packets, relative to the other origins.
    #[serde(default = "one")]
    pub share: f64,
}

/// A pulse wave: full strength and (nearly) nothing in turn, from the attack's start on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulse {
    /// Length of a pulse.
    #[serde(with = "duration_text")]
    pub on: Duration,
    /// Length of the pause after it.
    #[serde(with = "duration_text")]
    pub off: Duration,
    /// Strength in the pauses, 0 to 1.
    #[serde(default)]
    pub floor: f64,
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
    /// The address under attack; the first one of many in a carpet bombing.
    pub target_ip: IpAddr,
    /// How many addresses of the prefix are hit evenly, `target_ip` among them (carpet bombing).
    #[serde(default = "single")]
    pub targets: u32,
    /// The port under attack.
    #[serde(default)]
    pub target_port: u16,
    /// Ports that are hit besides, each as hard.
    #[serde(default)]
    pub more_ports: Vec<u16>,
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
    /// Comes in pulses.
    #[serde(default)]
    pub pulse: Option<Pulse>,
    /// Part that Cloudflare drops, 0 to 1.
    #[serde(default = "nearly_all")]
    pub mitigated: f64,
    /// Who drops it, as the traffic node names it: `dosd`, `flowtrackd` (Advanced TCP Protection), `magic-firewall`, or
    /// `advanced-dns-protection`. Only the first knows attacks.
    #[serde(default = "dosd")]
    pub system: String,
    /// Part that each of several systems drops, together at most 1; replaces `mitigated` and `system`.
    #[serde(default)]
    pub mitigation: BTreeMap<String, f64>,
    /// From its beginning until anything of it is dropped: it has to be recognised first.
    #[serde(with = "duration_text", default)]
    pub mitigated_after: Duration,
    /// Where it comes from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Where it comes from, when there are too many to name.
    #[serde(default)]
    pub crowd: Option<Crowd>,
    /// From its beginning to the volumetric alert (not when the scenario's rules detect it).
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
    /// Sends `fbm_volumetric_attack` (not when the scenario's rules detect it).
    #[serde(default = "yes")]
    pub volumetric_alert: bool,
    /// Sends `advanced_ddos_attack_l4_alert`, unless the attack is too weak for it, no DDoS rule drops any of it, or the
    /// same target and vector was told of within the hour.
    #[serde(default = "yes")]
    pub l4_alert: bool,
    /// Sends END alerts.
    #[serde(default = "yes")]
    pub end_alerts: bool,
    /// Automatic advertisement (not when the scenario's rules detect it).
    #[serde(default)]
    pub auto_advertise: AutoAdvertise,
}

pub(super) fn frankfurt() -> String {
    "FRA".into()
}
fn rule() -> String {
    "udp_generic".into()
}
pub(super) fn one() -> f64 {
    1.0
}
fn single() -> u32 {
    1
}
fn dosd() -> String {
    DOSD.to_owned()
}
fn nearly_all() -> f64 {
    0.995
}
pub(super) fn yes() -> bool {
    true
}
fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}
fn a_minute() -> Duration {
    Duration::from_secs(60)
}

impl Attack {
    /// Full strength in the middle, growing and falling evenly at the ends, cut into pulses.
    pub(super) fn strength(&self, at: Duration) -> f64 {
        let end = self.start + self.duration;
        if at < self.start || at >= end {
            return 0.0;
        }
        let ramp = self.ramp.min(self.duration / 2).as_secs_f64();
        let edge = (at - self.start).min(end - at).as_secs_f64();
        let even = if ramp <= 0.0 { 1.0 } else { (edge / ramp).min(1.0) };
        let wave = self.pulse.map_or(1.0, |pulse| {
            let within = (at - self.start).as_secs_f64() % (pulse.on + pulse.off).as_secs_f64();
            if within < pulse.on.as_secs_f64() {
                1.0
            } else {
                pulse.floor
            }
        });
        even * wave
    }

    /// Systems and the part that each drops once it has recognised the attack.
    pub(super) fn systems(&self) -> Vec<(&str, f64)> {
        if self.mitigation.is_empty() {
            return vec![(self.system.as_str(), self.mitigated)];
        }
        self.mitigation
            .iter()
            .map(|(system, part)| (system.as_str(), *part))
            .collect()
    }

    /// Whether Cloudflare tells of it at all.
    pub(super) fn is_told(&self) -> bool {
        let by_rules = self
            .systems()
            .iter()
            .any(|(system, part)| *system == DOSD && *part > 0.0);
        self.l4_alert && by_rules && self.pps >= ALERTED_FROM_PPS
    }

    /// Whether the values fit each other.
    pub(super) fn check(&self, longest: Duration) -> Result<(), String> {
        let bad = |what: String| Err(format!("attack {}: {what}", self.name));
        if !self.prefix.contains(&self.target_ip) {
            return bad(format!("{} is not in {}", self.target_ip, self.prefix));
        }
        if !(0.0..=1.0).contains(&self.mitigated) {
            return bad("mitigated must be 0 to 1".to_owned());
        }
        if self.start + self.duration > longest {
            return bad("lasts longer than the scenario".to_owned());
        }
        if self.pps == 0 {
            return bad("has no packets".to_owned());
        }
        let whole: f64 = self.mitigation.values().sum();
        if self.mitigation.values().any(|part| !(0.0..=1.0).contains(part)) || whole > 1.0 + 1e-9 {
            return bad("the parts of mitigation must be 0 to 1, and together at most 1".to_owned());
        }
        if let Some((system, _)) = self.systems().iter().find(|(system, _)| !KNOWN.contains(system)) {
            return bad(format!("no system is called {system}; there are {}", KNOWN.join(", ")));
        }
        let crowd = self.crowd.as_ref().map_or(1, |crowd| crowd.addresses);
        if self.targets == 0 || crowd == 0 || self.targets.max(crowd) > MOST_STREAMS {
            return bad(format!("targets and addresses must be 1 to {MOST_STREAMS}"));
        }
        let shares = |mut all: Box<dyn Iterator<Item = f64> + '_>| all.all(|share| share.is_finite() && share > 0.0);
        if let Some(crowd) = &self.crowd {
            if !self.sources.is_empty() {
                return bad("give either sources or a crowd".to_owned());
            }
            if !(0.0..=1.0).contains(&crowd.spoofed) {
                return bad("spoofed must be 0 to 1".to_owned());
            }
            if !shares(Box::new(crowd.origins.iter().map(|origin| origin.share))) {
                return bad("every share must be above 0".to_owned());
            }
        }
        if let Some(pulse) = self.pulse
            && (pulse.on.is_zero() || !(0.0..=1.0).contains(&pulse.floor))
        {
            return bad("a pulse has a length, and its floor is 0 to 1".to_owned());
        }
        Ok(())
    }
}

/// Systems that drop packets, as the traffic node names them.
const KNOWN: [&str; 4] = [DOSD, "flowtrackd", "magic-firewall", "advanced-dns-protection"];

#[cfg(test)]
mod tests {
    use super::*;

    fn attack(more: &str) -> Attack {
        let text = format!(
            "name = \"x\"\nprefix = \"203.0.113.0/24\"\ntarget_ip = \"203.0.113.10\"\nvector = \"UDP flood\"\nprotocol = \"UDP\"\nstart = \"60s\"\nduration = \"100s\"\npps = 20000\nmbps = 10\n{more}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn the_curve_ramps_and_pulses() {
        let s = |a: &Attack, at: u64| a.strength(Duration::from_secs(at));
        let ramped = attack("ramp = \"20s\"");
        assert_eq!((s(&ramped, 59), s(&ramped, 160)), (0.0, 0.0));
        assert!((s(&ramped, 70) - 0.5).abs() < 1e-9 && (s(&ramped, 100) - 1.0).abs() < 1e-9);
        let pulsed = attack("pulse = { on = \"10s\", off = \"20s\", floor = 0.1 }");
        assert!((s(&pulsed, 65) - 1.0).abs() < 1e-9);
        assert!((s(&pulsed, 75) - 0.1).abs() < 1e-9);
        assert!((s(&pulsed, 95) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn weak_attacks_and_those_of_other_systems_are_not_told() {
        assert!(attack("").is_told());
        assert!(!attack("system = \"flowtrackd\"").is_told());
        assert!(attack("mitigation = { flowtrackd = 0.5, dosd = 0.4 }").is_told());
        let mut weak = attack("");
        weak.pps = ALERTED_FROM_PPS - 1;
        assert!(!weak.is_told());
    }

    #[test]
    fn contradictions_are_refused() {
        let hour = Duration::from_secs(3600);
        for (more, word) in [
            ("mitigation = { dosd = 0.7, flowtrackd = 0.4 }", "together at most 1"),
            ("mitigation = { gatebot = 0.7 }", "no system is called gatebot"),
            ("targets = 0", "targets and addresses"),
            ("crowd = { addresses = 3, spoofed = 1.5 }", "spoofed must be"),
            ("pulse = { on = \"0s\", off = \"1s\" }", "a pulse has a length"),
        ] {
            let problem = attack(more).check(hour).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        assert!(attack("").check(hour).is_ok());
    }
}
