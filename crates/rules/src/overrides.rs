//! Overrides: what one is about, what is wrong with one, and the change that sets or resets exactly the setting meant.
//!
//! Must hold: a change is made for one scope, named by the caller; other entries of the same override rule stay as they
//! are; the global scope is the rule for `true` and never another; only what Cloudflare lets be set is set.

mod essence;
mod problem;

use cf_api::rest::rulesets::{
    CategoryOverride, EntryPoint, MANAGED_DDOS_L4, Overrides, Rule, RuleBody, RuleOverride, Ruleset,
};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};

pub use essence::{Essence, NEW, after, rules_after};
pub use problem::{
    ACTIONS, Problem, READ_ONLY, SENSITIVITIES, action_problem, is_read_only, problems, sensitivity_problem,
    usable_actions,
};

use crate::effective::{is_everything, overrides_ddos_l4};

/// Where a setting is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where<'a> {
    /// For everything: the override rule for `true`, which is created if need be.
    Everywhere,
    /// In the override rule with this id.
    In(&'a str),
}

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'a> {
    /// The whole ruleset.
    Ruleset,
    /// A category.
    Category(&'a str),
    /// A managed rule, by id.
    Rule(&'a str),
}

/// What happens to one value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Edit {
    /// It stays.
    #[default]
    Keep,
    /// Back to what is in force without it.
    Reset,
    /// This one.
    Set(String),
}

impl Edit {
    fn apply(&self, value: &mut Option<String>) {
        match self {
            Self::Keep => {}
            Self::Reset => *value = None,
            Self::Set(new) => *value = Some(new.clone()),
        }
    }
}

/// Name of the override rule for everything, when this program creates it.
pub const GLOBAL: &str = "global";

/// The change that makes a setting. `Ok(None)` when everything is so already.
///
/// # Errors
/// All that is wrong with it.
pub fn set(
    seen: &EntryPoint,
    managed: &Ruleset,
    place: Where<'_>,
    about: About<'_>,
    action: &Edit,
    sensitivity: &Edit,
) -> Result<Option<RulesetChange>, Vec<Problem>> {
    let mut wrong = Vec::new();
    if let Edit::Set(word) = action {
        wrong.extend(action_problem(word));
    }
    if let Edit::Set(word) = sensitivity {
        wrong.extend(sensitivity_problem(word));
    }
    wrong.extend(problem::about(managed, about, action));
    let rule = match place {
        Where::Everywhere => seen
            .rules()
            .iter()
            .find(|rule| is_everything(rule) && overrides_ddos_l4(rule)),
        Where::In(id) => {
            let found = seen.rules().iter().find(|rule| rule.id == id);
            if !found.is_some_and(overrides_ddos_l4) {
                wrong.push(Problem::new(
                    "override",
                    format!("there is no override {id} of this ruleset"),
                ));
            }
            found
        }
    };
    let before = match rule.map(Rule::overrides) {
        None => Overrides::default(),
        Some(Ok(overrides)) => overrides,
        Some(Err(error)) => {
            wrong.push(Problem::new(
                "override",
                format!("its overrides cannot be read: {error}"),
            ));
            Overrides::default()
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut overrides = before.clone();
    edit(&mut overrides, about, action, sensitivity);
    if overrides == before {
        return Ok(None);
    }
    Ok(Some(match rule {
        Some(rule) => {
            let mut body = rule.body();
            body.set_overrides(&overrides);
            RulesetChange::Edit {
                id: rule.id.clone(),
                rule: body,
                position: None,
            }
        }
        None => add(
            seen,
            RuleBody::overriding(MANAGED_DDOS_L4, "true", GLOBAL, &overrides),
            None,
        ),
    }))
}

/// The change that adds an override rule: before the one for everything, or where it is said; the whole entry point where
/// there is none yet.
pub fn add(seen: &EntryPoint, rule: RuleBody, position: Option<Position>) -> RulesetChange {
    if seen.ruleset().is_none() {
        return RulesetChange::Put {
            description: "Overrides of the network-layer DDoS ruleset".to_owned(),
            rules: vec![rule],
        };
    }
    let is_global = rule.as_json().get("expression").and_then(|it| it.as_str()) == Some("true");
    let global = seen.rules().iter().find(|rule| is_everything(rule));
    let position = match (position, global) {
        (Some(position), _) => Some(position),
        (None, Some(global)) if !is_global => Some(Position::Before(global.id.clone())),
        (None, _) => None,
    };
    RulesetChange::Add { rule, position }
}

/// Edits one entry and drops it when it says nothing any more.
fn edit(overrides: &mut Overrides, about: About<'_>, action: &Edit, sensitivity: &Edit) {
    match about {
        About::Ruleset => {
            action.apply(&mut overrides.action);
            sensitivity.apply(&mut overrides.sensitivity_level);
        }
        About::Category(name) => {
            let entries = &mut overrides.categories;
            if !entries.iter().any(|it| it.category == name) {
                entries.push(CategoryOverride {
                    category: name.to_owned(),
                    ..CategoryOverride::default()
                });
            }
            for entry in entries.iter_mut().filter(|it| it.category == name) {
                action.apply(&mut entry.action);
                sensitivity.apply(&mut entry.sensitivity_level);
            }
            entries.retain(|it| it.action.is_some() || it.sensitivity_level.is_some() || !it.other.is_empty());
        }
        About::Rule(id) => {
            let entries = &mut overrides.rules;
            if !entries.iter().any(|it| it.id == id) {
                entries.push(RuleOverride {
                    id: id.to_owned(),
                    ..RuleOverride::default()
                });
            }
            for entry in entries.iter_mut().filter(|it| it.id == id) {
                action.apply(&mut entry.action);
                sensitivity.apply(&mut entry.sensitivity_level);
            }
            entries.retain(|it| it.action.is_some() || it.sensitivity_level.is_some() || !it.other.is_empty());
        }
    }
}

/// Finds a managed rule by id, short name, or a part of its description that only one rule has.
///
/// # Errors
/// None, or several: their short names.
pub fn find_managed<'a>(managed: &'a Ruleset, wanted: &str) -> Result<&'a Rule, String> {
    let exact = managed.rules.iter().filter(|rule| {
        rule.id == wanted
            || rule
                .reference
                .as_deref()
                .is_some_and(|it| it.eq_ignore_ascii_case(wanted))
    });
    let mut exact: Vec<&Rule> = exact.collect();
    if let (1, Some(one)) = (exact.len(), exact.pop()) {
        return Ok(one);
    }
    let lower = wanted.to_lowercase();
    let alike: Vec<&Rule> = managed
        .rules
        .iter()
        .filter(|rule| {
            let text = |text: &Option<String>| text.as_deref().is_some_and(|it| it.to_lowercase().contains(&lower));
            !lower.is_empty() && (text(&rule.reference) || text(&rule.description))
        })
        .collect();
    match alike.as_slice() {
        [one] => Ok(one),
        [] => Err(format!("there is no managed rule '{wanted}'")),
        many => {
            let names: Vec<&str> = many
                .iter()
                .take(6)
                .map(|rule| rule.reference.as_deref().unwrap_or(&rule.id))
                .collect();
            Err(format!(
                "'{wanted}' fits {} managed rules: {}",
                many.len(),
                names.join(", ")
            ))
        }
    }
}
