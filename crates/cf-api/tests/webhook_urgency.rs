//! From a body to how urgent it is: the table of types, and what raises or lowers them.

use cf_api::webhook::{decode, to_alert};
use domain::notice::Priority::{self, Critical, High, Info, Medium};
use domain::notice::alert_priority;
use jiff::Timestamp;
use serde_json::{Value, json};

const START: &str = "ALERT_STATE_EVENT_START";
const END: &str = "ALERT_STATE_EVENT_END";

fn urgency(kind: &str, event: Option<&str>, data: &Value) -> Priority {
    let body = json!({"alert_type": kind, "alert_event": event, "ts": 1_774_576_800, "data": data});
    let received = Timestamp::from_second(1_774_576_801).unwrap();
    alert_priority(&to_alert(&decode(body.to_string().as_bytes()), received))
}

#[test]
fn each_type_begins_and_ends_with_its_own_urgency() {
    let nothing = json!({});
    for (kind, begins, ends) in [
        ("bgp_hijack_notification", Critical, High),
        ("advanced_ddos_attack_l4_alert", High, Medium),
        ("dos_attack_l4", High, Medium),
        ("dos_attack_l7", High, Medium),
        ("advanced_ddos_attack_l7_alert", High, Medium),
        ("fbm_dosd_attack", High, Medium),
        ("fbm_volumetric_attack", Medium, Info),
        ("health_check_status_notification", Medium, Info),
        ("maintenance_event_notification", Info, Info),
        ("cni_maintenance_notification", Info, Info),
        ("billing_usage_alert", Medium, Medium),
        ("a_type_of_next_year", Medium, Medium),
    ] {
        assert_eq!(urgency(kind, Some(START), &nothing), begins, "{kind} begins");
        assert_eq!(urgency(kind, Some(END), &nothing), ends, "{kind} ends");
        assert_eq!(
            urgency(kind, None, &nothing),
            begins,
            "{kind} without an event is a beginning"
        );
    }
}

#[test]
fn each_outcome_of_an_auto_advertisement_has_its_own_urgency() {
    let of = |kind: &str, status: &str| {
        let data =
            json!({"target_ip": "203.0.113.10", "advertise_status": [{"prefix": "203.0.113.0/24", "status": status}]});
        urgency(kind, None, &data)
    };
    for (status, expected) in [
        ("Advertised", Info),
        ("already advertised", Info),
        ("Delayed", High),
        ("Locked", Critical),
        ("COULD_NOT_ADVERTISE", Critical),
        ("Error", Critical),
        ("Whatever", Critical),
    ] {
        assert_eq!(of("fbm_auto_advertisement", status), expected, "{status}");
    }
    assert_eq!(
        urgency("fbm_auto_advertisement", None, &json!({})),
        High,
        "it names no outcome"
    );
    // An attack whose advertisement failed is worse than an attack.
    assert_eq!(of("fbm_dosd_attack", "Advertised"), High);
    assert_eq!(of("fbm_dosd_attack", "Locked"), Critical);
}

#[test]
fn a_tunnel_is_judged_by_its_transition() {
    for kind in ["magic_tunnel_health_check_event", "magic_wan_tunnel_health"] {
        for (before, now, expected) in [
            (json!("MAGIC_TUNNEL_STATUS_UP"), json!("MAGIC_TUNNEL_STATUS_DOWN"), High),
            (
                json!("MAGIC_TUNNEL_STATUS_UP"),
                json!("MAGIC_TUNNEL_STATUS_DEGRADED"),
                Medium,
            ),
            (
                json!("MAGIC_TUNNEL_STATUS_DOWN"),
                json!("MAGIC_TUNNEL_STATUS_UP"),
                Medium,
            ),
            (json!("degraded"), json!("healthy"), Info),
            (json!("healthy"), json!("no idea"), High),
            (json!(null), json!(null), High),
            (json!(3), json!(["MAGIC_TUNNEL_STATUS_UP"]), Medium),
        ] {
            let data = json!({"tunnel_name": "gre-1", "previous_status": before, "new_status": now});
            assert_eq!(
                urgency(kind, Some("TUNNEL_STATUS_CHANGE"), &data),
                expected,
                "{kind}: {data}"
            );
        }
    }
}

#[test]
fn an_incident_of_cloudflare_counts_by_its_impact() {
    let of = |impact: Value, status: &str| {
        urgency(
            "incident_alert",
            None,
            &json!({"incident_impact": impact, "incident_status": status}),
        )
    };
    for (impact, expected) in [
        (json!("INCIDENT_IMPACT_CRITICAL"), Critical),
        (json!("INCIDENT_IMPACT_MAJOR"), High),
        (json!("minor"), Medium),
        (json!("INCIDENT_IMPACT_NONE"), Info),
        (json!("INCIDENT_IMPACT_NEW_WORD"), Medium),
        (json!(null), Medium),
    ] {
        assert_eq!(
            of(impact.clone(), "INCIDENT_STATUS_INVESTIGATING"),
            expected,
            "{impact}"
        );
        assert_eq!(of(impact, "INCIDENT_STATUS_RESOLVED"), Info);
    }
}

#[test]
fn what_cloudflare_calls_critical_is_at_least_high() {
    let severe = |severity: &str| json!({"severity": severity});
    assert_eq!(urgency("fbm_volumetric_attack", Some(START), &severe("CRITICAL")), High);
    assert_eq!(
        urgency("fbm_volumetric_attack", Some(START), &severe("INFO")),
        Medium,
        "never lowered by it"
    );
    assert_eq!(urgency("a_type_of_next_year", None, &severe("high")), High);
}
