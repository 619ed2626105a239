//! A spool file's way into the journal: intent, attempts, audit row and what a done act leaves, in one transaction.
//!
//! Must hold: an entry becomes one intent, whatever happens between its commit and the renaming of its file; the instants
//! are those of the act; what was found out since by reading Cloudflare is never replaced by what the file says.

use std::time::Duration;

use db::intents::{Change, Intent, NewIntent};
use db::{DbError, WriteTx};
use domain::bgp::Epoch;
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use jiff::Timestamp;

use super::spool::{Entry, Fate};
use crate::record;

/// An entry is closed within its lease.
const LEASE: Duration = Duration::from_secs(86_400);

/// What became of an entry in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is there now.
    New,
    /// It was there, and what the file adds to it is, too.
    Known,
    /// It is there, and somebody works on it right now.
    Busy,
}

/// One transaction: intent, attempts, and where a re-read showed it everything that belongs to a done act.
pub(super) fn take(tx: &WriteTx<'_>, entry: &Entry, now: Timestamp) -> Result<Taken, DbError> {
    let mark = format!("emergency:{}", entry.id);
    if let Some(intent) = db::leases::fact(tx, &mark)? {
        return follow(tx, entry, &intent, now);
    }
    let (order, at) = (&entry.order, entry.asked_at);
    if order.act == Act::Advertise {
        let because = format!("{} advertised in an emergency", order.actor);
        db::intents::cancel_unsent(tx, order.prefix, false, &because, now)?;
    }
    let owner = owner_of(entry);
    let id = db::intents::file(tx, &new_intent(tx, entry)?, at)?;
    db::leases::set_fact(tx, &mark, &id.0.to_string(), now)?;
    db::audit::append(tx, &audit_of(entry, id))?;
    let claimed = db::intents::claim(tx, id, &owner, LEASE, at)?;
    let intent = claimed.ok_or(DbError::NotFound)?;
    let go = |from, to| db::intents::transition(tx, id, &owner, (from, to), &Change::default(), at);
    go(IntentState::Planned, IntentState::Sending)?;
    db::intents::attempt(tx, id, &owner, "patch", ("sending", ""), at)?;
    go(IntentState::Sending, IntentState::Verifying)?;
    let intent = Intent {
        state: IntentState::Verifying,
        sending_at: Some(at),
        ..intent
    };
    settle(tx, entry, &intent, at, now)?;
    Ok(Taken::New)
}

/// A later version of what is in the journal as `intent` already: its writer was still waiting for Cloudflare when the
/// first one was taken. What was found out meanwhile counts.
fn follow(tx: &WriteTx<'_>, entry: &Entry, intent: &str, now: Timestamp) -> Result<Taken, DbError> {
    let Ok(id) = intent.parse().map(IntentId) else {
        return Ok(Taken::Known);
    };
    let known = db::intents::get(tx, id)?;
    let Some(known) = known.filter(|known| known.state == IntentState::Verifying && entry.fate != Fate::Sending) else {
        return Ok(Taken::Known);
    };
    if known.lease_until.is_some_and(|until| until > now) {
        return Ok(Taken::Busy);
    }
    // Nobody has it; that it rests until then is for those who would have to ask Cloudflare.
    let at = known.not_before.map_or(now, |until| until.max(now));
    match db::intents::claim(tx, id, &owner_of(entry), LEASE, at)? {
        Some(intent) => settle(tx, entry, &intent, now, now).map(|()| Taken::Known),
        None => Ok(Taken::Busy),
    }
}

/// Stores how the call ended with an intent that is being verified.
fn settle(tx: &WriteTx<'_>, entry: &Entry, intent: &Intent, at: Timestamp, now: Timestamp) -> Result<(), DbError> {
    let (id, owner) = (intent.id, owner_of(entry));
    db::intents::attempt(tx, id, &owner, "patch", (&entry.class, &entry.words), at)?;
    if entry.fate == Fate::Refused {
        let change = Change {
            outcome: Some((&entry.class, &entry.words)),
            release: true,
            ..Change::default()
        };
        let step = (IntentState::Verifying, IntentState::Refused);
        return db::intents::transition(tx, id, &owner, step, &change, at);
    }
    let Some((seen, seen_at)) = &entry.seen else {
        // Whoever comes next reads it back.
        return db::intents::rest(tx, id, &owner, now);
    };
    let newer = db::inventory::get(tx, intent.prefix)?.filter(|known| known.read_at > *seen_at);
    record::done(tx, intent, &owner, seen, false, *seen_at)?;
    if let Some(newer) = newer {
        // Closing it stored what was seen then; what was read since is nearer to the truth.
        db::inventory::observed(tx, &newer.prefix, newer.managed, newer.read_at)?;
    }
    Ok(())
}

fn owner_of(entry: &Entry) -> String {
    format!("emergency/{}", entry.id)
}

fn new_intent(tx: &WriteTx<'_>, entry: &Entry) -> Result<NewIntent, DbError> {
    let order = &entry.order;
    Ok(NewIntent {
        prefix: order.prefix,
        act: order.act,
        origin: Origin::Person {
            actor: order.actor.clone(),
            via: order.via.clone(),
        },
        reason: format!("{} (emergency, without the database)", order.reason),
        prefix_id: order.prefix_id.clone(),
        bgp_prefix_id: order.bgp_prefix_id.clone(),
        epoch: entry.epoch.map(Epoch),
        state_version: None,
        evidence: None,
        incident: db::incidents::current(tx, order.prefix)?,
        calm_s: None,
        peak: None,
        systems: Vec::new(),
        attack_began_at: None,
        attack_ended_at: None,
        force: order.force,
    })
}

fn audit_of(entry: &Entry, intent: IntentId) -> db::audit::Entry {
    let order = &entry.order;
    db::audit::Entry {
        at: entry.asked_at,
        actor: order.actor.clone(),
        role: "operator".into(),
        via: order.via.clone(),
        address: None,
        action: format!("prefix.{}", order.act),
        subject: order.prefix.to_string(),
        before: None,
        after: Some(format!("intent {intent}")),
        reason: Some(order.reason.clone()),
        result: format!("emergency: {}", entry.class),
    }
}
