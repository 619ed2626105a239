//! The receiver in process: what it answers, and what is in the database afterwards.

use std::time::Duration;

use crate::support::{Receiver, SECRET};
use serde_json::{Value, json};

fn attack(event: &str, ts: i64) -> Value {
    json!({"name": "L4", "text": "attack", "ts": ts, "account_id": "c0ffee00c0ffee00c0ffee00c0ffee00",
        "policy_id": "749b911ea5d04344a58e45edd099b328", "policy_name": "L4",
        "alert_type": "advanced_ddos_attack_l4_alert", "alert_correlation_id": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "alert_event": event,
        "data": {"attack_id": "d6b8fa7b4a2e4b0f", "attack_vector": "UDP flood", "target_ip": "203.0.113.10", "target_port": 53,
            "protocol": "UDP", "packets_per_second": 812500, "megabits_per_second": 5120, "start_time": "2026-01-15T08:00:00Z"}})
}

const START: &str = "ALERT_STATE_EVENT_START";
const END: &str = "ALERT_STATE_EVENT_END";

#[tokio::test]
async fn an_attack_is_stored_with_event_incident_veto_and_notice() {
    let receiver = Receiver::start().await;
    assert_eq!(receiver.post_json(&attack(START, 1_768_464_000)).await, 200);
    let events = receiver.read(|tx| db::events::newest(tx, None, 10)).await;
    let event = &events[0];
    assert_eq!(
        (event.event_type.as_str(), event.prefix.as_deref()),
        ("START", Some("203.0.113.0/24"))
    );
    assert_eq!(event.packets_per_second.as_deref(), Some("812500"));
    assert_eq!(event.megabits_per_second.as_deref(), Some("5120.00"));
    let incidents = receiver.read(|tx| db::incidents::newest(tx, None, 10)).await;
    assert_eq!(
        (incidents[0].title.as_str(), incidents[0].ended_at),
        ("UDP flood", None)
    );
    let long_ago = jiff::Timestamp::UNIX_EPOCH;
    assert_eq!(receiver.read(move |tx| db::ledger::open(tx, long_ago)).await.len(), 1);

    assert_eq!(receiver.post_json(&attack(END, 1_768_464_600)).await, 200);
    assert!(receiver.read(move |tx| db::ledger::open(tx, long_ago)).await.is_empty());
    let incidents = receiver.read(|tx| db::incidents::newest(tx, None, 10)).await;
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].ended_at.is_some());
    assert_eq!(
        receiver.notices().await,
        [("alert".into(), "told".into()), ("alert".into(), "told".into())]
    );
    receiver.stop().await;
}

#[tokio::test]
async fn an_end_before_its_start_leaves_the_same_closed_incident() {
    let receiver = Receiver::start().await;
    receiver.post_json(&attack(END, 1_768_464_600)).await;
    receiver.post_json(&attack(START, 1_768_464_000)).await;
    let incidents = receiver.read(|tx| db::incidents::newest(tx, None, 10)).await;
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].ended_at.is_some() && incidents[0].began_at < incidents[0].ended_at.unwrap());
    let open = receiver
        .read(|tx| db::ledger::open(tx, jiff::Timestamp::UNIX_EPOCH))
        .await;
    assert!(open.is_empty(), "a START older than the END opens nothing");
    receiver.stop().await;
}

#[tokio::test]
async fn an_identical_body_is_processed_once() {
    let receiver = Receiver::start().await;
    let body = attack(START, 1_768_464_000).to_string();
    for duplicate in [false, true, true] {
        let (status, answer) = receiver.post(body.clone()).await;
        assert_eq!((status, answer["duplicate"].as_bool()), (200, Some(duplicate)));
    }
    assert_eq!(receiver.read(|tx| db::events::newest(tx, None, 10)).await.len(), 1);
    assert_eq!(receiver.read(db::deliveries::count).await, 1);
    assert_eq!(receiver.notices().await.len(), 1);
    receiver.stop().await;
}

#[tokio::test]
async fn auto_advertisement_has_a_row_per_prefix_and_failures_are_critical() {
    let receiver = Receiver::start().await;
    let body = json!({"ts": 1_768_464_000, "alert_type": "fbm_auto_advertisement", "data": {"rule_name": "net",
        "advertise_status": [{"prefix": "203.0.113.0/24", "status": "Advertised"}, {"prefix": "2001:db8:1::/48", "status": "Locked"}]}});
    assert_eq!(receiver.post_json(&body).await, 200);
    let mut events = receiver.read(|tx| db::events::newest(tx, None, 10)).await;
    events.reverse();
    let rows: Vec<(&str, Option<&str>)> = events
        .iter()
        .map(|event| (event.event_type.as_str(), event.prefix.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("ADVERTISE", Some("203.0.113.0/24")),
            ("ADVERTISE_FAILED", Some("2001:db8:1::/48"))
        ]
    );
    let notice = receiver.read(|tx| db::outbox::newest(tx, None, 1)).await;
    assert_eq!(notice[0].priority, domain::notice::Priority::Critical);
    receiver.stop().await;
}

#[tokio::test]
async fn who_may_not_post_is_turned_away_and_nothing_is_stored() {
    let receiver = Receiver::start().await;
    let url = format!("{}/webhook/cloudflare", receiver.url);
    let body = attack(START, 1).to_string();
    let post = |secret: Option<&'static str>| {
        let mut request = receiver.client.post(&url).body(body.clone());
        if let Some(secret) = secret {
            request = request.header("cf-webhook-auth", secret);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(None).await, 401);
    assert_eq!(post(Some("wrong")).await, 403);
    assert_eq!(
        post(Some("an-old-secret-still-valid")).await,
        200,
        "rotation: both secrets are valid"
    );
    let raw = receiver
        .client
        .post(&url)
        .header("cf-webhook-auth", &b"\xff\xfe"[..])
        .body("{}");
    assert_eq!(raw.send().await.unwrap().status().as_u16(), 403);
    assert_eq!(receiver.client.get(&url).send().await.unwrap().status().as_u16(), 405);
    assert_eq!(
        receiver
            .client
            .get(format!("{}/nope", receiver.url))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        404
    );
    assert_eq!(receiver.read(db::deliveries::count).await, 1);
    receiver.stop().await;
}

#[tokio::test]
async fn unreadable_and_oversized_bodies_are_kept_and_told() {
    let receiver = Receiver::start().await;
    assert_eq!(receiver.post("this is not JSON").await.0, 400);
    assert_eq!(receiver.post(vec![0xff, 0x00, 0x80]).await.0, 400);
    assert_eq!(receiver.post("").await.0, 400);
    let large = json!({"text": "x".repeat(30_000)}).to_string();
    assert_eq!(receiver.post(large).await.0, 413);
    assert_eq!(receiver.read(db::deliveries::count).await, 4);
    let told = receiver.notices().await;
    assert_eq!(told, vec![("unreadable_alert".to_owned(), "told".to_owned()); 4]);
    receiver.stop().await;
}

#[tokio::test]
async fn odd_bodies_are_stored_and_never_fail() {
    let receiver = Receiver::start().await;
    let odd = [
        json!({"alert_type": "never_heard_of", "text": "something", "data": {"a": [1, {"b": null}]}}),
        json!({"alert_type": "dos_attack_l4", "data": null}),
        json!({"alert_type": 7, "alert_event": {"x": 1}, "ts": "yesterday", "data": [1, 2]}),
        json!([1, 2, 3]),
        json!("text"),
        json!(null),
        json!({"alert_type": "bgp_hijack_notification", "data": {"prefix_hijacked": "N/A", "ASNs_seen": [64500, null]}}),
        json!({"alert_type": "magic_tunnel_health_check_event", "data": {"new_status": null, "previous_status": 3}}),
        json!({"alert_type": "fbm_auto_advertisement", "data": {"advertise_status": [null, 5, {"prefix": 3}, {"status": {}}]}}),
        json!({"alert_type": "fbm_dosd_attack", "ts": 99_999_999_999_999_i64, "data": {"target_ip": "300.1.2.3/99", "target_port": -1}}),
    ];
    for body in &odd {
        assert_eq!(receiver.post_json(body).await, 200, "{body}");
    }
    assert_eq!(receiver.read(db::deliveries::count).await, odd.len() as u64);
    assert_eq!(receiver.notices().await.len(), odd.len());
    receiver.stop().await;
}

#[tokio::test]
async fn the_test_of_a_destination_is_answered_and_disturbs_nobody() {
    let receiver = Receiver::start().await;
    let body = json!({"text": "Hello World! This is a test message sent from https://cloudflare.com."});
    assert_eq!(receiver.post_json(&body).await, 200);
    assert_eq!(receiver.notices().await, [("alert".into(), "suppressed".into())]);
    assert!(
        receiver
            .read(|tx| db::ledger::open(tx, jiff::Timestamp::UNIX_EPOCH))
            .await
            .is_empty()
    );
    let health: Value = receiver
        .client
        .get(format!("{}/mt-health", receiver.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(health["database_writable"], true);
    receiver.stop().await;
}

#[tokio::test]
async fn an_attack_that_names_nothing_of_ours_vetoes_everything() {
    let receiver = Receiver::start().await;
    let body = json!({"ts": 1_768_464_000, "alert_type": "fbm_volumetric_attack", "alert_event": START,
        "data": {"rule_name": "unknown-rule", "packets_per_second": "20000"}});
    assert_eq!(receiver.post_json(&body).await, 200);
    let open = receiver
        .read(|tx| db::ledger::open(tx, jiff::Timestamp::UNIX_EPOCH))
        .await;
    assert!(open[0].unresolved && open[0].concerns("203.0.113.0/24".parse().unwrap()));
    receiver.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_is_in_force_after_a_reload_and_a_broken_file_changes_nothing() {
    let receiver = Receiver::start().await;
    let path = receiver.dir.path().join("settings.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let post = |secret: &'static str| {
        let url = format!("{}/webhook/cloudflare", receiver.url);
        let request = receiver.client.post(url).header("cf-webhook-auth", secret).body("{}");
        async move { request.send().await.unwrap().status().as_u16() }
    };
    std::fs::write(&path, "{ broken").unwrap();
    receiver.frame.request_reload();
    for _ in 0..20 {
        assert_eq!(post(SECRET).await, 200);
    }
    config["cloudflare"]["webhook_secret"] = json!(["the-next-secret-0123456789", SECRET]);
    std::fs::write(&path, config.to_string()).unwrap();
    receiver.frame.request_reload();
    for attempt in 0.. {
        if post("the-next-secret-0123456789").await == 200 {
            break;
        }
        assert!(attempt < 500, "never in force");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(post(SECRET).await, 200);
    assert_eq!(
        post("an-old-secret-still-valid").await,
        403,
        "what was taken out is out"
    );
    receiver.stop().await;
}
