//! Whole lists as files.

use crate::support::{Browser, Plan, Site, seed};
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const LISTS: [&str; 7] = [
    "attacks",
    "analytics",
    "incidents",
    "withdrawals",
    "deliveries",
    "messages",
    "audit",
];

async fn file(browser: &Browser, path: &str) -> (String, String) {
    let answer = browser.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    (name, answer.text().await.unwrap())
}

#[tokio::test]
async fn every_list_is_a_file_of_both_kinds_with_the_same_rows() {
    let site = Site::seeded().await;
    let browser = site.member("otto", Role::Operator).await;
    let body = json!({"prefix": seed::ATTACKED, "reason": "a row for the audit", "for": "4h"});
    browser.post("/api/holds", &body).await;
    for list in LISTS {
        let page = browser.json(&format!("/api/{list}?limit=500")).await;
        let key = if list == "analytics" { "events" } else { list };
        let (name, text) = file(&browser, &format!("/api/export/{list}.json")).await;
        let whole: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{list}: {error}: {text}"));
        assert_eq!(whole[key], page[key], "{list}");
        assert_eq!(whole["complete"], true);
        assert!(name.ends_with("-2026-11-22.json\""), "{name}");
        let (_, text) = file(&browser, &format!("/api/export/{list}.csv")).await;
        assert!(text.ends_with("\r\n"), "{list}");
        let rows = page[key].as_array().unwrap().len();
        assert!(
            text.matches("\r\n").count() > rows,
            "{list}: a line for each row, and the head"
        );
    }
    let (_, ours) = file(&browser, "/api/export/attacks.csv?event_type=start").await;
    assert!(ours.lines().skip(1).all(|line| line.contains(",START,")), "{ours}");
}

#[tokio::test]
async fn what_attackers_wrote_is_no_formula() {
    let fill = |tx: &db::WriteTx<'_>, now: jiff::Timestamp| {
        db::users::add(tx, "someone", "*", Role::Viewer, false, now)?;
        let hostile = "=HYPERLINK(\"https://evil.example\")".to_owned();
        let words = seed::Words {
            vector: hostile.clone(),
            policy: format!("@{hostile}"),
            ..seed::Words::default()
        };
        seed::fill(tx, &words, now)
    };
    let site = Plan::new().prepared(fill).await;
    let browser = site.member("ana", Role::Viewer).await;
    for list in ["attacks", "analytics", "incidents"] {
        let (_, text) = file(&browser, &format!("/api/export/{list}.csv")).await;
        assert!(text.contains("\"'=HYPERLINK"), "{list}: {text}");
        assert!(
            !text.contains(",=") && !text.contains("\"=") && !text.contains("\"@"),
            "{list}: {text}"
        );
    }
}

#[tokio::test]
async fn who_may_not_read_a_list_may_not_export_it() {
    let site = Site::seeded().await;
    let viewer = site.member("ana", Role::Viewer).await;
    for (path, status, code) in [
        ("/api/export/audit.csv", StatusCode::FORBIDDEN, "role_too_small"),
        ("/api/audit", StatusCode::FORBIDDEN, "role_too_small"),
        ("/api/export/users.csv", StatusCode::NOT_FOUND, "not_found"),
        ("/api/export/attacks.xml", StatusCode::NOT_FOUND, "not_found"),
        (
            "/api/export/attacks.csv?limit=3",
            StatusCode::BAD_REQUEST,
            "unknown_parameter",
        ),
    ] {
        let (found, told) = viewer.get(path).await;
        assert_eq!((found, &told["code"]), (status, &json!(code)), "{path}");
    }
}
