//! Magic Network Monitoring: the configuration, and rules of all four kinds.

use cf_sim::SimConfig;
use serde_json::{Value, json};

use crate::Desk;

/// A rule of each kind, as its creator sends it.
fn kinds() -> [Value; 4] {
    let common = |name: &str, kind: &str| json!({"name": name, "prefixes": ["192.0.2.0/24"], "type": kind, "automatic_advertisement": true});
    let with = |mut rule: Value, fields: Value| {
        for (name, value) in fields.as_object().unwrap() {
            rule[name] = value.clone();
        }
        rule
    };
    [
        with(
            common("bits_1", "threshold"),
            json!({"bandwidth_threshold": 4_000_000_000_u64, "duration": "1m"}),
        ),
        with(
            common("packets-1", "threshold"),
            json!({"packet_threshold": 500_000, "duration": "60m"}),
        ),
        with(
            common("score.1", "zscore"),
            json!({"zscore_sensitivity": "medium", "zscore_target": "packets"}),
        ),
        with(
            common("sflow~1", "advanced_ddos"),
            json!({"prefix_match": "subnet", "duration": "300s"}),
        ),
    ]
}

#[tokio::test]
async fn all_kinds_are_made_read_changed_and_deleted() {
    let desk = Desk::new().await;
    for (given, duration) in kinds().into_iter().zip(["1m0s", "1h0m0s", "1m0s", "5m0s"]) {
        let made = desk.rest("POST", "/mnm/rules", Some(given.clone())).await;
        assert_eq!(
            (made.status, &made.body["result"]["duration"]),
            (200, &json!(duration)),
            "{}",
            made.body
        );
        let id = made.body["result"]["id"].as_str().unwrap().to_owned();
        let path = format!("/mnm/rules/{id}");
        let mut whole = desk.rest("GET", &path, None).await.body["result"].clone();
        assert_eq!(whole, made.body["result"]);
        whole["automatic_advertisement"] = json!(false);
        whole["prefixes"] = json!(["192.0.2.0/24", "2001:db8:1::/48"]);
        let changed = desk.rest("PATCH", &path, Some(whole.clone())).await;
        assert_eq!(changed.body["result"], whole);
        // The update of the collection knows rules by their name.
        whole.as_object_mut().unwrap().remove("id");
        whole["prefixes"] = json!(["192.0.2.0/24"]);
        let updated = desk.rest("PUT", "/mnm/rules", Some(whole)).await;
        assert_eq!(
            (&updated.body["result"]["id"], &updated.body["result"]["prefixes"]),
            (&json!(id), &json!(["192.0.2.0/24"]))
        );
        for (body, wanted) in [
            (None, true),
            (None, false),
            (Some(json!({"automatic_advertisement": false})), false),
            (Some(json!({"automatic_advertisement": true})), true),
        ] {
            let flipped = desk.rest("PATCH", &format!("{path}/advertisement"), body).await;
            assert_eq!(flipped.body["result"], json!({"automatic_advertisement": wanted}));
        }
        assert_eq!(desk.rest("DELETE", &path, None).await.body["result"]["id"], json!(id));
        let gone = desk.rest("GET", &path, None).await;
        assert_eq!((gone.status, &gone.body["errors"][0]["code"]), (404, &json!(1009)));
    }
}

#[tokio::test]
async fn rules_that_could_not_work_are_refused() {
    let desk = Desk::new().await;
    let [bits, _, score, sflow] = kinds();
    let long = "n".repeat(257);
    let many: Vec<String> = (0..5_001).map(|i| format!("10.{}.{}.0/24", i / 256, i % 256)).collect();
    for (rule, field, value) in [
        (&bits, "name", json!("with space")),
        (&bits, "name", json!(long)),
        (&bits, "name", Value::Null),
        (&bits, "prefixes", json!([])),
        (&bits, "prefixes", json!(["192.0.2.1/24"])),
        (&bits, "prefixes", json!(["192.0.2.0/24", "192.0.2.0/24"])),
        (&bits, "prefixes", json!(many)),
        (&bits, "type", json!("volumetric")),
        (&bits, "automatic_advertisement", json!("yes")),
        (&bits, "bandwidth_threshold", json!(0)),
        (&bits, "bandwidth_threshold", json!(1.5)),
        (&bits, "bandwidth_threshold", Value::Null),
        (&bits, "duration", json!("2m")),
        (&bits, "duration", json!("2m0s")),
        (&bits, "duration", json!(60)),
        (&bits, "prefix_match", json!("subnet")),
        (&bits, "threshold", json!(1)),
        (&score, "zscore_sensitivity", json!("extreme")),
        (&score, "zscore_target", Value::Null),
        (&sflow, "prefix_match", json!("larger")),
    ] {
        let mut rule = rule.clone();
        rule[field] = value.clone();
        let refused = desk.rest("POST", "/mnm/rules", Some(rule)).await;
        assert_eq!(
            (refused.status, &refused.body["errors"][0]["code"]),
            (400, &json!(1001)),
            "{field}: {value}"
        );
    }
    // Equivalent spellings are the same.
    let mut rule = bits;
    rule["duration"] = json!("1h0m0s");
    rule["bandwidth_threshold"] = json!(4e9);
    let made = desk.rest("POST", "/mnm/rules", Some(rule)).await;
    assert_eq!(
        (
            &made.body["result"]["duration"],
            &made.body["result"]["bandwidth_threshold"]
        ),
        (&json!("1h0m0s"), &json!(4_000_000_000_u64))
    );
    // The specification wants the required fields on changes too.
    let path = format!("/mnm/rules/{}", made.body["result"]["id"].as_str().unwrap());
    let partial = desk.rest("PATCH", &path, Some(json!({"duration": "5m"}))).await;
    assert_eq!(partial.status, 400);
}

#[tokio::test]
async fn the_configuration_is_there_once_or_not_at_all() {
    let desk = Desk::new().await;
    let config = |name: &str| json!({"name": name, "default_sampling": 4096, "router_ips": ["203.0.113.1/32"]});
    let read = desk.rest("GET", "/mnm/config/full", None).await;
    assert_eq!(read.body["result"]["warp_devices"], json!([]));
    let twice = desk.rest("POST", "/mnm/config", Some(config("Twice"))).await;
    assert_eq!(twice.body["errors"][0]["code"], 1005);
    let changed = desk
        .rest("PATCH", "/mnm/config", Some(json!({"default_sampling": 512})))
        .await;
    assert_eq!(
        (
            &changed.body["result"]["default_sampling"],
            &changed.body["result"]["name"]
        ),
        (&json!(512), &json!("Example Network"))
    );
    let odd = desk.rest("PUT", "/mnm/config", Some(config("A & B"))).await;
    assert!(
        odd.body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("illegal characters")
    );
    let router = desk
        .rest("PATCH", "/mnm/config", Some(json!({"router_ips": ["203.0.113.0/24"]})))
        .await;
    assert_eq!(router.body["errors"][0]["code"], 1003);
    assert_eq!(desk.rest("DELETE", "/mnm/config", None).await.status, 200);
    assert_eq!(desk.rest("GET", "/mnm/config", None).await.body["result"], Value::Null);
    assert_eq!(
        desk.rest("PUT", "/mnm/config", Some(config("None"))).await.body["errors"][0]["code"],
        1004
    );
    let [bits, ..] = kinds();
    assert_eq!(
        desk.rest("POST", "/mnm/rules", Some(bits)).await.body["errors"][0]["code"],
        1008
    );
    assert_eq!(
        desk.rest("POST", "/mnm/config", Some(config("Again"))).await.status,
        200
    );
    let token = desk.rest("POST", "/mnm/vpc-flows/token", None).await;
    assert!(token.body["result"].is_string());
}

#[tokio::test]
async fn as_observed_the_api_takes_what_the_documentation_does_not() {
    let desk = Desk::with(SimConfig {
        as_observed: true,
        ..SimConfig::default()
    })
    .await;
    let rule = json!({"name": "DDoS Protection BPS 192.0.2.0-24", "prefixes": ["192.0.2.0/24"], "bandwidth_threshold": 2_000_000_000_u64,
        "automatic_advertisement": true, "duration": "1m0s"});
    let made = desk.rest("POST", "/mnm/rules", Some(rule)).await;
    assert_eq!((made.status, &made.body["result"]["type"]), (200, &json!("threshold")));
    let path = format!("/mnm/rules/{}", made.body["result"]["id"].as_str().unwrap());
    let partial = desk
        .rest("PATCH", &path, Some(json!({"bandwidth_threshold": 5_000_000_000_u64})))
        .await;
    assert_eq!(partial.body["result"]["bandwidth_threshold"], 5_000_000_000_u64);
    assert_eq!(partial.body["result"]["prefixes"], json!(["192.0.2.0/24"]));
}
