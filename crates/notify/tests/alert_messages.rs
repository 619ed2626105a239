//! Cloudflare's alerts as people get them, in both forms, with missing fields and hostile texts.

use crate::support::shown::Shown;
use crate::support::{alert_facts, at, bare, details, full_l4, prefix};
use domain::alert::{AdvertiseResult, AdvertiseStatus, Alert, AlertKind, Phase};

fn attack_kinds() -> Vec<AlertKind> {
    vec![
        AlertKind::AdvancedL4,
        AlertKind::L4,
        AlertKind::AdvancedL7,
        AlertKind::L7,
        AlertKind::MonitoringDdos,
        AlertKind::MonitoringVolumetric,
    ]
}

#[test]
fn attack_alerts() {
    let mut shown = Shown::new();
    for phase in [Phase::Start, Phase::Update, Phase::End] {
        let facts = alert_facts(full_l4(phase), &["203.0.113.0/24"]);
        shown.one(&format!("advanced L4, {}", phase.event_type()), facts);
    }
    for kind in attack_kinds() {
        shown.one(
            &format!("{} with nothing but its type", kind.name()),
            alert_facts(bare(kind, Phase::Start), &[]),
        );
    }
    let web = Alert {
        vector: Some("HTTP flood".into()),
        hostname: Some("www.example.com".into()),
        requests_per_second: Some(12_500.0),
        action: Some("managed-challenge".into()),
        rule_name: Some("HTTP requests with unusual headers".into()),
        link: Some("https://evil.example/dash.cloudflare.com".into()),
        ..bare(AlertKind::L7, Phase::Start)
    };
    shown.one("L7", alert_facts(web, &[]));
    let volumetric = Alert {
        rule_name: Some("dmz-bps".into()),
        packets_per_second: Some(20_000.0),
        bits_per_second: Some(6.4e9),
        targets: vec![],
        details: details(&[
            ("rule_threshold", "1 Gb/s"),
            ("rule_duration", "5m"),
            ("auto_advertised", "true"),
        ]),
        ..bare(AlertKind::MonitoringVolumetric, Phase::Start)
    };
    let many = [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8:1::/48",
        "2001:db8:2::/48",
    ];
    shown.one("threshold rule over five prefixes", alert_facts(volumetric, &many));
    let sflow = Alert {
        advertise: vec![AdvertiseResult {
            written: "203.0.113.0/24".into(),
            prefix: Some(prefix("203.0.113.0/24")),
            status: AdvertiseStatus::Advertised,
        }],
        ..Alert {
            kind: AlertKind::MonitoringDdos,
            ..full_l4(Phase::Start)
        }
    };
    shown.one("sFlow rule that advertises", alert_facts(sflow, &["203.0.113.0/24"]));
    let test = Alert {
        is_test: true,
        ..full_l4(Phase::Start)
    };
    shown.one("marked test", alert_facts(test, &["203.0.113.0/24"]));
    let late = Alert {
        sent_at: Some(at("2026-03-27 03:02:00")),
        problems: vec!["packets_per_second: \"many\" is no number".into()],
        ..full_l4(Phase::Start)
    };
    shown.one("late and partly unreadable", alert_facts(late, &["203.0.113.0/24"]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn auto_advertisements() {
    let mut shown = Shown::new();
    let result = |written: &str, status: AdvertiseStatus| AdvertiseResult {
        written: written.into(),
        prefix: written.parse().ok(),
        status,
    };
    let with = |advertise: Vec<AdvertiseResult>| Alert {
        advertise,
        rule_name: Some("dmz-bps".into()),
        ..bare(AlertKind::AutoAdvertisement, Phase::Start)
    };
    use AdvertiseStatus::{Advertised, AlreadyAdvertised, CouldNot, Delayed, Locked, Other};
    let good = with(vec![
        result("203.0.113.0/24", Advertised),
        result("2001:db8:1::/48", AlreadyAdvertised),
    ]);
    shown.one(
        "all advertised",
        alert_facts(good, &["203.0.113.0/24", "2001:db8:1::/48"]),
    );
    let delayed = with(vec![result("203.0.113.0/24", Delayed)]);
    shown.one("delayed", alert_facts(delayed, &["203.0.113.0/24"]));
    let failed = with(vec![
        result("203.0.113.0/24", CouldNot),
        result("198.51.100.0/24", Locked),
        result("everything", Other("Perhaps".into())),
    ]);
    shown.one("failed", alert_facts(failed, &["198.51.100.0/24", "203.0.113.0/24"]));
    shown.one("without a result", alert_facts(with(vec![]), &[]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn other_alerts() {
    let mut shown = Shown::new();
    let alert = |kind: AlertKind, pairs: &[(&str, &str)]| Alert {
        details: details(pairs),
        ..bare(kind, Phase::Start)
    };
    let tunnel = alert(
        AlertKind::TunnelHealth,
        &[
            ("tunnel_name", "gre-fra-1"),
            ("tunnel_id", "c4a7362d577a6c3019a474fd6f485821"),
            ("new_status", "MAGIC_TUNNEL_STATUS_DOWN"),
            ("previous_status", "MAGIC_TUNNEL_STATUS_UP"),
            ("pop_names", "FRA, AMS"),
            ("slo", "99.9"),
            ("observed_slo", "42.1"),
            ("mwan_site_name", "N/A"),
        ],
    );
    shown.one("tunnel down", alert_facts(tunnel, &[]));
    shown.one(
        "tunnel, nothing but its type",
        alert_facts(alert(AlertKind::TunnelHealth, &[]), &[]),
    );
    let outage = alert(
        AlertKind::ProviderIncident,
        &[
            ("incident_name", "Elevated errors in Frankfurt"),
            ("incident_id", "p4x2k9"),
            ("incident_status", "INCIDENT_STATUS_INVESTIGATING"),
            ("incident_impact", "INCIDENT_IMPACT_MAJOR"),
            ("message", "We are looking into it.\n\nMore will follow."),
            ("affected_components", "Magic Transit, Network"),
            ("created_at", "2026-03-27T03:00:00Z"),
        ],
    );
    shown.one("provider incident", alert_facts(outage, &[]));
    let check = alert(
        AlertKind::HealthCheck,
        &[
            ("name", "origin-1"),
            ("status", "Unhealthy"),
            ("reason", "TCP connection failed"),
            ("expected_codes", "[2xx 302]"),
            ("actual_code", "404"),
            ("health_check_id", "023e105f4ecef8ad9ca31a8372d0c353"),
        ],
    );
    shown.one("health check", alert_facts(check, &[]));
    let hijack = Alert {
        targets: vec![prefix("203.0.113.0/25")],
        link: Some("https://dash.cloudflare.com/hijack".into()),
        ..alert(
            AlertKind::BgpHijack,
            &[
                ("prefix_hijacked", "203.0.113.0/25"),
                ("prefix_configured", "203.0.113.0/24"),
                ("hijack_as", "64511"),
                ("ASNs_seen", "64496, 64511"),
                ("alert_start_time", "2026-03-27T03:10:00Z"),
            ],
        )
    };
    shown.one("hijack", alert_facts(hijack, &["203.0.113.0/24"]));
    shown.one(
        "hijack, nothing but its type",
        alert_facts(alert(AlertKind::BgpHijack, &[]), &[]),
    );
    let work = alert(
        AlertKind::Maintenance,
        &[
            ("airport_code", "FRA"),
            ("event_type", "MAINTENANCE_EVENT_TYPE_SCHEDULED"),
            ("scheduled_start", "2026-04-01T22:00:00Z"),
            ("scheduled_end", "2026-04-02T04:00:00Z"),
            ("maintenance_id", "M-7"),
        ],
    );
    shown.one("maintenance", alert_facts(work, &[]));
    let other = Alert {
        policy_name: Some("Billing".into()),
        text: Some("Your usage has passed a threshold.\nSee https://evil.example for more.".into()),
        ..alert(
            AlertKind::Other("billing_usage_alert".into()),
            &[("product", "magic_transit"), ("limit", "10"), ("<b>", "x")],
        )
    };
    shown.one("a type without a layout", alert_facts(other, &[]));
    let unknown = bare(AlertKind::Other("thing_of_tomorrow".into()), Phase::End);
    shown.one("an unknown type with nothing in it", alert_facts(unknown, &[]));
    let verification = Alert {
        text: Some("Hello World!".into()),
        ..bare(AlertKind::Verification, Phase::Start)
    };
    shown.one("verification", alert_facts(verification, &[]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn hostile_texts() {
    let mut shown = Shown::new();
    let nasty = "udp_flood*[x](y)<b>&\"</code><a href=\"https://evil.example\">z</a>";
    let hostile = Alert {
        vector: Some(nasty.into()),
        rule_name: Some("rule \u{202E}gpj.exe\u{202C} of שלום 123".into()),
        protocol: Some("👨‍👩‍👧 UDP ☠️".into()),
        action: Some("block\n\u{2028}Prefix: withdrawn\r\n\tby nobody".into()),
        attack_id: Some("javascript:alert(1)".into()),
        link: Some("https://dash.cloudflare.com@evil.example/".into()),
        details: details(&[
            ("</code>key", nasty),
            ("مفتاح", "قيمة 42"),
            ("empty", "  "),
            ("na", "N/A"),
        ]),
        ..bare(AlertKind::L4, Phase::Start)
    };
    shown.one("names", alert_facts(hostile, &["203.0.113.0/24"]));
    let long = Alert {
        vector: Some("v".repeat(10_000)),
        rule_name: Some("r ".repeat(5_000)),
        text: Some("word ".repeat(2_000)),
        details: vec![("x".repeat(10_000), "y".repeat(10_000)); 30],
        ..bare(AlertKind::Other("k".repeat(10_000)), Phase::Start)
    };
    shown.one("10,000 characters everywhere", alert_facts(long, &[]));
    insta::assert_snapshot!(shown.0);
}
