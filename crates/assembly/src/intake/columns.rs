//! The columns of a delivery, as far as its body tells them.

use cf_api::webhook::{EventWord, Notification};
use db::deliveries::NewDelivery;
use domain::alert::Alert;
use jiff::Timestamp;

/// How much of an unreadable body a message shows.
const HEAD_CHARS: usize = 300;

/// What a readable body says.
pub(super) fn of_notification(notification: &Notification, alert: &Alert) -> NewDelivery {
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

/// A delivery of which nothing is known.
pub(super) fn blank() -> NewDelivery {
    NewDelivery {
        received_at: Timestamp::UNIX_EPOCH,
        alert_type: None,
        event_state: None,
        alert_id: None,
        policy_id: None,
        policy_name: None,
        target: None,
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

/// The beginning of a body, fit for showing.
pub(super) fn head_of(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(4 * HEAD_CHARS)])
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(HEAD_CHARS)
        .collect()
}
