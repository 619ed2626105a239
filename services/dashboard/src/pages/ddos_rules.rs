//! `/ddos-rules[/ACTION]`: the managed rules with what is in force in one scope, filters and search, and the overrides in
//! their order; `/ddos-rules/rule/ID`: setting or resetting exactly one rule in exactly one scope.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cf_api::rest::rulesets::{EntryPoint, Overrides, Rule, Ruleset};
use db::users::Role;
use rules::effective::{Effective, Muted, Scope, scopes};
use rules::overrides::{About, Edit, SENSITIVITIES, Where, set};
use serde::Deserialize;

use super::{Shell, go_to, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::reason;
use crate::app::App;
use crate::client::ClientAddr;
use crate::protection::{self, EVERYWHERE, Protection, edit_of, short_name, source_words};
use crate::submission::Submission;
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
}

/// A managed rule in the chosen scope.
struct Row {
    id: String,
    name: String,
    description: String,
    categories: String,
    /// `None` where nothing can be concluded.
    effective: Option<Effective>,
    allowed: Vec<String>,
    is_fixed: bool,
}

/// `GET /ddos-rules`
pub(crate) async fn page(
    State(app): State<App>,
    member: Member,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    listed(&app, &member, String::new(), asked).await
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
    listed(&app, &member, action, asked).await
}

async fn listed(app: &App, member: &Member, action: String, asked: Asked) -> Result<Response, Failure> {
    let overview = main::situation(app).await?;
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
    let mut counts: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
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
    }))
}

fn row(rule: &Rule, effective: Option<Effective>) -> Row {
    Row {
        id: rule.id.clone(),
        name: words::outside_up_to(short_name(rule), 40),
        description: words::outside_up_to(rule.description.as_deref().unwrap_or_default(), 160),
        categories: words::outside_up_to(&rule.categories.join(", "), 120),
        is_fixed: is_fixed(rule),
        allowed: rule.allowed_override_actions.clone(),
        effective,
    }
}

/// Whether Cloudflare lets nobody change it.
fn is_fixed(rule: &Rule) -> bool {
    rule.categories.iter().any(|category| category == "read-only")
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
        scope.muted.as_ref().map(|muted| match muted {
            Muted::Disabled => "switched off".to_owned(),
            Muted::NotOurs => "about another ruleset".to_owned(),
            Muted::Unreadable { detail } => format!("cannot be understood: {}", self.short(detail)),
            Muted::Shadowed { by } => {
                let name = self.scopes.iter().find(|scope| scope.id.as_deref() == Some(by));
                let name = name.map_or_else(|| by.clone(), |scope| self.short(&scope.name));
                format!("never reached: {name} stands before it and takes all of it")
            }
        })
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

/// What is to be set.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub(crate) scope: String,
    pub(crate) action: Option<String>,
    #[serde(alias = "sensitivity_level")]
    pub(crate) sensitivity: Option<String>,
    #[serde(default)]
    pub(crate) seen: String,
    pub(crate) confirm: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) act: Option<String>,
}

#[derive(Template)]
#[template(path = "ddos_rule.html")]
struct Form {
    shell: Shell,
    rule: Row,
    scopes: Vec<(String, String)>,
    fields: Wanted,
    before: Option<Effective>,
    after: Option<Effective>,
    /// Protection gets weaker everywhere.
    weakens: bool,
    problem: Option<String>,
}

/// `GET /ddos-rules/rule/ID`
pub(crate) async fn form(
    State(app): State<App>,
    member: Member,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(&app).await?;
    let fields = Wanted {
        scope: if asked.scope.is_empty() {
            EVERYWHERE.to_owned()
        } else {
            asked.scope
        },
        seen: protection.version(),
        ..Wanted::default()
    };
    shown(&app, &member, (&protection, &id), fields, false, None)
}

/// `POST /ddos-rules/rule/ID`
pub(crate) async fn submit(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(id): Path<String>,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::known(&app).await?;
    let wanted = submission.fields;
    match wanted.act.as_deref() {
        Some("edit") => shown(&app, &member, (&protection, &id), wanted, false, None),
        Some("send") => match save(&app, &member, &client, (&protection, &id), &wanted).await {
            Ok(_) => Ok(go_to("/ddos-rules")),
            Err(failure) => shown(&app, &member, (&protection, &id), wanted, true, Some(failure)),
        },
        _ => match change_of(&protection, &id, &wanted) {
            Ok(_) => shown(&app, &member, (&protection, &id), wanted, true, None),
            Err(failure) => shown(&app, &member, (&protection, &id), wanted, false, Some(failure)),
        },
    }
}

/// The change of one rule in one scope.
fn change_of(
    protection: &Protection,
    id: &str,
    wanted: &Wanted,
) -> Result<cf_api::rest::rulesets_changes::RulesetChange, Failure> {
    protection.rule(id)?;
    protection.scope(&wanted.scope)?;
    let place = if wanted.scope == EVERYWHERE {
        Where::Everywhere
    } else {
        Where::In(&wanted.scope)
    };
    let (action, sensitivity) = (
        edit_of(wanted.action.as_deref()),
        edit_of(wanted.sensitivity.as_deref()),
    );
    let made = set(
        &protection.point,
        &protection.managed,
        place,
        About::Rule(id),
        &action,
        &sensitivity,
    );
    let made = made.map_err(|wrong| protection::problems(&wrong))?;
    made.ok_or_else(|| Failure::bad_request("nothing_differs", "Nothing differs from what is there."))
}

/// Whether it makes protection weaker for everything.
fn weakens(wanted: &Wanted) -> bool {
    let sets = |word: Option<&str>, weak: &str| edit_of(word) == Edit::Set(weak.to_owned());
    wanted.scope == EVERYWHERE && (sets(wanted.action.as_deref(), "log") || sets(wanted.sensitivity.as_deref(), "eoff"))
}

/// Sets or resets one rule in one scope.
///
/// # Errors
/// 400 for what cannot be meant, 409 when somebody changed the overrides meanwhile or Cloudflare declines, 503 when they
/// cannot be read or the outcome is not known.
pub(crate) async fn save(
    app: &App,
    member: &Member,
    client: &ClientAddr,
    (protection, id): (&Protection, &str),
    wanted: &Wanted,
) -> Result<String, Failure> {
    member.needs(Role::Operator)?;
    let why = reason::of(wanted.reason.as_deref())?;
    protection.is(&wanted.seen)?;
    let change = change_of(protection, id, wanted)?;
    let name = short_name(protection.rule(id)?).to_owned();
    if weakens(wanted) && wanted.confirm.as_deref().map(str::trim) != Some(name.as_str()) {
        let text = format!("Type {name}: this weakens protection for every destination. Nothing was sent.");
        return Err(Failure::bad_request("confirmation_required", text));
    }
    protection::change(app, member, client, why, (protection, change), &name).await
}

fn shown(
    app: &App,
    member: &Member,
    (protection, id): (&Protection, &str),
    wanted: Wanted,
    review: bool,
    failure: Option<Failure>,
) -> Result<Response, Failure> {
    let rule = protection.rule(id)?;
    let scope = protection.scope(&wanted.scope)?;
    let before = protection.effective(rule, scope);
    let after = review
        .then(|| change_of(protection, id, &wanted).ok())
        .flatten()
        .and_then(|change| {
            let list = rules::overrides::after(protection.point.rules(), &change);
            let of_scope = list.into_iter().find(|(found, essence)| match scope {
                Some(scope) => found.as_deref() == Some(scope.id.as_str()),
                None => essence.expression == "true",
            });
            let overrides: Overrides = serde_json::from_value(of_scope?.1.overrides).ok()?;
            Some(rules::effective::settle_one(rule, &overrides))
        });
    let named = |rule: &Rule| {
        let name = rule
            .description
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(&rule.id);
        (
            rule.id.clone(),
            format!("only where {}", words::outside_up_to(name, 60)),
        )
    };
    let everywhere = (
        EVERYWHERE.to_owned(),
        "everywhere, where no other override comes first".to_owned(),
    );
    let others = protection
        .point
        .rules()
        .iter()
        .filter(|rule| !rules::effective::is_everything(rule))
        .map(named);
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let mut response = rendered(&Form {
        shell: Shell::bare(app, member, "Set a DDoS rule", "ddos-rules"),
        rule: row(rule, None),
        scopes: std::iter::once(everywhere).chain(others).collect(),
        weakens: weakens(&wanted),
        fields: wanted,
        before,
        after,
        problem: failure.map(|failure| failure.text().to_owned()),
    });
    *response.status_mut() = status;
    Ok(response)
}

impl Form {
    fn same(&self, option: &str, chosen: &str) -> bool {
        option == chosen
    }

    fn word<'a>(&self, word: &'a Option<String>) -> &'a str {
        word.as_deref().unwrap_or("keep")
    }

    /// What Cloudflare lets this rule be set to; the predecessor's `ddos_dynamic` cannot be set, only come back to.
    fn actions(&self) -> Vec<&str> {
        self.rule
            .allowed
            .iter()
            .map(String::as_str)
            .filter(|word| *word != "ddos_dynamic")
            .collect()
    }

    fn sensitivities(&self) -> [&'static str; 4] {
        SENSITIVITIES
    }

    fn words(&self, effective: &Option<Effective>) -> Vec<(&'static str, String)> {
        let Some(effective) = effective else {
            return vec![("in force", "not known".to_owned())];
        };
        let say =
            |setting: &rules::effective::Setting| format!("{} ({})", setting.value, source_words(&setting.source));
        vec![
            ("action", say(&effective.action)),
            ("sensitivity", say(&effective.sensitivity)),
        ]
    }

    fn scope_words(&self) -> String {
        let found = self.scopes.iter().find(|(id, _)| *id == self.fields.scope);
        found.map(|(_, words)| words.clone()).unwrap_or_default()
    }
}
