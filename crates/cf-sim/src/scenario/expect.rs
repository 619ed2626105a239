//! What a scenario claims about itself: facts that must hold when it is over, or hold so far. They are what its test
//! asserts, and what `cloudflare-sim assert` asks a running simulator.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::Scenario;
use super::run::{AttackPhase, Running};
use crate::traffic::MAGIC_TRANSIT;
use crate::world::State;

/// One fact. In files the variant is the field `that`. Without `exactly`, `at_least` and `at_most` there must be one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "that", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expectation {
    /// Alerts were sent.
    Alerts {
        /// `alert_type`; all when absent.
        #[serde(default, rename = "type")]
        kind: Option<String>,
        /// End of `alert_event`: `START`, `END`.
        #[serde(default)]
        event: Option<String>,
        /// Any text in the body.
        #[serde(default)]
        says: Option<String>,
        /// How many.
        #[serde(default)]
        exactly: Option<u64>,
        /// How many at least.
        #[serde(default)]
        at_least: Option<u64>,
        /// How many at most.
        #[serde(default)]
        at_most: Option<u64>,
    },
    /// A prefix is, or is not, advertised.
    Prefix {
        /// The network.
        cidr: IpNet,
        /// As it is.
        advertised: bool,
        /// How often that changed.
        #[serde(default)]
        changes: Option<u32>,
    },
    /// Packets in the analytics, in life's time: what was stored, times the factor.
    Packets {
        /// The node; the one of all traffic when absent.
        #[serde(default)]
        node: Option<String>,
        /// Only to addresses of this network.
        #[serde(default)]
        to: Option<IpNet>,
        /// Only with these dimensions.
        #[serde(default)]
        with: Vec<(String, Value)>,
        /// How many.
        #[serde(default)]
        exactly: Option<u64>,
        /// How many at least.
        #[serde(default)]
        at_least: Option<u64>,
        /// How many at most.
        #[serde(default)]
        at_most: Option<u64>,
    },
    /// Different values of a dimension in the rows of a node: addresses hit, countries, locations.
    Different {
        /// The node; the one of all traffic when absent.
        #[serde(default)]
        node: Option<String>,
        /// The dimension.
        dimension: String,
        /// Only with these dimensions.
        #[serde(default)]
        with: Vec<(String, Value)>,
        /// How many at least.
        at_least: u64,
    },
    /// An attack has come so far.
    Attack {
        /// Its name.
        name: String,
        /// How far, at least.
        phase: AttackPhase,
    },
    /// The journal has entries.
    Journal {
        /// Any text in the entry.
        says: String,
        /// How many.
        #[serde(default)]
        exactly: Option<u64>,
        /// How many at least.
        #[serde(default)]
        at_least: Option<u64>,
        /// How many at most.
        #[serde(default)]
        at_most: Option<u64>,
    },
}

/// Whether a fact holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// It holds.
    pub holds: bool,
    /// The fact and what there is, in words.
    pub text: String,
}

/// Bounds of a count.
fn bounds(exactly: Option<u64>, least: Option<u64>, most: Option<u64>) -> (u64, u64) {
    match (exactly, least, most) {
        (Some(n), _, _) => (n, n),
        (None, None, None) => (1, u64::MAX),
        (None, least, most) => (least.unwrap_or(0), most.unwrap_or(u64::MAX)),
    }
}

fn counted(what: String, got: u64, (least, most): (u64, u64)) -> Finding {
    let wanted = match (least, most) {
        (least, most) if least == most => least.to_string(),
        (least, u64::MAX) => format!("at least {least}"),
        (0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    Finding {
        holds: (least..=most).contains(&got),
        text: format!("{what}: {got} (wanted: {wanted})"),
    }
}

impl Expectation {
    /// Whether it can be about this scenario.
    pub(super) fn check(&self, scenario: &Scenario) -> Result<(), String> {
        match self {
            Self::Attack { name, .. } if !scenario.attack.iter().any(|attack| attack.name == *name) => {
                Err(format!("expect: no attack is called {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Holds it against a run.
    pub(crate) fn judge(&self, running: &Running, state: &State) -> Finding {
        match self {
            Self::Alerts {
                kind,
                event,
                says,
                exactly,
                at_least,
                at_most,
            } => {
                let fits = |body: &&Value| {
                    let text = |key: &str| body[key].as_str().unwrap_or_default();
                    kind.as_ref().is_none_or(|kind| text("alert_type") == kind)
                        && event
                            .as_ref()
                            .is_none_or(|word| text("alert_event").ends_with(word.as_str()))
                        && says
                            .as_ref()
                            .is_none_or(|says| body.to_string().contains(says.as_str()))
                };
                let got = running.alerts().filter(fits).count() as u64;
                let words: Vec<&str> = [kind, event, says].into_iter().flatten().map(String::as_str).collect();
                counted(
                    format!("alerts {}", words.join(" ")),
                    got,
                    bounds(*exactly, *at_least, *at_most),
                )
            }
            Self::Prefix {
                cidr,
                advertised,
                changes,
            } => {
                let word = |is: bool| if is { "advertised" } else { "withdrawn" };
                let Some(prefix) = state.prefixes.by_cidr(*cidr) else {
                    return Finding {
                        holds: false,
                        text: format!("{cidr} is not in the account"),
                    };
                };
                let as_often = changes.is_none_or(|wanted| wanted == prefix.changes);
                let often = changes.map_or_else(String::new, |wanted| format!(" after {wanted} changes"));
                Finding {
                    holds: prefix.advertised == *advertised && as_often,
                    text: format!(
                        "{cidr}: {} after {} changes (wanted: {}{often})",
                        word(prefix.advertised),
                        prefix.changes,
                        word(*advertised)
                    ),
                }
            }
            Self::Packets {
                node,
                to,
                with,
                exactly,
                at_least,
                at_most,
            } => {
                let node = node.as_deref().unwrap_or(MAGIC_TRANSIT);
                let stored: u64 = rows(state, node, *to, with).map(|row| row.packets).sum();
                #[allow(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss
                )]
                let got = (stored as f64 * running.factor()) as u64; // estimates of samples
                let place = to.map_or_else(String::new, |net| format!(" to {net}"));
                let what = format!("packets in {node}{place}{}", words(with));
                counted(what, got, bounds(*exactly, *at_least, *at_most))
            }
            Self::Different {
                node,
                dimension,
                with,
                at_least,
            } => {
                let node = node.as_deref().unwrap_or(MAGIC_TRANSIT);
                let mut all: Vec<String> = rows(state, node, None, with)
                    .filter_map(|row| row.dims.get(dimension).map(Value::to_string))
                    .collect();
                all.sort_unstable();
                all.dedup();
                let what = format!("different {dimension} in {node}{}", words(with));
                counted(what, all.len() as u64, (*at_least, u64::MAX))
            }
            Self::Attack { name, phase } => {
                let got = running.phase(name);
                Finding {
                    holds: got.is_some_and(|got| got >= *phase),
                    text: format!("attack {name}: {got:?} (wanted: {phase:?})"),
                }
            }
            Self::Journal {
                says,
                exactly,
                at_least,
                at_most,
            } => {
                let entries = running
                    .journal()
                    .iter()
                    .filter(|entry| entry.text.contains(says.as_str()));
                let what = format!("journal entries that say \"{says}\"");
                counted(what, entries.count() as u64, bounds(*exactly, *at_least, *at_most))
            }
        }
    }
}

fn words(with: &[(String, Value)]) -> String {
    with.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

fn rows<'a>(
    state: &'a State,
    node: &str,
    to: Option<IpNet>,
    with: &'a [(String, Value)],
) -> impl Iterator<Item = &'a crate::traffic::Row> + 'a {
    let address = |row: &crate::traffic::Row| {
        let names = ["ipDestinationAddress", "destinationAddress", "destinationIp"];
        let text = names.iter().find_map(|name| row.dims.get(*name)?.as_str())?;
        text.parse::<std::net::IpAddr>().ok()
    };
    state.traffic.all(node).filter(move |row| {
        to.is_none_or(|net| address(row).is_some_and(|a| net.contains(&a)))
            && with
                .iter()
                .all(|(name, wanted)| row.dims.get(name).is_some_and(|value| value == wanted))
    })
}
