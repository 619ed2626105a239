//! A rule before it is sent: everything that Cloudflare would refuse, and everything that is asked for in vain.
//!
//! All problems are found at once, each with the field, so that a form can show them where they belong.

use std::collections::BTreeSet;

use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use domain::prefix::Prefix;
use serde::Serialize;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The API's name of the field.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

const LONGEST_NAME: usize = 256;
const MOST_PREFIXES: usize = 5_000;

/// All that is wrong with a rule.
pub fn problems(fields: &MnmFields) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut wrong = |field, text: String| found.push(Problem { field, text });
    if let Some(text) = name_problem(&fields.name) {
        wrong("name", text);
    }
    let unique: BTreeSet<Prefix> = fields.prefixes.iter().copied().collect();
    if fields.prefixes.is_empty() {
        wrong("prefixes", "a rule watches at least one prefix".to_owned());
    } else if fields.prefixes.len() > MOST_PREFIXES {
        wrong("prefixes", format!("a rule watches at most {MOST_PREFIXES} prefixes"));
    } else if unique.len() != fields.prefixes.len() {
        wrong("prefixes", "a prefix stands in it twice".to_owned());
    }
    if fields.automatic_advertisement.is_none() {
        wrong("automatic_advertisement", "say yes or no".to_owned());
    }
    if let Some(duration) = fields.duration
        && !super::durations().any(|allowed| allowed == duration)
    {
        let minutes = super::MINUTES.map(|minutes| minutes.to_string()).join(", ");
        wrong("duration", format!("Cloudflare takes {minutes} minutes"));
    }
    for (field, value) in [
        ("bandwidth_threshold", fields.bandwidth_threshold),
        ("packet_threshold", fields.packet_threshold),
    ] {
        if value == Some(0) {
            wrong(field, "a threshold is at least 1".to_owned());
        }
        if value.is_some() && fields.kind != MnmKind::Threshold {
            wrong(
                field,
                format!("a rule of type {} has no threshold", fields.kind.as_str()),
            );
        }
    }
    match fields.kind {
        MnmKind::Threshold if fields.bandwidth_threshold.is_none() && fields.packet_threshold.is_none() => {
            wrong(
                "bandwidth_threshold",
                "set a threshold in bit/s or in packet/s".to_owned(),
            );
        }
        MnmKind::Zscore => {
            if fields.zscore_sensitivity.is_none() {
                wrong("zscore_sensitivity", "choose low, medium or high".to_owned());
            }
            if fields.zscore_target.is_none() {
                wrong("zscore_target", "choose bits or packets".to_owned());
            }
        }
        _ => {}
    }
    for (field, value, words, kind) in [
        (
            "prefix_match",
            &fields.prefix_match,
            &["exact", "subnet", "supernet"][..],
            MnmKind::AdvancedDdos,
        ),
        (
            "zscore_sensitivity",
            &fields.zscore_sensitivity,
            &["low", "medium", "high"][..],
            MnmKind::Zscore,
        ),
        (
            "zscore_target",
            &fields.zscore_target,
            &["bits", "packets"][..],
            MnmKind::Zscore,
        ),
    ] {
        let Some(value) = value else { continue };
        if !words.contains(&value.as_str()) {
            wrong(field, format!("choose {}", words.join(", ")));
        }
        if fields.kind != kind {
            wrong(field, format!("only rules of type {} have it", kind.as_str()));
        }
    }
    found
}

fn name_problem(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.~-".contains(c);
    if name.is_empty() {
        return Some("a rule has a name".to_owned());
    }
    if name.chars().count() > LONGEST_NAME {
        return Some(format!("a name has at most {LONGEST_NAME} characters"));
    }
    let bad = name.chars().find(|c| !allowed(*c))?;
    let shown = if bad == ' ' {
        "a space".to_owned()
    } else {
        format!("'{}'", bad.escape_default())
    };
    Some(format!("{shown} is not allowed: letters, digits, _ - . ~"))
}

/// A name that conforms, for a rule of this kind on this prefix: `bps-203.0.113.0_24`, `zscore-2001.db8.._32`.
pub fn name_for(fields: &MnmFields) -> String {
    let kind = match fields.kind {
        MnmKind::Threshold if fields.bandwidth_threshold.is_some() => "bps",
        MnmKind::Threshold => "pps",
        MnmKind::Zscore => "zscore",
        MnmKind::AdvancedDdos => "ddos",
    };
    let prefix = match fields.prefixes.as_slice() {
        [] => "none".to_owned(),
        [one] => one.to_string().replace(':', ".").replace('/', "_"),
        [one, more @ ..] => format!(
            "{}-and-{}",
            one.to_string().replace(':', ".").replace('/', "_"),
            more.len()
        ),
    };
    format!("{kind}-{prefix}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn good() -> MnmFields {
        MnmFields {
            name: "net-203.0.113.0_24".into(),
            kind: MnmKind::Threshold,
            prefixes: vec!["203.0.113.0/24".parse().unwrap()],
            automatic_advertisement: Some(true),
            bandwidth_threshold: Some(1),
            packet_threshold: None,
            duration: Some(Duration::from_secs(60)),
            prefix_match: None,
            zscore_sensitivity: None,
            zscore_target: None,
        }
    }

    #[test]
    fn all_four_kinds_are_good() {
        let kind = |change: fn(&mut MnmFields)| {
            let mut fields = good();
            change(&mut fields);
            assert_eq!(problems(&fields), [], "{fields:?}");
            assert!(name_problem(&name_for(&fields)).is_none());
        };
        kind(|_| {});
        kind(|it| (it.bandwidth_threshold, it.packet_threshold) = (None, Some(u64::MAX)));
        kind(|it| {
            (it.kind, it.bandwidth_threshold) = (MnmKind::Zscore, None);
            (it.zscore_sensitivity, it.zscore_target) = (Some("low".into()), Some("packets".into()));
        });
        kind(|it| {
            (it.kind, it.bandwidth_threshold) = (MnmKind::AdvancedDdos, None);
            it.prefix_match = Some("subnet".into());
            it.prefixes = vec!["2001:db8::/32".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
        });
    }

    #[test]
    fn what_cloudflare_refuses_is_named_by_field() {
        let bad = |change: fn(&mut MnmFields), field: &str, words: &str| {
            let mut fields = good();
            change(&mut fields);
            let found = problems(&fields);
            assert!(
                found.iter().any(|it| it.field == field && it.text.contains(words)),
                "{field} {words}: {found:?}"
            );
        };
        bad(|it| it.name = "DDoS Protection BPS".into(), "name", "a space");
        bad(|it| it.name = "a/b".into(), "name", "'/'");
        bad(|it| it.name = "x".repeat(257), "name", "256");
        bad(|it| it.name = String::new(), "name", "has a name");
        bad(|it| it.prefixes.clear(), "prefixes", "at least one");
        bad(|it| it.prefixes.push(it.prefixes[0]), "prefixes", "twice");
        bad(
            |it| it.duration = Some(Duration::from_secs(120)),
            "duration",
            "1, 5, 10, 15, 20, 30, 45, 60",
        );
        bad(
            |it| it.bandwidth_threshold = Some(0),
            "bandwidth_threshold",
            "at least 1",
        );
        bad(
            |it| it.bandwidth_threshold = None,
            "bandwidth_threshold",
            "set a threshold",
        );
        bad(
            |it| it.automatic_advertisement = None,
            "automatic_advertisement",
            "yes or no",
        );
        bad(
            |it| it.prefix_match = Some("subnet".into()),
            "prefix_match",
            "advanced_ddos",
        );
        bad(|it| it.kind = MnmKind::Zscore, "zscore_target", "bits or packets");
        bad(|it| it.kind = MnmKind::Zscore, "bandwidth_threshold", "no threshold");
        bad(
            |it| it.zscore_sensitivity = Some("max".into()),
            "zscore_sensitivity",
            "low, medium, high",
        );
    }
}
