//! What is wrong with an override before Cloudflare is asked.
//!
//! Source: developers.cloudflare.com, "Override parameters" and "Configure via API" of the network-layer DDoS ruleset.
//! What a managed rule allows is in `allowed_override_actions`; the last word is Cloudflare's.

use cf_api::rest::rulesets::{Overrides, Rule, Ruleset};
use serde::Serialize;

use super::{About, Edit};
use crate::expression::Expression;
use crate::target::{Fit, fit};

/// The actions that an override can set.
pub const ACTIONS: [&str; 2] = ["block", "log"];
/// The sensitivities that an override can set, from the highest.
pub const SENSITIVITIES: [&str; 4] = ["default", "medium", "low", "eoff"];

/// Category of the rules that nobody can change.
pub const READ_ONLY: &str = "read-only";

/// What is wrong with a part of an override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `name`, `expression`, `action`, `sensitivity`, `rule`, `category`, `override`.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

impl Problem {
    pub(super) fn new(field: &'static str, text: impl Into<String>) -> Self {
        Self {
            field,
            text: text.into(),
        }
    }
}

/// What is wrong with an action.
pub fn action_problem(word: &str) -> Option<Problem> {
    if ACTIONS.contains(&word) {
        return None;
    }
    let text = match word {
        "ddos_dynamic" => {
            "ddos_dynamic is what rules do by themselves and cannot be set; reset the rule to get it back".to_owned()
        }
        "managed_challenge" | "js_challenge" | "challenge" => {
            format!("{word} is for HTTP requests; packets can be blocked or logged: use block or log")
        }
        "skip" | "allow" => format!("{word} does not exist here; use log, or sensitivity eoff"),
        "drop" => "write block".to_owned(),
        _ => format!("'{}' is no action: use block or log", word.escape_debug()),
    };
    Some(Problem::new("action", text))
}

/// What is wrong with a sensitivity.
pub fn sensitivity_problem(word: &str) -> Option<Problem> {
    if SENSITIVITIES.contains(&word) {
        return None;
    }
    let text = match word.to_lowercase().as_str() {
        "high" => "the highest sensitivity is called default".to_owned(),
        "off" | "essentially off" | "essentially_off" => "the lowest sensitivity is called eoff".to_owned(),
        _ => format!(
            "'{}' is no sensitivity: use default, medium, low or eoff",
            word.escape_debug()
        ),
    };
    Some(Problem::new("sensitivity", text))
}

/// Whether a managed rule can be overridden, and to what.
pub(super) fn about(managed: &Ruleset, about: About<'_>, action: &Edit) -> Option<Problem> {
    match about {
        About::Ruleset => None,
        About::Category(READ_ONLY) => Some(Problem::new(
            "category",
            "read-only is what Cloudflare calls the rules that nobody can change",
        )),
        About::Category(name) => {
            let known = managed
                .rules
                .iter()
                .any(|rule| rule.categories.iter().any(|it| it == name));
            (!known).then(|| Problem::new("category", format!("no managed rule has the category '{name}'")))
        }
        About::Rule(id) => {
            let Some(rule) = managed.rules.iter().find(|rule| rule.id == id) else {
                return Some(Problem::new("rule", format!("there is no managed rule {id}")));
            };
            let word = match action {
                Edit::Set(word) => Some(word.as_str()),
                _ => None,
            };
            rule_problem(rule, word)
        }
    }
}

fn rule_problem(rule: &Rule, action: Option<&str>) -> Option<Problem> {
    let name = rule.reference.as_deref().unwrap_or(&rule.id);
    if is_read_only(rule) {
        return Some(Problem::new(
            "rule",
            format!("rule {name} is read only: Cloudflare lets nobody change it"),
        ));
    }
    let action = action?;
    let allowed = &rule.allowed_override_actions;
    if allowed.is_empty() || allowed.iter().any(|it| it == action) {
        return None;
    }
    // Cloudflare lists ddos_dynamic as well, and takes it from nobody.
    let usable = usable_actions(rule);
    let text = if usable.is_empty() {
        format!("the action of rule {name} cannot be set")
    } else {
        format!("rule {name} can only be set to {}", usable.join(" or "))
    };
    Some(Problem::new("action", text))
}

/// Whether Cloudflare lets nobody change this managed rule.
pub fn is_read_only(rule: &Rule) -> bool {
    rule.categories.iter().any(|it| it == READ_ONLY)
}

/// The actions that a managed rule can be set to: those that Cloudflare lists for it and takes; both where it lists none.
pub fn usable_actions(rule: &Rule) -> Vec<&'static str> {
    let allowed = &rule.allowed_override_actions;
    let usable = ACTIONS
        .into_iter()
        .filter(|word| allowed.is_empty() || allowed.iter().any(|it| it == word));
    usable.filter(|_| !is_read_only(rule)).collect()
}

/// All that is wrong with an override rule: its expression, and each of its settings.
pub fn problems(managed: &Ruleset, expression: &str, overrides: &Overrides) -> Vec<Problem> {
    let mut found = Vec::new();
    let parsed = match Expression::parse(expression) {
        Ok(parsed) => Some(parsed),
        Err(refusal) => {
            found.push(Problem::new("expression", refusal.to_string()));
            None
        }
    };
    if overrides.is_empty() {
        found.push(Problem::new("override", "it sets nothing"));
    }
    let mut check = |place: About<'_>, action: Option<&String>, sensitivity: Option<&String>| {
        found.extend(action.and_then(|word| action_problem(word)));
        found.extend(sensitivity.and_then(|word| sensitivity_problem(word)));
        let action = action.map_or(Edit::Keep, |word| Edit::Set(word.clone()));
        found.extend(about(managed, place, &action));
    };
    check(
        About::Ruleset,
        overrides.action.as_ref(),
        overrides.sensitivity_level.as_ref(),
    );
    for it in &overrides.categories {
        check(
            About::Category(&it.category),
            it.action.as_ref(),
            it.sensitivity_level.as_ref(),
        );
    }
    for it in &overrides.rules {
        check(About::Rule(&it.id), it.action.as_ref(), it.sensitivity_level.as_ref());
    }
    let others = overrides.categories.iter().map(|it| &it.other);
    let others = others
        .chain(overrides.rules.iter().map(|it| &it.other))
        .chain([&overrides.other]);
    if others
        .into_iter()
        .any(|other| other.get("enabled").is_some_and(|it| it == false))
    {
        found.push(Problem::new(
            "override",
            "rules of this ruleset cannot be switched off: use action log, or sensitivity eoff",
        ));
    }
    if let Some(expression) = parsed {
        for it in &overrides.rules {
            let rule = managed.rules.iter().find(|rule| rule.id == it.id);
            if let Some(Fit::Misfit(why)) = rule.map(|rule| fit(rule, &expression)) {
                found.push(Problem::new("rule", why));
            }
        }
    }
    found.dedup();
    found
}
