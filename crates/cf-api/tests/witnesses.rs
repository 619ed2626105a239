//! The queries of the analytics monitor against the simulator: what each system dropped, minute by minute, and attacks.

use std::time::Duration;

use crate::simulated::*;
use cf_api::graphql::attacks::AttacksRequest;
use cf_api::graphql::minutes::MinutesRequest;
use cf_api::graphql::mitigations::{MitigationRequest, Witness};
use cf_sim::RowSpec;
use domain::time::{floor_to, minus, plus, since};
use jiff::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

fn dropped_row(node: &str, at: Timestamp) -> RowSpec {
    let mut row = RowSpec::dropped("203.0.113.7", 10_000, 80_000)
        .at(at)
        .visible()
        .dim("ipSourceAddress", "192.0.2.1")
        .dim("destinationPort", 53)
        .dim("ipProtocolName", "UDP");
    row.node = node.to_owned();
    row.dimensions.remove("mitigationSystem");
    row
}

#[tokio::test]
async fn every_witness_says_what_it_dropped_and_who_it_is() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = floor_to(Timestamp::now(), Duration::from_secs(1));
    let at = minus(now, MINUTE);
    sim.add_rows([
        dropped_row("advancedTcpProtectionNetworkAnalyticsAdaptiveGroups", at).dim("protocolState", "new"),
        dropped_row("advancedDnsProtectionNetworkAnalyticsAdaptiveGroups", at)
            .dim("dnsQueryName", "a.example")
            .dim("dnsQueryType", "ANY"),
        dropped_row("magicFirewallNetworkAnalyticsAdaptiveGroups", at)
            .dim("ruleId", "r1")
            .dim("rulesetId", "s1"),
    ]);
    let request = MitigationRequest {
        from: minus(now, 5 * MINUTE),
        to: now,
        limit: 10,
    };
    let mut systems = Vec::new();
    for witness in [Witness::AdvancedTcp, Witness::AdvancedDns, Witness::Firewall] {
        let limits = client.witness_limits(witness).await.unwrap();
        assert!(limits.enabled && limits.max_page_size > 0);
        let rows = client.dropped(witness, request, now).await.unwrap().take(10).unwrap();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.at, row.destination_port), (at, Some(53)));
        assert_eq!((row.attack_id.as_deref(), row.witness), (None, witness));
        systems.push((row.witness.system(), row.to_wire_json()["dimensions"].clone()));
    }
    let named: Vec<&str> = systems.iter().map(|(system, _)| *system).collect();
    assert_eq!(named, ["flowtrackd", "advanced-dns-protection", "magic-firewall"]);
    assert_eq!(systems[0].1["protocolState"], "new");
    assert_eq!(systems[1].1["dnsQueryType"], "ANY");
    assert_eq!(
        (&systems[2].1["ruleId"], &systems[2].1["rulesetId"]),
        (&"r1".into(), &"s1".into())
    );
}

#[tokio::test]
async fn minutes_come_by_network_and_system() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = Timestamp::now();
    let minute = floor_to(minus(now, 5 * MINUTE), MINUTE);
    let row = |seconds, system: &str| {
        RowSpec::dropped("203.0.113.7", 10_000, 80_000)
            .at(plus(minute, Duration::from_secs(seconds)))
            .visible()
            .dim("mitigationSystem", system)
    };
    sim.add_rows([
        row(0, "dosd"),
        row(59, "dosd"),
        row(59, "magic-firewall"),
        row(60, "dosd"),
    ]);
    let request = MinutesRequest {
        from: minute,
        to: plus(minute, 2 * MINUTE),
        limit: 10,
    };
    let answer = client.dropped_minutes(request, now).await.unwrap();
    let mut seen: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (since(row.at, minute).as_secs(), row.system.as_str(), row.packets.0))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [(0, "dosd", 20_000), (0, "magic-firewall", 10_000), (60, "dosd", 10_000)]
    );
    assert_eq!(answer.rows[0].subnet.to_string(), "203.0.113.0/24");
    let cut = MinutesRequest { limit: 2, ..request };
    assert!(client.dropped_minutes(cut, now).await.unwrap().truncated);
}

#[tokio::test]
async fn attacks_have_begin_and_end_and_are_found_by_id_when_they_are_old() {
    let sim = sim().await;
    let client = client_of(&sim);
    let now = floor_to(Timestamp::now(), Duration::from_secs(1));
    let attack = |id: &str, began: Timestamp, ended: Option<Timestamp>| {
        let mut row = RowSpec::attack("203.0.113.7", id, "UDP Flood", 20_000, 160_000)
            .at(began)
            .visible()
            .dim("startDatetime", began.to_string())
            .dim("destinationIp", "203.0.113.7")
            .dim("sourceIp", "192.0.2.1")
            .dim("droppedPackets", 10_000)
            .dim("droppedBits", 80_000);
        if let Some(end) = ended {
            row = row.dim("endDatetime", end.to_string());
        }
        row.node = "dosdAttackAnalyticsGroups".to_owned();
        row
    };
    let (old, begin, end) = (
        minus(now, 120 * MINUTE),
        minus(now, 10 * MINUTE),
        minus(now, 5 * MINUTE),
    );
    sim.add_rows([
        attack("old", old, None),
        attack("older", old, None),
        attack("new", begin, Some(end)),
    ]);
    assert!(client.attack_limits().await.unwrap().enabled);
    let request = AttacksRequest {
        oldest: old,
        from: minus(now, 15 * MINUTE),
        to: now,
        ids: vec!["old".into()],
        limit: 10,
    };
    let answer = client.attacks(&request, now).await.unwrap();
    let seen: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (row.attack_id.as_str(), row.began_at, row.ended_at))
        .collect();
    assert_eq!(seen, [("old", old, None), ("new", begin, Some(end))]);
    assert_eq!(answer.rows[0].dropped_packets.0, 10_000);
    assert!(!answer.truncated);
}
