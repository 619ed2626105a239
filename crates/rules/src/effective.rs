//! What is in force for each managed rule, per scope, and which setting says so.
//!
//! Must hold: scopes are never mixed. An override for one host says nothing about all others; a disabled one says nothing
//! at all. Within a scope a rule's own entry beats one of its categories, which beats the one for the whole ruleset; of
//! several categories the last in the list counts. Action and sensitivity are settled apart from each other.
//!
//! Source: developers.cloudflare.com, "Override a managed ruleset"; "Handle a false positive" for the order.

use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Overrides, Rule, Ruleset};
use serde::Serialize;

use crate::expression::{Expression, covers};

/// Which setting a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "source", content = "category", rename_all = "snake_case")]
pub enum Source {
    /// Cloudflare's own.
    Default,
    /// The override for the whole ruleset.
    Ruleset,
    /// The override for this category.
    Category(String),
    /// The override for the rule.
    Rule,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The API's word; sensitivity `default` is the highest.
    pub value: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: Source,
}

/// What is in force for one managed rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Id of the managed rule.
    pub rule: String,
    /// What is done.
    pub action: Setting,
    /// How early it is done.
    pub sensitivity: Setting,
}

/// Why an override rule has no effect, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Muted {
    /// It is switched off.
    Disabled,
    /// It executes another ruleset, or does something else.
    NotOurs,
    /// Its overrides have an unknown shape; nothing is concluded.
    Unreadable {
        /// What cannot be read.
        detail: String,
    },
    /// An earlier rule takes in all it applies to, at the same or a higher sensitivity.
    Shadowed {
        /// Id of the earlier rule.
        by: String,
    },
}

/// One scope: what an override rule applies to, or everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Id of the override rule; `None` for Cloudflare's defaults.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// What it applies to.
    pub expression: String,
    /// Whether that is everything.
    pub everything: bool,
    /// Why it has no effect.
    pub muted: Option<Muted>,
    /// All managed rules, in their order; empty where nothing can be concluded.
    pub rules: Vec<Effective>,
}

/// All scopes: the override rules in order, then Cloudflare's defaults, which hold where none applies.
pub fn scopes(managed: &Ruleset, overrides: &[Rule]) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = overrides
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let mut scope = scope(managed, rule);
            if scope.muted.is_none() {
                let before = overrides.get(..index).unwrap_or_default();
                scope.muted = shadow(before, rule).map(|by| Muted::Shadowed { by });
            }
            scope
        })
        .collect();
    scopes.push(Scope {
        id: None,
        name: "Cloudflare's defaults".to_owned(),
        expression: "true".to_owned(),
        everything: true,
        muted: None,
        rules: settle(managed, &Overrides::default()),
    });
    scopes
}

fn scope(managed: &Ruleset, rule: &Rule) -> Scope {
    let expression = rule.expression.clone().unwrap_or_default();
    let (muted, rules) = match rule.overrides() {
        _ if rule.executes() != Some(&managed.summary.id) => (Some(Muted::NotOurs), Vec::new()),
        Err(error) => (
            Some(Muted::Unreadable {
                detail: error.to_string(),
            }),
            Vec::new(),
        ),
        Ok(overrides) => {
            let muted = (!rule.is_enabled()).then_some(Muted::Disabled);
            (muted, settle(managed, &overrides))
        }
    };
    Scope {
        id: Some(rule.id.clone()),
        name: rule.description.clone().unwrap_or_default(),
        everything: is_everything(rule),
        expression,
        muted,
        rules,
    }
}

/// Whether an override rule applies to everything: the global one.
pub fn is_everything(rule: &Rule) -> bool {
    rule.expression.as_deref().is_some_and(|text| text.trim() == "true")
}

/// Whether a rule overrides the network-layer DDoS ruleset.
pub fn overrides_ddos_l4(rule: &Rule) -> bool {
    rule.executes() == Some(MANAGED_DDOS_L4)
}

/// What is in force for every managed rule under these overrides.
pub fn settle(managed: &Ruleset, overrides: &Overrides) -> Vec<Effective> {
    managed.rules.iter().map(|rule| settle_one(rule, overrides)).collect()
}

/// What is in force for one managed rule under these overrides.
pub fn settle_one(rule: &Rule, overrides: &Overrides) -> Effective {
    let own = overrides.rules.iter().rev().find(|it| it.id == rule.id);
    let last_category = |has: fn(&cf_api::rest::rulesets::CategoryOverride) -> Option<&String>| {
        let of_rule = overrides.categories.iter().rev();
        let mut of_rule = of_rule.filter(|it| rule.categories.contains(&it.category));
        of_rule.find_map(|it| Some((it.category.clone(), has(it)?.clone())))
    };
    let pick =
        |own: Option<&String>, category: Option<(String, String)>, whole: Option<&String>, default: Option<&str>| {
            let setting = |value: &str, source| Setting {
                value: value.to_owned(),
                source,
            };
            if let Some(value) = own {
                return setting(value, Source::Rule);
            }
            if let Some((category, value)) = category {
                return setting(&value, Source::Category(category));
            }
            match whole {
                Some(value) => setting(value, Source::Ruleset),
                None => setting(default.unwrap_or("default"), Source::Default),
            }
        };
    Effective {
        rule: rule.id.clone(),
        action: pick(
            own.and_then(|it| it.action.as_ref()),
            last_category(|it| it.action.as_ref()),
            overrides.action.as_ref(),
            rule.action.as_deref(),
        ),
        sensitivity: pick(
            own.and_then(|it| it.sensitivity_level.as_ref()),
            last_category(|it| it.sensitivity_level.as_ref()),
            overrides.sensitivity_level.as_ref(),
            rule.own_sensitivity(),
        ),
    }
}

/// How high a sensitivity is; unknown words count as the highest, so that a warning is rather given than not.
fn height(word: Option<&str>) -> u8 {
    match word {
        Some("eoff") => 0,
        Some("low") => 1,
        Some("medium") => 2,
        _ => 3,
    }
}

/// The lowest and the highest sensitivity that an override rule sets for anything.
fn heights(rule: &Rule) -> (u8, u8) {
    let Ok(overrides) = rule.overrides() else { return (3, 3) };
    let whole = height(overrides.sensitivity_level.as_deref());
    let categories = overrides
        .categories
        .iter()
        .filter_map(|it| it.sensitivity_level.as_deref());
    let rules = overrides.rules.iter().filter_map(|it| it.sensitivity_level.as_deref());
    let all = categories.chain(rules).map(|word| height(Some(word)));
    all.fold((whole, whole), |(low, high), one| (low.min(one), high.max(one)))
}

/// The override rules that can never apply where they stand, each with the earlier one that takes all of it. Those that are
/// switched off do not count.
pub fn never_reached(rules: &[Rule]) -> Vec<(&Rule, &Rule)> {
    let pairs = rules.iter().enumerate().filter(|(_, rule)| rule.is_enabled());
    let pairs = pairs.filter_map(|(index, rule)| {
        let before = rules.get(..index).unwrap_or_default();
        let by = shadow(before, rule)?;
        Some((rule, before.iter().find(|earlier| earlier.id == by)?))
    });
    pairs.collect()
}

/// The earlier override rule that keeps `rule` from ever applying, if there is one for certain.
///
/// Evaluation stops at the first rule whose expression and sensitivity are met: an earlier one of lower sensitivity lets
/// weaker attacks through to the next.
pub fn shadow(before: &[Rule], rule: &Rule) -> Option<String> {
    let inner = Expression::parse(rule.expression.as_deref()?).ok()?;
    let (_, highest) = heights(rule);
    let by = before.iter().find(|earlier| {
        earlier.is_enabled()
            && earlier.executes() == rule.executes()
            && heights(earlier).0 >= highest
            && earlier
                .expression
                .as_deref()
                .and_then(|text| Expression::parse(text).ok())
                .is_some_and(|outer| covers(outer.root(), inner.root()))
    })?;
    Some(by.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cf_api::rest::rulesets::{CategoryOverride, RuleOverride};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn managed() -> Ruleset {
        serde_json::from_value(json!({"id": MANAGED_DDOS_L4, "version": "1", "phase": "ddos_l4", "rules": [
            {"id": "r1", "action": "block", "categories": ["generic", "udp"], "action_parameters": {"sensitivity_level": "low"}},
            {"id": "r2", "action": "ddos_dynamic", "categories": ["udp"]},
            {"id": "r3", "action": "log", "categories": []},
        ]}))
        .unwrap()
    }

    fn overriding(expression: &str, enabled: bool, overrides: Value) -> Rule {
        serde_json::from_value(
            json!({"id": format!("{expression}{overrides}"), "action": "execute", "expression": expression,
            "enabled": enabled, "action_parameters": {"id": MANAGED_DDOS_L4, "overrides": overrides}}),
        )
        .unwrap()
    }

    fn shown(effective: &Effective) -> String {
        let source = |setting: &Setting| match &setting.source {
            Source::Default => "default".to_owned(),
            Source::Ruleset => "ruleset".to_owned(),
            Source::Category(name) => format!("category {name}"),
            Source::Rule => "rule".to_owned(),
        };
        let (action, sensitivity) = (&effective.action, &effective.sensitivity);
        format!(
            "{} {} ({}), {} ({})",
            effective.rule,
            action.value,
            source(action),
            sensitivity.value,
            source(sensitivity)
        )
    }

    #[test]
    fn a_table_of_levels() {
        for (overrides, expected) in [
            (
                json!({}),
                [
                    "r1 block (default), low (default)",
                    "r2 ddos_dynamic (default), default (default)",
                    "r3 log (default), default (default)",
                ],
            ),
            (
                json!({"sensitivity_level": "medium"}),
                [
                    "r1 block (default), medium (ruleset)",
                    "r2 ddos_dynamic (default), medium (ruleset)",
                    "r3 log (default), medium (ruleset)",
                ],
            ),
            (
                json!({"action": "log", "categories": [{"category": "udp", "action": "block"}, {"category": "generic", "sensitivity_level": "eoff"}]}),
                [
                    "r1 block (category udp), eoff (category generic)",
                    "r2 block (category udp), default (default)",
                    "r3 log (ruleset), default (default)",
                ],
            ),
            (
                json!({"categories": [{"category": "udp", "action": "log"}, {"category": "generic", "action": "block"}],
                    "rules": [{"id": "r2", "sensitivity_level": "low"}]}),
                [
                    "r1 block (category generic), low (default)",
                    "r2 log (category udp), low (rule)",
                    "r3 log (default), default (default)",
                ],
            ),
            (
                json!({"rules": [{"id": "r1", "action": "log"}, {"id": "r9", "action": "block"}], "action": "block", "sensitivity_level": "eoff"}),
                [
                    "r1 log (rule), eoff (ruleset)",
                    "r2 block (ruleset), eoff (ruleset)",
                    "r3 block (ruleset), eoff (ruleset)",
                ],
            ),
        ] {
            let overrides: Overrides = serde_json::from_value(overrides).unwrap();
            let found: Vec<String> = settle(&managed(), &overrides).iter().map(shown).collect();
            assert_eq!(found, expected, "{overrides:?}");
        }
    }

    #[test]
    fn scopes_are_never_mixed() {
        let rules = [
            overriding("ip.dst eq 192.0.2.1", true, json!({"sensitivity_level": "eoff"})),
            overriding("ip.dst eq 192.0.2.2", false, json!({"action": "log"})),
            overriding("true", true, json!({"action": "block"})),
            overriding("ip.dst eq 192.0.2.3", true, json!({"action": "log"})),
        ];
        let scopes = scopes(&managed(), &rules);
        let first: Vec<String> = scopes.iter().map(|scope| shown(&scope.rules[0])).collect();
        assert_eq!(
            first,
            [
                "r1 block (default), eoff (ruleset)",
                "r1 log (ruleset), low (default)",
                "r1 block (ruleset), low (default)",
                "r1 log (ruleset), low (default)",
                "r1 block (default), low (default)"
            ]
        );
        assert_eq!(scopes[1].muted, Some(Muted::Disabled));
        assert_eq!(
            scopes[3].muted,
            Some(Muted::Shadowed {
                by: rules[2].id.clone()
            })
        );
        assert!(scopes[2].everything && scopes[2].muted.is_none());
        let mut other = overriding("true", true, json!({}));
        other.action_parameters = Some(json!({"id": "another"}));
        assert_eq!(super::scopes(&managed(), &[other])[0].muted, Some(Muted::NotOurs));
        let odd = overriding("true", true, json!({"rules": "all"}));
        let read = super::scopes(&managed(), &[odd]);
        assert!(matches!(read[0].muted, Some(Muted::Unreadable { .. })) && read[0].rules.is_empty());
    }

    #[test]
    fn an_earlier_rule_of_lower_sensitivity_lets_the_next_be_reached() {
        let low = overriding("true", true, json!({"sensitivity_level": "low", "action": "block"}));
        let high = overriding("true", true, json!({"sensitivity_level": "default", "action": "log"}));
        assert_eq!(shadow(std::slice::from_ref(&low), &high), None);
        assert_eq!(shadow(std::slice::from_ref(&high), &low), Some(high.id));
    }

    fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
    }

    fn overrides() -> impl Strategy<Value = Overrides> {
        let action = || word(&["log", "block"]);
        let level = || word(&["default", "medium", "low", "eoff"]);
        let category = (prop::sample::select(vec!["generic", "udp", "gre"]), action(), level()).prop_map(
            |(category, action, sensitivity_level)| CategoryOverride {
                category: category.to_owned(),
                action,
                sensitivity_level,
                ..CategoryOverride::default()
            },
        );
        let rule = (prop::sample::select(vec!["r1", "r2", "r3", "r9"]), action(), level()).prop_map(
            |(id, action, sensitivity_level)| RuleOverride {
                id: id.to_owned(),
                action,
                sensitivity_level,
                ..RuleOverride::default()
            },
        );
        (
            action(),
            level(),
            prop::collection::vec(category, 0..4),
            prop::collection::vec(rule, 0..4),
        )
            .prop_map(|(action, sensitivity_level, categories, rules)| Overrides {
                action,
                sensitivity_level,
                categories,
                rules,
                ..Overrides::default()
            })
    }

    proptest! {
        /// The value is what the named source says, and no more specific source says anything.
        #[test]
        fn the_source_holds_the_value(overrides in overrides()) {
            for (effective, rule) in settle(&managed(), &overrides).iter().zip(managed().rules) {
                let own: Vec<_> = overrides.rules.iter().filter(|it| it.id == rule.id).collect();
                let of: Vec<_> = overrides.categories.iter().filter(|it| rule.categories.contains(&it.category)).collect();
                let value = Some(&effective.action.value);
                match &effective.action.source {
                    Source::Rule => prop_assert!(own.iter().any(|it| it.action.as_ref() == value)),
                    Source::Category(name) => {
                        prop_assert!(of.iter().rfind(|it| it.action.is_some()).is_some_and(|it| it.category == *name && it.action.as_ref() == value));
                    }
                    Source::Ruleset => {
                        prop_assert_eq!(overrides.action.as_ref(), value);
                        prop_assert!(of.iter().all(|it| it.action.is_none()));
                    }
                    Source::Default => {
                        prop_assert_eq!(rule.action.as_ref(), value);
                        prop_assert!(overrides.action.is_none() && of.iter().all(|it| it.action.is_none()));
                    }
                }
            }
        }
    }
}
