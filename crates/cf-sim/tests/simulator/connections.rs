//! Magic Transit's tunnels, interconnects and routes, and the bare JSON of the network interconnect.

use cf_sim::{FaultKind, FaultSpec, Permissions, SimConfig, Target};
use serde_json::{Value, json};

use crate::Desk;

fn tunnel(name: &str) -> Value {
    json!({"name": name, "cloudflare_gre_endpoint": "198.51.100.9", "customer_gre_endpoint": "192.0.2.9", "interface_address": "10.213.1.0/31"})
}

#[tokio::test]
async fn every_kind_has_its_own_words_for_list_change_and_deletion() {
    let desk = Desk::new().await;
    let ipsec = json!({"name": "ipsec-new", "cloudflare_endpoint": "198.51.100.9", "interface_address": "10.213.1.2/31", "psk": "secret"});
    let route = json!({"prefix": "198.51.100.0/25", "nexthop": "10.213.0.11", "priority": 50, "scope": {"colo_names": ["fra01"]}});
    for (kind, one, given) in [
        ("gre_tunnels", "gre_tunnel", tunnel("gre-new")),
        ("ipsec_tunnels", "ipsec_tunnel", ipsec),
        ("routes", "route", route),
    ] {
        let path = format!("/magic/{kind}");
        let before = desk.rest("GET", &path, None).await.body["result"][kind]
            .as_array()
            .unwrap()
            .len();
        let made = desk.rest("POST", &path, Some(given.clone())).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let id = made.body["result"]["id"].as_str().unwrap().to_owned();
        assert!(made.body["result"].get("psk").is_none());
        assert_eq!(desk.rest("POST", &path, Some(given.clone())).await.status, 400);
        let single = format!("{path}/{id}");
        let read = desk.rest("GET", &single, None).await;
        assert_eq!(read.body["result"][one]["id"], json!(id));
        let mut changed = given.clone();
        changed["description"] = json!("changed");
        let done = desk.rest("PUT", &single, Some(changed)).await;
        assert_eq!(
            (
                &done.body["result"]["modified"],
                &done.body["result"][format!("modified_{one}")]["description"]
            ),
            (&json!(true), &json!("changed"))
        );
        let all = desk.rest("GET", &path, None).await.body["result"][kind].clone();
        let bulk = desk.rest("PUT", &path, Some(json!({kind: all}))).await;
        assert_eq!(
            bulk.body["result"][format!("modified_{kind}")]
                .as_array()
                .unwrap()
                .len(),
            before + 1
        );
        let deleted = desk.rest("DELETE", &single, None).await;
        assert_eq!(
            (
                &deleted.body["result"]["deleted"],
                &deleted.body["result"][format!("deleted_{one}")]["id"]
            ),
            (&json!(true), &json!(id))
        );
        assert_eq!(desk.rest("GET", &single, None).await.status, 404);
    }
    let all = desk.rest("GET", "/magic/cf_interconnects", None).await;
    let id = all.body["result"]["interconnects"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/magic/cf_interconnects/{id}");
    let done = desk.rest("PUT", &path, Some(json!({"mtu": 1400}))).await;
    assert_eq!(done.body["result"]["modified_interconnect"]["mtu"], 1400);
    assert_eq!(desk.rest("DELETE", &path, None).await.status, 405);
    assert_eq!(
        desk.rest("POST", "/magic/cf_interconnects", Some(json!({})))
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn routes_are_deleted_chosen_or_all() {
    let desk = Desk::new().await;
    let all = desk.rest("GET", "/magic/routes", None).await;
    let routes = all.body["result"]["routes"].as_array().unwrap().clone();
    assert_eq!((routes.len(), &routes[0]["nexthop"]), (8, &json!("10.213.0.11")));
    let chosen = json!({"routes": [{"id": routes[0]["id"]}]});
    let gone = desk.rest("DELETE", "/magic/routes", Some(chosen)).await;
    assert_eq!(gone.body["result"]["deleted_routes"].as_array().unwrap().len(), 1);
    let gone = desk.rest("DELETE", "/magic/routes", None).await;
    assert_eq!(gone.body["result"]["deleted_routes"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn the_target_of_a_health_check_is_a_text_or_an_object() {
    let desk = Desk::new().await;
    let made = desk.rest("POST", "/magic/gre_tunnels", Some(tunnel("probe"))).await;
    let path = format!("/magic/gre_tunnels/{}", made.body["result"]["id"].as_str().unwrap());
    assert_eq!(made.body["result"]["health_check"]["target"], "192.0.2.9");
    let new_form = async |path: &str| {
        let request = desk
            .http
            .get(desk.account(path))
            .bearer_auth(&desk.sim.config().api_token);
        let answer = request.header("x-magic-new-hc-target", "true").send().await.unwrap();
        crate::answer(answer).await.body["result"]["gre_tunnel"]["health_check"].clone()
    };
    assert_eq!(
        new_form(&path).await["target"],
        json!({"saved": "", "effective": "192.0.2.9"})
    );
    let own = json!({"health_check": {"target": {"saved": "192.0.2.77", "effective": "ignored"}, "rate": "low"}});
    assert_eq!(desk.rest("PUT", &path, Some(own)).await.status, 200);
    let now = new_form(&path).await;
    assert_eq!(
        (&now["target"], &now["rate"], &now["enabled"]),
        (
            &json!({"saved": "192.0.2.77", "effective": "192.0.2.77"}),
            &json!("low"),
            &json!(true)
        )
    );
    let both = json!({"health_check": {"direction": "bidirectional"}});
    assert_eq!(desk.rest("PUT", &path, Some(both)).await.status, 200);
    // A bidirectional check goes to the customer's end of the tunnel, whatever was saved.
    assert_eq!(
        new_form(&path).await["target"],
        json!({"saved": "192.0.2.77", "effective": "10.213.1.1"})
    );
}

#[tokio::test]
async fn what_a_change_leaves_out_stays_or_is_reset() {
    for resets in [false, true] {
        let desk = Desk::with(SimConfig {
            tunnel_put_resets: resets,
            ..SimConfig::default()
        })
        .await;
        let mut given = tunnel("kept");
        given["mtu"] = json!(1300);
        given["bgp"] = json!({"customer_asn": 64_500});
        let made = desk.rest("POST", "/magic/gre_tunnels", Some(given)).await;
        assert_eq!(made.body["result"]["bgp_status"]["state"], "BGP_ESTABLISHING");
        let path = format!("/magic/gre_tunnels/{}", made.body["result"]["id"].as_str().unwrap());
        let done = desk.rest("PUT", &path, Some(json!({"ttl": 10}))).await;
        let now = &done.body["result"]["modified_gre_tunnel"];
        let (mtu, bgp) = if resets {
            (1476, Value::Null)
        } else {
            (1300, json!({"customer_asn": 64_500}))
        };
        assert_eq!((&now["mtu"], &now["bgp"], &now["ttl"]), (&json!(mtu), &bgp, &json!(10)));
    }
}

#[tokio::test]
async fn tunnels_that_cannot_be_are_refused() {
    let desk = Desk::new().await;
    for (field, value) in [
        ("name", json!("a name")),
        ("name", json!("longer-than-fifteen")),
        ("name", json!("edge-one")),
        ("cloudflare_gre_endpoint", json!("nowhere")),
        ("customer_gre_endpoint", Value::Null),
        ("interface_address", json!("10.213.1.0/30")),
        ("interface_address", json!("198.51.100.0/31")),
        ("interface_address6", json!("2001:db8::/64")),
        ("mtu", json!(500)),
        ("ttl", json!(0)),
        ("bgp", json!({})),
        ("health_check", json!({"rate": "often"})),
        ("health_check", json!({"target": "host.example"})),
        ("colour", json!("blue")),
    ] {
        let mut given = tunnel("new");
        given[field] = value.clone();
        let refused = desk.rest("POST", "/magic/gre_tunnels", Some(given)).await;
        assert_eq!(refused.status, 400, "{field}: {value}");
    }
    // In bulk all or nothing changes.
    let all = desk.rest("GET", "/magic/gre_tunnels", None).await.body["result"]["gre_tunnels"].clone();
    let mut bulk = json!({"gre_tunnels": [all[0], all[1]]});
    bulk["gre_tunnels"][0]["mtu"] = json!(1400);
    bulk["gre_tunnels"][1]["mtu"] = json!(1);
    assert_eq!(desk.rest("PUT", "/magic/gre_tunnels", Some(bulk)).await.status, 400);
    let after = desk.rest("GET", "/magic/gre_tunnels", None).await.body["result"]["gre_tunnels"].clone();
    assert_eq!(after, all);
    let read_only = Desk::with(SimConfig {
        permissions: Permissions {
            magic_write: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    })
    .await;
    assert_eq!(
        read_only
            .rest("POST", "/magic/gre_tunnels", Some(tunnel("new")))
            .await
            .status,
        403
    );
    assert_eq!(read_only.rest("POST", "/cni/cnis", Some(json!({}))).await.status, 403);
}

#[tokio::test]
async fn a_new_key_is_seen_once() {
    let desk = Desk::new().await;
    let all = desk.rest("GET", "/magic/ipsec_tunnels", None).await;
    let tunnel = &all.body["result"]["ipsec_tunnels"][0];
    let path = format!("/magic/ipsec_tunnels/{}", tunnel["id"].as_str().unwrap());
    let made = desk.rest("POST", &format!("{path}/psk_generate"), None).await;
    assert!(made.body["result"]["psk"].is_string());
    let read = desk.rest("GET", &path, None).await.body["result"]["ipsec_tunnel"].clone();
    assert!(read.get("psk").is_none());
    assert_eq!(read["psk_metadata"], made.body["result"]["psk_metadata"]);
    assert_ne!(read["psk_metadata"], tunnel["psk_metadata"]);
}

#[tokio::test]
async fn interconnects_answer_without_an_envelope_in_pages() {
    let desk = Desk::new().await;
    let account = desk.sim.config().account_id.clone();
    let first = desk.rest("GET", "/cni/interconnects", None).await.body["items"][0].clone();
    let slots = desk.rest("GET", "/cni/slots?occupied=false", None).await;
    let slot = slots.body["items"][0]["id"].clone();
    let made = desk
        .rest(
            "POST",
            "/cni/interconnects",
            Some(json!({"account": account, "slot_id": slot, "type": "v2"})),
        )
        .await;
    let name = made.body["name"].as_str().unwrap().to_owned();
    assert!(made.body["facility"]["address"].is_array());
    let status = format!("/cni/interconnects/{name}/status");
    assert_eq!(desk.rest("GET", &status, None).await.body, json!({"state": "Pending"}));
    let down = json!({"state": "Down", "reason": "no light"});
    desk.control("POST", &format!("interconnects/{name}"), Some(down.clone()))
        .await;
    assert_eq!(desk.rest("GET", &status, None).await.body, down);
    let page = desk.rest("GET", "/cni/interconnects?limit=1", None).await;
    assert_eq!((&page.body["items"][0], &page.body["next"]), (&first, &json!(1)));
    let page = desk.rest("GET", "/cni/interconnects?limit=1&cursor=1", None).await;
    assert_eq!(
        (&page.body["items"][0]["name"], &page.body["next"]),
        (&json!(name), &Value::Null)
    );
    assert_eq!(
        desk.rest("GET", "/cni/interconnects?site=ams01", None).await.body["items"],
        json!([])
    );

    // A cross-connect is changed as a whole.
    let cni = desk.rest("GET", "/cni/cnis", None).await.body["items"][0].clone();
    let path = format!("/cni/cnis/{}", cni["id"].as_str().unwrap());
    let mut whole = cni.clone();
    whole["magic"]["description"] = json!("to the edge");
    assert_eq!(desk.rest("PUT", &path, Some(whole.clone())).await.body, whole);
    assert_eq!(
        desk.rest("PUT", &path, Some(json!({"magic": whole["magic"]})))
            .await
            .status,
        400
    );
    assert_eq!(
        desk.rest("PATCH", &path, Some(json!({"magic": whole["magic"]})))
            .await
            .status,
        405
    );
    let magic = json!({"conduit_name": "cni-two", "description": "", "mtu": 1500});
    let second = desk
        .rest(
            "POST",
            "/cni/cnis",
            Some(json!({"account": account, "interconnect": name, "magic": magic})),
        )
        .await;
    let used = desk.rest("DELETE", &format!("/cni/interconnects/{name}"), None).await;
    assert_eq!(used.status, 400);
    let path = format!("/cni/cnis/{}", second.body["id"].as_str().unwrap());
    assert_eq!(desk.rest("DELETE", &path, None).await.status, 204);
    assert_eq!(
        desk.rest("DELETE", &format!("/cni/interconnects/{name}"), None)
            .await
            .status,
        204
    );
    let settings = desk
        .rest("PUT", "/cni/settings", Some(json!({"default_asn": 64_511})))
        .await;
    assert_eq!(settings.body, json!({"default_asn": 64_511}));
}

#[tokio::test]
async fn every_request_is_recorded_and_every_endpoint_can_fail() {
    let desk = Desk::new().await;
    let before = desk.sim.state().last_request;
    for (path, kind) in [
        (
            "/magic/gre_tunnels",
            FaultKind::Status {
                status: 503,
                body: None,
            },
        ),
        ("/cni/interconnects", FaultKind::Html { status: 502 }),
        ("/rulesets", FaultKind::RateLimited { retry_after: Some(3) }),
        ("/mnm/config", FaultKind::Garbage),
        ("/alerting/v3/policies", FaultKind::Refuse),
    ] {
        desk.sim
            .set_fault(FaultSpec::new(Target::Rest, kind).path(path).times(1));
        let broken = desk.send("GET", &desk.account(path), None).await;
        assert!(
            broken.map_or(true, |r| r.status() != 200
                || r.headers()["content-type"] != "application/json"
                || path == "/mnm/config"),
            "{path}"
        );
        assert_eq!(desk.rest("GET", path, None).await.status, 200, "{path}");
    }
    let log = desk.sim.requests_since(before);
    assert_eq!(log.len(), 10);
    assert_eq!(log.iter().filter(|e| e.faults.len() == 1).count(), 5);
    // A change whose answer is lost has happened.
    desk.sim.set_fault(
        FaultSpec::new(Target::Rest, FaultKind::Refuse)
            .method("POST")
            .path("/magic/")
            .times(1)
            .after_apply(),
    );
    assert!(
        desk.send("POST", &desk.account("/magic/gre_tunnels"), Some(tunnel("lost")))
            .await
            .is_err()
    );
    let all = desk.rest("GET", "/magic/gre_tunnels", None).await;
    assert_eq!(all.body["result"]["gre_tunnels"][2]["name"], "lost");
}
