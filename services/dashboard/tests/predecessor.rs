//! Every route of the predecessor with its keys, against ours: a superset. What its rules and connector pages used is
//! listed apart; a route of those that is served moves up into the table.

use crate::support::Site;
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Path, where the object with the keys is, and the keys.
const ANSWERS: &[(&str, &str, &[&str])] = &[
    (
        "/api/network-flow",
        "/network_flow",
        &[
            "avg_bit_rate",
            "avg_packet_rate",
            "top_protocol",
            "top_protocol_bits",
            "top_source",
            "top_source_bits",
            "top_source_hostname",
            "top_router",
            "top_router_bits",
            "top_router_hostname",
            "top_destination",
            "top_destination_bits",
            "top_destination_hostname",
        ],
    ),
    ("/api/network-flow", "", &["success", "period", "timestamp"]),
    ("/api/mnm-rules", "", &["success", "total", "rules"]),
    ("/api/rules", "", &["success", "total", "rules"]),
    (
        "/api/ddos-rules",
        "",
        &["success", "ruleset_name", "total_rules", "last_updated", "rules"],
    ),
    ("/api/ddos-overrides", "", &["success", "overrides", "total"]),
    (
        "/api/connectors/tunnels",
        "",
        &["success", "tunnels", "gre_count", "ipsec_count", "total"],
    ),
    (
        "/api/connectors/interconnects",
        "",
        &["success", "interconnects", "total"],
    ),
    (
        "/api/connectors/health-summary",
        "",
        &["success", "overall_status", "total", "healthy", "degraded", "down"],
    ),
    (
        "/api/prefixes",
        "/prefixes/0",
        &[
            "cidr",
            "description",
            "advertised",
            "status",
            "advertised_modified_at",
            "on_demand_enabled",
            "under_attack",
            "calm_minutes",
            "time_to_withdraw",
            "dropped_packets",
            "dropped_mbps",
            "calm_last_updated",
        ],
    ),
    (
        "/api/attacks",
        "/attacks/0",
        &[
            "id",
            "event_type",
            "alert_type",
            "prefix",
            "attack_id",
            "attack_vector",
            "target_ip",
            "target_port",
            "protocol",
            "severity",
            "action_taken",
            "timestamp",
        ],
    ),
    (
        "/api/attacks/7",
        "/event",
        &[
            "id",
            "event_type",
            "alert_type",
            "attack_id",
            "policy_id",
            "policy_name",
            "prefix",
            "target_ip",
            "target_port",
            "protocol",
            "attack_vector",
            "packets_per_second",
            "megabits_per_second",
            "severity",
            "action_taken",
            "timestamp",
        ],
    ),
    (
        "/api/analytics",
        "/events/0",
        &[
            "id",
            "event_datetime",
            "attack_id",
            "attack_vector",
            "rule_name",
            "source_ip",
            "source_hostname",
            "source_country",
            "dest_ip",
            "dest_port",
            "protocol",
            "packets_dropped",
            "bits_dropped",
            "outcome",
            "timestamp",
        ],
    ),
    (
        "/api/analytics/1",
        "/event",
        &[
            "id",
            "attack_id",
            "event_datetime",
            "attack_vector",
            "rule_name",
            "rule_id",
            "source_ip",
            "source_port",
            "source_asn",
            "source_asn_name",
            "source_country",
            "destination_ip",
            "destination_port",
            "protocol",
            "tcp_flags",
            "colo_code",
            "colo_country",
            "colo_city",
            "verdict",
            "packets",
            "bits",
            "outcome",
            "mitigation_reason",
            "notified_at",
            "mbps",
            "kpps",
            "source_hostname",
            "rule_description",
        ],
    ),
    (
        "/api/analytics/detail/graphql_1",
        "/event",
        &["id", "source_ip", "destination_ip", "packets", "bits", "mbps", "kpps"],
    ),
    (
        "/api/analytics/detail/webhook_1",
        "/event",
        &[
            "id",
            "source",
            "event_datetime",
            "event_type",
            "alert_type",
            "attack_id",
            "attack_vector",
            "policy_id",
            "policy_name",
            "rule_name",
            "source_ip",
            "source_hostname",
            "source_country",
            "destination_ip",
            "destination_port",
            "protocol",
            "packets",
            "bits",
            "mbps",
            "kpps",
            "outcome",
            "severity",
            "action_taken",
            "notified_at",
        ],
    ),
    (
        "/api/analytics-summary",
        "/summary",
        &["total_events", "events_24h", "latest_event"],
    ),
    (
        "/api/stats",
        "/stats",
        &[
            "total_attacks",
            "total_analytics",
            "total_webhooks",
            "total_withdrawals",
            "attacks_24h",
            "analytics_24h",
        ],
    ),
    ("/api/stats", "", &["success", "stats", "timestamp"]),
    (
        "/api/services",
        "/services/0",
        &["name", "description", "status", "uptime"],
    ),
    (
        "/api/dashboard-prefs",
        "/prefs",
        &[
            "analytics_display_mode",
            "analytics_auto_collapse",
            "analytics_show_count",
            "my_prefixes_only",
        ],
    ),
    ("/health", "", &["status", "service", "timestamp"]),
];

/// Method, path, body, and the status and code of the answer to a viewer or operator.
fn changes() -> Vec<(Method, &'static str, Value, StatusCode)> {
    let reason = json!({"reason": "attack seen at the edge"});
    vec![
        (
            Method::POST,
            "/api/prefix/192.0.2.0%2F25/advertise",
            reason.clone(),
            StatusCode::ACCEPTED,
        ),
        (
            Method::POST,
            "/api/prefix/198.18.0.0/15/withdraw",
            json!({"reason": "not ours", "confirm": "198.18.0.0/15"}),
            StatusCode::NOT_FOUND,
        ),
        (
            Method::POST,
            "/api/prefix/203.0.113.0/24/withdraw",
            reason,
            StatusCode::BAD_REQUEST,
        ),
        (Method::POST, "/api/change-password", json!({}), StatusCode::BAD_REQUEST),
        (Method::POST, "/api/dashboard-prefs", json!({}), StatusCode::BAD_REQUEST),
        (
            Method::POST,
            "/api/dashboard-prefs",
            json!({"evil": {"a": 1}}),
            StatusCode::BAD_REQUEST,
        ),
        (
            Method::POST,
            "/api/dashboard-prefs",
            json!([1]),
            StatusCode::BAD_REQUEST,
        ),
        (
            Method::POST,
            "/api/dashboard-prefs",
            json!({"analytics_show_count": 5}),
            StatusCode::OK,
        ),
    ]
}

/// Of the predecessor's rules and connector pages, what is answered elsewhere: `/api/ddos-rules`, `/api/connectors/tunnels`.
const RULES_AND_CONNECTORS: &[&str] = &["/api/ddos-sensitivity", "/api/connectors/tunnel-health"];

#[tokio::test]
async fn every_answer_has_the_predecessors_keys() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    for (path, place, keys) in ANSWERS {
        let body = browser.json(path).await;
        let found = body
            .pointer(place)
            .unwrap_or_else(|| panic!("{path} has no {place}: {body}"));
        for key in *keys {
            assert!(found.get(key).is_some(), "{path}: no {key} in {found}");
        }
        if path.starts_with("/api/") {
            assert_eq!(body["success"], true, "{path}");
        }
    }
}

#[tokio::test]
async fn every_change_answers_with_a_status_that_says_what_came_of_it() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    for (method, path, body, status) in changes() {
        let request = browser
            .request(method, path)
            .header("x-csrf-token", &browser.csrf)
            .json(&body);
        let (found, told) = crate::support::told(request.send().await.unwrap()).await;
        assert_eq!(found, status, "{path}: {told}");
        assert_eq!(told["success"], found.is_success(), "{path}: {told}");
        if !found.is_success() {
            assert!(told["code"].is_string() && told["error"].is_string(), "{path}: {told}");
        }
    }
}

#[tokio::test]
async fn what_is_not_served_says_so_in_json() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    for path in RULES_AND_CONNECTORS {
        let (status, told) = browser.get(path).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found")),
            "{path} is served: move it up"
        );
    }
    for (path, code) in [
        ("/api/analytics?limit=-1", "invalid_limit"),
        ("/api/analytics?limit=abc", "invalid_limit"),
        ("/api/analytics?filter=some", "invalid_value"),
        ("/api/analytics?source=both", "invalid_value"),
        ("/api/analytics?before=17", "invalid_before"),
        ("/api/analytics/detail/other_1", "invalid_value"),
        ("/api/analytics/detail/webhook_x", "invalid_value"),
        ("/api/attacks?prefx=203.0.113.0/24", "unknown_parameter"),
        ("/api/attacks?since=yesterday", "invalid_since"),
    ] {
        let (status, told) = browser.get(path).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{path}"
        );
    }
    for path in ["/api/attacks/x", "/api/analytics/x"] {
        let (status, told) = browser.get(path).await;
        assert!(
            status.is_client_error() && told["code"].is_string(),
            "{path}: {status} {told}"
        );
    }
}

#[tokio::test]
async fn amounts_and_rates_are_not_mixed() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let body = browser.json("/api/analytics?limit=500").await;
    let events = body["events"].as_array().unwrap();
    for event in events {
        let has = |key: &str| !event[key].is_null();
        match event["source"].as_str().unwrap() {
            "graphql" => assert!(has("packets_dropped") && !has("packets_per_second"), "{event}"),
            "webhook" => assert!(
                !has("packets_dropped") && !has("outcome") && !has("source_ip"),
                "{event}"
            ),
            other => panic!("{other}"),
        }
    }
    let count = |source| events.iter().filter(|event| event["source"] == source).count();
    assert!(count("graphql") > 2);
    assert!(count("webhook") > 1);
    for (query, source) in [("source=graphql", "graphql"), ("source=webhooks", "webhook")] {
        let body = browser.json(&format!("/api/analytics?{query}")).await;
        let events = body["events"].as_array().unwrap();
        assert!(
            !events.is_empty() && events.iter().all(|event| event["source"] == source),
            "{query}"
        );
    }
    let own = browser
        .json("/api/analytics?filter=when_protected&source=webhooks")
        .await;
    assert!(
        own["events"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["prefix"].is_string())
    );
    let own = browser
        .json("/api/analytics?filter=when_protected&source=graphql")
        .await;
    let own = own["events"].as_array().unwrap();
    assert!(own.len() < count("graphql") && own.iter().all(|event| event["prefix"].is_string()));
}

#[tokio::test]
async fn both_sources_are_read_in_pages_without_gap_or_repetition() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let all = browser.json("/api/analytics?limit=500").await;
    let ids = |body: &Value| -> Vec<String> {
        let events = body["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (mut seen, mut path) = (Vec::new(), "/api/analytics?limit=2".to_owned());
    loop {
        let body = browser.json(&path).await;
        seen.extend(ids(&body));
        match body["next_before"].as_str() {
            Some(before) => path = format!("/api/analytics?limit=2&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen, ids(&all));
}

#[tokio::test]
async fn what_the_eye_wants_is_each_persons_and_announcements_are_an_admins() {
    let site = Site::seeded().await;
    let (ana, olga) = (
        site.member("ana", Role::Viewer).await,
        site.member("olga", Role::Operator).await,
    );
    let admin = site.member("root", Role::Admin).await;
    let wish = json!({"analytics_display_mode": "auto_collapse", "analytics_show_count": 50});
    let (status, body) = ana.post("/api/dashboard-prefs", &wish).await;
    assert_eq!(
        (status, &body["prefs"]["analytics_show_count"]),
        (StatusCode::OK, &json!(50))
    );
    assert_eq!(
        olga.json("/api/dashboard-prefs").await["prefs"]["analytics_show_count"],
        20
    );
    let only = json!({"my_prefixes_only": false});
    for person in [&ana, &olga] {
        let (status, body) = person.post("/api/dashboard-prefs", &only).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::FORBIDDEN, &json!("role_too_small"))
        );
    }
    let (status, body) = admin.post("/api/dashboard-prefs", &only).await;
    assert_eq!(
        (status, &body["prefs"]["my_prefixes_only"]),
        (StatusCode::OK, &json!(false))
    );
    let stored: Option<bool> = site.read(|tx| db::preferences::get(tx, "my_prefixes_only")).await;
    assert_eq!(stored, Some(false), "what the monitor reads");
    let row = site.read(|tx| db::audit::newest(tx, 1)).await.remove(0);
    assert_eq!(
        (
            row.action.as_str(),
            row.actor.as_str(),
            row.before.as_deref(),
            row.after.as_deref()
        ),
        ("notifications.my_prefixes_only", "root", Some("true"), Some("false"))
    );
}
