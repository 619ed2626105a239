//! Overrides of the DDoS rules as people and programs ask for them: made, changed, moved, switched, deleted, with an end.
//!
//! Pure but for [`send`]. Must hold: what is absent of a change stays; what is planned is what is sent; each plan says what
//! else it changes (overrides that are never reached any more); what weakens protection everywhere is typed out.

mod builder;
mod order;
pub(crate) mod setting;

use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Overrides, Rule, RuleBody, RuleOverride};
use cf_api::rest::rulesets_changes::RulesetChange;
use db::users::Role;
use domain::time::from_text;
use jiff::Timestamp;
use rules::effective::{is_everything, never_reached, overrides_ddos_l4, settle};
use rules::expression::{Expression, concerns};
use rules::overrides::{add, find_managed, rules_after};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(crate) use builder::{Builder, built};
pub(crate) use order::{Place, movement};

use crate::answer::Failure;
use crate::api::reason;
use crate::asking::{Asking, Said};
use crate::connectors::edit::Difference;
use crate::protection::{self, EVERYWHERE, Protection, short_name};
use crate::words;

/// Longest name.
const LONGEST: usize = 200;

/// Farthest end that can be set.
const FARTHEST: std::time::Duration = std::time::Duration::from_secs(5 * 366 * 86_400);

/// What weakens everything is typed out with this word.
pub(crate) const TYPED: &str = EVERYWHERE;

/// What somebody wrote. What is absent stays as it is; a form sends everything.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(alias = "description")]
    pub(crate) name: Option<String>,
    pub(crate) expression: Option<String>,
    #[serde(flatten)]
    pub(crate) builder: Builder,
    /// Managed rule, by id or short name; empty for all.
    #[serde(alias = "target_rule_id")]
    pub(crate) rule: Option<String>,
    pub(crate) action: Option<String>,
    #[serde(alias = "sensitivity_level")]
    pub(crate) sensitivity: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(crate) enabled: Option<bool>,
    /// Instant until which it stands; empty or `never` for without end.
    #[serde(alias = "expires_at")]
    pub(crate) expires: Option<String>,
    #[serde(flatten)]
    pub(crate) said: Said,
    pub(crate) act: Option<String>,
    /// The move that the person was warned of.
    pub(crate) warned: Option<String>,
}

/// A switch of a form or of JSON.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(on)),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "true" => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" => Ok(Some(false)),
        Some(_) => Err(serde::de::Error::custom("enabled is true or false")),
    }
}

/// What is to be done, looked at before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// `None` when only the end changes.
    change: Option<RulesetChange>,
    /// The new end; `None` leaves it.
    until: Option<Option<Timestamp>>,
    /// Id of the override, unless it is new.
    id: Option<String>,
    subject: String,
    pub(crate) differences: Vec<Difference>,
    /// What to know before it is sent.
    pub(crate) notes: Vec<String>,
    /// Protection gets weaker for everything: [`TYPED`] has to be typed.
    pub(crate) weakens: bool,
    /// What has to be typed besides, for a deletion.
    typed: Option<String>,
}

/// The trimmed text, unless it is empty.
pub(crate) fn chosen(word: &Option<String>) -> Option<String> {
    word.as_deref()
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::bad_request("invalid_value", text)
}

fn same_as_there() -> Failure {
    Failure::bad_request("nothing_differs", "Nothing differs from what is there.")
}

/// Name of an override, or its id where it has none.
pub(crate) fn name_of(rule: &Rule) -> &str {
    let name = rule.description.as_deref().filter(|name| !name.is_empty());
    name.unwrap_or(&rule.id)
}

/// Whether its settings are few enough for one form; others are set rule by rule and kept.
pub(crate) fn is_plain(rule: &Rule) -> bool {
    rule.overrides().is_ok_and(|overrides| {
        let whole = overrides.action.is_some() || overrides.sensitivity_level.is_some();
        let few = overrides.rules.len() <= 1 && overrides.categories.is_empty() && overrides.other.is_empty();
        few && (!whole || overrides.rules.is_empty()) && overrides.rules.iter().all(|one| one.other.is_empty())
    })
}

/// An override as fields.
pub(crate) fn fields_of(rule: &Rule, seen: String, end: Option<Timestamp>) -> Wanted {
    let overrides = rule.overrides().unwrap_or_default();
    let one = overrides.rules.first();
    let expression = rule.expression.clone().unwrap_or_default();
    Wanted {
        name: Some(rule.description.clone().unwrap_or_default()),
        builder: Builder::of(&expression),
        expression: Some(expression),
        rule: Some(one.map(|one| one.id.clone()).unwrap_or_default()),
        action: one.map_or(overrides.action.clone(), |one| one.action.clone()),
        sensitivity: one.map_or(overrides.sensitivity_level.clone(), |one| one.sensitivity_level.clone()),
        enabled: Some(rule.is_enabled()),
        expires: Some(end.map(in_form).unwrap_or_default()),
        said: Said::having_seen(seen),
        ..Wanted::default()
    }
}

/// An instant as a field for date and time takes it, in UTC to the minute.
pub(crate) fn in_form(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M").to_string()
}

/// The settings that are asked for; of an override that is there, what is not named stays.
fn settings(protection: &Protection, old: Option<&Rule>, wanted: &Wanted) -> Result<Overrides, Failure> {
    let before = old.and_then(|old| old.overrides().ok()).unwrap_or_default();
    let one = before.rules.first();
    let rule = match &wanted.rule {
        Some(_) => chosen(&wanted.rule),
        None => one.map(|one| one.id.clone()),
    };
    let of = |written: &Option<String>, whole: &Option<String>, single: Option<&Option<String>>| match written {
        Some(_) => chosen(written),
        None => single.unwrap_or(whole).clone(),
    };
    let action = of(&wanted.action, &before.action, one.map(|one| &one.action));
    let sensitivity_level = of(
        &wanted.sensitivity,
        &before.sensitivity_level,
        one.map(|one| &one.sensitivity_level),
    );
    let mut overrides = Overrides::default();
    match rule {
        None => (overrides.action, overrides.sensitivity_level) = (action, sensitivity_level),
        Some(rule) => {
            let managed = find_managed(&protection.managed, &rule)
                .map_err(|why| wrong(words::outside(&format!("Rule: {why}. Nothing was sent."))))?;
            overrides.rules.push(RuleOverride {
                id: managed.id.clone(),
                action,
                sensitivity_level,
                ..RuleOverride::default()
            });
        }
    }
    Ok(overrides)
}

/// The end that is asked for; `None` leaves it.
fn end(wanted: &Wanted, before: Option<Timestamp>, now: Timestamp) -> Result<Option<Option<Timestamp>>, Failure> {
    let Some(text) = wanted.expires.as_deref().map(str::trim) else {
        return Ok(None);
    };
    if text.is_empty() || text == "never" {
        return Ok(before.is_some().then_some(None));
    }
    // The field for date and time knows no seconds; what was not touched does not differ.
    if before.is_some_and(|before| in_form(before) == text) {
        return Ok(None);
    }
    let found = from_text(text).or_else(|| from_text(&format!("{text}:00")));
    let found = found.ok_or_else(|| wrong("End: an instant such as 2026-12-01T00:00, in UTC. Nothing was sent."))?;
    if found <= now || found > domain::time::plus(now, FARTHEST) {
        let text = "End: it must lie ahead, by at most five years. To end it now, delete it or switch it off. Nothing was sent.";
        return Err(wrong(text));
    }
    Ok((before != Some(found)).then_some(Some(found)))
}

/// Making an override, or changing `old`.
///
/// # Errors
/// 400 for what cannot be meant, and when nothing differs.
pub(crate) fn change(
    protection: &Protection,
    old: Option<&Rule>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Plan, Failure> {
    let there = |field: fn(&Rule) -> &Option<String>| old.and_then(|old| field(old).clone()).unwrap_or_default();
    let name = wanted.name.clone().unwrap_or_else(|| there(|old| &old.description));
    let name = name.trim();
    let keeps_name = old.is_some_and(|old| old.description.as_deref().unwrap_or_default().trim() == name);
    if !keeps_name && (name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control)) {
        return Err(wrong(format!(
            "Name: from 1 to {LONGEST} characters. Nothing was sent."
        )));
    }
    let expression = match &wanted.expression {
        Some(text) => text.clone(),
        None if wanted.builder.is_asked() => built(&wanted.builder)?,
        None => there(|old| &old.expression),
    };
    let expression = expression.trim();
    let keeps = old.is_some_and(|old| !is_plain(old));
    let overrides = match old.filter(|_| keeps) {
        Some(old) => old.overrides().unwrap_or_default(),
        None => settings(protection, old, wanted)?,
    };
    let found = rules::overrides::problems(&protection.managed, expression, &overrides);
    if !found.is_empty() {
        return Err(protection::problems(&found));
    }
    let mut body = match old {
        Some(old) => old.body(),
        None => RuleBody::overriding(MANAGED_DDOS_L4, expression, name, &overrides),
    };
    // What is not touched is not written, or a missing name would differ from an empty one.
    if there(|old| &old.expression).trim() != expression {
        body.set_expression(expression);
    }
    if !keeps_name {
        body.set_description(name);
    }
    if let Some(on) = wanted
        .enabled
        .filter(|on| old.is_none_or(|old| old.is_enabled() != *on))
    {
        body.set_enabled(on);
    }
    if !keeps && old.is_none_or(|old| old.overrides().unwrap_or_default() != overrides) {
        body.set_overrides(&overrides);
    }
    let before = old.and_then(|old| protection.end(&old.id));
    let until = end(wanted, before, now)?;
    let change = match old {
        Some(old) if body == old.body() => None,
        Some(old) => Some(RulesetChange::Edit {
            id: old.id.clone(),
            rule: body.clone(),
            position: None,
        }),
        None => Some(add(&protection.point, body.clone(), None)),
    };
    if change.is_none() && until.is_none() {
        return Err(same_as_there());
    }
    let mut plan = Plan {
        differences: differences(protection, old, &body, (before, until)),
        notes: Expression::parse(expression)
            .map(|parsed| concerns(&parsed).into_iter().map(|concern| concern.words()).collect())
            .unwrap_or_default(),
        weakens: false,
        change,
        until,
        id: old.map(|old| old.id.clone()),
        subject: if name.is_empty() {
            old.map(name_of).unwrap_or_default()
        } else {
            name
        }
        .to_owned(),
        typed: None,
    };
    look_ahead(protection, &mut plan);
    Ok(plan)
}

/// Deleting an override, whose name is typed.
pub(crate) fn deletion(protection: &Protection, old: &Rule) -> Plan {
    let mut plan = Plan {
        change: Some(RulesetChange::Delete { id: old.id.clone() }),
        until: None,
        id: Some(old.id.clone()),
        subject: name_of(old).to_owned(),
        differences: Vec::new(),
        notes: Vec::new(),
        weakens: false,
        typed: Some(name_of(old).to_owned()),
    };
    look_ahead(protection, &mut plan);
    plan
}

/// What the change makes of all overrides: which are never reached any more, and whether everything is protected less.
fn look_ahead(protection: &Protection, plan: &mut Plan) {
    let Some(change) = &plan.change else { return };
    let rules = protection.point.rules();
    let after = rules_after(rules, change);
    let already: Vec<&str> = never_reached(rules)
        .into_iter()
        .map(|(rule, _)| rule.id.as_str())
        .collect();
    for (rule, by) in never_reached(&after) {
        let by = words::outside_up_to(name_of(by), 60);
        if is_concerned(plan.id.as_deref(), rule) {
            plan.notes.push(format!(
                "it is never reached: {by} stands before it and takes all of it"
            ));
        } else if !already.contains(&rule.id.as_str()) {
            let name = words::outside_up_to(name_of(rule), 60);
            plan.notes.push(format!(
                "the override {name} is never reached any more: {by} then stands before it and takes all of it"
            ));
        }
    }
    plan.weakens = weakens(protection, rules, &after);
}

fn is_concerned(id: Option<&str>, rule: &Rule) -> bool {
    rule.id == id.unwrap_or(rules::overrides::NEW)
}

/// Whether what holds for everything else protects less afterwards: a rule only logs or is essentially off that was not.
pub(crate) fn weakens(protection: &Protection, before: &[Rule], after: &[Rule]) -> bool {
    let global = |rules: &[Rule]| {
        let found = rules
            .iter()
            .find(|rule| rule.is_enabled() && overrides_ddos_l4(rule) && takes_everything(rule));
        let overrides = found.map(|rule| rule.overrides().unwrap_or_default());
        settle(&protection.managed, &overrides.unwrap_or_default())
    };
    let (before, after) = (global(before), global(after));
    before.iter().zip(&after).any(|(before, after)| {
        let turned = |word: &str, before: &str, after: &str| after == word && before != word;
        turned("log", &before.action.value, &after.action.value)
            || turned("eoff", &before.sensitivity.value, &after.sensitivity.value)
    })
}

fn takes_everything(rule: &Rule) -> bool {
    let expression = rule.expression.as_deref().unwrap_or_default();
    is_everything(rule) || Expression::parse(expression).is_ok_and(|parsed| parsed.is_everything())
}

fn differences(
    protection: &Protection,
    old: Option<&Rule>,
    body: &RuleBody,
    (end_before, until): (Option<Timestamp>, Option<Option<Timestamp>>),
) -> Vec<Difference> {
    let said = |body: Option<&RuleBody>, end: Option<Timestamp>| -> [String; 5] {
        let Some(body) = body else { return Default::default() };
        let fields = body.as_json();
        let text = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let parameters = fields
            .get("action_parameters")
            .and_then(|parameters| parameters.get("overrides"));
        let mut sets = parameters.map(ToString::to_string).unwrap_or_default();
        for rule in &protection.managed.rules {
            sets = sets.replace(&rule.id, short_name(rule));
        }
        let on = fields.get("enabled").and_then(Value::as_bool).unwrap_or(true);
        [
            text("description"),
            text("expression"),
            sets,
            if on { "on" } else { "off" }.to_owned(),
            end.map_or_else(|| "never".to_owned(), words::stamp),
        ]
    };
    let before = said(old.map(Rule::body).as_ref(), end_before);
    let after = said(Some(body), until.unwrap_or(end_before));
    ["name", "condition", "sets", "state", "ends"]
        .into_iter()
        .zip(before.into_iter().zip(after))
        .filter(|(_, (before, after))| before != after)
        .map(|(what, (before, after))| Difference {
            what,
            before,
            after,
            note: String::new(),
        })
        .collect()
}

/// What came of it.
pub(crate) struct Sent {
    /// One sentence.
    pub(crate) told: String,
    /// Id of the override, where it is known.
    pub(crate) id: Option<String>,
    /// The version of all overrides now; `None` when nothing was sent to Cloudflare.
    pub(crate) version: Option<String>,
}

/// Does what was planned.
///
/// # Errors
/// 400 where something has to be typed, 409 when it is not what they saw or Cloudflare declines, 503 when it is not known.
pub(crate) async fn send<F>(
    asking: &Asking<F>,
    protection: &Protection,
    plan: Plan,
    said: &Said,
) -> Result<Sent, Failure> {
    asking.member.needs(Role::Operator)?;
    let why = reason::of(said.reason.as_deref())?;
    protection.is(&said.seen)?;
    let needed = |text: String| Failure::bad_request("confirmation_required", text);
    match &plan.typed {
        Some(name) if !said.has_typed(name) => {
            let name = words::outside_up_to(name, 60);
            return Err(needed(format!("Type {name} to delete it. Nothing was sent.")));
        }
        None if plan.weakens && !said.has_typed(TYPED) => {
            let text = format!("Type {TYPED}: this weakens protection for every destination. Nothing was sent.");
            return Err(needed(text));
        }
        _ => {}
    }
    let Some(change) = plan.change else {
        let (id, name) = (plan.id.unwrap_or_default(), words::outside_up_to(&plan.subject, 80));
        let until = plan.until.unwrap_or_default();
        let subject = name.clone();
        let rule = id.clone();
        crate::desk::at_desk(asking, why, |desk, by| async move {
            desk.set_end(&by, &rule, &subject, until).await
        })
        .await?;
        return Ok(Sent {
            told: format!("The end of {name} is changed."),
            id: Some(id),
            version: None,
        });
    };
    let what = (protection, change, plan.until);
    let done = protection::change(asking, why, what, &plan.subject).await?;
    let id = plan.id.or_else(|| made(&protection.point, done.point.as_ref()));
    Ok(Sent {
        told: done.told,
        id,
        version: done.point.as_ref().map(protection::version),
    })
}

/// Id of the one override that is there now and was not.
fn made(before: &EntryPoint, now: Option<&EntryPoint>) -> Option<String> {
    let is_new = |rule: &&Rule| before.rules().iter().all(|known| known.id != rule.id);
    let mut new = now?.rules().iter().filter(is_new);
    let one = new.next()?;
    new.next().is_none().then(|| one.id.clone())
}
