//! The one transaction of a hold or its release: the row, what it cancels, timeline and audit.

use db::incidents::Line;
use db::{DbError, ReadTx, WriteTx, audit, holds, incidents, intents, inventory};
use domain::hold::{self, Hold};
use domain::intent::IntentState;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde_json::json;

use super::wanted::Scope;
use crate::accounts::{Member, audit_row};
use crate::app::App;
use crate::client::ClientAddr;
use crate::overview::prefix::held_words;
use crate::words;

/// Who changes it, for audit and timeline.
pub(super) struct By {
    actor: String,
    role: &'static str,
    address: String,
    now: Timestamp,
    /// Prefixes of the configuration: they may be held before they were ever read.
    configured: Vec<Prefix>,
}

impl By {
    pub(super) fn of(member: &Member, client: &ClientAddr, app: &App) -> Self {
        let settings = app.settings();
        let mut configured = settings.managed_prefixes();
        configured.extend(settings.mapping.iter().map(|mapped| mapped.prefix));
        Self {
            actor: member.name().to_owned(),
            role: member.role().as_str(),
            address: client.0.to_string(),
            now: app.now(),
            configured,
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
pub(super) fn set(
    tx: &WriteTx<'_>,
    scope: Scope,
    reason: &str,
    until: Option<Timestamp>,
    by: &By,
) -> Result<Option<(Hold, usize)>, DbError> {
    let covered = covered(tx, scope, by)?;
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
    let because = format!("{}: {reason}", held_words(&hold, by.now));
    let cancelled = cancel_planned(tx, scope, &because, by.now)?;
    tell_incidents(tx, &covered, "held", &words::sentence(&because), by)?;
    let mut row = by.audit("hold.set", scope);
    row.reason = Some(reason.to_owned());
    row.after = Some(json!({"hold": id, "until": until, "cancelled_withdrawals": cancelled}).to_string());
    audit::append(tx, &row)?;
    Ok(Some((hold, cancelled)))
}

/// How many holds were released, and which one still applies.
pub(super) fn lift(tx: &WriteTx<'_>, scope: Scope, by: &By) -> Result<(usize, Option<Hold>), DbError> {
    let before = holds::in_force(tx, by.now)?;
    let released = holds::release(tx, scope.prefix(), &by.actor, by.now)?;
    if released == 0 {
        return Ok((0, None));
    }
    let ended: Vec<&Hold> = before.iter().filter(|hold| hold.prefix == scope.prefix()).collect();
    tell_incidents(
        tx,
        &covered(tx, scope, by)?,
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
fn covered(tx: &ReadTx<'_>, scope: Scope, by: &By) -> Result<Vec<Prefix>, DbError> {
    let read = inventory::all(tx)?.into_iter().map(|entry| entry.prefix.prefix);
    let mut covered: Vec<Prefix> = read
        .chain(by.configured.iter().copied())
        .filter(|prefix| scope.covers(*prefix))
        .collect();
    covered.sort();
    covered.dedup();
    Ok(covered)
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
