//! Notifications: destinations with their test message, policies that decide where alerts go, silences.

use cf_sim::{Outcome, Permissions, SimConfig};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::Desk;

const BASE: &str = "/alerting/v3";

/// A receiver that answers everything with one status, and tells what arrived (head and body).
async fn receiver(status: &'static str) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, arrived) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut all = Vec::new();
            let mut part = [0_u8; 4096];
            loop {
                let read = stream.read(&mut part).await.unwrap_or(0);
                all.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&all).into_owned();
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|l| {
                        l.to_ascii_lowercase()
                            .strip_prefix("content-length: ")
                            .map(str::to_owned)
                    });
                    length.is_none_or(|l| body.len() >= l.parse::<usize>().unwrap())
                });
                if whole || read == 0 {
                    let _ = told.send(text);
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, arrived)
}

fn code(answer: &crate::Answer) -> (u16, u64) {
    (answer.status, answer.body["errors"][0]["code"].as_u64().unwrap())
}

#[tokio::test]
async fn a_destination_is_made_only_when_its_receiver_takes_the_test_message() {
    let desk = Desk::new().await;
    let (good, mut arrived) = receiver("200 OK").await;
    let (bad, _) = receiver("400 Bad Request").await;
    let path = format!("{BASE}/destinations/webhooks");
    let body = |url: &str| json!({"name": "Second", "url": url, "secret": "hush"});
    let refused = desk.rest("POST", &path, Some(body(&bad))).await;
    assert_eq!(code(&refused), (400, 0));
    assert_eq!(
        refused.body["errors"][0]["message"],
        "Webhook test failed with status code 400 400 Bad Request"
    );
    assert_eq!(desk.rest("GET", &path, None).await.body["result"], json!([]));
    let made = desk.rest("POST", &path, Some(body(&good))).await;
    assert_eq!(made.status, 201);
    let test = arrived.recv().await.unwrap();
    assert!(test.to_ascii_lowercase().contains("cf-webhook-auth: hush"));
    let sent: Value = serde_json::from_str(test.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(sent.as_object().unwrap().keys().collect::<Vec<_>>(), ["text"]);
    let id = made.body["result"]["id"].as_str().unwrap().to_owned();
    let one = format!("{path}/{id}");
    let read = desk.rest("GET", &one, None).await;
    assert_eq!(
        (&read.body["result"]["type"], read.body["result"].get("secret")),
        (&json!("generic"), None)
    );
    // A change is tested as well, and keeps the secret that it does not name.
    let renamed = json!({"name": "Renamed", "url": good});
    assert_eq!(
        desk.rest("PUT", &one, Some(renamed)).await.body["result"]["id"],
        json!(id)
    );
    assert!(
        arrived
            .recv()
            .await
            .unwrap()
            .to_ascii_lowercase()
            .contains("cf-webhook-auth: hush")
    );
    assert_eq!(desk.rest("PUT", &one, Some(body(&bad))).await.status, 400);
    assert_eq!(desk.rest("GET", &one, None).await.body["result"]["name"], "Renamed");
    assert_eq!(desk.rest("DELETE", &one, None).await.body["result"], json!({}));
    assert_eq!(code(&desk.rest("GET", &one, None).await), (404, 0));
    assert_eq!(
        code(&desk.rest("GET", &format!("{path}/nonsense"), None).await),
        (400, 0)
    );
}

#[tokio::test]
async fn policies_decide_where_alerts_go() {
    let desk = Desk::new().await;
    let (first, mut at_first) = receiver("200 OK").await;
    let (second, mut at_second) = receiver("200 OK").await;
    desk.sim.set_webhook_target(&first, None);
    let destination = json!({"name": "Second", "url": second});
    let made = desk
        .rest("POST", &format!("{BASE}/destinations/webhooks"), Some(destination))
        .await;
    let webhook = made.body["result"]["id"].clone();
    at_second.recv().await.unwrap();
    let policies = format!("{BASE}/policies");
    let policy = json!({"name": "L4 to the second", "alert_type": "advanced_ddos_attack_l4_alert", "enabled": true,
        "mechanisms": {"webhooks": [{"id": webhook}], "email": [{"id": "noc@example.net"}]},
        "filters": {"packets_per_second": ["12000"]}});
    let made = desk.rest("POST", &policies, Some(policy.clone())).await;
    let own = format!("{policies}/{}", made.body["result"]["id"].as_str().unwrap());
    let alert = desk.sim.alert("l4_start", None, None).unwrap();
    assert!(desk.sim.send_webhook(&alert).await.delivered());
    assert!(at_first.recv().await.unwrap().contains("advanced_ddos_attack_l4_alert"));
    assert!(
        at_second
            .recv()
            .await
            .unwrap()
            .contains("advanced_ddos_attack_l4_alert")
    );
    // Both are disabled: nobody is told, and the history says nothing was dispatched.
    let before = desk.rest("GET", &format!("{BASE}/history"), None).await.body["result_info"]["total_count"].clone();
    let all = desk.rest("GET", &policies, None).await;
    let first_policy = all.body["result"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["alert_type"] == "advanced_ddos_attack_l4_alert")
        .unwrap()
        .clone();
    for id in [first_policy["id"].as_str().unwrap(), own.rsplit('/').next().unwrap()] {
        let off = desk
            .rest("PUT", &format!("{policies}/{id}"), Some(json!({"enabled": false})))
            .await;
        assert_eq!(off.status, 200);
    }
    assert_eq!(desk.sim.send_webhook(&alert).await.outcome, Outcome::NoTarget);
    let after = desk.rest("GET", &format!("{BASE}/history"), None).await;
    assert_eq!(after.body["result_info"]["total_count"], before);
    // On again, but silenced for an hour.
    desk.rest("PUT", &own, Some(json!({"enabled": true}))).await;
    let id = own.rsplit('/').next().unwrap();
    let now = Timestamp::now();
    let span = json!([{"policy_id": id, "start_time": (now - SignedDuration::from_secs(60)).to_string(),
        "end_time": (now + SignedDuration::from_secs(3600)).to_string()}]);
    assert_eq!(
        desk.rest("POST", &format!("{BASE}/silences"), Some(span.clone()))
            .await
            .status,
        200
    );
    assert_eq!(
        code(&desk.rest("POST", &format!("{BASE}/silences"), Some(span)).await),
        (400, 15_000)
    );
    assert_eq!(desk.sim.send_webhook(&alert).await.outcome, Outcome::NoTarget);
    let silences = desk.rest("GET", &format!("{BASE}/silences"), None).await;
    let silence = silences.body["result"][0]["id"].as_str().unwrap().to_owned();
    let ended = json!([{"id": silence, "end_time": now.to_string()}]);
    assert_eq!(
        desk.rest("PUT", &format!("{BASE}/silences"), Some(ended)).await.body["result"][0]["id"],
        json!(silence)
    );
    assert!(desk.sim.send_webhook(&alert).await.delivered());
    assert!(at_second.recv().await.unwrap().contains("ALERT_STATE_EVENT_START"));
    assert_eq!(
        desk.rest("DELETE", &format!("{BASE}/silences/{silence}"), None)
            .await
            .status,
        200
    );
    // Deleting the destination takes it out of the policy.
    let path = format!("{BASE}/destinations/webhooks/{}", webhook.as_str().unwrap());
    assert_eq!(desk.rest("DELETE", &path, None).await.status, 200);
    assert_eq!(
        desk.rest("GET", &own, None).await.body["result"]["mechanisms"]["webhooks"],
        json!([])
    );
    assert_eq!(desk.rest("DELETE", &own, None).await.status, 200);
    assert_eq!(code(&desk.rest("DELETE", &own, None).await), (404, 0));
    // A type without any policy still reaches the receiver, so that every alert can be tried.
    let other = desk.sim.alert("incident", None, None).unwrap();
    assert!(desk.sim.send_webhook(&other).await.delivered());
}

#[tokio::test]
async fn policies_are_checked() {
    let desk = Desk::new().await;
    let good = json!({"name": "p", "alert_type": "incident_alert", "enabled": true, "mechanisms": {"email": [{"id": "noc@example.net"}]}});
    for (field, value, wanted) in [
        ("alert_type", json!("no_such_alert"), (400, 17_004)),
        ("mechanisms", json!({}), (400, 17_102)),
        ("mechanisms", json!({"email": []}), (400, 17_102)),
        ("mechanisms", json!({"webhooks": [{"id": "0".repeat(32)}]}), (404, 0)),
        ("alert_type", json!("http_alert_edge_error"), (400, 17_103)),
        ("filters", json!({"colour": ["blue"]}), (400, 0)),
        ("filters", json!({"slo": [99.0]}), (400, 0)),
        ("enabled", json!("yes"), (400, 0)),
    ] {
        let mut given = good.clone();
        given[field] = value;
        let refused = desk.rest("POST", &format!("{BASE}/policies"), Some(given)).await;
        assert_eq!(code(&refused), wanted, "{field}");
    }
    let available = desk.rest("GET", &format!("{BASE}/available_alerts"), None).await;
    assert!(available.body["result"]["Magic Transit"][0]["filter_options"].is_array());
    let eligible = desk.rest("GET", &format!("{BASE}/destinations/eligible"), None).await;
    assert_eq!(eligible.body["result"]["webhook"][0]["eligible"], true);
    let reader = Desk::with(SimConfig {
        permissions: Permissions {
            notifications_write: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    })
    .await;
    assert_eq!(reader.rest("GET", &format!("{BASE}/policies"), None).await.status, 200);
    assert_eq!(
        code(&reader.rest("POST", &format!("{BASE}/policies"), Some(good)).await),
        (403, 10_000)
    );
}
