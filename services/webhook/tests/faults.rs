//! Every fault that the predecessor's receiver had is a test somewhere; [`FAULTS`] says which and where, and a test here
//! checks that those tests exist. Below the table are the ones that had no better home.

use std::path::Path;
use std::process::Command;

use crate::support::{Receiver, types};
use serde_json::{Value, json};

const START: &str = "ALERT_STATE_EVENT_START";
const END: &str = "ALERT_STATE_EVENT_END";

/// A fault: its number, what went wrong, and the tests (`file::function`, files from the root of the repository) that
/// fail if it comes back.
type Fault = (&'static str, &'static str, &'static [&'static str]);

const FAULTS: [Fault; 26] = [
    (
        "F-50",
        "a mapping that could not be read stopped every attack alert",
        &[
            "services/webhook/tests/deliveries.rs::an_attack_that_names_nothing_of_ours_vetoes_everything",
            "crates/settings/tests/testdata.rs::good_configurations_are_accepted_with_their_warnings",
        ],
    ),
    (
        "F-51",
        "the answer waited for Telegram",
        &["crates/testkit/tests/e2e/killed.rs::answers_do_not_wait_for_telegram"],
    ),
    (
        "F-52",
        "a restart between message and row lost the row",
        &["crates/testkit/tests/e2e/killed.rs::nothing_acknowledged_is_lost_and_nothing_is_done_twice"],
    ),
    (
        "F-53",
        "a locked database lost the alert without a word",
        &["services/webhook/tests/limits.rs::what_cannot_be_stored_is_refused_and_asked_for_again_and_health_says_so"],
    ),
    (
        "F-54",
        "bodies of the same second overwrote each other",
        &["services/webhook/tests/generated.rs::every_generated_body_is_stored_exactly_once_and_none_fails"],
    ),
    (
        "F-55",
        "the second DOWN of a tunnel was dropped, true duplicates were processed",
        &[
            "services/webhook/tests/faults.rs::a_tunnel_that_goes_down_again_is_news_and_a_repeated_body_is_not",
            "services/webhook/tests/deliveries.rs::an_identical_body_is_processed_once",
        ],
    ),
    (
        "F-56",
        "the END of most types was a new alarm",
        &["services/webhook/tests/faults.rs::every_listed_type_begins_goes_on_and_ends_as_itself"],
    ),
    (
        "F-57",
        "types without a handler left neither row nor data",
        &[
            "services/webhook/tests/faults.rs::every_listed_type_begins_goes_on_and_ends_as_itself",
            "crates/cf-api/tests/webhook_decoding.rs::other_kinds_keep_what_they_bring",
        ],
    ),
    (
        "F-58",
        "the documented fields of health checks were not read",
        &["services/webhook/tests/faults.rs::both_generations_of_health_checks_say_what_they_are_about"],
    ),
    (
        "F-59",
        "a degraded tunnel was announced as recovered",
        &[
            "crates/cf-api/tests/webhook_urgency.rs::a_tunnel_is_judged_by_its_transition",
            "crates/cf-api/tests/webhook_decoding.rs::kinds_without_events_say_their_phase_in_their_data",
        ],
    ),
    (
        "F-60",
        "failed and delayed advertisements looked alike and left no row",
        &[
            "services/webhook/tests/faults.rs::each_outcome_of_an_auto_advertisement_is_a_row_of_its_own",
            "crates/cf-api/tests/webhook_urgency.rs::each_outcome_of_an_auto_advertisement_has_its_own_urgency",
        ],
    ),
    (
        "F-61",
        "messages asserted protection without looking",
        &["crates/notify/tests/messages.rs::what_is_looked_up"],
    ),
    (
        "F-62",
        "null, numbers, lists and other content types were errors",
        &[
            "services/webhook/tests/deliveries.rs::odd_bodies_are_stored_and_never_fail",
            "services/webhook/tests/deliveries.rs::unreadable_and_oversized_bodies_are_kept_and_told",
        ],
    ),
    (
        "F-63",
        "without a secret everybody could post; odd header bytes were an error",
        &[
            "services/webhook/tests/faults.rs::it_starts_with_the_secret_alone_and_not_without_it",
            "services/webhook/tests/deliveries.rs::who_may_not_post_is_turned_away_and_nothing_is_stored",
            "services/webhook/tests/limits.rs::cloudflares_networks_can_be_the_only_sources",
        ],
    ),
    (
        "F-64",
        "it listened on every address",
        &["services/webhook/tests/faults.rs::it_starts_with_the_secret_alone_and_not_without_it"],
    ),
    (
        "F-65",
        "a test route on the public port wrote into production",
        &["services/webhook/tests/faults.rs::there_is_no_route_for_tests"],
    ),
    (
        "F-66",
        "the first address of X-Forwarded-For was believed",
        &["services/webhook/src/gate.rs::only_the_right_most_untrusted_hop_counts"],
    ),
    (
        "F-67",
        "health was always good, and the documented path was not there",
        &["services/webhook/tests/limits.rs::what_cannot_be_stored_is_refused_and_asked_for_again_and_health_says_so"],
    ),
    (
        "F-68",
        "markup in names made messages undeliverable; links of strangers",
        &[
            "crates/notify/tests/delivery.rs::refused_markup_is_sent_as_plain_text",
            "crates/cf-api/src/webhook/alert.rs::only_links_to_cloudflare_are_links",
        ],
    ),
    (
        "F-69",
        "long texts were refused and lost",
        &["crates/notify/tests/delivery.rs::a_long_message_goes_in_numbered_parts_and_critical_ones_in_between"],
    ),
    (
        "F-70",
        "the text of errors was returned to the caller",
        &["services/webhook/tests/limits.rs::what_cannot_be_stored_is_refused_and_asked_for_again_and_health_says_so"],
    ),
    (
        "F-71",
        "a change of the configuration needed a restart, and a mistake in it a crash loop",
        &[
            "services/webhook/tests/deliveries.rs::a_rotated_secret_is_in_force_after_a_reload_and_a_broken_file_changes_nothing",
        ],
    ),
    (
        "F-72",
        "only the target address was tied to a prefix",
        &["services/webhook/tests/faults.rs::each_type_is_tied_to_its_prefixes"],
    ),
    (
        "F-73",
        "a message could not be tied to its row",
        &["services/webhook/tests/faults.rs::times_and_numbers_tie_message_row_and_delivery"],
    ),
    (
        "F-74",
        "only the time of processing was kept",
        &["services/webhook/tests/faults.rs::times_and_numbers_tie_message_row_and_delivery"],
    ),
    (
        "F-75",
        "the receiver held credentials that could withdraw",
        &["services/webhook/tests/faults.rs::it_starts_with_the_secret_alone_and_not_without_it"],
    ),
];

#[test]
fn every_fault_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (number, what, tests) in FAULTS {
        assert!(!tests.is_empty(), "{number}: {what}");
        for test in tests {
            let (file, function) = test.split_once("::").unwrap();
            let text =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{number}: {file}: {error}"));
            assert!(
                text.contains(&format!("fn {function}(")),
                "{number}: there is no {test}"
            );
        }
    }
}

#[tokio::test]
async fn every_listed_type_begins_goes_on_and_ends_as_itself() {
    let receiver = Receiver::start().await;
    for (number, kind) in types::LISTED.iter().enumerate() {
        for (event, ts) in [(START, 0), ("ALERT_STATE_EVENT_UPDATE", 60), (END, 120)] {
            let body = json!({"alert_type": kind, "alert_event": event, "ts": 1_774_576_800 + ts, "text": "words",
                "alert_correlation_id": format!("{number:032x}"), "data": {"attack_id": format!("a{number}"), "anything": {"at": "all"}}});
            assert_eq!(receiver.post_json(&body).await, 200);
        }
    }
    let events = receiver.read(|tx| db::events::newest(tx, None, 1_000)).await;
    for kind in types::LISTED {
        let known = domain::alert::AlertKind::from_name(kind);
        let mut phases: Vec<&str> = events
            .iter()
            .filter(|event| {
                event
                    .raw_payload
                    .as_ref()
                    .is_some_and(|body| body.contains(&format!("\"{kind}\"")))
            })
            .map(|event| event.event_type.as_str())
            .collect();
        phases.reverse();
        assert_eq!(phases, ["START", "UPDATE", "END"], "{kind} ({})", known.title());
    }
    assert_eq!(receiver.notices().await.len(), 3 * types::LISTED.len(), "each is told");
    let incidents = receiver.read(|tx| db::incidents::newest(tx, None, 100)).await;
    // An announcement of a prefix is no sign of traffic: it ends nothing.
    let attacks = incidents
        .iter()
        .filter(|incident| incident.title != "Auto-advertisement");
    let open: Vec<_> = attacks.filter(|incident| incident.ended_at.is_none()).collect();
    assert!(open.is_empty(), "each attack has ended: {open:?}");
    receiver.stop().await;
}

#[tokio::test]
async fn a_tunnel_that_goes_down_again_is_news_and_a_repeated_body_is_not() {
    let receiver = Receiver::start().await;
    let tunnel = |status: &str, ts: i64| {
        json!({"alert_type": "magic_tunnel_health_check_event", "alert_event": "TUNNEL_STATUS_CHANGE", "ts": ts,
            "data": {"tunnel_id": "t1", "tunnel_name": "gre-1", "new_status": format!("MAGIC_TUNNEL_STATUS_{status}")}})
    };
    for (status, ts) in [("DOWN", 1_774_576_800), ("UP", 1_774_576_900), ("DOWN", 1_774_577_000)] {
        receiver.post_json(&tunnel(status, ts)).await;
        let (_, again) = receiver.post(tunnel(status, ts).to_string()).await;
        assert_eq!(again["duplicate"], true, "{status}");
    }
    let events = receiver.read(|tx| db::events::newest(tx, None, 10)).await;
    let phases: Vec<&str> = events.iter().rev().map(|event| event.event_type.as_str()).collect();
    assert_eq!(phases, ["START", "END", "START"]);
    assert_eq!(receiver.notices().await.len(), 3);
    receiver.stop().await;
}

#[tokio::test]
async fn both_generations_of_health_checks_say_what_they_are_about() {
    let receiver = Receiver::start().await;
    for data in [
        json!({"health_check_id": "h", "health_check_name": "edge", "new_health_status": "Unhealthy", "reason": "TCP timeout"}),
        json!({"health_check_id": "h", "name": "edge", "status": "Unhealthy", "actual_code": 404, "expected_codes": "[2xx 302]", "reason": "TCP timeout"}),
    ] {
        receiver
            .post_json(&json!({"alert_type": "health_check_status_notification", "ts": 1_774_576_800, "data": data}))
            .await;
    }
    for notice in receiver.read(|tx| db::outbox::newest(tx, None, 2)).await {
        let Some(domain::notice::Facts::Alert { alert, .. }) = notice.facts else {
            panic!("{notice:?}")
        };
        assert_eq!(alert.detail("reason"), Some("TCP timeout"));
        assert_eq!(alert.detail("health_check_name").or(alert.detail("name")), Some("edge"));
        assert_eq!(
            alert.detail("new_health_status").or(alert.detail("status")),
            Some("Unhealthy")
        );
    }
    receiver.stop().await;
}

#[tokio::test]
async fn each_outcome_of_an_auto_advertisement_is_a_row_of_its_own() {
    let receiver = Receiver::start().await;
    let outcomes = [
        ("Advertised", "ADVERTISE", "auto_advertised"),
        ("Already Advertised", "ADVERTISE", "auto_advertised"),
        ("Delayed", "ADVERTISE_DELAYED", "not_advertised_yet"),
        ("Locked", "ADVERTISE_FAILED", "not_advertised"),
        ("Could not Advertise", "ADVERTISE_FAILED", "not_advertised"),
        ("Error", "ADVERTISE_FAILED", "not_advertised"),
    ];
    let statuses: Vec<Value> = outcomes
        .iter()
        .map(|(status, ..)| json!({"prefix": "203.0.113.0/24", "status": status}))
        .collect();
    let body = json!({"alert_type": "fbm_auto_advertisement", "ts": 1_774_576_800, "data": {"rule_name": "net", "advertise_status": statuses}});
    receiver.post_json(&body).await;
    let events = receiver.read(|tx| db::events::newest(tx, None, 10)).await;
    let rows: Vec<(&str, &str)> = events
        .iter()
        .rev()
        .map(|event| (event.event_type.as_str(), event.action_taken.as_deref().unwrap()))
        .collect();
    assert_eq!(rows, outcomes.map(|(_, event, action)| (event, action)));
    receiver.stop().await;
}

#[tokio::test]
async fn there_is_no_route_for_tests() {
    let receiver = Receiver::start().await;
    for path in ["/test/attack", "/test", "/webhook", "/webhook/cloudflare/test"] {
        let answer = receiver
            .client
            .post(format!("{}{path}", receiver.url))
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
    assert_eq!(receiver.read(db::deliveries::total).await, 0);
    receiver.stop().await;
}

#[tokio::test]
async fn each_type_is_tied_to_its_prefixes() {
    let receiver = Receiver::start().await;
    let rule = db::inventory::MonitoringRule {
        id: "r1".into(),
        name: "both nets".into(),
        prefixes: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()],
        body: "{}".into(),
    };
    let now = jiff::Timestamp::now();
    receiver
        .db
        .write("test", move |tx| db::inventory::replace_rules(tx, &[rule], now))
        .await
        .unwrap();
    let (v4, v6) = ("203.0.113.0/24", "2001:db8:1::/48");
    for (number, (kind, data, expected, unresolved)) in [
        ("dos_attack_l4", json!({"target_ip": "203.0.113.7"}), vec![v4], false),
        (
            "dos_attack_l4",
            json!({"target_ip": "2001:db8:1:2::7"}),
            vec![v6],
            false,
        ),
        ("dos_attack_l4", json!({"target_ip": "192.0.2.7"}), vec![], true),
        (
            "fbm_volumetric_attack",
            json!({"rule_name": "both nets"}),
            vec![v4, v6],
            false,
        ),
        (
            "fbm_volumetric_attack",
            json!({"rule_name": "unheard of"}),
            vec![],
            true,
        ),
        (
            "fbm_volumetric_attack",
            json!({"rule_name": "both nets", "prefix": v4}),
            vec![v4],
            false,
        ),
        (
            "fbm_auto_advertisement",
            json!({"advertise_status": [{"prefix": v4, "status": "Advertised"}, {"prefix": v6, "status": "Error"}]}),
            vec![v4, v6],
            false,
        ),
        (
            "fbm_dosd_attack",
            json!({"target_ip": "203.0.113.7", "advertise_status": [{"prefix": v6, "status": "Advertised"}]}),
            vec![v4, v6],
            false,
        ),
        (
            "bgp_hijack_notification",
            json!({"prefix_hijacked": "203.0.113.128/25", "prefix_configured": v4}),
            vec![v4],
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"alert_type": kind, "ts": 1_774_576_800 + number, "data": data});
        assert_eq!(receiver.post_json(&body).await, 200);
        let notice = receiver.read(|tx| db::outbox::newest(tx, None, 1)).await.remove(0);
        let Some(domain::notice::Facts::Alert {
            prefixes,
            unresolved: said,
            ..
        }) = notice.facts
        else {
            panic!("{notice:?}")
        };
        let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
        assert_eq!(
            (prefixes.iter().map(String::as_str).collect(), said),
            (expected, unresolved),
            "{body}"
        );
    }
    receiver.stop().await;
}

#[tokio::test]
async fn times_and_numbers_tie_message_row_and_delivery() {
    let receiver = Receiver::start().await;
    let before = jiff::Timestamp::now();
    let body = json!({"alert_type": "dos_attack_l4", "alert_event": START, "ts": 1_774_576_800,
        "data": {"attack_id": "a1", "target_ip": "203.0.113.7", "start_time": "2026-03-27T01:59:00Z"}});
    let (_, answer) = receiver.post(body.to_string()).await;
    let event = receiver.read(|tx| db::events::newest(tx, None, 1)).await.remove(0);
    assert_eq!(
        event.event_time,
        Some("2026-03-27T02:00:00Z".parse().unwrap()),
        "the sender's instant"
    );
    let recorded = domain::time::floor_to(event.created_at.unwrap(), std::time::Duration::from_millis(1));
    assert!(
        recorded >= domain::time::floor_to(before, std::time::Duration::from_millis(1)),
        "and ours"
    );
    let delivery = domain::ids::DeliveryId(answer["delivery"].as_i64().unwrap());
    let events = receiver
        .read(move |tx| db::trace::events_of_delivery(tx, delivery))
        .await;
    assert_eq!(events, [domain::ids::EventId(event.id)]);
    let notice = receiver.read(|tx| db::outbox::newest(tx, None, 1)).await.remove(0);
    assert_eq!(
        notice.event,
        Some(domain::ids::EventId(event.id)),
        "the message carries the number of its row"
    );
    let incident = receiver.read(|tx| db::incidents::newest(tx, None, 1)).await.remove(0);
    assert_eq!(
        incident.began_at,
        "2026-03-27T01:59:00Z".parse().unwrap(),
        "the attack's own beginning"
    );
    receiver.stop().await;
}

/// The real program with these settings; its exit code and what it printed.
fn program(config: &Value, argument: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cloudflare-webhook"))
        .env_clear()
        .args(["--config-dir".as_ref(), dir.path().as_os_str(), argument.as_ref()])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn it_starts_with_the_secret_alone_and_not_without_it() {
    let account = "c0ffee00c0ffee00c0ffee00c0ffee00";
    let with = json!({"cloudflare": {"account_id": account, "webhook_secret": "a-secret-of-the-test"}});
    let (code, said) = program(&with, "--check-config");
    assert_eq!(code, Some(0), "it needs no token of Cloudflare: {said}");
    let (_, printed) = program(&with, "--print-config");
    let printed: Value = serde_json::from_str(&printed[printed.find('{').unwrap()..]).unwrap();
    assert_eq!(printed["webhook"]["listen"], "127.0.0.1:8080");
    assert_eq!(printed["webhook"]["allow_without_secret"], false);
    let (code, said) = program(&json!({"cloudflare": {"account_id": account}}), "--check-config");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("webhook_secret"), "{said}");
}
