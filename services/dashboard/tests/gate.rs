//! What stands in front of everything: origin and secret of changes, roles, networks, headers, limits, errors.

use crate::support::{Plan, Site, seed, told};
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn hold() -> Value {
    json!({"prefix": seed::CALM, "reason": "carrier maintenance", "for": "4h"})
}

async fn holds(site: &Site) -> usize {
    let now = site.now();
    site.read(move |tx| db::holds::in_force(tx, now)).await.len()
}

#[tokio::test]
async fn a_change_needs_the_sessions_secret_and_our_own_page() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Operator).await;
    let before = holds(&site).await;
    let post = || browser.request(Method::POST, "/api/holds").json(&hold());

    let (status, body) = told(post().send().await.unwrap()).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("csrf_refused")));
    let wrong = post().header("x-csrf-token", "the-secret-of-another");
    assert_eq!(told(wrong.send().await.unwrap()).await.0, StatusCode::FORBIDDEN);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let foreign = post().header("x-csrf-token", &browser.csrf).header(name, value);
        let (status, body) = told(foreign.send().await.unwrap()).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::FORBIDDEN, &json!("foreign_origin")),
            "{name}: {value}"
        );
    }
    let fields = [("prefix", seed::CALM), ("reason", "carrier maintenance"), ("for", "4h")];
    assert_eq!(
        browser.form("/api/holds", &fields).await.status(),
        StatusCode::FORBIDDEN,
        "a form without the secret"
    );
    assert_eq!(holds(&site).await, before, "nothing of it was done");

    let ours = post()
        .header("x-csrf-token", &browser.csrf)
        .header("sec-fetch-site", "same-origin");
    assert_eq!(told(ours.send().await.unwrap()).await.0, StatusCode::OK);
    let with_secret = [fields.as_slice(), &[("csrf", browser.csrf.as_str())]].concat();
    assert_eq!(
        browser.form("/api/holds", &with_secret).await.status(),
        StatusCode::FOUND
    );
    assert_eq!(holds(&site).await, before + 2);
    // A form that is refused is answered with a page.
    let empty = [
        ("prefix", seed::CALM),
        ("for", "4h"),
        ("reason", ""),
        ("csrf", browser.csrf.as_str()),
    ];
    let answer = browser.form("/api/holds", &empty).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("<h1>That did not work</h1>"));
}

#[tokio::test]
async fn a_login_from_another_site_is_refused() {
    let site = Plan::new().start().await;
    let request = site
        .stranger()
        .request(Method::POST, "/login")
        .header("sec-fetch-site", "cross-site");
    let answer = request
        .json(&json!({"username": "a", "password": "b"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn viewers_look_and_operators_act() {
    let site = Site::seeded().await;
    let viewer = site.member("vera", Role::Viewer).await;
    for (path, body) in [
        ("/api/holds", hold()),
        ("/api/holds/release", json!({"prefix": seed::HELD})),
        ("/api/incidents/4/acknowledge", json!({})),
    ] {
        let (status, told) = viewer.post(path, &body).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::FORBIDDEN, &json!("role_too_small")),
            "{path}"
        );
    }
    let delete = viewer
        .request(Method::DELETE, &format!("/api/holds/{}", seed::HELD))
        .header("x-csrf-token", &viewer.csrf);
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let page = viewer.html("/").await;
    assert!(!page.contains("/api/holds"), "no act is offered to a viewer");
    let operator = site.member("otto", Role::Operator).await;
    assert!(operator.html("/").await.contains(r#"action="/api/holds""#));
    assert_eq!(operator.post("/api/holds", &hold()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    for path in ["/", "/login", "/api/overview", "/nothing", "/api/nothing", "/health"] {
        let answer = browser
            .request(Method::GET, path)
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap())
                .unwrap_or_default()
        };
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("strict-transport-security"), "", "{path}: only behind https");
    }
}

#[tokio::test]
async fn pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Admin).await;
    for path in ["/", "/incidents", "/incidents/4", "/password", "/nothing"] {
        let (_, page) = browser.page(path).await;
        let lower = page.to_lowercase();
        for forbidden in [
            "<style",
            " style=",
            "javascript:",
            "http://",
            "https://",
            "<script>",
            "srcdoc",
            "<iframe",
        ] {
            assert!(!lower.contains(forbidden), "{path} contains {forbidden}");
        }
        let handlers = lower.split('<').filter(|tag| {
            tag.split('>').next().is_some_and(|head| {
                head.contains(" on")
                    && head.contains("=\"")
                    && head
                        .split_whitespace()
                        .any(|word| word.starts_with("on") && word.contains('='))
            })
        });
        assert_eq!(handlers.count(), 0, "{path} has inline handlers");
    }
}

#[tokio::test]
async fn static_files_are_cached_for_good_under_their_hash_and_compressed() {
    let site = Plan::new().start().await;
    let page = site.stranger().html("/login").await;
    let (_, rest) = page.split_once(r#"href="/assets/"#).unwrap();
    let hash = rest.split('/').next().unwrap();
    let get = |path: String| {
        site.stranger()
            .request(Method::GET, &path)
            .header("accept-encoding", "gzip")
    };
    let answer = get(format!("/assets/{hash}/style.css")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let small = answer.bytes().await.unwrap().len();
    let plain = site
        .stranger()
        .request(Method::GET, &format!("/assets/{hash}/style.css"))
        .send()
        .await
        .unwrap();
    assert!(plain.headers().get("content-encoding").is_none());
    assert!(plain.bytes().await.unwrap().len() > small * 2);
    for missing in [
        format!("/assets/{hash}/nothing.js"),
        "/assets/0123456789abcdef/style.css".into(),
        format!("/assets/{hash}/../Cargo.toml"),
    ] {
        let answer = get(missing.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{missing}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn errors_have_one_shape_for_programs_and_a_page_for_people() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Operator).await;
    let (status, body) = browser.get("/api/nothing").await;
    assert_eq!(
        (status, &body["code"], &body["success"]),
        (StatusCode::NOT_FOUND, &json!("not_found"), &json!(false))
    );
    let answer = browser
        .request(Method::DELETE, "/api/prefixes")
        .header("x-csrf-token", &browser.csrf)
        .send()
        .await
        .unwrap();
    assert!(answer.headers()["allow"].to_str().unwrap().contains("GET"));
    let (status, body) = told(answer).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed"))
    );
    for (path, code) in [
        ("/api/attacks?limit=-1", "invalid_limit"),
        ("/api/attacks?limit=501", "invalid_limit"),
        ("/api/analytics?limit=abc", "invalid_limit"),
        ("/api/incidents?before=0", "invalid_before"),
    ] {
        let (status, body) = browser.get(path).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{path}"
        );
    }
    assert_eq!(browser.get("/api/attacks/999999").await.0, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/api/incidents/abc").await.0, StatusCode::BAD_REQUEST);
    let (status, page) = browser.page("/incidents/999999").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        page.contains("There is no such incident.") && page.contains("Sign out"),
        "{page}"
    );
    let (status, page) = site.stranger().page("/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!page.contains("Sign out"));
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_what_they_say() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Operator).await;
    let post = |kind: &'static str, body: String| {
        let request = browser
            .request(Method::POST, "/api/holds")
            .header("x-csrf-token", &browser.csrf);
        request.header("content-type", kind).body(body)
    };
    let huge = json!({"prefix": seed::CALM, "for": "4h", "reason": "x".repeat(20_000)}).to_string();
    let table = [
        ("application/json", huge, StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        ("application/json", "{".to_owned(), StatusCode::BAD_REQUEST, "bad_json"),
        ("application/json", "[]".to_owned(), StatusCode::BAD_REQUEST, "bad_json"),
        (
            "application/json",
            r#"{"reason": {}}"#.to_owned(),
            StatusCode::BAD_REQUEST,
            "bad_fields",
        ),
        (
            "text/plain",
            "{}".to_owned(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
        ),
    ];
    for (kind, body, status, code) in table {
        let (found, told) = told(post(kind, body).send().await.unwrap()).await;
        assert_eq!((found, &told["code"]), (status, &json!(code)));
    }
    let login = site
        .stranger()
        .request(Method::POST, "/login")
        .json(&json!(["not", "an", "object"]));
    assert_eq!(told(login.send().await.unwrap()).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn networks_that_are_not_allowed_see_nothing_but_the_watchdog_does() {
    let plan = Plan::new().set(
        "/dashboard/allowed_networks",
        json!(["198.51.100.0/24", "2001:db8::/32"]),
    );
    let site = plan.start().await;
    let from = |address: &str, path: &str| {
        site.stranger()
            .request(Method::GET, path)
            .header("x-forwarded-for", address.to_owned())
    };
    let status = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status() };
    assert_eq!(status(from("198.51.100.7", "/login")).await, StatusCode::OK);
    assert_eq!(status(from("2001:db8::7", "/login")).await, StatusCode::OK);
    assert_eq!(
        status(from("198.51.100.7, 203.0.113.9", "/login")).await,
        StatusCode::FORBIDDEN,
        "what the client wrote counts nothing"
    );
    assert_eq!(status(from("203.0.113.9", "/health")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(from("rubbish", "/login")).await, StatusCode::FORBIDDEN);
    assert_eq!(
        status(site.stranger().request(Method::GET, "/login")).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status(site.stranger().request(Method::GET, "/health")).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_link_from_a_message_finds_the_session_again() {
    let site = Site::seeded().await;
    let browser = site.member("ana", Role::Viewer).await;
    // Followed from another site the strict cookie is not sent.
    let first = site
        .stranger()
        .request(Method::GET, "/incidents/4")
        .header("accept", "text/html")
        .header("sec-fetch-site", "cross-site");
    let answer = first.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains(r#"http-equiv="refresh" content="0; url=/incidents/4""#),
        "{page}"
    );
    assert!(!page.contains("UDP flood"), "it shows nothing itself");
    // The second step comes from our own page.
    assert!(browser.html("/incidents/4").await.contains("UDP flood"));
    let nobody = site
        .stranger()
        .request(Method::GET, "/incidents/4")
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(
        nobody.send().await.unwrap().status(),
        StatusCode::FOUND,
        "who has no session goes to the login"
    );
}

#[tokio::test]
async fn health_and_metrics_are_there() {
    let site = Site::seeded().await;
    let health = site.stranger().json("/health").await;
    assert_eq!(health["service"], "cloudflare-dashboard");
    assert!(
        health["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|check| check["name"] == "pages"),
        "{health}"
    );
    let metrics = site
        .stranger()
        .request(Method::GET, "/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("cloudflare_mt_dashboard_failed_logins_total 0"),
        "{metrics}"
    );
    let report = site.stop().await;
    assert_eq!(report.code(), 0, "{:?}", report.failure);
}
