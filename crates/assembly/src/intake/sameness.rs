//! Whether two accounts of a notification, such as a delivery and an entry of Cloudflare's history,
//! are of the same one.
//!
//! First nothing may contradict: type, event, policy, ids, what it is about. Then something must
//! tie them: the correlation id, else the attack id, else the policy and the time. An account that
//! leaves something out contradicts nothing. A wrong "same" would lose an alert; a wrong "not the
//! same" only stores one twice, so every doubt means "not the same".

use std::collections::BTreeMap;
use std::time::Duration;

use cf_api::webhook::{Decoded, EventWord, Notification, decode};
use domain::ids::normalise_id;
use domain::time::since;
use jiff::Timestamp;
use serde_json::Value;

/// How far apart the accounts of a START or an END with the same id may be. Cloudflare does not
/// alert twice for one attack within an hour; later it may, with the same id, and that is news.
pub const SAME_ATTACK_WITHIN: Duration = Duration::from_secs(1_800);

/// The same where no id ties them or the event is not told: between the instant in the body and the
/// dispatch lie seconds.
pub const SAME_MOMENT: Duration = Duration::from_secs(120);

/// Instants in bodies are whole seconds.
const SAME_SECOND: Duration = Duration::from_secs(1);

/// What a notification may be about: where both accounts say it, they must agree.
const SUBJECT: [&str; 21] = [
    "attack_vector",
    "event_type",
    "health_check_id",
    "hijack_as",
    "id",
    "incident_id",
    "incident_status",
    "maintenance_id",
    "new_health_status",
    "new_status",
    "origin_ip",
    "prefix",
    "prefix_hijacked",
    "rule_name",
    "scheduled_start",
    "start_time",
    "status",
    "target_hostname",
    "target_ip",
    "tunnel_id",
    "tunnel_name",
];

/// What tells one notification from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    alert_type: Option<String>,
    event: Option<String>,
    policy: Option<String>,
    correlation: Option<String>,
    attack: Option<String>,
    subject: BTreeMap<&'static str, String>,
    at: Timestamp,
    is_dated: bool,
}

/// What ties two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// Id and event: the same however often it is looked at.
    Id,
    /// The moment, with or without an id. One account stands for one notification only.
    Moment,
}

impl Identity {
    /// Of a body. `at` is when it was dispatched or received, and counts when the body does not say;
    /// `is_dated` tells whether an instant in the body is its own.
    pub fn of_body(body: &[u8], at: Timestamp, is_dated: bool) -> Option<Self> {
        match decode(body) {
            Decoded::Notification(notification) => Some(Self::of(&notification, at, is_dated)),
            Decoded::NotJson(_) => None,
        }
    }

    fn of(notification: &Notification, at: Timestamp, is_dated: bool) -> Self {
        let datum = |key: &str| notification.data.get(key).and_then(text);
        let id = |key: &str| datum(key).map(|text| normalise_id(&text));
        Self {
            alert_type: notification.alert_type.clone(),
            event: notification.event.as_ref().map(|event| match event {
                EventWord::Start => "START".to_owned(),
                EventWord::End => "END".to_owned(),
                EventWord::Other(word) => word.to_ascii_uppercase(),
            }),
            policy: notification.policy_id.clone(),
            correlation: notification
                .correlation_id
                .clone()
                .or_else(|| id("alert_correlation_id")),
            attack: id("attack_id"),
            subject: SUBJECT.iter().filter_map(|key| Some((*key, datum(key)?))).collect(),
            at: notification.sent_at.unwrap_or(at),
            is_dated: is_dated && notification.sent_at.is_some(),
        }
    }

    /// Its instant: the body's own, else when it was dispatched or received.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Type as Cloudflare writes it.
    pub fn alert_type(&self) -> Option<&str> {
        self.alert_type.as_deref()
    }

    /// What ties the two, and how far apart they are; none when they are different notifications.
    pub fn tie(&self, other: &Self) -> Option<(Tie, Duration)> {
        let ids = [
            (&self.alert_type, &other.alert_type),
            (&self.event, &other.event),
            (&self.policy, &other.policy),
            (&self.correlation, &other.correlation),
            (&self.attack, &other.attack),
        ];
        let contradicts = |(a, b): (&Option<String>, &Option<String>)| matches!((a, b), (Some(a), Some(b)) if a != b);
        let about_others = || {
            let mut both = self
                .subject
                .iter()
                .filter_map(|(key, a)| Some((a, other.subject.get(key)?)));
            both.any(|(a, b)| a != b)
        };
        if ids.into_iter().any(contradicts) || about_others() {
            return None;
        }
        let apart = since(self.at, other.at).max(since(other.at, self.at));
        let agree = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let by_id = agree(&self.correlation, &other.correlation) || agree(&self.attack, &other.attack);
        let once = |event: &Option<String>| matches!(event.as_deref(), Some("START" | "END"));
        if by_id && once(&self.event) && once(&other.event) {
            return (apart <= SAME_ATTACK_WITHIN).then_some((Tie::Id, apart));
        }
        let limit = if self.is_dated && other.is_dated {
            SAME_SECOND
        } else {
            SAME_MOMENT
        };
        let by_policy = agree(&self.policy, &other.policy) || agree(&self.alert_type, &other.alert_type);
        ((by_id || by_policy) && apart <= limit).then_some((Tie::Moment, apart))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TS: i64 = 1_774_576_800;

    fn identity(body: &Value) -> Identity {
        let at = Timestamp::from_second(TS).unwrap();
        Identity::of_body(body.to_string().as_bytes(), at, true).unwrap()
    }

    fn attack(event: &str, ts: i64) -> Value {
        json!({"alert_type": "advanced_ddos_attack_l4_alert", "alert_event": event, "ts": ts,
            "policy_id": "749b911e-a5d0-4344-a58e-45edd099b328", "alert_correlation_id": "c1",
            "data": {"attack_id": "A-1", "target_ip": "203.0.113.10"}})
    }

    fn without(mut body: Value, keys: &[&str]) -> Value {
        for key in keys {
            if body.as_object_mut().unwrap().remove(*key).is_none() {
                body["data"].as_object_mut().unwrap().remove(*key);
            }
        }
        body
    }

    fn tie(a: &Value, b: &Value) -> Option<Tie> {
        let (there, back) = (identity(a).tie(&identity(b)), identity(b).tie(&identity(a)));
        assert_eq!(there, back, "the same from both sides");
        there.map(|(tie, _)| tie)
    }

    const START: &str = "ALERT_STATE_EVENT_START";
    const END: &str = "ALERT_STATE_EVENT_END";

    #[test]
    fn ids_and_event_tie_within_the_hour_in_which_cloudflare_does_not_repeat() {
        let start = attack(START, TS);
        assert_eq!(tie(&start, &start), Some(Tie::Id));
        assert_eq!(
            tie(&start, &attack(START, TS + 1_700)),
            Some(Tie::Id),
            "a clock that is off"
        );
        assert_eq!(tie(&start, &attack(START, TS + 3_700)), None, "it began again");
        assert_eq!(tie(&start, &attack(END, TS)), None, "END is news");
        // The ids may be written in two ways, and one of them may be missing on one side.
        let mut plain = without(start.clone(), &["alert_correlation_id"]);
        plain["policy_id"] = json!("749b911ea5d04344a58e45edd099b328");
        plain["data"]["attack_id"] = json!("a1");
        assert_eq!(tie(&start, &plain), Some(Tie::Id));
    }

    #[test]
    fn what_contradicts_is_another_notification() {
        let start = attack(START, TS);
        for (pointer, value) in [
            ("/alert_type", "fbm_dosd_attack"),
            ("/policy_id", "00000000000000000000000000000000"),
            ("/alert_correlation_id", "c2"),
            ("/data/attack_id", "a2"),
            ("/data/target_ip", "203.0.113.11"),
        ] {
            let mut other = start.clone();
            *other.pointer_mut(pointer).unwrap() = json!(value);
            assert_eq!(tie(&start, &other), None, "{pointer}");
        }
    }

    #[test]
    fn without_ids_the_policy_and_the_moment_tie() {
        let bare = |ts: i64, status: &str| {
            json!({"alert_type": "magic_tunnel_health_check_event", "policy_id": "p", "ts": ts,
                "data": {"tunnel_id": "t", "new_status": status}})
        };
        assert_eq!(tie(&bare(TS, "DOWN"), &bare(TS, "DOWN")), Some(Tie::Moment));
        assert_eq!(tie(&bare(TS, "DOWN"), &bare(TS + 60, "DOWN")), None, "down once more");
        assert_eq!(tie(&bare(TS, "DOWN"), &bare(TS, "UP")), None);
        // An account without a time of its own is dated by its dispatch, seconds later.
        let at = Timestamp::from_second(TS + 20).unwrap();
        let undated = without(bare(TS, "DOWN"), &["ts"]);
        let undated = Identity::of_body(undated.to_string().as_bytes(), at, false).unwrap();
        assert_eq!(
            identity(&bare(TS, "DOWN")).tie(&undated),
            Some((Tie::Moment, Duration::from_secs(20)))
        );
        let strangers = json!({"ts": TS, "text": "An attack"});
        assert_eq!(tie(&strangers, &strangers), None, "nothing ties two texts");
    }

    #[test]
    fn an_event_that_is_not_told_needs_the_moment() {
        let untold = without(attack(START, TS), &["alert_event"]);
        assert_eq!(tie(&attack(START, TS), &untold), Some(Tie::Moment));
        assert_eq!(tie(&attack(END, TS + 600), &untold), None);
    }
}
