//! Messages about services, feeds, dropped traffic, tests and what people raise, as people get them.

use crate::support::shown::Shown;
use crate::support::{at, checker, now, row};
use db::heartbeats::Heartbeat;
use domain::notice::{Facts, Priority};
use notify::Renderer;
use notify::context::Context;

#[test]
fn services_and_feeds() {
    let mut shown = Shown::new();
    let service = "cloudflare-autowithdraw".to_owned();
    let lines = vec![
        ("Mode".to_owned(), "act".to_owned()),
        ("Calm period".to_owned(), "15 min".to_owned()),
        (String::new(), "no label".to_owned()),
        ("Empty".to_owned(), String::new()),
    ];
    shown.one(
        "started",
        Facts::ServiceStarted {
            service: service.clone(),
            version: "1.2.3".into(),
            lines: lines.clone(),
        },
    );
    shown.one(
        "stopped",
        Facts::ServiceStopped {
            service: service.clone(),
            lines,
        },
    );
    let last = at("2026-03-27 03:15:00");
    for name in ["webhook", "analytics-monitor", "autowithdraw", "dashboard"] {
        shown.one(
            name,
            Facts::ServiceSilent {
                service: format!("cloudflare-{name}"),
                since: last,
            },
        );
    }
    let beat = Heartbeat {
        service: service.clone(),
        pid: 7,
        host: "mt1".into(),
        version: "1.2.3".into(),
        started_at: last,
        beat_at: at("2026-03-27 03:19:50"),
        state: "ok".into(),
        status: "works".into(),
    };
    let back = Context {
        service: Some(beat),
        ..Context::default()
    };
    shown.add(
        "silent, but back meanwhile",
        &[row(Facts::ServiceSilent {
            service: service.clone(),
            since: last,
        })],
        &back,
    );
    shown.one("back", Facts::ServiceBack { service, since: last });
    let feed = "attack analytics".to_owned();
    shown.one(
        "feed blind",
        Facts::FeedBlind {
            feed: feed.clone(),
            because: "HTTP 503 (4 times)".into(),
            since: last,
        },
    );
    shown.one("feed restored", Facts::FeedRestored { feed, since: last });
    let unreadable = Facts::UnreadableAlert {
        size: 1_048_577,
        head: "{\"alert_type\": <b>oops</b>".into(),
        problem: "expected value at line 1 column 16".into(),
    };
    shown.one("unreadable delivery", unreadable);
    shown.one(
        "self-test",
        Facts::SelfTest {
            actor: "ana@noc1".into(),
            note: "after the move".into(),
        },
    );
    shown.one(
        "raised",
        Facts::Raised {
            title: "2 units restarted".into(),
            text: "cloudflare-webhook: restarted\ncloudflare-dashboard: FAILED".into(),
            priority: Priority::Critical,
        },
    );
    shown.one(
        "raised, empty",
        Facts::Raised {
            title: String::new(),
            text: String::new(),
            priority: Priority::Info,
        },
    );
    insta::assert_snapshot!(shown.0);
}

#[test]
fn mitigations() {
    let mut shown = Shown::new();
    let text = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let full = Facts::Mitigation {
        attack_id: Some("d6b8fa7b4a2e4b0f".into()),
        vectors: text(&["UDP flood", "DNS amplification"]),
        events: 1_284,
        packets: 183_000_000,
        bits: 1_230_000_000_000,
        from: at("2026-03-27 03:05:00"),
        to: at("2026-03-27 03:18:00"),
        targets: text(&["203.0.113.10:53", "203.0.113.11:53"]),
        sources: text(&[
            "192.0.2.7 (DE, AS64500 Example)",
            "2001:db8::7",
            "a",
            "b",
            "c",
            "d",
            "e",
        ]),
        locations: text(&["Frankfurt, Germany (FRA)"]),
        distinct_sources: 4_211,
        spoofed_sources: 17,
        sample_interval: 10_000,
    };
    shown.one("aggregated", full);
    let single = Facts::Mitigation {
        attack_id: None,
        vectors: vec![],
        events: 1,
        packets: 10,
        bits: 8_000,
        from: at("2026-03-27 03:18:00"),
        to: at("2026-03-27 03:18:00"),
        targets: vec![],
        sources: vec![],
        locations: vec![],
        distinct_sources: 0,
        spoofed_sources: 0,
        sample_interval: 1,
    };
    shown.one("single, nothing known", single);
    insta::assert_snapshot!(shown.0);
}

#[test]
fn an_operator_without_names_or_address_gets_a_message_all_the_same() {
    let renderer = Renderer::new(&notify::Frame::default());
    let document = renderer.message(
        &[row(Facts::SelfTest {
            actor: String::new(),
            note: String::new(),
        })],
        &Context::default(),
        now(),
    );
    checker::check(&document.html(), &document.plain()).unwrap();
    insta::assert_snapshot!(document.plain());
}
