//! A monitoring rule as a person writes it: thresholds with units, prefixes by ticks, one of four kinds; and what of it
//! differs from the rule that was read.
//!
//! Pure but for [`traffic`]. Must hold: a rule that was read and not touched comes out as it was, to the bit per second.

pub(crate) mod traffic;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use domain::prefix::Prefix;
use rules::mnm::{bits_per_second, name_for, packets_per_second, problems, rate_text};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::connectors::edit::Difference;
use crate::upstream::change::fingerprint;

/// Field names of the ticks in front of prefixes.
const TICK: &str = "p:";

/// Units of bits.
pub(crate) const BIT_UNITS: [&str; 5] = ["Gbps", "Mbps", "kbps", "bps", "Tbps"];

/// Units of packets.
pub(crate) const PACKET_UNITS: [&str; 4] = ["kpps", "Mpps", "pps", "Gpps"];

/// The kinds as people choose them.
pub(crate) const KINDS: [(&str, &str); 4] = [
    ("bps", "threshold in bits"),
    ("pps", "threshold in packets"),
    ("zscore", "unusual traffic (z-score)"),
    ("advanced_ddos", "DDoS rules over sFlow"),
];

/// What the person wrote.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    /// One of [`KINDS`]; `threshold` for programs.
    #[serde(alias = "type")]
    pub(crate) kind: Option<String>,
    /// Networks, as a list or as text.
    pub(crate) prefixes: Option<Value>,
    pub(crate) automatic_advertisement: Option<Value>,
    /// `2.5`, with `bits_unit`; or a number of bit/s, or a text with its unit.
    #[serde(alias = "bandwidth_threshold")]
    pub(crate) bits: Option<Value>,
    pub(crate) bits_unit: Option<String>,
    #[serde(alias = "packet_threshold")]
    pub(crate) packets: Option<Value>,
    pub(crate) packets_unit: Option<String>,
    /// Minutes, or a text like 5m.
    pub(crate) duration: Option<Value>,
    pub(crate) prefix_match: Option<String>,
    pub(crate) zscore_sensitivity: Option<String>,
    pub(crate) zscore_target: Option<String>,
    /// Names the state that the person saw; empty for a new rule.
    #[serde(default)]
    pub(crate) seen: String,
    pub(crate) confirm: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) act: Option<String>,
    /// Ticks.
    #[serde(flatten)]
    pub(crate) ticks: Map<String, Value>,
}

/// Names the state of a rule.
pub(crate) fn seen(rule: &MnmRule) -> String {
    fingerprint(&format!("{rule:?}"))
}

fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl Wanted {
    /// Whether the form sent ticks, or a program a list: only then the prefixes are what it says.
    fn prefixes(&self, before: Option<&MnmFields>) -> Result<Vec<Prefix>, String> {
        let ticked = self.ticks.keys().filter_map(|name| name.strip_prefix(TICK));
        let mut texts: Vec<String> = ticked.map(str::to_owned).collect();
        match &self.prefixes {
            Some(Value::Array(list)) => texts.extend(list.iter().filter_map(|item| text(Some(item)))),
            Some(Value::String(more)) => {
                texts.extend(
                    more.split([' ', ',', '\n', '\r', '\t'])
                        .filter(|text| !text.is_empty())
                        .map(str::to_owned),
                );
            }
            None if texts.is_empty() => return Ok(before.map(|before| before.prefixes.clone()).unwrap_or_default()),
            _ => {}
        }
        let mut all = Vec::new();
        for text in texts {
            let prefix = Prefix::parse_strict(&text).map_err(|error| error.to_string())?;
            if !all.contains(&prefix) {
                all.push(prefix);
            }
        }
        // In the order in which they were, so that an untouched rule does not differ.
        if let Some(before) = before {
            all.sort_by_key(|prefix| {
                before
                    .prefixes
                    .iter()
                    .position(|known| known == prefix)
                    .unwrap_or(usize::MAX)
            });
        }
        Ok(all)
    }

    /// The rule that the person means.
    ///
    /// # Errors
    /// All problems, each with its field.
    pub(crate) fn fields(&self, before: Option<&MnmFields>) -> Result<MnmFields, Vec<(&'static str, String)>> {
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        let kind = match (self.kind.as_deref(), before) {
            (Some("bps" | "pps" | "threshold"), _) => MnmKind::Threshold,
            (Some(word), _) => MnmKind::from_text(word).unwrap_or_else(|| {
                wrong.push(("type", "one of bps, pps, zscore, advanced_ddos".to_owned()));
                MnmKind::Threshold
            }),
            (None, Some(before)) => before.kind,
            (None, None) => {
                wrong.push(("type", "say what kind of rule it is".to_owned()));
                MnmKind::Threshold
            }
        };
        let threshold = |value: &Option<Value>,
                         unit: &Option<String>,
                         read: fn(&str) -> Result<u64, rules::mnm::RateError>,
                         old: Option<u64>| {
            match text(value.as_ref()) {
                None => Ok(old),
                Some(number) if number.is_empty() => Ok(None),
                Some(number) => read(
                    &format!("{number} {}", unit.as_deref().unwrap_or_default())
                        .trim()
                        .replace(',', "."),
                )
                .map(Some)
                .map_err(|error| error.to_string()),
            }
        };
        let of_kind = kind == MnmKind::Threshold;
        let mut rate = |field, result: Result<Option<u64>, String>| match result {
            Ok(value) => value.filter(|_| of_kind),
            Err(why) => {
                wrong.push((field, why));
                None
            }
        };
        let bits = rate(
            "bandwidth_threshold",
            threshold(
                &self.bits,
                &self.bits_unit,
                bits_per_second,
                before.and_then(|before| before.bandwidth_threshold),
            ),
        );
        let packets = rate(
            "packet_threshold",
            threshold(
                &self.packets,
                &self.packets_unit,
                packets_per_second,
                before.and_then(|before| before.packet_threshold),
            ),
        );
        match self.kind.as_deref() {
            Some("bps") if bits.is_none() => wrong.push(("bandwidth_threshold", "set a threshold in bits".to_owned())),
            Some("pps") if packets.is_none() => {
                wrong.push(("packet_threshold", "set a threshold in packets".to_owned()))
            }
            _ => {}
        }
        let prefixes = self.prefixes(before).unwrap_or_else(|why| {
            wrong.push(("prefixes", why));
            Vec::new()
        });
        let duration = match text(self.duration.as_ref()) {
            None => before.and_then(|before| before.duration),
            Some(text) if text.is_empty() => None,
            Some(text) => {
                let minutes = text
                    .parse::<u64>()
                    .ok()
                    .map(|minutes| std::time::Duration::from_secs(minutes * 60));
                let read = minutes.or_else(|| domain::duration::parse(&text).ok());
                if read.is_none() {
                    wrong.push(("duration", "one of the offered durations".to_owned()));
                }
                read
            }
        };
        let chosen = |value: &Option<String>, old: Option<&String>, kinds: MnmKind| {
            match value.as_deref().map(str::trim) {
                None => old.cloned(),
                Some("") => None,
                Some(word) => Some(word.to_owned()),
            }
            .filter(|_| kind == kinds)
        };
        let mut fields = MnmFields {
            name: String::new(),
            kind,
            prefixes,
            automatic_advertisement: match text(self.automatic_advertisement.as_ref()).as_deref() {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => before.and_then(|before| before.automatic_advertisement),
            },
            bandwidth_threshold: bits,
            packet_threshold: packets,
            duration,
            prefix_match: chosen(
                &self.prefix_match,
                before.and_then(|before| before.prefix_match.as_ref()),
                MnmKind::AdvancedDdos,
            ),
            zscore_sensitivity: chosen(
                &self.zscore_sensitivity,
                before.and_then(|before| before.zscore_sensitivity.as_ref()),
                MnmKind::Zscore,
            ),
            zscore_target: chosen(
                &self.zscore_target,
                before.and_then(|before| before.zscore_target.as_ref()),
                MnmKind::Zscore,
            ),
        };
        fields.name = match self.name.as_deref().map(str::trim) {
            None => before.map(|before| before.name.clone()).unwrap_or_default(),
            Some(name) => name.to_owned(),
        };
        if fields.name.is_empty() && !fields.prefixes.is_empty() {
            fields.name = name_for(&fields);
        }
        for problem in problems(&fields) {
            if !wrong.iter().any(|(field, _)| *field == problem.field) {
                wrong.push((problem.field, problem.text));
            }
        }
        if wrong.is_empty() { Ok(fields) } else { Err(wrong) }
    }
}

fn optional(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn yes_no(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => "not said".to_owned(),
    }
}

/// Every field with its words.
pub(crate) fn described(fields: &MnmFields) -> [(&'static str, String); 10] {
    let rate = |value: Option<u64>, unit| value.map(|value| rate_text(value, unit)).unwrap_or_default();
    [
        ("name", fields.name.clone()),
        ("kind", fields.kind.as_str().to_owned()),
        ("prefixes", list(&fields.prefixes)),
        ("advertises by itself", yes_no(fields.automatic_advertisement)),
        ("threshold in bits", rate(fields.bandwidth_threshold, "bps")),
        ("threshold in packets", rate(fields.packet_threshold, "pps")),
        (
            "for at least",
            fields.duration.map(domain::duration::human).unwrap_or_default(),
        ),
        ("prefix match", optional(&fields.prefix_match)),
        ("z-score sensitivity", optional(&fields.zscore_sensitivity)),
        ("z-score target", optional(&fields.zscore_target)),
    ]
}

/// What differs between the rule as read and as wanted; everything for a new one.
pub(crate) fn differences(before: Option<&MnmFields>, after: &MnmFields) -> Vec<Difference> {
    let old = before.map(described);
    described(after)
        .into_iter()
        .enumerate()
        .map(|(number, (what, words))| Difference {
            what,
            before: old.as_ref().map(|old| old[number].1.clone()).unwrap_or_default(),
            after: words,
            note: String::new(),
        })
        .filter(|difference| difference.before != difference.after)
        .map(|mut difference| {
            difference.note = note(&difference, after);
            difference
        })
        .collect()
}

fn note(difference: &Difference, after: &MnmFields) -> String {
    let note = match difference.what {
        "prefixes" | "advertises by itself"
            if after.prefixes.len() > 1 && after.automatic_advertisement == Some(true) =>
        {
            "their traffic is summed, and all are advertised together"
        }
        "advertises by itself" if after.automatic_advertisement != Some(true) => {
            "an attack is only told; somebody must advertise"
        }
        _ => "",
    };
    note.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn rule() -> MnmFields {
        MnmFields {
            name: "net".into(),
            kind: MnmKind::Threshold,
            prefixes: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::/48".parse().unwrap()],
            automatic_advertisement: Some(true),
            bandwidth_threshold: Some(500_000_001),
            packet_threshold: None,
            duration: Some(Duration::from_secs(3_600)),
            prefix_match: None,
            zscore_sensitivity: None,
            zscore_target: None,
        }
    }

    fn wanted(fields: Value) -> Wanted {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn an_untouched_rule_comes_out_as_it_was() {
        let before = rule();
        assert_eq!(wanted(json!({})).fields(Some(&before)).unwrap(), before);
        // What the form sends when nothing was touched.
        let form = wanted(
            json!({"name": "net", "kind": "bps", "p:2001:db8::/48": "on", "p:203.0.113.0/24": "on", "prefixes": "",
            "automatic_advertisement": "true", "bits": "500000001", "bits_unit": "bps", "packets": "", "packets_unit": "kpps",
            "duration": "60", "prefix_match": "", "zscore_sensitivity": "", "zscore_target": ""}),
        );
        let after = form.fields(Some(&before)).unwrap();
        assert_eq!(after, before);
        assert!(differences(Some(&before), &after).is_empty());
    }

    #[test]
    fn decimals_and_small_rates_are_what_they_say() {
        for (bits, unit, expected) in [
            ("2.5", "Gbps", 2_500_000_000),
            ("0.5", "Gbps", 500_000_000),
            ("2,5", "Mbps", 2_500_000),
            ("1", "bps", 1),
        ] {
            let after = wanted(json!({"bits": bits, "bits_unit": unit}))
                .fields(Some(&rule()))
                .unwrap();
            assert_eq!(after.bandwidth_threshold, Some(expected), "{bits} {unit}");
        }
        let number = wanted(json!({"bandwidth_threshold": 1_500_000_000_u64}))
            .fields(Some(&rule()))
            .unwrap();
        assert_eq!(number.bandwidth_threshold, Some(1_500_000_000));
    }

    #[test]
    fn what_cannot_be_meant_is_named_by_field() {
        let new = |extra: Value| {
            let mut base = json!({"kind": "bps", "bits": "1", "bits_unit": "Gbps", "automatic_advertisement": "true", "prefixes": "203.0.113.0/24"});
            base.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            wanted(base).fields(None)
        };
        assert_eq!(
            new(json!({})).unwrap().name,
            "bps-203.0.113.0_24",
            "a name that conforms"
        );
        assert_eq!(
            new(json!({"prefixes": "2001:db8::/48"})).unwrap().prefixes.len(),
            1,
            "IPv6 is equal"
        );
        for (extra, field) in [
            (json!({"prefixes": "203.0.113.7/24"}), "prefixes"),
            (json!({"prefixes": ""}), "prefixes"),
            (json!({"name": "two words"}), "name"),
            (json!({"bits": "much"}), "bandwidth_threshold"),
            (json!({"bits": ""}), "bandwidth_threshold"),
            (json!({"kind": "pps"}), "packet_threshold"),
            (json!({"duration": "2"}), "duration"),
            (json!({"duration": "often"}), "duration"),
            (json!({"kind": "zscore"}), "zscore_sensitivity"),
            (json!({"kind": "guess"}), "type"),
        ] {
            let wrong = new(extra.clone()).unwrap_err();
            assert!(wrong.iter().any(|(found, _)| *found == field), "{extra}: {wrong:?}");
        }
    }

    #[test]
    fn several_prefixes_that_advertise_together_are_pointed_out() {
        let after = MnmFields {
            automatic_advertisement: Some(true),
            ..rule()
        };
        let before = MnmFields {
            automatic_advertisement: Some(false),
            ..rule()
        };
        let found = differences(Some(&before), &after);
        assert_eq!(found.len(), 1);
        assert!(found[0].note.contains("summed"), "{found:?}");
    }
}
