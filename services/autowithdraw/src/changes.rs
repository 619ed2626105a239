//! Changes of the live BGP state (rules 12 and 14): ours, Cloudflare's own auto-advertisement, or
//! somebody else's. What nobody explains is recorded and announced, many at once as one event at the
//! provider; an advertise that a person wanted and that a read shows withdrawn is asserted again,
//! whoever withdrew it.

use std::collections::BTreeMap;
use std::time::Duration;

use db::events::ForeignChange;
use db::incidents::Line;
use db::intents::{Intent, NewIntent};
use db::{DbError, WriteTx};
use domain::bgp::BgpState;
use domain::ids::{EventId, IncidentId};
use domain::intent::{Act, IntentState};
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::{minus, plus, since};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A matching change within this time after a call of ours is ours (rule 11), and so long an
/// advertise is asserted again (rule 12).
const OURS_FOR: Duration = Duration::from_secs(15 * 60);

/// Intents of one prefix looked through.
const LATEST: u32 = 50;

/// Rows of the operator's log looked through.
const LATEST_EVENTS: u32 = 500;

/// Begin of the reason of an advertise that is asserted again.
const AGAIN: &str = "asserted again, a read showed it withdrawn: ";

/// An advertisement that nobody has explained yet. Cloudflare's notification of its own
/// auto-advertisement comes a moment after the change itself.
#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    before: BgpState,
    after: BgpState,
    since: Timestamp,
}

/// So many prefixes that change at once have one cause: they are told as one.
const MANY: usize = 3;

/// Within this time, that is: the list calls of a large account need more than one cycle, and whoever changes many
/// prefixes needs a while too.
const AT_ONCE: Duration = Duration::from_secs(120);

/// Rows looked through for what changed at once.
const AT_ONCE_MOST: u32 = 5_000;

/// A change that nothing explains, recorded and to be announced.
#[derive(Debug)]
pub(crate) struct Foreign {
    prefix: Prefix,
    change: ForeignChange,
    event: EventId,
    incident: Option<IncidentId>,
}

/// What somebody else did, in the words of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Withdrawn,
    Advertised,
    Changed,
}

impl Kind {
    fn of(change: &ForeignChange) -> Self {
        match change.after.advertised {
            Some(false) if change.before.advertised != Some(false) => Self::Withdrawn,
            Some(true) if change.before.advertised != Some(true) => Self::Advertised,
            _ => Self::Changed,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn_elsewhere",
            Self::Advertised => "advertised_elsewhere",
            Self::Changed => "changed_elsewhere",
        }
    }
}

/// Records a change of the live state in the timeline, and in `foreign` if nothing explains it; an
/// advertisement waits for its explanation until [`settle`].
///
/// # Errors
/// Those of the database.
pub(crate) fn changed(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    (before, after): (&BgpState, &BgpState),
    incident: Option<IncidentId>,
    now: Timestamp,
    foreign: &mut Vec<Foreign>,
) -> Result<(), DbError> {
    settle(tx, prefix, incident, Duration::ZERO, now, foreign)?;
    if after.advertised != before.advertised
        && let Some(incident) = incident
    {
        db::incidents::note(tx, incident, &line(prefix, after, now), now)?;
    }
    if after.advertised == Some(false) {
        assert_again(tx, prefix, now)?;
    }
    let pending = Pending {
        before: before.clone(),
        after: after.clone(),
        since: now,
    };
    if explained(tx, prefix, &pending, now)? {
        return Ok(());
    }
    if after.advertised == Some(true) && only_flag(&pending) {
        return remember(tx, prefix, Some(&pending), now);
    }
    foreign.push(record(tx, prefix, pending, incident, now)?);
    Ok(())
}

/// Records an advertisement that nothing has explained for `grace`.
///
/// # Errors
/// Those of the database.
pub(crate) fn settle(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    incident: Option<IncidentId>,
    grace: Duration,
    now: Timestamp,
    foreign: &mut Vec<Foreign>,
) -> Result<(), DbError> {
    let stored = db::leases::cursor(tx, &mark(prefix))?;
    let Some(pending) = stored.and_then(|text| serde_json::from_str::<Pending>(&text).ok()) else {
        return Ok(());
    };
    if explained(tx, prefix, &pending, now)? {
        return remember(tx, prefix, None, now);
    }
    if since(now, pending.since) < grace && pending.since <= now {
        return Ok(());
    }
    remember(tx, prefix, None, now)?;
    foreign.push(record(tx, prefix, pending, incident, now)?);
    Ok(())
}

fn mark(prefix: Prefix) -> String {
    format!("unexplained:{prefix}")
}

fn remember(tx: &WriteTx<'_>, prefix: Prefix, pending: Option<&Pending>, now: Timestamp) -> Result<(), DbError> {
    let text = pending.and_then(|pending| serde_json::to_string(pending).ok());
    db::leases::set_cursor(tx, &mark(prefix), text.as_deref().unwrap_or_default(), now)
}

/// A row of the operator's log with all that is known; the command lines and the dashboard offer from it to take the
/// change back.
fn record(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    pending: Pending,
    incident: Option<IncidentId>,
    now: Timestamp,
) -> Result<Foreign, DbError> {
    tracing::warn!(
        event = "prefix.foreign_change",
        prefix = %prefix,
        advertised_before = ?pending.before.advertised,
        advertised = ?pending.after.advertised,
    );
    let change = ForeignChange {
        before: pending.before,
        after: pending.after,
    };
    let moved = change.after.advertised != change.before.advertised;
    let event = db::events::NewEvent {
        event_type: "NOTE".into(),
        alert_type: db::events::FOREIGN_CHANGE.into(),
        prefixes: vec![prefix],
        action_taken: Kind::of(&change).as_str().into(),
        raw_payload: serde_json::to_string(&change).ok(),
        // The instant is that of the advertisement; when a lock was set Cloudflare does not say.
        event_time: change.after.advertised_modified_at.filter(|_| moved),
        incident,
        ..db::events::NewEvent::default()
    };
    let event = db::events::append(tx, &event, now)?;
    Ok(Foreign {
        prefix,
        change,
        event,
        incident,
    })
}

/// Tells people of what a cycle found: each change for itself, or all of the last two minutes as one event.
///
/// # Errors
/// Those of the database.
pub(crate) fn announce(tx: &WriteTx<'_>, foreign: Vec<Foreign>, now: Timestamp) -> Result<(), DbError> {
    if foreign.is_empty() {
        return Ok(());
    }
    // Newest first: of a prefix that changed twice the last word counts.
    let mut at_once: BTreeMap<Prefix, Kind> = BTreeMap::new();
    for (row, change) in db::events::foreign_since(tx, minus(now, AT_ONCE), AT_ONCE_MOST)? {
        if let Some(prefix) = row.prefix.as_deref().and_then(|text| text.parse().ok()) {
            at_once.entry(prefix).or_insert_with(|| Kind::of(&change));
        }
    }
    if at_once.len() >= MANY {
        let of = |wanted: Kind| {
            let those = at_once.iter().filter(|(_, kind)| **kind == wanted);
            those.map(|(prefix, _)| *prefix).collect()
        };
        let facts = Facts::ProviderEvent {
            withdrawn: of(Kind::Withdrawn),
            advertised: of(Kind::Advertised),
            changed: of(Kind::Changed),
        };
        return db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop);
    }
    for one in foreign {
        let notice = Notice {
            facts: Facts::ForeignChange {
                prefix: one.prefix,
                before: one.change.before,
                after: one.change.after,
            },
            event: Some(one.event),
            incident: one.incident,
            group: None,
        };
        db::outbox::enqueue(tx, &notice, now)?;
    }
    Ok(())
}

/// Nothing but the advertisement changed; a lock or a prepend is never an effect of our acts.
fn only_flag(change: &Pending) -> bool {
    let rest = BgpState {
        advertised: change.before.advertised,
        advertised_modified_at: change.before.advertised_modified_at,
        ..change.after.clone()
    };
    rest == change.before
}

/// Whether an act of ours or a notification of Cloudflare explains the change.
fn explained(tx: &WriteTx<'_>, prefix: Prefix, change: &Pending, now: Timestamp) -> Result<bool, DbError> {
    let Some(advertised) = change.after.advertised.filter(|_| only_flag(change)) else {
        return Ok(false);
    };
    let window = minus(now, OURS_FOR);
    for intent in db::intents::newest(tx, Some(prefix), LATEST)? {
        if intent.act.wanted() == advertised && explains(tx, &intent, &change.after, window)? {
            return Ok(true);
        }
    }
    Ok(advertised && told_by_cloudflare(tx, prefix, window)?)
}

/// One call explains one change: until its result was read any matching one, then only that one.
fn explains(tx: &WriteTx<'_>, intent: &Intent, after: &BgpState, window: Timestamp) -> Result<bool, DbError> {
    let recent = intent.sending_at.is_some_and(|at| at >= window);
    match intent.state {
        IntentState::Sending | IntentState::Verifying | IntentState::Unresolved => Ok(recent),
        IntentState::Done => {
            let Some(modified_at) = after.advertised_modified_at else {
                return Ok(recent && intent.outcome_class.as_deref() == Some("done"));
            };
            let attempts = db::intents::attempts(tx, intent.id)?;
            Ok(attempts.iter().any(|attempt| {
                attempt.class == prefix_ops::record::SHOWN
                    && attempt
                        .words
                        .parse::<Timestamp>()
                        .is_ok_and(|shown| shown == modified_at)
            }))
        }
        _ => Ok(false),
    }
}

/// Whether Cloudflare notified us of an advertisement, which our own acts in the log are not.
fn told_by_cloudflare(tx: &WriteTx<'_>, prefix: Prefix, window: Timestamp) -> Result<bool, DbError> {
    if !db::events::advertised_since(tx, prefix, window)? {
        return Ok(false);
    }
    let name = prefix.to_string();
    Ok(db::events::newest(tx, None, LATEST_EVENTS)?.iter().any(|event| {
        event.event_type == "ADVERTISE"
            && event.prefix.as_deref() == Some(name.as_str())
            && event.created_at.is_some_and(|at| at >= window)
            && event.actor.is_none()
            && !event.is_test
    }))
}

fn line(prefix: Prefix, after: &BgpState, now: Timestamp) -> Line {
    let (kind, text) = match after.advertised {
        Some(true) => ("seen_advertised", format!("{prefix} is advertised at Cloudflare")),
        Some(false) => ("seen_withdrawn", format!("{prefix} is not advertised any more")),
        None => (
            "seen_unknown",
            format!("Cloudflare does not say whether {prefix} is advertised"),
        ),
    };
    Line {
        at: after.advertised_modified_at.filter(|at| *at <= now).unwrap_or(now),
        kind: kind.into(),
        text,
        source: "autowithdraw".into(),
        actor: None,
        reference: None,
    }
}

/// A person's advertise that a read within 15 min shows withdrawn is asserted again (rule 12),
/// unless a person asked for a withdrawal since.
fn assert_again(tx: &WriteTx<'_>, prefix: Prefix, now: Timestamp) -> Result<(), DbError> {
    let latest = db::intents::newest(tx, Some(prefix), LATEST)?;
    let by_people: Vec<&Intent> = latest.iter().filter(|intent| !intent.origin.is_automatic()).collect();
    let Some(last) = by_people.first().filter(|last| last.act == Act::Advertise) else {
        return Ok(());
    };
    // An open one looks after itself; a refused one was answered. A withdrawal that was decided on
    // later is meant; one that was under way before may only have come late.
    let meant =
        |intent: &&Intent| intent.act == Act::Withdraw && intent.id > last.id && intent.state.may_have_been_sent();
    if last.state != IntentState::Done || latest.iter().any(|intent| meant(&intent)) {
        return Ok(());
    }
    // The 15 minutes count from what the person asked for, not from our own repetition of it.
    let Some(asked) = by_people
        .iter()
        .take_while(|intent| intent.act == Act::Advertise)
        .find(|intent| !intent.reason.starts_with(AGAIN))
    else {
        return Ok(());
    };
    let said_at = asked.sending_at.max(asked.closed_at).unwrap_or(asked.created_at);
    if plus(said_at, OURS_FOR) < now {
        return Ok(());
    }
    let again = NewIntent {
        prefix,
        act: Act::Advertise,
        origin: asked.origin.clone(),
        reason: format!("{AGAIN}{}", asked.reason),
        prefix_id: last.prefix_id.clone(),
        bgp_prefix_id: last.bgp_prefix_id.clone(),
        epoch: None,
        state_version: None,
        evidence: None,
        incident: asked.incident,
        calm_s: None,
        peak: None,
        systems: Vec::new(),
        attack_began_at: None,
        attack_ended_at: None,
        force: false,
    };
    let intent = db::intents::file(tx, &again, now)?;
    tracing::warn!(event = "advertise.asserted_again", prefix = %prefix, intent = intent.0);
    Ok(())
}
