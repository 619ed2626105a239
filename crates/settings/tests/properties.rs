//! Whatever the files hold: no panic, no secret in a report; what is valid prints back equal.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;

use common::Folder;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};
use settings::{Severity, json_schema, load, print_config, print_mapping, print_provenance};

/// Every key of the schema, `_file` siblings left out.
fn all_keys() -> Vec<String> {
    fn walk(node: &Value, path: &str, keys: &mut Vec<String>) {
        let properties = node["properties"].as_object();
        let Some(properties) = properties.filter(|_| node["patternProperties"]["^_"].is_object()) else {
            keys.push(path.to_owned());
            return;
        };
        if properties.contains_key("*") {
            keys.push(path.to_owned());
            return;
        }
        for (name, below) in properties {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            walk(below, &path, keys);
        }
    }
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    let mut keys = Vec::new();
    walk(&schema, "", &mut keys);
    keys.retain(|key| !key.ends_with("_file") && key != "$schema");
    keys
}

fn put(target: &mut Value, path: &str, value: Value) {
    let mut node = target;
    for name in path.split('.') {
        if !node.is_object() {
            *node = json!({});
        }
        node = node.as_object_mut().unwrap().entry(name).or_insert(Value::Null);
    }
    *node = value;
}

fn seconds(range: std::ops::RangeInclusive<u64>) -> BoxedStrategy<Value> {
    (range, 0..4_u8)
        .prop_map(|(s, form)| match form {
            0 => json!(format!("{s}s")),
            1 => json!(format!("{}m{}s", s / 60, s % 60)),
            2 => json!(format!("{}h{}m{}s", s / 3_600, s / 60 % 60, s % 60)),
            _ => json!(format!("{}ms", s * 1_000)),
        })
        .boxed()
}

/// Networks of documentation ranges, IPv4 and IPv6, each once.
fn networks() -> BoxedStrategy<Value> {
    let v4 = (0..256_u32, 24..=28_u8).prop_map(|(n, length)| {
        let address = 0xc633_6400 | n;
        let masked = address & (u32::MAX << (32 - length));
        format!("{}/{length}", std::net::Ipv4Addr::from(masked))
    });
    let v6 = (0..0xffff_u16).prop_map(|n| format!("2001:db8:{n:x}::/48"));
    btree_set(prop_oneof![v4, v6], 0..6).prop_map(|set| json!(set)).boxed()
}

fn secret() -> BoxedStrategy<Value> {
    "[A-Za-z0-9]{20,40}!".prop_map(Value::from).boxed()
}

fn listen(port: u16) -> BoxedStrategy<Value> {
    select(vec!["127.0.0.1", "[::1]", "0.0.0.0", "[2001:db8::1]"])
        .prop_map(move |address| json!(format!("{address}:{port}")))
        .boxed()
}

fn words(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(words).prop_map(Value::from).boxed()
}

fn number(range: std::ops::RangeInclusive<u64>) -> BoxedStrategy<Value> {
    range.prop_map(Value::from).boxed()
}

fn keep() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(json!("forever")),
        (1..=4_000_u64).prop_map(|days| json!(format!("{days}d"))),
        (24..=9_000_u64).prop_map(|hours| json!(format!("{hours}h"))),
    ]
    .boxed()
}

fn direct_route() -> BoxedStrategy<Value> {
    let statement = prop_oneof![
        Just(json!("always_announced")),
        ("[a-z]{1,8}", 1..=60_u64).prop_map(|(host, s)| json!({
            "url": format!("https://{host}.example/check?a=b"), "timeout": format!("{s}s")
        })),
        vec("[ -~]{0,12}", 0..3).prop_map(|arguments| {
            let mut argv = vec!["/usr/bin/check".to_owned()];
            argv.extend(arguments);
            json!({"command": argv})
        }),
    ];
    let name = prop_oneof![
        Just("*".to_owned()),
        (0..16_u8).prop_map(|n| format!("203.0.113.{}/28", n * 16)),
        (0..0xffff_u16).prop_map(|n| format!("2001:db8:{n:x}::/48")),
    ];
    btree_map(name, statement, 0..5).prop_map(|map| json!(map)).boxed()
}

/// A valid value for every key; limits are chosen so that no two contradict each other.
fn valid_values() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let text = || "[ -~äß€]{0,40}".prop_map(Value::from).boxed();
    let path = || "/[a-z]{1,8}/[a-z]{1,8}\\.db".prop_map(Value::from).boxed();
    vec![
        ("cloudflare.account_id", "[0-9a-f]{32}".prop_map(Value::from).boxed()),
        ("cloudflare.api_token", secret()),
        (
            "cloudflare.webhook_secret",
            prop_oneof![secret(), btree_set("[a-z]{20}", 1..=2).prop_map(|set| json!(set))].boxed(),
        ),
        (
            "cloudflare.api_base_url",
            words(&["https://api.example/v4/", "http://127.0.0.1:1"]),
        ),
        ("cloudflare.auth_email", words(&["noc@example.net"])),
        ("cloudflare.global_api_key", secret()),
        ("telegram.bot_token", secret()),
        (
            "telegram.chat_id",
            prop_oneof![
                any::<i64>()
                    .prop_filter("zero is no chat", |id| *id != 0)
                    .prop_map(Value::from),
                "@[A-Za-z0-9_]{1,20}".prop_map(Value::from)
            ]
            .boxed(),
        ),
        ("telegram.message_thread_id", number(1..=2_147_483_647)),
        (
            "telegram.api_url",
            words(&["https://bot.example", "http://localhost:1/"]),
        ),
        ("telegram.max_age", seconds(1..=86_400)),
        ("telegram.operators", words(&["1,2", "4711"])),
        (
            "alert_webhook.url",
            words(&["https://hook.example/a", "http://127.0.0.1:9"]),
        ),
        ("alert_webhook.secret", secret()),
        ("alert_webhook.send", words(&["all"])),
        ("mail.host", words(&["mail.example.net", "localhost"])),
        ("mail.port", number(1..=65_535)),
        ("mail.user", words(&["mt"])),
        ("mail.password", secret()),
        ("mail.from", words(&["mt@example.net"])),
        ("mail.to", words(&["noc@example.net"])),
        ("mail.send", Just(json!(["critical", "withdrawn"])).boxed()),
        ("database.path", path()),
        ("database.retention.attack_events", keep()),
        ("database.retention.withdrawal_history", keep()),
        ("database.retention.incidents", keep()),
        ("database.retention.audit", keep()),
        ("database.retention.rule_changes", keep()),
        ("database.retention.webhook_events", keep()),
        ("database.retention.network_analytics_events", keep()),
        ("database.retention.notifications", keep()),
        ("database.retention.decisions", keep()),
        ("database.retention.evidence", keep()),
        ("webhook.listen", listen(1_111)),
        ("webhook.trusted_proxies", networks()),
        ("webhook.allowed_sources", networks()),
        ("webhook.max_body", number(1_024..=67_108_864)),
        (
            "webhook.allow_without_secret",
            any::<bool>().prop_map(Value::from).boxed(),
        ),
        ("dashboard.listen", listen(2_222)),
        ("dashboard.allowed_networks", networks()),
        ("dashboard.trusted_proxies", networks()),
        (
            "dashboard.public_url",
            words(&["https://mt.example", "http://[::1]:8081/mt/"]),
        ),
        ("dashboard.session_idle", seconds(1..=86_400)),
        ("dashboard.session_max", seconds(86_400..=7_776_000)),
        ("analytics.listen", listen(3_333)),
        ("analytics.poll_interval", seconds(1..=3_600)),
        ("analytics.lookback", seconds(900..=86_400)),
        ("analytics.settle", seconds(0..=899)),
        ("analytics.min_packets", number(0..=1_000_000_000_000)),
        ("analytics.my_prefixes", networks()),
        ("analytics.anycast_prefixes", networks()),
        (
            "analytics.witnesses",
            prop_oneof![
                words(&["all"]),
                Just(json!(["dosd", "advanced_tcp", "attacks", "series"])).boxed()
            ]
            .boxed(),
        ),
        (
            "analytics.announced_witnesses",
            prop_oneof![words(&["all"]), Just(json!(["magic_firewall"])).boxed()].boxed(),
        ),
        ("analytics.reverse_dns", any::<bool>().prop_map(Value::from).boxed()),
        ("analytics.dns_server", listen(53)),
        ("autowithdraw.listen", listen(4_444)),
        ("autowithdraw.mode", words(&["act", "dry_run", "paused"])),
        ("autowithdraw.managed", networks()),
        ("autowithdraw.check_interval", seconds(1..=300)),
        ("autowithdraw.calm_period", seconds(300..=86_400)),
        ("autowithdraw.attack_lookback", seconds(1..=300)),
        ("autowithdraw.settle", seconds(0..=3_600)),
        ("autowithdraw.propagation", seconds(0..=3_600)),
        ("autowithdraw.min_samples", number(1..=1_000_000)),
        ("autowithdraw.min_dropped_packets", number(0..=1_000_000_000_000_000)),
        ("autowithdraw.min_dropped_pps", number(0..=1_000_000_000_000)),
        ("autowithdraw.min_dropped_bps", number(0..=1_000_000_000_000_000)),
        ("autowithdraw.calm_threshold_percent", number(1..=100)),
        ("autowithdraw.min_dropped_bits", number(0..=1_000_000_000_000_000_000)),
        (
            "autowithdraw.mitigation_systems",
            prop_oneof![
                Just(json!("all")),
                vec("[a-z-]{1,12}", 1..4).prop_map(|names| json!(names))
            ]
            .boxed(),
        ),
        ("autowithdraw.no_traffic", networks()),
        ("autowithdraw.min_advertised", seconds(0..=86_400)),
        ("autowithdraw.max_withdrawals_per_hour", number(1..=60)),
        ("autowithdraw.open_alert_veto", seconds(0..=86_400)),
        ("autowithdraw.unknown_alert_after", seconds(300..=86_400)),
        ("autowithdraw.overdue_after", seconds(1..=2_592_000)),
        (
            "autowithdraw.record_inputs",
            any::<bool>().prop_map(Value::from).boxed(),
        ),
        ("autowithdraw.record_limit_mb", number(8..=1_000_000)),
        ("autowithdraw.direct_route", direct_route()),
        ("geoip.city_db", path()),
        ("geoip.asn_db", path()),
        ("organisation.name", text()),
        ("organisation.brand", text()),
        ("organisation.server", text()),
    ]
}

/// Keys that must be there together.
const TOGETHER: [[&str; 2]; 6] = [
    ["mail.host", "mail.from"],
    ["mail.from", "mail.to"],
    ["mail.user", "mail.password"],
    ["alert_webhook.url", "alert_webhook.secret"],
    ["cloudflare.auth_email", "cloudflare.global_api_key"],
    ["telegram.bot_token", "telegram.chat_id"],
];

/// A valid `settings.json` with some of the keys, and what was put into it.
fn valid_settings() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let values = valid_values();
    let all = values.len();
    subsequence((0..all).collect::<Vec<_>>(), 0..=all).prop_flat_map(move |chosen| {
        let values = valid_values();
        let mut names: BTreeSet<&str> = chosen.iter().map(|index| values[*index].0).collect();
        names.insert("cloudflare.account_id");
        if names.iter().any(|name| name.starts_with("telegram.")) {
            // Without a chat the section's other keys mean nothing.
            names.insert("telegram.chat_id");
        }
        // The same holds for the other channels.
        for (section, key) in [("mail.", "mail.host"), ("alert_webhook.", "alert_webhook.url")] {
            if names.iter().any(|name| name.starts_with(section)) {
                names.insert(key);
            }
        }
        for [one, other] in TOGETHER {
            if names.contains(one) || names.contains(other) {
                names.extend([one, other]);
            }
        }
        values
            .into_iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, strategy)| strategy.prop_map(move |value| (name, value)))
            .collect::<Vec<_>>()
    })
}

fn document(values: &[(&str, Value)]) -> Value {
    let mut document = json!({});
    for (path, value) in values {
        put(&mut document, path, value.clone());
    }
    document
}

fn at<'a>(document: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(document, |node, name| &node[name])
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        select(
            all_keys()
                .iter()
                .flat_map(|key| key.split('.').map(str::to_owned).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        ),
        select(vec![
            "prefixes",
            "prefix_id",
            "id",
            "asn",
            "203.0.113.0/24",
            "2001:db8::/32",
            "username",
            "password_hash",
            "api_token_file",
            "polling",
            "*",
            "url",
            "timeout"
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,20}".prop_map(Value::from),
        select(vec![
            "15m",
            "-5m",
            "act",
            "203.0.113.0/24",
            "::/0",
            "https://example.net",
            "********",
            "127.0.0.1:80",
            "forever",
            "999999999999999999999d"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((names.clone(), inner), 0..8).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

#[test]
fn the_strategies_cover_every_key() {
    let mut covered: Vec<String> = valid_values().iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut all = all_keys();
    covered.sort();
    all.sort();
    assert_eq!(covered, all);
}

#[test]
fn every_key_is_printed() {
    let folder = Folder::with(r#"{"cloudflare": {"account_id": "0123456789abcdef0123456789abcdef"}}"#);
    let settings = load(&folder.options(&[])).unwrap().settings;
    let printed: Value = serde_json::from_str(&print_config(&settings)).unwrap();
    for key in all_keys() {
        let (section, name) = key.rsplit_once('.').unwrap();
        let members = at(&printed, section).as_object().unwrap();
        assert!(members.contains_key(name), "{key}");
    }
}

proptest! {
    #[test]
    fn valid_settings_load_and_print_back_equal(values in valid_settings()) {
        let folder = Folder::with(&document(&values).to_string());
        let loaded = load(&folder.options(&[])).map_err(|report| TestCaseError::fail(report.to_string()))?;
        let text = print_config(&loaded.settings);
        let printed: Value = serde_json::from_str(&text).unwrap();
        for (path, value) in &values {
            // Numbers, flags and the mode have one spelling only: they must come out as they went in.
            if value.is_number() || value.is_boolean() || *path == "autowithdraw.mode" {
                prop_assert_eq!(at(&printed, path), value, "{}", path);
            } else {
                prop_assert!(!at(&printed, path).is_null(), "{} was lost", path);
            }
        }
        let mut again = Folder::with(&text);
        again.write("prefix_mapping.json", &print_mapping(&loaded.settings));
        let mut options = again.options(&[]);
        options.accept_masked_secrets = true;
        let reloaded = load(&options).map_err(|report| TestCaseError::fail(report.to_string()))?;
        prop_assert!(reloaded.settings.same_except_secrets(&loaded.settings));
        prop_assert_eq!(print_config(&reloaded.settings), text);
    }

    #[test]
    fn a_difference_is_seen(values in valid_settings(), other in valid_settings()) {
        let load_one = |values: &[(&str, Value)]| {
            load(&Folder::with(&document(values).to_string()).options(&[])).unwrap().settings
        };
        let (one, other) = (load_one(&values), load_one(&other));
        prop_assert_eq!(
            one.same_except_secrets(&other),
            print_config(&one) == print_config(&other)
        );
    }

    #[test]
    fn no_json_makes_the_loader_panic(
        settings in any_json(), mapping in any_json(), auth in any_json(), prefs in any_json(),
    ) {
        let mut folder = Folder::with(&settings.to_string());
        folder.write("prefix_mapping.json", &mapping.to_string());
        folder.write("auth.json", &auth.to_string());
        folder.write("dashboard_prefs.json", &prefs.to_string());
        if let Err(report) = load(&folder.options(&[])) {
            prop_assert!(report.errors().count() > 0);
            prop_assert!(!report.to_string().contains("config.internal"), "{}", report);
        }
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}", mapping in "[\\[\\]{}:,\"a1 \n-]{0,200}") {
        let mut folder = Folder::with(&text);
        folder.write("prefix_mapping.json", &mapping);
        let report = load(&folder.options(&[])).map(|_| ());
        prop_assert!(report.is_err());
    }

    /// One wrong value in otherwise valid settings: never a panic, never an unexplained refusal.
    #[test]
    fn one_wrong_value_is_explained(values in valid_settings(), which in any::<Index>(), wrong in any_json()) {
        let mut values = values;
        let at = which.index(values.len());
        values[at].1 = wrong;
        match load(&Folder::with(&document(&values).to_string()).options(&[])) {
            Ok(loaded) => {
                print_config(&loaded.settings);
                print_provenance(&loaded);
            }
            Err(report) => {
                prop_assert!(!report.to_string().contains("config.internal"), "{}", report);
                prop_assert!(report.errors().all(|problem| problem.severity == Severity::Error));
            }
        }
    }

    /// Whatever is wrong with a secret, no output shows it.
    #[test]
    fn secrets_stay_hidden(
        secret in "[A-Za-z0-9]{12}[ -~]{0,20}",
        key in select(vec!["api_token", "webhook_secret", "global_api_key", "api_tokn", "token", "my_password"]),
        in_list in any::<bool>(),
    ) {
        let value = if in_list { json!([secret, secret]) } else { json!(secret) };
        let settings = json!({"cloudflare": {key: value}, "telegram": {"bot_token": secret}});
        let needle: String = secret.chars().take(12).collect();
        let folder = Folder::with(&settings.to_string());
        let Err(report) = load(&folder.options(&[])) else {
            return Err(TestCaseError::fail("no account id, so it cannot be good"));
        };
        prop_assert!(!format!("{report}{report:?}").contains(&needle), "{}", report);
        prop_assert!(!serde_json::to_string(&report).unwrap().contains(&needle));
    }
}
