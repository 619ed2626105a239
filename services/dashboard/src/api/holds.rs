//! `/api/holds`: a person's word against automation. Setting one stops every withdrawal of the prefix at once; nothing
//! here touches BGP.
//!
//! Must hold: each has a reason and a name; a withdrawal that is planned and not sent is cancelled in the same
//! transaction; releasing says what still holds.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use db::incidents::{self, Line};
use db::users::Role;
use db::{DbError, ReadTx, WriteTx, audit, holds, intents, inventory};
use domain::hold::{self, Hold};
use domain::intent::IntentState;
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::accounts::{Member, audit_row};
use crate::answer::Failure;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// Fewest characters of a reason: `ok` explains nothing at 3 a.m.
const SHORTEST_REASON: usize = 3;
/// Most characters of a reason.
const LONGEST_REASON: usize = 300;
/// A shorter hold ends before anybody has read it.
const SHORTEST: Duration = Duration::from_secs(60);
/// Longer ones are set without an end, which says so.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// What is to be held. Forms send every field as text.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// The network; absent or empty together with `everywhere` pauses everything.
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    everywhere: Option<Value>,
    #[serde(default)]
    reason: Option<String>,
    /// `4h`, or `open` for until released.
    #[serde(default, rename = "for")]
    lasting: Option<String>,
    /// RFC 3339, instead of `for`.
    #[serde(default)]
    until: Option<String>,
}

/// What a hold is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    One(Prefix),
    Everything,
}

impl Scope {
    fn prefix(self) -> Option<Prefix> {
        match self {
            Self::One(prefix) => Some(prefix),
            Self::Everything => None,
        }
    }

    fn covers(self, prefix: Prefix) -> bool {
        self.prefix().is_none_or(|held| held.overlaps(prefix))
    }

    fn subject(self) -> String {
        self.prefix()
            .map_or_else(|| "everything".to_owned(), |prefix| prefix.to_string())
    }
}

/// `GET /api/holds`: those in force.
pub(crate) async fn list(State(app): State<App>, _member: Member) -> Answer {
    let now = app.now();
    let holds = app.db().read("holds", move |tx| holds::in_force(tx, now)).await?;
    Ok(Json(json!({"success": true, "holds": holds, "timestamp": now})))
}

/// `POST /api/holds`
pub(crate) async fn set(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let now = app.now();
    let wanted = &submission.fields;
    let scope = scope(wanted.prefix.as_deref(), wanted.everywhere.as_ref())?;
    let reason = reason(wanted.reason.as_deref())?;
    let until = until(wanted.lasting.as_deref(), wanted.until.as_deref(), now)?;
    let by = By::of(&member, &client, now);
    let stored = app
        .db()
        .write("hold", move |tx| store(tx, scope, &reason, until, &by))
        .await?;
    let Some((hold, cancelled)) = stored else {
        let text = format!("{} is no prefix of ours and overlaps none.", scope.subject());
        return Err(Failure::new(StatusCode::NOT_FOUND, "unknown_prefix", text));
    };
    app.changed();
    let until_text = hold.until.map_or_else(|| "released".to_owned(), words::iso);
    let (prefix, actor) = (scope.subject(), member.name());
    tracing::info!(
        event = "dashboard.hold.set",
        prefix,
        actor,
        until = until_text,
        cancelled,
        reason = hold.reason
    );
    let end = hold.until.map_or_else(
        || "until it is released".to_owned(),
        |at| format!("until {} UTC", words::clock(at, now)),
    );
    let note = if cancelled > 0 {
        " A withdrawal that was planned is cancelled."
    } else {
        ""
    };
    let message = format!("{prefix} is held {end}.{note}");
    Ok(answer(
        submission.by_form,
        &message,
        json!({"hold": hold, "cancelled_withdrawals": cancelled}),
    ))
}

/// `POST /api/holds/release`
pub(crate) async fn release(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Wanted>,
) -> Result<Response, Failure> {
    let wanted = &submission.fields;
    let scope = scope(wanted.prefix.as_deref(), wanted.everywhere.as_ref())?;
    release_scope(&app, &client, &member, scope, submission.by_form).await
}

/// `DELETE /api/holds/{prefix}`; `everything` ends the pauses.
pub(crate) async fn delete(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    Path(written): Path<String>,
) -> Result<Response, Failure> {
    let scope = if written == "everything" {
        Scope::Everything
    } else {
        scope(Some(&written), None)?
    };
    release_scope(&app, &client, &member, scope, false).await
}

async fn release_scope(
    app: &App,
    client: &ClientAddr,
    member: &Member,
    scope: Scope,
    by_form: bool,
) -> Result<Response, Failure> {
    member.needs(Role::Operator)?;
    let now = app.now();
    let by = By::of(member, client, now);
    let (released, still) = app.db().write("hold release", move |tx| lift(tx, scope, &by)).await?;
    let prefix = scope.subject();
    if released == 0 {
        let text = format!("No hold is in force on exactly {prefix}.");
        return Err(Failure::new(StatusCode::NOT_FOUND, "no_hold", text));
    }
    app.changed();
    tracing::info!(
        event = "dashboard.hold.released",
        prefix,
        actor = member.name(),
        released
    );
    let note = still.as_ref().map_or_else(String::new, |hold| {
        let on = hold
            .prefix
            .map_or_else(|| "everything".to_owned(), |held| held.to_string());
        format!(" It is still held by the hold on {on}.")
    });
    let message = format!("The hold on {prefix} is released.{note}");
    Ok(answer(
        by_form,
        &message,
        json!({"released": released, "still_held_by": still}),
    ))
}

/// Who changes it, for audit and timeline.
struct By {
    actor: String,
    role: &'static str,
    address: String,
    now: Timestamp,
}

impl By {
    fn of(member: &Member, client: &ClientAddr, now: Timestamp) -> Self {
        Self {
            actor: member.name().to_owned(),
            role: member.role().as_str(),
            address: client.0.to_string(),
            now,
        }
    }

    fn audit(&self, action: &str, scope: Scope) -> audit::Entry {
        audit_row(
            self.now,
            (&self.actor, self.role),
            &self.address,
            (action, &scope.subject()),
            "ok",
        )
    }
}

/// The stored hold and how many withdrawals it cancelled; `None` when it would hold nothing.
fn store(
    tx: &WriteTx<'_>,
    scope: Scope,
    reason: &str,
    until: Option<Timestamp>,
    by: &By,
) -> Result<Option<(Hold, usize)>, DbError> {
    let covered = covered(tx, scope)?;
    if covered.is_empty() && scope != Scope::Everything {
        return Ok(None);
    }
    let id = holds::set(tx, scope.prefix(), &by.actor, reason, until, by.now)?;
    let hold = Hold {
        id,
        prefix: scope.prefix(),
        actor: by.actor.clone(),
        reason: reason.to_owned(),
        created_at: by.now,
        until,
    };
    let because = format!("{}: {reason}", crate::overview::prefix::held_words(&hold, by.now));
    let cancelled = cancel_planned(tx, scope, &because, by.now)?;
    tell_incidents(tx, &covered, "held", &words::sentence(&because), by)?;
    let mut row = by.audit("hold.set", scope);
    row.reason = Some(reason.to_owned());
    row.after = Some(json!({"hold": id, "until": until, "cancelled_withdrawals": cancelled}).to_string());
    audit::append(tx, &row)?;
    Ok(Some((hold, cancelled)))
}

/// How many holds were released, and which one still applies.
fn lift(tx: &WriteTx<'_>, scope: Scope, by: &By) -> Result<(usize, Option<Hold>), DbError> {
    let before = holds::in_force(tx, by.now)?;
    let released = holds::release(tx, scope.prefix(), &by.actor, by.now)?;
    if released == 0 {
        return Ok((0, None));
    }
    let ended: Vec<&Hold> = before.iter().filter(|hold| hold.prefix == scope.prefix()).collect();
    tell_incidents(
        tx,
        &covered(tx, scope)?,
        "released",
        &format!("Hold on {} released", scope.subject()),
        by,
    )?;
    let mut row = by.audit("hold.release", scope);
    row.before = serde_json::to_string(&ended).ok();
    audit::append(tx, &row)?;
    let left = holds::in_force(tx, by.now)?;
    let still = match scope {
        Scope::One(prefix) => hold::in_force(&left, prefix, by.now).cloned(),
        Scope::Everything => None,
    };
    Ok((released, still))
}

/// Known prefixes that a hold covers.
fn covered(tx: &ReadTx<'_>, scope: Scope) -> Result<Vec<Prefix>, DbError> {
    let all = inventory::all(tx)?;
    Ok(all
        .into_iter()
        .map(|entry| entry.prefix.prefix)
        .filter(|prefix| scope.covers(*prefix))
        .collect())
}

/// Rule 11: a hold cancels what is planned and not sent. What was sent is beyond recall and is followed up.
fn cancel_planned(tx: &WriteTx<'_>, scope: Scope, because: &str, now: Timestamp) -> Result<usize, DbError> {
    let mut cancelled = 0;
    for intent in intents::open(tx)? {
        if intent.state == IntentState::Planned && intent.origin.is_automatic() && scope.covers(intent.prefix) {
            cancelled += intents::cancel_unsent(tx, intent.prefix, true, because, now)?;
        }
    }
    Ok(cancelled)
}

/// A line in the timeline of every incident that goes on for a covered prefix.
fn tell_incidents(tx: &WriteTx<'_>, prefixes: &[Prefix], kind: &str, text: &str, by: &By) -> Result<(), DbError> {
    let mut told = Vec::new();
    for prefix in prefixes {
        let Some(incident) = incidents::current(tx, *prefix)? else {
            continue;
        };
        if told.contains(&incident) {
            continue;
        }
        told.push(incident);
        let line = Line {
            at: by.now,
            kind: kind.to_owned(),
            text: text.to_owned(),
            source: "dashboard".to_owned(),
            actor: Some(by.actor.clone()),
            reference: None,
        };
        incidents::note(tx, incident, &line, by.now)?;
    }
    Ok(())
}

fn answer(by_form: bool, message: &str, more: Value) -> Response {
    if by_form {
        return pages::go_to("/");
    }
    let mut body = json!({"success": true, "message": message});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Json(body).into_response()
}

fn scope(prefix: Option<&str>, everywhere: Option<&Value>) -> Result<Scope, Failure> {
    let everywhere = match everywhere {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "on" | "1"),
        Some(_) => return Err(Failure::bad_request("bad_fields", "everywhere must be true or false.")),
    };
    match (prefix.map(str::trim).filter(|text| !text.is_empty()), everywhere) {
        (None, true) => Ok(Scope::Everything),
        (Some(text), false) => Prefix::parse_strict(text).map(Scope::One).map_err(|error| {
            Failure::bad_request(
                "invalid_prefix",
                words::outside(&format!("{}.", words::sentence(&error.to_string()))),
            )
        }),
        _ => Err(Failure::bad_request(
            "bad_fields",
            "Give either prefix or everywhere: true.",
        )),
    }
}

fn reason(text: Option<&str>) -> Result<String, Failure> {
    let reason = words::outside_up_to(text.unwrap_or_default(), LONGEST_REASON);
    if reason.chars().count() < SHORTEST_REASON {
        return Err(Failure::bad_request(
            "reason_required",
            "Say why, in a few words: others will read it at night.",
        ));
    }
    Ok(reason)
}

fn until(lasting: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let end = match (given(lasting), given(until)) {
        (Some(_), Some(_)) => return Err(Failure::bad_request("bad_fields", "Give either for or until.")),
        (None, None) => {
            return Err(Failure::bad_request(
                "end_required",
                "Say how long: for, until, or for: \"open\".",
            ));
        }
        (Some(open), None) if open == "open" => return Ok(None),
        (Some(lasting), None) => {
            let lasting = domain::duration::parse(&lasting).map_err(|error| {
                Failure::bad_request(
                    "invalid_duration",
                    words::outside(&format!("{}.", words::sentence(&error.to_string()))),
                )
            })?;
            plus(now, lasting)
        }
        (None, Some(until)) => until.parse().map_err(|_| {
            Failure::bad_request(
                "invalid_until",
                "until must be an instant such as 2026-01-31T04:00:00Z.",
            )
        })?,
    };
    if end < plus(now, SHORTEST) || end > plus(now, LONGEST) {
        return Err(Failure::bad_request(
            "invalid_duration",
            "A hold lasts from a minute to a year, or until released.",
        ));
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T03:27:00Z".parse().unwrap()
    }

    #[test]
    fn an_end_must_be_said() {
        let code = |lasting, until_text| until(lasting, until_text, now()).map_err(|failure| failure.code());
        assert_eq!(code(Some("open"), None), Ok(None));
        assert_eq!(
            code(Some("4h"), Some("")),
            Ok(Some(plus(now(), Duration::from_secs(14_400))))
        );
        assert_eq!(
            code(None, Some("2026-11-22T04:00:00Z")),
            Ok(Some("2026-11-22T04:00:00Z".parse().unwrap()))
        );
        assert_eq!(code(None, None), Err("end_required"));
        assert_eq!(code(Some("4h"), Some("2026-11-22T04:00:00Z")), Err("bad_fields"));
        assert_eq!(code(Some("30s"), None), Err("invalid_duration"));
        assert_eq!(code(Some("soon"), None), Err("invalid_duration"));
        assert_eq!(
            code(None, Some("2026-11-22T03:00:00Z")),
            Err("invalid_duration"),
            "in the past"
        );
        assert_eq!(code(None, Some("tomorrow")), Err("invalid_until"));
    }

    #[test]
    fn the_scope_is_never_guessed() {
        let read =
            |prefix, everywhere: Option<Value>| scope(prefix, everywhere.as_ref()).map_err(|failure| failure.code());
        assert_eq!(
            read(Some("203.0.113.0/24"), None),
            Ok(Scope::One("203.0.113.0/24".parse().unwrap()))
        );
        assert_eq!(read(Some(""), Some(json!("true"))), Ok(Scope::Everything));
        assert_eq!(read(None, Some(json!(true))), Ok(Scope::Everything));
        assert_eq!(
            read(None, None),
            Err("bad_fields"),
            "an empty request is not everything"
        );
        assert_eq!(read(Some("203.0.113.0/24"), Some(json!(true))), Err("bad_fields"));
        assert_eq!(read(Some("203.0.113.7/24"), None), Err("invalid_prefix"));
        assert_eq!(read(None, Some(json!(1))), Err("bad_fields"));
    }

    #[test]
    fn a_reason_has_words() {
        assert!(reason(None).is_err());
        assert!(reason(Some("  ok ")).is_err());
        assert_eq!(
            reason(Some(" carrier\nmaintenance ")).ok().as_deref(),
            Some("carrier maintenance")
        );
    }
}
