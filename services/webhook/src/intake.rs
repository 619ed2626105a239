//! One delivery, one transaction: raw body, event, incident, ledger and notices together.
//!
//! Decoding happens before, off the writer; inside are only statements. A duplicate is counted on
//! its original and changes nothing else.

use cf_api::webhook::{Decoded, EventWord, NotJson, Notification, decode, to_alert};
use db::deliveries::{NewDelivery, Stored};
use db::events::NewEvent;
use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::ids::{DeliveryId, EventId, IncidentId};
use domain::notice::{Facts, Notice};
use domain::prefix::PrefixMap;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// How much of an unreadable body a message shows.
const HEAD_CHARS: usize = 300;

/// A delivery as it came over the wire, authenticated.
#[derive(Debug)]
pub struct Arrival {
    /// The body, complete or (when too large) its beginning.
    pub body: Vec<u8>,
    /// Size of a body that was too large to be read whole.
    pub oversized: Option<u64>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Client address.
    pub source: String,
    /// Headers that matter, as a JSON object.
    pub headers: String,
}

/// A delivery ready to be stored.
#[derive(Debug)]
pub struct Intake {
    delivery: NewDelivery,
    content: Content,
    rule_name: Option<String>,
}

#[derive(Debug)]
enum Content {
    Alert(Box<Alert>),
    Unreadable { size: u64, head: String, problem: String },
}

/// What storing it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The row.
    pub delivery: DeliveryId,
    /// Whether an identical body was there already.
    pub duplicate: bool,
    /// Whether it was JSON within the size limit.
    pub readable: bool,
    /// Kind, for the log.
    pub kind: String,
}

impl Intake {
    /// Reads an arrival. Never fails: what cannot be read is an unreadable alert.
    pub fn read(arrival: Arrival) -> Self {
        let body_hash = hex::encode(Sha256::digest(&arrival.body));
        let size = arrival.oversized.unwrap_or(arrival.body.len() as u64);
        let decoded = decode(&arrival.body);
        let (content, mut delivery, rule_name) = match (arrival.oversized, decoded) {
            (None, decoded @ Decoded::Notification(_)) => {
                let alert = to_alert(&decoded, arrival.received_at);
                let delivery = match &decoded {
                    Decoded::Notification(notification) => of_notification(notification, &alert),
                    Decoded::NotJson(_) => blank(),
                };
                let rule_name = alert.rule_name.clone();
                (Content::Alert(Box::new(alert)), delivery, rule_name)
            }
            (oversized, decoded) => {
                let (head, problem) = match (oversized, decoded) {
                    (Some(size), _) => (
                        head_of(&arrival.body),
                        format!(
                            "the body of {size} bytes is larger than webhook.max_body; only its beginning is stored"
                        ),
                    ),
                    (None, Decoded::NotJson(NotJson { why, head })) => (head, format!("the body is not JSON: {why}")),
                    (None, Decoded::Notification(_)) => (String::new(), String::new()),
                };
                let delivery = NewDelivery {
                    problem: Some(problem.clone()),
                    unresolved: true,
                    ..blank()
                };
                (Content::Unreadable { size, head, problem }, delivery, None)
            }
        };
        delivery.received_at = arrival.received_at;
        delivery.source_ip = arrival.source;
        delivery.headers = arrival.headers;
        delivery.body_hash = body_hash;
        match String::from_utf8(arrival.body) {
            // The payload column has the affinity of numbers: only an object's text stays as it is.
            Ok(text) if text.trim_start().starts_with('{') => delivery.payload = Some(text),
            Ok(text) => delivery.raw_body = Some(text.into_bytes()),
            Err(error) => delivery.raw_body = Some(error.into_bytes()),
        }
        Self {
            delivery,
            content,
            rule_name,
        }
    }

    /// Stores it with everything that follows from it.
    ///
    /// # Errors
    /// Those of the database; nothing of it is stored then.
    pub fn keep(mut self, tx: &WriteTx<'_>, networks: &PrefixMap<()>, now: Timestamp) -> Result<Kept, DbError> {
        let rule = match &self.rule_name {
            Some(name) => db::inventory::rule_prefixes(tx, name)?,
            None => None,
        };
        let affected = match &self.content {
            Content::Alert(alert) => alert.affected(networks, rule.as_deref()),
            Content::Unreadable { .. } => Affected {
                prefixes: Vec::new(),
                unresolved: true,
            },
        };
        self.delivery.prefixes.clone_from(&affected.prefixes);
        self.delivery.unresolved = affected.unresolved;
        let kind = match &self.content {
            Content::Alert(alert) => alert.kind.name().to_owned(),
            Content::Unreadable { .. } => "unreadable".to_owned(),
        };
        let readable = matches!(self.content, Content::Alert(_));
        let kept = |delivery, duplicate| Kept {
            delivery,
            duplicate,
            readable,
            kind: kind.clone(),
        };
        let delivery = match db::deliveries::store(tx, &self.delivery)? {
            Stored::Duplicate(delivery) => return Ok(kept(delivery, true)),
            Stored::New(delivery) => delivery,
        };
        match self.content {
            Content::Alert(alert) => {
                let payload = self.delivery.payload.as_deref();
                keep_alert(tx, *alert, affected, delivery, payload, now)?;
            }
            Content::Unreadable { size, head, problem } => {
                let facts = Facts::UnreadableAlert { size, head, problem };
                db::outbox::enqueue(tx, &Notice::about(facts), now)?;
            }
        }
        Ok(kept(delivery, false))
    }
}

fn keep_alert(
    tx: &WriteTx<'_>,
    alert: Alert,
    affected: Affected,
    delivery: DeliveryId,
    payload: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    let about_attack = alert.kind.is_attack() || alert.kind == AlertKind::AutoAdvertisement;
    let incident = if about_attack {
        Some(db::incidents::join(tx, &alert, &affected.prefixes, now)?)
    } else {
        None
    };
    let event = keep_events(tx, &alert, &affected, delivery, incident, payload, now)?;
    db::ledger::enter(tx, &alert, &affected, event)?;
    if let Some(incident) = incident {
        let line = Line {
            at: alert.at(),
            kind: timeline_kind(&alert).to_owned(),
            text: timeline_text(&alert, &affected),
            source: "cloudflare notification".into(),
            actor: None,
            reference: Some(("attack_events".into(), event.0)),
        };
        db::incidents::note(tx, incident, &line, now)?;
    }
    let notice = Notice {
        facts: Facts::Alert {
            alert: Box::new(alert),
            prefixes: affected.prefixes,
            unresolved: affected.unresolved,
        },
        event: Some(event),
        incident,
        group: incident.map(|id| format!("incident:{id}")),
    };
    db::outbox::enqueue(tx, &notice, now).map(drop)
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

fn of_notification(notification: &Notification, alert: &Alert) -> NewDelivery {
    let datum = |key: &str| {
        notification
            .data
            .get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let alert_id = ["attack_id", "alert_id", "incident_id", "tunnel_id", "health_check_id"]
        .iter()
        .find_map(|key| datum(key).filter(|text| !text.is_empty()))
        .or_else(|| notification.correlation_id.clone());
    NewDelivery {
        alert_type: notification.alert_type.clone(),
        event_state: notification.event.as_ref().map(|event| match event {
            EventWord::Start => "ALERT_STATE_EVENT_START".to_owned(),
            EventWord::End => "ALERT_STATE_EVENT_END".to_owned(),
            EventWord::Other(word) => word.clone(),
        }),
        alert_id,
        policy_id: notification.policy_id.clone(),
        policy_name: notification.policy_name.clone(),
        target: alert
            .target_ip()
            .map(|address| address.to_string())
            .or_else(|| alert.hostname.clone()),
        event_time: notification.sent_at,
        problem: (!alert.problems.is_empty()).then(|| alert.problems.join("; ")),
        is_test: alert.is_test,
        ..blank()
    }
}

fn blank() -> NewDelivery {
    NewDelivery {
        received_at: Timestamp::UNIX_EPOCH,
        alert_type: None,
        event_state: None,
        alert_id: None,
        policy_id: None,
        policy_name: None,
        target: None,
        prefixes: Vec::new(),
        unresolved: false,
        source_ip: String::new(),
        action_taken: "received",
        payload: None,
        raw_body: None,
        body_hash: String::new(),
        headers: String::new(),
        event_time: None,
        problem: None,
        is_test: false,
    }
}

fn head_of(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(4 * HEAD_CHARS)])
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(HEAD_CHARS)
        .collect()
}
