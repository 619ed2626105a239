//! Every REST call against the simulator, and every fault on the way.

use std::time::{Duration, Instant};

use crate::simulated::*;
use cf_api::ErrorClass;
use cf_api::budget::{Bucket, CallKind};
use cf_api::rest::history::HistoryRequest;
use cf_api::rest::prefixes::AdvertisePermit;
use cf_sim::{BindingSpec, FaultKind, FaultSpec, PrefixChange, Target};
use domain::ids::{BgpPrefixId, PrefixId};
use jiff::Timestamp;
use serde_json::json;

fn permit() -> AdvertisePermit {
    AdvertisePermit::issued_by_prefix_ops()
}

#[tokio::test]
async fn prefixes_are_listed_with_their_live_state() {
    let sim = sim().await;
    let client = client_of(&sim);
    let parents = client.list_prefixes().await.unwrap();
    assert_eq!(parents.len(), sim.config().prefixes.len());
    sim.change_prefix(
        "203.0.113.0/24",
        &PrefixChange {
            advertised: Some(true),
            locked: Some(true),
            prepend: Some(2),
            ..PrefixChange::default()
        },
    );
    let mut seen_v6 = false;
    for parent in &parents {
        for bgp in client.list_bgp_prefixes(&parent.id, &parent.description).await.unwrap() {
            let truth = sim.prefix(&bgp.prefix.to_string()).unwrap();
            assert_eq!(bgp.parent_id, parent.id);
            assert_eq!(bgp.description, parent.description);
            assert_eq!(bgp.state.advertised, Some(truth.advertised));
            assert_eq!(bgp.state.advertised_modified_at, truth.advertised_modified_at);
            assert_eq!(bgp.state.locked, truth.on_demand_locked);
            assert_eq!(bgp.state.on_demand_enabled, truth.on_demand_enabled);
            assert_eq!(bgp.state.bgp_signalled, truth.bgp_signalled);
            assert_eq!(bgp.state.prepend, Some(truth.asn_prepend_count));
            assert_eq!(bgp.asn, truth.asn);
            let read = client.get_bgp_prefix(&parent.id, &bgp.id).await.unwrap();
            assert_eq!(read.state, bgp.state);
            seen_v6 |= bgp.prefix.is_ipv6();
        }
    }
    assert!(seen_v6);
}

#[tokio::test]
async fn service_bindings_are_listed_as_they_are() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let whole = client.list_bindings(&parent).await.unwrap();
    assert_eq!(whole.len(), 1);
    assert_eq!(
        (whole[0].network, whole[0].words().as_str()),
        (bgp.prefix, "Magic Transit, active")
    );
    let part = "203.0.113.7/32";
    let elsewhere = BindingSpec {
        provisioning: true,
        ..BindingSpec::new(part, Some("CDN"))
    };
    assert!(sim.change_binding(&elsewhere));
    let both = client.list_bindings(&parent).await.unwrap();
    let changes = domain::binding::changes(&whole, &both);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].network, part.parse().unwrap());
    assert_eq!(changes[0].after.as_deref(), Some("CDN, provisioning"));
    for (kind, class) in [
        (FaultKind::Garbage, ErrorClass::Malformed),
        (
            FaultKind::Status {
                status: 403,
                body: None,
            },
            ErrorClass::Permission,
        ),
    ] {
        sim.set_fault(FaultSpec::new(Target::Rest, kind.clone()).path("/bindings").times(1));
        let error = client.list_bindings(&parent).await.unwrap_err();
        assert_eq!(error.class, class, "{kind:?}: {error}");
    }
    let none = client.list_bindings(&PrefixId::new("")).await.unwrap_err();
    assert_eq!(none.class, ErrorClass::Refused, "an empty id is not asked about");
}

#[tokio::test]
async fn advertise_and_withdraw() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let cidr = bgp.prefix.to_string();
    for wanted in [true, false] {
        let answered = client.set_advertised(permit(), &parent, &bgp.id, wanted).await.unwrap();
        assert_eq!(answered.id, bgp.id);
        assert_eq!(sim.prefix(&cidr).unwrap().advertised, wanted);
    }
    let changes: Vec<_> = sim
        .requests_since(0)
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body)
        .collect();
    assert_eq!(
        changes,
        [
            r#"{"on_demand":{"advertised":true}}"#,
            r#"{"on_demand":{"advertised":false}}"#
        ]
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_unknown_and_sent_once() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let lost = [
        (FaultKind::Hang, ErrorClass::Unknown),
        (FaultKind::Refuse, ErrorClass::Unknown),
        (FaultKind::Reset, ErrorClass::Unknown),
        (FaultKind::TruncatedBody, ErrorClass::Unknown),
        (FaultKind::Garbage, ErrorClass::Malformed),
        (
            FaultKind::Status {
                status: 502,
                body: None,
            },
            ErrorClass::Transient,
        ),
    ];
    let mut advertised = false;
    for (kind, class) in lost {
        advertised = !advertised;
        let before = arrived(&sim, "PATCH");
        let fault = FaultSpec::new(Target::Rest, kind.clone())
            .method("PATCH")
            .after_apply()
            .times(1);
        sim.set_fault(fault);
        let outcome = client.set_advertised(permit(), &parent, &bgp.id, advertised).await;
        let error = failure(outcome);
        assert_eq!(error.class, class, "{kind:?}: {error}");
        assert!(error.outcome_unknown(), "{kind:?}: {error}");
        // It did take effect, and only a read can tell.
        let read = client.get_bgp_prefix(&parent, &bgp.id).await.unwrap();
        assert_eq!(read.state.advertised, Some(advertised), "{kind:?}");
        assert_eq!(arrived(&sim, "PATCH"), before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_change_that_never_left_is_known_not_to_have_happened() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    sim.stop_listening().await;
    let outcome = client.set_advertised(permit(), &parent, &bgp.id, true).await;
    let error = failure(outcome);
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
    assert!(!error.outcome_unknown());
    sim.resume_listening().await.unwrap();
    let read = client.get_bgp_prefix(&parent, &bgp.id).await.unwrap();
    assert_eq!(read.state.advertised, Some(false));
}

#[tokio::test]
async fn a_locked_prefix_says_so() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let locked = PrefixChange {
        locked: Some(true),
        ..PrefixChange::default()
    };
    sim.change_prefix(&bgp.prefix.to_string(), &locked);
    let outcome = client.set_advertised(permit(), &parent, &bgp.id, true).await;
    let error = failure(outcome);
    assert_eq!(error.class, ErrorClass::Locked, "{error}");
    assert!(!error.outcome_unknown());
}

#[tokio::test]
async fn odd_ids_never_leave() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let before = sim.requests_since(0).len();
    for odd in ["", "../../x", "a/b", "zz", "%2e%2e"] {
        let refused = [
            failure(client.list_bgp_prefixes(&PrefixId::new(odd), "").await),
            failure(client.get_bgp_prefix(&parent, &BgpPrefixId::new(odd)).await),
            failure(
                client
                    .set_advertised(permit(), &PrefixId::new(odd), &bgp.id, false)
                    .await,
            ),
            failure(
                client
                    .set_advertised(permit(), &parent, &BgpPrefixId::new(odd), false)
                    .await,
            ),
        ];
        for error in refused {
            assert_eq!(error.class, ErrorClass::Refused, "{odd}: {error}");
        }
    }
    assert_eq!(sim.requests_since(0).len(), before);
}

#[tokio::test]
async fn unknown_objects_and_wrong_credentials() {
    let sim = sim().await;
    let client = client_of(&sim);
    let nowhere = PrefixId::new("00000000000000000000000000000000");
    let error = failure(client.list_bgp_prefixes(&nowhere, "").await);
    assert_eq!(error.class, ErrorClass::NotFound, "{error}");
    assert!(error.status.is_some() && !error.messages.is_empty());

    let stranger = client_with(&sim.api_base_url(), &sim, "some-other-token-of-nobody-at-all");
    let error = failure(stranger.list_prefixes().await);
    assert!(
        matches!(error.class, ErrorClass::Auth | ErrorClass::Permission),
        "{error}"
    );
}

#[tokio::test]
async fn the_token_is_verified_on_whichever_route_knows_it() {
    let sim = sim().await;
    let client = client_of(&sim);
    assert!(client.verify_token().await.unwrap().is_active());

    // A user's token: the account route declines.
    answer_rest(
        &sim,
        401,
        json!({"success": false, "errors": [{"code": 1000, "message": "Invalid API Token"}],
               "messages": [], "result": null}),
    );
    assert!(client.verify_token().await.unwrap().is_active());
    let paths: Vec<_> = sim.requests_since(0).into_iter().map(|r| r.path).collect();
    assert!(paths.last().unwrap().ends_with("/user/tokens/verify"), "{paths:?}");

    // No answer says nothing about the token, so the other route is not asked.
    let before = paths.len();
    fault_once(&sim, Target::Rest, FaultKind::Refuse);
    assert_eq!(failure(client.verify_token().await).class, ErrorClass::Unknown);
    assert_eq!(sim.requests_since(0).len(), before + 1);

    answer_rest(
        &sim,
        200,
        enveloped(json!({"id": "x", "status": "expired",
        "expires_on": "2025-01-01T00:00:00Z"})),
    );
    let status = client.verify_token().await.unwrap();
    assert!(!status.is_active());
    assert_eq!(status.expires_on, "2025-01-01T00:00:00Z".parse().ok());
}

#[tokio::test]
async fn monitoring_rules_and_alert_history() {
    let sim = sim().await;
    let client = client_of(&sim);
    client.list_mnm_rules().await.unwrap();
    answer_rest(&sim, 200, enveloped(json!(null)));
    assert_eq!(client.list_mnm_rules().await.unwrap(), []);
    answer_rest(
        &sim,
        200,
        enveloped(json!([{
            "id": "2890e6fa406311ed9b5a23f70f6fb8cf", "name": "net-192.0.2.0_24",
            "prefixes": ["192.0.2.0/24", "2001:db8::/48"], "type": "threshold",
            "automatic_advertisement": true, "bandwidth": 1e9, "packet_threshold": null,
            "duration": "5m0s", "brand_new_key": []
        }])),
    );
    let rule = client.list_mnm_rules().await.unwrap().remove(0);
    assert_eq!(rule.prefixes.len(), 2);
    assert_eq!(rule.bandwidth_threshold_bps, Some(1e9));
    assert_eq!(rule.duration, Some(Duration::from_secs(300)));
    answer_rest(&sim, 200, enveloped(json!([{"name": "r", "prefixes": ["oops"]}])));
    assert_eq!(failure(client.list_mnm_rules().await).class, ErrorClass::Malformed);

    let request = HistoryRequest {
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        before: "2026-01-02T00:00:00Z".parse().unwrap(),
        page: 1,
        per_page: 5,
    };
    client.alert_history(request).await.unwrap();
    let query = sim.requests_since(0).pop().unwrap().query;
    for part in ["page=1", "per_page=5", "since=2026-01-01T00%3A00%3A00Z"] {
        assert!(query.contains(part), "{query}");
    }
    // What is missing is not empty.
    for body in [json!({"success": true}), json!({"success": true, "result": null})] {
        answer_rest(&sim, 200, body);
        let error = failure(client.alert_history(request).await);
        assert_eq!(error.class, ErrorClass::Malformed, "{error}");
    }
    answer_rest(&sim, 200, json!({"success": true}));
    let error = failure(client.list_mnm_rules().await);
    assert_eq!(error.class, ErrorClass::Malformed, "{error}");
    let item = json!({"id": "h1", "sent": "2026-01-01T10:00:00Z", "alert_type": "dos_attack_l4",
        "alert_body": "{\"data\":{\"attack_id\":\"a\"}}", "mechanism_type": "webhook"});
    let mut body = enveloped(json!([item]));
    body["result_info"] = json!({"page": 1, "per_page": 5, "count": 1, "total_count": 6});
    answer_rest(&sim, 200, body);
    let page = client.alert_history(request).await.unwrap();
    assert!(page.has_more);
    assert_eq!(page.items[0].body["data"]["attack_id"], "a");
    assert_eq!(
        page.items[0].sent_at,
        "2026-01-01T10:00:00Z".parse::<Timestamp>().unwrap()
    );
    answer_rest(&sim, 200, enveloped(json!([{"id": "h1", "sent": "someday"}])));
    assert_eq!(
        failure(client.alert_history(request).await).class,
        ErrorClass::Malformed
    );
}

#[tokio::test]
async fn faults_have_their_class() {
    let sim = sim().await;
    let client = client_of(&sim);
    for (kind, class) in [
        (FaultKind::Hang, ErrorClass::Unknown),
        (FaultKind::Refuse, ErrorClass::Unknown),
        (FaultKind::Reset, ErrorClass::Unknown),
        (FaultKind::TruncatedBody, ErrorClass::Unknown),
        (FaultKind::Garbage, ErrorClass::Malformed),
        (FaultKind::Html { status: 200 }, ErrorClass::Malformed),
        // Some box on the way says "not found": no word about the prefix.
        (FaultKind::Html { status: 404 }, ErrorClass::Malformed),
        (FaultKind::Html { status: 503 }, ErrorClass::Transient),
        (
            FaultKind::Status {
                status: 500,
                body: None,
            },
            ErrorClass::Transient,
        ),
    ] {
        fault_once(&sim, Target::Rest, kind.clone());
        let start = Instant::now();
        let error = failure(client.list_prefixes().await);
        assert_eq!(error.class, class, "{kind:?}: {error}");
        assert!(!error.outcome_unknown(), "a read has no effect: {error}");
        assert!(start.elapsed() < Duration::from_secs(10), "{kind:?}");
        client.list_prefixes().await.expect("the fault was for one request");
    }
    // A late answer is an answer.
    fault_once(&sim, Target::Rest, FaultKind::Delay { ms: 300 });
    client.list_prefixes().await.unwrap();
}

#[tokio::test]
async fn answers_that_are_not_the_documented_shape() {
    let sim = sim().await;
    let client = client_of(&sim);
    let good = json!({"id": "2af39739cc4e3b5910c918468bb89828", "cidr": "192.0.2.0/24"});
    for body in [
        json!({}),
        json!([]),
        json!("ok"),
        json!({"result": [good]}),
        json!({"success": "true", "result": [good]}),
        json!({"success": true}),
        json!({"success": true, "result": null}),
        json!({"success": true, "result": {}}),
        json!({"success": true, "result": [good, {"id": "x"}]}),
        json!({"success": true, "result": [good, {"id": "x", "cidr": "not a network"}]}),
        // A body that contradicts itself.
        json!({"success": true, "errors": [{"code": 1, "message": "but"}], "result": [good]}),
    ] {
        answer_rest(&sim, 200, body.clone());
        let error = failure(client.list_prefixes().await);
        assert_eq!(error.class, ErrorClass::Malformed, "{body}: {error}");
    }
    // Absent and unknown keys are no trouble.
    let mut generous = enveloped(json!([good]));
    generous["errors"] = json!(null);
    generous["new"] = json!(1);
    answer_rest(&sim, 200, generous);
    assert_eq!(client.list_prefixes().await.unwrap().len(), 1);

    let (parent, bgp) = first_prefix(&client).await;
    let other = json!({"id": "ffffffffffffffffffffffffffffffff", "cidr": "192.0.2.0/24",
        "on_demand": {"advertised": true}});
    answer_rest(&sim, 200, enveloped(other));
    let error = failure(client.get_bgp_prefix(&parent, &bgp.id).await);
    assert_eq!(error.class, ErrorClass::Malformed, "about another prefix: {error}");
    for on_demand in [
        json!(null),
        json!({"advertised": "yes"}),
        json!({"advertised": true, "advertised_modified_at": "lately"}),
    ] {
        let body = json!({"id": bgp.id, "cidr": "192.0.2.0/24", "on_demand": on_demand});
        answer_rest(&sim, 200, enveloped(body));
        let error = failure(client.get_bgp_prefix(&parent, &bgp.id).await);
        assert_eq!(error.class, ErrorClass::Malformed, "{on_demand}: {error}");
    }
    // Null is a documented answer and stays unknown.
    let body = json!({"id": bgp.id, "cidr": "192.0.2.0/24",
        "on_demand": {"advertised": null, "advertised_modified_at": null}});
    answer_rest(&sim, 200, enveloped(body));
    let read = client.get_bgp_prefix(&parent, &bgp.id).await.unwrap();
    assert_eq!(read.state.advertised, None);
    assert!(!read.state.on_demand_enabled);
}

#[tokio::test]
async fn a_rate_limit_on_a_read_silences_everything_but_an_advertise() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let limited = FaultKind::RateLimited { retry_after: Some(30) };
    fault_once(&sim, Target::Rest, limited);
    let error = failure(client.list_prefixes().await);
    assert_eq!(error.class, ErrorClass::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    let sent = sim.requests_since(0).len();
    let silenced = [
        failure(client.get_bgp_prefix(&parent, &bgp.id).await),
        failure(client.set_advertised(permit(), &parent, &bgp.id, false).await),
        failure(client.for_display().list_mnm_rules().await),
    ];
    for error in silenced {
        assert_eq!(error.class, ErrorClass::BudgetExhausted, "{error}");
        assert!(error.retry_after.is_some_and(|wait| wait <= Duration::from_secs(30)));
        assert!(!error.outcome_unknown());
    }
    assert_eq!(sim.requests_since(0).len(), sent);
    // Protection is not kept waiting by our own bookkeeping: Cloudflare decides.
    client.set_advertised(permit(), &parent, &bgp.id, true).await.unwrap();
}

#[tokio::test]
async fn a_rate_limit_on_a_change_does_not_blind_us() {
    let sim = sim().await;
    let client = client_of(&sim);
    let (parent, bgp) = first_prefix(&client).await;
    let limited = FaultKind::RateLimited { retry_after: Some(900) };
    fault_once(&sim, Target::Rest, limited);
    let outcome = client.set_advertised(permit(), &parent, &bgp.id, true).await;
    let error = failure(outcome);
    assert_eq!(error.class, ErrorClass::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(900)));
    assert!(!error.outcome_unknown());
    client.get_bgp_prefix(&parent, &bgp.id).await.unwrap();
}

#[tokio::test]
async fn pages_leave_the_reserve_to_protection() {
    let sim = sim().await;
    let client = client_of(&sim);
    // As if other services had used the ordinary share.
    for _ in 0..960 {
        client.budget().admit(CallKind::Rest).await;
    }
    assert_eq!(client.budget().used(Bucket::Rest), 960);
    let error = failure(client.for_display().list_prefixes().await);
    assert_eq!(error.class, ErrorClass::BudgetExhausted);
    client.list_prefixes().await.unwrap();
}
