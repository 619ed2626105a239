//! Webhook bodies in the documented shapes: numbers are numbers where the documentation has numbers, texts elsewhere.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::SimConfig;
use crate::ids::{Dice, without_hyphens};

pub(crate) const START: &str = "ALERT_STATE_EVENT_START";
pub(crate) const END: &str = "ALERT_STATE_EVENT_END";
const UP: &str = "MAGIC_TUNNEL_STATUS_UP";
const DOWN: &str = "MAGIC_TUNNEL_STATUS_DOWN";

/// What an alert says about its attack.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) attack_id: String,
    pub(crate) correlation_id: String,
    pub(crate) vector: String,
    pub(crate) protocol: String,
    pub(crate) rule_name: String,
    pub(crate) mnm_rule: String,
    pub(crate) target_ip: String,
    pub(crate) target_port: u16,
    pub(crate) prefix: String,
    pub(crate) pps: u64,
    pub(crate) mbps: u64,
    pub(crate) started: Timestamp,
    pub(crate) auto_advertised: bool,
    /// What the rule of Network Monitoring says.
    pub(crate) threshold: String,
    pub(crate) duration: String,
    pub(crate) sensitivity: String,
    /// When it is sent.
    pub(crate) now: Timestamp,
}

impl Facts {
    /// Of nothing in particular, about a rule of one gigabit in a minute.
    pub(crate) fn blank() -> Self {
        Self {
            attack_id: String::new(),
            correlation_id: String::new(),
            vector: String::new(),
            protocol: String::new(),
            rule_name: String::new(),
            mnm_rule: String::new(),
            target_ip: String::new(),
            target_port: 0,
            prefix: String::new(),
            pps: 0,
            mbps: 0,
            started: Timestamp::UNIX_EPOCH,
            auto_advertised: false,
            threshold: "1 Gbps".into(),
            duration: "1m".into(),
            sensitivity: String::new(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn example(dice: &mut Dice, now: Timestamp) -> Self {
        Self {
            attack_id: dice.hex32(),
            correlation_id: dice.uuid(),
            vector: "UDP flood".into(),
            protocol: "UDP".into(),
            rule_name: "udp_generic".into(),
            mnm_rule: "net-203.0.113.0_24".into(),
            target_ip: "203.0.113.10".into(),
            target_port: 53,
            prefix: "203.0.113.0/24".into(),
            pps: 812_500,
            mbps: 5_120,
            started: now,
            auto_advertised: true,
            now,
            ..Self::blank()
        }
    }
}

/// Names for `POST /_sim/webhook`.
pub(crate) const TEMPLATES: [&str; 18] = [
    "l4_start",
    "l4_end",
    "l7_start",
    "dos_l4",
    "dos_l7",
    "volumetric_start",
    "volumetric_end",
    "dosd_start",
    "dosd_end",
    "auto_advertised",
    "auto_advertise_failed",
    "tunnel_down",
    "tunnel_up",
    "health_check",
    "bgp_hijack",
    "incident",
    "maintenance",
    "test",
];

fn envelope(
    config: &SimConfig,
    now: Timestamp,
    kind: &str,
    event: Option<&str>,
    correlation: Option<&str>,
    text: &str,
    data: Value,
) -> Value {
    let policy = without_hyphens(&crate::rest::alerting_policy_id(kind));
    let mut body = json!({
        "name": format!("Policy {kind}"), "text": text, "data": data, "ts": now.as_second(), "account_id": config.account_id,
        "policy_id": policy, "policy_name": format!("Policy {kind}"), "alert_type": kind,
    });
    if let Some(id) = correlation {
        body["alert_correlation_id"] = json!(id);
    }
    if let Some(event) = event {
        body["alert_event"] = json!(event);
    }
    body
}

/// `812.5 kpps`
fn rate_text(pps: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let pps_f = pps as f64;
    match pps {
        0..1_000 => format!("{pps_f:.2} pps"),
        1_000..1_000_000 => format!("{:.1} kpps", pps_f / 1e3),
        _ => format!("{:.1} Mpps", pps_f / 1e6),
    }
}

fn second_text(at: Timestamp) -> String {
    crate::traffic::second_text(at.as_second())
}

/// `advanced_ddos_attack_l4_alert`
pub(crate) fn l4(config: &SimConfig, f: &Facts, event: &str) -> Value {
    let data = json!({
        "account_name": "Example Network", "account_tag": config.account_id, "action": "block", "attack_id": f.attack_id,
        "attack_vector": f.vector, "dashboard_link": format!("https://dash.cloudflare.com/{}/network-analytics/attack-summary", config.account_id),
        "max_rate": rate_text(f.pps), "megabits_per_second": f.mbps, "mitigation": "block", "packets_per_second": f.pps,
        "protocol": f.protocol, "rule_description": format!("{} by {}", f.vector, f.rule_name), "rule_id": "599dab0942ff4898ac1b7797e954e98b",
        "rule_name": f.rule_name, "ruleset_id": "3b64149bfa6e4220bbbc2bd6db589552", "ruleset_override_id": "",
        "start_time": second_text(f.started), "target_id": "", "target_ip": f.target_ip, "target_port": f.target_port,
    });
    let text = format!(
        "{} on {}:{} ({})",
        f.vector,
        f.target_ip,
        f.target_port,
        rate_text(f.pps)
    );
    envelope(
        config,
        f.now,
        "advanced_ddos_attack_l4_alert",
        Some(event),
        Some(&f.correlation_id),
        &text,
        data,
    )
}

/// `fbm_volumetric_attack`: no target, only a rule; numbers as texts.
pub(crate) fn volumetric(config: &SimConfig, f: &Facts, event: &str) -> Value {
    #[allow(clippy::cast_precision_loss)]
    let gigabits = f.mbps as f64 / 1000.0;
    let data = json!({
        "rule_name": f.mnm_rule, "rule_threshold": f.threshold, "rule_duration": f.duration, "rule_zscore_sensitivity": f.sensitivity,
        "packets_per_second": f.pps.to_string(), "packets_per_second_string": format!("{} pps", grouped(f.pps)),
        "bits_per_second": format!("{gigabits:.1}Gb/s"), "megabits_per_second": f.mbps.to_string(), "start_time": second_text(f.started),
        "auto_advertised": f.auto_advertised, "severity": "critical",
    });
    let text = format!("Traffic of rule {} is above its threshold", f.mnm_rule);
    envelope(
        config,
        f.now,
        "fbm_volumetric_attack",
        Some(event),
        Some(&without_hyphens(&f.correlation_id)),
        &text,
        data,
    )
}

/// `20,000`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `fbm_dosd_attack`: flow samples matched a DDoS rule.
pub(crate) fn dosd(config: &SimConfig, f: &Facts, event: &str) -> Value {
    let data = json!({
        "target_ip": f.target_ip, "target_port": f.target_port, "attack_type": f.vector, "protocol": f.protocol,
        "packets_per_second": f.pps.to_string(), "megabits_per_second": f.mbps.to_string(), "max_rate": rate_text(f.pps), "rule_name": f.mnm_rule,
        "start_time": second_text(f.started), "auto_advertised": f.auto_advertised,
        "advertise_status": [{"prefix": f.prefix, "status": "Advertised"}], "severity": "critical",
    });
    envelope(
        config,
        f.now,
        "fbm_dosd_attack",
        Some(event),
        Some(&f.correlation_id),
        &format!("{} on {}", f.vector, f.target_ip),
        data,
    )
}

/// `fbm_auto_advertisement` with a status word per network.
pub(crate) fn auto_advertisement(config: &SimConfig, f: &Facts, statuses: &[(String, String)]) -> Value {
    let list: Vec<Value> = statuses
        .iter()
        .map(|(prefix, status)| json!({"prefix": prefix, "status": status}))
        .collect();
    let data = json!({"rule_name": f.mnm_rule, "attack_type": "volumetric", "start_time": second_text(f.started), "advertise_status": list});
    let text = format!("Auto advertisement for rule {}", f.mnm_rule);
    envelope(
        config,
        f.now,
        "fbm_auto_advertisement",
        None,
        Some(&without_hyphens(&f.correlation_id)),
        &text,
        data,
    )
}

/// `magic_tunnel_health_check_event`: a tunnel was so, and is so now.
pub(crate) fn tunnel(
    config: &SimConfig,
    dice: &mut Dice,
    now: Timestamp,
    name: &str,
    (before, after): (&str, &str),
) -> Value {
    let number = if name == "edge-two" { 2 } else { 1 };
    let data = json!({
        "tunnel_name": name, "tunnel_id": format!("c{number:031}"), "new_status": after, "previous_status": before,
        "pop_names": "FRA, AMS", "slo": "99.9", "observed_slo": "92.1", "mwan_site_name": "", "event_ts": second_text(now), "severity": "critical",
    });
    let correlation = dice.uuid();
    envelope(
        config,
        now,
        "magic_tunnel_health_check_event",
        Some("TUNNEL_STATUS_CHANGE"),
        Some(&correlation),
        "Tunnel health changed",
        data,
    )
}

/// A ready body by template name; `None` for an unknown name.
pub(crate) fn template(name: &str, config: &SimConfig, dice: &mut Dice, now: Timestamp) -> Option<Value> {
    let f = Facts::example(dice, now);
    let advertised = |word: &str| vec![(f.prefix.clone(), word.to_owned())];
    let plain = |kind: &str, text: &str, data: Value| envelope(config, now, kind, None, None, text, data);
    Some(match name {
        "l4_start" => l4(config, &f, START),
        "l4_end" => l4(config, &f, END),
        "volumetric_start" => volumetric(config, &f, START),
        "volumetric_end" => volumetric(config, &f, END),
        "dosd_start" => dosd(config, &f, START),
        "dosd_end" => dosd(config, &f, END),
        "auto_advertised" => auto_advertisement(config, &f, &advertised("Advertised")),
        "auto_advertise_failed" => auto_advertisement(config, &f, &advertised("Could not Advertise")),
        "tunnel_down" => tunnel(config, dice, now, "edge-one", (UP, DOWN)),
        "tunnel_up" => tunnel(config, dice, now, "edge-one", (DOWN, UP)),
        "health_check" => plain(
            "health_check_status_notification",
            "Health check changed",
            json!({
                "actual_code": 503, "expected_codes": "[2xx 302]", "health_check_id": f.attack_id, "name": "origin-one", "preview": false,
                "reason": "Response code mismatch error", "status": "Unhealthy", "time": second_text(now),
            }),
        ),
        "dos_l4" => plain(
            "dos_attack_l4",
            "DDoS attack",
            json!({
                "attack_id": f.attack_id, "attack_vector": f.vector, "target_ip": f.target_ip, "target_port": f.target_port, "protocol": f.protocol,
                "max_rate": "800.00 pps", "megabits_per_second": "1", "rule_name": f.rule_name, "severity": "low",
            }),
        ),
        "l7_start" => envelope(
            config,
            now,
            "advanced_ddos_attack_l7_alert",
            Some(START),
            Some(&f.correlation_id),
            "HTTP attack",
            json!({
                "account_name": "Example Network", "account_tag": config.account_id, "action": "block", "attack_id": f.attack_id, "attack_type": "HTTP flood",
                "dashboard_link": "https://dash.cloudflare.com/", "max_rate": "12.5 krps", "mitigation": "block", "requests_per_second": 12_500,
                "rule_description": "HTTP flood", "rule_id": f.attack_id, "rule_link": "", "ruleset_id": "4d21379b4f9f4bb088e0729962c8b3cf",
                "ruleset_override_id": "", "start_time": second_text(now), "target_hostname": "www.example.com", "zone_name": "example.com", "zone_tag": f.attack_id,
            }),
        ),
        "dos_l7" => plain(
            "dos_attack_l7",
            "HTTP attack",
            json!({
                "account_name": "Example Network", "account_tag": config.account_id, "action": "managed-challenge", "attack_id": f.attack_id,
                "attack_type": "HTTP flood", "dashboard_link": "dash.cloudflare.com/", "max_rate": "800.00 rps", "mitigation": "managed-challenge",
                "requests_per_second": "800", "rule_description": "HTTP flood", "rule_id": f.attack_id, "rule_link": "", "ruleset_id": "",
                "ruleset_override_id": "", "start_time": "1970-01-01 00:00:00 +0000 UTC", "target_hostname": "www.example.com", "target_id": "",
                "target_zone_name": "example.com", "zone_plan": "Enterprise",
            }),
        ),
        "bgp_hijack" => plain(
            "bgp_hijack_notification",
            "Possible BGP hijack",
            json!({
                "ASNs_seen": ["64511"], "account_name": "Example Network", "additional_info": "", "alert_priority_level": "critical",
                "alert_start_time": second_text(now), "alert_title": "BGP origin hijack", "alert_type": "origin_hijack",
                "dashboard_link": "dash.cloudflare.com/", "hijack_as": "64511", "prefix_configured": f.prefix, "prefix_hijacked": f.prefix,
            }),
        ),
        "incident" => plain(
            "incident_alert",
            "Cloudflare incident",
            json!({
                "affected_components": [{"id": "magic-transit", "name": "Magic Transit"}], "created_at": second_text(now), "id": f.attack_id,
                "incident_created_at": second_text(now), "incident_id": f.attack_id, "incident_impact": "INCIDENT_IMPACT_MAJOR",
                "incident_name": "Elevated packet loss", "incident_status": "INCIDENT_STATUS_INVESTIGATING", "message": "We are looking into it.", "status": "investigating",
            }),
        ),
        "maintenance" => plain(
            "maintenance_event_notification",
            "Maintenance",
            json!({
                "airport_code": "FRA", "event_type": "MAINTENANCE_EVENT_TYPE_SCHEDULED", "maintenance_id": f.attack_id,
                "scheduled_start": second_text(now), "scheduled_end": second_text(now),
            }),
        ),
        "test" => {
            json!({"text": "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly."})
        }
        _ => return None,
    })
}

/// Replaces fields of the envelope and of `data`; null removes a field.
pub(crate) fn amend(mut body: Value, data: Option<&Value>, envelope: Option<&Value>) -> Value {
    let put = |into: &mut Value, from: Option<&Value>| {
        for (key, value) in from.and_then(Value::as_object).into_iter().flatten() {
            match into.as_object_mut() {
                Some(fields) if value.is_null() => {
                    fields.remove(key);
                }
                Some(fields) => {
                    fields.insert(key.clone(), value.clone());
                }
                None => {}
            }
        }
    };
    if let Some(inner) = body.get_mut("data") {
        put(inner, data);
    }
    put(&mut body, envelope);
    body
}
