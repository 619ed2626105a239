//! Monitoring rules, tunnels and readiness against a simulated Cloudflare: what people do, what is refused, two people at
//! once, what cannot be read. How Cloudflare can fail a change is in `failures`.

use crate::support::Browser;
use crate::support::cloudflare::{at_cloudflare, audited, changes, faults, send, stage, value_of};
use cf_sim::{FaultKind, FaultSpec, Sim, Target};
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TUNNEL: &str = "c0000000000000000000000000000001";

/// The tunnel as Cloudflare has it.
async fn tunnel(sim: &Sim) -> Value {
    at_cloudflare(sim, &format!("/magic/gre_tunnels/{TUNNEL}")).await["gre_tunnel"].clone()
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

/// Every address where rules or connectors are changed by a form.
const FORMS: [&str; 10] = [
    "/connectors/gre/c0000000000000000000000000000001",
    "/connectors/link/c0000000000000000000000000000001",
    "/mnm-rules/new",
    "/mnm-rules/c0000000000000000000000000000001",
    "/rule-changes",
    "/ddos-rules/order",
    "/ddos-rules/ruleset",
    "/ddos-rules/category/udp",
    "/ddos-rules/rule/599dab0942ff4898ac1b7797e954e98b",
    "/ddos-rules/override/new",
];

/// The same for programs.
const CALLS: [(Method, &str); 13] = [
    (Method::POST, "/api/connectors/tunnel/x/update"),
    (Method::POST, "/api/connectors/cni/x/update"),
    (Method::POST, "/api/mnm-rules"),
    (Method::PUT, "/api/mnm-rules/x"),
    (Method::DELETE, "/api/mnm-rules/x"),
    (Method::POST, "/api/ddos-rules/x/update"),
    (Method::POST, "/api/ddos-categories/udp/update"),
    (Method::POST, "/api/ddos-ruleset/update"),
    (Method::POST, "/api/ddos-overrides"),
    (Method::PUT, "/api/ddos-overrides/x"),
    (Method::DELETE, "/api/ddos-overrides/x"),
    (Method::POST, "/api/ddos-overrides/x/move"),
    (Method::POST, "/rule-changes"),
];

#[tokio::test]
async fn nobody_without_role_or_secret_changes_anything_and_bodies_have_a_bound() {
    let (sim, site) = stage().await;
    let ana = site.member("ana", Role::Viewer).await;
    let otto = site.member("otto", Role::Operator).await;
    let fields = [
        ("act", "send"),
        ("reason", "because"),
        ("change", "1"),
        ("confirm", "everywhere"),
    ];
    let mut without = otto.clone();
    without.csrf = "another".into();
    let large = "x".repeat(40_000);
    for path in FORMS {
        if path != "/ddos-rules/order" {
            let (status, _) = ana.page(path).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
        let (status, page) = send(&ana, path, &fields).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {page}");
        let (status, page) = send(&without, path, &fields).await;
        assert_eq!(
            status,
            StatusCode::FORBIDDEN,
            "without the session's secret, {path}: {page}"
        );
        let (status, _) = send(&otto, path, &[("reason", large.as_str())]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    for (method, path) in CALLS {
        let ask = |who: &Browser, body: Value| {
            let request = who.request(method.clone(), path).header("x-csrf-token", &who.csrf);
            request.json(&body).send()
        };
        let body = json!({"seen": "1", "reason": "because", "confirm": "everywhere"});
        assert_eq!(
            ask(&ana, body.clone()).await.unwrap().status(),
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
        assert_eq!(
            ask(&without, body).await.unwrap().status(),
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
        let status = ask(&otto, json!({"reason": large})).await.unwrap().status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{method} {path}");
    }
    for page in ["/connectors", "/mnm-rules", "/readiness", "/ddos-rules"] {
        let page = ana.html(page).await;
        assert!(
            !page.contains(">Change ") && !page.contains(">Set ") && !page.contains("order-form"),
            "it offers nothing"
        );
    }
    assert_eq!(changes(&sim), 0);
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
async fn readiness_names_what_is_missing_with_a_remedy() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let page = otto.html("/readiness").await;
    assert!(page.contains("Would diversion work now?") && page.contains(crate::support::seed::ATTACKED));
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

#[tokio::test]
async fn what_is_dropped_stands_beside_the_threshold_in_its_unit() {
    let (sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let make = |name: &'static str, prefix: &'static str, bits: &'static str| {
        let otto = otto.clone();
        async move {
            let fields = [
                ("kind", "bps"),
                ("bits", bits),
                ("bits_unit", "Gbps"),
                ("prefixes", prefix),
                ("automatic_advertisement", "true"),
                ("duration", "5"),
                ("name", name),
                ("act", "send"),
                ("reason", "ticket 4711"),
            ];
            let (status, page) = send(&otto, "/mnm-rules/new", &fields).await;
            assert_eq!(status, StatusCode::FOUND, "{page}");
        }
    };
    // The seeded attack: 610,000 packets of 6,720 bits each second at its height, 4.1 Gbps.
    make("attacked", crate::support::seed::ATTACKED, "2").await;
    make("nobody-read", "2001:db8:77::/48", "2").await;
    let page = otto.html("/mnm-rules").await;
    let row = |name: &str| {
        let (_, rest) = page
            .split_once(&format!("<strong>{name}</strong>"))
            .unwrap_or_else(|| panic!("{page}"));
        rest.split("</tr>").next().unwrap().to_owned()
    };
    let attacked = row("attacked");
    assert!(
        attacked.contains("4.1 Gbps, 205 % of it, 2.1 Gbps above") && attacked.contains("at least"),
        "{attacked}"
    );
    assert!(attacked.contains(" ago"), "now has an age: {attacked}");
    let unread = row("nobody-read");
    assert_eq!(unread.matches("not known").count(), 2, "{unread}");
    let told = otto.json("/api/mnm-rules").await;
    let rules = told["rules"]["threshold"].as_array().unwrap();
    let of = |name: &str| rules.iter().find(|rule| rule["name"] == name).unwrap()["dropped"].clone();
    assert!(of("attacked")["peak"]["packets_per_second"].as_f64().unwrap() > 600_000.0);
    assert_eq!(
        (&of("nobody-read")["now"], &of("nobody-read")["peak"]),
        (&Value::Null, &Value::Null)
    );
    let id = rules.iter().find(|rule| rule["name"] == "attacked").unwrap()["id"]
        .as_str()
        .unwrap();
    let form = otto.html(&format!("/mnm-rules/{id}")).await;
    assert!(form.contains("Beside 2 Gbps: dropped now"), "{form}");
    drop(sim);
}
