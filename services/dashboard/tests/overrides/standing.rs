//! How long overrides stand, in which order, switched on or off, and changes of which nobody knows whether they were made.

use db::rule_changes;
use db::users::Role;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::cloudflare::{audited, make, named, overrides, send, stage, value_of};

#[tokio::test]
async fn an_override_ends_is_switched_and_keeps_what_is_not_touched() {
    let (_sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let id = make(&otto, "one host", "ip.dst eq 192.0.2.7").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/ddos-rules/override/{id}");
    let change = |expires: &'static str| {
        let (otto, path) = (otto.clone(), path.clone());
        async move {
            let page = otto.html(&path).await;
            let fields = [
                ("seen", value_of(&page, "seen")),
                ("name", "one host"),
                ("expression", "ip.dst eq 192.0.2.7"),
                ("rule", ""),
                ("action", ""),
                ("sensitivity", "low"),
                ("enabled", "true"),
                ("expires", expires),
                ("act", "send"),
                ("reason", "for a week"),
            ];
            send(&otto, &path, &fields).await
        }
    };
    for wrong in ["2026-11-22T03:00", "soon", "2099-01-01T00:00"] {
        let (status, page) = change(wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(page.contains("End: ") && page.contains("for a week"), "{wrong}: {page}");
    }
    let (status, page) = change("2026-12-01T00:00").await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    // Stored where the command that clears away looks.
    let stored = site.read(rule_changes::expiries).await;
    assert_eq!(
        (stored[0].rule_id.as_str(), stored[0].expires_at.to_string().as_str()),
        (id.as_str(), "2026-12-01T00:00:00Z")
    );
    let row = audited(&site).await;
    assert_eq!(
        (row.action.as_str(), row.reason.as_deref()),
        ("ddos_l4.end", Some("for a week"))
    );
    let (status, page) = change("2026-12-01T00:00").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "nothing differs: {page}");
    assert_eq!(
        named(&overrides(&otto).await, "one host")["expires_at"],
        "2026-12-01T00:00:00Z"
    );
    assert!(otto.html("/ddos-rules").await.contains("ends "));
    // Switched off with one button, everything else stays.
    let seen = value_of(&otto.html(&path).await, "seen").to_owned();
    let (status, page) = send(
        &otto,
        &path,
        &[("seen", &seen), ("act", "switch"), ("reason", "look at it")],
    )
    .await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let one = named(&overrides(&otto).await, "one host").clone();
    assert_eq!(
        (&one["enabled"], &one["muted"]),
        (&json!(false), &json!("switched off"))
    );
    assert_eq!(
        (&one["overrides"], &one["expires_at"]),
        (&json!({"sensitivity_level": "low"}), &json!("2026-12-01T00:00:00Z"))
    );
    // Its time is over, and it still stands: that is said.
    site.pass(30 * 86_400);
    let anew = site.member("later", Role::Operator).await;
    assert!(anew.html("/ddos-rules").await.contains("its time was over at"));
}

#[tokio::test]
async fn what_nobody_recorded_is_shown_as_unknown() {
    let (_sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let now = site.now();
    let opening = |family, subject: &str| rule_changes::Opening {
        at: now,
        actor: "ana".into(),
        via: "test".into(),
        reason: None,
        family,
        what: "edit".into(),
        subject: subject.into(),
        before: None,
        wanted: None,
        undoes: None,
    };
    let rows = [
        opening(rule_changes::Family::DdosL4, "lost <b>host"),
        opening(rule_changes::Family::Mnm, "lost rule"),
    ];
    site.write(move |tx| rows.iter().try_for_each(|row| rule_changes::open(tx, row).map(drop)))
        .await;
    let page = otto.html("/rule-changes").await;
    assert!(
        page.contains("under way") && !page.contains("nobody recorded"),
        "{page}"
    );
    assert!(!otto.html("/ddos-rules").await.contains("Nobody knows what came of"));
    site.pass(600);
    let page = otto.html("/rule-changes").await;
    assert!(
        page.contains("nobody recorded what came of it") && !page.contains("under way"),
        "{page}"
    );
    for (path, name) in [("/ddos-rules", "lost"), ("/mnm-rules", "lost rule")] {
        let page = otto.html(path).await;
        assert!(
            page.contains("Nobody knows what came of change") && page.contains(name),
            "{path}: {page}"
        );
        assert!(!page.contains("<b>host"));
    }
    // Nothing is taken back that may never have been.
    let (status, page) = send(&otto, "/rule-changes", &[("change", "1"), ("reason", "back")]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(page.contains("obody knows what came of change 1"), "{page}");
}
#[tokio::test]
async fn another_order_is_looked_at_with_what_it_makes_unreachable() {
    let (_sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let wide = make(&otto, "the network", "ip.dst in {192.0.2.0/24}").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (status, page) = otto.page("/ddos-rules/order").await;
    assert_eq!(status, StatusCode::OK, "whoever reloads: {page}");
    let version = otto.json("/api/ddos-rules").await["version"]
        .as_str()
        .unwrap()
        .to_owned();
    // An override for everything, moved to the front with the list's form.
    let seen = json!({"scope": "everywhere", "sensitivity_level": "low", "seen": version, "reason": "quiet"});
    let (status, told) = otto.post("/api/ddos-ruleset/update", &seen).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let all = overrides(&otto).await;
    let global = all.iter().find(|one| one["expression"] == "true").unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let version = otto.json("/api/ddos-rules").await["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let fields = [("seen", version.as_str()), ("moved", &global), ("after", "first")];
    let (status, page) = send(&otto, "/ddos-rules/order", &fields).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("the network is never reached any more"), "{page}");
    assert!(page.contains("1 of 2") && page.contains("2 of 2"), "{page}");
    let send_it = [&fields[..], &[("act", "send")]].concat();
    let (status, page) = send(&otto, "/ddos-rules/order", &send_it).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a reason is wanted: {page}");
    let send_it = [&send_it[..], &[("reason", "the other way round")]].concat();
    let (status, page) = send(&otto, "/ddos-rules/order", &send_it).await;
    assert_eq!(status, StatusCode::FOUND, "{page}");
    let all = overrides(&otto).await;
    assert_eq!(all[0]["id"], json!(global));
    assert!(
        all[1]["muted"].as_str().unwrap().starts_with("never reached"),
        "{all:?}"
    );
    // The second of two people, and places that are none.
    let (status, page) = send(
        &otto,
        "/ddos-rules/order",
        &[
            &send_it[..1],
            &[
                ("moved", &wide),
                ("after", "first"),
                ("act", "send"),
                ("reason", "mine"),
            ],
        ]
        .concat(),
    )
    .await;
    assert_eq!(status, StatusCode::CONFLICT, "{page}");
    assert!(
        page.contains("Somebody changed the overrides") && page.contains("mine"),
        "{page}"
    );
    let version = otto.json("/api/ddos-rules").await["version"].clone();
    for place in [
        json!({}),
        json!({"index": 0}),
        json!({"index": 9}),
        json!({"before": "nobody"}),
        json!({"direction": "sideways"}),
        json!({"index": 1, "after": "first"}),
        json!({"direction": "last"}),
    ] {
        let mut body = json!({"seen": version, "reason": "because"});
        body.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        let (status, told) = otto.post(&format!("/api/ddos-overrides/{wide}/move"), &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{place}: {told}");
    }
}

#[tokio::test]
async fn names_and_what_was_typed_stay_text() {
    let (_sim, site) = stage().await;
    let otto = site.member("otto", Role::Operator).await;
    let hostile = "<img src=x onerror=alert(1)>\"'";
    let one = make(&otto, hostile, "ip.dst eq 192.0.2.7").await;
    make(&otto, "behind", "ip.dst eq 192.0.2.7").await;
    let path = format!("/ddos-rules/override/{}", one["id"].as_str().unwrap());
    let version = otto.json("/api/ddos-rules").await["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let moved = [
        ("moved", one["id"].as_str().unwrap()),
        ("after", "first"),
        ("seen", version.as_str()),
        ("reason", hostile),
    ];
    let build = [
        ("act", "build"),
        ("destinations", hostile),
        ("sources", hostile),
        ("name", hostile),
        ("expires", hostile),
        ("seen", hostile),
    ];
    let mut pages = vec![
        otto.html("/ddos-rules").await,
        otto.html(&path).await,
        otto.html("/rule-changes").await,
        send(&otto, "/ddos-rules/order", &moved).await.1,
        send(&otto, "/ddos-rules/override/new", &build).await.1,
        send(
            &otto,
            &path,
            &[("act", "delete"), ("confirm", hostile), ("reason", "no")],
        )
        .await
        .1,
    ];
    let scope = [
        ("scope", hostile),
        ("seen", hostile),
        ("action", hostile),
        ("reason", hostile),
    ];
    pages.push(send(&otto, "/ddos-rules/ruleset", &scope).await.1);
    for (number, page) in pages.iter().enumerate() {
        assert!(!page.contains("<img src=x"), "{number}: {page}");
    }
    assert!(
        pages[0].contains("img src=x") && pages[0].contains("never reached"),
        "{}",
        pages[0]
    );
}
