//! What the rules do not do: prefixes that nothing watches or advertises, and rules that advertise more than was attacked.

use cf_api::rest::mnm::MnmRule;
use domain::prefix::Prefix;
use serde::Serialize;

/// Something that the rules leave open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gap {
    /// No rule watches it: an attack on it is not noticed.
    NotWatched {
        /// The prefix.
        prefix: Prefix,
    },
    /// Rules watch it and none advertises it: an attack is noticed, and somebody has to act.
    NotAdvertised {
        /// The prefix.
        prefix: Prefix,
        /// The rules.
        rules: Vec<String>,
    },
    /// A rule advertises several prefixes at once, and adds up their traffic.
    Together {
        /// The rule.
        rule: String,
        /// Its prefixes.
        prefixes: Vec<Prefix>,
    },
    /// Only a part of the prefix is watched.
    PartlyWatched {
        /// The prefix.
        prefix: Prefix,
        /// The parts that are.
        parts: Vec<Prefix>,
    },
}

impl Gap {
    /// In words.
    pub fn words(&self) -> String {
        let list = |prefixes: &[Prefix]| {
            let names: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        match self {
            Self::NotWatched { prefix } => format!("no rule watches {prefix}: an attack on it is not noticed"),
            Self::NotAdvertised { prefix, .. } => {
                format!("{prefix} is watched, but no rule advertises it by itself")
            }
            Self::Together { rule, prefixes } => format!(
                "rule {rule} adds up the traffic of {} and advertises all of them together",
                list(prefixes)
            ),
            Self::PartlyWatched { prefix, parts } => {
                format!("of {prefix} only {} is watched", list(parts))
            }
        }
    }
}

/// What `rules` leave open for the prefixes of the inventory.
pub fn gaps(inventory: &[Prefix], rules: &[MnmRule]) -> Vec<Gap> {
    let mut found = Vec::new();
    for prefix in inventory {
        let watching: Vec<&MnmRule> = rules
            .iter()
            .filter(|rule| rule.prefixes.iter().any(|net| net.contains(*prefix)))
            .collect();
        if watching.is_empty() {
            let mut parts: Vec<Prefix> = rules
                .iter()
                .flat_map(|rule| &rule.prefixes)
                .filter(|net| prefix.contains(**net))
                .copied()
                .collect();
            parts.sort_unstable();
            parts.dedup();
            found.push(if parts.is_empty() {
                Gap::NotWatched { prefix: *prefix }
            } else {
                Gap::PartlyWatched { prefix: *prefix, parts }
            });
        } else if watching.iter().all(|rule| rule.automatic_advertisement != Some(true)) {
            found.push(Gap::NotAdvertised {
                prefix: *prefix,
                rules: watching.iter().map(|rule| rule.name.clone()).collect(),
            });
        }
    }
    for rule in rules {
        if rule.prefixes.len() > 1 && rule.automatic_advertisement == Some(true) {
            found.push(Gap::Together {
                rule: rule.name.clone(),
                prefixes: rule.prefixes.clone(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, prefixes: &[&str], automatic: Option<bool>) -> MnmRule {
        MnmRule {
            id: None,
            name: name.into(),
            prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            kind: None,
            automatic_advertisement: automatic,
            bandwidth_threshold_bps: None,
            packet_threshold_pps: None,
            duration: None,
            prefix_match: None,
            zscore_sensitivity: None,
            zscore_target: None,
        }
    }

    #[test]
    fn what_rules_leave_open() {
        let inventory: Vec<Prefix> = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let rules = [
            rule("one", &["192.0.2.0/24"], Some(true)),
            rule("silent", &["198.51.100.0/24"], None),
            rule("half", &["203.0.113.0/25"], Some(true)),
            rule("two", &["192.0.2.0/24", "198.18.0.0/24"], Some(true)),
        ];
        let words: Vec<String> = gaps(&inventory, &rules).iter().map(Gap::words).collect();
        assert_eq!(
            words,
            [
                "198.51.100.0/24 is watched, but no rule advertises it by itself",
                "of 203.0.113.0/24 only 203.0.113.0/25 is watched",
                "no rule watches 2001:db8::/32: an attack on it is not noticed",
                "rule two adds up the traffic of 192.0.2.0/24, 198.18.0.0/24 and advertises all of them together",
            ]
        );
        assert_eq!(gaps(&inventory[..1], &rules[..1]), []);
    }
}
