//! `/ddos-rules/rule/ID`, `/ddos-rules/category/NAME` and `/ddos-rules/ruleset`: setting or resetting action and sensitivity of
//! exactly one rule, one category or all rules in exactly one scope, with what is in force in every scope and why.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use db::users::Role;
use rules::effective::scopes;
use serde::Deserialize;

use super::{Shell, go_to, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, Said};
use crate::overrides::name_of;
use crate::overrides::setting::{self, Effect, Level, Plan, Subject, Wanted};
use crate::protection::{EVERYWHERE, Protection, muted_words};
use crate::words;

/// Managed rules of which a review names what changes.
const MOST_EFFECTS: usize = 40;

/// Which scope is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    scope: String,
}

#[derive(Template)]
#[template(path = "ddos_setting.html")]
struct Form {
    shell: Shell,
    /// Short name of the rule, the category, or `all rules`; it is typed where protection gets weaker.
    name: String,
    description: String,
    /// Rules it is about.
    rules: usize,
    /// Of them those that Cloudflare lets nobody change.
    fixed: usize,
    actions: Vec<&'static str>,
    sensitivities: [&'static str; 4],
    scopes: Vec<(String, String)>,
    fields: Wanted,
    /// What is set here in the chosen scope.
    now: Level,
    /// Of a rule: every level of the chosen scope.
    levels: Vec<Level>,
    /// Of a rule: what is in force in every scope, in the order in which they are tried.
    everywhere: Vec<InScope>,
    review: Option<Review>,
    problem: Option<String>,
}

/// What is in force in one scope.
struct InScope {
    name: String,
    expression: String,
    words: String,
    muted: Option<String>,
    is_chosen: bool,
}

struct Review {
    then: Level,
    effects: Vec<Effect>,
    more: usize,
    weakens: bool,
}

impl From<Plan> for Review {
    fn from(plan: Plan) -> Self {
        let more = plan.effects.len().saturating_sub(MOST_EFFECTS);
        let mut effects = plan.effects;
        effects.truncate(MOST_EFFECTS);
        Self {
            then: plan.level,
            effects,
            more,
            weakens: plan.weakens,
        }
    }
}

/// `GET /ddos-rules/rule/ID`
pub(crate) async fn rule(
    State(app): State<App>,
    member: Member,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    form(&app, &member, &Subject::Rule(id), asked).await
}

/// `GET /ddos-rules/category/NAME`
pub(crate) async fn category(
    State(app): State<App>,
    member: Member,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    form(&app, &member, &Subject::Category(name), asked).await
}

/// `GET /ddos-rules/ruleset`
pub(crate) async fn ruleset(
    State(app): State<App>,
    member: Member,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    form(&app, &member, &Subject::Ruleset, asked).await
}

/// `POST /ddos-rules/rule/ID`
pub(crate) async fn submit_rule(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, &Subject::Rule(id)).await
}

/// `POST /ddos-rules/category/NAME`
pub(crate) async fn submit_category(Path(name): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, &Subject::Category(name)).await
}

/// `POST /ddos-rules/ruleset`
pub(crate) async fn submit_ruleset(asking: Asking<Wanted>) -> Result<Response, Failure> {
    step(asking, &Subject::Ruleset).await
}

async fn form(app: &App, member: &Member, subject: &Subject, asked: Asked) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let protection = Protection::current(app).await?;
    let fields = Wanted {
        scope: if asked.scope.is_empty() {
            EVERYWHERE.to_owned()
        } else {
            asked.scope
        },
        said: Said::having_seen(protection.version()),
        ..Wanted::default()
    };
    shown(app, member, &protection, subject, fields, (None, None))
}

async fn step(asking: Asking<Wanted>, subject: &Subject) -> Result<Response, Failure> {
    let protection = Protection::known(&asking.app).await?;
    let planned = || setting::plan(&protection, subject, &asking.fields);
    let outcome = match asking.fields.act.as_deref() {
        Some("edit") => (None, None),
        Some("send") => match setting::save(&asking, &protection, subject).await {
            Ok(_) => return Ok(go_to("/ddos-rules")),
            Err(failure) => (planned().ok(), Some(failure)),
        },
        _ => match planned() {
            Ok(plan) => (Some(plan), None),
            Err(failure) => (None, Some(failure)),
        },
    };
    shown(
        &asking.app,
        &asking.member,
        &protection,
        subject,
        asking.fields,
        outcome,
    )
}

fn shown(
    app: &App,
    member: &Member,
    protection: &Protection,
    subject: &Subject,
    fields: Wanted,
    (review, failure): (Option<Plan>, Option<Failure>),
) -> Result<Response, Failure> {
    let name = subject.name(protection)?;
    let scope = protection.scope(&fields.scope)?;
    let overrides = setting::overrides_of(scope)?;
    let rule = match subject {
        Subject::Rule(id) => Some(protection.rule(id)?),
        _ => None,
    };
    let status = failure.as_ref().map_or(StatusCode::OK, Failure::status);
    let mut response = rendered(&Form {
        shell: Shell::bare(app, member, "Set a DDoS rule", "ddos-rules"),
        description: match (rule, subject) {
            (Some(rule), _) => words::outside_up_to(rule.description.as_deref().unwrap_or_default(), 160),
            (None, Subject::Ruleset) => {
                "What is set here holds for every rule that has no setting of its own and none of a category."
                    .to_owned()
            }
            _ => "What is set here holds for its rules that have no setting of their own.".to_owned(),
        },
        rules: subject.rules(protection).len(),
        fixed: subject.fixed(protection),
        actions: subject.actions(protection),
        sensitivities: subject.sensitivities(),
        scopes: scopes_of(protection),
        now: subject.level(&overrides),
        levels: rule.map(|rule| setting::levels(rule, &overrides)).unwrap_or_default(),
        everywhere: rule
            .map(|rule| everywhere(protection, &rule.id, &fields.scope))
            .unwrap_or_default(),
        review: review.map(Review::from),
        problem: failure.map(|failure| failure.text().to_owned()),
        name,
        fields,
    });
    *response.status_mut() = status;
    Ok(response)
}

/// Where something can be set.
fn scopes_of(protection: &Protection) -> Vec<(String, String)> {
    let everywhere = (
        EVERYWHERE.to_owned(),
        "everywhere, where no other override comes first".to_owned(),
    );
    let others = protection.point.rules().iter();
    let others = others
        .filter(|rule| !rules::effective::is_everything(rule))
        .map(|rule| {
            let name = words::outside_up_to(name_of(rule), 60);
            (rule.id.clone(), format!("only where {name}"))
        });
    std::iter::once(everywhere).chain(others).collect()
}

fn everywhere(protection: &Protection, id: &str, chosen: &str) -> Vec<InScope> {
    let all = scopes(&protection.managed, protection.point.rules());
    let found = all.iter().map(|scope| {
        let effective = scope.rules.iter().find(|one| one.rule == id);
        InScope {
            name: if scope.name.is_empty() {
                "without a name".to_owned()
            } else {
                words::outside_up_to(&scope.name, 60)
            },
            expression: words::outside_up_to(&scope.expression, 120),
            words: effective.map_or_else(|| "not known".to_owned(), setting::in_force),
            muted: muted_words(scope, &all),
            is_chosen: scope.id.as_deref() == Some(chosen)
                || (chosen == EVERYWHERE && scope.everything && scope.id.is_some()),
        }
    });
    found.collect()
}

impl Form {
    fn same(&self, option: &str, chosen: &str) -> bool {
        option == chosen
    }

    fn word<'a>(&self, word: &'a Option<String>) -> &'a str {
        word.as_deref().unwrap_or("keep")
    }

    fn text<'a>(&self, text: &'a Option<String>) -> &'a str {
        text.as_deref().unwrap_or_default()
    }

    /// What a level sets.
    fn set(&self, word: &Option<String>) -> String {
        word.as_deref()
            .map_or_else(|| "not set".to_owned(), |word| words::outside_up_to(word, 40))
    }

    /// Field, now, then.
    fn rows(&self, review: &Review) -> [(&'static str, String, String); 2] {
        [
            ("action", self.set(&self.now.action), self.set(&review.then.action)),
            (
                "sensitivity",
                self.set(&self.now.sensitivity),
                self.set(&review.then.sensitivity),
            ),
        ]
    }

    fn is_fixed(&self) -> bool {
        self.rules == self.fixed
    }

    fn scope_words(&self) -> String {
        let found = self.scopes.iter().find(|(id, _)| *id == self.fields.scope);
        found.map(|(_, words)| words.clone()).unwrap_or_default()
    }
}
