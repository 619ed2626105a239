//! Changes of tunnels and links: what goes back as it came, what follows, what is refused.

use super::*;

fn tunnel(extra: Value) -> Editable {
    let mut raw = json!({"id": "c1", "name": "edge", "description": "Site A \"north\"", "cloudflare_gre_endpoint": "198.51.100.1",
        "customer_gre_endpoint": "192.0.2.251", "interface_address": "10.213.0.10/31", "interface_address6": "2001:db8::1/127",
        "mtu": 1476, "ttl": 64, "automatic_return_routing": true, "bgp": {"customer_asn": 64500, "md5_key": "canary"},
        "health_check": {"enabled": true, "rate": "mid", "type": "reply", "direction": "unidirectional", "target": "192.0.2.251"},
        "bgp_status": {"state": "BGP_UP"}, "modified_on": "x"});
    raw.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Editable::of_tunnel(&Tunnel::read(TunnelKind::Gre, raw.as_object().unwrap().clone()).unwrap())
}

fn wanted(fields: Value) -> Wanted {
    serde_json::from_value(fields).unwrap()
}

#[test]
fn everything_that_is_not_changed_goes_back() {
    let before = tunnel(json!({}));
    let edit = before.edit(&wanted(json!({"probe_rate": "high"}))).unwrap();
    assert_eq!(edit.differences.len(), 1);
    let mut expected = before.body.clone();
    expected["health_check"]["rate"] = json!("high");
    assert_eq!(edit.body, expected, "description, BGP and all else stay");
    assert!(!edit.moves);
}

#[test]
fn the_probe_follows_the_endpoint_only_where_it_did() {
    let moved = |target: Value| {
        let before = tunnel(json!({"health_check": {"enabled": true, "target": target}}));
        before.edit(&wanted(json!({"customer_endpoint": "192.0.2.7"}))).unwrap()
    };
    let follows = moved(json!("192.0.2.251"));
    assert!(follows.moves);
    assert_eq!(follows.body["health_check"]["target"], "192.0.2.7");
    assert_eq!(
        moved(json!("192.0.2.99")).body["health_check"]["target"],
        "192.0.2.99",
        "its own target stays"
    );
    let apart = moved(json!({"saved": "192.0.2.251", "effective": "192.0.2.251"}));
    assert_eq!(apart.body["health_check"]["target"], "192.0.2.7");
    let free = moved(json!({"saved": "", "effective": "192.0.2.251"}));
    assert!(
        free.body["health_check"].get("target").is_none(),
        "Cloudflare's own choice stays its own"
    );
}

#[test]
fn what_cloudflare_probes_by_itself_is_not_saved() {
    let sent = |check: Value| {
        let before = tunnel(json!({ "health_check": check }));
        let edit = before.edit(&wanted(json!({"description": "new"}))).unwrap();
        edit.body["health_check"].get("target").cloned()
    };
    assert_eq!(
        sent(json!({"direction": "unidirectional", "target": "192.0.2.251"})),
        None
    );
    assert_eq!(
        sent(json!({"direction": "bidirectional", "target": "10.213.0.11"})),
        None
    );
    assert_eq!(
        sent(json!({"direction": "unidirectional", "target": "192.0.2.9"})),
        Some(json!("192.0.2.9"))
    );
}

#[test]
fn a_tunnel_without_probes_settings_can_get_some() {
    let before = tunnel(json!({"health_check": null}));
    let edit = before.edit(&wanted(json!({"probe_enabled": "true"}))).unwrap();
    assert_eq!(edit.body["health_check"], json!({"enabled": true}));
    assert_eq!(edit.differences[0].before, "not said");
}

#[test]
fn what_cannot_be_meant_is_named_by_field() {
    let none = tunnel(json!({"mtu": null}));
    for (before, fields, field) in [
        (
            tunnel(json!({})),
            json!({"customer_endpoint": "999.1.1.1"}),
            "customer_endpoint",
        ),
        (
            tunnel(json!({})),
            json!({"customer_endpoint": "2001:db8::1"}),
            "customer_endpoint",
        ),
        (
            tunnel(json!({})),
            json!({"customer_endpoint": "0.0.0.0"}),
            "customer_endpoint",
        ),
        (tunnel(json!({})), json!({"mtu": "12"}), "mtu"),
        (tunnel(json!({})), json!({"mtu": "1400.5"}), "mtu"),
        (none, json!({"mtu": 1400}), "mtu"),
        (tunnel(json!({})), json!({"probe_rate": "often"}), "probe rate"),
        (tunnel(json!({})), json!({"probe_target": "here"}), "probe target"),
        (tunnel(json!({})), json!({}), ""),
        (
            tunnel(json!({})),
            json!({"description": "Site A \"north\"", "mtu": "1476"}),
            "",
        ),
    ] {
        let problems = before.edit(&wanted(fields.clone())).unwrap_err();
        assert_eq!(problems[0].field, field, "{fields}");
    }
}

#[test]
fn what_was_not_taken_over_is_found() {
    let before = tunnel(json!({}));
    let edit = before
        .edit(&wanted(json!({"mtu": 1400, "probe_rate": "high"})))
        .unwrap();
    assert_eq!(before.missing(&edit), ["MTU", "probe rate"]);
    let after = tunnel(json!({"mtu": 1400, "health_check": {"enabled": true, "rate": "high"}}));
    assert!(after.missing(&edit).is_empty());
}

#[test]
fn a_record_has_no_secret() {
    let state = tunnel(json!({})).state();
    assert!(!state.contains("canary") && state.contains("64500"), "{state}");
}

#[test]
fn a_link_keeps_its_description_in_its_own_place() {
    let raw = json!({"id": "x1", "account": "a", "cust_ip": "192.0.2.1/31", "p2p_ip": "192.0.2.0/31", "interconnect": "p",
        "magic": {"conduit_name": "cni-one", "description": "old", "mtu": 1500}, "bgp": null});
    let link = Link {
        id: "x1".into(),
        interconnect: Some("p".into()),
        name: Some("cni-one".into()),
        description: "old".into(),
        mtu: Some(1_500),
        customer_ip: None,
        cloudflare_ip: None,
        customer_asn: None,
        raw: raw.as_object().unwrap().clone(),
    };
    let edit = Editable::of_link(&link)
        .edit(&wanted(json!({"description": "new"})))
        .unwrap();
    assert_eq!(
        edit.body["magic"],
        json!({"conduit_name": "cni-one", "description": "new", "mtu": 1500})
    );
    assert_eq!(edit.body["account"], "a");
}
