//! What follows from an alert that was stored for the first time: event, incident, veto ledger and,
//! when it came the usual way, the message to people.

use db::events::NewEvent;
use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::notice::{Facts, Notice};
use jiff::Timestamp;

use super::Way;

/// Event and incident of a stored alert.
pub(super) type Recorded = (EventId, Option<IncidentId>);

/// Records it in the transaction that stored the delivery.
///
/// # Errors
/// Those of the database.
pub(super) fn alert(
    tx: &WriteTx<'_>,
    alert: &Alert,
    affected: Affected,
    delivery: DeliveryId,
    (way, payload): (Way, Option<&str>),
    now: Timestamp,
) -> Result<Recorded, DbError> {
    let about_attack = alert.kind.is_attack() || alert.kind == AlertKind::AutoAdvertisement;
    let incident = if about_attack {
        Some(db::incidents::join(tx, alert, &affected.prefixes, now)?)
    } else {
        None
    };
    let event = keep_events(tx, alert, &affected, delivery, incident, payload, now)?;
    db::ledger::enter(tx, alert, &affected, event)?;
    if let Some(incident) = incident {
        let line = Line {
            at: alert.at(),
            kind: timeline_kind(alert).to_owned(),
            text: timeline_text(alert, &affected),
            source: way.source().into(),
            actor: None,
            reference: Some(("attack_events".into(), event.0)),
        };
        db::incidents::note(tx, incident, &line, now)?;
    }
    if way != Way::Received {
        // Whoever recovers alerts tells of all of them at once, and nobody is woken by old files.
        return Ok((event, incident));
    }
    let notice = Notice {
        facts: Facts::Alert {
            alert: Box::new(alert.clone()),
            prefixes: affected.prefixes,
            unresolved: affected.unresolved,
        },
        event: Some(event),
        incident,
        group: incident.map(|id| format!("incident:{id}")),
    };
    db::outbox::enqueue(tx, &notice, now)?;
    Ok((event, incident))
}

/// One row, or one per prefix for an auto-advertisement. Returns the first.
fn keep_events(
    tx: &WriteTx<'_>,
    alert: &Alert,
    affected: &Affected,
    delivery: DeliveryId,
    incident: Option<IncidentId>,
    payload: Option<&str>,
    now: Timestamp,
) -> Result<EventId, DbError> {
    let base = NewEvent {
        event_type: alert.phase.event_type().into(),
        alert_type: alert.kind.name().to_owned(),
        attack_id: alert.attack_id.clone(),
        policy_id: alert.policy_id.clone(),
        policy_name: alert.policy_name.clone(),
        prefixes: affected.prefixes.clone(),
        target_ip: alert
            .target_ip()
            .map(|address| address.to_string())
            .or_else(|| alert.hostname.clone()),
        target_port: alert.target_port,
        protocol: alert.protocol.clone(),
        attack_vector: alert.vector.clone(),
        packets_per_second: alert.packets_per_second.map(|rate| format!("{rate:.0}")),
        megabits_per_second: alert.bits_per_second.map(|rate| format!("{:.2}", rate / 1e6)),
        severity: alert.severity.clone(),
        action_taken: action_taken(alert).to_owned(),
        raw_payload: payload.map(str::to_owned),
        created_at: Some(alert.received_at),
        event_time: Some(alert.at()),
        delivery: Some(delivery),
        incident,
        intent: None,
        actor: None,
        is_test: alert.is_test,
    };
    if alert.kind != AlertKind::AutoAdvertisement || alert.advertise.is_empty() {
        return db::events::append(tx, &base, now);
    }
    let mut first = None;
    for result in &alert.advertise {
        let (event_type, action) = if result.status.is_advertised() {
            ("ADVERTISE", "auto_advertised")
        } else if result.status.needs_a_person() {
            ("ADVERTISE_FAILED", "not_advertised")
        } else {
            ("ADVERTISE_DELAYED", "not_advertised_yet")
        };
        let row = NewEvent {
            event_type: event_type.into(),
            action_taken: action.into(),
            prefixes: result.prefix.into_iter().collect(),
            ..base.clone()
        };
        let id = db::events::append(tx, &row, now)?;
        first = first.or(Some(id));
    }
    match first {
        Some(id) => Ok(id),
        None => db::events::append(tx, &base, now),
    }
}

fn action_taken(alert: &Alert) -> &'static str {
    match (&alert.kind, &alert.phase) {
        (kind, Phase::End) if kind.is_attack() => "notified_autowithdraw_handles",
        (AlertKind::AdvancedL4 | AlertKind::L4 | AlertKind::AdvancedL7 | AlertKind::L7, _) => "mitigating",
        _ => "notified",
    }
}

fn timeline_kind(alert: &Alert) -> &'static str {
    match (&alert.kind, &alert.phase) {
        (AlertKind::AutoAdvertisement, _) => "auto_advertisement",
        (_, Phase::Start) => "alert_start",
        (_, Phase::Update) => "alert_update",
        (_, Phase::End) => "alert_end",
    }
}

fn timeline_text(alert: &Alert, affected: &Affected) -> String {
    if alert.kind == AlertKind::AutoAdvertisement {
        let results: Vec<String> = alert
            .advertise
            .iter()
            .map(|result| format!("{}: {}", result.written, result.status.words()))
            .collect();
        return format!("{}: {}", alert.kind.title(), results.join(", "));
    }
    let phase = match alert.phase {
        Phase::Start => "started",
        Phase::Update => "goes on",
        Phase::End => "ended, says Cloudflare",
    };
    let prefixes: Vec<String> = affected.prefixes.iter().map(ToString::to_string).collect();
    let on = if prefixes.is_empty() {
        "no prefix of ours could be tied to it".to_owned()
    } else {
        format!("on {}", prefixes.join(", "))
    };
    let vector = alert.vector.as_deref().unwrap_or("unknown vector");
    format!("{} {phase}: {vector}, {on}", alert.kind.title())
}
