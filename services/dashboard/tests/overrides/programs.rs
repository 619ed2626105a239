//! Overrides by the JSON API: the same checks as on the pages, and what is absent of a change stays.

use db::users::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::cloudflare::{audited, changes, named, overrides, stage};

#[tokio::test]
async fn programs_make_edit_move_switch_and_delete_overrides() {
    let (sim, site) = stage().await;
    let (otto, ana) = (
        site.member("otto", Role::Operator).await,
        site.member("ana", Role::Viewer).await,
    );
    let seen = |told: &Value| told["version"].clone();
    let version = seen(&otto.json("/api/ddos-rules").await);
    let mut new = json!({"description": "resolver", "service": "dns", "destinations": "192.0.2.53 2001:db8:10::53", "udp_ports": "5353",
        "target_rule_id": "DNS-0002", "sensitivity_level": "low", "expires_at": "2026-12-01T00:00:00Z", "seen": version, "reason": "a resolver"});
    let (status, told) = ana.post("/api/ddos-overrides", &new).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{told}");
    assert_eq!(changes(&sim), 0);
    let (status, told) = otto.post("/api/ddos-overrides", &new).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let id = told["id"].as_str().unwrap().to_owned();
    let one = named(&overrides(&otto).await, "resolver").clone();
    assert_eq!(
        one["expression"],
        "ip.dst in {192.0.2.53 2001:db8:10::53} and udp.dstport in {53 5353}"
    );
    assert_eq!(
        (&one["id"], &one["expires_at"]),
        (&json!(id), &json!("2026-12-01T00:00:00Z"))
    );
    // What is absent stays; the first version is not the present one any more.
    let change = |body: Value| {
        let (otto, path) = (otto.clone(), format!("/api/ddos-overrides/{id}"));
        async move {
            let request = otto
                .request(Method::PUT, &path)
                .header("x-csrf-token", &otto.csrf)
                .json(&body);
            crate::support::told(request.send().await.unwrap()).await
        }
    };
    let (status, told) = change(json!({"enabled": false, "seen": version, "reason": "off"})).await;
    assert_eq!(
        (status, &told["code"]),
        (StatusCode::CONFLICT, &json!("changed_meanwhile")),
        "{told}"
    );
    let now = seen(&otto.json("/api/ddos-rules").await);
    let (status, told) = change(json!({"enabled": false, "seen": now, "reason": "off"})).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_ne!(told["version"], now);
    let (status, told) = change(
        json!({"sensitivity_level": "medium", "expires_at": "never", "seen": told["version"], "reason": "more"}),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let after = named(&overrides(&otto).await, "resolver").clone();
    assert_eq!(
        (&after["enabled"], &after["expires_at"], &after["expression"]),
        (&json!(false), &Value::Null, &one["expression"])
    );
    assert_eq!(after["overrides"]["rules"][0]["sensitivity_level"], "medium");
    assert_eq!(after["overrides"]["rules"][0]["id"], one["overrides"]["rules"][0]["id"]);
    for (body, expected) in [
        (json!({"sensitivity_level": "high"}), "invalid_value"),
        (json!({"expression": "hello } world"}), "invalid_value"),
        (json!({"enabled": "maybe"}), "bad_fields"),
        (json!({"sensitivity_level": "medium"}), "nothing_differs"),
        (
            json!({"expression": "true", "target_rule_id": "", "sensitivity_level": "eoff", "enabled": true}),
            "confirmation_required",
        ),
    ] {
        let mut whole = json!({"seen": told["version"], "reason": "because"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let (status, answer) = change(whole).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (StatusCode::BAD_REQUEST, Some(expected)),
            "{body}: {answer}"
        );
    }
    // A second one, moved before the first; then the first is deleted by its name.
    new["description"] = json!("second");
    new["seen"] = told["version"].clone();
    let (status, told) = otto.post("/api/ddos-overrides", &new).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let second = told["id"].as_str().unwrap().to_owned();
    let place = json!({"before": id, "seen": told["version"], "reason": "first"});
    let (status, told) = otto.post(&format!("/api/ddos-overrides/{second}/move"), &place).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let order: Vec<Value> = overrides(&otto).await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(order, [json!(second), json!(id)]);
    for (confirm, expected) in [("resolve", StatusCode::BAD_REQUEST), ("resolver", StatusCode::OK)] {
        let body = json!({"confirm": confirm, "seen": told["version"], "reason": "gone"});
        let request = otto.request(Method::DELETE, &format!("/api/ddos-overrides/{id}"));
        let (status, answer) = crate::support::told(
            request
                .header("x-csrf-token", &otto.csrf)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(overrides(&otto).await.len(), 1);
    let row = audited(&site).await;
    assert_eq!(
        (row.actor.as_str(), row.action.as_str(), row.reason.as_deref()),
        ("otto", "ddos_l4.delete", Some("gone"))
    );
}
