//! Network flow of the last day: what is known from where, and what is not known.

use crate::support::cloudflare::stage;
use crate::support::{Browser, Plan, Site};
use cf_sim::{FaultKind, FaultSpec, RowSpec, Target};
use db::users::Role;
use jiff::Timestamp;
use serde_json::{Value, json};

const HOUR_S: u64 = 3_600;

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

/// A router's report.
fn reported(hour: &str, protocol: &str, source: &str, destination: &str, bits: u64) -> RowSpec {
    let mut row = RowSpec::passed(destination, bits / 1_000, bits)
        .dim("protocolString", protocol)
        .dim("sourceAddress", source)
        .dim("destinationAddress", destination)
        .dim("routerAddress", "192.0.2.1");
    row.node = "mnmFlowDataAdaptiveGroups".into();
    (row.at, row.visible_at) = (at(hour), at(hour));
    row
}

fn passed(hour: &str, bits: u64) -> RowSpec {
    let mut row = RowSpec::passed("203.0.113.9", bits / 1_000, bits);
    (row.at, row.visible_at) = (at(hour), at(hour));
    row
}

/// The part of a page that is about it, as text with single spaces.
fn card(page: &str) -> String {
    let (_, rest) = page.split_once("<section id=\"flow\"").expect("a card");
    let html = rest.split("</section>").next().unwrap();
    let mut plain = String::new();
    for part in html.split('<') {
        plain.push(' ');
        plain.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Looks at the main page now and then until Cloudflare has answered.
async fn until_read(site: &Site, browser: &Browser) -> String {
    for _ in 0..1_200 {
        // After a failure a source rests for some seconds.
        site.pass(11);
        let shown = card(&browser.html("/").await);
        if !shown.contains("not read yet") {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is never read: {}", card(&browser.html("/").await));
}

#[tokio::test]
async fn what_is_reported_what_passed_and_what_was_dropped() {
    let (sim, site) = stage().await;
    sim.add_rows([
        // Two of 24 hours are reported: 5,400 s, because the last goes on for 27 minutes.
        reported(
            "2026-11-22T02:10:00Z",
            "ESP",
            "198.51.100.30",
            "203.0.113.18",
            9_000_000_000,
        ),
        reported(
            "2026-11-22T02:50:00Z",
            "UDP",
            "198.51.100.31",
            "203.0.113.18",
            2_000_000_000,
        ),
        reported(
            "2026-11-22T03:05:00Z",
            "ESP",
            "198.51.100.30",
            "203.0.113.19",
            4_000_000_000,
        ),
        // Before the day.
        reported(
            "2026-11-21T03:59:00Z",
            "TCP",
            "192.0.2.9",
            "203.0.113.20",
            99_000_000_000,
        ),
        passed("2026-11-21T22:30:00Z", 3_000_000),
        passed("2026-11-22T03:20:00Z", 6_000_000),
    ]);
    let browser = site.member("ana", Role::Viewer).await;
    let body = browser.json("/api/network-flow").await;
    let flow = &body["network_flow"];
    let covered = (HOUR_S + 27 * 60) as f64;
    assert_eq!(flow["avg_bit_rate"], json!(15_000_000_000_f64 / covered), "{body}");
    assert_eq!(flow["avg_packet_rate"], json!(15_000_000_f64 / covered));
    let firsts = [
        ("top_protocol", "ESP", 13_000_000_000_u64),
        ("top_source", "198.51.100.30", 13_000_000_000),
        ("top_router", "192.0.2.1", 15_000_000_000),
        ("top_destination", "203.0.113.18", 11_000_000_000),
    ];
    for (key, name, bits) in firsts {
        assert_eq!(flow[key], name, "{body}");
        assert_eq!(flow[format!("{key}_bits")], bits);
    }
    assert_eq!(flow["passed_bits"], 9_000_000);
    assert_eq!(body["troubles"], json!([]));
    let hours = flow["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    let hour = |text: &str| hours.iter().find(|hour| hour["at"] == text).unwrap();
    assert_eq!(hour("2026-11-22T02:00:00Z")["seen_bits"], 11_000_000_000_u64);
    assert_eq!(
        hour("2026-11-22T01:00:00Z")["seen_bits"],
        Value::Null,
        "nobody reported: unknown"
    );
    assert_eq!(hour("2026-11-21T22:00:00Z")["passed_bits"], 3_000_000);
    // The seed read five hours with a hole in them.
    assert_eq!(
        hour("2026-11-21T10:00:00Z")["dropped_bits"],
        Value::Null,
        "nobody read: unknown"
    );
    assert_eq!(hour("2026-11-21T10:00:00Z")["dropped_minutes_read"], 0);
    assert!(hour("2026-11-22T03:00:00Z")["dropped_bits"].as_u64().unwrap() > 1_000_000_000_000);
    let (read, complete) = (&flow["dropped_minutes_read"], &flow["dropped_minutes_complete"]);
    assert_eq!((read, complete), (&json!(284), &json!(284)));

    for path in ["/", "/traffic"] {
        let shown = card(&browser.html(path).await);
        for words in [
            "seen by our routers read 0 s ago 2.87 Mbps / 2.87 kpps on average; 15 Gbit / 15 M packets in all, reported for 2 of 24 hours",
            "passed by Cloudflare",
            "9 Mbit / 9 k packets in all, seen at Cloudflare in 2 of 24 hours",
            "read 284 of 1,407 minutes",
            "read until 03:21",
            "top protocol ESP 13 Gbit",
            "from 21/11 04:00 to 03:27 UTC",
        ] {
            assert!(shown.contains(words), "{path}: {words}: {shown}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_the_rest_is_shown() {
    let (sim, site) = stage().await;
    sim.set_fault(FaultSpec::new(
        Target::Any,
        FaultKind::Status {
            status: 403,
            body: None,
        },
    ));
    let browser = site.member("ana", Role::Viewer).await;
    let body = browser.json("/api/network-flow").await;
    let flow = &body["network_flow"];
    assert_eq!(
        (&flow["avg_bit_rate"], &flow["passed_bits"]),
        (&Value::Null, &Value::Null)
    );
    assert!(flow["dropped_bits"].as_u64().unwrap() > 0, "{body}");
    let parts: Vec<&Value> = body["troubles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trouble| &trouble["part"])
        .collect();
    assert_eq!(parts, ["routers", "passed"]);
    let shown = card(&browser.html("/").await);
    assert!(shown.contains("seen by our routers not read yet unknown"), "{shown}");
    assert!(shown.contains("403"), "{shown}");
    assert!(shown.contains("minutes"), "{shown}");
}

#[tokio::test]
async fn a_page_waits_for_nobody_and_later_shows_what_was_read() {
    let (sim, site) = stage().await;
    sim.add_rows([reported(
        "2026-11-22T02:10:00Z",
        "ESP",
        "198.51.100.30",
        "203.0.113.18",
        9_000_000_000,
    )]);
    let hanging = sim.set_fault(FaultSpec::new(Target::Any, FaultKind::Hang));
    let browser = site.member("ana", Role::Viewer).await;
    for path in ["/", "/traffic"] {
        let shown = card(&browser.html(path).await);
        assert!(
            shown.contains("seen by our routers not read yet unknown Cloudflare has not answered yet"),
            "{shown}"
        );
    }
    assert!(sim.clear_fault(&hanging));
    // What hangs is given up after some seconds; then it is asked again.
    let shown = until_read(&site, &browser).await;
    assert!(shown.contains("reported for 1 of 24 hours"), "{shown}");
}

#[tokio::test]
async fn an_empty_account_claims_nothing() {
    let site = Plan::new().start().await;
    let browser = site.member("ana", Role::Viewer).await;
    let body = browser.json("/api/network-flow").await;
    assert_eq!(body["network_flow"]["avg_bit_rate"], Value::Null, "{body}");
    assert_eq!(body["network_flow"]["dropped_bits"], Value::Null, "{body}");
    assert_eq!(body["troubles"].as_array().unwrap().len(), 2, "{body}");
    let shown = card(&browser.html("/").await);
    for what in [
        "seen by our routers not read yet",
        "passed by Cloudflare not read yet",
        "dropped by Cloudflare never read",
    ] {
        assert!(shown.contains(&format!("{what} unknown")), "{shown}");
    }
    assert!(shown.contains("unknown no minute of this time was read"), "{shown}");
}
