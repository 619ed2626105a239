//! All alert types, all filter keys, and what the API says is available.

use serde_json::{Value, json};

/// Every alert type.
pub(super) const ALL: [&str; 69] = [
    "abuse_report_alert",
    "access_custom_certificate_expiration_type",
    "advanced_ddos_attack_l4_alert",
    "advanced_ddos_attack_l7_alert",
    "advanced_http_alert_error",
    "bgp_hijack_notification",
    "billing_usage_alert",
    "block_notification_block_removed",
    "block_notification_new_block",
    "block_notification_review_rejected",
    "bot_traffic_basic_alert",
    "brand_protection_alert",
    "brand_protection_digest",
    "clickhouse_alert_fw_anomaly",
    "clickhouse_alert_fw_ent_anomaly",
    "cloudforce_one_request_notification",
    "cni_maintenance_notification",
    "custom_analytics",
    "custom_bot_detection_alert",
    "custom_ssl_certificate_event_type",
    "dedicated_ssl_certificate_event_type",
    "device_connectivity_anomaly_alert",
    "dos_attack_l4",
    "dos_attack_l7",
    "expiring_service_token_alert",
    "failing_logpush_job_disabled_alert",
    "fbm_auto_advertisement",
    "fbm_dosd_attack",
    "fbm_volumetric_attack",
    "health_check_status_notification",
    "hostname_aop_custom_certificate_expiration_type",
    "http_alert_edge_error",
    "http_alert_origin_error",
    "image_notification",
    "image_resizing_notification",
    "incident_alert",
    "load_balancing_health_alert",
    "load_balancing_pool_enablement_alert",
    "logo_match_alert",
    "magic_tunnel_health_check_event",
    "magic_wan_tunnel_health",
    "maintenance_event_notification",
    "mtls_certificate_store_certificate_expiration_type",
    "pages_event_alert",
    "radar_notification",
    "real_origin_monitoring",
    "scriptmonitor_alert_new_code_change_detections",
    "scriptmonitor_alert_new_hosts",
    "scriptmonitor_alert_new_malicious_hosts",
    "scriptmonitor_alert_new_malicious_scripts",
    "scriptmonitor_alert_new_malicious_url",
    "scriptmonitor_alert_new_max_length_resource_url",
    "scriptmonitor_alert_new_resources",
    "secondary_dns_all_primaries_failing",
    "secondary_dns_primaries_failing",
    "secondary_dns_warning",
    "secondary_dns_zone_successfully_updated",
    "secondary_dns_zone_validation_warning",
    "security_insights_alert",
    "sentinel_alert",
    "stream_live_notifications",
    "synthetic_test_latency_alert",
    "synthetic_test_low_availability_alert",
    "traffic_anomalies_alert",
    "tunnel_health_event",
    "tunnel_update_event",
    "universal_ssl_event_type",
    "web_analytics_metrics_update",
    "zone_aop_custom_certificate_expiration_type",
];

/// Every key of `filters`.
pub(super) const FILTERS: [&str; 44] = [
    "actions",
    "affected_asns",
    "affected_components",
    "affected_locations",
    "airport_code",
    "alert_trigger_preferences",
    "alert_trigger_preferences_value",
    "enabled",
    "environment",
    "event",
    "event_source",
    "event_type",
    "group_by",
    "health_check_id",
    "incident_impact",
    "input_id",
    "insight_class",
    "limit",
    "logo_tag",
    "megabits_per_second",
    "new_health",
    "new_status",
    "packets_per_second",
    "pool_id",
    "pop_names",
    "product",
    "project_id",
    "protocol",
    "query_tag",
    "requests_per_second",
    "selectors",
    "services",
    "slo",
    "status",
    "target_hostname",
    "target_ip",
    "target_zone_name",
    "token_id",
    "traffic_exclusions",
    "tunnel_id",
    "tunnel_name",
    "type",
    "where",
    "zones",
];

/// Types that make no sense without a filter, as far as this simulator is concerned; which ones is not documented.
pub(super) const NEED_FILTERS: [&str; 3] = [
    "http_alert_edge_error",
    "http_alert_origin_error",
    "load_balancing_health_alert",
];

/// What an account with Magic Transit is offered, by product.
pub(super) fn available() -> Value {
    let filter = |key: &str, operator: &str, values: &[&str]| {
        let values: Vec<Value> = values.iter().map(|v| json!({"ID": v, "Description": v})).collect();
        json!({"Key": key, "ComparisonOperator": operator, "Range": "1-n", "AvailableValues": if values.is_empty() { Value::Null } else { json!(values) }})
    };
    let alert = |kind: &str, name: &str, description: &str, filters: &[Value]| json!({"type": kind, "display_name": name, "description": description, "filter_options": filters});
    let rates = [
        filter("packets_per_second", ">=", &[]),
        filter("megabits_per_second", ">=", &[]),
        filter("target_ip", "==", &[]),
        filter("protocol", "==", &["TCP", "UDP", "ICMP"]),
    ];
    let tunnels = [
        filter("slo", "==", &["95.0", "96.0", "97.0", "98.0", "99.0", "99.5", "99.9"]),
        filter("tunnel_id", "==", &[]),
        filter("tunnel_name", "==", &[]),
        filter("pop_names", "==", &[]),
        filter(
            "new_status",
            "==",
            &["MAGIC_TUNNEL_STATUS_UP", "MAGIC_TUNNEL_STATUS_DOWN"],
        ),
    ];
    let impact = [
        "INCIDENT_IMPACT_NONE",
        "INCIDENT_IMPACT_MINOR",
        "INCIDENT_IMPACT_MAJOR",
        "INCIDENT_IMPACT_CRITICAL",
    ];
    json!({
        "DDoS Protection": [
            alert("advanced_ddos_attack_l4_alert", "Advanced Layer 3/4 DDoS Attack Alert", "Attacks on your networks above the given rates", &rates),
            alert("advanced_ddos_attack_l7_alert", "Advanced HTTP DDoS Attack Alert", "Attacks on your zones above the given rates", &[]),
            alert("dos_attack_l4", "Layer 3/4 DDoS Attack Alert", "Attacks on your networks", &[]),
            alert("dos_attack_l7", "HTTP DDoS Attack Alert", "Attacks on your zones", &[]),
        ],
        "Magic Transit": [
            alert("fbm_auto_advertisement", "Magic Network Monitoring: Auto Advertisement", "A prefix was advertised by a rule", &[]),
            alert("fbm_dosd_attack", "Magic Network Monitoring: DDoS Attack", "An attack was seen in sampled flows", &[]),
            alert("fbm_volumetric_attack", "Magic Network Monitoring: Volumetric Attack", "Traffic is above a rule's threshold", &[]),
            alert("magic_tunnel_health_check_event", "Magic Tunnel Health Check Alert", "The health of a tunnel changed", &tunnels),
            alert("magic_wan_tunnel_health", "Magic WAN Tunnel Health Alert", "The health of a tunnel changed", &tunnels),
        ],
        "Route Leak Detection": [alert("bgp_hijack_notification", "Route Leak Detection Alert", "Somebody else announces a prefix of yours", &[])],
        "Cloudflare Status": [
            alert("incident_alert", "Incident Alert", "Incidents of Cloudflare", &[filter("incident_impact", "==", &impact)]),
            alert("maintenance_event_notification", "Maintenance Notification", "Maintenance of Cloudflare's sites", &[filter("airport_code", "==", &[])]),
        ],
        "Cloudflare Network Interconnect": [alert("cni_maintenance_notification", "Connection Maintenance Alert", "Maintenance of your interconnects", &[])],
        "Health Checks": [alert("health_check_status_notification", "Health Checks status notification", "The status of a health check changed", &[filter("health_check_id", "==", &[])])],
        "Radar": [alert("radar_notification", "Radar notification", "Traffic anomalies and route leaks of networks", &[filter("affected_asns", "==", &[])])],
    })
}

/// Which kinds of destinations the account may have: webhooks need a paid zone, which it has.
pub(super) fn eligible() -> Value {
    let one = |kind: &str, ready: bool| json!([{"eligible": true, "ready": ready, "type": kind}]);
    json!({"email": one("email", true), "pagerduty": one("pagerduty", false), "webhook": one("webhook", true)})
}
