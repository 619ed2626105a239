//! Signing in and out, the first account, passwords, the life of a session.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{PASSWORD, Plan, Site, told};
use db::users::{self, Role};
use db::{audit, sessions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The predecessor's password; its policy was laxer.
const OLD: &str = "old-secret";

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn actions(site: &Site) -> Vec<String> {
    let rows = site.read(|tx| audit::newest(tx, 50)).await;
    rows.into_iter()
        .rev()
        .map(|row| format!("{} {} {}", row.action, row.subject, row.result))
        .collect()
}

#[tokio::test]
async fn a_login_by_json_opens_a_session_and_logout_ends_it() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Operator).await;
    let mut browser = site.stranger();
    let (status, body) = browser.get("/api/prefixes").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        body,
        json!({"success": false, "error": "Authentication required", "code": "authentication_required"})
    );

    let answer = browser.log_in("ANA ", OLD).await;
    let cookie = header(&answer, "set-cookie").to_owned();
    assert_eq!(
        told(answer).await,
        (StatusCode::OK, json!({"success": true, "message": "Login successful"}))
    );
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"),
        "{cookie}"
    );
    assert!(cookie.starts_with("magic-transit="), "{cookie}");
    assert_eq!(browser.get("/api/prefixes").await.0, StatusCode::OK);

    let kept = browser.clone();
    browser.learn_secret().await;
    let csrf = browser.csrf.clone();
    let answer = browser.form("/logout", &[("csrf", &csrf)]).await;
    assert_eq!(
        (answer.status(), header(&answer, "location")),
        (StatusCode::FOUND, "/login")
    );
    assert!(header(&answer, "set-cookie").contains("Max-Age=0"));
    assert_eq!(
        kept.get("/api/prefixes").await.0,
        StatusCode::UNAUTHORIZED,
        "a copy of the cookie opens nothing"
    );
    assert_eq!(actions(&site).await, ["login ana ok", "logout ana ok"]);
}

#[tokio::test]
async fn a_form_comes_back_to_where_the_person_wanted_to_go() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    let (status, _) = browser.page("/incidents?before=9").await;
    assert_eq!(status, StatusCode::FOUND);
    let answer = browser
        .request(Method::GET, "/incidents?before=9")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&answer, "location"), "/login?next=%2Fincidents%3Fbefore%3D9");
    let page = browser.html("/login?next=%2Fincidents%3Fbefore%3D9").await;
    assert!(page.contains(r#"name="next" value="/incidents?before=9""#), "{page}");
    assert!(!page.contains("Example Networks"), "nothing is told to strangers");

    let wrong = browser
        .form("/login", &[("username", "ana"), ("password", "no"), ("next", "/x")])
        .await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(header(&wrong, "set-cookie").is_empty());
    assert!(
        wrong
            .text()
            .await
            .unwrap()
            .contains("The name or the password is wrong.")
    );

    let fields = [("username", "ana"), ("password", OLD), ("next", "/incidents?before=9")];
    let answer = browser.form("/login", &fields).await;
    assert_eq!(
        (answer.status(), header(&answer, "location")),
        (StatusCode::FOUND, "/incidents?before=9")
    );
    browser.keep(&answer);
    let again = browser
        .request(Method::GET, "/login?next=//evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (again.status(), header(&again, "location")),
        (StatusCode::FOUND, "/"),
        "who is in needs no login"
    );
}

#[tokio::test]
async fn behind_https_the_cookie_is_bound_to_the_host() {
    let site = Plan::new()
        .set("/dashboard/public_url", json!("https://noc.example.net"))
        .start()
        .await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    let answer = browser.log_in("ana", OLD).await;
    let cookie = header(&answer, "set-cookie");
    assert!(
        cookie.starts_with("__Host-magic-transit=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    assert_eq!(header(&answer, "strict-transport-security"), "max-age=31536000");
    assert_eq!(browser.get("/api/prefixes").await.0, StatusCode::OK);
}

#[tokio::test]
async fn sessions_never_cross_a_network_in_the_clear() {
    let plan = Plan::new().set("/dashboard/listen", json!("0.0.0.0:0"));
    let report = plan.start().await.ended().await;
    assert_eq!(report.code(), 78);
    let failure = format!("{:#}", report.failure.expect("a failure"));
    assert!(failure.contains("dashboard.public_url"), "{failure}");
}

#[tokio::test]
async fn guessing_is_slowed_down_per_account_and_forgiven_by_a_good_login() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    for _ in 0..5 {
        let (status, body) = told(browser.log_in("ana", "guess").await).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("invalid_credentials"))
        );
    }
    let answer = browser.log_in("ana", OLD).await;
    assert_eq!(header(&answer, "retry-after"), "2");
    let (status, body) = told(answer).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("too_many_attempts"))
    );
    let form = browser.form("/login", &[("username", "ana"), ("password", OLD)]).await;
    assert_eq!(form.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(form.text().await.unwrap().contains("Try again in 2 s"));

    site.pass(3);
    assert_eq!(
        told(browser.log_in("ana", "guess").await).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        told(browser.log_in("ana", OLD).await).await.1["retry_after_s"],
        4,
        "doubled"
    );
    // The wait is over although refused tries went on: refusals count nothing.
    site.pass(4);
    assert_eq!(browser.log_in("ana", OLD).await.status(), StatusCode::OK);
    assert_eq!(
        told(browser.log_in("ana", "guess").await).await.0,
        StatusCode::UNAUTHORIZED,
        "forgiven"
    );
    let failed = actions(&site)
        .await
        .iter()
        .filter(|row| row.starts_with("login.failed ana"))
        .count();
    assert_eq!(failed, 7);
}

#[tokio::test]
async fn guessing_many_names_is_slowed_down_per_address() {
    let site = Plan::new().start().await;
    let mut browser = site.stranger();
    for number in 0..13 {
        let status = browser.log_in(&format!("name{number}"), "guess").await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{number}");
    }
    assert_eq!(
        browser.log_in("somebody", "guess").await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    let elsewhere = browser
        .request(Method::POST, "/login")
        .header("x-forwarded-for", "198.51.100.7");
    let answer = elsewhere
        .json(&json!({"username": "somebody", "password": "guess"}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::UNAUTHORIZED,
        "another address behind the proxy"
    );
}

#[tokio::test]
async fn a_disabled_account_looks_like_a_wrong_password_and_its_sessions_end() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    assert_eq!(browser.log_in("ana", OLD).await.status(), StatusCode::OK);
    site.write(|tx| users::set_disabled(tx, "ana", true)).await;
    assert_eq!(browser.get("/api/overview").await.0, StatusCode::UNAUTHORIZED);
    let disabled = told(browser.log_in("ana", OLD).await).await;
    let unknown = told(browser.log_in("nobody", OLD).await).await;
    assert_eq!(disabled, unknown);
}

#[tokio::test]
async fn a_login_begins_a_new_session_and_ends_the_old_one() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    browser.log_in("ana", OLD).await;
    let first = browser.clone();
    browser.log_in("ana", OLD).await;
    assert_ne!(first.cookie, browser.cookie);
    assert_eq!(first.get("/api/overview").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.get("/api/overview").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_age_whatever_happens() {
    let plan = Plan::new()
        .set("/dashboard/session_idle", json!("30m"))
        .set("/dashboard/session_max", json!("2h"));
    let site = plan.start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    browser.log_in("ana", OLD).await;
    // Used every 20 minutes it lives for two hours and not longer.
    for minute in (20..120).step_by(20) {
        site.pass(20 * 60);
        assert_eq!(browser.get("/api/overview").await.0, StatusCode::OK, "minute {minute}");
    }
    site.pass(20 * 60);
    assert_eq!(
        browser.get("/api/overview").await.0,
        StatusCode::UNAUTHORIZED,
        "its age"
    );

    browser.log_in("ana", OLD).await;
    site.pass(20 * 60);
    let quiet = browser
        .request(Method::GET, "/api/overview")
        .header("x-unattended", "1")
        .send()
        .await
        .unwrap();
    assert_eq!(quiet.status(), StatusCode::OK);
    site.pass(11 * 60);
    assert_eq!(
        browser.get("/api/overview").await.0,
        StatusCode::UNAUTHORIZED,
        "a page that refreshes itself is no use"
    );
    let page = browser
        .request(Method::GET, "/")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&page, "location"), "/login");
    assert!(header(&page, "set-cookie").contains("Max-Age=0"));
}

#[tokio::test]
async fn the_first_account_has_a_one_time_password_that_must_be_replaced() {
    let site = Plan::new().empty().await;
    let file = site.password_file();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let one_time = text
        .lines()
        .find_map(|line| line.strip_prefix("password: "))
        .expect("a password")
        .to_owned();

    let mut browser = site.stranger();
    assert_eq!(
        browser.log_in("admin", "admin").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(browser.log_in("admin", &one_time).await.status(), StatusCode::OK);
    let page = browser
        .request(Method::GET, "/")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (page.status(), header(&page, "location")),
        (StatusCode::FOUND, "/password")
    );
    let (status, body) = browser.get("/api/overview").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &json!("password_change_required"))
    );

    browser.learn_secret().await;
    let csrf = browser.csrf.clone();
    let change = |new: &'static str| {
        [
            ("csrf", csrf.clone()),
            ("current_password", one_time.clone()),
            ("new_password", new.into()),
            ("confirm_password", new.into()),
        ]
    };
    let refused = change("admin-admin1");
    let fields: Vec<(&str, &str)> = refused.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = browser.form("/password", &fields).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let good = change(PASSWORD);
    let fields: Vec<(&str, &str)> = good.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = browser.form("/password", &fields).await;
    assert_eq!(
        (answer.status(), header(&answer, "location")),
        (StatusCode::FOUND, "/password?done")
    );
    browser.keep(&answer);
    assert!(browser.html("/password?done").await.contains("The password is changed"));
    assert_eq!(browser.get("/api/overview").await.0, StatusCode::OK);
    assert!(!file.exists(), "the file went with its password");
    assert_eq!(actions(&site).await[0], "account.create admin ok");
}

#[tokio::test]
async fn the_predecessors_account_is_imported_once_and_rehashed_at_its_login() {
    // $2b$ with a low cost, as its library writes it.
    let hash = bcrypt::hash("predecessor", 4).unwrap();
    let auth = json!({"username": "goadmin", "password_hash": hash, "last_changed": "2026-01-01T00:00:00+00:00"});
    let site = Plan::new().file("auth.json", &auth.to_string()).empty().await;
    assert!(!site.password_file().exists(), "no other account is made");
    let mut browser = site.stranger();
    assert_eq!(
        browser.log_in("goadmin", "Predecessor").await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(browser.log_in("goadmin", "predecessor").await.status(), StatusCode::OK);
    let user = site.read(|tx| users::by_name(tx, "goadmin")).await.expect("an account");
    assert_eq!((user.role, user.must_change), (Role::Admin, false));
    assert!(user.password_hash.starts_with("$argon2id$"), "rehashed");
    assert_eq!(
        browser.log_in("goadmin", "predecessor").await.status(),
        StatusCode::OK,
        "with the new hash"
    );
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Operator).await;
    let mut other = site.stranger();
    other.log_in("ana", OLD).await;
    let mut browser = site.stranger();
    browser.log_in("ana", OLD).await;
    browser.learn_secret().await;

    let change = |current: &str, new: &str, confirm: &str| json!({"current_password": current, "new_password": new, "confirm_password": confirm});
    let refusals = [
        (
            change("", PASSWORD, PASSWORD),
            StatusCode::BAD_REQUEST,
            "fields_required",
        ),
        (
            change(OLD, PASSWORD, "another"),
            StatusCode::BAD_REQUEST,
            "passwords_differ",
        ),
        (change(OLD, "short", "short"), StatusCode::BAD_REQUEST, "weak_password"),
        (
            change("wrong", PASSWORD, PASSWORD),
            StatusCode::UNAUTHORIZED,
            "wrong_password",
        ),
    ];
    for (body, status, code) in refusals {
        let (found, told) = browser.post("/api/change-password", &body).await;
        assert_eq!((found, &told["code"]), (status, &Value::from(code)));
    }
    let request = browser
        .request(Method::POST, "/api/change-password")
        .header("x-csrf-token", &browser.csrf);
    let answer = request.json(&change(OLD, PASSWORD, PASSWORD)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let before = browser.clone();
    browser.keep(&answer);
    assert_eq!(browser.get("/api/overview").await.0, StatusCode::OK);
    assert_eq!(before.get("/api/overview").await.0, StatusCode::UNAUTHORIZED, "renewed");
    assert_eq!(other.get("/api/overview").await.0, StatusCode::UNAUTHORIZED, "ended");
    let mut again = site.stranger();
    assert_eq!(again.log_in("ana", OLD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(again.log_in("ana", PASSWORD).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_the_hash_of_a_session_is_stored() {
    let site = Plan::new().start().await;
    site.account("ana", OLD, Role::Viewer).await;
    let mut browser = site.stranger();
    browser.log_in("ana", OLD).await;
    let cookie = browser.cookie.clone().unwrap();
    let (_, token) = cookie.split_once('=').unwrap();
    let (token, now) = (token.to_owned(), site.now());
    let found = site
        .read(move |tx| sessions::find(tx, &token, jiff::Timestamp::UNIX_EPOCH, now))
        .await;
    assert_eq!(found, None, "the token itself is no key");
}
