//! One setting in one scope: action and sensitivity of a managed rule, of a category, or of the whole ruleset.
//!
//! Must hold: exactly the setting meant is changed in exactly the scope meant; what it changes for each managed rule is known
//! before it is sent; what is reset falls back to the next wider setting, which is named.

use cf_api::rest::rulesets::{Overrides, Rule};
use cf_api::rest::rulesets_changes::RulesetChange;
use db::users::Role;
use rules::effective::{Effective, Source, settle};
use rules::overrides::{About, SENSITIVITIES, Where, is_read_only, rules_after, set, usable_actions};
use serde::{Deserialize, Serialize};

use super::weakens;
use crate::answer::Failure;
use crate::api::reason;
use crate::asking::{Asking, Said};
use crate::protection::{self, EVERYWHERE, Protection, edit_of, short_name, source_words};
use crate::words;

/// What is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// All rules.
    Ruleset,
    /// The rules of a category.
    Category(String),
    /// A managed rule, by its id.
    Rule(String),
}

/// What somebody wrote.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub(crate) scope: String,
    pub(crate) action: Option<String>,
    #[serde(alias = "sensitivity_level")]
    pub(crate) sensitivity: Option<String>,
    #[serde(flatten)]
    pub(crate) said: Said,
    pub(crate) act: Option<String>,
}

/// Action and sensitivity at one level, as far as that level sets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Level {
    pub(crate) name: String,
    pub(crate) action: Option<String>,
    pub(crate) sensitivity: Option<String>,
}

/// What a change does to one managed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) name: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// A change, looked at before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    change: RulesetChange,
    /// In force in this scope, where it differs.
    pub(crate) effects: Vec<Effect>,
    /// What is set there then.
    pub(crate) level: Level,
    /// Protection gets weaker for everything: the name has to be typed.
    pub(crate) weakens: bool,
}

impl Subject {
    fn about(&self) -> About<'_> {
        match self {
            Self::Ruleset => About::Ruleset,
            Self::Category(name) => About::Category(name),
            Self::Rule(id) => About::Rule(id),
        }
    }

    /// What people call it, and type.
    ///
    /// # Errors
    /// 404 for a rule or category that is not there.
    pub(crate) fn name(&self, protection: &Protection) -> Result<String, Failure> {
        Ok(match self {
            Self::Ruleset => "all rules".to_owned(),
            Self::Category(name) => {
                let is_there = |rule: &Rule| rule.categories.iter().any(|known| known == name);
                if !protection.managed.rules.iter().any(is_there) {
                    return Err(Failure::not_found("There is no such category."));
                }
                words::outside_up_to(name, 60)
            }
            Self::Rule(id) => short_name(protection.rule(id)?).to_owned(),
        })
    }

    /// The managed rules that it is about.
    pub(crate) fn rules<'a>(&self, protection: &'a Protection) -> Vec<&'a Rule> {
        let is_meant = |rule: &&Rule| match self {
            Self::Ruleset => true,
            Self::Category(name) => rule.categories.iter().any(|known| known == name),
            Self::Rule(id) => rule.id == *id,
        };
        protection.managed.rules.iter().filter(is_meant).collect()
    }

    /// The actions that can be set: those that some rule of it takes.
    pub(crate) fn actions(&self, protection: &Protection) -> Vec<&'static str> {
        let rules = self.rules(protection);
        rules::overrides::ACTIONS
            .into_iter()
            .filter(|word| rules.iter().any(|rule| usable_actions(rule).contains(word)))
            .collect()
    }

    pub(crate) fn sensitivities(&self) -> [&'static str; 4] {
        SENSITIVITIES
    }

    /// How many of its rules Cloudflare lets nobody change.
    pub(crate) fn fixed(&self, protection: &Protection) -> usize {
        self.rules(protection)
            .into_iter()
            .filter(|rule| is_read_only(rule))
            .count()
    }

    /// What overrides set for it, and nothing for what is wider or narrower.
    pub(crate) fn level(&self, overrides: &Overrides) -> Level {
        let (name, action, sensitivity) = match self {
            Self::Ruleset => (
                "all rules".to_owned(),
                overrides.action.clone(),
                overrides.sensitivity_level.clone(),
            ),
            Self::Category(name) => {
                let of = overrides.categories.iter().rev().filter(|one| one.category == *name);
                (
                    name.clone(),
                    of.clone().find_map(|one| one.action.clone()),
                    of.clone().find_map(|one| one.sensitivity_level.clone()),
                )
            }
            Self::Rule(id) => {
                let one = overrides.rules.iter().rev().find(|one| one.id == *id);
                (
                    "the rule".to_owned(),
                    one.and_then(|one| one.action.clone()),
                    one.and_then(|one| one.sensitivity_level.clone()),
                )
            }
        };
        Level {
            name,
            action,
            sensitivity,
        }
    }
}

/// Every level that can say something about a managed rule, the widest first; a narrower one beats a wider one.
pub(crate) fn levels(rule: &Rule, overrides: &Overrides) -> Vec<Level> {
    let mut all = vec![
        Level {
            name: "Cloudflare's default".to_owned(),
            action: rule.action.clone(),
            sensitivity: Some(rule.own_sensitivity().unwrap_or("default").to_owned()),
        },
        Subject::Ruleset.level(overrides),
    ];
    // Of several categories the last in the override's list counts.
    let mut names: Vec<&String> = rule.categories.iter().collect();
    names.sort_by_key(|name| overrides.categories.iter().rposition(|one| one.category == **name));
    all.extend(names.into_iter().map(|name| {
        let level = Subject::Category(name.clone()).level(overrides);
        Level {
            name: format!("category {}", words::outside_up_to(name, 40)),
            ..level
        }
    }));
    all.push(Subject::Rule(rule.id.clone()).level(overrides));
    all
}

/// What is in force, with where it comes from.
pub(crate) fn in_force(effective: &Effective) -> String {
    let say = |setting: &rules::effective::Setting| match &setting.source {
        Source::Default => setting.value.clone(),
        source => format!("{} ({})", setting.value, source_words(source)),
    };
    words::outside_up_to(
        &format!("{}, {}", say(&effective.action), say(&effective.sensitivity)),
        160,
    )
}

/// The overrides of a scope; none where it has no override rule yet.
///
/// # Errors
/// 409 where they have an unknown shape.
pub(crate) fn overrides_of(scope: Option<&Rule>) -> Result<Overrides, Failure> {
    match scope.map(Rule::overrides) {
        None => Ok(Overrides::default()),
        Some(Ok(overrides)) => Ok(overrides),
        Some(Err(_)) => Err(Failure::new(
            axum::http::StatusCode::CONFLICT,
            "not_editable",
            "What this override sets cannot be understood, so nothing of it is changed here.",
        )),
    }
}

/// The change of one setting in one scope.
///
/// # Errors
/// 400 for what cannot be meant, 404 for what is not there.
pub(crate) fn plan(protection: &Protection, subject: &Subject, wanted: &Wanted) -> Result<Plan, Failure> {
    subject.name(protection)?;
    let scope = protection.scope(&wanted.scope)?;
    let place = if wanted.scope == EVERYWHERE {
        Where::Everywhere
    } else {
        Where::In(&wanted.scope)
    };
    let (action, sensitivity) = (
        edit_of(wanted.action.as_deref()),
        edit_of(wanted.sensitivity.as_deref()),
    );
    let (seen, managed) = (&protection.point, &protection.managed);
    let change = set(seen, managed, place, subject.about(), &action, &sensitivity)
        .map_err(|found| protection::problems(&found))?
        .ok_or_else(|| Failure::bad_request("nothing_differs", "Nothing differs from what is there."))?;
    let rules = rules_after(seen.rules(), &change);
    let is_scope = |rule: &&Rule| match scope {
        Some(scope) => rule.id == scope.id,
        None => rules::effective::is_everything(rule),
    };
    let before = overrides_of(scope)?;
    let after = rules.iter().find(is_scope).map(Rule::overrides);
    let after = after.and_then(Result::ok).unwrap_or_default();
    let pairs = settle(managed, &before).into_iter().zip(settle(managed, &after));
    let effects = pairs.zip(&managed.rules).filter(|((before, after), _)| before != after);
    Ok(Plan {
        effects: effects
            .map(|((before, after), rule)| Effect {
                name: words::outside_up_to(short_name(rule), 40),
                before: in_force(&before),
                after: in_force(&after),
            })
            .collect(),
        level: subject.level(&after),
        weakens: weakens(protection, seen.rules(), &rules),
        change,
    })
}

/// Sets or resets it.
///
/// # Errors
/// 400 for what cannot be meant, 409 when somebody changed the overrides meanwhile or Cloudflare declines, 503 when they
/// cannot be read or the outcome is not known.
pub(crate) async fn save(
    asking: &Asking<Wanted>,
    protection: &Protection,
    subject: &Subject,
) -> Result<String, Failure> {
    let wanted = &asking.fields;
    asking.member.needs(Role::Operator)?;
    let why = reason::of(wanted.said.reason.as_deref())?;
    protection.is(&wanted.said.seen)?;
    let plan = plan(protection, subject, wanted)?;
    let name = subject.name(protection)?;
    if plan.weakens && !wanted.said.has_typed(&name) {
        let text = format!("Type {name}: this weakens protection for every destination. Nothing was sent.");
        return Err(Failure::bad_request("confirmation_required", text));
    }
    let what = (protection, plan.change, None);
    Ok(protection::change(asking, why, what, &name).await?.told)
}
