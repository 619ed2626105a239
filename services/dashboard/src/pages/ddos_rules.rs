//! `/ddos-rules[/ACTION]`: the managed rules and their categories with what is in force in one scope, filters and search, and
//! the overrides in their order; `/ddos-rules/order`: another order.
//!
//! An override is moved by its handle, with the pointer or the arrow keys; where that leads is looked at before it is sent.
//! Without script the form of the override moves it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::rulesets::{EntryPoint, Overrides, Rule, Ruleset};
use db::rule_changes::{Change, Expiry, Family};
use jiff::Timestamp;
use rules::effective::{Effective, Scope, scopes};
use rules::overrides::{READ_ONLY, is_read_only};
use serde::Deserialize;

use super::{Shell, go_to, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, Said};
use crate::overrides::setting::{Level, Subject};
use crate::overrides::{self, Place, Plan, TYPED, name_of};
use crate::protection::{self, EVERYWHERE, Protection, muted_words, short_name, source_words};
use crate::upstream::Reading;
use crate::words;

/// What can be asked of the list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    scope: String,
}

#[derive(Template)]
#[template(path = "ddos_rules.html")]
struct Page {
    shell: Shell,
    managed: Reading<Ruleset>,
    point: Reading<EntryPoint>,
    rows: Vec<Row>,
    total: usize,
    /// Effective actions in this scope with how many rules have them.
    counts: Vec<(String, usize)>,
    scopes: Vec<Scope>,
    chosen: String,
    /// The action that the address asks for.
    action: String,
    q: String,
    version: String,
    /// What the chosen scope sets for all rules and for categories, with how many rules each has.
    levels: Vec<(Level, usize)>,
    ends: Vec<Expiry>,
    /// Changes of which nobody knows what came of them.
    unsettled: Vec<Change>,
    moving: Option<Moving>,
}

/// An override that is about to be moved.
struct Moving {
    name: String,
    wanted: Order,
    /// `None` where it cannot be.
    plan: Option<Plan>,
    problem: Option<String>,
}

/// A managed rule in the chosen scope.
struct Row {
    id: String,
    name: String,
    description: String,
    categories: String,
    /// `None` where nothing can be concluded.
    effective: Option<Effective>,
    is_fixed: bool,
}

/// `GET /ddos-rules`
pub(crate) async fn page(
    State(app): State<App>,
    member: Member,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    listed(&app, &member, String::new(), asked, None).await
}

/// `GET /ddos-rules/ACTION`
pub(crate) async fn of_action(
    State(app): State<App>,
    member: Member,
    Path(action): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    // Whatever else is in an address is not looked for.
    if action.is_empty() || action.len() > 40 || !action.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Err(Failure::not_found("There is no such action."));
    }
    listed(&app, &member, action, asked, None).await
}

/// Where an override is to go.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Order {
    #[serde(default)]
    moved: String,
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    said: Said,
    act: Option<String>,
}

/// `GET /ddos-rules/order`: the list, for whoever reloads the page that a move answered with, and for that page itself, which
/// keeps its status line current.
pub(crate) async fn order_of_now(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    listed(&app, &member, String::new(), Asked::default(), None).await
}

/// `POST /ddos-rules/order`
pub(crate) async fn order(asking: Asking<Order>) -> Result<Response, Failure> {
    let (protection, wanted) = (Protection::known(&asking.app).await?, &asking.fields);
    let rule = protection.existing(&wanted.moved)?;
    let (plan, failure) = match overrides::movement(&protection, rule, &wanted.place) {
        Err(failure) => (None, Some(failure)),
        Ok(plan) if wanted.act.as_deref() != Some("send") => (Some(plan), None),
        Ok(plan) => match overrides::send(&asking, &protection, plan.clone(), &wanted.said).await {
            Ok(_) => return Ok(go_to("/ddos-rules")),
            Err(failure) => (Some(plan), Some(failure)),
        },
    };
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let moving = Moving {
        name: words::outside_up_to(name_of(rule), 80),
        plan,
        problem: failure.map(|failure| failure.text().to_owned()),
        wanted: asking.fields,
    };
    let none = (String::new(), Asked::default());
    let mut response = listed(&asking.app, &asking.member, none.0, none.1, Some(moving)).await?;
    *response.status_mut() = status;
    Ok(response)
}

async fn listed(
    app: &App,
    member: &Member,
    action: String,
    asked: Asked,
    moving: Option<Moving>,
) -> Result<Response, Failure> {
    let overview = main::situation(app).await?;
    let (ends, unsettled) = (
        protection::ends(app).await?,
        protection::unsettled(app, Family::DdosL4).await?,
    );
    let (managed, point) = tokio::join!(app.upstream().managed(app), app.upstream().overrides(app));
    let overrides = point.value.as_deref().map(EntryPoint::rules).unwrap_or_default();
    let all = managed
        .value
        .as_deref()
        .map(|managed| scopes(managed, overrides))
        .unwrap_or_default();
    let global = all
        .iter()
        .find(|scope| scope.everything && scope.id.is_some() && scope.muted.is_none());
    let chosen = match asked.scope.as_str() {
        "" | EVERYWHERE => global.or(all.last()),
        id => Some(
            all.iter()
                .find(|scope| scope.id.as_deref() == Some(id))
                .ok_or_else(|| Failure::not_found("There is no such override."))?,
        ),
    };
    // Without the overrides nobody knows what is in force.
    let known = point.value.is_some();
    let effective = |rule: &Rule| {
        let found = chosen.filter(|_| known)?.rules.iter().find(|one| one.rule == rule.id);
        found.cloned()
    };
    let rules: &[Rule] = managed
        .value
        .as_deref()
        .map(|managed| managed.rules.as_slice())
        .unwrap_or_default();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    let wanted = asked.q.trim().to_lowercase();
    for rule in rules {
        let effective = effective(rule);
        let found = effective
            .as_ref()
            .map_or("unknown", |effective| effective.action.value.as_str())
            .to_owned();
        *counts.entry(found.clone()).or_default() += 1;
        let row = row(rule, effective);
        if (action.is_empty() || action == found) && (wanted.is_empty() || row.holds(&wanted)) {
            rows.push(row);
        }
    }
    let shell = Shell::over(app, member, &overview, "DDoS rules", "ddos-rules");
    let levels = match (chosen.filter(|_| known), managed.value.as_deref()) {
        (Some(scope), Some(managed)) => levels(managed, overrides, scope),
        _ => Vec::new(),
    };
    let chosen = chosen
        .and_then(|scope| scope.id.clone())
        .unwrap_or_else(|| EVERYWHERE.to_owned());
    Ok(rendered(&Page {
        shell,
        rows,
        total: rules.len(),
        counts: counts.into_iter().collect(),
        scopes: if known { all } else { Vec::new() },
        chosen: if asked.scope.is_empty() {
            EVERYWHERE.to_owned()
        } else {
            chosen
        },
        action,
        q: asked.q,
        version: point.value.as_deref().map(protection::version).unwrap_or_default(),
        managed,
        point,
        levels,
        ends,
        unsettled,
        moving,
    }))
}

/// What a scope sets for all rules and for each category.
fn levels(managed: &Ruleset, overrides: &[Rule], scope: &Scope) -> Vec<(Level, usize)> {
    let rule = overrides.iter().find(|rule| Some(&rule.id) == scope.id.as_ref());
    let Ok(overrides) = rule.map_or_else(|| Ok(Overrides::default()), Rule::overrides) else {
        return Vec::new();
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in managed.rules.iter().flat_map(|rule| &rule.categories) {
        *counts.entry(name).or_default() += 1;
    }
    counts.remove(READ_ONLY);
    let categories = counts.into_iter().map(|(name, count)| {
        let level = Subject::Category(name.to_owned()).level(&overrides);
        (level, count)
    });
    std::iter::once((Subject::Ruleset.level(&overrides), managed.rules.len()))
        .chain(categories)
        .collect()
}

fn row(rule: &Rule, effective: Option<Effective>) -> Row {
    Row {
        id: rule.id.clone(),
        name: words::outside_up_to(short_name(rule), 40),
        description: words::outside_up_to(rule.description.as_deref().unwrap_or_default(), 160),
        categories: words::outside_up_to(&rule.categories.join(", "), 120),
        is_fixed: is_read_only(rule),
        effective,
    }
}

impl Row {
    fn holds(&self, wanted: &str) -> bool {
        let texts = [&self.id, &self.name, &self.description, &self.categories];
        texts.into_iter().any(|text| text.to_lowercase().contains(wanted))
    }
}

impl Page {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 120)
    }

    fn source(&self, source: &rules::effective::Source) -> String {
        source_words(source)
    }

    /// What cannot be read, with why.
    fn troubles(&self) -> Vec<(&'static str, String)> {
        let both = [("rules", self.managed.trouble()), ("overrides", self.point.trouble())];
        both.into_iter()
            .filter_map(|(name, trouble)| Some((name, trouble?)))
            .collect()
    }

    fn same(&self, one: &str, other: &str) -> bool {
        one == other
    }

    fn is_chosen(&self, scope: &Scope) -> bool {
        scope.id.as_deref().unwrap_or(EVERYWHERE) == self.chosen
    }

    fn scope_id<'a>(&self, scope: &'a Scope) -> &'a str {
        scope.id.as_deref().unwrap_or(EVERYWHERE)
    }

    /// The override rules, without Cloudflare's defaults.
    fn overrides(&self) -> Vec<&Scope> {
        self.scopes.iter().filter(|scope| scope.id.is_some()).collect()
    }

    fn muted(&self, scope: &Scope) -> Option<String> {
        muted_words(scope, &self.scopes)
    }

    /// What a level sets.
    fn set(&self, word: &Option<String>) -> String {
        word.as_deref()
            .map_or_else(|| "not set".to_owned(), |word| self.short(word))
    }

    /// Until when an override stands, and whether that is over.
    fn end(&self, scope: &Scope) -> Option<(Timestamp, bool)> {
        let at = protection::end_of(&self.ends, scope.id.as_deref()?)?;
        Some((at, at <= self.shell.now))
    }

    fn typed(&self) -> &'static str {
        TYPED
    }

    fn text<'a>(&self, text: &'a Option<String>) -> &'a str {
        text.as_deref().unwrap_or_default()
    }

    /// What an override sets, in words.
    fn sets(&self, scope: &Scope) -> String {
        let rules = self.point.value.as_deref().map(EntryPoint::rules).unwrap_or_default();
        let rule = rules.iter().find(|rule| Some(&rule.id) == scope.id.as_ref());
        rule.and_then(|rule| rule.overrides().ok())
            .map_or_else(|| "?".to_owned(), |overrides| self.settings(&overrides))
    }

    fn settings(&self, overrides: &Overrides) -> String {
        let name = |id: &str| {
            let found = self.managed.value.as_deref().and_then(|managed| managed.rule(id));
            found.map_or_else(|| id.to_owned(), |rule| short_name(rule).to_owned())
        };
        let say = |what: String, action: &Option<String>, level: &Option<String>| {
            let parts: Vec<&str> = [action.as_deref(), level.as_deref()].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| format!("{what}: {}", parts.join(", ")))
        };
        let whole = say("all rules".to_owned(), &overrides.action, &overrides.sensitivity_level);
        let categories = overrides
            .categories
            .iter()
            .filter_map(|one| say(one.category.clone(), &one.action, &one.sensitivity_level));
        let rules = overrides
            .rules
            .iter()
            .filter_map(|one| say(name(&one.id), &one.action, &one.sensitivity_level));
        let all: Vec<String> = whole.into_iter().chain(categories).chain(rules).collect();
        self.short(&if all.is_empty() {
            "nothing".to_owned()
        } else {
            all.join("; ")
        })
    }
}
