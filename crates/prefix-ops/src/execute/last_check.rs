//! Rule 11: everything that could forbid a call, in the transaction that marks it.

use db::intents::Intent;
use db::{DbError, WriteTx};
use domain::bgp::Epoch;
use domain::intent::{Act, IntentState};
use domain::time::{minus, since};
use jiff::Timestamp;

use crate::holds;
use crate::limits::Limits;

/// Who the automatic actor says it is.
pub(super) struct Identity {
    pub(super) lease: String,
    pub(super) owner: String,
}

/// What the final transaction found.
pub(super) enum Gate {
    /// Nothing forbids it.
    Open {
        /// How old the evidence is, where there must be some.
        evidence_at: Option<Timestamp>,
    },
    /// Automation does not want it any more; if calm holds it is intended anew.
    Shut { because: String },
    /// What a person asked for is not done; they are told.
    Refused { class: &'static str, because: String },
    /// Not now.
    Wait { because: String },
    /// Somebody closed it or works on it.
    Gone,
}

pub(super) fn last_check(
    tx: &WriteTx<'_>,
    intent: &Intent,
    identity: Option<&Identity>,
    epoch: Option<Epoch>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Gate, DbError> {
    let Some(stored) = db::intents::get(tx, intent.id)? else {
        return Ok(Gate::Gone);
    };
    if stored.state != IntentState::Planned || stored.lease_owner != intent.lease_owner {
        return Ok(Gate::Gone);
    }
    match (intent.act, identity) {
        // Never blocked; it follows a sent withdrawal at once (rule 12).
        (Act::Advertise, _) => Ok(Gate::Open { evidence_at: None }),
        (Act::Withdraw, None) => by_person(tx, intent, now),
        (Act::Withdraw, Some(identity)) => automatic(tx, &stored, identity, epoch, limits, now),
    }
}

fn by_person(tx: &WriteTx<'_>, intent: &Intent, now: Timestamp) -> Result<Gate, DbError> {
    if let Some(other) = db::intents::in_flight(tx, intent.prefix, intent.id)? {
        return Ok(Gate::Wait {
            because: format!("intent {other} on the same prefix is under way"),
        });
    }
    // One set since it was asked for (a cool-down may lie between) is somebody's newer word.
    let holds = db::holds::in_force(tx, now)?;
    match domain::hold::in_force(&holds, intent.prefix, now) {
        Some(hold) if !intent.force => Ok(Gate::Refused {
            class: "held",
            because: format!("held by {}: {}", hold.actor, hold.reason),
        }),
        _ => Ok(Gate::Open { evidence_at: None }),
    }
}

fn automatic(
    tx: &WriteTx<'_>,
    intent: &Intent,
    identity: &Identity,
    epoch: Option<Epoch>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Gate, DbError> {
    let shut = |because: String| Ok(Gate::Shut { because });
    let wait = |because: String| Ok(Gate::Wait { because });
    let lease = db::leases::get(tx, &identity.lease)?;
    if lease.is_none_or(|lease| lease.owner != identity.owner) {
        // It is the other one's intent now; nothing of it is ours to close.
        return wait("another process is the actor".into());
    }
    if intent.epoch.is_none() || intent.epoch != epoch {
        return shut("the advertisement is not the one that was decided on".into());
    }
    for other in db::intents::open(tx)?.iter().filter(|other| other.id != intent.id) {
        let under_way = matches!(other.state, IntentState::Sending | IntentState::Verifying);
        if other.prefix == intent.prefix && other.act == Act::Advertise {
            return shut(format!("intent {} advertises it", other.id));
        }
        if under_way && other.prefix == intent.prefix {
            return wait(format!("intent {} on the same prefix is under way", other.id));
        }
        if under_way && other.origin.is_automatic() {
            return wait(format!("intent {} is under way, one at a time", other.id));
        }
    }
    let holds = holds::binding(tx, limits.hold_end_notice, now)?;
    if let Some(hold) = domain::hold::in_force(&holds, intent.prefix, now) {
        return shut(format!("held by {}: {}", hold.actor, hold.reason));
    }
    let alerts = db::ledger::open(tx, minus(now, limits.open_alert_veto))?;
    if let Some(alert) = alerts.iter().find(|alert| alert.concerns(intent.prefix)) {
        return shut(format!("attack alert #{} is open", alert.event));
    }
    if Some(db::decisions::state(tx, intent.prefix)?.version) != intent.state_version {
        return wait("the decision was renewed meanwhile".into());
    }
    let evidence = match intent.evidence {
        Some(id) => db::decisions::evidence_at(tx, id)?,
        None => None,
    };
    match evidence {
        Some(at) if since(now, at) <= limits.evidence_age && at <= now => Ok(Gate::Open { evidence_at: Some(at) }),
        _ => wait("the evidence is too old; waiting for the next cycle".into()),
    }
}
