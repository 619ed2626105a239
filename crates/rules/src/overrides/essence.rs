//! What an override rule says, without what Cloudflare adds to it; and what a change makes of a list of rules.

use cf_api::rest::rulesets::{Overrides, Rule, RuleBody};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use serde::Deserialize;
use serde_json::Value;

/// What an override rule says. Two rules with the same essence do the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Essence {
    /// Name for people.
    pub description: String,
    /// What it applies to.
    pub expression: String,
    /// Whether it takes part.
    pub enabled: bool,
    /// Which ruleset it executes.
    pub executes: Option<String>,
    /// What it sets; entries for rules sorted, because only one can be about a rule.
    pub overrides: Value,
}

impl Essence {
    /// Of a rule as it was read.
    pub fn of(rule: &Rule) -> Self {
        Self::of_body(&rule.body())
    }

    /// Of a rule as it is sent.
    pub fn of_body(body: &RuleBody) -> Self {
        let fields = body.as_json();
        let text = |name: &str| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let parameters = fields.get("action_parameters");
        let raw = parameters
            .and_then(|it| it.get("overrides"))
            .cloned()
            .unwrap_or_default();
        let overrides = match Overrides::deserialize(&raw) {
            Ok(mut overrides) => {
                overrides.rules.sort_by(|a, b| a.id.cmp(&b.id));
                serde_json::to_value(overrides).unwrap_or(raw)
            }
            Err(_) => raw,
        };
        Self {
            description: text("description"),
            expression: text("expression"),
            enabled: fields.get("enabled").and_then(Value::as_bool).unwrap_or(true),
            executes: parameters
                .and_then(|it| it.get("id"))
                .and_then(Value::as_str)
                .map(str::to_owned),
            overrides,
        }
    }
}

/// What `change` makes of `rules`: ids where they are known, and what each rule says.
pub fn after(rules: &[Rule], change: &RulesetChange) -> Vec<(Option<String>, Essence)> {
    arranged(rules, change, Essence::of, |_, body| Some(Essence::of_body(body)))
}

/// Id that a rule has in [`rules_after`] as long as Cloudflare has not given one.
pub const NEW: &str = "new";

/// The rules as `change` leaves them, to be looked at before it is sent. A new one has the id [`NEW`].
pub fn rules_after(rules: &[Rule], change: &RulesetChange) -> Vec<Rule> {
    let of_body = |id: Option<&str>, body: &RuleBody| Rule::of_body(id.unwrap_or(NEW), body);
    let list = arranged(rules, change, Rule::clone, of_body);
    list.into_iter().map(|(_, rule)| rule).collect()
}

fn arranged<T>(
    rules: &[Rule],
    change: &RulesetChange,
    of: impl Fn(&Rule) -> T,
    of_body: impl Fn(Option<&str>, &RuleBody) -> Option<T>,
) -> Vec<(Option<String>, T)> {
    let mut list: Vec<(Option<String>, T)> = rules.iter().map(|rule| (Some(rule.id.clone()), of(rule))).collect();
    let at = |list: &[(Option<String>, T)], id: &str| list.iter().position(|(it, _)| it.as_deref() == Some(id));
    let place = |list: &[(Option<String>, T)], position: &Position| match position {
        Position::First => 0,
        Position::Last => list.len(),
        Position::Before(id) => at(list, id).unwrap_or(list.len()),
        Position::After(id) => at(list, id).map_or(list.len(), |index| index + 1),
        Position::Index(index) => usize::try_from(*index).unwrap_or(1).saturating_sub(1).min(list.len()),
    };
    match change {
        RulesetChange::Put { rules, .. } => {
            let made = rules.iter().filter_map(|body| Some((None, of_body(None, body)?)));
            list = made.collect();
        }
        RulesetChange::Add { rule, position } => {
            let index = place(&list, position.as_ref().unwrap_or(&Position::Last));
            if let Some(made) = of_body(None, rule) {
                list.insert(index, (None, made));
            }
        }
        RulesetChange::Edit { id, rule, position } => {
            if let (Some(index), Some(made)) = (at(&list, id), of_body(Some(id), rule)) {
                let (id, _) = list.remove(index);
                let index = position.as_ref().map_or(index, |position| place(&list, position));
                list.insert(index, (id, made));
            }
        }
        RulesetChange::Move { id, position } => {
            if let Some(index) = at(&list, id) {
                let moved = list.remove(index);
                let index = place(&list, position);
                list.insert(index, moved);
            }
        }
        RulesetChange::Delete { id } => list.retain(|(it, _)| it.as_deref() != Some(id)),
    }
    list
}
