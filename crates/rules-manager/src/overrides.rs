//! `overrides`: what holds for a part of the traffic, in order.
//!
//! Must hold: an expression is read by our own parser, then by Cloudflare (`dry_run`), before anybody is asked; a change
//! is about the override that was named and no other.

use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Overrides, Rule, RuleBody, RuleOverride, Ruleset};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use cli::{Ink, Out, Table, Trouble, ink, words};
use daemon::exit;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rules::desk::Desk;
use rules::effective::{is_everything, scopes};
use rules::expression::{Expression, concerns};
use rules::overrides::{Essence, add, find_managed, problems};
use rules::template::{Simple, template};
use serde_json::json;

use crate::args::{NamedArgs, OverrideArgs, OverridesCommand, PlaceArgs, Sure};
use crate::expire;
use crate::managed::muted;
use crate::monitoring::told;
use crate::source::{Source, by, confirm, invalid, trouble, typed};

/// Runs it.
///
/// # Errors
/// Why not.
pub async fn run(source: &Source, out: Out, command: OverridesCommand) -> Result<u8, Trouble> {
    match command {
        OverridesCommand::List => list(source, out).await,
        OverridesCommand::Create(asked) => create(source, out, asked).await,
        OverridesCommand::Edit(asked) => edit(source, out, asked).await,
        OverridesCommand::Delete(which) => delete(source, out, &which.name, &which.sure).await,
        OverridesCommand::Move { which, to } => shift(source, out, &which, &to).await,
        OverridesCommand::Enable(which) => switch(source, out, &which, true).await,
        OverridesCommand::Disable(which) => switch(source, out, &which, false).await,
        OverridesCommand::Expire { sure } => expire::run(source, out, &sure).await,
    }
}

/// By id, else by name, which must be unique; `global` is the one for everything.
///
/// # Errors
/// There is none, or there are several.
pub fn find_override<'a>(point: &'a EntryPoint, wanted: &str) -> Result<&'a Rule, Trouble> {
    if let Some(rule) = point.rules().iter().find(|rule| rule.id == wanted) {
        return Ok(rule);
    }
    let named = |rule: &&Rule| {
        rule.description.as_deref() == Some(wanted) || (wanted == rules::overrides::GLOBAL && is_everything(rule))
    };
    let all: Vec<&Rule> = point.rules().iter().filter(named).collect();
    let shown = words::outside(wanted, 80);
    match all.as_slice() {
        [one] => Ok(one),
        [] => Err(Trouble::failed(
            "override.unknown",
            format!("there is no override with the name or id {shown}"),
        )
        .remedy("'cloudflare-rules-manager overrides list' shows them")),
        many => {
            let ids: Vec<&str> = many.iter().map(|rule| rule.id.as_str()).collect();
            let text = format!("{} overrides are called {shown}", many.len());
            Err(Trouble::failed("override.ambiguous", text).remedy(format!("use an id: {}", ids.join(", "))))
        }
    }
}

pub(crate) fn name_of(rule: &Rule) -> String {
    let name = rule.description.clone().unwrap_or_default();
    if name.is_empty() { rule.id.clone() } else { name }
}

async fn list(source: &Source, out: Out) -> Result<u8, Trouble> {
    let live = source.live().await?;
    let scopes = scopes(&live.managed, live.point.rules());
    let until = |rule: &Rule| {
        live.expiries
            .iter()
            .find(|it| it.rule_id == rule.id)
            .map(|it| it.expires_at)
    };
    if out.is_json() {
        let all: Vec<_> = live
            .point
            .rules()
            .iter()
            .zip(&scopes)
            .map(|(rule, scope)| {
                json!({"id": rule.id, "name": rule.description, "expression": rule.expression, "enabled": rule.is_enabled(),
                    "everything": scope.everything, "overrides": rule.overrides().ok(), "expires_at": until(rule), "muted": scope.muted})
            })
            .collect();
        out.document(&json!({"schema": "cloudflare-mt/overrides/1", "at": source.now(), "version": live.point.version(), "overrides": all}))?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["#", "NAME", "APPLIES TO", "SETS", "STATE"]);
    for (index, (rule, scope)) in live.point.rules().iter().zip(&scopes).enumerate() {
        let state = if rule.is_enabled() { "on" } else { "off" };
        let ends = until(rule)
            .map(|at| format!(", until {}", words::stamp(at)))
            .unwrap_or_default();
        let over = until(rule).is_some_and(|at| at <= source.now());
        let ends = if over {
            ink(Ink::Warn, &format!("{ends}: over"))
        } else {
            ends
        };
        table.row([
            (index + 1).to_string(),
            words::outside(&name_of(rule), 60),
            words::outside(&scope.expression, 160),
            sets(&live.managed, rule),
            format!("{state}{ends}{}", muted(scope.muted.as_ref())),
        ]);
    }
    let mut text = table.render(out.screen());
    text.push_str(&format!(
        "{}, live from Cloudflare; the first that applies decides\n",
        words::counted(live.point.rules().len(), "override", "overrides")
    ));
    out.text(&text)?;
    Ok(exit::DONE)
}

/// What an override sets, in words.
fn sets(managed: &Ruleset, rule: &Rule) -> String {
    let Ok(overrides) = rule.overrides() else {
        return "unreadable".to_owned();
    };
    let pair = |about: &str, action: Option<&String>, sensitivity: Option<&String>| {
        let words: Vec<&str> = [action, sensitivity]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!words.is_empty()).then(|| format!("{about}: {}", words.join(", ")))
    };
    let name = |id: &str| {
        managed
            .rule(id)
            .and_then(|rule| rule.reference.clone())
            .unwrap_or_else(|| id.to_owned())
    };
    let mut all = Vec::new();
    all.extend(pair(
        "all rules",
        overrides.action.as_ref(),
        overrides.sensitivity_level.as_ref(),
    ));
    for it in &overrides.categories {
        all.extend(pair(&it.category, it.action.as_ref(), it.sensitivity_level.as_ref()));
    }
    for it in &overrides.rules {
        all.extend(pair(&name(&it.id), it.action.as_ref(), it.sensitivity_level.as_ref()));
    }
    words::outside(&all.join("; "), 200)
}

fn expression(asked: &OverrideArgs) -> Result<Option<Expression>, Trouble> {
    let refused = |text: &str, refusal: &rules::expression::Refusal| {
        Trouble::usage("expression.invalid", format!("{refusal}\n{}", refusal.pointed(text)))
    };
    if let Some(text) = &asked.expression {
        return Expression::parse(text)
            .map(Some)
            .map_err(|refusal| refused(text, &refusal));
    }
    if asked.template.is_none() && asked.to.is_empty() {
        return Ok(None);
    }
    let mut destinations = Vec::new();
    for text in &asked.to {
        let prefix = Prefix::parse_strict(text.trim());
        destinations.push(prefix.map_err(|error| Trouble::usage("rule.arguments", error.to_string()))?);
    }
    let simple = match asked.template.as_deref() {
        None => Simple {
            destinations,
            ..Simple::default()
        },
        Some(id) => {
            let found = template(id).ok_or_else(|| {
                Trouble::usage(
                    "template.unknown",
                    format!("there is no service '{}'", words::outside(id, 40)),
                )
                .remedy("'cloudflare-rules-manager templates' shows them")
            })?;
            Simple::of_template(found, destinations)
        }
    };
    let made = simple.expression();
    made.map(Some).map_err(|refusal| refused("", &refusal))
}

/// What is asked for on top of what is there.
fn settings(managed: &Ruleset, before: Overrides, asked: &OverrideArgs) -> Result<Overrides, Trouble> {
    let mut overrides = before;
    let Some(wanted) = &asked.rule else {
        if asked.setting.action.is_some() {
            overrides.action.clone_from(&asked.setting.action);
        }
        if asked.setting.sensitivity.is_some() {
            overrides.sensitivity_level.clone_from(&asked.setting.sensitivity);
        }
        return Ok(overrides);
    };
    let rule =
        find_managed(managed, wanted).map_err(|why| Trouble::failed("rule.unknown", words::outside(&why, 400)))?;
    if !overrides.rules.iter().any(|it| it.id == rule.id) {
        overrides.rules.push(RuleOverride {
            id: rule.id.clone(),
            ..RuleOverride::default()
        });
    }
    for entry in overrides.rules.iter_mut().filter(|it| it.id == rule.id) {
        if asked.setting.action.is_some() {
            entry.action.clone_from(&asked.setting.action);
        }
        if asked.setting.sensitivity.is_some() {
            entry.sensitivity_level.clone_from(&asked.setting.sensitivity);
        }
    }
    Ok(overrides)
}

fn position(point: &EntryPoint, place: &PlaceArgs) -> Result<Option<Position>, Trouble> {
    Ok(match (place.first, place.last, &place.before, &place.after) {
        (true, ..) => Some(Position::First),
        (_, true, ..) => Some(Position::Last),
        (_, _, Some(name), _) => Some(Position::Before(find_override(point, name)?.id.clone())),
        (.., Some(name)) => Some(Position::After(find_override(point, name)?.id.clone())),
        _ => None,
    })
}

/// `Some(None)` takes the end away.
fn until(asked: &OverrideArgs) -> Result<Option<Option<Timestamp>>, Trouble> {
    match asked.expires.as_deref() {
        None => Ok(None),
        Some("never") => Ok(Some(None)),
        Some(text) => match domain::time::from_text(text) {
            Some(at) => Ok(Some(Some(at))),
            None => Err(Trouble::usage(
                "rule.arguments",
                "--expires takes an instant such as 2026-12-01T00:00:00Z",
            )),
        },
    }
}

/// Our own checks, then Cloudflare's, then what to think about.
async fn checked(
    desk: &Desk,
    out: Out,
    managed: &Ruleset,
    point: &EntryPoint,
    text: &str,
    overrides: &Overrides,
    change: &RulesetChange,
) -> Result<(), Trouble> {
    let found = problems(managed, text, overrides);
    if !found.is_empty() {
        return Err(invalid(
            found.into_iter().map(|it| format!("{}: {}", it.field, it.text)),
        ));
    }
    desk.check_ddos(point, change).await.map_err(trouble)?;
    if let Ok(expression) = Expression::parse(text) {
        for concern in concerns(&expression) {
            out.aside(&format!("note: {}\n", concern.words()));
        }
    }
    Ok(())
}

async fn create(source: &Source, out: Out, asked: OverrideArgs) -> Result<u8, Trouble> {
    let until = until(&asked)?;
    let expression = expression(&asked)?.ok_or_else(|| {
        Trouble::usage(
            "rule.arguments",
            "say what it applies to: --expression, or --template and --to",
        )
    })?;
    let desk = source.desk()?;
    let (managed, point) = desk.read_ddos().await.map_err(trouble)?;
    if point
        .rules()
        .iter()
        .any(|rule| rule.description.as_deref() == Some(&asked.name))
    {
        return Err(invalid([format!("there is an override {} already", asked.name)]));
    }
    let overrides = settings(&managed, Overrides::default(), &asked)?;
    let body = RuleBody::overriding(MANAGED_DDOS_L4, expression.text(), &asked.name, &overrides);
    let change = add(&point, body, position(&point, &asked.place)?);
    checked(&desk, out, &managed, &point, expression.text(), &overrides, &change).await?;
    out.aside(&format!("{}: {expression}\n", words::outside(&asked.name, 80)));
    confirm(
        out,
        &asked.sure,
        &format!("Add override {}?", words::outside(&asked.name, 80)),
    )
    .await?;
    let by = by(&asked.sure).await;
    let done = desk
        .change_with_end(&by, &point, &change, &asked.name, until)
        .await
        .map_err(trouble)?;
    told(out, &[(done, "added", asked.name)])
}

async fn edit(source: &Source, out: Out, asked: OverrideArgs) -> Result<u8, Trouble> {
    let until = until(&asked)?;
    let expression = expression(&asked)?;
    let desk = source.desk()?;
    let (managed, point) = desk.read_ddos().await.map_err(trouble)?;
    let rule = find_override(&point, &asked.name)?;
    let (name, id) = (name_of(rule), rule.id.clone());
    let before = rule
        .overrides()
        .map_err(|error| invalid([format!("its overrides cannot be read: {error}")]))?;
    let overrides = settings(&managed, before, &asked)?;
    let mut body = rule.body();
    body.set_overrides(&overrides);
    if let Some(expression) = &expression {
        body.set_expression(expression.text());
    }
    let text = expression
        .as_ref()
        .map_or(rule.expression.as_deref().unwrap_or_default(), Expression::text)
        .to_owned();
    let position = position(&point, &asked.place)?;
    let by = by(&asked.sure).await;
    let mut done = Vec::new();
    if Essence::of(rule) != Essence::of_body(&body) || position.is_some() {
        let change = RulesetChange::Edit {
            id: id.clone(),
            rule: body,
            position,
        };
        checked(&desk, out, &managed, &point, &text, &overrides, &change).await?;
        confirm(
            out,
            &asked.sure,
            &format!("Change override {}?", words::outside(&name, 80)),
        )
        .await?;
        let one = desk.change_with_end(&by, &point, &change, &name, until).await;
        done.push((one.map_err(trouble)?, "changed", name));
    } else if let Some(until) = until {
        desk.set_end(&by, &id, &name, until).await.map_err(trouble)?;
        out.aside("only its end was changed; nothing was sent\n");
    } else {
        out.aside("it is so already; nothing was done\n");
    }
    told(out, &done)
}

async fn delete(source: &Source, out: Out, wanted: &str, sure: &Sure) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let (_, point) = desk.read_ddos().await.map_err(trouble)?;
    let rule = find_override(&point, wanted)?;
    let name = name_of(rule);
    let shown = words::outside(&name, 200);
    out.aside(&format!(
        "{shown}: {}\n",
        words::outside(rule.expression.as_deref().unwrap_or_default(), 300)
    ));
    typed(out, sure, &format!("Type {shown} to delete it:"), &name).await?;
    let change = RulesetChange::Delete { id: rule.id.clone() };
    // Its end stays known: the deletion may be taken back.
    let done = desk.change_ddos(&by(sure).await, &point, &change, &name).await;
    told(out, &[(done.map_err(trouble)?, "deleted", name)])
}

async fn shift(source: &Source, out: Out, which: &NamedArgs, to: &PlaceArgs) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let (_, point) = desk.read_ddos().await.map_err(trouble)?;
    let rule = find_override(&point, &which.name)?;
    let position = position(&point, to)?;
    let position = position
        .ok_or_else(|| Trouble::usage("rule.arguments", "say where to: --first, --last, --before or --after"))?;
    let name = name_of(rule);
    let change = RulesetChange::Move {
        id: rule.id.clone(),
        position,
    };
    let order: Vec<String> = rules::overrides::after(point.rules(), &change)
        .into_iter()
        .map(|(_, it)| words::outside(&it.description, 60))
        .collect();
    out.aside(&format!("then: {}\n", order.join(" | ")));
    confirm(
        out,
        &which.sure,
        &format!("Move override {}?", words::outside(&name, 80)),
    )
    .await?;
    let done = desk
        .change_ddos(&by(&which.sure).await, &point, &change, &name)
        .await
        .map_err(trouble)?;
    told(out, &[(done, "moved", name)])
}

async fn switch(source: &Source, out: Out, which: &NamedArgs, on: bool) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let (_, point) = desk.read_ddos().await.map_err(trouble)?;
    let rule = find_override(&point, &which.name)?;
    let name = name_of(rule);
    if rule.is_enabled() == on {
        out.aside("it is so already; nothing was done\n");
        return told(out, &[]);
    }
    let mut body = rule.body();
    body.set_enabled(on);
    let change = RulesetChange::Edit {
        id: rule.id.clone(),
        rule: body,
        position: None,
    };
    let word = if on { "on" } else { "off" };
    confirm(
        out,
        &which.sure,
        &format!("Switch override {} {word}?", words::outside(&name, 80)),
    )
    .await?;
    let done = desk
        .change_ddos(&by(&which.sure).await, &point, &change, &name)
        .await
        .map_err(trouble)?;
    told(out, &[(done, if on { "switched on" } else { "switched off" }, name)])
}
