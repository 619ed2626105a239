//! Every kind of fault does to a request what it says.

use std::time::{Duration, Instant};

use cf_sim::{FaultKind, FaultSpec, RowSpec, Target};
use serde_json::{Value, json};

use crate::{BGP_ID, Desk, PREFIX, PREFIX_ID};

fn patch_path() -> String {
    format!("/addressing/prefixes/{PREFIX_ID}/bgp/prefixes/{BGP_ID}")
}

const LIST: &str = "/addressing/prefixes";

#[tokio::test]
async fn statuses_pages_and_garbage() {
    let desk = Desk::new().await;
    let once = |kind| desk.sim.set_fault(FaultSpec::new(Target::Rest, kind).times(1));
    once(FaultKind::Status {
        status: 503,
        body: None,
    });
    let page = desk.rest("GET", LIST, None).await;
    assert_eq!(page.status, 503);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    once(FaultKind::Status {
        status: 403,
        body: Some(json!({"success": false, "errors": [{"code": 10000, "message": "x"}]})),
    });
    assert_eq!(desk.rest("GET", LIST, None).await.body["errors"][0]["code"], 10000);
    once(FaultKind::RateLimited { retry_after: Some(17) });
    let limited = desk.rest("GET", LIST, None).await;
    assert_eq!(
        (limited.status, limited.headers["retry-after"].to_str().unwrap()),
        (429, "17")
    );
    once(FaultKind::Garbage);
    let response = desk.send("GET", &desk.account(LIST), None).await.unwrap();
    assert!(serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).is_err());
    once(FaultKind::Html { status: 200 });
    assert!(desk.rest("GET", LIST, None).await.body.is_string());
    assert_eq!(desk.rest("GET", LIST, None).await.status, 200);
    assert!(desk.sim.faults().iter().all(|f| f.used == 1 && !f.active));
}

#[tokio::test]
async fn connections_are_cut_in_every_way() {
    let desk = Desk::new().await;
    let url = desk.account(LIST);
    for kind in [FaultKind::Refuse, FaultKind::Reset] {
        desk.sim.set_fault(FaultSpec::new(Target::Rest, kind.clone()).times(1));
        let failed = desk.send("GET", &url, None).await.unwrap_err();
        assert!(failed.is_request(), "{kind:?}: {failed:?}");
        let reset = format!("{failed:?}").contains("ConnectionReset");
        assert_eq!(reset, kind == FaultKind::Reset, "{failed:?}");
    }
    desk.sim
        .set_fault(FaultSpec::new(Target::Rest, FaultKind::TruncatedBody).times(1));
    let response = desk.send("GET", &url, None).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err());
    desk.sim
        .set_fault(FaultSpec::new(Target::Rest, FaultKind::Hang).times(1));
    let hanging = tokio::time::timeout(Duration::from_millis(300), desk.send("GET", &url, None)).await;
    assert!(hanging.is_err());
    desk.sim
        .set_fault(FaultSpec::new(Target::Rest, FaultKind::Delay { ms: 300 }).times(1));
    let began = Instant::now();
    assert_eq!(desk.rest("GET", LIST, None).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    desk.sim.stop_listening().await;
    assert!(desk.send("GET", &url, None).await.unwrap_err().is_connect());
    desk.sim.resume_listening().await.unwrap();
    assert_eq!(desk.rest("GET", LIST, None).await.status, 200);
}

#[tokio::test]
async fn a_change_can_take_effect_while_its_answer_is_lost() {
    let desk = Desk::new().await;
    let wanted = || Some(json!({"on_demand": {"advertised": true}}));
    let fault = FaultSpec::new(Target::Rest, FaultKind::Refuse)
        .method("PATCH")
        .path("/bgp/prefixes/")
        .times(1);
    desk.sim.set_fault(fault.clone());
    assert!(
        desk.send("PATCH", &desk.account(&patch_path()), wanted())
            .await
            .is_err()
    );
    assert!(!desk.sim.prefix(PREFIX).unwrap().advertised);
    desk.sim.set_fault(fault.after_apply());
    assert!(
        desk.send("PATCH", &desk.account(&patch_path()), wanted())
            .await
            .is_err()
    );
    assert!(desk.sim.prefix(PREFIX).unwrap().advertised);
    // And the opposite: answered well, nothing done.
    desk.sim.set_fault(
        FaultSpec::new(Target::Rest, FaultKind::IgnoreChange)
            .method("PATCH")
            .times(1),
    );
    let answer = desk
        .rest(
            "PATCH",
            &patch_path(),
            Some(json!({"on_demand": {"advertised": false}})),
        )
        .await;
    assert_eq!(answer.body["result"]["on_demand"]["advertised"], false);
    assert!(desk.sim.prefix(PREFIX).unwrap().advertised);
}

#[tokio::test]
async fn analytics_can_lie_in_every_way() {
    let desk = Desk::new().await;
    desk.sim
        .add_rows(["203.0.113.10", "192.0.2.10", "198.51.100.10"].map(|ip| RowSpec::dropped(ip, 10_000, 1).visible()));
    let document = "query($a: string!, $f: Time!) { viewer { accounts(filter: {accountTag: $a}) {
        magicTransitNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f}, limit: 100) { dimensions { ipDestinationAddress } sum { packets } } } } }";
    let from = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(600);
    let ask = async |kind: Option<FaultKind>| {
        if let Some(kind) = kind {
            desk.sim
                .set_fault(FaultSpec::new(Target::Graphql, kind).times(1).path("magicTransit"));
        }
        let answer = desk
            .graphql(
                document,
                json!({"a": desk.sim.config().account_id, "f": from.to_string()}),
            )
            .await;
        assert_eq!(answer.status, 200);
        let rows = answer.body["data"]["viewer"]["accounts"][0]["magicTransitNetworkAnalyticsAdaptiveGroups"]
            .as_array()
            .map(Vec::len);
        (rows, answer.body["errors"].clone())
    };
    assert_eq!(ask(None).await, (Some(3), Value::Null));
    assert_eq!(ask(Some(FaultKind::EmptyRows)).await, (Some(0), Value::Null));
    assert_eq!(
        ask(Some(FaultKind::TruncateRows { n: 2 })).await,
        (Some(2), Value::Null)
    );
    assert_eq!(
        ask(Some(FaultKind::StaleRows { seconds: 60 })).await,
        (Some(0), Value::Null)
    );
    let (rows, errors) = ask(Some(FaultKind::GraphqlErrorsWithData {
        messages: vec!["partial".into()],
    }))
    .await;
    assert_eq!((rows, &errors[0]["message"]), (Some(3), &json!("partial")));
    let (rows, errors) = ask(Some(FaultKind::GraphqlErrors {
        messages: vec!["Internal server error".into()],
    }))
    .await;
    assert_eq!((rows, &errors[0]["message"]), (None, &json!("Internal server error")));
    assert_eq!(ask(None).await.0, Some(3));
}
