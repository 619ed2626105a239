//! Refusals, grouping, ranges and settings of the analytics API.

use std::time::Duration;

use cf_sim::{NodeLimits, RowSpec, SimConfig};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Desk;

const NODE: &str = "magicTransitNetworkAnalyticsAdaptiveGroups";

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

/// A query of the Magic Transit node with this filter and selection.
fn query(filter: &str, rest: &str, selection: &str) -> String {
    format!(
        "query($a: string!, $f: Time!) {{ viewer {{ accounts(filter: {{accountTag: $a}}) {{ {NODE}(filter: {{datetime_geq: $f{filter}}}{rest}) {{ {selection} }} }} }} }}"
    )
}

fn variables(desk: &Desk) -> Value {
    json!({"a": desk.sim.config().account_id, "f": ago(3600).to_string()})
}

async fn rows(desk: &Desk, filter: &str, rest: &str, selection: &str) -> Value {
    let answer = desk.graphql(&query(filter, rest, selection), variables(desk)).await;
    assert_eq!(answer.body["errors"], Value::Null, "{}", answer.body);
    answer.body["data"]["viewer"]["accounts"][0][NODE].clone()
}

async fn message(desk: &Desk, query: &str) -> String {
    let answer = desk.graphql(query, variables(desk)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], Value::Null);
    assert!(answer.body["errors"][0]["extensions"]["timestamp"].is_string());
    answer.body["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn refusals_are_200_with_documented_words() {
    let desk = Desk::new().await;
    let good = "sum { packets }";
    for (document, words) in [
        (
            query("", ", limit: 10", "dimensions { verdict }"),
            "unknown field \"verdict\"",
        ),
        (
            query("", "", good),
            "error parsing args for \"magicTransitNetworkAnalyticsAdaptiveGroups\": argument \"limit\" is required",
        ),
        (
            query(", verdict: \"drop\"", ", limit: 10", good),
            "unknown field \"verdict\"",
        ),
        (
            query(", outcome: 1", ", limit: 10", good),
            "error parsing args for \"magicTransitNetworkAnalyticsAdaptiveGroups\": filter: outcome: expected string, got 1",
        ),
        (
            query(", destinationPort: 70000", ", limit: 10", good),
            "expected uint16",
        ),
        (query("", ", limit: \"10\"", good), "limit: expected uint64"),
        (
            query("", ", limit: 10, orderBy: [datetime_DOWN]", good),
            "unknown value \"datetime_DOWN\"",
        ),
        (
            query("", ", limit: 10001", good),
            "limit must be positive number and not greater than 10000",
        ),
        (
            query("", ", limit: 0", good),
            "limit must be positive number and not greater than 10000",
        ),
        (
            query("", ", limit: -5", good),
            "limit must be positive number and not greater than 10000",
        ),
        (
            query("", ", limit: 10", "sum { packets { x } }"),
            "scalar fields must have no selections",
        ),
        (query("", ", limit: 10", "sum"), "object field must have selections"),
        (query("", ", limit: 10, offset: 5", good), "unknown argument \"offset\""),
        ("query {".to_owned(), "query contains error, please review it and retry"),
        (
            "{ viewer { accounts { accountTag } } }".to_owned(),
            "error parsing args for \"accounts\": argument \"filter\" is required",
        ),
    ] {
        let got = message(&desk, &document).await;
        assert!(got.contains(words), "{document}\nwanted {words}\ngot    {got}");
    }
}

#[tokio::test]
async fn ranges_are_limited_as_settings_say() {
    let limits = NodeLimits {
        not_older_than_s: 86_400,
        max_duration_s: 7_200,
        max_number_of_fields: 3,
        ..NodeLimits::default()
    };
    let desk = Desk::with(SimConfig {
        node_limits: limits,
        ..SimConfig::default()
    })
    .await;
    let ask = |from: i64| json!({"a": desk.sim.config().account_id, "f": ago(from).to_string()});
    let document = query("", ", limit: 10", "sum { packets }");
    let old = desk.graphql(&document, ask(90_000)).await;
    assert_eq!(
        old.body["errors"][0]["message"],
        "cannot request data older than 86400s"
    );
    assert_eq!(old.body["errors"][0]["path"], json!(["viewer", "accounts", "0", NODE]));
    let wide = desk.graphql(&document, ask(8_000)).await;
    assert_eq!(
        wide.body["errors"][0]["message"],
        "query time range is too large. Time range can't be wider than 7200s"
    );
    assert_eq!(desk.graphql(&document, ask(7_000)).await.body["errors"], Value::Null);
    let many = query(
        "",
        ", limit: 10",
        "sum { packets bits } dimensions { outcome direction }",
    );
    assert_eq!(message(&desk, &many).await, "number of fields can't be more than 3");
    let settings = format!(
        "query($a: String!) {{ viewer {{ accounts(filter: {{accountTag: $a}}) {{ settings {{ {NODE} {{ enabled maxPageSize maxDuration notOlderThan maxNumberOfFields availableFields }} }} }} }} }}"
    );
    let answer = desk
        .graphql(&settings, json!({"a": desk.sim.config().account_id}))
        .await;
    let found = &answer.body["data"]["viewer"]["accounts"][0]["settings"][NODE];
    assert_eq!(
        (&found["maxDuration"], &found["maxNumberOfFields"], &found["enabled"]),
        (&json!(7200), &json!(3), &json!(true))
    );
    assert!(found["availableFields"].as_array().unwrap().len() > 50);
}

#[tokio::test]
async fn rows_are_grouped_by_exactly_what_is_asked() {
    let desk = Desk::new().await;
    let base = Timestamp::from_second(ago(1800).as_second() / 300 * 300).unwrap();
    let at = |s: i64| base + SignedDuration::from_secs(s);
    desk.sim.add_rows([
        RowSpec::dropped("203.0.113.10", 10_000, 80_000_000).at(at(5)),
        RowSpec::dropped("203.0.113.11", 20_000, 160_000_000).at(at(65)),
        RowSpec::passed("203.0.113.10", 30_000, 240_000_000).at(at(70)),
        RowSpec::dropped("2001:db8:1:2::20", 40_000, 320_000_000).at(at(310)),
    ]);
    let all = rows(&desk, "", ", limit: 10", "sum { packets bits }").await;
    assert_eq!(all, json!([{"sum": {"packets": 100_000, "bits": 800_000_000}}]));
    let subnets = rows(
        &desk,
        ", outcome: \"drop\"",
        ", limit: 10, orderBy: [sum_packets_DESC]",
        "dimensions { ipDestinationSubnet } sum { packets }",
    )
    .await;
    let expected = json!([
        {"dimensions": {"ipDestinationSubnet": "2001:db8:1:2::/64"}, "sum": {"packets": 40_000}},
        {"dimensions": {"ipDestinationSubnet": "203.0.113.0/24"}, "sum": {"packets": 30_000}},
    ]);
    assert_eq!(subnets, expected);
    let minutes = rows(
        &desk,
        "",
        ", limit: 10, orderBy: [datetimeMinute_ASC]",
        "dimensions { datetimeMinute } sum { packets } avg { packetRateMinute }",
    )
    .await;
    let packets: Vec<u64> = minutes
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["sum"]["packets"].as_u64().unwrap())
        .collect();
    assert_eq!(packets, [10_000, 50_000, 40_000]);
    assert_eq!(minutes[1]["dimensions"]["datetimeMinute"], at(60).to_string());
    assert_eq!(minutes[1]["avg"]["packetRateMinute"], 50_000 / 60);
    let five = rows(
        &desk,
        "",
        ", limit: 1, orderBy: [datetimeFiveMinutes_DESC]",
        "when: dimensions { bucket: datetimeFiveMinutes date sampleInterval } total: sum { bits }",
    )
    .await;
    assert_eq!(five[0]["when"]["bucket"], at(300).to_string());
    assert_eq!(five[0]["when"]["sampleInterval"], 10_000);
    assert_eq!(five[0]["total"]["bits"], 320_000_000);
    assert_eq!(five.as_array().unwrap().len(), 1);
    let none = rows(
        &desk,
        ", ipDestinationAddress_like: \"192.0.2.%\"",
        ", limit: 10",
        "sum { packets }",
    )
    .await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn both_spellings_fragments_and_several_nodes_work() {
    let desk = Desk::new().await;
    desk.sim
        .add_rows([RowSpec::attack("203.0.113.10", "abc", "UDP flood", 50_000, 400_000_000).at(ago(600))]);
    let document = "query Q($a: String!, $f: Time!, $n: Int!, $v: [String!]) {
        cost
        viewer { budget accounts(filter: {accountTag: $a}) {
            one: dosdNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f, attackVector_in: $v}, limit: $n) { ...rows }
            two: dosdNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f, verdict: \"pass\"}, limit: $n) { ...rows }
            dosdAttackAnalyticsGroups(filter: {startDatetime_geq: $f}, limit: 5, orderBy: [startDatetime_DESC]) { attackId endDatetime }
        } }
    }
    fragment rows on AccountDosdNetworkAnalyticsAdaptiveGroups { dimensions { attackId verdict } sum { packets } }";
    let mut flat = RowSpec::passed("203.0.113.10", 7, 8)
        .dim("attackId", "abc")
        .dim("startDatetime", ago(600).to_string());
    flat.node = "dosdAttackAnalyticsGroups".into();
    desk.sim.add_rows([flat.at(ago(600))]);
    let variables = json!({"a": desk.sim.config().account_id, "f": ago(3600).to_string(), "n": 10, "v": ["UDP flood", "SYN flood"]});
    let answer = desk.graphql(document, variables).await;
    assert_eq!(answer.body["errors"], Value::Null, "{}", answer.body);
    let account = &answer.body["data"]["viewer"]["accounts"][0];
    assert_eq!(
        account["one"],
        json!([{"dimensions": {"attackId": "abc", "verdict": "drop"}, "sum": {"packets": 50_000}}])
    );
    assert_eq!(account["two"], json!([]));
    // An attack that lasts has no end; the field cannot be null.
    assert_eq!(
        account["dosdAttackAnalyticsGroups"],
        json!([{"attackId": "abc", "endDatetime": "1970-01-01T00:00:00Z"}])
    );
    assert_eq!(answer.body["data"]["viewer"]["budget"], 299);
    let stranger = desk
        .graphql(
            "query($a: string!) { viewer { accounts(filter: {accountTag: $a}) { accountTag } } }",
            json!({"a": "x"}),
        )
        .await;
    assert_eq!(stranger.body["data"]["viewer"]["accounts"], json!([]));
}

#[tokio::test]
async fn rows_appear_after_the_ingest_delay() {
    let desk = Desk::new().await;
    desk.sim.set_ingest_delay(Duration::from_millis(1500), Duration::ZERO);
    desk.sim.add_rows([RowSpec::dropped("203.0.113.10", 10_000, 1)]);
    assert_eq!(rows(&desk, "", ", limit: 10", "sum { packets }").await, json!([]));
    let seen = desk
        .sim
        .wait_for(crate::LIMIT, |s| s.rows.iter().any(|(_, _, visible)| *visible == 1))
        .await;
    assert!(seen);
    assert_eq!(
        rows(&desk, "", ", limit: 10", "sum { packets }").await[0]["sum"]["packets"],
        10_000
    );
}

#[tokio::test]
async fn the_budget_runs_out_with_429() {
    let desk = Desk::with(SimConfig {
        graphql_quota: 2,
        ..SimConfig::default()
    })
    .await;
    assert_eq!(
        desk.graphql("{ viewer { budget } }", json!({})).await.body["data"]["viewer"]["budget"],
        1
    );
    assert_eq!(
        desk.graphql("{ viewer { budget } }", json!({})).await.body["data"]["viewer"]["budget"],
        0
    );
    let over = desk.graphql("{ viewer { budget } }", json!({})).await;
    assert_eq!(
        (over.status, over.headers["retry-after"].to_str().unwrap()),
        (429, "300")
    );
    assert!(
        over.body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("rate limiter budget depleted")
    );
}

#[tokio::test]
async fn what_rows_carry_beside_dimensions_is_summed_and_weighted() {
    let desk = Desk::new().await;
    let health = |result: &str, state: f64, count: u64| {
        let mut row = RowSpec::passed("203.0.113.10", 0, 0)
            .dim("tunnelName", "edge-one")
            .dim("resultStatus", result)
            .dim("tunnelState", state)
            .dim("count", count);
        row.node = "magicTransitTunnelHealthChecksAdaptiveGroups".into();
        row.at(ago(300)).visible()
    };
    let mut endpoint = RowSpec::passed("203.0.113.10", 0, 0)
        .dim("name", "origin")
        .dim("total", 60)
        .dim("failures", 15)
        .dim("lossPercentage", 25.0);
    endpoint.node = "magicEndpointHealthCheckAdaptiveGroups".into();
    let mut tcp = RowSpec::dropped("203.0.113.10", 20_000, 160_000_000).dim("verdict", "drop");
    tcp.node = "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups".into();
    desk.sim.add_rows([
        health("ok", 1.0, 90),
        health("timeout", 0.0, 30),
        endpoint.at(ago(300)).visible(),
        tcp.at(ago(300)).visible(),
        RowSpec::attack("203.0.113.10", "abc", "UDP flood", 1_000_000, 8_000_000_000)
            .dim("sampleInterval", 10_000)
            .at(ago(300))
            .visible(),
    ]);
    let document = "query($a: string!, $f: Time!) { viewer { accounts(filter: {accountTag: $a}) {
        whole: magicTransitTunnelHealthChecksAdaptiveGroups(filter: {datetime_geq: $f}, limit: 9) { count avg { tunnelState } dimensions { tunnelName } }
        bad: magicTransitTunnelHealthChecksAdaptiveGroups(filter: {datetime_geq: $f, resultStatus_neq: \"ok\"}, limit: 9) { count }
        ends: magicEndpointHealthCheckAdaptiveGroups(filter: {datetime_geq: $f}, limit: 9) { count sum { total failures } avg { lossPercentage } }
        old: flowtrackdNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f}, limit: 9) { sum { packets } }
        trust: dosdNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f}, limit: 9) { confidence(level: 0.95) { level sum { packets { estimate lower upper sampleSize } } } }
    } } }";
    let answer = desk.graphql(document, variables(&desk)).await;
    let account = &answer.body["data"]["viewer"]["accounts"][0];
    assert_eq!(
        account["whole"],
        json!([{"count": 120, "avg": {"tunnelState": 0.75}, "dimensions": {"tunnelName": "edge-one"}}]),
        "{}",
        answer.body
    );
    assert_eq!(account["bad"], json!([{"count": 30}]));
    assert_eq!(
        account["ends"],
        json!([{"count": 1, "sum": {"total": 60, "failures": 15}, "avg": {"lossPercentage": 25.0}}])
    );
    assert_eq!(
        account["old"],
        json!([{"sum": {"packets": 20_000}}]),
        "the old name of the same data"
    );
    // A hundred samples: about twenty percent to each side.
    let trust = &account["trust"][0]["confidence"]["sum"]["packets"];
    assert_eq!(
        (&trust["estimate"], &trust["sampleSize"]),
        (&json!(1_000_000.0), &json!(100))
    );
    let bounds = (trust["lower"].as_f64().unwrap(), trust["upper"].as_f64().unwrap());
    assert!(
        (bounds.0 - 804_000.0).abs() < 1_000.0 && (bounds.1 - 1_196_000.0).abs() < 1_000.0,
        "{bounds:?}"
    );
}

#[tokio::test]
async fn one_account_a_query_and_a_level_between_0_and_1() {
    let desk = Desk::new().await;
    let two = "query($a: string!) { viewer { one: accounts(filter: {accountTag: $a}) { accountTag } two: accounts(filter: {accountTag: $a}) { accountTag } } }";
    assert_eq!(
        message(&desk, two).await,
        "in combination, your request queries too many nodes, zones and accounts"
    );
    let level = "query($a: string!, $f: Time!) { viewer { accounts(filter: {accountTag: $a}) { dosdNetworkAnalyticsAdaptiveGroups(filter: {datetime_geq: $f}, limit: 9) { confidence(level: 1.5) { level } } } } }";
    let said = message(&desk, level).await;
    assert!(said.starts_with("error parsing args for \"confidence\""), "{said}");
}
