//! Whatever stands in a notice, what is sent is balanced, bounded and links nowhere else.

use crate::support::{at, bare, checker, frame, now, prefix, row};
use domain::alert::{AdvertiseResult, AdvertiseStatus, Alert, AlertKind, Phase};
use domain::intent::{Act, Origin};
use domain::notice::{Facts, Priority};
use notify::context::Context;
use notify::document::Room;
use notify::words::Words;
use notify::{Frame, Renderer};
use proptest::prelude::*;

/// Text made of what breaks things, of markup, and of anything.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<b>".to_owned()),
        Just("</code>".to_owned()),
        Just("&lt;".to_owned()),
        Just("\"'`*_[](){}".to_owned()),
        Just("\u{202E}".to_owned()),
        Just("\u{2068}\u{2066}".to_owned()),
        Just("\u{2069}".to_owned()),
        Just("שלום".to_owned()),
        Just("👨‍👩‍👧".to_owned()),
        Just("\r\n\u{85}\u{2029}".to_owned()),
        Just("https://evil.example/".to_owned()),
        Just("https://dash.cloudflare.com/x".to_owned()),
        Just("x".repeat(3_000)),
        Just("\"".repeat(5_000)),
        any::<char>().prop_map(String::from),
        "[ -~]{0,40}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

fn kind() -> impl Strategy<Value = AlertKind> {
    prop_oneof![
        Just(AlertKind::AdvancedL4),
        Just(AlertKind::L7),
        Just(AlertKind::MonitoringVolumetric),
        Just(AlertKind::AutoAdvertisement),
        Just(AlertKind::TunnelHealth),
        Just(AlertKind::ProviderIncident),
        Just(AlertKind::HealthCheck),
        Just(AlertKind::BgpHijack),
        Just(AlertKind::Maintenance),
        text().prop_map(AlertKind::Other),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Start), Just(Phase::Update), Just(Phase::End)]
}

prop_compose! {
    fn field()(
        key in prop_oneof![
            Just("tunnel_name".to_owned()), Just("incident_id".to_owned()), Just("message".to_owned()),
            Just("new_status".to_owned()), Just("hijack_as".to_owned()), text(),
        ],
        value in text(),
    ) -> (String, String) {
        (key, value)
    }
}

prop_compose! {
    fn alert()(
        kind in kind(),
        phase in phase(),
        names in [maybe(), maybe(), maybe(), maybe(), maybe(), maybe()],
        link in maybe(),
        rate in proptest::option::of(any::<f64>()),
        details in proptest::collection::vec(field(), 0..12),
        written in text(),
        problems in proptest::collection::vec(text(), 0..3),
    ) -> Alert {
        let [vector, rule_name, action, protocol, attack_id, text] = names;
        Alert {
            vector, rule_name, action, protocol, attack_id, text, link, details, problems,
            packets_per_second: rate,
            bits_per_second: rate.map(|rate| -rate),
            advertise: vec![AdvertiseResult { written, prefix: None, status: AdvertiseStatus::Other("?".into()) }],
            ..bare(kind, phase)
        }
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    prop_oneof![
        4 => alert().prop_map(|alert| Facts::Alert { alert: Box::new(alert), prefixes: vec![], unresolved: true }),
        1 => (text(), text()).prop_map(|(title, text)| Facts::Raised { title, text, priority: Priority::High }),
        1 => (text(), text()).prop_map(|(head, problem)| Facts::UnreadableAlert { size: 1, head, problem }),
        1 => (text(), text(), proptest::collection::vec((text(), text()), 0..5))
            .prop_map(|(service, version, lines)| Facts::ServiceStarted { service, version, lines }),
        1 => (text(), text(), text()).prop_map(|(actor, class, words)| Facts::ActRefused {
            act: Act::Withdraw,
            prefix: prefix("203.0.113.0/24"),
            origin: Origin::Person { actor, via: class.clone() },
            class,
            words,
            retry_at: None,
        }),
        1 => (proptest::collection::vec(text(), 0..7), any::<u64>(), any::<u64>()).prop_map(|(list, packets, bits)| {
            Facts::Mitigation {
                attack_id: list.first().cloned(),
                vectors: list.clone(),
                events: packets,
                packets,
                bits,
                from: at("2026-03-27 03:00:00"),
                to: at("2026-03-27 03:10:00"),
                targets: list.clone(),
                sources: list.clone(),
                locations: list,
                distinct_sources: bits,
                spoofed_sources: packets,
                sample_interval: bits,
            }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_keeps_the_rules(facts in facts(), brand in text(), merged in 1usize..5) {
        let frame = Frame { brand: brand.clone(), organisation: brand, ..frame() };
        let rows = vec![row(facts); merged];
        let pieces = Renderer::new(&frame).message(&rows, &Context::default(), now()).pieces(Room::default());
        for piece in &pieces {
            if let Err(problem) = checker::check(&piece.html(), &piece.plain()) {
                return Err(TestCaseError::fail(problem));
            }
        }
        prop_assert!(pieces.len() <= 8);
    }

    #[test]
    fn cleaning_twice_is_cleaning_once(given in text(), limit in 1usize..200) {
        let once = Words::outside(&given, limit);
        prop_assert_eq!(&Words::outside(once.as_str(), limit + 3), &once);
    }

    #[test]
    fn pieces_of_any_size_fit(facts in facts(), units in 300usize..3_000) {
        let room = Room { units, bytes: units * 6 };
        let pieces = Renderer::new(&frame()).message(&[row(facts)], &Context::default(), now()).pieces(room);
        for piece in pieces {
            prop_assert!(piece.plain().encode_utf16().count() <= units && piece.html().len() <= units * 6);
        }
    }
}
