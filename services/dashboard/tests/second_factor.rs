//! Second factors: setting one up, being asked for it, losing it.

use crate::support::{Browser, PASSWORD, Plan, Site};
use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;
use totp_rs::{Algorithm, Secret, TOTP};

const PAGE: &str = "/settings/second-factor";

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split(end).next().unwrap()
}

/// What the telephone shows at the site's time.
fn code(site: &Site, secret: &str) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, 30, bytes).unwrap();
    totp.generate(u64::try_from(site.now().as_second()).unwrap())
}

async fn send(browser: &Browser, fields: &[(&str, &str)]) -> (StatusCode, String) {
    let mut all = vec![("csrf", browser.csrf.as_str())];
    all.extend(fields);
    let answer = browser.form(PAGE, &all).await;
    (answer.status(), answer.text().await.unwrap())
}

/// An account with a second factor: its browser, the secret, the codes on paper.
async fn enrolled(site: &Site) -> (Browser, String, Vec<String>) {
    site.account("ana", PASSWORD, Role::Operator).await;
    let mut browser = site.stranger();
    assert_eq!(browser.log_in("ana", PASSWORD).await.status(), StatusCode::OK);
    browser.learn_secret().await;
    let (status, _) = send(&browser, &[("act", "begin"), ("current_password", "not the password")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a session alone sets nothing up");
    let (status, page) = send(&browser, &[("act", "begin"), ("current_password", PASSWORD)]).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let secret = between(&page, r#"<code class="secret">"#, "</code>").replace(' ', "");
    assert!(page.contains("<svg class=\"qr\""), "a picture for the telephone");
    let (status, _) = send(&browser, &[("act", "confirm"), ("code", "000000")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, page) = send(&browser, &[("act", "confirm"), ("code", &code(site, &secret))]).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let codes = page
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned());
    let codes: Vec<String> = codes.collect();
    assert_eq!(codes.len(), 10);
    (browser, secret, codes)
}

/// A browser that has given the password.
async fn half(site: &Site) -> Browser {
    let mut browser = site.stranger();
    let fields = [("username", "ana"), ("password", PASSWORD), ("next", "/incidents")];
    let answer = browser.form("/login", &fields).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(answer.headers()["location"], "/second-factor?next=%2Fincidents");
    browser.keep(&answer);
    let page = browser.html("/second-factor?next=/incidents").await;
    browser.csrf = between(&page, r#"name="csrf" value=""#, "\"").to_owned();
    browser
}

async fn give(browser: &Browser, code: &str) -> reqwest::Response {
    let fields = [("csrf", browser.csrf.as_str()), ("code", code), ("next", "/incidents")];
    browser.form("/second-factor", &fields).await
}

#[tokio::test]
async fn the_password_alone_is_not_enough_any_more() {
    let site = Plan::new().start().await;
    let (first, secret, _) = enrolled(&site).await;
    assert_eq!(
        first.page("/").await.0,
        StatusCode::OK,
        "the session that set it up goes on"
    );
    let mut browser = half(&site).await;
    for path in ["/", "/incidents", "/settings", PAGE, "/password"] {
        let (status, _) = browser.page(path).await;
        assert_eq!(status, StatusCode::FOUND, "{path}");
    }
    let (status, told) = browser.get("/api/overview").await;
    assert_eq!(
        (status, &told["code"]),
        (StatusCode::UNAUTHORIZED, &json!("second_factor_required"))
    );
    assert_eq!(
        give(&browser, &code(&site, &secret)).await.status(),
        StatusCode::UNAUTHORIZED,
        "used to set it up"
    );
    site.pass(30);
    let answer = give(&browser, &code(&site, &secret)).await;
    assert_eq!(
        (answer.status(), answer.headers()["location"].to_str().unwrap()),
        (StatusCode::FOUND, "/incidents")
    );
    let old = browser.clone();
    browser.keep(&answer);
    assert_ne!(browser.cookie, old.cookie, "a new session");
    assert_eq!(browser.page("/").await.0, StatusCode::OK);
    assert_eq!(old.page("/").await.0, StatusCode::FOUND, "the half one is gone");
    let rows = site.read(|tx| db::audit::newest(tx, 20)).await;
    let told: Vec<&str> = rows.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(
        told,
        [
            "login",
            "second_factor.begin",
            "second_factor.set",
            "login.failed",
            "login"
        ]
    );
    assert_eq!(rows[0].after.as_deref(), Some("with a second factor"));
}

#[tokio::test]
async fn a_program_gives_it_with_the_password() {
    let site = Plan::new().start().await;
    let (_, secret, codes) = enrolled(&site).await;
    site.pass(30);
    let try_with = |code: Option<String>| {
        let browser = site.stranger();
        async move {
            let body = json!({"username": "ana", "password": PASSWORD, "code": code});
            let answer = browser
                .request(Method::POST, "/login")
                .json(&body)
                .send()
                .await
                .unwrap();
            let has_cookie = answer.headers().contains_key("set-cookie");
            let (status, told) = crate::support::told(answer).await;
            (status, told["code"].as_str().unwrap_or_default().to_owned(), has_cookie)
        }
    };
    let refused = |code: &str| (StatusCode::UNAUTHORIZED, code.to_owned(), false);
    assert_eq!(try_with(None).await, refused("second_factor_required"));
    assert_eq!(try_with(Some("123".into())).await, refused("wrong_second_factor"));
    assert_eq!(
        try_with(Some(code(&site, &secret))).await,
        (StatusCode::OK, String::new(), true)
    );
    assert_eq!(
        try_with(Some(code(&site, &secret))).await,
        refused("wrong_second_factor"),
        "each works once"
    );
    assert_eq!(
        try_with(Some(codes[4].to_uppercase())).await,
        (StatusCode::OK, String::new(), true)
    );
    assert_eq!(
        try_with(Some(codes[4].clone())).await,
        refused("wrong_second_factor"),
        "also on paper"
    );
}

#[tokio::test]
async fn guesses_cost_time_and_are_recorded() {
    let site = Plan::new().start().await;
    let (_, secret, _) = enrolled(&site).await;
    site.pass(60);
    let browser = half(&site).await;
    for _ in 0..5 {
        assert_eq!(give(&browser, "000000").await.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = give(&browser, &code(&site, &secret)).await;
    assert_eq!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "not even the right one is looked at"
    );
    assert!(answer.headers().contains_key("retry-after"));
    site.pass(3);
    assert_eq!(give(&browser, &code(&site, &secret)).await.status(), StatusCode::FOUND);
    let rows = site.read(|tx| db::audit::newest(tx, 20)).await;
    let wrong = rows
        .iter()
        .filter(|row| row.result == "refused: wrong second factor")
        .count();
    assert_eq!(wrong, 5);
    site.pass(301);
    assert_eq!(half(&site).await.page("/").await.0, StatusCode::FOUND);
}

#[tokio::test]
async fn it_is_taken_away_only_with_a_code_or_by_an_admin() {
    let site = Plan::new().start().await;
    let (browser, secret, codes) = enrolled(&site).await;
    let (status, _) = send(&browser, &[("act", "remove"), ("code", "000000")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, page) = send(&browser, &[("act", "renew"), ("code", &codes[0])]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!page.contains(&codes[1]), "new ones");
    let (status, _) = send(&browser, &[("act", "remove"), ("code", &codes[1])]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the old ones are void");
    site.pass(30);
    let (status, _) = send(&browser, &[("act", "remove"), ("code", &code(&site, &secret))]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(site.stranger().log_in("ana", PASSWORD).await.status(), StatusCode::OK);

    let (status, page) = send(&browser, &[("act", "begin"), ("current_password", PASSWORD)]).await;
    assert_eq!(status, StatusCode::OK);
    let secret = between(&page, r#"<code class="secret">"#, "</code>").replace(' ', "");
    let (status, _) = send(&browser, &[("act", "confirm"), ("code", &code(&site, &secret))]).await;
    assert_eq!(status, StatusCode::OK);
    let admin = site.member("root", Role::Admin).await;
    let (status, told) = admin
        .post("/settings/accounts", &json!({"act": "drop_factor", "name": "ana"}))
        .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(browser.page("/").await.0, StatusCode::FOUND, "its sessions are ended");
    assert_eq!(site.stranger().log_in("ana", PASSWORD).await.status(), StatusCode::OK);
}
