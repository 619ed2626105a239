//! Gathers what rule 11 asks for, in the transaction that marks; the rule itself is
//! [`domain::intent::last_check`].

use db::intents::Intent;
use db::{DbError, WriteTx};
use domain::bgp::Epoch;
use domain::intent::{Act, Entry, Facts, Gate, IntentState};
use domain::time::minus;
use jiff::Timestamp;

use crate::holds;
use crate::limits::Limits;

/// Intents of a prefix looked through for the newest advertise: more than people file while one waits.
const LATEST: u32 = 100;

/// Who the automatic actor says it is.
pub(super) struct Identity {
    pub(super) lease: String,
    pub(super) owner: String,
}

/// What the rules look at of an intent.
pub fn entry_of(intent: &Intent) -> Entry {
    Entry {
        id: intent.id,
        prefix: intent.prefix,
        act: intent.act,
        automatic: intent.origin.is_automatic(),
        state: intent.state,
        epoch: intent.epoch,
        state_version: intent.state_version,
        force: intent.force,
        created_at: intent.created_at,
        not_before: intent.not_before,
        sending_at: intent.sending_at,
        closed_at: intent.closed_at,
        lease_owner: intent.lease_owner.clone(),
        lease_until: intent.lease_until,
    }
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
    let entry = entry_of(&stored);
    let mut facts = Facts {
        stored: Some(&entry),
        open: &[],
        newest_advertise: None,
        holds: &[],
        alerts: &[],
        state_version: 0,
        evidence_at: None,
        is_actor: None,
    };
    if intent.act == Act::Advertise || stored.state != IntentState::Planned {
        return Ok(domain::intent::last_check(
            &entry_of(intent),
            &facts,
            epoch,
            limits,
            now,
        ));
    }
    let open: Vec<Entry> = db::intents::open(tx)?.iter().map(entry_of).collect();
    facts.open = &open;
    let newest = db::intents::newest(tx, Some(intent.prefix), LATEST)?;
    let newest = newest.iter().find(|other| other.act == Act::Advertise).map(entry_of);
    facts.newest_advertise = newest.as_ref();
    let (holds, alerts);
    if let Some(identity) = identity {
        let lease = db::leases::get(tx, &identity.lease)?;
        facts.is_actor = Some(lease.is_some_and(|lease| lease.owner == identity.owner));
        holds = holds::binding(tx, limits.hold_end_notice, now)?;
        alerts = db::ledger::open(tx, minus(now, limits.open_alert_veto))?;
        facts.alerts = &alerts;
        facts.state_version = db::decisions::state(tx, intent.prefix)?.version;
        if let Some(id) = stored.evidence {
            facts.evidence_at = db::decisions::evidence_at(tx, id)?;
        }
    } else {
        holds = db::holds::in_force(tx, now)?;
    }
    facts.holds = &holds;
    Ok(domain::intent::last_check(
        &entry_of(intent),
        &facts,
        epoch,
        limits,
        now,
    ))
}
