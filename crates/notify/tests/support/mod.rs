//! What the tests of this crate share: notices of every kind, and a checker of Telegram's HTML that knows nothing of the
//! code under test.
#![allow(dead_code, unreachable_pub)]

pub mod bench;
pub mod checker;
pub mod couriers;
pub mod shown;

use std::time::Duration;

use db::outbox::Notification;
use domain::alert::{Alert, AlertKind, Phase};
use domain::bgp::BgpState;
use domain::ids::{EventId, NotificationId};
use domain::notice::Facts;
use domain::prefix::Prefix;
use jiff::Timestamp;
use notify::Frame;

pub fn at(text: &str) -> Timestamp {
    domain::time::from_text(text).unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The instant at which the test messages are sent.
pub fn now() -> Timestamp {
    at("2026-03-27 03:20:00")
}

pub fn frame() -> Frame {
    Frame {
        brand: "Cloudflare Magic Transit".into(),
        organisation: "Example Networks".into(),
        server: "mt1.example.net".into(),
        public_url: Some("https://mt.example.net".into()),
    }
}

/// An alert with no optional field.
pub fn bare(kind: AlertKind, phase: Phase) -> Alert {
    Alert {
        kind,
        phase,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: None,
        started_at: None,
        received_at: at("2026-03-27 03:19:30"),
        targets: vec![],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: None,
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: None,
        bits_per_second: None,
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        is_test: false,
        problems: vec![],
    }
}

/// A layer 4 alert with everything that Cloudflare documents.
pub fn full_l4(phase: Phase) -> Alert {
    Alert {
        correlation_id: Some("f47ac10b58cc4372a5670e02b2c3d479".into()),
        attack_id: Some("d6b8fa7b4a2e4b0f".into()),
        policy_name: Some("L4 policy".into()),
        text: Some("An attack was detected and is being mitigated.".into()),
        sent_at: Some(at("2026-03-27 03:19:20")),
        started_at: Some(at("2026-03-27 03:11:00")),
        targets: vec![prefix("203.0.113.10/32")],
        target_port: Some(53),
        protocol: Some("UDP".into()),
        vector: Some("UDP flood".into()),
        rule_id: Some("599dab0942ff4898ac1b7797e954e98b".into()),
        rule_name: Some("udp_generic".into()),
        action: Some("block".into()),
        packets_per_second: Some(812_500.0),
        bits_per_second: Some(5.12e9),
        link: Some("https://dash.cloudflare.com/account/attacks?id=d6b8fa7b4a2e4b0f&tab=l4".into()),
        details: vec![
            ("max_rate".into(), "812.5 kpps".into()),
            ("account_name".into(), "acme".into()),
        ],
        ..bare(AlertKind::AdvancedL4, phase)
    }
}

pub fn details(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub fn alert_facts(alert: Alert, prefixes: &[&str]) -> Facts {
    let prefixes: Vec<Prefix> = prefixes.iter().map(|text| prefix(text)).collect();
    Facts::Alert {
        unresolved: prefixes.is_empty(),
        alert: Box::new(alert),
        prefixes,
    }
}

/// A row entered half a minute before it is sent.
pub fn row(facts: Facts) -> Notification {
    Notification {
        id: NotificationId(45),
        created_at: at("2026-03-27 03:19:30"),
        kind: facts.kind().to_owned(),
        priority: facts.priority(),
        is_test: matches!(&facts, Facts::Alert { alert, .. } if alert.is_test),
        facts: Some(facts),
        event: Some(EventId(123)),
        incident: None,
        group: None,
        state: "queued".into(),
        reason: None,
        not_before: at("2026-03-27 03:19:30"),
        attempts: 1,
        plain: false,
        sent_at: None,
        chat_id: None,
        message_id: None,
    }
}

pub fn bgp(advertised: Option<bool>) -> BgpState {
    BgpState {
        advertised,
        advertised_modified_at: Some(at("2026-03-27 03:12:40")),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: Some(0),
        auto_advertise_withdraw: false,
    }
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
