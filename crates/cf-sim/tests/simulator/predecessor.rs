//! The REST sequences of the program that this one replaces: what it asked, with the credentials it used, and the parts of
//! the answers that it read.

use cf_sim::{GlobalKey, SimConfig};
use serde_json::{Value, json};

use crate::{Answer, BGP_ID, Desk, PREFIX, PREFIX_ID, answer};

const MANAGED: &str = "3b64149bfa6e4220bbbc2bd6db589552";

/// It used the token for addresses and tunnels, the global key for rules.
struct Old(Desk);

impl Old {
    async fn new() -> Self {
        let key = GlobalKey {
            email: "noc@example.net".into(),
            key: "0123456789abcdef0123456789abcdef01234".into(),
        };
        Self(
            Desk::with(SimConfig {
                global_key: Some(key),
                as_observed: true,
                ..SimConfig::default()
            })
            .await,
        )
    }

    async fn with_key(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let key = self.0.sim.config().global_key.clone().unwrap();
        let request = self.0.http.request(method.parse().unwrap(), self.0.account(path));
        let mut request = request.header("X-Auth-Email", key.email).header("X-Auth-Key", key.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }
}

#[tokio::test]
async fn its_connection_test_and_its_list_of_prefixes() {
    let old = Old::new().await;
    let verify = old.0.rest("GET", "/tokens/verify", None).await;
    assert_eq!(verify.body["result"]["status"], "active");
    let account = old.0.rest("GET", "", None).await;
    assert_eq!(account.body["success"], true);
    let parents = old.0.rest("GET", "/addressing/prefixes", None).await;
    for parent in parents.body["result"].as_array().unwrap() {
        for field in ["cidr", "id", "asn", "description", "loa_document_id", "advertised"] {
            assert!(parent.get(field).is_some(), "{field}");
        }
        let path = format!("/addressing/prefixes/{}/bgp/prefixes", parent["id"].as_str().unwrap());
        assert!(old.0.rest("GET", &path, None).await.body["result"][0]["id"].is_string());
    }
}

#[tokio::test]
async fn its_way_to_advertise_and_withdraw() {
    let old = Old::new().await;
    let path = format!("/addressing/prefixes/{PREFIX_ID}/bgp/prefixes/{BGP_ID}");
    let read = old.0.rest("GET", &path, None).await;
    let on_demand = &read.body["result"]["on_demand"];
    assert_eq!(
        (&on_demand["advertised"], &on_demand["on_demand_enabled"]),
        (&json!(false), &json!(true))
    );
    for wanted in [true, false] {
        let done = old
            .0
            .rest("PATCH", &path, Some(json!({"on_demand": {"advertised": wanted}})))
            .await;
        assert_eq!(done.body["success"], true);
        let on_demand = &done.body["result"]["on_demand"];
        assert_eq!(on_demand["advertised"], json!(wanted));
        assert!(on_demand["advertised_modified_at"].is_string());
        assert_eq!(old.0.sim.prefix(PREFIX).unwrap().advertised, wanted);
    }
}

#[tokio::test]
async fn its_monitoring_rules() {
    let old = Old::new().await;
    let bits = json!({"name": "DDoS Protection BPS 192.0.2.0-24", "type": "threshold", "prefixes": ["192.0.2.0/24"],
        "bandwidth_threshold": 4_000_000_000_u64, "duration": "1m0s", "automatic_advertisement": true});
    let sflow = json!({"name": "sFlow-DDoS-Attack-192.0.2.0-24", "type": "advanced_ddos", "prefixes": ["192.0.2.0/24"],
        "automatic_advertisement": true, "prefix_match": "subnet"});
    let score = json!({"name": "Dynamic DDoS Detection 192.0.2.0-24", "type": "zscore", "prefixes": ["192.0.2.0/24"],
        "zscore_sensitivity": "medium", "zscore_target": "bits", "duration": "1m", "automatic_advertisement": true});
    // Without `type`, as its command line sent it.
    let packets = json!({"name": "DDoS Protection PPS 192.0.2.0-24", "prefixes": ["192.0.2.0/24"],
        "packet_threshold": 500_000, "duration": "1m0s", "automatic_advertisement": true});
    let mut ids = Vec::new();
    for rule in [bits, sflow, score, packets] {
        let made = old.with_key("POST", "/mnm/rules", Some(rule.clone())).await;
        assert_eq!(
            (made.body["success"].clone(), &made.body["result"]["name"]),
            (json!(true), &rule["name"]),
            "{}",
            made.body
        );
        ids.push(made.body["result"]["id"].as_str().unwrap().to_owned());
    }
    let path = format!("/mnm/rules/{}", ids[0]);
    let changed = old
        .with_key("PATCH", &path, Some(json!({"bandwidth_threshold": 5_000_000_000_u64})))
        .await;
    assert_eq!(changed.body["result"]["bandwidth_threshold"], 5_000_000_000_u64);
    let listed = old.with_key("GET", "/mnm/rules", None).await;
    let kinds: Vec<&str> = listed.body["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|k| **k == "threshold").count(), 6);
    for id in ids {
        assert_eq!(
            old.with_key("DELETE", &format!("/mnm/rules/{id}"), None).await.body["success"],
            true
        );
    }
}

#[tokio::test]
async fn its_overrides() {
    let old = Old::new().await;
    let managed = old.with_key("GET", &format!("/rulesets/{MANAGED}"), None).await;
    let rules = managed.body["result"]["rules"].as_array().unwrap().clone();
    let editable = |r: &&Value| r["allowed_override_actions"].as_array().is_some_and(|a| !a.is_empty());
    assert_eq!((rules.len(), rules.iter().filter(editable).count()), (124, 29));
    // It had the id of the root ruleset in its code; here it is found by its phase.
    let entry = "/rulesets/phases/ddos_l4/entrypoint";
    let global = json!({"action": "execute", "expression": "true", "enabled": true,
        "action_parameters": {"id": MANAGED, "overrides": {"rules": [{"id": rules[0]["id"], "action": "log", "sensitivity_level": "low"}]}}});
    let made = old.with_key("PUT", entry, Some(json!({"rules": [global]}))).await;
    let root = format!("/rulesets/{}", made.body["result"]["id"].as_str().unwrap());
    // Read, change in the middle, write all of it back.
    let mut all = old.with_key("GET", &root, None).await.body["result"]["rules"].clone();
    all[0]["action_parameters"]["overrides"]["rules"][0]["action"] = json!("block");
    let custom = json!({"action": "execute", "expression": "ip.dst eq 192.0.2.10 and udp.dstport in {53}", "enabled": true,
        "description": "resolver", "action_parameters": {"id": MANAGED, "overrides": {"rules": [{"id": rules[2]["id"], "sensitivity_level": "low"}]}}});
    all.as_array_mut().unwrap().push(custom);
    let written = old.with_key("PUT", &root, Some(json!({"rules": all}))).await;
    assert_eq!(written.body["success"], true, "{}", written.body);
    let second = written.body["result"]["rules"][1]["id"].as_str().unwrap().to_owned();
    let moved = old
        .with_key(
            "PATCH",
            &format!("{root}/rules/{second}"),
            Some(json!({"position": {"index": 1}})),
        )
        .await;
    assert_eq!(moved.body["result"]["rules"][0]["id"], json!(second));
    // What it could not know: this action cannot be used, although the rules list it.
    all = moved.body["result"]["rules"].clone();
    all[1]["action_parameters"]["overrides"]["rules"][0]["action"] = json!("ddos_dynamic");
    assert_eq!(
        old.with_key("PUT", &root, Some(json!({"rules": all}))).await.status,
        400
    );
}

#[tokio::test]
async fn its_page_of_connectors() {
    let old = Old::new().await;
    let gre = old.0.rest("GET", "/magic/gre_tunnels", None).await;
    let ipsec = old.0.rest("GET", "/magic/ipsec_tunnels", None).await;
    assert_eq!(gre.body["result"]["gre_tunnels"].as_array().unwrap().len(), 2);
    assert_eq!(ipsec.body["result"]["ipsec_tunnels"].as_array().unwrap().len(), 1);
    let tunnel = gre.body["result"]["gre_tunnels"][1].clone();
    assert_eq!(tunnel["bgp_status"]["tcp_established"], true);
    let mut whole = json!({});
    for field in [
        "name",
        "cloudflare_gre_endpoint",
        "customer_gre_endpoint",
        "interface_address",
        "ttl",
        "mtu",
        "health_check",
    ] {
        whole[field] = tunnel[field].clone();
    }
    whole["description"] = json!("changed");
    let path = format!("/magic/gre_tunnels/{}", tunnel["id"].as_str().unwrap());
    assert_eq!(old.0.rest("PUT", &path, Some(whole)).await.body["success"], true);
    let interconnects = old.0.rest("GET", "/cni/interconnects", None).await;
    let cnis = old.0.rest("GET", "/cni/cnis", None).await;
    assert_eq!(
        interconnects.body["items"][0]["facility"]["name"],
        "Example Colocation FRA1"
    );
    let cni = &cnis.body["items"][0];
    assert_eq!(cni["p2p_ip"], json!({"ip": "10.214.0.8", "cidr": 31}));
    // Its change of a cross-connect never worked: there is no PATCH.
    let path = format!("/cni/cnis/{}", cni["id"].as_str().unwrap());
    assert_eq!(
        old.0
            .rest("PATCH", &path, Some(json!({"magic": cni["magic"]})))
            .await
            .status,
        405
    );
}
