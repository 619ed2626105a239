//! The steps for overrides: add, edit and move in the file's order, the one for everything last, deletions at the end.
//!
//! Must hold: no override of ours stands behind one that takes in everything; rules that are not ours keep their order and
//! are never moved. A new rule is named in anchors by nothing: each anchor is a rule that is there, because the steps
//! before it have been done when it is its turn.

use std::collections::BTreeSet;

use cf_api::rest::rulesets::{CategoryOverride, MANAGED_DDOS_L4, Overrides, Rule, RuleBody, RuleOverride};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use db::rule_changes::{Family, Owned};
use jiff::Timestamp;

use super::{Act, Difference, Live, Plan, Step, differences};
use crate::effective::{is_everything, overrides_ddos_l4, shadow};
use crate::expression::{Expression, concerns};
use crate::file::{RulesFile, Settings};
use crate::overrides::{Essence, GLOBAL, add, find_managed, problems};

/// An override that the file asks for.
struct Wanted {
    /// Name in the file; [`GLOBAL`] for the one for everything.
    name: String,
    expression: String,
    enabled: bool,
    overrides: Overrides,
    expires: Option<Timestamp>,
    is_global: bool,
}

pub(super) fn plan(
    file: &RulesFile,
    live: &Live,
    adopt: bool,
    now: Timestamp,
    plan: &mut Plan,
    wrong: &mut Vec<String>,
) {
    let wanted = wanted(file, live, now, plan, wrong);
    if !wrong.is_empty() || (file.overrides.is_none() && file.global.is_none()) {
        return;
    }
    let mut list: Vec<Option<&Rule>> = live.point.rules().iter().map(Some).collect();
    // Where the rule before stands: new rules are in the list as `None`.
    let mut before: Option<usize> = None;
    let mut matched = BTreeSet::new();
    let found: Vec<Option<&Rule>> = wanted
        .iter()
        .map(|it| {
            let rule = find(live, it, &matched, plan);
            matched.extend(rule.map(|rule| rule.id.as_str()));
            rule
        })
        .collect();
    for (index, (want, rule)) in wanted.iter().zip(&found).enumerate() {
        if plan.not_owned.iter().any(|it| *it == format!("override {}", want.name)) {
            continue;
        }
        match rule {
            Some(rule) => {
                if !adopt && !owns(live, want) {
                    plan.not_owned.push(format!("override {}", want.name));
                    continue;
                }
                if !owns(live, want) {
                    plan.steps
                        .push(step("adopt", want, Act::Adopt(owned(want, Some(rule))), Vec::new()));
                }
                edit(want, rule, plan);
                before = Some(reorder(want, rule, &mut list, before, plan));
            }
            None => {
                let next = found.get(index + 1..).unwrap_or_default().iter().flatten().next();
                before = Some(create(live, want, &mut list, before, next.copied(), plan));
            }
        }
        expire(live, want, *rule, plan);
    }
    notes(live, &wanted, &found, plan);
    delete(file, live, &wanted, &matched, plan);
    let ours = |rule: &Rule| matched.contains(rule.id.as_str()) || owner(live, rule).is_some();
    plan.untouched += live.point.rules().iter().filter(|rule| !ours(rule)).count();
}

fn step(what: &'static str, want: &Wanted, act: Act, differences: Vec<Difference>) -> Step {
    Step {
        what,
        family: Family::DdosL4,
        name: want.name.clone(),
        differences,
        act,
    }
}

fn owned(want: &Wanted, rule: Option<&Rule>) -> Owned {
    Owned {
        family: Family::DdosL4,
        name: want.name.clone(),
        rule_id: rule.map(|rule| rule.id.clone()),
    }
}

fn owns(live: &Live, want: &Wanted) -> bool {
    live.owns(Family::DdosL4, &want.name)
}

/// The owned entry that a rule belongs to: by id, else by name.
fn owner<'a>(live: &'a Live, rule: &Rule) -> Option<&'a Owned> {
    let mut all = live.owned.iter().filter(|it| it.family == Family::DdosL4);
    let by_id = all.clone().find(|it| it.rule_id.as_deref() == Some(&rule.id));
    by_id.or_else(|| {
        all.find(|it| {
            let gone = it
                .rule_id
                .as_deref()
                .is_none_or(|id| live.point.rules().iter().all(|rule| rule.id != id));
            gone && if it.name == GLOBAL {
                is_everything(rule)
            } else {
                rule.description.as_deref() == Some(it.name.as_str())
            }
        })
    })
}

fn wanted(file: &RulesFile, live: &Live, now: Timestamp, plan: &mut Plan, wrong: &mut Vec<String>) -> Vec<Wanted> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    for entry in file.overrides.iter().flatten() {
        if entry.expires.is_some_and(|expires| expires <= now) {
            plan.notes.push(format!(
                "override {} has expired: it counts as not in the file",
                entry.name
            ));
            continue;
        }
        if entry.name.is_empty() || entry.name == GLOBAL || !names.insert(entry.name.as_str()) {
            wrong.push(format!(
                "override '{}': names are unique, not empty and not '{GLOBAL}'",
                entry.name
            ));
        }
        if entry.expression.trim() == "true" {
            wrong.push(format!(
                "override {}: what applies to everything stands under [global]",
                entry.name
            ));
        }
        all.push(Wanted {
            name: entry.name.clone(),
            expression: entry.expression.trim().to_owned(),
            enabled: entry.enabled,
            overrides: overrides(&entry.settings(), live, &entry.name, wrong),
            expires: entry.expires,
            is_global: false,
        });
    }
    if let Some(settings) = &file.global
        && *settings != Settings::default()
    {
        all.push(Wanted {
            name: GLOBAL.to_owned(),
            expression: "true".to_owned(),
            enabled: true,
            overrides: overrides(settings, live, GLOBAL, wrong),
            expires: None,
            is_global: true,
        });
    }
    for want in &all {
        let found = problems(&live.managed, &want.expression, &want.overrides);
        wrong.extend(
            found
                .into_iter()
                .map(|it| format!("override {}: {}: {}", want.name, it.field, it.text)),
        );
    }
    all
}

fn overrides(settings: &Settings, live: &Live, name: &str, wrong: &mut Vec<String>) -> Overrides {
    let mut made = Overrides {
        action: settings.action.clone(),
        sensitivity_level: settings.sensitivity.clone(),
        ..Overrides::default()
    };
    for it in &settings.categories {
        made.categories.push(CategoryOverride {
            category: it.category.clone(),
            action: it.action.clone(),
            sensitivity_level: it.sensitivity.clone(),
            ..CategoryOverride::default()
        });
    }
    for it in &settings.rules {
        let id = match find_managed(&live.managed, &it.rule) {
            Ok(rule) => rule.id.clone(),
            Err(why) => {
                wrong.push(format!("override {name}: {why}"));
                continue;
            }
        };
        if made.rules.iter().any(|other| other.id == id) {
            wrong.push(format!("override {name}: rule {} stands in it twice", it.rule));
        }
        made.rules.push(RuleOverride {
            id,
            action: it.action.clone(),
            sensitivity_level: it.sensitivity.clone(),
            ..RuleOverride::default()
        });
    }
    made
}

/// The rule at Cloudflare that an entry is about.
fn find<'a>(live: &'a Live, want: &Wanted, taken: &BTreeSet<&str>, plan: &mut Plan) -> Option<&'a Rule> {
    let known = live
        .owned
        .iter()
        .find(|it| it.family == Family::DdosL4 && it.name == want.name);
    let mut free = live
        .point
        .rules()
        .iter()
        .filter(|rule| overrides_ddos_l4(rule) && !taken.contains(rule.id.as_str()));
    let id = known.and_then(|it| it.rule_id.as_deref());
    if let Some(rule) = free.clone().find(|rule| Some(rule.id.as_str()) == id) {
        return Some(rule);
    }
    if want.is_global {
        return free.find(|rule| is_everything(rule));
    }
    let mut alike = free.filter(|rule| rule.description.as_deref() == Some(want.name.as_str()));
    let first = alike.next();
    if alike.next().is_some() {
        plan.not_owned.push(format!("override {}", want.name));
        plan.notes.push(format!(
            "several overrides are called {}: rename all but one",
            want.name
        ));
        return None;
    }
    first
}

fn body(want: &Wanted, rule: Option<&Rule>) -> RuleBody {
    let Some(rule) = rule else {
        let mut body = RuleBody::overriding(MANAGED_DDOS_L4, &want.expression, &want.name, &want.overrides);
        body.set_enabled(want.enabled);
        return body;
    };
    let mut body = rule.body();
    body.set_expression(&want.expression);
    body.set_overrides(&want.overrides);
    body.set_enabled(want.enabled);
    // What applies to everything may have a name of its own.
    if !want.is_global {
        body.set_description(&want.name);
    }
    body
}

fn edit(want: &Wanted, rule: &Rule, plan: &mut Plan) {
    let wanted = body(want, Some(rule));
    let (now, then) = (Essence::of(rule), Essence::of_body(&wanted));
    if now == then {
        return;
    }
    let change = RulesetChange::Edit {
        id: rule.id.clone(),
        rule: wanted,
        position: None,
    };
    let differences = differences(&values(&now), &values(&then));
    plan.steps.push(step("edit", want, Act::Ddos(change), differences));
}

/// Place of the first rule that takes in everything, apart from `but`.
fn end(list: &[Option<&Rule>], but: Option<&Rule>) -> Option<usize> {
    list.iter().position(|rule| {
        rule.is_some_and(|rule| is_everything(rule) && rule.is_enabled() && but.is_none_or(|but| but.id != rule.id))
    })
}

/// Moves a rule if it stands wrong; returns its place.
fn reorder<'a>(
    want: &Wanted,
    rule: &'a Rule,
    list: &mut Vec<Option<&'a Rule>>,
    before: Option<usize>,
    plan: &mut Plan,
) -> usize {
    let at = list
        .iter()
        .position(|it| it.is_some_and(|it| it.id == rule.id))
        .unwrap_or(0);
    let last = list.len().saturating_sub(1);
    let is_late_enough = before.is_none_or(|before| at > before);
    let is_early_enough = want.is_global || end(list, Some(rule)).is_none_or(|end| at < end);
    if want.is_global && at == last {
        return at;
    }
    if !want.is_global && is_late_enough && is_early_enough {
        return at;
    }
    let before_id = before.and_then(|before| list.get(before).copied().flatten());
    let end_id = end(list, Some(rule)).and_then(|end| list.get(end).copied().flatten());
    let moved = list.remove(at);
    let index = |id: &str, list: &[Option<&Rule>]| list.iter().position(|it| it.is_some_and(|it| it.id == id));
    let (to, position) = match (want.is_global, before_id, end_id) {
        (true, ..) => (list.len(), Position::Last),
        (false, Some(before), _) => (
            index(&before.id, list).map_or(list.len(), |at| at + 1),
            Position::After(before.id.clone()),
        ),
        (false, None, Some(end)) => (index(&end.id, list).unwrap_or(0), Position::Before(end.id.clone())),
        (false, None, None) => (0, Position::First),
    };
    list.insert(to, moved);
    let change = RulesetChange::Move {
        id: rule.id.clone(),
        position,
    };
    let difference = Difference {
        key: "place".to_owned(),
        now: Some((at + 1).to_string()),
        then: Some((to + 1).to_string()),
    };
    plan.steps.push(step("move", want, Act::Ddos(change), vec![difference]));
    to
}

/// Adds a rule; returns its place.
fn create<'a>(
    live: &'a Live,
    want: &Wanted,
    list: &mut Vec<Option<&'a Rule>>,
    before: Option<usize>,
    next: Option<&'a Rule>,
    plan: &mut Plan,
) -> usize {
    let index = |rule: &Rule| list.iter().position(|it| it.is_some_and(|it| it.id == rule.id));
    let id_at = |at: usize| list.get(at).copied().flatten().map(|rule| rule.id.clone());
    let (to, position) = if want.is_global {
        (list.len(), None)
    } else if let Some(before) = before {
        // Without an id the rule before is new as well, and this step is made anew when it is there.
        (before + 1, id_at(before).map(Position::After))
    } else {
        let next = next.and_then(index);
        match next.into_iter().chain(end(list, None)).min() {
            Some(at) => (at, id_at(at).map(Position::Before)),
            None => (list.len(), None),
        }
    };
    list.insert(to, None);
    let body = body(want, None);
    let differences = differences(&[], &values(&Essence::of_body(&body)));
    let change = add(&live.point, body, position);
    plan.steps.push(step("create", want, Act::Ddos(change), differences));
    to
}

fn expire(live: &Live, want: &Wanted, rule: Option<&Rule>, plan: &mut Plan) {
    let Some(rule) = rule else { return };
    let known = live
        .expiries
        .iter()
        .find(|it| it.rule_id == rule.id)
        .map(|it| it.expires_at);
    if known == want.expires {
        return;
    }
    let difference = Difference {
        key: "expires".to_owned(),
        now: known.map(|it| it.to_string()),
        then: want.expires.map(|it| it.to_string()),
    };
    let act = Act::Expire(rule.id.clone(), want.expires);
    plan.steps.push(step("expire", want, act, vec![difference]));
}

fn delete(file: &RulesFile, live: &Live, wanted: &[Wanted], matched: &BTreeSet<&str>, plan: &mut Plan) {
    for owned in live.owned.iter().filter(|it| it.family == Family::DdosL4) {
        let looked_after = if owned.name == GLOBAL {
            file.global.is_some()
        } else {
            file.overrides.is_some()
        };
        if !looked_after || wanted.iter().any(|it| it.name == owned.name) {
            continue;
        }
        let rule = live.point.rules().iter().find(|rule| {
            !matched.contains(rule.id.as_str()) && owner(live, rule).is_some_and(|it| it.name == owned.name)
        });
        let (what, act, now) = match rule {
            Some(rule) => (
                "delete",
                Act::Ddos(RulesetChange::Delete { id: rule.id.clone() }),
                values(&Essence::of(rule)),
            ),
            None => ("forget", Act::Forget(Family::DdosL4, owned.name.clone()), Vec::new()),
        };
        plan.steps.push(Step {
            what,
            family: Family::DdosL4,
            name: owned.name.clone(),
            differences: differences(&now, &[]),
            act,
        });
    }
}

fn notes(live: &Live, wanted: &[Wanted], found: &[Option<&Rule>], plan: &mut Plan) {
    for (want, rule) in wanted.iter().zip(found) {
        if let Ok(expression) = Expression::parse(&want.expression)
            && !want.is_global
        {
            let all = concerns(&expression).into_iter();
            plan.notes
                .extend(all.map(|it| format!("override {}: {}", want.name, it.words())));
        }
        let is_off = want.overrides.sensitivity_level.as_deref() == Some("eoff")
            || want
                .overrides
                .rules
                .iter()
                .any(|it| it.sensitivity_level.as_deref() == Some("eoff"));
        if is_off && want.expires.is_none() {
            plan.notes
                .push(format!("override {} is essentially off, without an end", want.name));
        }
        let Some(rule) = rule else { continue };
        let index = live.point.rules().iter().position(|it| it.id == rule.id).unwrap_or(0);
        if let Some(by) = shadow(live.point.rules().get(..index).unwrap_or_default(), rule) {
            plan.notes.push(format!(
                "override {} never applies where it stands now: {by} takes in all of it",
                want.name
            ));
        }
    }
}

/// An override's values as the file writes them.
fn values(essence: &Essence) -> Vec<(String, String)> {
    let mut all = vec![
        ("name".to_owned(), essence.description.clone()),
        ("expression".to_owned(), essence.expression.clone()),
        ("enabled".to_owned(), essence.enabled.to_string()),
    ];
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let key = |name: &str| {
        if name == "sensitivity_level" {
            "sensitivity".to_owned()
        } else {
            name.to_owned()
        }
    };
    for (name, value) in essence.overrides.as_object().into_iter().flatten() {
        let Some(list) = value.as_array() else {
            all.push((key(name), text(value)));
            continue;
        };
        for entry in list.iter().filter_map(serde_json::Value::as_object) {
            let about = entry
                .get("category")
                .or_else(|| entry.get("id"))
                .map(text)
                .unwrap_or_default();
            let kind = if name == "categories" { "category" } else { "rule" };
            for (field, value) in entry.iter().filter(|(field, _)| *field != "id" && *field != "category") {
                all.push((format!("{kind} {about} {}", key(field)), text(value)));
            }
        }
    }
    all
}
