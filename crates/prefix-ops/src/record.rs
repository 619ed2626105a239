//! The one transaction in which an act becomes history: journal, event, withdrawal record,
//! incident, inventory, audit and notice together, exactly once.

use db::history::Withdrawal;
use db::incidents::Line;
use db::intents::{Change, Intent};
use db::{DbError, WriteTx};
use domain::bgp::BgpPrefix;
use domain::calm::FUTURE_TOLERANCE;
use domain::duration::human;
use domain::intent::{Act, IntentState, Origin};
use domain::notice::{Facts, Notice};
use domain::time::plus;
use jiff::Timestamp;
use std::time::Duration;

/// Class of the attempt that closes an intent as done by us; its words are the instant at which
/// Cloudflare says the state changed. A change seen with that very instant is ours (rule 14).
pub const SHOWN: &str = "shown";

/// Closes an intent whose wanted state a re-read showed. `was_there` says that no call was needed.
///
/// # Errors
/// [`DbError::Conflict`] when somebody else closed it first; nothing is recorded then.
pub fn done(
    tx: &WriteTx<'_>,
    intent: &Intent,
    owner: &str,
    seen: &BgpPrefix,
    was_there: bool,
    now: Timestamp,
) -> Result<(), DbError> {
    let outcome = if was_there {
        ("already", "it was so already")
    } else {
        ("done", "read back")
    };
    let change = Change {
        outcome: Some(outcome),
        release: true,
        ..Change::default()
    };
    db::intents::transition(tx, intent.id, owner, (intent.state, IntentState::Done), &change, now)?;
    let entry = db::inventory::get(tx, intent.prefix)?;
    let (managed, description) = entry.map_or((false, String::new()), |entry| {
        (entry.managed, entry.prefix.description)
    });
    let observed = BgpPrefix {
        description: description.clone(),
        ..seen.clone()
    };
    db::inventory::observed(tx, &observed, managed, now)?;
    if was_there {
        return Ok(());
    }
    let changed_at = changed_at(intent, seen, now);
    let shown = changed_at.to_string();
    db::intents::attempt(tx, intent.id, owner, "read_back", (SHOWN, &shown), now)?;
    let event = db::events::append(tx, &event_of(intent, &description, changed_at), now)?;
    if intent.act == Act::Withdraw {
        db::history::record(tx, &withdrawal_of(intent, changed_at), now)?;
    }
    if let Some(incident) = intent.incident {
        let line = Line {
            at: changed_at,
            kind: past(intent.act).into(),
            text: format!("{} {}: {}", intent.prefix, past(intent.act), intent.reason),
            source: source(&intent.origin).into(),
            actor: actor(&intent.origin),
            reference: Some(("intents".into(), intent.id.0)),
        };
        db::incidents::note(tx, incident, &line, now)?;
        if intent.act == Act::Withdraw {
            db::incidents::withdrawn(tx, incident, changed_at, now)?;
        }
    }
    let notice = Notice {
        facts: Facts::Acted {
            act: intent.act,
            prefix: intent.prefix,
            description,
            origin: intent.origin.clone(),
            reason: intent.reason.clone(),
            advertised_at: intent.epoch.map(|epoch| epoch.0),
            changed_at,
            calm_s: intent.calm_s.and_then(|seconds| u64::try_from(seconds).ok()),
            peak: intent.peak,
            systems: intent.systems.clone(),
        },
        event: Some(event),
        incident: intent.incident,
        group: intent.incident.map(|id| format!("incident:{id}")),
    };
    db::outbox::enqueue(tx, &notice, now)?;
    Ok(())
}

/// When Cloudflare says that the state changed, where that can be.
fn changed_at(intent: &Intent, seen: &BgpPrefix, now: Timestamp) -> Timestamp {
    seen.state
        .advertised_modified_at
        .filter(|changed| intent.epoch.is_none_or(|epoch| *changed > epoch.0))
        .filter(|changed| *changed <= plus(now, FUTURE_TOLERANCE))
        .unwrap_or(now)
}

/// Tells people of a refusal, once per class and prefix within a day, and remembers it.
///
/// # Errors
/// Those of the database.
pub fn announce_refusal(
    tx: &WriteTx<'_>,
    intent: &Intent,
    class: &str,
    words: &str,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), DbError> {
    // An intent that is wanted for days was filed longer ago than what is looked through below.
    let known = db::intents::get(tx, intent.id)?.and_then(|stored| stored.refusal_announced);
    if known.as_deref() == Some(class) {
        return Ok(());
    }
    let day_ago = domain::time::minus(now, Duration::from_secs(86_400));
    if db::intents::last_refusal(tx, intent.prefix, intent.act, day_ago)?.as_deref() == Some(class) {
        return Ok(());
    }
    db::intents::refusal_announced(tx, intent.id, class)?;
    note(
        tx,
        intent,
        "refused",
        format!("{} of {} refused: {words}", intent.act, intent.prefix),
        now,
    )?;
    let facts = Facts::ActRefused {
        act: intent.act,
        prefix: intent.prefix,
        origin: intent.origin.clone(),
        class: class.to_owned(),
        words: words.to_owned(),
        retry_at,
    };
    enqueue(tx, intent, facts, now)
}

/// Tells people that no re-read showed the wanted state in time.
///
/// # Errors
/// Those of the database.
pub fn announce_unresolved(tx: &WriteTx<'_>, intent: &Intent, last_read: &str, now: Timestamp) -> Result<(), DbError> {
    let text = format!("{} of {} is unresolved: {last_read}", intent.act, intent.prefix);
    note(tx, intent, "unresolved", text, now)?;
    let facts = Facts::ActUnresolved {
        act: intent.act,
        prefix: intent.prefix,
        origin: intent.origin.clone(),
        last_read: last_read.to_owned(),
        sent_at: intent.sending_at.unwrap_or(intent.created_at),
    };
    enqueue(tx, intent, facts, now)
}

fn enqueue(tx: &WriteTx<'_>, intent: &Intent, facts: Facts, now: Timestamp) -> Result<(), DbError> {
    let notice = Notice {
        facts,
        event: None,
        incident: intent.incident,
        group: None,
    };
    db::outbox::enqueue(tx, &notice, now).map(drop)
}

fn note(tx: &WriteTx<'_>, intent: &Intent, kind: &str, text: String, now: Timestamp) -> Result<(), DbError> {
    let Some(incident) = intent.incident else {
        return Ok(());
    };
    let line = Line {
        at: now,
        kind: kind.to_owned(),
        text,
        source: source(&intent.origin).to_owned(),
        actor: actor(&intent.origin),
        reference: Some(("intents".into(), intent.id.0)),
    };
    db::incidents::note(tx, incident, &line, now)
}

fn past(act: Act) -> &'static str {
    match act {
        Act::Advertise => "advertised",
        Act::Withdraw => "withdrawn",
    }
}

fn source(origin: &Origin) -> &str {
    match origin {
        Origin::Automatic => "autowithdraw",
        Origin::Person { via, .. } => via,
    }
}

fn actor(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Automatic => None,
        Origin::Person { actor, .. } => Some(actor.clone()),
    }
}

/// The predecessor's words for who acted.
fn method(origin: &Origin) -> String {
    match origin {
        Origin::Automatic => "autowithdraw_daemon".into(),
        Origin::Person { via, .. } => format!("{via}_manual"),
    }
}

fn event_of(intent: &Intent, description: &str, changed_at: Timestamp) -> db::events::NewEvent {
    let how = if intent.origin.is_automatic() { "auto" } else { "manual" };
    let payload = serde_json::json!({
        "description": description,
        "intent": intent.id.0,
        "reason": intent.reason,
        "calm_minutes": intent.calm_s.map(|seconds| seconds as f64 / 60.0),
        "dropped_packets": intent.peak.map(|peak| peak.packets.0),
        "dropped_mbps": intent.peak.map(|peak| (peak.bit_rate.0 / 1e4).round() / 100.0),
        "mitigation_systems": intent.systems,
    });
    db::events::NewEvent {
        event_type: match intent.act {
            Act::Advertise => "ADVERTISE".into(),
            Act::Withdraw => "WITHDRAW".into(),
        },
        alert_type: method(&intent.origin),
        prefixes: vec![intent.prefix],
        action_taken: format!("{}_{how}", past(intent.act)),
        raw_payload: Some(payload.to_string()),
        event_time: Some(changed_at),
        incident: intent.incident,
        intent: Some(intent.id),
        actor: actor(&intent.origin),
        ..db::events::NewEvent::default()
    }
}

fn withdrawal_of(intent: &Intent, withdrawn_at: Timestamp) -> Withdrawal {
    let calm = intent
        .calm_s
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or_else(String::new, |seconds| {
            format!("calm {}; ", human(Duration::from_secs(seconds)))
        });
    let peak = intent.peak.map_or_else(
        || "no attack window in this epoch".to_owned(),
        |peak| format!("peak {} / {} over the look-back", peak.bit_rate, peak.packet_rate),
    );
    Withdrawal {
        prefix: intent.prefix,
        intent: intent.id,
        incident: intent.incident,
        attack_type: None,
        advertised_at: intent.epoch.map(|epoch| epoch.0),
        attack_ended_at: intent.attack_ended_at,
        attack_began_at: intent.attack_began_at,
        withdrawn_at,
        method: method(&intent.origin),
        actor: actor(&intent.origin).unwrap_or_else(|| "autowithdraw".into()),
        calm_s: intent.calm_s,
        notes: format!("{calm}{peak}; {}", intent.reason),
    }
}
