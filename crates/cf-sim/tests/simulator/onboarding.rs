//! Prefixes from onboarding to their first advertisement, delegations, bindings.

use cf_sim::{Permissions, SimConfig};
use serde_json::{Value, json};

use crate::{Desk, PREFIX_ID};

const PREFIXES: &str = "/addressing/prefixes";

#[tokio::test]
async fn a_prefix_is_onboarded_approved_and_advertised() {
    let desk = Desk::new().await;
    let given = json!({"cidr": "192.0.0.0/24", "asn": 64_500, "loa_document_id": null});
    let made = desk.rest("POST", PREFIXES, Some(given.clone())).await;
    assert_eq!((made.status, &made.body["result"]["approved"]), (200, &json!("P")));
    assert_eq!(made.body["result"]["advertised"], Value::Null);
    let path = format!("{PREFIXES}/{}", made.body["result"]["id"].as_str().unwrap());
    assert_eq!(desk.rest("POST", PREFIXES, Some(given)).await.status, 400);
    let validated = desk.rest("POST", &format!("{path}/validate"), None).await;
    assert_eq!(validated.body["result"]["rpki_validation_state"], "valid");
    let networks = format!("{path}/bgp/prefixes");
    let network = json!({"cidr": "192.0.0.0/24"});
    let early = desk.rest("POST", &networks, Some(network.clone())).await;
    assert_eq!(early.body["errors"][0]["message"], "prefix_not_valid_and_approved");
    let approved = desk
        .control("POST", "prefixes/192.0.0.0%2F24", Some(json!({"approved": true})))
        .await;
    assert_eq!(approved.status, 200);
    let bgp = desk.rest("POST", &networks, Some(network)).await;
    assert_eq!(bgp.body["result"]["on_demand"]["advertised"], false);
    let one = format!("{networks}/{}", bgp.body["result"]["id"].as_str().unwrap());
    let on = desk
        .rest("PATCH", &one, Some(json!({"on_demand": {"advertised": true}})))
        .await;
    assert_eq!(on.body["result"]["on_demand"]["advertised"], true);
    assert_eq!(desk.rest("GET", &path, None).await.body["result"]["advertised"], true);
    // Only a withdrawn network can be deleted; the prefix, once approved, cannot.
    assert_eq!(desk.rest("DELETE", &one, None).await.status, 400);
    desk.rest("PATCH", &one, Some(json!({"on_demand": {"advertised": false}})))
        .await;
    let gone = desk.rest("DELETE", &one, None).await;
    assert_eq!((gone.status, gone.body.get("result")), (200, None));
    assert_eq!(desk.rest("GET", &path, None).await.body["result"]["approved"], "V");
    assert_eq!(desk.rest("DELETE", &path, None).await.status, 400);
    desk.control("POST", "prefixes/192.0.0.0%2F24", Some(json!({"approved": false})))
        .await;
    assert_eq!(desk.rest("DELETE", &path, None).await.status, 200);
    assert_eq!(desk.rest("GET", &path, None).await.body["errors"][0]["code"], 1000);
}

#[tokio::test]
async fn parts_are_delegated_and_bound() {
    let desk = Desk::new().await;
    let path = format!("{PREFIXES}/{PREFIX_ID}/delegations");
    let given = json!({"cidr": "203.0.113.0/28", "delegated_account_id": "d".repeat(32)});
    let made = desk.rest("POST", &path, Some(given)).await;
    assert_eq!(made.body["result"]["parent_prefix_id"], PREFIX_ID);
    assert_eq!(
        desk.rest("GET", &path, None).await.body["result"],
        json!([made.body["result"]])
    );
    let outside = json!({"cidr": "8.8.8.0/24", "delegated_account_id": "d".repeat(32)});
    assert_eq!(desk.rest("POST", &path, Some(outside)).await.status, 400);
    let one = format!("{path}/{}", made.body["result"]["id"].as_str().unwrap());
    assert_eq!(
        desk.rest("DELETE", &one, None).await.body["result"]["id"],
        made.body["result"]["id"]
    );
    assert_eq!(desk.rest("DELETE", &one, None).await.status, 404);

    let services = desk.rest("GET", "/addressing/services", None).await;
    let cdn = services.body["result"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["name"] == "CDN")
        .unwrap()["id"]
        .clone();
    let path = format!("{PREFIXES}/{PREFIX_ID}/bindings");
    let bound = desk
        .rest(
            "POST",
            &path,
            Some(json!({"cidr": "203.0.113.7/32", "service_id": cdn})),
        )
        .await;
    assert_eq!(
        (
            &bound.body["result"]["service_name"],
            &bound.body["result"]["provisioning"]["state"]
        ),
        (&json!("CDN"), &json!("provisioning"))
    );
    let refused = desk
        .rest(
            "POST",
            &path,
            Some(json!({"cidr": "203.0.113.8/32", "service_id": "0"})),
        )
        .await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["code"]),
        (400, &json!(1003))
    );
    let one = format!("{path}/{}", bound.body["result"]["id"].as_str().unwrap());
    assert_eq!(desk.rest("DELETE", &one, None).await.status, 200);
    assert_eq!(desk.rest("GET", &one, None).await.status, 404);
}

#[tokio::test]
async fn advertising_alone_needs_no_right_to_onboard() {
    let desk = Desk::with(SimConfig {
        permissions: Permissions {
            prefixes_write: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    })
    .await;
    let given = json!({"cidr": "192.0.0.0/24", "asn": 64_500});
    assert_eq!(desk.rest("POST", PREFIXES, Some(given)).await.status, 403);
    let status = format!("{PREFIXES}/{PREFIX_ID}/bgp/status");
    assert_eq!(
        desk.rest("PATCH", &status, Some(json!({"advertised": true})))
            .await
            .status,
        200
    );
    let networks = format!("{PREFIXES}/{PREFIX_ID}/bgp/prefixes");
    assert_eq!(
        desk.rest("POST", &networks, Some(json!({"cidr": "203.0.113.0/25"})))
            .await
            .status,
        403
    );
}
