//! `POST /settings/mutes` and `/settings/channel-test`: silencing a kind of message for a while, trying the channels.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use db::users::Role;
use db::{DbError, WriteTx, audit, outbox};
use domain::notice::{Facts, KINDS, Mute, Notice};
use domain::time::plus;
use serde::Deserialize;
use serde_json::json;

use super::{Member, audit_row};
use crate::answer::Failure;
use crate::api::reason;
use crate::app::App;
use crate::client::ClientAddr;
use crate::submission::Submission;
use crate::{pages, words};

/// Longest mute: who wants more silence changes the routing.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is to be muted.
#[derive(Deserialize)]
pub(crate) struct Muting {
    /// mute or end
    act: String,
    kind: String,
    #[serde(default, rename = "for")]
    lasting: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /settings/mutes`
pub(crate) async fn mute(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Muting>,
) -> Result<Response, Failure> {
    member.is_person()?;
    member.needs(Role::Operator)?;
    let wanted = submission.fields;
    if !KINDS.contains(&wanted.kind.as_str()) {
        return Err(Failure::bad_request(
            "invalid_value",
            "There is no such kind of message.",
        ));
    }
    let now = app.now();
    let (action, until, why) = match wanted.act.as_str() {
        "end" => ("mute.end", now, None),
        "mute" => {
            let lasting = domain::duration::parse(wanted.lasting.as_deref().unwrap_or_default())
                .ok()
                .filter(|lasting| !lasting.is_zero() && *lasting <= LONGEST);
            let text = "for must be a time like 4h, at most a day.";
            let lasting = lasting.ok_or_else(|| Failure::bad_request("invalid_duration", text))?;
            (
                "mute.set",
                plus(now, lasting),
                Some(reason::of(wanted.reason.as_deref())?),
            )
        }
        _ => return Err(Failure::bad_request("bad_fields", "act is mute or end.")),
    };
    let who = (member.name(), member.role().as_str());
    let mut row = audit_row(now, who, &client.0.to_string(), (action, &wanted.kind), "ok");
    row.reason = why;
    let mute = Mute {
        kind: wanted.kind.clone(),
        actor: member.name().to_owned(),
        until,
    };
    let store = move |tx: &WriteTx<'_>| {
        let known = outbox::mutes(tx)?
            .into_iter()
            .find(|known| known.kind == mute.kind && known.until > now);
        if known.is_none() && mute.until <= now {
            return Err(DbError::NotFound);
        }
        row.before = known.map(|known| words::iso(known.until));
        row.after = (mute.until > now).then(|| words::iso(mute.until));
        outbox::mute(tx, &mute, now)?;
        audit::append(tx, &row)
    };
    app.db().write("mute", store).await?;
    tracing::info!(
        event = "dashboard.mute.changed",
        kind = wanted.kind,
        actor = member.name(),
        action
    );
    if submission.by_form {
        return Ok(pages::go_to("/settings#announcements"));
    }
    Ok(Json(json!({"success": true, "message": "It is changed."})).into_response())
}

/// A note for the test message.
#[derive(Deserialize)]
pub(crate) struct Note {
    #[serde(default)]
    note: String,
}

/// `POST /settings/channel-test`
pub(crate) async fn test(
    State(app): State<App>,
    client: ClientAddr,
    member: Member,
    submission: Submission<Note>,
) -> Result<Response, Failure> {
    member.is_person()?;
    member.needs(Role::Operator)?;
    let now = app.now();
    let facts = Facts::SelfTest {
        actor: member.name().to_owned(),
        note: words::outside_up_to(&submission.fields.note, 200),
    };
    let (actor, role, address) = (member.name().to_owned(), member.role(), client.0.to_string());
    let store = move |tx: &WriteTx<'_>| {
        let id = outbox::enqueue(tx, &Notice::about(facts), now)?;
        let what = ("notification.test", id.to_string());
        audit::append(
            tx,
            &audit_row(now, (&actor, role.as_str()), &address, (what.0, &what.1), "ok"),
        )?;
        Ok::<_, DbError>(id)
    };
    let id = app.db().write("channel test", store).await?;
    if submission.by_form {
        return Ok(pages::go_to("/settings#announcements"));
    }
    Ok(Json(json!({"success": true, "message": "The message is queued.", "message_id": id.0})).into_response())
}
