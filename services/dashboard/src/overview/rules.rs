//! Whether every prefix has a rule that would notice an attack on it.
//!
//! Must hold: rules that were never read, or not for long, cover nothing: then coverage is unknown.

use std::time::Duration;

use db::inventory::MonitoringRule;
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::prefix::PrefixView;
use super::state::Tone;
use crate::words;

/// Rules change seldom, and are read again at least every few hours.
const BELIEVED_FOR: Duration = Duration::from_secs(86_400);

/// The rules in short.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Coverage {
    pub(crate) word: String,
    pub(crate) tone: Tone,
    pub(crate) rules: usize,
    pub(crate) read_at: Option<Timestamp>,
    /// Prefixes that no rule names.
    pub(crate) uncovered: Vec<Prefix>,
    /// Prefixes whose rules never advertise by themselves.
    pub(crate) by_hand: Vec<Prefix>,
    pub(crate) detail: String,
}

impl Coverage {
    pub(crate) fn of(rules: &[(MonitoringRule, Timestamp)], prefixes: &[PrefixView], now: Timestamp) -> Self {
        let read_at = rules.iter().map(|(_, read_at)| *read_at).min();
        let covering = |prefix: Prefix| {
            rules
                .iter()
                .filter(move |(rule, _)| rule.prefixes.iter().any(|network| network.contains(prefix)))
        };
        let watched = |view: &&PrefixView| view.on_demand_enabled != Some(false);
        let uncovered: Vec<Prefix> = prefixes
            .iter()
            .filter(watched)
            .map(|view| view.prefix)
            .filter(|prefix| covering(*prefix).next().is_none())
            .collect();
        let by_hand: Vec<Prefix> = prefixes
            .iter()
            .filter(watched)
            .map(|view| view.prefix)
            .filter(|prefix| {
                let mut rules = covering(*prefix).peekable();
                rules.peek().is_some() && rules.all(|(rule, _)| !advertises(rule))
            })
            .collect();
        let stale = read_at.is_none_or(|at| since(now, at) > BELIEVED_FOR);
        let (word, tone, detail) = match (read_at, uncovered.len(), by_hand.len()) {
            (None, ..) => (
                "unknown".to_owned(),
                Tone::Unknown,
                "No monitoring rule was read yet, or there is none.".to_owned(),
            ),
            (Some(at), ..) if stale => (
                "unknown".to_owned(),
                Tone::Unknown,
                format!("The rules were last read {} ago.", words::age_at(at, now)),
            ),
            (Some(_), 0, 0) => (
                "complete".to_owned(),
                Tone::Good,
                "Every prefix has a rule that advertises it.".to_owned(),
            ),
            (Some(_), 0, count) => (
                format!("{count} by hand"),
                Tone::Warn,
                "Rules notice an attack on every prefix, but some only tell.".to_owned(),
            ),
            (Some(_), count, _) => (
                format!("{count} without"),
                Tone::Warn,
                "No monitoring rule would notice an attack on some prefixes.".to_owned(),
            ),
        };
        Self {
            word,
            tone,
            rules: rules.len(),
            read_at,
            uncovered: if stale { Vec::new() } else { uncovered },
            by_hand: if stale { Vec::new() } else { by_hand },
            detail,
        }
    }
}

/// Whether the rule advertises by itself. Source: Cloudflare's API, `automatic_advertisement` of a rule, which may be null.
pub(crate) fn advertises(rule: &MonitoringRule) -> bool {
    let body: Option<serde_json::Value> = serde_json::from_str(&rule.body).ok();
    body.is_some_and(|body| body["automatic_advertisement"] == true)
}

#[cfg(test)]
mod tests {
    use super::advertises;
    use db::inventory::MonitoringRule;

    #[test]
    fn only_a_clear_yes_advertises() {
        let rule = |body: &str| MonitoringRule {
            id: "1".into(),
            name: "a".into(),
            prefixes: vec![],
            body: body.into(),
        };
        assert!(advertises(&rule(r#"{"automatic_advertisement":true}"#)));
        for body in [
            r#"{"automatic_advertisement":null}"#,
            r#"{"automatic_advertisement":false}"#,
            "{}",
            "?",
        ] {
            assert!(!advertises(&rule(body)), "{body}");
        }
    }
}
