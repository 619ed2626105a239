//! The network-layer DDoS rules and their overrides as people see and change them: one reading of both, the version that a
//! person saw, a change that is checked by Cloudflare before it is made.
//!
//! Must hold: a change rests on a good reading of the entry point and is refused when its version is not the one that the
//! person saw; what weakens protection everywhere is typed out; Cloudflare's own check comes before the change.

use std::sync::Arc;

use axum::http::StatusCode;
use cf_api::rest::rulesets::{EntryPoint, Overrides, Rule, Ruleset};
use cf_api::rest::rulesets_changes::RulesetChange;
use rules::effective::{Effective, Source, is_everything, settle_one};
use rules::overrides::{Edit, Problem};

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::desk::at_desk;
use crate::words;

/// The scope of everything in addresses and forms.
pub(crate) const EVERYWHERE: &str = "everywhere";

/// Both, of the same moment as far as that can be.
#[derive(Clone)]
pub(crate) struct Protection {
    pub(crate) managed: Arc<Ruleset>,
    pub(crate) point: Arc<EntryPoint>,
}

impl Protection {
    /// As last read, if the latest reads were good.
    ///
    /// # Errors
    /// 503 when one cannot be read.
    pub(crate) async fn current(app: &App) -> Result<Self, Failure> {
        let (managed, point) = tokio::join!(app.upstream().managed(app), app.upstream().overrides(app));
        let troubles = [managed.trouble(), point.trouble()];
        match (managed.value, point.value, troubles) {
            (Some(managed), Some(point), [None, None]) => Ok(Self { managed, point }),
            (.., troubles) => {
                let why: Vec<String> = troubles.into_iter().flatten().collect();
                let text = format!("The rules cannot be read: {}. Nothing was sent.", why.join("; "));
                Err(Failure::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "cloudflare_unreadable",
                    text,
                ))
            }
        }
    }

    /// As last read, also when the latest read failed: what a person typed stays with them. The desk reads anew before it
    /// writes, so nothing follows from what is old.
    ///
    /// # Errors
    /// 503 when one could never be read.
    pub(crate) async fn known(app: &App) -> Result<Self, Failure> {
        let (managed, point) = tokio::join!(app.upstream().managed(app), app.upstream().overrides(app));
        match (managed.value, point.value) {
            (Some(managed), Some(point)) => Ok(Self { managed, point }),
            _ => Self::current(app).await,
        }
    }

    /// Names the version of the overrides.
    pub(crate) fn version(&self) -> String {
        version(&self.point)
    }

    /// Refuses a change by somebody who saw another version.
    ///
    /// # Errors
    /// 409.
    pub(crate) fn is(&self, seen: &str) -> Result<(), Failure> {
        if self.version() == seen {
            return Ok(());
        }
        let text = "Somebody changed the overrides since you opened this page; look at them again. Nothing was sent.";
        Err(Failure::new(StatusCode::CONFLICT, "changed_meanwhile", text))
    }

    /// The override rule of a scope; `None` for everywhere when there is none yet.
    ///
    /// # Errors
    /// 404 for a rule that is not there.
    pub(crate) fn scope(&self, scope: &str) -> Result<Option<&Rule>, Failure> {
        if scope == EVERYWHERE {
            return Ok(self.point.rules().iter().find(|rule| is_everything(rule)));
        }
        let found = self.point.rules().iter().find(|rule| rule.id == scope);
        found
            .map(Some)
            .ok_or_else(|| Failure::not_found("There is no such override."))
    }

    /// The managed rule with this id.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn rule(&self, id: &str) -> Result<&Rule, Failure> {
        self.managed
            .rule(id)
            .ok_or_else(|| Failure::not_found("There is no such rule."))
    }

    /// What is in force for a managed rule in a scope; `None` where nothing can be concluded.
    pub(crate) fn effective(&self, rule: &Rule, scope: Option<&Rule>) -> Option<Effective> {
        let overrides = match scope.map(Rule::overrides) {
            None => Overrides::default(),
            Some(overrides) => overrides.ok()?,
        };
        Some(settle_one(rule, &overrides))
    }
}

/// Names the version of an entry point.
pub(crate) fn version(point: &EntryPoint) -> String {
    point.version().map_or_else(|| "none".to_owned(), str::to_owned)
}

/// Short name of a managed rule.
pub(crate) fn short_name(rule: &Rule) -> &str {
    rule.reference.as_deref().unwrap_or(&rule.id)
}

/// Where a setting comes from, in words.
pub(crate) fn source_words(source: &Source) -> String {
    match source {
        Source::Default => "Cloudflare's default".to_owned(),
        Source::Ruleset => "set for the ruleset".to_owned(),
        Source::Category(name) => format!("set for {}", words::outside_up_to(name, 40)),
        Source::Rule => "set for the rule".to_owned(),
    }
}

/// What a form says of one value: `keep`, `reset`, or the value.
pub(crate) fn edit_of(word: Option<&str>) -> Edit {
    match word.unwrap_or_default().trim() {
        "" | "keep" => Edit::Keep,
        "reset" => Edit::Reset,
        word => Edit::Set(word.to_owned()),
    }
}

/// All problems as one sentence each.
pub(crate) fn problems(wrong: &[Problem]) -> Failure {
    let parts = wrong
        .iter()
        .map(|problem| format!("{}: {}.", words::sentence(problem.field), problem.text));
    let text = format!("{} Nothing was sent.", parts.collect::<Vec<_>>().join(" "));
    Failure::bad_request("invalid_value", words::outside_up_to(&text, 600))
}

/// Asks Cloudflare whether it would take the change, and makes it.
///
/// # Errors
/// What Cloudflare or the desk says.
pub(crate) async fn change(
    app: &App,
    member: &Member,
    client: &ClientAddr,
    reason: String,
    (protection, change): (&Protection, RulesetChange),
    subject: &str,
) -> Result<String, Failure> {
    let (point, name) = (Arc::clone(&protection.point), words::outside_up_to(subject, 80));
    let subject = name.clone();
    let outcome = at_desk(app, member, client, reason, |desk, by| async move {
        // An entry point that does not exist yet has nothing to check a single rule against.
        desk.check_ddos(&point, &change).await?;
        desk.change_ddos(&by, &point, &change, &subject).await
    })
    .await;
    app.upstream().overrides_changed();
    let done = outcome?;
    Ok(if done.only_ours {
        format!("{name} is changed.")
    } else {
        format!("{name} is changed, and somebody else changed the overrides at the same moment: look at them again.")
    })
}
