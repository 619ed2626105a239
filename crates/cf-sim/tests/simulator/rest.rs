//! Shapes, refusals and quotas of the REST API.

use cf_sim::{BindingSpec, Cooldown, Permissions, PrefixChange, QuotaHeaders, SimConfig, TokenConfig, TokenStatus};
use serde_json::json;

use crate::{BGP_ID, Desk, PREFIX, PREFIX_ID, answer};

fn patch_path() -> String {
    format!("/addressing/prefixes/{PREFIX_ID}/bgp/prefixes/{BGP_ID}")
}

#[tokio::test]
async fn lists_have_the_documented_shapes() {
    let desk = Desk::new().await;
    let parents = desk.rest("GET", "/addressing/prefixes", None).await;
    assert_eq!(parents.status, 200);
    assert_eq!(parents.body["success"], true);
    assert_eq!(parents.body["result"].as_array().unwrap().len(), 4);
    let first = &parents.body["result"][0];
    assert_eq!(
        (&first["cidr"], &first["advertised"], &first["approved"]),
        (&json!(PREFIX), &json!(false), &json!("V"))
    );
    assert!(first.get("on_demand").is_none());
    let bgp = desk
        .rest("GET", &format!("/addressing/prefixes/{PREFIX_ID}/bgp/prefixes"), None)
        .await;
    let row = &bgp.body["result"][0];
    assert_eq!(
        (&row["id"], &row["cidr"], &row["on_demand"]["advertised"]),
        (&json!(BGP_ID), &json!(PREFIX), &json!(false))
    );
    assert!(row.get("advertised").is_none());
    // The IPv6 parent is larger than what can be advertised of it.
    let six = &parents.body["result"][3];
    let id = six["id"].as_str().unwrap();
    let bgp = desk
        .rest("GET", &format!("/addressing/prefixes/{id}/bgp/prefixes"), None)
        .await;
    assert_eq!(
        (&six["cidr"], &bgp.body["result"][0]["cidr"]),
        (&json!("2001:db8::/32"), &json!("2001:db8:1::/48"))
    );
}

#[tokio::test]
async fn bindings_are_listed_and_changed_by_others() {
    let desk = Desk::new().await;
    let path = format!("/addressing/prefixes/{PREFIX_ID}/bindings");
    let listed = desk.rest("GET", &path, None).await;
    let rows = listed.body["result"].as_array().unwrap().clone();
    assert_eq!((listed.status, rows.len()), (200, 1));
    assert_eq!(
        (
            &rows[0]["cidr"],
            &rows[0]["service_name"],
            &rows[0]["provisioning"]["state"]
        ),
        (&json!(PREFIX), &json!("Magic Transit"), &json!("active"))
    );
    let id = rows[0]["id"].as_str().unwrap();
    let one = desk.rest("GET", &format!("{path}/{id}"), None).await;
    assert_eq!((one.status, &one.body["result"]), (200, &rows[0]));
    assert!(
        desk.sim
            .change_binding(&BindingSpec::new("203.0.113.7/32", Some("CDN")))
    );
    assert!(desk.sim.change_binding(&BindingSpec::new(PREFIX, None)));
    assert!(!desk.sim.change_binding(&BindingSpec::new("8.8.8.0/24", Some("CDN"))));
    let listed = desk.rest("GET", &path, None).await;
    let rows = listed.body["result"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["cidr"], &rows[0]["service_name"]),
        (&json!("203.0.113.7/32"), &json!("CDN"))
    );
    let gone = desk.rest("GET", &format!("{path}/{id}"), None).await;
    assert_eq!((gone.status, &gone.body["errors"][0]["code"]), (404, &json!(1000)));
    assert_eq!(desk.rest("PUT", &path, Some(json!({}))).await.status, 405);
}

#[tokio::test]
async fn advertising_flips_the_flag_at_once_and_traffic_later() {
    let desk = Desk::new().await;
    let done = desk
        .rest("PATCH", &patch_path(), Some(json!({"on_demand": {"advertised": true}})))
        .await;
    assert_eq!(done.status, 200);
    assert_eq!(done.body["result"]["on_demand"]["advertised"], true);
    let read = desk
        .rest("GET", &format!("/addressing/prefixes/{PREFIX_ID}"), None)
        .await;
    assert_eq!(read.body["result"]["advertised"], true);
    let state = desk.sim.prefix(PREFIX).unwrap();
    assert!(state.share_at_cloudflare < 0.5);
    let old = desk
        .rest(
            "PATCH",
            &format!("/addressing/prefixes/{PREFIX_ID}/bgp/status"),
            Some(json!({"advertised": false})),
        )
        .await;
    assert_eq!(old.body["result"]["advertised"], false);
    assert!(!desk.sim.prefix(PREFIX).unwrap().advertised);
}

#[tokio::test]
async fn changes_are_refused_with_reasons() {
    let desk = Desk::new().await;
    let wanted = || Some(json!({"on_demand": {"advertised": true}}));
    let wrong = desk
        .rest("PATCH", &patch_path(), Some(json!({"advertised": true})))
        .await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["code"]), (400, &json!(1001)));
    desk.sim.change_prefix(
        PREFIX,
        &PrefixChange {
            locked: Some(true),
            ..PrefixChange::default()
        },
    );
    let locked = desk.rest("PATCH", &patch_path(), wanted()).await;
    assert_eq!(locked.status, 400);
    assert!(
        locked.body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("advertise_state_locked")
    );
    let change = PrefixChange {
        locked: Some(false),
        bgp_signalled: Some(true),
        ..PrefixChange::default()
    };
    desk.sim.change_prefix(PREFIX, &change);
    assert_eq!(desk.rest("PATCH", &patch_path(), wanted()).await.status, 400);
    assert!(!desk.sim.prefix(PREFIX).unwrap().advertised);
    let unknown = desk
        .rest(
            "PATCH",
            &format!("/addressing/prefixes/{PREFIX_ID}/bgp/prefixes/{PREFIX_ID}"),
            wanted(),
        )
        .await;
    assert_eq!(
        (unknown.status, &unknown.body["errors"][0]["code"]),
        (404, &json!(1002))
    );
    let unknown = desk.rest("GET", &format!("/addressing/prefixes/{BGP_ID}"), None).await;
    assert_eq!(
        (unknown.status, &unknown.body["errors"][0]["code"]),
        (404, &json!(1000))
    );
    let method = desk.rest("PUT", &patch_path(), wanted()).await;
    assert_eq!((method.status, &method.body["errors"][0]["code"]), (405, &json!(10405)));
}

#[tokio::test]
async fn credentials_are_told_apart() {
    let desk = Desk::with(SimConfig {
        permissions: Permissions {
            bgp_write: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    })
    .await;
    let ask = async |header: &str, value: &str, path: &str| {
        let url = format!("{}{path}", desk.sim.api_base_url());
        answer(desk.http.get(url).header(header, value).send().await.unwrap()).await
    };
    let malformed = ask("authorization", "Bearer abc", "/user/tokens/verify").await;
    assert_eq!(
        (malformed.status, &malformed.body["errors"][0]["code"]),
        (400, &json!(6003))
    );
    assert_eq!(malformed.body["errors"][0]["error_chain"][0]["code"], 6111);
    let key = ask("x-auth-key", "short", "/user/tokens/verify").await;
    assert_eq!(key.body["errors"][0]["error_chain"][0]["code"], 6103);
    let stranger = format!("Bearer {}", "x".repeat(40));
    let wrong = ask("authorization", &stranger, "/user/tokens/verify").await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["code"]), (401, &json!(1000)));
    let wrong = ask(
        "authorization",
        &stranger,
        &format!("/accounts/{}/addressing/prefixes", desk.sim.config().account_id),
    )
    .await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["code"]), (403, &json!(9109)));
    let verified = desk.rest("GET", "/tokens/verify", None).await;
    assert_eq!(verified.body["result"]["status"], "active");
    assert_eq!(verified.body["messages"][0]["code"], 10000);
    let may_not = desk
        .rest("PATCH", &patch_path(), Some(json!({"on_demand": {"advertised": true}})))
        .await;
    assert_eq!(
        (may_not.status, &may_not.body["errors"][0]["code"]),
        (403, &json!(10000))
    );
    let other = desk
        .send(
            "GET",
            &format!(
                "{}/accounts/{}/addressing/prefixes",
                desk.sim.api_base_url(),
                "0".repeat(32)
            ),
            None,
        )
        .await;
    let other = answer(other.unwrap()).await;
    assert_eq!((other.status, &other.body["errors"][0]["code"]), (404, &json!(7003)));
}

#[tokio::test]
async fn the_quota_counts_and_locks_out() {
    let desk = Desk::with(SimConfig {
        rest_quota: 3,
        factor: 300.0,
        ..SimConfig::default()
    })
    .await;
    for left in [2, 1, 0] {
        let fine = desk.rest("GET", "/addressing/prefixes", None).await;
        assert_eq!(fine.headers["x-ratelimit-remaining"], left.to_string());
        assert_eq!(fine.headers["x-ratelimit-limit"], "3");
    }
    let over = desk.rest("GET", "/addressing/prefixes", None).await;
    assert_eq!((over.status, over.headers["retry-after"].to_str().unwrap()), (429, "1"));
    // GraphQL is counted by itself.
    assert_eq!(desk.graphql("{ cost }", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_cooldown_is_a_429_with_the_wait() {
    let cooldown = Cooldown {
        after_advertise_s: Some(900),
        ..Cooldown::default()
    };
    let desk = Desk::with(SimConfig {
        cooldown,
        ..SimConfig::default()
    })
    .await;
    desk.sim.set_advertised(PREFIX, true);
    let soon = desk
        .rest(
            "PATCH",
            &patch_path(),
            Some(json!({"on_demand": {"advertised": false}})),
        )
        .await;
    assert_eq!(
        (soon.status, soon.headers["retry-after"].to_str().unwrap()),
        (429, "900")
    );
    assert!(desk.sim.prefix(PREFIX).unwrap().advertised);
}

#[tokio::test]
async fn monitoring_rules_are_checked_and_kept() {
    let desk = Desk::new().await;
    let rules = desk.rest("GET", "/mnm/rules", None).await;
    assert_eq!(rules.body["result"].as_array().unwrap().len(), 4);
    let rule = json!({"name": "test_rule", "prefixes": ["192.0.2.0/24"], "type": "threshold", "automatic_advertisement": false,
        "bandwidth_threshold": 1_000_000_000_u64, "duration": "300s"});
    let made = desk.rest("POST", "/mnm/rules", Some(rule.clone())).await;
    assert_eq!((made.status, &made.body["result"]["duration"]), (200, &json!("5m0s")));
    let twice = desk.rest("POST", "/mnm/rules", Some(rule.clone())).await;
    assert_eq!(twice.body["errors"][0]["code"], 1008);
    for (field, bad) in [
        ("duration", json!("2m")),
        ("name", json!("a b")),
        ("prefixes", json!(["192.0.2.1/24"])),
        ("bandwidth_threshold", json!(0)),
    ] {
        let mut broken = rule.clone();
        broken["name"] = json!("other");
        broken[field] = bad;
        assert_eq!(
            desk.rest("POST", "/mnm/rules", Some(broken)).await.status,
            400,
            "{field}"
        );
    }
    let id = made.body["result"]["id"].as_str().unwrap();
    let flipped = desk
        .rest("PATCH", &format!("/mnm/rules/{id}/advertisement"), None)
        .await;
    assert_eq!(flipped.body["result"]["automatic_advertisement"], true);
    assert_eq!(desk.rest("DELETE", &format!("/mnm/rules/{id}"), None).await.status, 200);
    assert_eq!(
        desk.rest("GET", &format!("/mnm/rules/{id}"), None).await.body["errors"][0]["code"],
        1009
    );
}

#[tokio::test]
async fn every_token_has_rights_of_its_own() {
    let token = |start: &str, status: TokenStatus, bgp_write: bool| TokenConfig {
        token: format!("{start}{}", "t".repeat(40)),
        permissions: Permissions {
            bgp_write,
            prefixes_write: false,
            rulesets_read: false,
            ..Permissions::default()
        },
        status,
        not_before: None,
        expires_on: None,
    };
    let mut over = token("over", TokenStatus::Active, true);
    over.expires_on = Some("2024-01-01T00:00:00Z".parse().unwrap());
    let tokens = vec![
        token("reader", TokenStatus::Active, false),
        token("cfat_switch", TokenStatus::Active, true),
        token("off", TokenStatus::Disabled, true),
        over,
    ];
    let desk = Desk::with(SimConfig {
        more_tokens: tokens.clone(),
        ..SimConfig::default()
    })
    .await;
    let ask = async |token: &TokenConfig, method: &str, url: String, body: Option<serde_json::Value>| {
        let mut request = desk
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth(&token.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    };
    let verify = desk.account("/tokens/verify");
    let patch = || desk.account(&patch_path());
    let wanted = || Some(json!({"on_demand": {"advertised": true}}));
    for (token, status, read, change) in [
        (&tokens[0], "active", 200, 403),
        (&tokens[1], "active", 200, 200),
        (&tokens[2], "disabled", 403, 403),
        (&tokens[3], "expired", 403, 403),
    ] {
        let verified = ask(token, "GET", verify.clone(), None).await;
        assert_eq!(
            (verified.status, &verified.body["result"]["status"]),
            (200, &json!(status))
        );
        assert_eq!(
            verified.body["messages"].as_array().unwrap().is_empty(),
            status != "active"
        );
        assert_eq!(ask(token, "GET", patch(), None).await.status, read);
        assert_eq!(ask(token, "PATCH", patch(), wanted()).await.status, change);
        assert_eq!(ask(token, "GET", desk.account("/rulesets"), None).await.status, 403);
    }
    // A token of the account is unknown to the user's route.
    let of_user = format!("{}/user/tokens/verify", desk.sim.api_base_url());
    assert_eq!(ask(&tokens[0], "GET", of_user.clone(), None).await.status, 200);
    assert_eq!(ask(&tokens[1], "GET", of_user, None).await.status, 401);
}

#[tokio::test]
async fn the_quota_shows_in_either_kind_of_headers_or_none() {
    for (headers, present) in [
        (QuotaHeaders::Documented, Some("x-ratelimit-limit")),
        (QuotaHeaders::Newer, Some("ratelimit-policy")),
        (QuotaHeaders::None, None),
    ] {
        let desk = Desk::with(SimConfig {
            quota_headers: headers,
            rest_quota: 1,
            ..SimConfig::default()
        })
        .await;
        let fine = desk.rest("GET", "/rulesets", None).await;
        let named: Vec<&str> = fine
            .headers
            .keys()
            .map(|k| k.as_str())
            .filter(|k| k.contains("ratelimit"))
            .collect();
        assert_eq!(named.is_empty(), present.is_none(), "{named:?}");
        assert!(present.is_none_or(|p| named.contains(&p)));
        let over = desk.rest("GET", "/rulesets", None).await;
        assert_eq!(
            (over.status, over.headers["retry-after"].to_str().unwrap()),
            (429, "300")
        );
    }
}
