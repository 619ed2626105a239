//! Advertise and withdraw by people: what is asked first, what is filed, what is refused. That they are carried out is
//! shown with real programs in the end-to-end tests.

use crate::support::{Plan, Site, seed};
use db::users::{self, Role};
use db::{WriteTx, audit, intents};
use domain::ids::IntentId;
use domain::intent::{Act, IntentState, Origin};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Without a credential nothing leaves the process: what is filed stays as filed.
async fn site() -> Site {
    let fill = |tx: &WriteTx<'_>, now: Timestamp| {
        users::add(tx, "someone", "*", Role::Viewer, false, now)?;
        seed::fill(tx, &seed::Words::default(), now)
    };
    Plan::new()
        .set("/cloudflare/api_token", Value::Null)
        .prepared(fill)
        .await
}

fn wish(prefix: &str, confirm: Option<&str>) -> Value {
    json!({"prefix": prefix, "reason": "end of the test, ticket 4711", "confirm": confirm})
}

#[tokio::test]
async fn a_withdrawal_wants_the_prefix_typed_and_leaves_a_record() {
    let site = site().await;
    let browser = site.member("otto", Role::Operator).await;
    for typed in [
        None,
        Some(""),
        Some("yes"),
        Some("198.51.100.0"),
        Some("203.0.113.0/24"),
    ] {
        let (status, told) = browser.post("/api/prefixes/withdraw", &wish(seed::CALM, typed)).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::BAD_REQUEST, &json!("confirmation_required")),
            "{typed:?} {told}"
        );
    }
    let (_, told) = browser
        .post("/api/prefixes/withdraw", &wish(seed::ATTACKED, None))
        .await;
    assert_eq!(
        told["error"],
        "Type 203.0.113.0/24 to withdraw it: it is UNDER ATTACK. Nothing was filed."
    );
    let (_, told) = browser.post("/api/prefixes/withdraw", &wish(seed::UNKNOWN, None)).await;
    assert_eq!(
        told["error"],
        "Type 192.0.2.128/25 to withdraw it: nobody can tell whether it is under attack. Nothing was filed."
    );
    assert!(site.read(intents::open).await.is_empty());

    let (status, told) = browser
        .post("/api/prefixes/withdraw", &wish(seed::CALM, Some(seed::CALM)))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let id = IntentId(told["intent"].as_i64().unwrap());
    assert_eq!(
        told["message"],
        format!(
            "Withdraw 198.51.100.0/24 is filed as intent {}; cloudflare-autowithdraw carries it out within seconds.",
            id.0
        )
    );
    let intent = site.read(move |tx| intents::get(tx, id)).await.unwrap();
    assert_eq!((intent.act, intent.state), (Act::Withdraw, IntentState::Planned));
    assert_eq!(
        intent.origin,
        Origin::Person {
            actor: "otto".into(),
            via: "dashboard".into()
        }
    );
    assert_eq!(intent.reason, "end of the test, ticket 4711");
    let row = site.read(|tx| audit::newest(tx, 1)).await.remove(0);
    assert_eq!(
        (
            row.actor.as_str(),
            row.action.as_str(),
            row.subject.as_str(),
            row.address.as_deref()
        ),
        ("otto", "prefix.withdraw", seed::CALM, Some("127.0.0.1"))
    );
    let page = browser.html("/").await;
    assert!(page.contains("withdraw planned"), "the card shows what is under way");
}

#[tokio::test]
async fn what_is_refused_files_nothing() {
    let site = site().await;
    let operator = site.member("otto", Role::Operator).await;
    for (path, body, status, code) in [
        (
            "/api/prefixes/withdraw",
            wish(seed::HELD, Some(seed::HELD)),
            StatusCode::CONFLICT,
            "prefix_held",
        ),
        (
            "/api/prefixes/withdraw",
            wish(seed::DIRECT, Some(seed::DIRECT)),
            StatusCode::CONFLICT,
            "already_withdrawn",
        ),
        (
            "/api/prefixes/advertise",
            wish("192.0.2.0/24", None),
            StatusCode::NOT_FOUND,
            "unknown_prefix",
        ),
        (
            "/api/prefixes/advertise",
            wish("192.0.2.1/24", None),
            StatusCode::BAD_REQUEST,
            "invalid_prefix",
        ),
        (
            "/api/prefixes/advertise",
            wish("", None),
            StatusCode::BAD_REQUEST,
            "invalid_prefix",
        ),
        (
            "/api/prefixes/advertise",
            json!({"prefix": seed::DIRECT, "reason": " "}),
            StatusCode::BAD_REQUEST,
            "reason_required",
        ),
        (
            "/api/prefix/2001:db8:30::/48/prepend",
            wish(seed::DIRECT, None),
            StatusCode::NOT_FOUND,
            "not_found",
        ),
    ] {
        let (got, told) = operator.post(path, &body).await;
        assert_eq!((got, &told["code"]), (status, &json!(code)), "{path} {body} {told}");
    }
    let viewer = site.member("ana", Role::Viewer).await;
    let (status, told) = viewer.post("/api/prefixes/advertise", &wish(seed::DIRECT, None)).await;
    assert_eq!(
        (status, &told["code"]),
        (StatusCode::FORBIDDEN, &json!("role_too_small"))
    );
    assert!(!viewer.html("/").await.contains("/api/prefixes/withdraw"));
    assert!(site.read(intents::open).await.is_empty());
}

#[tokio::test]
async fn an_advertise_asks_for_a_reason_only_and_a_hold_can_be_overridden_by_word() {
    let site = site().await;
    let browser = site.member("otto", Role::Operator).await;
    // The predecessor's address.
    let (status, told) = browser
        .post(
            &format!("/api/prefix/{}/advertise", seed::EXPOSED),
            &json!({"reason": "customer reports loss"}),
        )
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    assert_eq!(told["cidr"], seed::EXPOSED);
    let mut forced = wish(seed::HELD, Some(seed::HELD));
    forced["force"] = json!("true");
    let (status, told) = browser.post("/api/prefixes/withdraw", &forced).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    let open = site.read(intents::open).await;
    let mut acts: Vec<(String, Act, bool)> = open
        .iter()
        .map(|intent| (intent.prefix.to_string(), intent.act, intent.force))
        .collect();
    acts.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        acts,
        [
            (seed::HELD.to_owned(), Act::Withdraw, true),
            (seed::EXPOSED.to_owned(), Act::Advertise, false)
        ]
    );
}
