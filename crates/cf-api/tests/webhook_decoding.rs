//! Notification bodies: every documented and observed shape, and anything else.

use cf_api::webhook::{Decoded, EventWord, Notification, decode, from_history, to_alert};
use domain::alert::{AdvertiseStatus, Alert, AlertKind, Phase};
use domain::prefix::Prefix;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn received() -> Timestamp {
    "2024-01-15T08:01:00Z".parse().unwrap()
}

fn read(body: &Value) -> Notification {
    match decode(body.to_string().as_bytes()) {
        Decoded::Notification(notification) => *notification,
        Decoded::NotJson(not_json) => panic!("{not_json:?}"),
    }
}

fn alert(body: &Value) -> Alert {
    to_alert(&decode(body.to_string().as_bytes()), received())
}

fn networks(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn l4() -> Value {
    json!({
        "name": "L4 policy", "text": "An attack\nwas detected", "ts": 1_705_305_623,
        "account_id": "000eaa907ed24e78946d3a93adb2ae57",
        "policy_id": "749b911e-a5d0-4344-a58e-45edd099b328", "policy_name": "L4 policy",
        "alert_type": "advanced_ddos_attack_l4_alert",
        "alert_correlation_id": "F47AC10B-58cc-4372-a567-0e02b2c3d479",
        "alert_event": "ALERT_STATE_EVENT_START",
        "data": {
            "account_name": "acme", "account_tag": "000eaa907ed24e78946d3a93adb2ae57",
            "action": "block", "attack_id": "D6B8FA7B-4a2e4b0f", "attack_vector": "UDP flood",
            "dashboard_link": "dash.cloudflare.com/?to=/:account/networks", "max_rate": "812.5 kpps",
            "megabits_per_second": 5120, "mitigation": "block", "packets_per_second": 700_000,
            "protocol": "UDP", "rule_description": "High volume UDP",
            "rule_id": "599dab0942ff4898ac1b7797e954e98b", "rule_name": "udp_generic",
            "ruleset_id": "3b64149bfa6e4220bbbc2bd6db589552", "ruleset_override_id": "",
            "start_time": "2024-01-15T08:00:00Z", "target_id": "", "target_ip": "192.0.2.10",
            "target_port": 53
        }
    })
}

#[test]
fn the_advanced_l4_alert_of_the_documentation() {
    let alert = alert(&l4());
    assert_eq!(alert.kind, AlertKind::AdvancedL4);
    assert_eq!(alert.phase, Phase::Start);
    assert_eq!(
        alert.correlation_id.as_deref(),
        Some("f47ac10b58cc4372a5670e02b2c3d479")
    );
    assert_eq!(alert.attack_id.as_deref(), Some("d6b8fa7b4a2e4b0f"));
    assert_eq!(alert.policy_id.as_deref(), Some("749b911ea5d04344a58e45edd099b328"));
    assert_eq!(alert.text.as_deref(), Some("An attack\nwas detected"));
    assert_eq!(alert.sent_at, "2024-01-15T08:00:23Z".parse().ok());
    assert_eq!(alert.started_at, "2024-01-15T08:00:00Z".parse().ok());
    assert_eq!(alert.targets, networks(&["192.0.2.10/32"]));
    assert_eq!(alert.target_port, Some(53));
    assert_eq!(alert.vector.as_deref(), Some("UDP flood"));
    assert_eq!(alert.action.as_deref(), Some("block"));
    assert_eq!(alert.packets_per_second, Some(700_000.0));
    assert_eq!(alert.bits_per_second, Some(5.12e9));
    assert_eq!(
        alert.link.as_deref(),
        Some("https://dash.cloudflare.com/?to=/:account/networks")
    );
    let details: Vec<&str> = alert.details.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(details, ["max_rate", "rule_description"]);
    assert_eq!(alert.problems, Vec::<String>::new());
    assert!(!alert.is_test);
}

#[test]
fn the_older_generation_with_texts_for_numbers() {
    let alert = alert(&json!({
        "alert_type": "dos_attack_l4", "alert_event": "ALERT_STATE_EVENT_END", "ts": "1705305623",
        "data": {
            "attack_id": "a1", "target_ip": "2001:db8::10", "target_port": "443",
            "max_rate": "800.00 pps", "megabits_per_second": "1", "severity": "high"
        }
    }));
    assert_eq!(alert.kind, AlertKind::L4);
    assert_eq!(alert.phase, Phase::End);
    assert_eq!(alert.targets, networks(&["2001:db8::10/128"]));
    assert_eq!(alert.target_port, Some(443));
    assert_eq!(alert.packets_per_second, Some(800.0));
    assert_eq!(alert.bits_per_second, Some(1e6));
    assert_eq!(alert.severity.as_deref(), Some("high"));
    assert_eq!(alert.sent_at, "2024-01-15T08:00:23Z".parse().ok());
    assert!(alert.problems.is_empty(), "{:?}", alert.problems);
}

#[test]
fn http_attacks_in_both_generations() {
    let observed = alert(&json!({
        "alert_type": "dos_attack_l7",
        "data": {
            "attack_type": "HTTP flood", "max_rate": "800.00 rps", "requests_per_second": "800",
            "start_time": "1970-01-01 00:00:00 +0000 UTC", "target_hostname": "www.example.com",
            "mitigation": "managed-challenge", "action": "challenge"
        }
    }));
    assert_eq!(observed.kind, AlertKind::L7);
    assert_eq!(observed.requests_per_second, Some(800.0));
    assert_eq!(observed.started_at, None);
    assert_eq!(observed.hostname.as_deref(), Some("www.example.com"));
    assert_eq!(observed.vector.as_deref(), Some("HTTP flood"));
    assert_eq!(observed.action.as_deref(), Some("challenge, managed-challenge"));
    assert!(observed.problems.is_empty(), "{:?}", observed.problems);

    let official = alert(&json!({
        "alert_type": "advanced_ddos_attack_l7_alert",
        "data": {"requests_per_second": 91_000, "zone_name": "example.com"}
    }));
    assert_eq!(official.kind, AlertKind::AdvancedL7);
    assert_eq!(official.requests_per_second, Some(91_000.0));
}

#[test]
fn a_volumetric_alert_names_its_rule_and_no_target() {
    let alert = alert(&json!({
        "alert_type": "fbm_volumetric_attack", "alert_event": "ALERT_STATE_EVENT_START",
        "data": {
            "rule_name": "net-192.0.2.0_24", "rule_threshold": "10000", "rule_duration": "5m",
            "packets_per_second": "20000", "packets_per_second_string": "20,000 pps",
            "bits_per_second": "6.4Gb/s", "megabits_per_second": "6400", "auto_advertised": true
        }
    }));
    assert_eq!(alert.kind, AlertKind::MonitoringVolumetric);
    assert!(alert.targets.is_empty());
    assert_eq!(alert.rule_name.as_deref(), Some("net-192.0.2.0_24"));
    assert_eq!(alert.packets_per_second, Some(20_000.0));
    assert_eq!(alert.bits_per_second, Some(6.4e9));
    assert!(alert.details.contains(&("auto_advertised".into(), "true".into())));
    assert!(alert.problems.is_empty(), "{:?}", alert.problems);
}

#[test]
fn every_auto_advertisement_outcome_is_kept() {
    let alert = alert(&json!({
        "alert_type": "fbm_auto_advertisement",
        "data": {
            "rule_name": "r", "attack_type": "UDP", "start_time": "2024-01-15T08:00:00Z",
            "advertise_status": [
                {"prefix": "192.0.2.0/24", "status": "Advertised"},
                {"prefix": "198.51.100.0/24", "status": "COULD_NOT_ADVERTISE"},
                {"prefix": "garbled", "status": "Locked"},
                {"prefix": "203.0.113.0/24"}
            ]
        }
    }));
    let outcomes: Vec<_> = alert
        .advertise
        .iter()
        .map(|result| (result.written.as_str(), result.prefix.is_some(), result.status.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("192.0.2.0/24", true, AdvertiseStatus::Advertised),
            ("198.51.100.0/24", true, AdvertiseStatus::CouldNot),
            ("garbled", false, AdvertiseStatus::Locked),
            // Nothing is inferred healthy.
            ("203.0.113.0/24", true, AdvertiseStatus::Other(String::new())),
        ]
    );
    assert_eq!(alert.problems.len(), 1, "{:?}", alert.problems);
}

#[test]
fn kinds_without_events_say_their_phase_in_their_data() {
    let phase = |kind: &str, data: Value| alert(&json!({"alert_type": kind, "data": data})).phase;
    let tunnel = "magic_tunnel_health_check_event";
    assert_eq!(
        phase(tunnel, json!({"new_status": "MAGIC_TUNNEL_STATUS_DOWN"})),
        Phase::Start
    );
    assert_eq!(
        phase(tunnel, json!({"new_status": "MAGIC_TUNNEL_STATUS_UP"})),
        Phase::End
    );
    assert_eq!(
        phase(tunnel, json!({"new_status": "MAGIC_TUNNEL_STATUS_DEGRADED"})),
        Phase::Start
    );
    assert_eq!(phase(tunnel, json!({})), Phase::Start);
    let check = "health_check_status_notification";
    assert_eq!(phase(check, json!({"status": "Healthy"})), Phase::End);
    assert_eq!(phase(check, json!({"new_health_status": "Unhealthy"})), Phase::Start);
    let incident = "incident_alert";
    assert_eq!(
        phase(incident, json!({"incident_status": "INCIDENT_STATUS_RESOLVED"})),
        Phase::End
    );
    assert_eq!(
        phase(incident, json!({"incident_status": "INCIDENT_STATUS_MONITORING"})),
        Phase::Update
    );
    assert_eq!(phase("radar_notification", json!({"status": "resolved"})), Phase::Start);

    let event = |word: &str| alert(&json!({"alert_type": "dos_attack_l4", "alert_event": word, "data": {}})).phase;
    assert_eq!(event("ALERT_STATE_EVENT_END"), Phase::End);
    assert_eq!(event("ALERT_STATE_EVENT_UPDATE"), Phase::Update);
    // An unclear word ends nothing.
    assert_eq!(event("ALERT_STATE_EVENT_ENDING_SOON"), Phase::Start);
    assert_eq!(event("LEGEND"), Phase::Start);
}

#[test]
fn other_kinds_keep_what_they_bring() {
    let hijack = alert(&json!({
        "alert_type": "bgp_hijack_notification",
        "data": {
            "ASNs_seen": ["64500", "64501"], "hijack_as": "64501",
            "prefix_configured": "192.0.2.0/24", "prefix_hijacked": "192.0.2.128/25",
            "alert_priority_level": "P1", "alert_start_time": "2024-01-15T08:00:00Z"
        }
    }));
    assert_eq!(hijack.kind, AlertKind::BgpHijack);
    assert_eq!(hijack.targets, networks(&["192.0.2.128/25", "192.0.2.0/24"]));
    assert!(hijack.details.contains(&("ASNs_seen".into(), "64500, 64501".into())));

    let incident = alert(&json!({
        "alert_type": "incident_alert",
        "data": {"affected_components": [{"id": "1", "name": "Magic Transit"}], "incident_id": "i"}
    }));
    assert!(
        incident
            .details
            .contains(&("affected_components".into(), "Magic Transit".into()))
    );

    let unknown = alert(&json!({
        "alert_type": "brand_new_alert", "text": "Something", "data": {"what": {"ever": 1}},
        "alert_priority": 7
    }));
    assert_eq!(unknown.kind, AlertKind::Other("brand_new_alert".into()));
    assert!(unknown.details.contains(&("what".into(), "{\"ever\":1}".into())));
    assert!(unknown.details.contains(&("alert_priority".into(), "7".into())));
}

#[test]
fn the_verification_message_is_recognised_and_nothing_else_is() {
    let text = "Hello World! This is a test message sent from https://cloudflare.com. If you can \
                see this, your webhook is configured properly.";
    assert_eq!(alert(&json!({ "text": text })).kind, AlertKind::Verification);
    for body in [
        json!({"text": "prefix withdrawn"}),
        json!({"text": text, "data": {"target_ip": "192.0.2.1"}}),
        json!({"text": text, "ts": 1}),
        json!({}),
        json!([]),
        json!("test"),
        json!(null),
    ] {
        assert_eq!(alert(&body).kind, AlertKind::Other("untyped".into()), "{body}");
    }
    let typed = alert(&json!({"text": text, "alert_type": "dos_attack_l4"}));
    assert_eq!(typed.kind, AlertKind::L4);
}

#[test]
fn our_own_self_test_is_marked() {
    let mut body = l4();
    body["cloudflare_mt_test"] = json!(true);
    assert!(alert(&body).is_test);
    body["cloudflare_mt_test"] = json!("yes");
    assert!(!alert(&body).is_test);
}

#[test]
fn wrong_types_are_problems_not_losses() {
    let alert = alert(&json!({
        "alert_type": "dos_attack_l4", "ts": "yesterday", "policy_name": ["a", "b"],
        "data": [{
            "target_ip": "not an address", "target_port": "http", "packets_per_second": {"n": 1},
            "start_time": "just now", "dashboard_link": "https://evil.example/",
            "advertise_status": "Advertised"
        }]
    }));
    assert_eq!(alert.kind, AlertKind::L4);
    assert_eq!(alert.policy_name.as_deref(), Some("a, b"));
    assert_eq!(alert.problems.len(), 9, "{:#?}", alert.problems);
    // All of it is still there to be shown.
    for key in [
        "target_ip",
        "target_port",
        "packets_per_second",
        "start_time",
        "dashboard_link",
        "advertise_status",
    ] {
        assert!(alert.details.iter().any(|(name, _)| name == key), "{key}");
    }
    assert_eq!(alert.link, None);
}

#[test]
fn a_rate_beyond_all_numbers_is_a_problem_and_not_infinite() {
    let alert = alert(&json!({"alert_type": "dos_attack_l4", "data": {"megabits_per_second": "1e308"}}));
    assert_eq!(alert.bits_per_second, None);
    assert_eq!(alert.problems, ["megabits_per_second is no rate"]);
}

#[test]
fn data_as_null_text_or_list() {
    for data in [json!(null), json!(""), json!([]), json!({})] {
        let read = read(&json!({"alert_type": "dos_attack_l4", "data": data}));
        assert!(read.data.is_empty() && read.problems.is_empty(), "{read:?}");
    }
    let inside = json!({"target_ip": "192.0.2.1"}).to_string();
    let alert = alert(&json!({"alert_type": "dos_attack_l4", "data": inside}));
    assert_eq!(alert.targets, networks(&["192.0.2.1/32"]));
}

#[test]
fn bodies_that_are_not_json() {
    for body in ["", "hello", "{\"a\":", "<html>", "{} trailing"] {
        let alert = to_alert(&decode(body.as_bytes()), received());
        assert_eq!(alert.kind, AlertKind::Other("unreadable".into()), "{body}");
        assert_eq!(alert.problems.len(), 1);
    }
    // Nesting beyond any real body must not exhaust the stack.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let bomb = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        assert!(matches!(decode(bomb.as_bytes()), Decoded::NotJson(_)));
    }
    // A broken byte costs the byte, not the alert.
    let mut body = l4().to_string().into_bytes();
    let at = body.windows(4).position(|four| four == b"acme").unwrap();
    body[at] = 0xFF;
    let alert = to_alert(&decode(&body), received());
    assert_eq!(alert.kind, AlertKind::AdvancedL4);
    assert_eq!(alert.problems, ["body is not UTF-8"]);
    // A byte order mark is no reason to complain.
    let marked = [b"\xEF\xBB\xBF".as_slice(), l4().to_string().as_bytes()].concat();
    assert!(matches!(decode(&marked), Decoded::Notification(_)));
}

#[test]
fn history_items_read_like_deliveries() {
    let item = |body: Value, body_text: Option<String>| cf_api::rest::history::HistoryItem {
        id: "h1".into(),
        sent_at: received(),
        alert_type: Some("fbm_volumetric_attack".into()),
        name: Some("policy".into()),
        description: None,
        policy_id: Some("749b911e-a5d0-4344-a58e-45edd099b328".into()),
        mechanism_type: Some("webhook".into()),
        mechanism: None,
        body,
        body_text,
    };
    for body in [
        json!({"data": {"rule_name": "r"}, "metadata": {"x": 1}}),
        json!({"rule_name": "r"}),
    ] {
        let (bytes, dated) = from_history(&item(body, None));
        assert!(!dated, "the time of dispatch stands in");
        let alert = to_alert(&decode(&bytes), received());
        assert_eq!(alert.kind, AlertKind::MonitoringVolumetric);
        assert_eq!(alert.rule_name.as_deref(), Some("r"));
        assert_eq!(alert.sent_at.unwrap().as_second(), received().as_second());
        assert_eq!(alert.policy_id.as_deref(), Some("749b911ea5d04344a58e45edd099b328"));
        assert_eq!(alert.policy_name.as_deref(), Some("policy"));
    }
    for body in [json!("An attack"), Value::Null, json!([1]), json!({"data": null})] {
        let text = body.as_str().map(str::to_owned);
        let (bytes, _) = from_history(&item(body, text.clone()));
        let Decoded::Notification(read) = decode(&bytes) else {
            panic!("it is JSON");
        };
        assert_eq!(read.alert_type.as_deref(), Some("fbm_volumetric_attack"));
        assert!(text.is_none() || read.text == text, "{:?}", read.text);
    }
    let (bytes, dated) = from_history(&item(l4(), None));
    assert!(dated);
    let Decoded::Notification(full) = decode(&bytes) else {
        panic!("it is JSON");
    };
    assert_eq!(full.event, Some(EventWord::Start));
    assert_eq!(full.alert_type.as_deref(), Some("advanced_ddos_attack_l4_alert"));
    assert_eq!(
        full.policy_name.as_deref(),
        Some("L4 policy"),
        "the body's own words come first"
    );
    // A whole body stays as it was sent, to the byte: its hash is then the delivery's.
    let odd = format!(" {} ", l4());
    assert_eq!(from_history(&item(l4(), Some(odd.clone()))), (odd.into_bytes(), true));
}

/// Arbitrary JSON, biased towards the keys that are read.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[0-9.,]{0,8} ?[kMGT]?(pps|bps|Gb/s|rps)?".prop_map(Value::from),
        "[0-9a-f:.]{1,20}(/[0-9]{1,3})?".prop_map(Value::from),
        "[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}[T ][0-9:.]{1,12}(Z| \\+0000 UTC)?".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            "(data|ts|text|alert_type|alert_event|policy_id|name)",
            "(target_ip|target_port|max_rate|packets_per_second|bits_per_second|start_time)",
            "(advertise_status|prefix|status|dashboard_link|new_status|attack_id|action)",
            ".{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What must hold whatever came in.
fn is_sane(alert: &Alert) -> Result<(), TestCaseError> {
    for rate in [
        alert.packets_per_second,
        alert.bits_per_second,
        alert.requests_per_second,
    ]
    .into_iter()
    .flatten()
    {
        prop_assert!(rate.is_finite() && rate >= 0.0);
    }
    prop_assert!(alert.details.len() <= 60 && alert.problems.len() <= 20);
    prop_assert!(alert.details.iter().all(|(_, text)| text.chars().count() <= 501));
    prop_assert!(alert.at() <= alert.received_at);
    // It can be stored and read back.
    let stored = serde_json::to_string(alert).unwrap();
    let back: Alert = serde_json::from_str(&stored).unwrap();
    prop_assert_eq!(&back.kind, &alert.kind);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_decoded(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        is_sane(&to_alert(&decode(&bytes), received()))?;
    }

    #[test]
    fn any_json_is_decoded(body in json_value()) {
        is_sane(&alert(&body))?;
    }

    #[test]
    fn any_data_of_any_kind_is_decoded(
        data in json_value(),
        kind in prop::sample::select(vec![
            "advanced_ddos_attack_l4_alert", "dos_attack_l7", "fbm_auto_advertisement",
            "magic_tunnel_health_check_event", "incident_alert", "health_check_status_notification",
        ]),
        event in ".{0,12}",
    ) {
        let alert = alert(&json!({"alert_type": kind, "alert_event": event, "data": data}));
        prop_assert_eq!(alert.kind.name(), kind);
        is_sane(&alert)?;
    }

    #[test]
    fn mutated_valid_bodies_are_decoded(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        do_cut in any::<bool>(),
    ) {
        let mut body = l4().to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if do_cut {
            body.truncate(cut.index(body.len()));
        }
        is_sane(&to_alert(&decode(&body), received()))?;
    }
}

#[test]
fn an_instant_before_anything_could_be_sent_is_none() {
    let received: jiff::Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
    for (ts, wanted) in [
        (1_i64, received),
        (1_500_000_000, received),
        (1_763_000_000, "2025-11-13T02:13:20Z".parse().unwrap()),
    ] {
        let body = format!(r#"{{"alert_type":"dos_attack_l4","ts":{ts},"data":{{}}}}"#);
        let alert = cf_api::webhook::to_alert(&cf_api::webhook::decode(body.as_bytes()), received);
        assert_eq!(alert.at(), wanted, "{ts}");
    }
}
