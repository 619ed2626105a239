//! `managed`: Cloudflare's DDoS rules with what is in force per scope, and setting exactly the one meant.

use cf_api::rest::rulesets::{EntryPoint, Rule};
use cli::table::fields;
use cli::{Ink, Out, Table, Trouble, ink, words};
use daemon::exit;
use rules::effective::{Effective, Muted, Scope, Setting, Source as From, scopes};
use rules::overrides::{About, Edit, Where, find_managed, set};
use serde_json::json;

use crate::args::{AboutArgs, ManagedCommand, SettingArgs, Sure};
use crate::monitoring::told;
use crate::overrides::find_override;
use crate::source::{Source, by, confirm, invalid, read_ddos, trouble};

/// Runs it.
///
/// # Errors
/// Why not.
pub async fn run(source: &Source, out: Out, command: ManagedCommand) -> Result<u8, Trouble> {
    match command {
        ManagedCommand::List {
            search,
            place,
            editable,
        } => list(source, out, search, place, editable).await,
        ManagedCommand::Show { rule } => show(source, out, &rule).await,
        ManagedCommand::Set {
            about,
            setting: SettingArgs { action, sensitivity },
            sure,
        } => {
            if action.is_none() && sensitivity.is_none() {
                let text = "say what to set: --action, --sensitivity, or both";
                return Err(Trouble::usage("rule.arguments", text));
            }
            let edit = |word: Option<String>| word.map_or(Edit::Keep, Edit::Set);
            change(source, out, &about, &edit(action), &edit(sensitivity), &sure).await
        }
        ManagedCommand::Reset { about, sure } => change(source, out, &about, &Edit::Reset, &Edit::Reset, &sure).await,
    }
}

/// What is in force where no other override applies: the one for everything, else Cloudflare's defaults.
fn chosen<'a>(point: &EntryPoint, all: &'a [Scope], place: Option<&str>) -> Result<&'a Scope, Trouble> {
    let unknown = || Trouble::failed("override.unknown", "there is no such scope");
    if let Some(place) = place {
        let rule = find_override(point, place)?;
        return all
            .iter()
            .find(|scope| scope.id.as_deref() == Some(&rule.id))
            .ok_or_else(unknown);
    }
    let everywhere = all.iter().find(|scope| scope.everything && scope.muted.is_none());
    everywhere.ok_or_else(unknown)
}

fn is_read_only(rule: &Rule) -> bool {
    rule.categories.iter().any(|it| it == "read-only")
}

async fn list(
    source: &Source,
    out: Out,
    search: Option<String>,
    place: Option<String>,
    editable: bool,
) -> Result<u8, Trouble> {
    let (managed, point) = read_ddos(&source.client()?).await?;
    let all = scopes(&managed, point.rules());
    let scope = chosen(&point, &all, place.as_deref())?;
    let wanted = search.unwrap_or_default().to_lowercase();
    let fits = |rule: &Rule| {
        let text = |text: &str| text.to_lowercase().contains(&wanted);
        text(&rule.id)
            || rule.reference.as_deref().is_some_and(text)
            || rule.description.as_deref().is_some_and(text)
            || rule.categories.iter().any(|it| text(it))
    };
    let shown: Vec<(&Rule, &Effective)> = managed
        .rules
        .iter()
        .zip(&scope.rules)
        .filter(|(rule, _)| fits(rule) && !(editable && is_read_only(rule)))
        .collect();
    if out.is_json() {
        let rules: Vec<_> = shown
            .iter()
            .map(|(rule, effective)| document(rule, effective))
            .collect();
        out.document(&json!({
            "schema": "cloudflare-mt/managed-rules/1",
            "at": source.now(),
            "version": managed.summary.version,
            "scope": {"id": scope.id, "name": scope.name, "expression": scope.expression, "muted": scope.muted},
            "rules": rules,
        }))?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["RULE", "ACTION", "SENSITIVITY", "CATEGORIES", "DESCRIPTION"]);
    for (rule, effective) in &shown {
        table.row([
            words::outside(rule.reference.as_deref().unwrap_or(&rule.id), 40),
            value(&effective.action),
            value(&effective.sensitivity),
            words::outside(&rule.categories.join(", "), 60),
            words::outside(rule.description.as_deref().unwrap_or_default(), 80),
        ]);
    }
    let mut text = table.render(out.screen());
    text.push_str(&format!(
        "{} of version {}, in force for {}\n",
        words::counted(shown.len(), "rule", "rules"),
        words::outside(&managed.summary.version, 20),
        scope_words(scope)
    ));
    let others = all
        .iter()
        .filter(|it| it.id.is_some() && it.id != scope.id && it.muted.is_none())
        .count();
    if others > 0 {
        text.push_str(&format!(
            "{} for a part of the traffic: 'overrides list'\n",
            words::counted(others, "further override", "further overrides")
        ));
    }
    out.text(&text)?;
    Ok(exit::DONE)
}

fn scope_words(scope: &Scope) -> String {
    let what = if scope.everything {
        "everything else"
    } else {
        &scope.expression
    };
    words::outside(&format!("{what} ({})", scope.name), 200)
}

fn value(setting: &Setting) -> String {
    let word = words::outside(&setting.value, 40);
    match &setting.source {
        From::Default => word,
        From::Ruleset => ink(Ink::Warn, &format!("{word} (all rules)")),
        From::Category(name) => ink(Ink::Warn, &format!("{word} (category {})", words::outside(name, 40))),
        From::Rule => ink(Ink::Warn, &format!("{word} (set)")),
    }
}

fn document(rule: &Rule, effective: &Effective) -> serde_json::Value {
    json!({
        "id": rule.id,
        "ref": rule.reference,
        "description": rule.description,
        "categories": rule.categories,
        "read_only": is_read_only(rule),
        "allowed": rule.allowed_override_actions,
        "action": effective.action,
        "sensitivity": effective.sensitivity,
    })
}

async fn show(source: &Source, out: Out, wanted: &str) -> Result<u8, Trouble> {
    let (managed, point) = read_ddos(&source.client()?).await?;
    let rule =
        find_managed(&managed, wanted).map_err(|why| Trouble::failed("rule.unknown", words::outside(&why, 400)))?;
    let all = scopes(&managed, point.rules());
    let of_rule = |scope: &Scope| scope.rules.iter().find(|it| it.rule == rule.id).cloned();
    if out.is_json() {
        let scopes: Vec<_> = all
            .iter()
            .map(|scope| {
                json!({"id": scope.id, "name": scope.name, "expression": scope.expression, "muted": scope.muted,
                    "action": of_rule(scope).map(|it| it.action), "sensitivity": of_rule(scope).map(|it| it.sensitivity)})
            })
            .collect();
        out.document(
            &json!({"schema": "cloudflare-mt/managed-rule/1", "at": source.now(), "id": rule.id, "ref": rule.reference,
            "description": rule.description, "categories": rule.categories, "read_only": is_read_only(rule),
            "allowed": rule.allowed_override_actions, "scopes": scopes}),
        )?;
        return Ok(exit::DONE);
    }
    let text = |text: &str| words::outside(text, 300);
    let mut rows = vec![
        ("rule", text(rule.reference.as_deref().unwrap_or("-"))),
        ("id", text(&rule.id)),
        ("description", text(rule.description.as_deref().unwrap_or("-"))),
        ("categories", text(&rule.categories.join(", "))),
        (
            "can be set to",
            if is_read_only(rule) {
                "nothing: it is read only".to_owned()
            } else {
                text(&rule.allowed_override_actions.join(", "))
            },
        ),
    ];
    for scope in &all {
        let line = match of_rule(scope) {
            Some(it) => format!("{}, sensitivity {}", value(&it.action), value(&it.sensitivity)),
            None => "unknown".to_owned(),
        };
        rows.push((
            "in force",
            format!("{}: {line}{}", scope_words(scope), muted(scope.muted.as_ref())),
        ));
    }
    out.text(&fields(&rows, out.screen()))?;
    Ok(exit::DONE)
}

/// Why an override has no effect, as the end of a line.
pub fn muted(muted: Option<&Muted>) -> String {
    match muted {
        None => String::new(),
        Some(Muted::Disabled) => "; switched off".to_owned(),
        Some(Muted::NotOurs) => "; not about this ruleset".to_owned(),
        Some(Muted::Unreadable { detail }) => format!("; cannot be read: {}", words::outside(detail, 120)),
        Some(Muted::Shadowed { by }) => ink(
            Ink::Warn,
            &format!("; never applies: {} takes in all of it", words::outside(by, 64)),
        ),
    }
}

async fn change(
    source: &Source,
    out: Out,
    asked: &AboutArgs,
    action: &Edit,
    sensitivity: &Edit,
    sure: &Sure,
) -> Result<u8, Trouble> {
    let desk = source.desk()?;
    let (managed, point) = desk.read_ddos().await.map_err(trouble)?;
    let place = match &asked.place {
        Some(name) => Where::In(&find_override(&point, name)?.id),
        None => Where::Everywhere,
    };
    let rule = match &asked.rule {
        Some(wanted) => Some(
            find_managed(&managed, wanted).map_err(|why| Trouble::failed("rule.unknown", words::outside(&why, 400)))?,
        ),
        None => None,
    };
    let (about, name) = match (rule, &asked.category) {
        (Some(rule), _) => (
            About::Rule(&rule.id),
            rule.reference.clone().unwrap_or_else(|| rule.id.clone()),
        ),
        (None, Some(category)) => (About::Category(category), format!("category {category}")),
        (None, None) => (About::Ruleset, "all rules".to_owned()),
    };
    let made = set(&point, &managed, place, about, action, sensitivity);
    let Some(made) = made.map_err(|problems| invalid(problems.into_iter().map(|it| it.text)))? else {
        out.aside("it is so already; nothing was done\n");
        return told(out, &[]);
    };
    desk.check_ddos(&point, &made).await.map_err(trouble)?;
    let word = |edit: &Edit, what: &str| match edit {
        Edit::Keep => None,
        Edit::Reset => Some(format!("{what} back to what holds without it")),
        Edit::Set(word) => Some(format!("{what} {word}")),
    };
    let then: Vec<String> = [word(action, "action"), word(sensitivity, "sensitivity")]
        .into_iter()
        .flatten()
        .collect();
    let scope = asked
        .place
        .as_deref()
        .map_or("for everything else".to_owned(), |name| format!("in override {name}"));
    out.aside(&format!(
        "{}: {} {}\n",
        words::outside(&name, 80),
        then.join(", "),
        words::outside(&scope, 120)
    ));
    confirm(out, sure, &format!("Change {}?", words::outside(&name, 80))).await?;
    let done = desk
        .change_ddos(&by(sure).await, &point, &made, &name)
        .await
        .map_err(trouble)?;
    told(out, &[(done, "changed", name)])
}
