//! Shapes and effects of the JSON API.

use crate::support::{Plan, Site, seed, told};
use db::intents::{self, NewIntent};
use db::users::Role;
use db::{audit, holds, incidents};
use domain::ids::{BgpPrefixId, IncidentId, PrefixId};
use domain::intent::{Act, IntentState, Origin};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn of_prefix(body: &Value, prefix: &str) -> Value {
    let all = body["prefixes"].as_array().unwrap();
    all.iter()
        .find(|view| view["cidr"] == prefix)
        .unwrap_or_else(|| panic!("no {prefix}"))
        .clone()
}

#[tokio::test]
async fn prefixes_have_the_predecessors_keys_and_more() {
    let site = Site::seeded().await;
    let body = site.member("ana", Role::Viewer).await.json("/api/prefixes").await;
    insta::assert_snapshot!("prefix_under_attack", pretty(&of_prefix(&body, seed::ATTACKED)));
    insta::assert_snapshot!("prefix_calm", pretty(&of_prefix(&body, seed::CALM)));
    insta::assert_snapshot!("prefix_unreadable", pretty(&of_prefix(&body, seed::UNREADABLE)));
    for view in body["prefixes"].as_array().unwrap() {
        for key in [
            "cidr",
            "description",
            "advertised",
            "status",
            "advertised_modified_at",
            "on_demand_enabled",
            "under_attack",
            "calm_minutes",
            "time_to_withdraw",
            "dropped_packets",
            "dropped_mbps",
            "calm_last_updated",
        ] {
            assert!(view.get(key).is_some(), "{key} of {view}");
        }
    }
    let order: Vec<&str> = body["prefixes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| view["cidr"].as_str().unwrap())
        .collect();
    assert_eq!(
        order[..4],
        ["192.0.2.0/25", "192.0.2.128/25", "198.51.100.0/24", "203.0.113.0/24"],
        "by network, not by text"
    );
}

#[tokio::test]
async fn lists_have_stable_shapes() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    for (name, path) in [
        ("attacks", "/api/attacks?limit=2"),
        ("attack", "/api/attacks/7"),
        ("analytics", "/api/analytics?limit=1"),
        ("stats", "/api/stats"),
        ("incidents", "/api/incidents?limit=1"),
        ("holds", "/api/holds"),
    ] {
        insta::assert_snapshot!(name, pretty(&browser.json(path).await));
    }
    let incident = browser.json(&format!("/api/incidents/{}", seed::INCIDENT)).await;
    insta::assert_snapshot!("incident_timeline", pretty(&incident["timeline"]));
    let sent = &incident["messages"][0];
    assert_eq!(
        (&sent["kind"], &sent["state"], &sent["priority"]),
        (&json!("advertised"), &json!("sent"), &json!("high"))
    );
    assert!(sent.get("chat_id").is_none(), "which chat is nobody's business here");

    let services = browser.json("/api/services").await;
    let shown: Vec<String> = services["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| {
            format!(
                "{} {} {}",
                service["name"].as_str().unwrap(),
                service["status"].as_str().unwrap(),
                service["life"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(shown[0], "cloudflare-webhook active running");
    assert_eq!(shown[1], "cloudflare-analytics-monitor active degraded");
    assert_eq!(shown.len(), 4);
}

#[tokio::test]
async fn a_list_is_read_in_pages_without_gap_or_repetition() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    let mut seen = Vec::new();
    let mut path = "/api/attacks?limit=4".to_owned();
    loop {
        let body = browser.json(&path).await;
        seen.extend(
            body["attacks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_i64().unwrap()),
        );
        match body["next_before"].as_i64() {
            Some(before) => path = format!("/api/attacks?limit=4&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=9).rev().collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_hold_counts_at_once_and_leaves_a_record() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    let calm = seed::prefix(seed::CALM);
    let now = site.now();
    let planned = site
        .write(move |tx| {
            let new = NewIntent {
                prefix: calm,
                act: Act::Withdraw,
                origin: Origin::Automatic,
                reason: "calm is proven".into(),
                prefix_id: PrefixId::new("p"),
                bgp_prefix_id: BgpPrefixId::new("b"),
                epoch: None,
                state_version: None,
                evidence: None,
                incident: None,
                calm_s: Some(900),
                peak: None,
                systems: vec![],
                attack_began_at: None,
                attack_ended_at: None,
                force: false,
            };
            intents::file(tx, &new, now)
        })
        .await;
    let body = json!({"prefix": seed::CALM, "reason": "carrier  maintenance\n", "for": "4h"});
    let (status, told_body) = browser.post("/api/holds", &body).await;
    assert_eq!(status, StatusCode::OK, "{told_body}");
    assert_eq!(told_body["cancelled_withdrawals"], 1);
    assert_eq!(
        told_body["message"],
        "198.51.100.0/24 is held until 07:27 UTC. A withdrawal that was planned is cancelled."
    );
    let view = of_prefix(&browser.json("/api/prefixes").await, seed::CALM);
    assert_eq!(
        (&view["state"], &view["words"]),
        (&json!("held"), &json!("held by otto until 07:27 UTC"))
    );
    let intent = site.read(move |tx| intents::get(tx, planned)).await.unwrap();
    assert_eq!(intent.state, IntentState::Cancelled);
    assert_eq!(
        intent.outcome_words.as_deref(),
        Some("held by otto until 07:27 UTC: carrier maintenance")
    );

    let (status, told_body) = browser.post("/api/holds/release", &json!({"prefix": seed::CALM})).await;
    assert_eq!((status, &told_body["released"]), (StatusCode::OK, &json!(1)));
    let (status, told_body) = browser.post("/api/holds/release", &json!({"prefix": seed::CALM})).await;
    assert_eq!((status, &told_body["code"]), (StatusCode::NOT_FOUND, &json!("no_hold")));
    let rows = site.read(|tx| audit::newest(tx, 10)).await;
    let told: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {:?} {}",
                row.actor,
                row.role,
                row.action,
                row.subject,
                row.reason,
                row.address.as_deref().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "otto operator hold.release 198.51.100.0/24 None 127.0.0.1",
            "otto operator hold.set 198.51.100.0/24 Some(\"carrier maintenance\") 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn a_pause_holds_everything_and_a_release_says_what_still_holds() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    let pause = json!({"everywhere": true, "reason": "backbone work", "for": "open"});
    assert_eq!(browser.post("/api/holds", &pause).await.0, StatusCode::OK);
    let overview = browser.json("/api/overview").await;
    assert_eq!(
        (
            &overview["automation"]["word"],
            &overview["automation"]["pause"]["actor"]
        ),
        (&json!("held"), &json!("otto"))
    );
    let (status, body) = browser.post("/api/holds/release", &json!({"prefix": seed::HELD})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body["message"],
        "The hold on 192.0.2.0/25 is released. It is still held by the hold on everything."
    );
    let delete = browser
        .request(Method::DELETE, "/api/holds/everything")
        .header("x-csrf-token", &browser.csrf);
    assert_eq!(told(delete.send().await.unwrap()).await.0, StatusCode::OK);
    let now = site.now();
    assert!(site.read(move |tx| holds::in_force(tx, now)).await.is_empty());
    let line = site
        .read(|tx| incidents::timeline(tx, IncidentId(seed::INCIDENT), 50))
        .await;
    let told: Vec<&str> = line
        .iter()
        .map(|line| line.kind.as_str())
        .filter(|kind| ["held", "released"].contains(kind))
        .collect();
    assert_eq!(told, ["held", "released"], "the attack's timeline knows of it");
}

#[tokio::test]
async fn a_hold_is_never_guessed() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    let table = [
        (
            json!({"reason": "no scope", "for": "4h"}),
            StatusCode::BAD_REQUEST,
            "bad_fields",
        ),
        (
            json!({"prefix": seed::CALM, "reason": "no end"}),
            StatusCode::BAD_REQUEST,
            "end_required",
        ),
        (
            json!({"prefix": seed::CALM, "for": "4h"}),
            StatusCode::BAD_REQUEST,
            "reason_required",
        ),
        (
            json!({"prefix": "203.0.113.7/24", "reason": "host bits", "for": "4h"}),
            StatusCode::BAD_REQUEST,
            "invalid_prefix",
        ),
        (
            json!({"prefix": "198.18.0.0/15", "reason": "not ours", "for": "4h"}),
            StatusCode::NOT_FOUND,
            "unknown_prefix",
        ),
        (
            json!({"prefix": seed::CALM, "reason": "too short", "for": "5s"}),
            StatusCode::BAD_REQUEST,
            "invalid_duration",
        ),
    ];
    for (body, status, code) in table {
        let (found, told) = browser.post("/api/holds", &body).await;
        assert_eq!((found, &told["code"]), (status, &json!(code)), "{body}");
        assert!(told["error"].as_str().unwrap().ends_with('.'), "a sentence: {told}");
    }
    let now = site.now();
    assert_eq!(
        site.read(move |tx| holds::in_force(tx, now)).await.len(),
        1,
        "only the seeded one"
    );
}

#[tokio::test]
async fn a_configured_prefix_can_be_held_before_it_was_read() {
    let mapping = r#"{"prefixes": {"203.0.113.0/24": {"description": "Shop"}}}"#;
    let site = Plan::new().file("prefix_mapping.json", mapping).start().await;
    let browser = site.member("otto", Role::Operator).await;
    let body = json!({"prefix": "203.0.113.0/24", "reason": "move of the shop", "for": "open"});
    assert_eq!(browser.post("/api/holds", &body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_first_acknowledgement_stays() {
    let site = Site::seeded().await;
    let otto = site.member("otto", Role::Operator).await;
    let olga = site.member("olga", Role::Operator).await;
    let path = format!("/api/incidents/{}/acknowledge", seed::INCIDENT);
    let (status, body) = otto.post(&path, &json!({})).await;
    assert_eq!(
        (status, &body["incident"]["acknowledged_by"]),
        (StatusCode::OK, &json!("otto"))
    );
    site.pass(60);
    let (status, body) = olga.post(&path, &json!({})).await;
    assert_eq!(
        (status, &body["incident"]["acknowledged_by"]),
        (StatusCode::OK, &json!("otto"))
    );
    assert_eq!(
        olga.post("/api/incidents/999/acknowledge", &json!({})).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_program_that_has_the_situation_is_not_told_again() {
    let site = Site::seeded().await;
    let ana = site.member("ana", Role::Operator).await;
    for path in ["/api/overview", "/api/prefixes"] {
        let first = ana.request(Method::GET, path).send().await.unwrap();
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        let again = |tag: String| ana.request(Method::GET, path).header("if-none-match", tag).send();
        let known = again(tag.clone()).await.unwrap();
        assert_eq!(
            (known.status(), known.headers()["etag"].to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, tag.as_str())
        );
        assert!(known.text().await.unwrap().is_empty());

        let hold = json!({"prefix": seed::ATTACKED, "reason": format!("because of {path}"), "for": "1h"});
        let (status, _) = ana.post("/api/holds", &hold).await;
        assert!(status.is_success());
        let told = again(tag).await.unwrap();
        assert_eq!(told.status(), StatusCode::OK, "{path}: something else is the case now");
    }
    // What is left of a countdown goes on although nothing else happens.
    let first = ana.request(Method::GET, "/api/prefixes").send().await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    site.pass(7);
    let later = ana
        .request(Method::GET, "/api/prefixes")
        .header("if-none-match", tag)
        .send();
    assert_eq!(later.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_search_says_how_far_it_looked() {
    let site = Site::seeded().await;
    let otto = site.member("otto", Role::Operator).await;
    let now = site.now();
    let fill = move |tx: &db::WriteTx<'_>| {
        for number in 0..2_500_u64 {
            let row = db::audit::Entry {
                at: domain::time::minus(now, std::time::Duration::from_secs(2_500 - number)),
                actor: "shell user".into(),
                role: "shell".into(),
                via: "cloudflare-mt".into(),
                address: None,
                action: "hold.set".into(),
                subject: if number == 3 { "a needle" } else { "hay" }.into(),
                before: None,
                after: None,
                reason: None,
                result: "ok".into(),
            };
            db::audit::append(tx, &row)?;
        }
        Ok(())
    };
    site.write(fill).await;
    let mut address = "/api/audit?q=needle".to_owned();
    let mut last = Value::Null;
    for page in 0..4 {
        let answer = otto.json(&address).await;
        if !answer["audit"].as_array().unwrap().is_empty() {
            assert_eq!(
                (page, &answer["next_before"]),
                (2, &Value::Null),
                "in the last part: {answer}"
            );
            assert_eq!(answer["searched_back_to"], Value::Null);
            last = answer;
            break;
        }
        assert!(
            answer["searched_back_to"].is_string(),
            "not the end, and it says so: {answer}"
        );
        address = format!("/api/audit?q=needle&before={}", answer["next_before"]);
    }
    assert_eq!(last["audit"][0]["subject"], "a needle");
    let page = otto.html("/audit?q=needle").await;
    assert!(
        page.contains("a needle") && !page.contains("Searched back to"),
        "a page for people goes on by itself"
    );
    let page = otto.html("/audit?q=nowhere").await;
    assert!(
        page.contains("Nothing is recorded that fits."),
        "all of it was looked through"
    );
}
