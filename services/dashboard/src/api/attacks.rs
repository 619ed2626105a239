//! `GET /api/attacks` and `/api/attacks/{id}`: the operator's log.

use axum::Json;
use axum::extract::{Path, State};
use db::events::{self, Event};
use domain::ids::EventId;
use serde_json::{Map, Value, json};

use super::paging::Paging;
use super::{Answer, list};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::log::number;

/// Keys that the predecessor lifted out of a delivery's `data`.
const FROM_DATA: [&str; 9] = [
    "account_name",
    "rule_name",
    "rule_id",
    "rule_description",
    "ruleset_id",
    "mitigation",
    "max_rate",
    "start_time",
    "action",
];

pub(crate) async fn list_all(State(app): State<App>, _member: Member, paging: Paging<50>) -> Answer {
    let (before, limit) = (paging.before.map(EventId), paging.limit);
    let events = app
        .db()
        .read("attacks", move |tx| events::newest(tx, before, limit))
        .await?;
    let next = paging.next(events.last().map(|event| event.id), events.len());
    Ok(list("attacks", events.iter().map(row).collect(), next))
}

pub(crate) async fn one(State(app): State<App>, _member: Member, Path(id): Path<i64>) -> Answer {
    let event = app.db().read("attack", move |tx| events::get(tx, EventId(id))).await?;
    let event = event.ok_or_else(|| Failure::not_found("There is no such event."))?;
    let mut body = row(&event);
    let payload = event
        .raw_payload
        .as_deref()
        .map(|raw| serde_json::from_str::<Value>(raw).unwrap_or_else(|_| json!(raw)));
    if let (Value::Object(body), Some(payload)) = (&mut body, payload) {
        body.extend(lifted(&payload));
        body.insert("raw_payload".to_owned(), payload);
    }
    Ok(Json(json!({"success": true, "event": body})))
}

pub(crate) fn row(event: &Event) -> Value {
    let megabits = number(event.megabits_per_second.as_deref());
    json!({
        "id": event.id,
        "event_type": event.event_type,
        "alert_type": event.alert_type,
        "attack_id": event.attack_id,
        "policy_id": event.policy_id,
        "policy_name": event.policy_name,
        "prefix": event.prefix,
        "target_ip": event.target_ip,
        "target_port": event.target_port,
        "protocol": event.protocol,
        "attack_vector": event.attack_vector,
        "packets_per_second": number(event.packets_per_second.as_deref()),
        "megabits_per_second": megabits,
        "severity": event.severity,
        "action_taken": event.action_taken,
        "timestamp": event.created_at,
        "event_time": event.event_time,
        "incident_id": event.incident_id,
        "actor": event.actor,
        "is_test": event.is_test,
    })
}

/// What the predecessor showed of a delivery, as far as it is there.
fn lifted(payload: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    if let Some(data) = payload.get("data").and_then(Value::as_object) {
        for key in FROM_DATA {
            found.extend(data.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        let link = data
            .get("dashboard_link")
            .and_then(Value::as_str)
            .and_then(cloudflare_link);
        found.extend(link.map(|link| ("dashboard_link".to_owned(), json!(link))));
    }
    found.extend(payload.get("text").map(|text| ("text".to_owned(), text.clone())));
    found
}

/// A link that a page may offer: https, to Cloudflare itself.
fn cloudflare_link(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
    let host = url.host_str()?;
    (host == "cloudflare.com" || host.ends_with(".cloudflare.com")).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_cloudflare_are_passed_on() {
        assert!(cloudflare_link("https://dash.cloudflare.com/abc/network-analytics").is_some());
        for bad in [
            "javascript:alert(1)",
            "http://dash.cloudflare.com/",
            "https://cloudflare.com.evil.example/",
            "https://evil.example/?dash.cloudflare.com",
            "dash.cloudflare.com",
        ] {
            assert_eq!(cloudflare_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_payload_without_data_hurts_nobody() {
        assert!(lifted(&json!({"data": null})).is_empty());
        assert!(lifted(&json!("text")).is_empty());
        assert_eq!(lifted(&json!({"text": "t", "data": {"rule_id": 7}})).len(), 2);
    }
}
