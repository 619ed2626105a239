//! What a monitoring rule must be. Documented are the characters and length of names, at most 5,000 prefixes, thresholds
//! from 1 without a maximum, eight durations, and the words of the enumerations.
//!
//! Not documented, but demanded here because a rule without it could never fire or would not mean what it says: a
//! threshold for `threshold`, sensitivity and target for `zscore`, and `prefix_match` only for `advanced_ddos`.

use std::collections::HashSet;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::rest::failure;
use crate::wire::Reply;

/// Most prefixes of one rule.
const MOST_PREFIXES: usize = 5_000;
/// Longest name.
const LONGEST_NAME: usize = 256;
/// Minutes that a threshold can have to be exceeded.
const MINUTES: [u64; 8] = [1, 5, 10, 15, 20, 30, 45, 60];

const FIELDS: [&str; 11] = [
    "id",
    "name",
    "prefixes",
    "type",
    "automatic_advertisement",
    "bandwidth_threshold",
    "packet_threshold",
    "duration",
    "prefix_match",
    "zscore_sensitivity",
    "zscore_target",
];

fn bad(what: &str) -> Box<Reply> {
    Box::new(failure(400, 1001, &format!("invalid rule: {what}")))
}

/// The body's fields as they will be kept. The specification requires name, prefixes, type and `automatic_advertisement`
/// on changes too.
pub(super) fn rule(mut fields: Map<String, Value>, as_observed: bool) -> Result<Map<String, Value>, Box<Reply>> {
    // An example of the documentation writes `bandwidth`.
    if let Some(value) = fields.remove("bandwidth") {
        fields.entry("bandwidth_threshold").or_insert(value);
    }
    if let Some(stranger) = fields.keys().find(|k| !FIELDS.contains(&k.as_str())) {
        return Err(bad(&format!("unknown field {stranger}")));
    }
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.~-".contains(c) || (as_observed && "/: ".contains(c));
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(legal) {
        return Err(bad("name"));
    }
    prefixes(fields.get("prefixes"))?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if !["threshold", "zscore", "advanced_ddos"].contains(&kind) {
        return Err(bad("type"));
    }
    if !fields
        .get("automatic_advertisement")
        .is_some_and(|v| v.is_boolean() || v.is_null())
    {
        return Err(bad("automatic_advertisement"));
    }
    for threshold in ["bandwidth_threshold", "packet_threshold"] {
        match fields.get(threshold) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let number = whole_number(value).filter(|n| *n >= 1).ok_or_else(|| bad(threshold))?;
                fields.insert(threshold.to_owned(), json!(number));
            }
        }
    }
    for (field, allowed) in [
        ("prefix_match", &["exact", "subnet", "supernet"][..]),
        ("zscore_sensitivity", &["low", "medium", "high"][..]),
        ("zscore_target", &["bits", "packets"][..]),
    ] {
        if fields
            .get(field)
            .is_some_and(|v| !v.is_null() && v.as_str().is_none_or(|t| !allowed.contains(&t)))
        {
            return Err(bad(field));
        }
    }
    if let Some(given) = fields.get("duration").filter(|v| !v.is_null()) {
        let text = given.as_str().and_then(duration).ok_or_else(|| bad("duration"))?;
        fields.insert("duration".into(), json!(text));
    }
    if fields.get("duration").is_some_and(Value::is_null) {
        fields.remove("duration");
    }
    Ok(fields)
}

/// What has to fit together in a complete rule.
pub(super) fn whole(rule: &Value) -> Result<(), Box<Reply>> {
    let none = |field: &str| rule.get(field).is_none_or(Value::is_null);
    match rule["type"].as_str() {
        Some("threshold") if none("bandwidth_threshold") && none("packet_threshold") => {
            Err(bad("a threshold rule needs bandwidth_threshold or packet_threshold"))
        }
        Some("zscore") if none("zscore_sensitivity") || none("zscore_target") => {
            Err(bad("a zscore rule needs zscore_sensitivity and zscore_target"))
        }
        Some("threshold" | "zscore") if !none("prefix_match") => {
            Err(bad("prefix_match is only for advanced_ddos rules"))
        }
        _ => Ok(()),
    }
}

fn prefixes(given: Option<&Value>) -> Result<(), Box<Reply>> {
    let listed = given.and_then(Value::as_array).ok_or_else(|| bad("prefixes"))?;
    if listed.is_empty() || listed.len() > MOST_PREFIXES {
        return Err(bad("prefixes"));
    }
    let mut seen = HashSet::new();
    for text in listed {
        let network: IpNet = text
            .as_str()
            .and_then(|t| t.parse().ok())
            .ok_or_else(|| bad("prefixes"))?;
        if network != network.trunc() || !seen.insert(network) {
            return Err(bad("prefixes"));
        }
    }
    Ok(())
}

/// JSON knows one kind of number: 1e9 and 1000000000.0 are as good as 1000000000.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..1e18).contains(n))?;
        // Whole and in range, as was just seen.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(number as u64)
    })
}

/// One of the eight durations in any spelling, as Go writes it.
fn duration(text: &str) -> Option<String> {
    let seconds = crate::config::duration_text::parse(text).ok()?.as_secs();
    if !MINUTES.iter().any(|m| m * 60 == seconds) {
        return None;
    }
    Some(match seconds {
        3600 => "1h0m0s".to_owned(),
        seconds => format!("{}m0s", seconds / 60),
    })
}
