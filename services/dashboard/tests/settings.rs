//! The settings and audit pages: forms that work without script, for the roles that may.

use crate::support::{Browser, Plan, Site, seed};
use db::users::{self, Role};
use db::{audit, outbox};
use reqwest::StatusCode;
use serde_json::json;

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
    let mut all = vec![("csrf", browser.csrf.as_str())];
    all.extend(fields);
    let answer = browser.form(path, &all).await;
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn each_role_sees_what_it_may_change() {
    let site = Site::seeded().await;
    let ana = site.member("ana", Role::Viewer).await;
    let viewer = ana.html("/settings").await;
    let operator = site.member("otto", Role::Operator).await.html("/settings").await;
    let admin = site.member("root", Role::Admin).await.html("/settings").await;
    for (page, mutes, accounts) in [(&viewer, false, false), (&operator, true, false), (&admin, true, true)] {
        assert_eq!(page.contains("/settings/mutes"), mutes);
        assert_eq!(page.contains("/settings/accounts"), accounts);
        assert_eq!(page.contains("/settings/tokens"), accounts);
        assert!(page.contains("203.0.113.0/24") && page.contains("Sign out everywhere"));
        assert!(
            !page.contains("style=") && !page.contains("<script>"),
            "nothing that the policy forbids"
        );
    }
    let rows = |page: &str| page.matches("<tr>").count();
    assert!(rows(&viewer) < rows(&admin), "others' sessions are an admin's");
    let (status, _) = ana.page("/audit").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_admin_keeps_accounts_and_one_admin_is_always_left() {
    let site = Site::seeded().await;
    let mut admin = site.member("root", Role::Admin).await;
    admin.learn_secret().await;
    let (status, page) = send(
        &admin,
        "/settings/accounts",
        &[("act", "add"), ("name", "eva"), ("role", "operator")],
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let (_, rest) = page.split_once(r#"<code class="secret">"#).unwrap();
    let password = rest.split('<').next().unwrap();
    let mut eva = site.stranger();
    assert_eq!(eva.log_in("EVA", password).await.status(), StatusCode::OK);
    let (status, _) = eva.page("/").await;
    assert_eq!(status, StatusCode::FOUND, "to a password of her own");
    let (status, _) = send(
        &admin,
        "/settings/accounts",
        &[("act", "add"), ("name", "Eva"), ("role", "viewer")],
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "names differ in more than case");
    for fields in [
        [("act", "disable"), ("name", "root"), ("role", "")],
        [("act", "role"), ("name", "root"), ("role", "operator")],
    ] {
        assert_eq!(
            send(&admin, "/settings/accounts", &fields).await.0,
            StatusCode::CONFLICT,
            "{fields:?}"
        );
    }
    let (status, _) = send(
        &admin,
        "/settings/accounts",
        &[("act", "role"), ("name", "eva"), ("role", "admin")],
    )
    .await;
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(
        eva.page("/password").await.0,
        StatusCode::FOUND,
        "another role is another session"
    );
    let (status, _) = send(
        &admin,
        "/settings/accounts",
        &[("act", "disable"), ("name", "eva"), ("role", "")],
    )
    .await;
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(eva.log_in("eva", password).await.status(), StatusCode::UNAUTHORIZED);
    let rows = site.read(|tx| audit::newest(tx, 50)).await;
    let told: Vec<String> = rows
        .iter()
        .rev()
        .filter(|row| row.action.starts_with("account."))
        .map(|row| {
            format!(
                "{} {} {:?} {:?} {}",
                row.action, row.subject, row.before, row.after, row.result
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "account.create eva None Some(\"operator\") ok",
            "account.disable root Some(\"admin\") Some(\"admin\") refused: the last admin",
            "account.role root Some(\"admin\") Some(\"admin\") refused: the last admin",
            "account.role eva Some(\"operator\") Some(\"admin\") ok",
            "account.disable eva Some(\"admin\") Some(\"admin, disabled\") ok",
        ]
    );
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::seeded().await;
    let one = site.member("ana", Role::Viewer).await;
    site.pass(1);
    let other = site.member("ana", Role::Viewer).await;
    let foreign = site.member("otto", Role::Operator).await;
    let page = one.html("/settings").await;
    assert_eq!(
        page.matches("name=\"id\"").count(),
        1,
        "the other one; this one ends by signing out"
    );
    let (_, rest) = page.split_once("name=\"id\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap().to_owned();
    let (status, _) = foreign
        .post("/settings/sessions", &json!({"act": "end", "id": id}))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nobody ends a session of somebody else");
    assert_eq!(
        send(&one, "/settings/sessions", &[("act", "end"), ("id", &id)]).await.0,
        StatusCode::FOUND
    );
    assert_eq!(other.page("/").await.0, StatusCode::FOUND);
    assert_eq!(one.page("/").await.0, StatusCode::OK);
    let third = site.member("ana", Role::Viewer).await;
    let answer = one
        .form("/settings/sessions", &[("csrf", &one.csrf), ("act", "everywhere")])
        .await;
    assert_eq!(
        (answer.status(), answer.headers()["location"].to_str().unwrap()),
        (StatusCode::FOUND, "/login")
    );
    for ended in [&one, &third] {
        assert_eq!(ended.page("/").await.0, StatusCode::FOUND);
    }
    assert_eq!(foreign.page("/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_kind_is_muted_for_a_while_and_the_channels_are_tried() {
    let site = Site::seeded().await;
    let otto = site.member("otto", Role::Operator).await;
    let fields = [
        ("act", "mute"),
        ("kind", "mitigation"),
        ("for", "4h"),
        ("reason", "known noise"),
    ];
    assert_eq!(send(&otto, "/settings/mutes", &fields).await.0, StatusCode::FOUND);
    assert!(otto.html("/settings").await.contains("Unmute mitigation"));
    let mutes = site.read(outbox::mutes).await;
    assert_eq!(
        (mutes[0].kind.as_str(), mutes[0].actor.as_str()),
        ("mitigation", "otto")
    );
    assert_eq!(
        send(&otto, "/settings/mutes", &[("act", "end"), ("kind", "mitigation")])
            .await
            .0,
        StatusCode::FOUND
    );
    assert_eq!(
        send(&otto, "/settings/mutes", &[("act", "end"), ("kind", "mitigation")])
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    for (field, value) in [("kind", "everything"), ("for", "2d"), ("for", ""), ("reason", "")] {
        let mut wrong = fields;
        if let Some(place) = wrong.iter_mut().find(|(name, _)| *name == field) {
            place.1 = value;
        }
        assert_eq!(
            send(&otto, "/settings/mutes", &wrong).await.0,
            StatusCode::BAD_REQUEST,
            "{field} {value}"
        );
    }
    assert_eq!(
        send(&otto, "/settings/channel-test", &[("note", "is anybody there?")])
            .await
            .0,
        StatusCode::FOUND
    );
    let queued = otto.json("/api/messages?kind=self_test&limit=1").await;
    assert_eq!(queued["messages"][0]["kind"], "self_test");
    let viewer = site.member("ana", Role::Viewer).await;
    for path in ["/settings/mutes", "/settings/channel-test"] {
        assert_eq!(send(&viewer, path, &fields).await.0, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn the_audit_is_filtered_paged_and_harmless() {
    let site = Site::seeded().await;
    let otto = site.member("otto", Role::Operator).await;
    let now = site.now();
    site.write(move |tx| {
        for number in 0..120 {
            let mut row = audit::Entry {
                at: now,
                actor: "shell user".into(),
                role: "shell".into(),
                via: "cloudflare-mt".into(),
                address: None,
                action: if number % 2 == 0 { "even" } else { "odd" }.into(),
                subject: format!("row {number}"),
                before: None,
                after: None,
                reason: Some("<script>alert(1)</script>".into()),
                result: "ok".into(),
            };
            if number == 7 {
                row.subject = "a needle".into();
            }
            audit::append(tx, &row)?;
        }
        Ok(())
    })
    .await;
    let page = otto.html("/audit?action=even").await;
    assert!(page.contains("row 118") && !page.contains("row 117"));
    assert!(
        page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"),
        "text stays text"
    );
    assert!(!page.contains("<script>alert"));
    let (_, rest) = page.split_once("href=\"/audit?action=even&").expect("older ones");
    let older = format!(
        "/audit?action=even&{}",
        rest.split('"').next().unwrap().replace("#38;", "").replace("amp;", "")
    );
    let second = otto.html(&older).await;
    assert!(second.contains("row 18<") && !second.contains("row 118<"), "{older}");
    assert!(
        otto.html("/audit?q=NEEDLE&since=&until=&actor=&action=")
            .await
            .contains("a needle")
    );
    let (status, _) = otto.page("/audit?since=yesterday").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_predecessors_preferences_are_taken_over_once() {
    let file = r#"{"analytics_display_mode": "when_protected", "analytics_auto_collapse": false, "analytics_show_count": 33, "my_prefixes_only": false}"#;
    let site = Plan::new().file("dashboard_prefs.json", file).start().await;
    let browser = site.member("root", Role::Admin).await;
    let prefs = browser.json("/api/dashboard-prefs").await["prefs"].clone();
    assert_eq!(
        prefs,
        json!({"analytics_display_mode": "when_protected", "analytics_auto_collapse": false, "analytics_show_count": 33, "my_prefixes_only": false, "announced_prefixes": []})
    );
    let page = browser.html("/settings").await;
    assert!(page.contains("value=\"33\""));
}

#[tokio::test]
async fn the_networks_of_announcements_are_set_by_an_admin_and_read_by_the_monitor() {
    let site = Site::seeded().await;
    let (olga, admin) = (
        site.member("olga", Role::Operator).await,
        site.member("root", Role::Admin).await,
    );
    let wish = json!({"announced_prefixes": ["203.0.113.0/24", "2001:db8::/32", "203.0.113.0/24"]});
    let (status, _) = olga.post("/api/dashboard-prefs", &wish).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, body) = admin.post("/api/dashboard-prefs", &wish).await;
    let both = json!(["203.0.113.0/24", "2001:db8::/32"]);
    assert_eq!((status, &body["prefs"]["announced_prefixes"]), (StatusCode::OK, &both));
    let stored: Option<Vec<String>> = site.read(|tx| db::preferences::get(tx, "announced_prefixes")).await;
    assert_eq!(stored, Some(vec!["203.0.113.0/24".into(), "2001:db8::/32".into()]));
    let row = site.read(|tx| db::audit::newest(tx, 1)).await.remove(0);
    assert_eq!(row.action, "notifications.announced_prefixes");
    assert_eq!(
        (row.before.as_deref(), row.after.as_deref()),
        (Some("our prefixes"), Some("203.0.113.0/24 2001:db8::/32"))
    );
    let page = olga.html("/settings").await;
    assert!(page.contains("2001:db8::/32</span> are announced"), "{page}");
    for wrong in ["203.0.113.7/24", "everything", "203.0.113.0/24 203.0.113.0/33"] {
        let wish = json!({"announced_prefixes": wrong});
        let (status, body) = admin.post("/api/dashboard-prefs", &wish).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_value")),
            "{wrong}"
        );
    }
    let wish = json!({"announced_prefixes": " 198.51.100.0/24,\n192.0.2.0/24\n"});
    let (_, body) = admin.post("/api/dashboard-prefs", &wish).await;
    assert_eq!(
        body["prefs"]["announced_prefixes"],
        json!(["192.0.2.0/24", "198.51.100.0/24"])
    );
    let (_, body) = admin
        .post("/api/dashboard-prefs", &json!({"announced_prefixes": ""}))
        .await;
    assert_eq!(body["prefs"]["announced_prefixes"], json!([]), "none: our prefixes");
}

#[tokio::test]
async fn nothing_of_an_account_can_write_markup() {
    let fill = |tx: &db::WriteTx<'_>, now: jiff::Timestamp| {
        users::add(tx, "<img src=x>", "*", Role::Viewer, false, now)?;
        let words = seed::Words {
            description: "<b>bold</b>".into(),
            ..seed::Words::default()
        };
        seed::fill(tx, &words, now)
    };
    let site = Plan::new().prepared(fill).await;
    let page = site.member("root", Role::Admin).await.html("/settings").await;
    assert!(!page.contains("<img src=x>") && !page.contains("<b>bold</b>"));
}
