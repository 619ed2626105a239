//! Tokens of programs.

use std::time::Duration;

use crate::support::{Browser, Site, seed, told};
use db::users::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// A token of this role, through the page of an admin.
async fn token(admin: &Browser, name: &str, role: &str) -> String {
    let body = json!({"act": "make", "name": name, "role": role, "days": "90"});
    let (status, told) = admin.post("/settings/tokens", &body).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told["token"].as_str().unwrap().to_owned()
}

async fn ask(site: &Site, token: &str, method: Method, path: &str, body: Option<&Value>) -> Response {
    let request = site.stranger().request(method, path).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn read(site: &Site, token: &str, path: &str) -> (StatusCode, Value) {
    told(ask(site, token, Method::GET, path, None).await).await
}

#[tokio::test]
async fn a_program_acts_under_its_own_name_and_within_its_role() {
    let site = Site::seeded().await;
    let admin = site.member("root", Role::Admin).await;
    let (viewer, operator) = (
        token(&admin, "wallboard", "viewer").await,
        token(&admin, "runbook", "operator").await,
    );
    assert_eq!(read(&site, &viewer, "/api/overview").await.0, StatusCode::OK);
    let hold = json!({"prefix": seed::ATTACKED, "reason": "the runbook says so", "for": "4h"});
    let (status, body) = told(ask(&site, &viewer, Method::POST, "/api/holds", Some(&hold)).await).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &json!("role_too_small"))
    );
    let answer = ask(&site, &operator, Method::POST, "/api/holds", Some(&hold)).await;
    assert!(!answer.headers().contains_key("set-cookie"));
    assert_eq!(answer.status(), StatusCode::OK, "no secret of a session is needed");
    let row = site.read(|tx| db::audit::newest(tx, 1)).await.remove(0);
    assert_eq!(
        (row.actor.as_str(), row.role.as_str(), row.action.as_str()),
        ("token:runbook", "operator", "hold.set")
    );
    let used = site.read(db::tokens::all).await;
    assert_eq!(used[0].last_address.as_deref(), Some("127.0.0.1"));
    assert_eq!(used[0].last_used_at, Some(site.now()));
    let file = std::fs::read(site.db.path()).unwrap();
    let digits = operator.as_bytes().strip_prefix(b"mt_").unwrap();
    assert!(
        !file.windows(digits.len()).any(|window| window == digits),
        "only its hash is kept"
    );
}

#[tokio::test]
async fn a_token_opens_the_api_and_nothing_else() {
    let site = Site::seeded().await;
    let admin = site.member("root", Role::Admin).await;
    let token = token(&admin, "everything", "admin").await;
    for path in ["/", "/settings", "/audit", "/password", "/settings/second-factor"] {
        let (status, body) = read(&site, &token, path).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::FORBIDDEN, &json!("people_only")),
            "{path}"
        );
    }
    let more = json!({"act": "make", "name": "more", "role": "admin", "days": "1"});
    for (path, body) in [
        ("/settings/tokens", &more),
        (
            "/settings/accounts",
            &json!({"act": "add", "name": "eve", "role": "admin"}),
        ),
        (
            "/api/change-password",
            &json!({"current_password": "a", "new_password": "b", "confirm_password": "b"}),
        ),
        ("/api/dashboard-prefs", &json!({"analytics_show_count": 3})),
    ] {
        let (status, told) = told(ask(&site, &token, Method::POST, path, Some(body)).await).await;
        assert!(
            status == StatusCode::FORBIDDEN || status == StatusCode::BAD_REQUEST,
            "{path}: {status} {told}"
        );
        assert_ne!(told["success"], true, "{path}");
    }
    let both = admin.request(Method::GET, "/api/overview").bearer_auth(&token);
    let (status, body) = told(both.send().await.unwrap()).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_REQUEST, &json!("mixed_credentials"))
    );
}

#[tokio::test]
async fn a_token_ends_by_its_end_by_revocation_and_never_opens_again() {
    let site = Site::seeded().await;
    let admin = site.member("root", Role::Admin).await;
    let (short, long) = (
        token(&admin, "short", "viewer").await,
        token(&admin, "long", "viewer").await,
    );
    let invalid = (StatusCode::UNAUTHORIZED, json!("invalid_token"));
    let state = async |token: &str| {
        let (status, body) = read(&site, token, "/api/stats").await;
        (status, body["code"].clone())
    };
    for bad in ["mt_", "mt_00", &format!("mt_{}", "0".repeat(64)), &short[..60]] {
        assert_eq!(state(bad).await, invalid, "{bad}");
    }
    let id = site
        .read(db::tokens::all)
        .await
        .into_iter()
        .find(|token| token.name == "short")
        .unwrap()
        .id;
    let revoke = json!({"act": "revoke", "id": id.to_string()});
    assert_eq!(admin.post("/settings/tokens", &revoke).await.0, StatusCode::OK);
    assert_eq!(admin.post("/settings/tokens", &revoke).await.0, StatusCode::NOT_FOUND);
    assert_eq!(state(&short).await, invalid);
    let again = json!({"act": "make", "name": "SHORT", "role": "viewer", "days": "1"});
    let (status, body) = admin.post("/settings/tokens", &again).await;
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("name_taken")));
    assert_eq!(state(&long).await.0, StatusCode::OK);
    site.pass(91 * 86_400);
    assert_eq!(state(&long).await, invalid);
}

#[tokio::test]
async fn only_admins_make_tokens() {
    let site = Site::seeded().await;
    let operator = site.member("otto", Role::Operator).await;
    let body = json!({"act": "make", "name": "mine", "role": "viewer", "days": "1"});
    let (status, told) = operator.post("/settings/tokens", &body).await;
    assert_eq!(
        (status, &told["code"]),
        (StatusCode::FORBIDDEN, &json!("role_too_small"))
    );
    let admin = site.member("root", Role::Admin).await;
    for (field, value) in [
        ("days", "0"),
        ("days", "366"),
        ("role", "root"),
        ("name", "a b"),
        ("name", ""),
    ] {
        let mut wrong = body.clone();
        wrong[field] = json!(value);
        assert_eq!(
            admin.post("/settings/tokens", &wrong).await.0,
            StatusCode::BAD_REQUEST,
            "{field} {value}"
        );
    }
}

#[tokio::test]
async fn the_stream_of_a_program_ends_with_its_token() {
    let site = Site::seeded().await;
    let admin = site.member("root", Role::Admin).await;
    let token = token(&admin, "wallboard", "viewer").await;
    // The stream looks after its token every ten seconds.
    let request = site.stranger().request(Method::GET, "/api/live").bearer_auth(&token);
    let mut stream = request.timeout(Duration::from_secs(120)).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    assert!(stream.chunk().await.unwrap().is_some(), "it greets");
    let revoke = json!({"act": "revoke", "id": "1"});
    assert_eq!(admin.post("/settings/tokens", &revoke).await.0, StatusCode::OK);
    let mut told = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        told.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(told.contains("event: ended"), "{told}");
}
