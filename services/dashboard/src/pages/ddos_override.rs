//! `/ddos-rules/override/new` and `/ddos-rules/override/ID`: making an override, changing its name, condition, end and state,
//! moving it, deleting it.
//!
//! The condition is written, or built from a service, addresses and ports; either way it is read by the parser, and by
//! Cloudflare's own check before anything is sent. All of it works without script and with the keyboard alone.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::rulesets::Rule;
use db::users::Role;
use rules::expression::Expression;
use rules::overrides::{ACTIONS, SENSITIVITIES, find_managed, is_read_only};
use rules::template::{TEMPLATES, Template as Service, template};

use super::{Shell, go_to, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, Said};
use crate::overrides::{self, Place, Plan, TYPED, Wanted, built, chosen, fields_of, is_plain, name_of};
use crate::protection::{Protection, short_name};
use crate::words;

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
    /// Whether it takes part now.
    is_on: bool,
    sets: String,
    place: usize,
    count: usize,
    review: Option<Plan>,
    problem: Option<String>,
    /// Where the condition is wrong: two lines.
    pointed: Option<String>,
    /// The move that was warned of and may be repeated.
    warned: String,
}

/// `GET /ddos-rules/override/new`
pub(crate) async fn blank(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(&app).await?;
    let fields = Wanted {
        said: Said::having_seen(protection.version()),
        sensitivity: Some("low".to_owned()),
        ..Wanted::default()
    };
    written(&app, &member, &protection, None, fields, Ok(None))
}

/// `GET /ddos-rules/override/ID`
pub(crate) async fn form(State(app): State<App>, member: Member, Path(id): Path<String>) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(&app).await?;
    let rule = protection.existing(&id)?;
    let fields = fields_of(rule, protection.version(), protection.end(&id));
    written(&app, &member, &protection, Some(rule), fields, Ok(None))
}

/// `POST /ddos-rules/override/new`
pub(crate) async fn make(asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, None).await
}

/// `POST /ddos-rules/override/ID`
pub(crate) async fn submit(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, Some(&id)).await
}

async fn step(mut asking: Asking<Wanted>, id: Option<&str>) -> Result<Response, Failure> {
    let protection = Protection::known(&asking.app).await?;
    let old = id.map(|id| protection.existing(id)).transpose()?;
    let act = asking.fields.act.clone().unwrap_or_default();
    let (wanted, now) = (&mut asking.fields, asking.app.now());
    let planned = match (act.as_str(), old) {
        ("edit", _) => return shown(asking, &protection, old, Ok(None)),
        ("build", _) => {
            let outcome = build(wanted).map(|()| None).map_err(|failure| (failure, None));
            return shown(asking, &protection, old, outcome);
        }
        ("first" | "up" | "down" | "last" | "delete" | "switch", None) => {
            Err(Failure::bad_request("bad_fields", "A new override is not there yet."))
        }
        ("first" | "up" | "down" | "last", Some(rule)) => moved(&protection, rule, wanted, &act),
        ("delete", Some(rule)) => {
            with_fields(&protection, rule, wanted);
            Ok(overrides::deletion(&protection, rule))
        }
        ("switch", Some(rule)) => {
            let only = Wanted {
                enabled: Some(!rule.is_enabled()),
                ..Wanted::default()
            };
            with_fields(&protection, rule, wanted);
            overrides::change(&protection, old, &only, now)
        }
        _ => overrides::change(&protection, old, wanted, now),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(failure) => return shown(asking, &protection, old, Err((failure, None))),
    };
    if act.is_empty() || act == "review" {
        return shown(asking, &protection, old, Ok(Some(plan)));
    }
    let review = (act == "send").then(|| plan.clone());
    match overrides::send(&asking, &protection, plan, &asking.fields.said).await {
        Ok(_) => Ok(go_to("/ddos-rules")),
        Err(failure) => shown(asking, &protection, old, Err((failure, review))),
    }
}

/// Writes the condition that the builder's fields make, and chooses the managed rule that the service mostly is about.
fn build(wanted: &mut Wanted) -> Result<(), Failure> {
    wanted.expression = Some(built(&wanted.builder)?);
    let service = chosen(&wanted.builder.service);
    if let Some(service) = service.as_deref().and_then(template)
        && !service.target.is_empty()
    {
        wanted.rule = Some(service.target.to_owned());
    }
    Ok(())
}

/// A move from its own form. What it makes unreachable is told first; the same button again does it all the same.
fn moved(protection: &Protection, rule: &Rule, wanted: &mut Wanted, act: &str) -> Result<Plan, Failure> {
    let place = Place {
        direction: Some(act.to_owned()),
        ..Place::default()
    };
    let warned = wanted.warned.take();
    with_fields(protection, rule, wanted);
    let plan = overrides::movement(protection, rule, &place)?;
    let knows = plan.notes.is_empty() || warned.as_deref() == Some(act);
    if knows {
        return Ok(plan);
    }
    wanted.warned = Some(act.to_owned());
    let notes: Vec<String> = plan.notes.iter().map(|note| words::sentence(note)).collect();
    let text = format!(
        "{}. Press the same button again to move it all the same.",
        notes.join(". ")
    );
    Err(Failure::bad_request("look_first", text))
}

/// The short forms send a reason only: the long one beside them keeps showing what is there.
fn with_fields(protection: &Protection, rule: &Rule, wanted: &mut Wanted) {
    *wanted = Wanted {
        said: std::mem::take(&mut wanted.said),
        act: wanted.act.take(),
        ..fields_of(rule, String::new(), protection.end(&rule.id))
    };
}

type Outcome = Result<Option<Plan>, (Failure, Option<Plan>)>;

/// The form with what was typed; what will change, or what is wrong with it.
fn shown(
    asking: Asking<Wanted>,
    protection: &Protection,
    old: Option<&Rule>,
    outcome: Outcome,
) -> Result<Response, Failure> {
    written(&asking.app, &asking.member, protection, old, asking.fields, outcome)
}

fn written(
    app: &App,
    member: &Member,
    protection: &Protection,
    old: Option<&Rule>,
    fields: Wanted,
    outcome: Outcome,
) -> Result<Response, Failure> {
    let (failure, review) = match outcome {
        Ok(review) => (None, review),
        Err((failure, review)) => (Some(failure), review),
    };
    let rules = protection.point.rules();
    let place = old.and_then(|old| rules.iter().position(|rule| rule.id == old.id));
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let text = fields.expression.clone().unwrap_or_default();
    let pointed = failure.as_ref().filter(|_| !text.trim().is_empty());
    let pointed = pointed
        .and_then(|_| Expression::parse(&text).err())
        .map(|refusal| refusal.pointed(&text));
    let targets = protection.managed.rules.iter().filter(|rule| !is_read_only(rule));
    let mut response = rendered(&Form {
        shell: Shell::bare(app, member, "Override", "ddos-rules"),
        name: old.map(|old| name_of(old).to_owned()),
        targets: targets
            .map(|rule| {
                let words = rule.description.as_deref().unwrap_or_default();
                let label = words::outside_up_to(&format!("{} {words}", short_name(rule)), 100);
                (rule.id.clone(), label)
            })
            .collect(),
        is_plain: old.is_none_or(is_plain),
        is_on: old.is_none_or(Rule::is_enabled),
        sets: old
            .and_then(|old| old.overrides().ok())
            .and_then(|overrides| serde_json::to_string(&overrides).ok())
            .map(|text| words::outside(&text))
            .unwrap_or_default(),
        warned: fields.warned.clone().unwrap_or_default(),
        fields: resolved(protection, fields),
        place: place.map_or(0, |place| place + 1),
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

    /// Lists of the builder: label, field, what it says, an example.
    fn lists(&self) -> [(&'static str, &'static str, &str, &'static str); 6] {
        let builder = &self.fields.builder;
        [
            (
                "Destinations: addresses or networks, IPv4 or IPv6, with spaces between",
                "destinations",
                self.text(&builder.destinations),
                "192.0.2.7 2001:db8:7::/48",
            ),
            (
                "TCP ports, besides those of the service",
                "tcp_ports",
                self.text(&builder.tcp_ports),
                "80 443 8000-8100",
            ),
            (
                "UDP ports, besides those of the service",
                "udp_ports",
                self.text(&builder.udp_ports),
                "53 1024-2000",
            ),
            (
                "Protocols, where ports say nothing",
                "protocols",
                self.text(&builder.protocols),
                "gre 50",
            ),
            (
                "Sources: not recommended, because attacks come from many",
                "sources",
                self.text(&builder.sources),
                "198.51.100.0/24",
            ),
            (
                "Source ports: not recommended either",
                "source_ports",
                self.text(&builder.source_ports),
                "53 123",
            ),
        ]
    }

    fn actions(&self) -> [&'static str; 2] {
        ACTIONS
    }

    fn sensitivities(&self) -> [&'static str; 4] {
        SENSITIVITIES
    }

    fn typed(&self) -> &'static str {
        TYPED
    }

    fn enabled(&self) -> &'static str {
        if self.fields.enabled == Some(false) {
            "false"
        } else {
            "true"
        }
    }

    /// Every field as it is sent on.
    fn hidden(&self) -> Vec<(&'static str, &str)> {
        let fields = &self.fields;
        let named = [
            ("name", self.text(&fields.name)),
            ("expression", self.text(&fields.expression)),
            ("rule", self.text(&fields.rule)),
            ("action", self.text(&fields.action)),
            ("sensitivity", self.text(&fields.sensitivity)),
            ("enabled", self.enabled()),
            ("expires", self.text(&fields.expires)),
            ("seen", fields.said.seen.as_str()),
        ];
        let builder = fields.builder.named().map(|(name, text)| (name, self.text(text)));
        named.into_iter().chain(builder).collect()
    }
}
