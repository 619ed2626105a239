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

/// Most rows of the analytics card.
const MOST_SHOWN: u64 = 100;

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
    let looks = mode.is_some() || collapse.is_some() || shown.is_some();
    if !looks && only_own.is_none() {
        return Err(Failure::bad_request("fields_required", "Say what is to be changed."));
    }
    if only_own.is_some() {
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
        let before = my_prefixes_only(tx)?;
        if let Some(after) = only_own.filter(|after| *after != before) {
            preferences::set(tx, MY_PREFIXES_ONLY, &after, &actor, now)?;
            let what = ("notifications.my_prefixes_only", "announcements");
            let mut row = audit_row(now, (&actor, role.as_str()), &address, what, "ok");
            row.before = Some(before.to_string());
            row.after = Some(after.to_string());
            audit::append(tx, &row)?;
            return Ok(Some(after));
        }
        Ok(None)
    };
    if let Some(only_own) = app.db().write("preferences", store).await? {
        let actor = member.name();
        tracing::info!(event = "dashboard.announcements.changed", actor, only_own);
    }
    if submission.by_form {
        return Ok(pages::go_to("/settings#saved"));
    }
    Ok(Json(read(&app, user_id).await?).into_response())
}
