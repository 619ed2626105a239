//! Monitoring rules, tunnels and readiness against a simulated Cloudflare: what people do, what is refused, two people at
//! once, and every way in which Cloudflare can fail a call. Nothing is half written, nothing is inferred, input is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use cf_sim::{FaultKind, FaultSpec, Sim, Target};
use db::users::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::Browser;
use support::cloudflare::{audited, changes, faults, send, stage, value_of};

const TUNNEL: &str = "c0000000000000000000000000000001";

/// The tunnel as Cloudflare has it.
async fn tunnel(sim: &Sim) -> Value {
    let url = format!(
        "{}/accounts/{}/magic/gre_tunnels/{TUNNEL}",
        sim.api_base_url(),
        sim.config().account_id
    );
    let answer = reqwest::Client::builder()
        .build()
        .unwrap()
        .get(url)
        .bearer_auth(&sim.config().api_token)
        .send()
        .await
        .unwrap();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["result"]["gre_tunnel"].clone()
}

#[tokio::test]
async fn a_tunnel_is_changed_with_its_difference_shown_first() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let before = tunnel(&sim).await;
    let path = format!("/connectors/gre/{TUNNEL}");
    let page = otto.html(&path).await;
    let seen = value_of(&page, "seen").to_owned();
    let asked = [
        ("seen", seen.as_str()),
        ("mtu", "1400"),
        ("customer_endpoint", "192.0.2.77"),
        ("act", "review"),
    ];
    let (status, page) = send(&otto, &path, &asked).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("192.0.2.77") && page.contains("follows the customer endpoint"),
        "{page}"
    );
    assert!(page.contains("Type edge-one"), "a moved endpoint asks for the name");
    assert_eq!(changes(&sim), 0, "looking changes nothing");

    let mut sent = vec![
        ("seen", seen.as_str()),
        ("mtu", "1400"),
        ("customer_endpoint", "192.0.2.77"),
        ("act", "send"),
    ];
    sent.push(("reason", "new line, ticket 4711"));
    let (status, page) = send(&otto, &path, &sent).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        page.contains("Type edge-one to move its endpoint") && page.contains("new line, ticket 4711"),
        "input is kept"
    );
    assert_eq!(changes(&sim), 0);

    sent.push(("confirm", "edge-one"));
    let (status, page) = send(&otto, &path, &sent).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let after = tunnel(&sim).await;
    assert_eq!(
        (&after["mtu"], &after["customer_gre_endpoint"]),
        (&json!(1400), &json!("192.0.2.77"))
    );
    assert_eq!(after["health_check"]["target"], "192.0.2.77", "the probe follows");
    for kept in [
        "name",
        "interface_address",
        "ttl",
        "automatic_return_routing",
        "cloudflare_gre_endpoint",
    ] {
        assert_eq!(after[kept], before[kept], "{kept} stays");
    }
    let row = audited(&site).await;
    assert_eq!(
        (row.actor.as_str(), row.action.as_str(), row.result.as_str()),
        ("otto", "connector.change", "ok")
    );
    assert!(row.before.unwrap().contains("1476") && row.after.unwrap().contains("1400"));
    assert_eq!(row.reason.as_deref(), Some("new line, ticket 4711"));

    // The second of two people: what they saw is gone.
    let (status, page) = send(
        &otto,
        &path,
        &[("seen", &seen), ("mtu", "1300"), ("act", "send"), ("reason", "mine")],
    )
    .await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(page.contains("Somebody changed it since you opened it"), "{page}");
    assert_eq!(tunnel(&sim).await["mtu"], 1400);
}

#[tokio::test]
async fn nobody_without_the_role_changes_anything() {
    let (sim, site) = stage().await;
    let ana = site.member("ana", Role::Viewer).await;
    for path in [
        format!("/connectors/gre/{TUNNEL}"),
        "/mnm-rules/new".to_owned(),
        "/rule-changes".to_owned(),
    ] {
        let (status, _) = ana.page(&path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        let (status, _) = send(&ana, &path, &[("act", "send"), ("reason", "because"), ("change", "1")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    for page in ["/connectors", "/mnm-rules", "/readiness"] {
        assert!(!ana.html(page).await.contains(">Change "), "{page} offers nothing");
    }
    assert_eq!(changes(&sim), 0);
}

#[tokio::test]
async fn every_failure_of_cloudflare_is_told_and_changes_nothing() {
    for (name, kind) in faults() {
        for method in ["GET", "PUT"] {
            let (sim, site) = stage().await;
            let otto = site.member("otto", Role::Operator).await;
            let path = format!("/connectors/gre/{TUNNEL}");
            let seen = value_of(&otto.html(&path).await, "seen").to_owned();
            let what = format!("{name} of {method}");
            sim.set_fault(
                FaultSpec::new(Target::Rest, kind.clone())
                    .method(method)
                    .path("/gre_tunnels/"),
            );
            let fields = [
                ("seen", seen.as_str()),
                ("mtu", "1400"),
                ("act", "send"),
                ("reason", "ticket 4711"),
            ];
            let (status, page) = send(&otto, &path, &fields).await;
            assert!(status.is_client_error() || status.is_server_error(), "{what}: {status}");
            assert!(
                page.contains("ticket 4711") && page.contains("1400"),
                "{what}: input is kept"
            );
            sim.clear_faults();
            assert_eq!(tunnel(&sim).await["mtu"], 1476, "{what}: nothing is half written");
            let row = audited(&site).await;
            assert_eq!(row.action, "connector.change", "{what}");
            assert_ne!(row.result, "ok", "{what}");
            if method == "GET" {
                assert!(
                    row.result.starts_with("refused: nothing was sent"),
                    "{what}: {}",
                    row.result
                );
                assert_eq!(changes(&sim), 0, "{what}: never a write after a failed read");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_never_healthy_or_empty() {
    for (name, kind) in faults() {
        let (sim, site) = stage().await;
        let otto = site.member("otto", Role::Operator).await;
        sim.set_fault(FaultSpec::new(Target::Rest, kind.clone()));
        sim.set_fault(FaultSpec::new(Target::Graphql, kind));
        let page = otto.html("/connectors").await;
        assert!(
            page.contains("cannot be read") && !page.contains("The account has none"),
            "{name}"
        );
        assert!(!page.contains("t-good\"><svg") || !page.contains(">healthy<"), "{name}");
        let page = otto.html("/mnm-rules").await;
        assert!(
            page.contains("cannot be read") && !page.contains("The account has none"),
            "{name}"
        );
        let ready = otto.json("/api/readiness").await;
        for prefix in ready["readiness"]["prefixes"].as_array().unwrap() {
            assert_ne!(prefix["answer"], "fine", "{name}: {prefix}");
        }
        let summary = otto.json("/api/connectors/health-summary").await;
        assert_eq!(summary["overall_status"], "unknown", "{name}: {summary}");
        assert_eq!(summary["total"], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn old_figures_stay_with_their_age_when_the_next_read_fails() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    assert!(otto.html("/connectors").await.contains("edge-one"));
    sim.set_fault(FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    site.pass(600);
    let page = otto.html("/connectors").await;
    assert!(
        page.contains("edge-one") && page.contains("cannot be read") && page.contains("10 min"),
        "{page}"
    );
}

#[tokio::test]
async fn many_browsers_cost_the_calls_of_one() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let before = sim.requests_since(0).len();
    let pages = (0..12).map(|_| otto.html("/connectors"));
    futures_util::future::join_all(pages).await;
    let calls = sim.requests_since(0);
    let lists = calls
        .iter()
        .skip(before)
        .filter(|call| call.path.ends_with("/gre_tunnels"))
        .count();
    assert_eq!(lists, 1);
}

/// The rule that the simulator has for a network.
async fn rules(browser: &Browser) -> Vec<Value> {
    let listed = browser.json("/api/mnm-rules").await;
    let lists = listed["rules"]
        .as_object()
        .unwrap_or_else(|| panic!("{listed}"))
        .values();
    lists.flat_map(|list| list.as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn rules_of_all_kinds_are_made_changed_deleted_and_taken_back() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let before = rules(&otto).await.len();
    for (kind, extra) in [
        ("bps", vec![("bits", "2.5"), ("bits_unit", "Gbps")]),
        ("pps", vec![("packets", "0.5"), ("packets_unit", "Mpps")]),
        ("zscore", vec![("zscore_sensitivity", "low"), ("zscore_target", "bits")]),
        ("advanced_ddos", vec![("prefix_match", "subnet")]),
    ] {
        let name = format!("made-{kind}");
        let mut fields = vec![
            ("kind", kind),
            ("p:2001:db8:10::/48", "on"),
            ("automatic_advertisement", "true"),
            ("duration", "60"),
        ];
        fields.extend(extra);
        fields.extend([("name", name.as_str()), ("act", "review")]);
        let (status, page) = send(&otto, "/mnm-rules/new", &fields).await;
        assert_eq!(status, StatusCode::OK, "{kind}: {page}");
        let last = fields.len() - 1;
        fields[last] = ("act", "send");
        let (status, page) = send(&otto, "/mnm-rules/new", &fields).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{kind}: a reason is wanted");
        assert!(page.contains(&name), "{kind}: input is kept");
        fields.push(("reason", "new customer"));
        let (status, page) = send(&otto, "/mnm-rules/new", &fields).await;
        assert_eq!(status, StatusCode::FOUND, "{kind}: {page}");
    }
    let all = rules(&otto).await;
    assert_eq!(all.len(), before + 4);
    let of = |name: &str| all.iter().find(|rule| rule["name"] == name).unwrap().clone();
    assert_eq!(of("made-bps")["bandwidth_threshold"], json!(2_500_000_000.0));
    assert_eq!(of("made-pps")["packet_threshold"], json!(500_000.0));
    assert_eq!(
        (&of("made-bps")["duration_s"], &of("made-zscore")["type"]),
        (&json!(3_600), &json!("zscore"))
    );

    // A change keeps what is not touched, to the bit.
    let rule = of("made-bps");
    let path = format!("/mnm-rules/{}", rule["id"].as_str().unwrap());
    let page = otto.html(&path).await;
    assert!(
        page.contains("value=\"2.5\"") && page.contains("<option selected>Gbps"),
        "{page}"
    );
    let seen = rule["seen"].as_str().unwrap();
    let fields = [
        ("seen", seen),
        ("bits", "0.5"),
        ("bits_unit", "Gbps"),
        ("act", "send"),
        ("reason", "lower it"),
    ];
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let now = rules(&otto)
        .await
        .into_iter()
        .find(|rule| rule["name"] == "made-bps")
        .unwrap();
    assert_eq!(
        (&now["bandwidth_threshold"], &now["duration_s"]),
        (&json!(500_000_000.0), &json!(3_600))
    );
    // The second of two people is told.
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");

    // Taken back.
    let page = otto.html("/rule-changes").await;
    let change = value_of(&page, "change").to_owned();
    let (status, page) = send(
        &otto,
        "/rule-changes",
        &[("change", &change), ("reason", "it was right before")],
    )
    .await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let back = rules(&otto)
        .await
        .into_iter()
        .find(|rule| rule["name"] == "made-bps")
        .unwrap();
    assert_eq!(back["bandwidth_threshold"], json!(2_500_000_000.0));

    // Deleted by its typed name only.
    let seen = back["seen"].as_str().unwrap();
    let wrong = [
        ("seen", seen),
        ("act", "delete"),
        ("reason", "gone"),
        ("confirm", "made"),
    ];
    let (status, page) = send(&otto, &path, &wrong).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("Type made-bps"), "{page}");
    let right = [
        ("seen", seen),
        ("act", "delete"),
        ("reason", "gone"),
        ("confirm", "made-bps"),
    ];
    let (status, page) = send(&otto, &path, &right).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    assert_eq!(rules(&otto).await.len(), before + 3);
    let row = audited(&site).await;
    assert_eq!(
        (row.action.as_str(), row.subject.as_str(), row.result.as_str()),
        ("mnm.delete", "made-bps", "ok")
    );
    assert!(row.before.is_some() && row.reason.as_deref() == Some("gone"));
    drop(sim);
}

#[tokio::test]
async fn a_failure_of_cloudflare_leaves_the_rule_and_the_input() {
    for (name, kind) in faults() {
        for method in ["GET", "PATCH"] {
            let (sim, site) = stage().await;
            let otto = site.member("otto", Role::Operator).await;
            let rule = rules(&otto).await.remove(0);
            let path = format!("/mnm-rules/{}", rule["id"].as_str().unwrap());
            let what = format!("{name} of {method}");
            sim.set_fault(
                FaultSpec::new(Target::Rest, kind.clone())
                    .method(method)
                    .path("/mnm/rules/"),
            );
            let seen = rule["seen"].as_str().unwrap();
            let fields = [
                ("seen", seen),
                ("bits", "7"),
                ("bits_unit", "Gbps"),
                ("act", "send"),
                ("reason", "ticket 4711"),
            ];
            let (status, page) = send(&otto, &path, &fields).await;
            assert!(status.is_client_error() || status.is_server_error(), "{what}: {status}");
            assert!(page.contains("ticket 4711"), "{what}: input is kept");
            sim.clear_faults();
            site.pass(120);
            let now = rules(&otto)
                .await
                .into_iter()
                .find(|now| now["id"] == rule["id"])
                .unwrap();
            assert_eq!(now["bandwidth_threshold"], rule["bandwidth_threshold"], "{what}");
            if method == "GET" {
                assert_eq!(changes(&sim), 0, "{what}: never a write after a failed read");
            }
        }
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing_with_a_remedy() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let page = otto.html("/readiness").await;
    assert!(page.contains("Would diversion work now?") && page.contains(support::seed::ATTACKED));
    let answered = otto.json("/api/readiness").await;
    let account = answered["readiness"]["account"].as_array().unwrap();
    let of = |what: &str| account.iter().find(|check| check["what"] == what).unwrap();
    assert_eq!(of("credential")["answer"], "fine", "{answered}");
    for check in account {
        assert_eq!(check["answer"] == "fine", check["remedy"] == "", "{check}");
    }
    drop(sim);
}

#[tokio::test]
async fn nothing_of_cloudflare_can_write_markup() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let hostile = "<img src=x onerror=alert(1)>\"'";
    let path = format!("/connectors/gre/{TUNNEL}");
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let fields = [
        ("seen", seen.as_str()),
        ("description", hostile),
        ("act", "send"),
        ("reason", hostile),
    ];
    let (status, page) = send(&otto, &path, &fields).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    assert_eq!(tunnel(&sim).await["description"], hostile, "a quote is not cut");
    for path in ["/connectors", path.as_str()] {
        let page = otto.html(path).await;
        assert!(!page.contains("<img src=x"), "{path}");
    }
    // Cloudflare's own words are shown as text.
    let body = json!({"success": false, "errors": [{"code": 1001, "message": "<img src=x onerror=alert(2)>"}], "messages": [], "result": null});
    sim.set_fault(FaultSpec::new(
        Target::Rest,
        FaultKind::Status {
            status: 400,
            body: Some(body),
        },
    ));
    site.pass(3_600);
    let page = otto.html("/connectors").await;
    assert!(
        page.contains("img src=x onerror") && !page.contains("<img src=x"),
        "{page}"
    );
}
