//! `/ddos-rules/override/new` and `/ddos-rules/override/ID`: making an override, changing its name, condition and state, moving
//! it, deleting it.
//!
//! The condition is written, or built from a service and destinations; either way it is read by the parser as it is typed
//! over, and by Cloudflare's own check before anything is sent. All of it works without script and with the keyboard alone.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::rulesets::{MANAGED_DDOS_L4, Overrides, Rule, RuleBody, RuleOverride};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use db::users::Role;
use domain::prefix::Prefix;
use rules::effective::shadow;
use rules::expression::{Expression, concerns};
use rules::overrides::{ACTIONS, SENSITIVITIES, add, find_managed};
use rules::template::{Simple, TEMPLATES, Template as Service, template};
use serde::Deserialize;

use super::{Shell, go_to, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::reason;
use crate::app::App;
use crate::client::ClientAddr;
use crate::connectors::edit::Difference;
use crate::protection::{self, Protection, short_name};
use crate::submission::Submission;
use crate::words;

/// Longest name.
const LONGEST: usize = 200;

/// What the person wrote.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) expression: Option<String>,
    /// Service of the builder.
    pub(crate) service: Option<String>,
    /// Addresses and networks of the builder.
    pub(crate) destinations: Option<String>,
    /// Managed rule, by id or short name; empty for all.
    pub(crate) rule: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) sensitivity: Option<String>,
    pub(crate) enabled: Option<String>,
    #[serde(default)]
    pub(crate) seen: String,
    pub(crate) confirm: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) act: Option<String>,
}

#[derive(Template)]
#[template(path = "ddos_override.html")]
struct Form {
    shell: Shell,
    /// Name of the override that is changed; `None` for a new one.
    name: Option<String>,
    fields: Wanted,
    targets: Vec<(String, String)>,
    /// Whether its settings are those of at most one rule, or of all: then they can be edited here.
    is_plain: bool,
    sets: String,
    place: usize,
    count: usize,
    review: Option<Review>,
    problem: Option<String>,
    /// Where the condition is wrong: two lines.
    pointed: Option<String>,
}

struct Review {
    differences: Vec<Difference>,
    notes: Vec<String>,
}

/// An override as fields.
fn fields_of(rule: &Rule, seen: String) -> Wanted {
    let overrides = rule.overrides().unwrap_or_default();
    let one = overrides.rules.first();
    Wanted {
        name: Some(rule.description.clone().unwrap_or_default()),
        expression: Some(rule.expression.clone().unwrap_or_default()),
        rule: Some(one.map(|one| one.id.clone()).unwrap_or_default()),
        action: one.map_or(overrides.action.clone(), |one| one.action.clone()),
        sensitivity: one.map_or(overrides.sensitivity_level.clone(), |one| one.sensitivity_level.clone()),
        enabled: Some(rule.is_enabled().to_string()),
        seen,
        ..Wanted::default()
    }
}

/// Whether the settings are few enough for this form; others are set rule by rule and kept here.
fn is_plain(rule: &Rule) -> bool {
    rule.overrides().is_ok_and(|overrides| {
        let whole = overrides.action.is_some() || overrides.sensitivity_level.is_some();
        let few = overrides.rules.len() <= 1 && overrides.categories.is_empty() && overrides.other.is_empty();
        few && (!whole || overrides.rules.is_empty()) && overrides.rules.iter().all(|one| one.other.is_empty())
    })
}

fn chosen(word: &Option<String>) -> Option<String> {
    word.as_deref()
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
}

/// The settings that the form asks for.
fn settings(protection: &Protection, wanted: &Wanted) -> Result<Overrides, Failure> {
    let mut overrides = Overrides::default();
    let (action, sensitivity_level) = (chosen(&wanted.action), chosen(&wanted.sensitivity));
    match chosen(&wanted.rule) {
        None => (overrides.action, overrides.sensitivity_level) = (action, sensitivity_level),
        Some(rule) => {
            let managed = find_managed(&protection.managed, &rule).map_err(|why| {
                Failure::bad_request(
                    "invalid_value",
                    words::outside(&format!("Rule: {why}. Nothing was sent.")),
                )
            })?;
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

/// The condition that the builder's fields make.
fn built(wanted: &Wanted) -> Result<String, Failure> {
    let wrong = |text: String| Failure::bad_request("invalid_value", text);
    let mut destinations = Vec::new();
    let texts = wanted.destinations.as_deref().unwrap_or_default();
    for text in texts
        .split([' ', ',', '\n', '\r', '\t'])
        .filter(|text| !text.is_empty())
    {
        let network = Prefix::parse_strict(text).or_else(|_| text.parse::<std::net::IpAddr>().map(Prefix::host));
        destinations.push(network.map_err(|_| {
            wrong(format!(
                "{} is no address and no network.",
                words::outside_up_to(text, 60)
            ))
        })?);
    }
    let service = chosen(&wanted.service);
    let service: Option<&Service> = match service.as_deref() {
        None => None,
        Some(id) => Some(template(id).ok_or_else(|| wrong("There is no such service.".to_owned()))?),
    };
    let simple = match service {
        Some(service) => Simple::of_template(service, destinations),
        None => Simple {
            destinations,
            ..Simple::default()
        },
    };
    let made = simple
        .expression()
        .map_err(|refusal| wrong(words::outside(&format!("{refusal}."))))?;
    Ok(made.text().to_owned())
}

/// The change that the form asks for, with what to know about it.
fn change_of(protection: &Protection, old: Option<&Rule>, wanted: &Wanted) -> Result<(RulesetChange, Review), Failure> {
    let name = wanted.name.as_deref().unwrap_or_default().trim();
    if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
        let text = format!("Name: from 1 to {LONGEST} characters. Nothing was sent.");
        return Err(Failure::bad_request("invalid_value", text));
    }
    let expression = wanted.expression.as_deref().unwrap_or_default().trim();
    let keeps = old.is_some_and(|old| !is_plain(old));
    let overrides = match old.filter(|_| keeps) {
        Some(old) => old.overrides().unwrap_or_default(),
        None => settings(protection, wanted)?,
    };
    let wrong = rules::overrides::problems(&protection.managed, expression, &overrides);
    if !wrong.is_empty() {
        return Err(protection::problems(&wrong));
    }
    let mut body = match old {
        Some(old) => old.body(),
        None => RuleBody::overriding(MANAGED_DDOS_L4, expression, name, &overrides),
    };
    body.set_expression(expression);
    body.set_description(name);
    body.set_enabled(wanted.enabled.as_deref() != Some("false"));
    if !keeps {
        body.set_overrides(&overrides);
    }
    let change = match old {
        Some(old) if body == old.body() => {
            return Err(Failure::bad_request(
                "nothing_differs",
                "Nothing differs from what is there.",
            ));
        }
        Some(old) => RulesetChange::Edit {
            id: old.id.clone(),
            rule: body.clone(),
            position: None,
        },
        None => add(&protection.point, body.clone(), None),
    };
    let review = Review {
        differences: differences(protection, old, &body),
        notes: notes(protection, old, expression, &change),
    };
    Ok((change, review))
}

fn differences(protection: &Protection, old: Option<&Rule>, body: &RuleBody) -> Vec<Difference> {
    let words = |body: Option<&RuleBody>| -> [String; 4] {
        let Some(body) = body else { return Default::default() };
        let fields = body.as_json();
        let text = |name: &str| {
            fields
                .get(name)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let parameters = fields
            .get("action_parameters")
            .and_then(|parameters| parameters.get("overrides"));
        let mut sets = parameters.map(ToString::to_string).unwrap_or_default();
        for rule in &protection.managed.rules {
            sets = sets.replace(&rule.id, short_name(rule));
        }
        let on = fields
            .get("enabled")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(true);
        [
            text("description"),
            text("expression"),
            sets,
            if on { "on" } else { "off" }.to_owned(),
        ]
    };
    let before = words(old.map(Rule::body).as_ref());
    ["name", "condition", "sets", "state"]
        .into_iter()
        .zip(before.into_iter().zip(words(Some(body))))
        .filter(|(_, (before, after))| before != after)
        .map(|(what, (before, after))| Difference {
            what,
            before,
            after,
            note: String::new(),
        })
        .collect()
}

/// What to know before it is sent.
fn notes(protection: &Protection, old: Option<&Rule>, expression: &str, change: &RulesetChange) -> Vec<String> {
    let mut notes: Vec<String> = Expression::parse(expression)
        .map(|parsed| concerns(&parsed).into_iter().map(|concern| concern.words()).collect())
        .unwrap_or_default();
    // Where it will stand: an earlier rule may keep it from ever applying.
    let rules = protection.point.rules();
    let place = match (old, change) {
        (Some(old), _) => rules.iter().position(|rule| rule.id == old.id).unwrap_or(rules.len()),
        (
            None,
            RulesetChange::Add {
                position: Some(Position::Before(id)),
                ..
            },
        ) => rules.iter().position(|rule| rule.id == *id).unwrap_or(rules.len()),
        _ => rules.len(),
    };
    let body = match change {
        RulesetChange::Add { rule, .. } | RulesetChange::Edit { rule, .. } => Some(rule),
        RulesetChange::Put { rules, .. } => rules.first(),
        _ => None,
    };
    let as_rule = body.and_then(|body| {
        let mut json = body.as_json().clone();
        json.insert("id".to_owned(), serde_json::json!("new"));
        serde_json::from_value::<Rule>(serde_json::Value::Object(json)).ok()
    });
    if let Some(by) = as_rule.and_then(|rule| shadow(&rules[..place], &rule)) {
        let name = rules
            .iter()
            .find(|rule| rule.id == by)
            .and_then(|rule| rule.description.clone())
            .unwrap_or(by);
        notes.push(format!(
            "it is never reached: {} stands before it and takes all of it",
            words::outside_up_to(&name, 60)
        ));
    }
    notes
}

/// Whether the change makes protection weaker for everything, which is typed out.
fn weakens_all(wanted: &Wanted) -> bool {
    let everything =
        Expression::parse(wanted.expression.as_deref().unwrap_or_default()).is_ok_and(|parsed| parsed.is_everything());
    everything
        && (chosen(&wanted.action).as_deref() == Some("log") || chosen(&wanted.sensitivity).as_deref() == Some("eoff"))
}

/// `GET /ddos-rules/override/new`
pub(crate) async fn blank(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(&app).await?;
    let fields = Wanted {
        seen: protection.version(),
        sensitivity: Some("low".to_owned()),
        ..Wanted::default()
    };
    shown(&app, &member, &protection, None, fields, None, None)
}

/// `GET /ddos-rules/override/ID`
pub(crate) async fn form(State(app): State<App>, member: Member, Path(id): Path<String>) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(&app).await?;
    let rule = protection.scope(&id)?.cloned();
    let fields = rule
        .as_ref()
        .map(|rule| fields_of(rule, protection.version()))
        .unwrap_or_default();
    shown(&app, &member, &protection, rule.as_ref(), fields, None, None)
}

/// `POST /ddos-rules/override/new`
pub(crate) async fn make(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    step(&app, &client, &member, None, submission.fields).await
}

/// `POST /ddos-rules/override/ID`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<String>,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    step(&app, &client, &member, Some(&id), submission.fields).await
}

async fn step(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    id: Option<&str>,
    mut wanted: Wanted,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::known(app).await?;
    let old = match id {
        Some(id) => Some(
            protection
                .scope(id)?
                .cloned()
                .ok_or_else(|| Failure::not_found("There is no such override."))?,
        ),
        None => None,
    };
    let old = old.as_ref();
    let made = match wanted.act.as_deref() {
        Some("edit") => return shown(app, member, &protection, old, wanted, None, None),
        Some("build") => {
            let failure = match built(&wanted) {
                Ok(text) => {
                    if let Some(service) = chosen(&wanted.service).as_deref().and_then(template)
                        && !service.target.is_empty()
                    {
                        wanted.rule = Some(service.target.to_owned());
                    }
                    wanted.expression = Some(text);
                    None
                }
                Err(failure) => Some(failure),
            };
            return shown(app, member, &protection, old, wanted, None, failure);
        }
        Some(act @ ("first" | "up" | "down" | "last" | "delete")) => other_change(&protection, old, &wanted, act),
        _ => change_of(&protection, old, &wanted).map(|(change, review)| (change, Some(review))),
    };
    let (change, review) = match made {
        Ok((_, Some(review))) if wanted.act.as_deref() != Some("send") => {
            return shown(app, member, &protection, old, wanted, Some(review), None);
        }
        Ok(made) => made,
        Err(failure) => return shown(app, member, &protection, old, wanted, None, Some(failure)),
    };
    let subject = old
        .and_then(|old| old.description.clone())
        .or(wanted.name.clone())
        .unwrap_or_default();
    match send(app, client, member, &protection, &wanted, change, &subject).await {
        Ok(_) => Ok(go_to("/ddos-rules")),
        Err(failure) => shown(app, member, &protection, old, wanted, review, Some(failure)),
    }
}

async fn send(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    protection: &Protection,
    wanted: &Wanted,
    change: RulesetChange,
    subject: &str,
) -> Result<String, Failure> {
    let why = reason::of(wanted.reason.as_deref())?;
    protection.is(&wanted.seen)?;
    if wanted.act.as_deref() == Some("send")
        && weakens_all(wanted)
        && wanted.confirm.as_deref().map(str::trim) != Some("everywhere")
    {
        let text = "Type everywhere: this weakens protection for every destination. Nothing was sent.";
        return Err(Failure::bad_request("confirmation_required", text));
    }
    protection::change(app, member, client, why, (protection, change), subject).await
}

/// Moving and deleting.
fn other_change(
    protection: &Protection,
    old: Option<&Rule>,
    wanted: &Wanted,
    act: &str,
) -> Result<(RulesetChange, Option<Review>), Failure> {
    let old = old.ok_or_else(|| Failure::bad_request("bad_fields", "A new override is at no place yet."))?;
    let rules = protection.point.rules();
    let at = rules.iter().position(|rule| rule.id == old.id).unwrap_or_default();
    let nowhere = || Failure::bad_request("nothing_differs", "It stands there already. Nothing was sent.");
    let position = match act {
        "delete" => {
            let name = old
                .description
                .as_deref()
                .filter(|name| !name.is_empty())
                .unwrap_or(&old.id);
            if wanted.confirm.as_deref().map(str::trim) != Some(name) {
                let text = format!(
                    "Type {} to delete it. Nothing was sent.",
                    words::outside_up_to(name, 60)
                );
                return Err(Failure::bad_request("confirmation_required", text));
            }
            return Ok((RulesetChange::Delete { id: old.id.clone() }, None));
        }
        "first" if at > 0 => Position::First,
        "up" if at > 0 => Position::Before(rules[at - 1].id.clone()),
        "down" if at + 1 < rules.len() => Position::After(rules[at + 1].id.clone()),
        "last" if at + 1 < rules.len() => Position::Last,
        _ => return Err(nowhere()),
    };
    let id = old.id.clone();
    Ok((RulesetChange::Move { id, position }, None))
}

fn shown(
    app: &App,
    member: &Member,
    protection: &Protection,
    old: Option<&Rule>,
    fields: Wanted,
    review: Option<Review>,
    failure: Option<Failure>,
) -> Result<Response, Failure> {
    let rules = protection.point.rules();
    let place = old
        .and_then(|old| rules.iter().position(|rule| rule.id == old.id))
        .map_or(0, |place| place + 1);
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let text = fields.expression.clone().unwrap_or_default();
    let pointed = failure.as_ref().filter(|_| !text.trim().is_empty());
    let pointed = pointed
        .and_then(|_| Expression::parse(&text).err())
        .map(|refusal| refusal.pointed(&text));
    let targets = protection
        .managed
        .rules
        .iter()
        .filter(|rule| !rule.categories.iter().any(|it| it == "read-only"));
    let mut response = rendered(&Form {
        shell: Shell::bare(app, member, "Override", "ddos-rules"),
        name: old.map(|old| {
            old.description
                .clone()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| old.id.clone())
        }),
        targets: targets
            .map(|rule| {
                let words = rule.description.as_deref().unwrap_or_default();
                (
                    rule.id.clone(),
                    words::outside_up_to(&format!("{} {words}", short_name(rule)), 100),
                )
            })
            .collect(),
        is_plain: old.is_none_or(is_plain),
        sets: old
            .and_then(|old| old.overrides().ok())
            .and_then(|overrides| serde_json::to_string(&overrides).ok())
            .map(|text| words::outside(&text))
            .unwrap_or_default(),
        fields: resolved(protection, fields),
        place,
        count: rules.len(),
        review,
        problem: failure.map(|failure| failure.text().to_owned()),
        pointed,
    });
    *response.status_mut() = status;
    Ok(response)
}

/// A short name of a rule becomes its id, so that the list of rules shows it chosen.
fn resolved(protection: &Protection, mut fields: Wanted) -> Wanted {
    if let Some(rule) = chosen(&fields.rule)
        && let Ok(found) = find_managed(&protection.managed, &rule)
    {
        fields.rule = Some(found.id.clone());
    }
    fields
}

impl Form {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 80)
    }

    fn same(&self, option: &str, chosen: &str) -> bool {
        option == chosen
    }

    fn text<'a>(&self, text: &'a Option<String>) -> &'a str {
        text.as_deref().unwrap_or_default()
    }

    fn groups(&self) -> Vec<(&'static str, Vec<&'static Service>)> {
        let mut groups: Vec<(&'static str, Vec<&'static Service>)> = Vec::new();
        for service in TEMPLATES {
            match groups.last_mut() {
                Some((group, services)) if *group == service.group => services.push(service),
                _ => groups.push((service.group, vec![service])),
            }
        }
        groups
    }

    fn actions(&self) -> [&'static str; 2] {
        ACTIONS
    }

    fn sensitivities(&self) -> [&'static str; 4] {
        SENSITIVITIES
    }

    fn weakens(&self) -> bool {
        weakens_all(&self.fields)
    }

    /// Every field as it is sent on.
    fn hidden(&self) -> [(&'static str, &str); 7] {
        let fields = &self.fields;
        [
            ("name", self.text(&fields.name)),
            ("expression", self.text(&fields.expression)),
            ("rule", self.text(&fields.rule)),
            ("action", self.text(&fields.action)),
            ("sensitivity", self.text(&fields.sensitivity)),
            ("enabled", self.text(&fields.enabled)),
            ("seen", &fields.seen),
        ]
    }
}
