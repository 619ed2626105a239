//! `GET` and `POST /api/dashboard-prefs`: how the pages look to one account, and which attacks are announced to all.
//!
//! The predecessor kept both in one place for everybody, so two people who only wanted to look at different rows changed
//! what the chat was told. Here what concerns the eye belongs to the account, and what concerns the announcements is one
//! switch for all that needs an admin and leaves an audit row. The keys are the same.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use db::users::Role;
use db::{Db, DbError, ReadTx, WriteTx, audit, leases, preferences};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use settings::legacy::LegacyPreferences;

use super::params::invalid;
use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::pages;
use crate::submission::Submission;

/// The switch that the analytics monitor reads: only attacks on own prefixes are announced.
pub(crate) const MY_PREFIXES_ONLY: &str = "my_prefixes_only";

/// The networks whose attacks are announced, which the analytics monitor reads; none: our prefixes.
pub(crate) const ANNOUNCED_PREFIXES: &str = "announced_prefixes";

/// Most rows of the analytics card.
const MOST_SHOWN: u64 = 100;

/// Most networks of a list.
const MOST_NETWORKS: usize = 500;

/// Which rows the analytics card shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisplayMode {
    /// All of them
    All,
    /// Only what concerns our prefixes
    WhenProtected,
    /// All of them; a summary while everything is withdrawn
    AutoCollapse,
}

/// How the pages look to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(default)]
pub(crate) struct Display {
    pub(crate) analytics_display_mode: DisplayMode,
    /// While everything is withdrawn the analytics card is a summary
    pub(crate) analytics_auto_collapse: bool,
    /// Rows of the analytics card
    pub(crate) analytics_show_count: u64,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            analytics_display_mode: DisplayMode::All,
            analytics_auto_collapse: true,
            analytics_show_count: 20,
        }
    }
}

/// What an account that has set nothing sees: as imported, or our defaults.
pub(crate) const DISPLAY_OF_ALL: &str = "dashboard.display";

fn key_of(user_id: i64) -> String {
    format!("{DISPLAY_OF_ALL}.{user_id}")
}

/// How the pages look to this member.
///
/// # Errors
/// Those of the database.
pub(crate) fn display(tx: &ReadTx<'_>, user_id: i64) -> Result<Display, DbError> {
    let own = preferences::get(tx, &key_of(user_id))?;
    let found = match own {
        Some(own) => Some(own),
        None => preferences::get(tx, DISPLAY_OF_ALL)?,
    };
    Ok(found.unwrap_or_default())
}

/// Whether only attacks on own prefixes are announced.
///
/// # Errors
/// Those of the database.
pub(crate) fn my_prefixes_only(tx: &ReadTx<'_>) -> Result<bool, DbError> {
    Ok(preferences::get(tx, MY_PREFIXES_ONLY)?.unwrap_or(true))
}

/// The networks whose attacks are announced; none: our prefixes. A list of another shape than ours counts as never set, as
/// for the monitor.
///
/// # Errors
/// Those of the database.
pub(crate) fn announced_prefixes(tx: &ReadTx<'_>) -> Result<Vec<Prefix>, DbError> {
    let list: Option<Vec<String>> = match preferences::get(tx, ANNOUNCED_PREFIXES) {
        Ok(list) => list,
        Err(DbError::BadRow { .. }) => None,
        Err(error) => return Err(error),
    };
    let parsed: Option<Vec<Prefix>> = list.unwrap_or_default().iter().map(|text| text.parse().ok()).collect();
    Ok(parsed.unwrap_or_default())
}

/// Remembers in the database that the predecessor's file was looked at.
const IMPORTED: &str = "dashboard.prefs_json_imported";

/// Takes over the predecessor's preferences, once: what is set here later is not undone by a file.
///
/// # Errors
/// When the database cannot be written.
pub(crate) async fn import(db: &Db, legacy: Option<LegacyPreferences>, now: Timestamp) -> Result<(), DbError> {
    let Some(legacy) = legacy else {
        return Ok(());
    };
    let display = Display {
        analytics_display_mode: match legacy.analytics_display_mode.as_str() {
            "when_protected" => DisplayMode::WhenProtected,
            "auto_collapse" => DisplayMode::AutoCollapse,
            _ => DisplayMode::All,
        },
        analytics_auto_collapse: legacy.analytics_auto_collapse,
        analytics_show_count: legacy.analytics_show_count.clamp(1, MOST_SHOWN),
    };
    let store = move |tx: &WriteTx<'_>| {
        const BY: &str = "dashboard_prefs.json";
        if leases::fact(tx, IMPORTED)?.is_some() {
            return Ok(false);
        }
        leases::set_fact(tx, IMPORTED, BY, now)?;
        preferences::set(tx, DISPLAY_OF_ALL, &display, BY, now)?;
        if preferences::get::<bool>(tx, MY_PREFIXES_ONLY)?.is_none() {
            preferences::set(tx, MY_PREFIXES_ONLY, &legacy.my_prefixes_only, BY, now)?;
        }
        Ok(true)
    };
    if db.write("preferences import", store).await? {
        tracing::info!(event = "dashboard.preferences.imported");
    }
    Ok(())
}

/// The preferences under the predecessor's names.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Preferences {
    #[serde(flatten)]
    display: Display,
    /// For everybody: only attacks on own prefixes are announced
    my_prefixes_only: bool,
    /// For everybody: attacks on these networks are announced; an empty list stands for our prefixes
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    announced_prefixes: Vec<Prefix>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct PreferencesAnswer {
    success: bool,
    prefs: Preferences,
}

async fn read(app: &App, user_id: i64) -> Result<PreferencesAnswer, Failure> {
    let prefs = app.db().read("preferences", move |tx| {
        Ok(Preferences {
            display: display(tx, user_id)?,
            my_prefixes_only: my_prefixes_only(tx)?,
            announced_prefixes: announced_prefixes(tx)?,
        })
    });
    Ok(PreferencesAnswer {
        success: true,
        prefs: prefs.await?,
    })
}

/// How the pages look to this account, and which attacks are announced
#[cfg_attr(test, utoipa::path(
    get, path = "/api/dashboard-prefs", operation_id = "get_preferences", tag = "settings",
    responses((status = 200, body = PreferencesAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, member: Member) -> Result<Json<PreferencesAnswer>, Failure> {
    Ok(Json(read(&app, member.session().user_id).await?))
}

/// What is to be changed; what is absent stays. Forms send every value as text.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = PreferencesWanted))]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    analytics_display_mode: Option<DisplayMode>,
    #[cfg_attr(test, schema(value_type = Option<bool>))]
    #[serde(default)]
    analytics_auto_collapse: Option<Value>,
    #[cfg_attr(test, schema(value_type = Option<u64>, minimum = 1, maximum = 100))]
    #[serde(default)]
    analytics_show_count: Option<Value>,
    /// Needs the role of an admin
    #[cfg_attr(test, schema(value_type = Option<bool>))]
    #[serde(default)]
    my_prefixes_only: Option<Value>,
    /// Networks as a list, or as a text with spaces, commas or lines between them. Needs the role of an admin
    #[cfg_attr(test, schema(value_type = Option<Vec<String>>))]
    #[serde(default)]
    announced_prefixes: Option<Value>,
    /// Of forms
    #[serde(default, rename = "csrf")]
    _csrf: Option<String>,
}

fn flag(value: Option<&Value>, name: &'static str) -> Result<Option<bool>, Failure> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) if matches!(text.as_str(), "true" | "on") => Ok(Some(true)),
        Some(Value::String(text)) if text == "false" => Ok(Some(false)),
        Some(_) => Err(invalid(name, "true or false")),
    }
}

fn count(value: Option<&Value>) -> Result<Option<u64>, Failure> {
    let number = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64(),
    };
    number
        .filter(|number| (1..=MOST_SHOWN).contains(number))
        .map(Some)
        .ok_or_else(|| invalid("analytics_show_count", "a number from 1 to 100"))
}

/// A list of networks for the audit.
fn in_words(networks: &[Prefix]) -> String {
    match networks {
        [] => "our prefixes".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// Networks as a list or as a text; an address outside of its network is a mistake, not a network.
fn networks(value: Option<&Value>) -> Result<Option<Vec<Prefix>>, Failure> {
    const NAME: &str = "announced_prefixes";
    let words: Vec<&str> = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'))
            .filter(|word| !word.is_empty())
            .collect(),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| invalid(NAME, "a list of networks"))?
        }
        Some(_) => return Err(invalid(NAME, "a list of networks")),
    };
    if words.len() > MOST_NETWORKS {
        return Err(invalid(NAME, "a list of at most 500 networks"));
    }
    let mut found = Vec::with_capacity(words.len());
    for word in words {
        let network = Prefix::parse_strict(word).map_err(|_| {
            let word = crate::words::outside_up_to(word, 60);
            invalid(
                NAME,
                &format!("a list of networks like 203.0.113.0/24; {word:?} is none"),
            )
        })?;
        found.push(network);
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// Changes some of them
#[cfg_attr(test, utoipa::path(
    post, path = "/api/dashboard-prefs", operation_id = "set_preferences", tag = "settings",
    request_body = Wanted,
    responses((status = 200, body = PreferencesAnswer), crate::api::document::ChangeFailures)
))]
pub(crate) async fn set(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let wanted = submission.fields;
    let collapse = flag(wanted.analytics_auto_collapse.as_ref(), "analytics_auto_collapse")?;
    let only_own = flag(wanted.my_prefixes_only.as_ref(), "my_prefixes_only")?;
    let (mode, shown) = (
        wanted.analytics_display_mode,
        count(wanted.analytics_show_count.as_ref())?,
    );
    let listed = networks(wanted.announced_prefixes.as_ref())?;
    let looks = mode.is_some() || collapse.is_some() || shown.is_some();
    if !looks && only_own.is_none() && listed.is_none() {
        return Err(Failure::bad_request("fields_required", "Say what is to be changed."));
    }
    if only_own.is_some() || listed.is_some() {
        member.needs(Role::Admin)?;
    }
    let user_id = member.session().user_id;
    if looks && member.is_machine() {
        return Err(Failure::forbidden("people_only", "A machine has no page to look at."));
    }
    let now = app.now();
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let store = move |tx: &WriteTx<'_>| {
        if looks {
            let mut display = display(tx, user_id)?;
            display.analytics_display_mode = mode.unwrap_or(display.analytics_display_mode);
            display.analytics_auto_collapse = collapse.unwrap_or(display.analytics_auto_collapse);
            display.analytics_show_count = shown.unwrap_or(display.analytics_show_count);
            preferences::set(tx, &key_of(user_id), &display, &actor, now)?;
        }
        let told = |what: &'static str, before: String, after: String| {
            let what = (what, "announcements");
            audit::Entry {
                before: Some(before),
                after: Some(after),
                ..audit_row(now, (&actor, role.as_str()), &address, what, "ok")
            }
        };
        let mut changed = false;
        let before = my_prefixes_only(tx)?;
        if let Some(after) = only_own.filter(|after| *after != before) {
            preferences::set(tx, MY_PREFIXES_ONLY, &after, &actor, now)?;
            let row = told("notifications.my_prefixes_only", before.to_string(), after.to_string());
            audit::append(tx, &row)?;
            changed = true;
        }
        let before = announced_prefixes(tx)?;
        if let Some(after) = listed.filter(|after| *after != before) {
            let texts: Vec<String> = after.iter().map(ToString::to_string).collect();
            preferences::set(tx, ANNOUNCED_PREFIXES, &texts, &actor, now)?;
            let row = told("notifications.announced_prefixes", in_words(&before), in_words(&after));
            audit::append(tx, &row)?;
            changed = true;
        }
        let listed = announced_prefixes(tx)?.len();
        Ok(changed.then_some((my_prefixes_only(tx)?, listed)))
    };
    if let Some((only_own, listed)) = app.db().write("preferences", store).await? {
        let actor = member.name();
        tracing::info!(event = "dashboard.announcements.changed", actor, only_own, listed);
    }
    if submission.by_form {
        return Ok(pages::go_to("/settings#saved"));
    }
    Ok(Json(read(&app, user_id).await?).into_response())
}
