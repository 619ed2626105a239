//! The scenario file: a timeline in scenario time, which the factor shortens when it is run.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alerts::TEMPLATES;
use super::attack::{Attack, Source};
use super::expect::Expectation;
use super::library::EMBEDDED;
use super::tunnels::{Tunnel, TunnelState};
use crate::config::duration_text;
use crate::faults::FaultSpec;
use crate::prefixes::PrefixChange;

/// Most alerts of one storm.
const MOST_ALERTS: u32 = 5_000;

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
    /// Who detects attacks.
    #[serde(default)]
    pub detection: Detection,
    /// State of prefixes before it begins; others stay as they are.
    #[serde(default)]
    pub prefix: Vec<InitialPrefix>,
    /// Rules of Network Monitoring that replace those of the account, in the API's form (`id` is filled in).
    #[serde(default)]
    pub rule: Vec<Value>,
    /// Tunnels whose health is checked; none are when it names none.
    #[serde(default)]
    pub tunnel: Vec<Tunnel>,
    /// Ordinary traffic.
    #[serde(default)]
    pub background: Vec<Background>,
    /// Attacks.
    #[serde(default)]
    pub attack: Vec<Attack>,
    /// Anything else at a point in time.
    #[serde(default)]
    pub event: Vec<Event>,
    /// What must have happened when it is over.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

/// Who detects attacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detection {
    /// Each attack says when it is detected, and what follows.
    #[default]
    Scripted,
    /// The account's Network Monitoring rules, from what the customer's routers see.
    Rules,
}

/// What a prefix is before the scenario begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialPrefix {
    /// The network.
    pub cidr: IpNet,
    /// Onboards it when the account does not have it yet.
    #[serde(default)]
    pub onboard: bool,
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
    /// Cloudflare itself withdraws prefixes, in the order of its list, without telling anybody.
    ProviderWithdraws {
        /// Which; every advertised one when empty.
        #[serde(default)]
        cidrs: Vec<IpNet>,
        /// From the first to the last.
        #[serde(with = "duration_text", default)]
        over: Duration,
        /// Takes away their bindings to a service as well.
        #[serde(default)]
        unbinds: bool,
    },
    /// A tunnel changes its state.
    Tunnel {
        /// Its name.
        name: String,
        /// Its new state.
        state: TunnelState,
        /// Cloudflare tells of it.
        #[serde(default = "super::attack::yes")]
        alert: bool,
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
    /// Many alerts, evenly spread: the templates in turn, every one about an attack and an address of its own.
    Storm {
        /// Template names.
        templates: Vec<String>,
        /// How many in all.
        count: u32,
        /// From the first to the last.
        #[serde(with = "duration_text")]
        over: Duration,
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
            attack.check(self.duration)?;
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
        for event in &self.event {
            self.check_event(event)?;
        }
        if let Some(rule) = self
            .rule
            .iter()
            .find(|rule| rule["name"].as_str().is_none_or(str::is_empty))
        {
            return Err(format!("a rule has no name: {rule}"));
        }
        for expected in &self.expect {
            expected.check(self)?;
        }
        Ok(())
    }

    fn check_event(&self, event: &Event) -> Result<(), String> {
        let over = match &event.kind {
            EventKind::Storm { over, .. } | EventKind::ProviderWithdraws { over, .. } => *over,
            _ => Duration::ZERO,
        };
        if event.at + over > self.duration {
            return Err(format!("an event at {:?} is after the scenario's end", event.at));
        }
        let known = |template: &String| {
            if TEMPLATES.contains(&template.as_str()) {
                return Ok(());
            }
            Err(format!(
                "no template is called {template}; there are {}",
                TEMPLATES.join(", ")
            ))
        };
        match &event.kind {
            EventKind::Alert { template, .. } => known(template),
            EventKind::Storm { templates, count, .. } => {
                if templates.is_empty() || !(1..=MOST_ALERTS).contains(count) {
                    return Err(format!("a storm has templates, and 1 to {MOST_ALERTS} alerts"));
                }
                templates.iter().try_for_each(known)
            }
            EventKind::Tunnel { name, .. } if !self.tunnel.iter().any(|tunnel| tunnel.name == *name) => {
                Err(format!("no tunnel is called {name}"))
            }
            _ => Ok(()),
        }
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
            assert!(!scenario.description.is_empty(), "{name} says what happens");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let demo = include_str!("../../scenarios/demo.toml");
        let moved = demo.replace("target_ip = \"203.0.113.10\"", "target_ip = \"192.0.2.1\"");
        assert!(Scenario::parse(&moved).is_err());
        for (more, word) in [
            (
                "[[event]]\nat = \"2h\"\ndo = \"clear_faults\"",
                "after the scenario's end",
            ),
            (
                "[[event]]\nat = \"1m\"\ndo = \"alert\"\ntemplate = \"flood\"",
                "no template is called flood",
            ),
            (
                "[[event]]\nat = \"1m\"\ndo = \"storm\"\ntemplates = []\ncount = 3\nover = \"1m\"",
                "a storm has templates",
            ),
            (
                "[[event]]\nat = \"1m\"\ndo = \"tunnel\"\nname = \"x\"\nstate = \"down\"",
                "no tunnel is called x",
            ),
            ("[[rule]]\ntype = \"zscore\"", "a rule has no name"),
            (
                "[[expect]]\nthat = \"attack\"\nname = \"other\"\nphase = \"ended\"",
                "no attack is called other",
            ),
        ] {
            let problem = Scenario::parse(&format!("{demo}\n{more}\n")).unwrap_err();
            assert!(problem.to_string().contains(word), "{problem}");
        }
    }
}
