//! The network-layer DDoS rules and their overrides as people see and change them: one reading of both, the version that a
//! person saw, a change that is checked by Cloudflare before it is made.
//!
//! Must hold: a change rests on a good reading of the entry point and is refused when its version is not the one that the
//! person saw; what weakens protection everywhere is typed out; Cloudflare's own check comes before the change.

use std::sync::Arc;

use axum::http::StatusCode;
use cf_api::rest::rulesets::{EntryPoint, Rule, Ruleset};
use cf_api::rest::rulesets_changes::RulesetChange;
use db::rule_changes::{self, Change, Expiry, Family};
use jiff::Timestamp;
use rules::effective::{Muted, Scope, Source, is_everything};
use rules::overrides::{Edit, Problem};

use crate::answer::Failure;
use crate::app::App;
use crate::asking::Asking;
use crate::desk::at_desk;
use crate::words;

/// The scope of everything in addresses and forms.
pub(crate) const EVERYWHERE: &str = "everywhere";

/// Lost changes that are named; the list of changes has all.
const MOST_UNSETTLED: u32 = 5;

/// Both, of the same moment as far as that can be, and until when overrides stand.
#[derive(Clone)]
pub(crate) struct Protection {
    pub(crate) managed: Arc<Ruleset>,
    pub(crate) point: Arc<EntryPoint>,
    pub(crate) ends: Arc<Vec<Expiry>>,
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
            (Some(managed), Some(point), [None, None]) => Self::of(app, managed, point).await,
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
            (Some(managed), Some(point)) => Self::of(app, managed, point).await,
            _ => Self::current(app).await,
        }
    }

    async fn of(app: &App, managed: Arc<Ruleset>, point: Arc<EntryPoint>) -> Result<Self, Failure> {
        let ends = Arc::new(ends(app).await?);
        Ok(Self { managed, point, ends })
    }

    /// Until when an override stands.
    pub(crate) fn end(&self, id: &str) -> Option<Timestamp> {
        end_of(&self.ends, id)
    }

    /// The override with this id.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn existing(&self, id: &str) -> Result<&Rule, Failure> {
        let found = self.point.rules().iter().find(|rule| rule.id == id);
        found.ok_or_else(|| Failure::not_found("There is no such override."))
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
}

/// Until when overrides stand.
///
/// # Errors
/// Those of the database.
pub(crate) async fn ends(app: &App) -> Result<Vec<Expiry>, Failure> {
    Ok(app.db().read("override ends", rule_changes::expiries).await?)
}

/// Until when the override with this id stands.
pub(crate) fn end_of(ends: &[Expiry], id: &str) -> Option<Timestamp> {
    ends.iter().find(|end| end.rule_id == id).map(|end| end.expires_at)
}

/// Changes of this family of which nobody knows what came of them.
///
/// # Errors
/// Those of the database.
pub(crate) async fn unsettled(app: &App, family: Family) -> Result<Vec<Change>, Failure> {
    let now = app.now();
    let read = move |tx: &db::ReadTx<'_>| rule_changes::unsettled(tx, family, now, MOST_UNSETTLED);
    Ok(app.db().read("unsettled changes", read).await?)
}

/// Why an override has no effect, or not all of it, in words.
pub(crate) fn muted_words(scope: &Scope, all: &[Scope]) -> Option<String> {
    scope.muted.as_ref().map(|muted| match muted {
        Muted::Disabled => "switched off".to_owned(),
        Muted::NotOurs => "about another ruleset".to_owned(),
        Muted::Unreadable { detail } => format!("cannot be understood: {}", words::outside_up_to(detail, 120)),
        Muted::Shadowed { by } => {
            let name = all.iter().find(|scope| scope.id.as_deref() == Some(by));
            let name = name.map_or_else(|| by.clone(), |scope| words::outside_up_to(&scope.name, 120));
            format!("never reached: {name} stands before it and takes all of it")
        }
    })
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

/// What a change left.
pub(crate) struct Changed {
    /// One sentence.
    pub(crate) told: String,
    pub(crate) point: Option<EntryPoint>,
}

/// Asks Cloudflare whether it would take the change, makes it, and says until when it stands.
///
/// # Errors
/// What Cloudflare or the desk says.
pub(crate) async fn change<F>(
    asking: &Asking<F>,
    reason: String,
    (protection, change, until): (&Protection, RulesetChange, Option<Option<Timestamp>>),
    subject: &str,
) -> Result<Changed, Failure> {
    let (point, name) = (Arc::clone(&protection.point), words::outside_up_to(subject, 80));
    let subject = name.clone();
    let outcome = at_desk(asking, reason, |desk, by| async move {
        // An entry point that does not exist yet has nothing to check a single rule against.
        desk.check_ddos(&point, &change).await?;
        desk.change_with_end(&by, &point, &change, &subject, until).await
    })
    .await;
    asking.app.upstream().overrides_changed();
    let done = outcome?;
    let told = if done.only_ours {
        format!("{name} is changed.")
    } else {
        format!("{name} is changed, and somebody else changed the overrides at the same moment: look at them again.")
    };
    Ok(Changed {
        told,
        point: done.entry_point,
    })
}
