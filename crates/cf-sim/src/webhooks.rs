//! The sender of alerts. Each is sent once, never again, and recorded with its outcome; the notification history
//! records what was dispatched, whether or not the receiver was there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::HistoryBody;
use crate::faults::{FaultKind, Target};
use crate::rest::{Way, alerting_policy_id};
use crate::world::{State, World, push_bounded};

/// Deliveries and history entries kept.
const KEPT: usize = 5_000;
/// A receiver that has not answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver answered with this HTTP status.
    Answered(u16),
    /// No answer: connection refused, reset, timed out.
    Failed(String),
    /// There is no target.
    NoTarget,
    /// A fault lost it before it was sent.
    Lost,
}

/// One alert that was to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivery {
    /// Counts from 1.
    pub seq: u64,
    /// When sending began.
    pub at: Timestamp,
    /// `alert_type` of the body, if it has one.
    pub alert_type: String,
    /// `alert_event` of the body, if it has one.
    pub alert_event: String,
    /// Exactly what was sent.
    pub body: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Until the answer, in milliseconds.
    pub took_ms: u64,
    /// Fault that was applied.
    pub fault: Option<String>,
}

impl Delivery {
    /// The receiver answered 2xx.
    #[must_use]
    pub fn delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(status) if (200..300).contains(&status))
    }
}

/// Sends a JSON body and waits for the outcome.
///
/// It goes where the account's policies send alerts of its type; the answer is about the receiver that the simulator knows
/// without the API, or the first of the others when no policy leads there. What no policy wants is not dispatched.
pub(crate) async fn send(world: &Arc<World>, body: &Value) -> Delivery {
    let ways = {
        let state = world.lock();
        let kind = body["alert_type"].as_str().unwrap_or_default();
        state.alerting.ways(kind, Timestamp::now())
    };
    if ways.is_empty() {
        return deliver(world, body.to_string(), None).await;
    }
    record_history(world, body);
    let mut answer = None;
    for way in &ways {
        let delivery = deliver(world, body.to_string(), Some(way)).await;
        if answer.is_none() || *way == Way::Receiver {
            answer = Some(delivery);
        }
    }
    match answer {
        Some(delivery) => delivery,
        None => deliver(world, body.to_string(), None).await,
    }
}

fn text(body: &Value, key: &str) -> String {
    body[key].as_str().unwrap_or_default().to_owned()
}

fn record_history(world: &World, body: &Value) {
    let kind = text(body, "alert_type");
    if kind.is_empty() {
        return;
    }
    let mut state = world.lock();
    let each = if world.config.history_has_mail { 2 } else { 1 };
    let as_text = match world.config.history_body {
        HistoryBody::Text => true,
        HistoryBody::Object | HistoryBody::Example => false,
        HistoryBody::Alternating => (state.history.len() / each).is_multiple_of(2),
    };
    let alert_body = match world.config.history_body {
        HistoryBody::Example => json!({"data": body["data"], "metadata": {"version": 1}}),
        _ if as_text => json!(body.to_string()),
        _ => body.clone(),
    };
    let entry = json!({"name": text(body, "name"), "alert_type": kind, "alert_body": alert_body});
    add_to_history(&mut state, &entry);
    if world.config.history_has_mail {
        let by_mail = json!({"mechanism": "noc@example.net", "mechanism_type": "email"});
        let mut entry = entry;
        if let (Some(entry), Some(by_mail)) = (entry.as_object_mut(), by_mail.as_object()) {
            entry.extend(by_mail.clone());
        }
        add_to_history(&mut state, &entry);
    }
}

/// Adds an entry in the API's form; what it leaves out is as for an alert that was just sent to the receiver.
pub(crate) fn add_to_history(state: &mut State, entry: &Value) {
    let kind = text(entry, "alert_type");
    let mut whole = json!({
        "id": state.dice.uuid(), "name": format!("Policy {kind}"), "description": "", "alert_type": kind, "alert_body": "",
        "mechanism": "Receiver", "mechanism_type": "webhook", "policy_id": alerting_policy_id(&kind), "sent": Timestamp::now().to_string(),
    });
    if let (Some(whole), Some(given)) = (whole.as_object_mut(), entry.as_object()) {
        whole.extend(given.clone());
    }
    push_bounded(&mut state.history, whole, KEPT);
}

/// Sends any text to the receiver and waits for the outcome.
pub(crate) async fn send_raw(world: &Arc<World>, body: String) -> Delivery {
    deliver(world, body, Some(&Way::Receiver)).await
}

/// Sends to one destination, or records that there was none.
async fn deliver(world: &Arc<World>, mut body: String, way: Option<&Way>) -> Delivery {
    let parsed: Value = serde_json::from_str(&body).unwrap_or_default();
    let (alert_type, alert_event) = (text(&parsed, "alert_type"), text(&parsed, "alert_event"));
    let at = Timestamp::now();
    let (target, hits) = {
        let mut state = world.lock();
        let hits = state
            .faults
            .hits(Target::Webhook, "POST", &[&alert_type, &alert_event], at);
        let target = match way {
            Some(Way::Receiver) => state.webhook.clone(),
            Some(Way::Made(id)) => state.alerting.target(id),
            None => None,
        };
        (target, hits)
    };
    let (mut fault, mut copies, mut lost, mut secret) =
        (None, 1, false, target.as_ref().and_then(|t| t.secret.clone()));
    for hit in hits {
        match hit.kind {
            FaultKind::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            FaultKind::Refuse | FaultKind::Hang | FaultKind::Reset => lost = true,
            FaultKind::Garbage => body = "{\"name\": \"broken".to_owned(),
            FaultKind::Html { .. } => body = "<html><body>not JSON</body></html>".to_owned(),
            FaultKind::TruncatedBody => body.truncate(
                (0..=body.len() / 2)
                    .rev()
                    .find(|i| body.is_char_boundary(*i))
                    .unwrap_or(0),
            ),
            FaultKind::Duplicate => copies = 2,
            FaultKind::WrongSecret => secret = Some("not the secret".to_owned()),
            _ => {}
        }
        fault = Some(hit.id);
    }
    let began = Instant::now();
    let mut outcome = if lost { Outcome::Lost } else { Outcome::NoTarget };
    if let Some(target) = target.filter(|_| !lost) {
        for _ in 0..copies {
            outcome = post(world, &target.url, secret.as_deref(), body.clone()).await;
        }
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut state = world.lock();
    state.last_delivery += 1;
    if let (Some(Way::Made(id)), Outcome::Answered(status)) = (way, &outcome) {
        state.alerting.note(id, (200..300).contains(status), at);
    }
    let delivery = Delivery {
        seq: state.last_delivery,
        at,
        alert_type,
        alert_event,
        body,
        outcome,
        took_ms,
        fault,
    };
    tracing::info!(event = "sim.webhook.sent", seq = delivery.seq, kind = %delivery.alert_type, outcome = ?delivery.outcome);
    push_bounded(&mut state.deliveries, delivery.clone(), KEPT);
    delivery
}

/// One POST as Cloudflare sends it.
pub(crate) async fn post(world: &World, url: &str, secret: Option<&str>, body: String) -> Outcome {
    let mut request = world
        .http
        .post(url)
        .timeout(PATIENCE)
        .header("content-type", "application/json")
        .header("user-agent", "Go-http-client/2.0")
        .body(body);
    if let Some(secret) = secret {
        request = request.header("cf-webhook-auth", secret);
    }
    match request.send().await {
        Ok(answer) => Outcome::Answered(answer.status().as_u16()),
        Err(e) if e.is_timeout() => Outcome::Failed("timeout".to_owned()),
        Err(e) if e.is_connect() => Outcome::Failed("connection refused".to_owned()),
        Err(_) => Outcome::Failed("connection lost".to_owned()),
    }
}
