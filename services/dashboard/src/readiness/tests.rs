//! The judgement of readiness: everything in order, and each way in which something is not.

use std::time::Duration;

use cf_api::graphql::tunnel_health::Counted;
use cf_api::rest::tunnels::TunnelKind;
use db::inventory::Entry;
use domain::bgp::{BgpPrefix, BgpState};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::time::minus;
use serde_json::json;

use super::*;
use crate::overview::Overview;

/// What is changed, and the answer that follows.
type Case<F> = (F, Answer);

const PREFIX: &str = "203.0.113.0/24";

fn now() -> Timestamp {
    "2026-11-22T03:27:00Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    minus(now(), Duration::from_secs(seconds))
}

fn entry(change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = Entry {
        prefix: BgpPrefix {
            prefix: PREFIX.parse().unwrap(),
            parent_id: PrefixId::new("a1"),
            id: BgpPrefixId::new("b1"),
            asn: None,
            description: String::new(),
            state: BgpState {
                advertised: Some(false),
                advertised_modified_at: Some(ago(86_400)),
                on_demand_enabled: true,
                locked: false,
                bgp_signalled: false,
                prepend: None,
                auto_advertise_withdraw: false,
            },
        },
        managed: true,
        read_at: ago(30),
        error: None,
        error_since: None,
    };
    change(&mut entry);
    entry
}

fn rule(prefixes: &[&str], advertises: bool) -> (MonitoringRule, Timestamp) {
    let rule = MonitoringRule {
        id: "r".into(),
        name: "net".into(),
        prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
        body: json!({ "automatic_advertisement": advertises }).to_string(),
    };
    (rule, ago(60))
}

fn tunnel() -> Tunnel {
    let raw =
        json!({"id": "c1", "name": "edge", "interface_address": "10.213.0.10/31", "health_check": {"enabled": true}});
    Tunnel::read(TunnelKind::Gre, raw.as_object().cloned().unwrap()).unwrap()
}

fn route() -> Route {
    Route {
        id: None,
        prefix: PREFIX.parse().unwrap(),
        nexthop: Some("10.213.0.11".into()),
        priority: Some(100),
        is_scoped: false,
    }
}

fn health(result: &str) -> TunnelHealth {
    TunnelHealth {
        to: now(),
        totals: vec![Counted {
            tunnel: "edge".into(),
            result: result.into(),
            active: true,
            count: 100,
        }],
        places: vec![],
        course: vec![],
        totals_cut: false,
        places_cut: false,
        course_cut: false,
    }
}

/// Everything as it should be, changed by `change`; the findings about the prefix by name.
fn found(
    inventory: Part<Vec<Entry>>,
    rules: Part<Vec<(MonitoringRule, Timestamp)>>,
    change: impl FnOnce(&mut Facts<'_>),
) -> Vec<(&'static str, Answer)> {
    let settings = crate::overview::tests::settings();
    let picture = crate::picture::Picture {
        inventory: inventory.clone(),
        rules: rules.clone(),
        ..crate::overview::tests::nothing()
    };
    let overview = Overview::of(&picture, &settings, now());
    let mut facts = Facts {
        now: now(),
        settings: &settings,
        overview: &overview,
        inventory: &inventory,
        rules: &rules,
        tunnels: [
            Reading::good(vec![tunnel()], now()),
            Reading::good(vec![], now()),
            Reading::good(vec![], now()),
        ],
        routes: Reading::good(vec![route()], now()),
        health: Reading::good(health("ok"), now()),
        policies: Reading::bad("HTTP 503"),
        token: Reading::bad("HTTP 503"),
    };
    change(&mut facts);
    let readiness = Readiness::of(&facts);
    assert_eq!(readiness.prefixes.len(), 1);
    for check in readiness.prefixes[0].checks.iter().chain(&readiness.account) {
        assert_eq!(check.remedy.is_empty(), check.answer == Answer::Fine, "{check:?}");
    }
    let checks = &readiness.prefixes[0].checks;
    checks.iter().map(|check| (check.what, check.answer)).collect()
}

fn answer(found: &[(&'static str, Answer)], what: &str) -> Answer {
    found.iter().find(|(name, _)| *name == what).unwrap().1
}

#[test]
fn everything_in_order_is_fine() {
    let all = found(Ok(vec![entry(|_| ())]), Ok(vec![rule(&[PREFIX], true)]), |_| ());
    assert_eq!(all.len(), 4);
    for (what, answer) in all {
        assert_eq!(answer, Answer::Fine, "{what}");
    }
}

#[test]
fn the_switch() {
    let table: [Case<fn(&mut Entry)>; 6] = [
        (|entry| entry.prefix.state.locked = true, Answer::Stops),
        (|entry| entry.prefix.state.on_demand_enabled = false, Answer::Stops),
        (|entry| entry.prefix.state.bgp_signalled = true, Answer::Doubt),
        (|entry| entry.prefix.state.advertised = None, Answer::Unknown),
        (|entry| entry.read_at = ago(4_000), Answer::Unknown),
        (|entry| entry.prefix.state.advertised = Some(true), Answer::Fine),
    ];
    for (number, (change, expected)) in table.into_iter().enumerate() {
        let all = found(Ok(vec![entry(change)]), Ok(vec![rule(&[PREFIX], true)]), |_| ());
        assert_eq!(answer(&all, "switch"), expected, "{number}");
    }
    let never = found(Ok(vec![]), Ok(vec![]), |_| ());
    assert_eq!(answer(&never, "switch"), Answer::Unknown, "never read is not withdrawn");
}

#[test]
fn the_rule() {
    let old = |seconds| {
        let (rule, _) = rule(&[PREFIX], true);
        (rule, ago(seconds))
    };
    for (rules, expected) in [
        (vec![], Answer::Unknown),
        (vec![rule(&["198.51.100.0/24"], true)], Answer::Stops),
        (vec![rule(&[PREFIX], false)], Answer::Doubt),
        (vec![rule(&[PREFIX, "198.51.100.0/24"], true)], Answer::Doubt),
        (vec![rule(&["203.0.112.0/20"], true)], Answer::Fine),
        (vec![old(100_000)], Answer::Unknown),
    ] {
        let words = format!("{rules:?}");
        let all = found(Ok(vec![entry(|_| ())]), Ok(rules), |_| ());
        assert_eq!(answer(&all, "monitoring rule"), expected, "{words}");
    }
}

#[test]
fn the_way_back() {
    let table: [Case<fn(&mut Facts<'_>)>; 8] = [
        (|facts| facts.health = Reading::bad("HTTP 429"), Answer::Unknown),
        (
            |facts| facts.health = Reading::good(health("timeout"), now()),
            Answer::Stops,
        ),
        (|facts| facts.routes = Reading::bad("HTTP 403"), Answer::Unknown),
        (|facts| facts.tunnels[1] = Reading::bad("HTTP 403"), Answer::Unknown),
        (|facts| facts.routes = Reading::good(vec![], now()), Answer::Stops),
        (|facts| facts.tunnels[0] = Reading::good(vec![], now()), Answer::Stops),
        (
            |facts| {
                let other = Route {
                    nexthop: Some("10.9.9.9".into()),
                    ..route()
                };
                facts.routes = Reading::good(vec![other], now());
            },
            Answer::Doubt,
        ),
        (|_| (), Answer::Fine),
    ];
    for (number, (change, expected)) in table.into_iter().enumerate() {
        let all = found(Ok(vec![entry(|_| ())]), Ok(vec![rule(&[PREFIX], true)]), change);
        assert_eq!(answer(&all, "way back"), expected, "{number}");
    }
}

#[test]
fn soon_after_a_withdrawal_there_is_a_doubt() {
    let recent = entry(|entry| entry.prefix.state.advertised_modified_at = Some(ago(300)));
    let all = found(Ok(vec![recent]), Ok(vec![rule(&[PREFIX], true)]), |_| ());
    assert_eq!(answer(&all, "cool-down"), Answer::Doubt);
}
