//! Every query against the simulator, and every way an answer can be no evidence.

use std::time::Duration;

use crate::simulated::*;
use cf_api::graphql::mitigations::{MitigationRequest, Witness};
use cf_api::graphql::traffic::{Resolution, TrafficRequest};
use cf_api::{CfError, CloudflareClient, ErrorClass};
use cf_sim::{FaultKind, RowSpec, Sim, Target};
use domain::evidence::TrafficWindow;
use domain::time::{floor_to, minus, plus, rfc3339_seconds};
use domain::units::{Bits, Packets};
use jiff::Timestamp;
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    floor_to(Timestamp::now(), Duration::from_secs(1))
}

fn request(now: Timestamp) -> TrafficRequest {
    TrafficRequest {
        from: floor_to(minus(now, 10 * MINUTE), MINUTE),
        recent_from: floor_to(minus(now, 3 * MINUTE), MINUTE),
        to: floor_to(minus(now, MINUTE), MINUTE),
        resolution: Resolution::Minute,
        limit: 100,
    }
}

async fn traffic(client: &CloudflareClient, request: TrafficRequest) -> Result<TrafficWindow, CfError> {
    Ok(client.traffic(request, now()).await?.window)
}

fn put(sim: &Sim, row: RowSpec, at: Timestamp) {
    sim.add_rows([RowSpec {
        at: Some(at),
        visible_at: Some(at),
        ..row
    }]);
}

#[tokio::test]
async fn rows_come_back_grouped_by_bucket_and_subnet() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = now();
    let request = request(now);
    let minute = plus(request.from, 3 * MINUTE);
    let dropped = |to: &str, packets| RowSpec::dropped(to, packets, packets * 8_000).dim("mitigationSystem", "dosd");
    put(
        &sim,
        dropped("203.0.113.7", 40_000),
        plus(minute, Duration::from_secs(1)),
    );
    put(
        &sim,
        dropped("203.0.113.9", 20_000),
        plus(minute, Duration::from_secs(31)),
    );
    put(&sim, dropped("2001:db8:1::9", 10_000), minute);
    put(&sim, RowSpec::passed("198.51.100.1", 7_000, 70_000), minute);
    // After the window: only "newest" reaches there.
    let last = minus(now, Duration::from_secs(20));
    put(&sim, RowSpec::passed("198.51.100.1", 1, 1), last);

    let window = traffic(&client, request).await.unwrap();
    assert_eq!((window.from, window.to), (request.from, request.to));
    assert_eq!(window.bucket, MINUTE);
    assert_eq!(window.newest_row, Some(last));
    assert!(!window.drops_truncated && !window.passed_truncated);
    let rows: Vec<_> = window
        .drops
        .iter()
        .map(|row| {
            (
                row.at,
                row.subnet.to_string(),
                row.system.as_str(),
                row.packets,
                row.bits,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (
                minute,
                "203.0.113.0/24".into(),
                "dosd",
                Packets(60_000),
                Bits(480_000_000)
            ),
            (
                minute,
                "2001:db8:1::/64".into(),
                "dosd",
                Packets(10_000),
                Bits(80_000_000)
            ),
        ]
    );
    assert!(window.drops.iter().all(|row| row.sample_interval > 0));
    let passed: Vec<_> = window
        .passed
        .iter()
        .map(|row| (row.subnet.to_string(), row.packets))
        .collect();
    assert_eq!(passed, [("198.51.100.0/24".into(), Packets(7_000))]);

    // Finer buckets tell the two halves of the minute apart.
    for (resolution, buckets) in [(Resolution::TenSeconds, [0, 30]), (Resolution::Second, [1, 31])] {
        let window = traffic(&client, TrafficRequest { resolution, ..request })
            .await
            .unwrap();
        assert_eq!(window.bucket, resolution.bucket());
        let mut starts: Vec<_> = window
            .drops
            .iter()
            .filter(|row| !row.subnet.is_ipv6())
            .map(|row| row.at)
            .collect();
        starts.sort();
        let expected = buckets.map(|second| plus(minute, Duration::from_secs(second)));
        assert_eq!(starts, expected, "{resolution:?}");
    }
}

#[tokio::test]
async fn what_passed_lately_is_told_apart_from_what_passed_before() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = now();
    let request = request(now);
    put(&sim, RowSpec::passed("203.0.113.1", 10_000, 70_000), request.from);
    put(
        &sim,
        RowSpec::passed("198.51.100.1", 20_000, 90_000),
        request.recent_from,
    );
    put(&sim, RowSpec::dropped("192.0.2.1", 20_000, 90_000), request.recent_from);
    for resolution in [Resolution::Minute, Resolution::TenSeconds, Resolution::Second] {
        let answer = client
            .traffic(TrafficRequest { resolution, ..request }, now)
            .await
            .unwrap();
        let subnets = |rows: &[domain::evidence::PassedRow]| -> Vec<String> {
            rows.iter().map(|row| row.subnet.to_string()).collect()
        };
        assert_eq!(
            subnets(&answer.window.passed),
            ["198.51.100.0/24", "203.0.113.0/24"],
            "{resolution:?}"
        );
        assert_eq!(subnets(&answer.recent), ["198.51.100.0/24"], "{resolution:?}");
    }
}

#[tokio::test]
async fn a_full_page_is_marked_as_cut() {
    let sim = sim().await;
    let client = client_of(&sim);
    let request = request(now());
    for host in ["203.0.113.1", "198.51.100.1", "192.0.2.1"] {
        put(&sim, RowSpec::dropped(host, 10_000, 1), request.from);
    }
    put(&sim, RowSpec::passed("192.0.2.1", 10_000, 1), request.from);
    for (limit, cut) in [(2, true), (3, true), (4, false)] {
        let window = traffic(&client, TrafficRequest { limit, ..request }).await.unwrap();
        assert_eq!(window.drops.len(), 3.min(limit as usize));
        assert_eq!(window.drops_truncated, cut, "limit {limit}");
        assert!(!window.passed_truncated);
    }
}

#[tokio::test]
async fn no_rows_is_an_answer_without_a_newest_row() {
    let sim = sim().await;
    let client = client_of(&sim);
    let window = traffic(&client, request(now())).await.unwrap();
    assert!(window.drops.is_empty() && window.passed.is_empty());
    assert_eq!(window.newest_row, None);
}

#[tokio::test]
async fn cost_limits_and_settings() {
    let sim = sim().await;
    let client = client_of(&sim);
    let answer = client.traffic(request(now()), now()).await.unwrap();
    assert!(answer.cost.cost.is_some() && answer.cost.budget.is_some());
    let limits = client.node_limits().await.unwrap();
    let truth = &sim.config().node_limits;
    for node in [limits.traffic, limits.mitigations] {
        assert!(node.enabled);
        assert_eq!(u64::from(node.max_page_size), truth.max_page_size);
        assert_eq!(node.max_duration.as_secs(), truth.max_duration_s.unsigned_abs());
        assert_eq!(node.not_older_than.as_secs(), truth.not_older_than_s.unsigned_abs());
    }
}

#[tokio::test]
async fn mitigations_come_oldest_first() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = now();
    let row = |second: u64, source: &str| {
        let at = minus(now, Duration::from_secs(600 - second));
        let row = RowSpec {
            node: "dosdNetworkAnalyticsAdaptiveGroups".into(),
            ..RowSpec::dropped("203.0.113.7", 10_000, 80_000)
        }
        .dim("ipSourceAddress", source)
        .dim("sourcePort", 123)
        .dim("attackId", "attack-1")
        .dim("attackVector", "UDP flood")
        .dim("sourceAsn", 64_500);
        put(&sim, row, at);
        at
    };
    let second = row(20, "192.0.2.2");
    let first = row(10, "192.0.2.1");
    let request = MitigationRequest {
        from: minus(now, 15 * MINUTE),
        to: now,
        limit: 10,
    };
    let mut answer = client.dropped(Witness::Ddos, request, now).await.unwrap();
    assert_eq!((answer.left(), answer.truncated), (2, false));
    let rows: Vec<_> = (0..3).flat_map(|_| answer.take(1).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [first, second]);
    let row = &rows[0];
    assert_eq!(row.source_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(row.destination_ip, "203.0.113.7");
    assert_eq!((row.source_port, row.source_asn), (Some(123), Some(64_500)));
    assert_eq!(row.attack_id.as_deref(), Some("attack-1"));
    assert_eq!((row.packets, row.bits), (Packets(10_000), Bits(80_000)));
    assert_eq!(row.rule_name, None, "empty texts are absent");
    assert_eq!(row.to_wire_json()["dimensions"]["attackVector"], "UDP flood");
    let cut = MitigationRequest { limit: 1, ..request };
    assert!(client.dropped(Witness::Ddos, cut, now).await.unwrap().truncated);
}

#[tokio::test]
async fn errors_under_http_200_are_errors() {
    let sim = sim().await;
    for (message, class) in [
        (
            "rate limiter budget depleted, try again after 5 minutes",
            ErrorClass::RateLimited,
        ),
        ("unable to execute query, please try again later", ErrorClass::Transient),
        ("not authorized for that account", ErrorClass::Permission),
        ("cannot request data older than 2678400s", ErrorClass::Refused),
    ] {
        for with_data in [false, true] {
            let messages = vec![message.to_owned()];
            let kind = if with_data {
                FaultKind::GraphqlErrorsWithData { messages }
            } else {
                FaultKind::GraphqlErrors { messages }
            };
            // A client of its own: a depleted budget silences the one that saw it.
            let client = client_of(&sim);
            fault_once(&sim, Target::Graphql, kind);
            let error = failure(traffic(&client, request(now())).await);
            assert_eq!(error.class, class, "{message}");
            assert_eq!(error.status, Some(200));
            assert!(error.to_string().contains(message), "{error}");
            let next = traffic(&client, request(now())).await;
            if class == ErrorClass::RateLimited {
                assert_eq!(failure(next).class, ErrorClass::BudgetExhausted);
                client.list_prefixes().await.expect("REST is counted apart");
            } else {
                next.unwrap();
            }
        }
    }
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
        (FaultKind::Html { status: 403 }, ErrorClass::Permission),
        (
            FaultKind::Status {
                status: 503,
                body: None,
            },
            ErrorClass::Transient,
        ),
    ] {
        fault_once(&sim, Target::Graphql, kind.clone());
        let error = failure(traffic(&client, request(now())).await);
        assert_eq!(error.class, class, "{kind:?}: {error}");
    }
    let limited = FaultKind::RateLimited { retry_after: Some(7) };
    fault_once(&sim, Target::Graphql, limited);
    let error = failure(traffic(&client, request(now())).await);
    assert_eq!(error.class, ErrorClass::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(failure(client.node_limits().await).class, ErrorClass::BudgetExhausted);
}

fn answered(account: Value) -> Value {
    json!({"data": {"cost": 1, "viewer": {"budget": 299, "accounts": [account]}}, "errors": null})
}

fn account(at: &str, subnet: Value, interval: Value, packets: Value) -> Value {
    json!({
        "drops": [{"dimensions": {"bucket": at, "ipDestinationSubnet": subnet,
                   "mitigationSystem": "dosd", "sampleInterval": interval},
                   "sum": {"packets": packets, "bits": 1}}],
        "passed": [],
        "recent": [],
        "newest": [{"dimensions": {"datetime": at}}]
    })
}

#[tokio::test]
async fn one_unreadable_row_spoils_the_answer() {
    let sim = sim().await;
    let client = client_of(&sim);
    let past = minus(now(), 5 * MINUTE).to_string();
    let future = plus(now(), 5 * MINUTE).to_string();
    let good = || account(&past, json!("192.0.2.0/24"), json!(10_000), json!(5));
    let without = |list: &str| {
        let mut account = good();
        account.as_object_mut().unwrap().remove(list);
        account
    };
    answer_graphql(&sim, answered(good()));
    assert_eq!(traffic(&client, request(now())).await.unwrap().drops.len(), 1);

    for (what, body) in [
        ("null subnet", answered(account(&past, json!(null), json!(1), json!(5)))),
        (
            "no subnet",
            answered(account(&past, json!("somewhere"), json!(1), json!(5))),
        ),
        (
            "null interval",
            answered(account(&past, json!("192.0.2.0/24"), json!(null), json!(5))),
        ),
        (
            "negative sum",
            answered(account(&past, json!("192.0.2.0/24"), json!(1), json!(-5))),
        ),
        (
            "text sum",
            answered(account(&past, json!("192.0.2.0/24"), json!(1), json!("5"))),
        ),
        (
            "unreadable time",
            answered(account("noon", json!("192.0.2.0/24"), json!(1), json!(5))),
        ),
        (
            "future",
            answered(account(&future, json!("192.0.2.0/24"), json!(1), json!(5))),
        ),
        ("no drops", answered(without("drops"))),
        ("no passed", answered(without("passed"))),
        ("no recent", answered(without("recent"))),
        ("no newest", answered(without("newest"))),
        ("null account", answered(json!(null))),
        (
            "two accounts",
            json!({"data": {"viewer": {"accounts": [good(), good()]}}}),
        ),
        ("null viewer", json!({"data": {"viewer": null}, "errors": null})),
        ("null data", json!({"data": null, "errors": null})),
        ("no data", json!({"errors": []})),
        ("a list", json!([])),
        ("REST envelope", json!({"success": true, "result": {}})),
    ] {
        answer_graphql(&sim, body);
        let error = failure(traffic(&client, request(now())).await);
        assert_eq!(error.class, ErrorClass::Malformed, "{what}: {error}");
    }
    answer_graphql(&sim, json!({"data": {"viewer": {"accounts": []}}, "errors": null}));
    let error = failure(traffic(&client, request(now())).await);
    assert_eq!(error.class, ErrorClass::Permission, "missing account: {error}");

    // A newest row alone may also come from the future.
    let mut skewed = good();
    skewed["newest"][0]["dimensions"]["datetime"] = json!(future);
    answer_graphql(&sim, answered(skewed));
    let error = failure(traffic(&client, request(now())).await);
    assert_eq!(error.class, ErrorClass::Malformed);
    assert!(error.to_string().contains("clock"), "{error}");
}

#[tokio::test]
async fn an_unreadable_row_of_many_is_an_error_that_says_where() {
    let sim = sim().await;
    let client = client_of(&sim);
    let past = rfc3339_seconds(minus(now(), 5 * MINUTE));
    let future = rfc3339_seconds(plus(now(), 5 * MINUTE));
    let row = |at: &str, packets: Value| {
        json!({"dimensions": {"datetime": at, "ipDestinationAddress": "203.0.113.7", "sampleInterval": 1, "attackId": "a",
               "attackVector": "", "ruleName": "", "ruleId": "", "mitigationReason": "", "outcome": "drop", "verdict": "drop",
               "ipSourceAddress": "192.0.2.1", "sourcePort": 1, "sourceAsn": 1, "sourceAsnName": "", "sourceCountry": "",
               "destinationPort": 1, "ipProtocolName": "UDP", "tcpFlagsString": "", "coloCode": "", "coloCountry": "",
               "coloCity": ""}, "sum": {"packets": packets, "bits": 1}})
    };
    let request = MitigationRequest {
        from: minus(now(), 15 * MINUTE),
        to: now(),
        limit: 10,
    };
    for (bad, said) in [
        (row(&past, json!(-1)), "rows[1].sum.packets"),
        (row(&past, json!("5")), "rows[1].sum.packets"),
        (row("noon", json!(5)), "no instant"),
        (row(&future, json!(5)), "future"),
        (json!(null), "rows[1]"),
        (json!({"sum": {"packets": 1, "bits": 1}}), "rows[1]"),
    ] {
        answer_graphql(
            &sim,
            answered(json!({"rows": [row(&past, json!(5)), bad, row(&past, json!(6))]})),
        );
        let mut answer = client.dropped(Witness::Ddos, request, now()).await.unwrap();
        assert_eq!(answer.take(1).unwrap().len(), 1);
        let error = answer.take(10).expect_err("an unreadable row");
        assert_eq!(error.class, ErrorClass::Malformed, "{error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    for account in [json!({"rows": null}), json!({})] {
        answer_graphql(&sim, answered(account));
        let error = client
            .dropped(Witness::Ddos, request, now())
            .await
            .expect_err("no rows");
        assert_eq!(error.class, ErrorClass::Malformed, "{error}");
    }
}

#[tokio::test]
async fn rows_ahead_of_our_clock_are_seen_and_refused() {
    let sim = sim().await;
    let client = client_of(&sim);
    let row = minus(now(), Duration::from_secs(20));
    put(&sim, RowSpec::passed("192.0.2.1", 1, 1), row);
    // Our clock is five minutes behind the data's.
    let behind = minus(now(), 5 * MINUTE);
    let error = failure(client.traffic(request(behind), behind).await);
    assert_eq!(error.class, ErrorClass::Malformed, "{error}");
    assert!(error.to_string().contains("clock"), "{error}");
    client.traffic(request(behind), now()).await.unwrap();
}
