//! Scenarios from first packet to the end, and what they leave behind.

use cf_sim::{AttackPhase, Scenario, SimConfig};
use serde_json::{Value, json};

use crate::control::receiver;
use crate::{Desk, LIMIT, PREFIX};

async fn sums(desk: &Desk, node: &str, filter: &str) -> (u64, u64) {
    let document = format!(
        "query($a: string!, $f: Time!) {{ viewer {{ accounts(filter: {{accountTag: $a}}) {{
        rows: {node}(filter: {{datetime_geq: $f{filter}}}, limit: 100) {{ sum {{ packets bits }} }} }} }} }}"
    );
    let from = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(600);
    let answer = desk
        .graphql(
            &document,
            json!({"a": desk.sim.config().account_id, "f": from.to_string()}),
        )
        .await;
    assert_eq!(answer.body["errors"], Value::Null, "{}", answer.body);
    let sum = &answer.body["data"]["viewer"]["accounts"][0]["rows"][0]["sum"];
    (sum["packets"].as_u64().unwrap_or(0), sum["bits"].as_u64().unwrap_or(0))
}

const MT: &str = "magicTransitNetworkAnalyticsAdaptiveGroups";

/// 30 minutes in about 7 seconds: detection, alerts, automatic advertisement, dropped and passed rows, the end.
#[tokio::test]
async fn an_attack_runs_its_whole_course() {
    let desk = Desk::with(SimConfig {
        factor: 240.0,
        ..SimConfig::default()
    })
    .await;
    let (url, mut requests) = receiver().await;
    desk.sim.set_webhook_target(&url, Some("s"));
    assert_eq!(desk.sim.prefix(PREFIX).unwrap().changes, 0);
    desk.sim.run_scenario(Scenario::named("demo").unwrap()).unwrap();
    assert!(desk.sim.wait_for(LIMIT, |s| s.prefixes[0].advertised).await);
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().attacks[0].1
                >= AttackPhase::Mitigated)
            .await
    );
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().finished)
            .await
    );
    assert!(desk.sim.wait_for(LIMIT, |s| s.deliveries >= 5).await);
    let mut got = Vec::new();
    while let Ok(request) = requests.try_recv() {
        let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        got.push(format!(
            "{} {}",
            body["alert_type"].as_str().unwrap(),
            body["alert_event"].as_str().unwrap_or("-")
        ));
    }
    assert_eq!(
        got,
        [
            "fbm_volumetric_attack ALERT_STATE_EVENT_START",
            "fbm_auto_advertisement -",
            "advanced_ddos_attack_l4_alert ALERT_STATE_EVENT_START",
            "advanced_ddos_attack_l4_alert ALERT_STATE_EVENT_END",
            "fbm_volumetric_attack ALERT_STATE_EVENT_END",
        ]
    );
    // All rows are visible a moment later.
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.rows.iter().all(|(_, all, seen)| all == seen))
            .await
    );
    let (dropped, bits) = sums(&desk, MT, ", outcome: \"drop\"").await;
    let (passed, _) = sums(&desk, MT, ", outcome: \"pass\"").await;
    assert!(
        dropped > 100_000 && dropped % 10_000 == 0 && bits > dropped * 512,
        "{dropped} {bits}"
    );
    assert!(passed >= 10_000 && passed % 10_000 == 0, "{passed}");
    assert_eq!(
        sums(&desk, "dosdNetworkAnalyticsAdaptiveGroups", ", verdict: \"drop\"")
            .await
            .0,
        dropped
    );
    // The withdrawn neighbour has traffic, but not at Cloudflare.
    assert_eq!(
        sums(&desk, MT, ", ipDestinationAddress_like: \"198.51.100.%\"").await.0,
        0
    );
    assert!(
        sums(
            &desk,
            "mnmFlowDataAdaptiveGroups",
            ", destinationAddress_like: \"198.51.100.%\""
        )
        .await
        .0 > 0
    );
    // Cloudflare never takes it back.
    let prefix = desk.sim.prefix(PREFIX).unwrap();
    assert!(prefix.advertised && prefix.changes == 1);
    let document = "query($a: string!) { viewer { accounts(filter: {accountTag: $a}) { dosdAttackAnalyticsGroups(filter: {startDatetime_geq: \"FROM\"}, limit: 10)
        { attackId attackVector destinationIp packets droppedPackets startDatetime endDatetime } } } }";
    let from = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(600);
    let flat = desk
        .graphql(
            &document.replace("FROM", &from.to_string()),
            json!({"a": desk.sim.config().account_id}),
        )
        .await;
    let attack = &flat.body["data"]["viewer"]["accounts"][0]["dosdAttackAnalyticsGroups"][0];
    assert_eq!(
        (&attack["attackVector"], &attack["destinationIp"]),
        (&json!("UDP flood"), &json!("203.0.113.10")),
        "{}",
        flat.body
    );
    assert_ne!(attack["endDatetime"], "1970-01-01T00:00:00Z");
}

#[tokio::test]
async fn two_runs_of_a_seed_have_the_same_ids() {
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let desk = Desk::with(SimConfig {
            factor: 1000.0,
            seed: 42,
            ..SimConfig::default()
        })
        .await;
        desk.sim.run_scenario(Scenario::named("demo").unwrap()).unwrap();
        assert!(desk.sim.wait_until(LIMIT, || !desk.sim.deliveries().is_empty()).await);
        let body: Value = serde_json::from_str(&desk.sim.deliveries()[0].body).unwrap();
        bodies.push((body["alert_correlation_id"].clone(), body["data"]["rule_name"].clone()));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_locked_prefix_is_said_to_be_locked() {
    let text = include_str!("../../scenarios/demo.toml");
    let text = format!("{text}\n[[prefix]]\ncidr = \"203.0.113.0/24\"\nlocked = true\n");
    let desk = Desk::with(SimConfig {
        factor: 600.0,
        ..SimConfig::default()
    })
    .await;
    desk.sim.run_scenario_toml(&text).unwrap();
    assert!(
        desk.sim
            .wait_until(LIMIT, || desk
                .sim
                .deliveries()
                .iter()
                .any(|d| d.alert_type == "fbm_auto_advertisement"))
            .await
    );
    let delivery = desk
        .sim
        .deliveries()
        .into_iter()
        .find(|d| d.alert_type == "fbm_auto_advertisement")
        .unwrap();
    let body: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!(
        body["data"]["advertise_status"],
        json!([{"prefix": PREFIX, "status": "Locked"}])
    );
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().finished)
            .await
    );
    assert!(!desk.sim.prefix(PREFIX).unwrap().advertised);
    // Nothing arrived at Cloudflare, so it dropped nothing and says nothing of an L3/4 attack.
    assert!(
        desk.sim
            .deliveries()
            .iter()
            .all(|d| d.alert_type != "advanced_ddos_attack_l4_alert")
    );
    assert_eq!(sums(&desk, MT, "").await.0, 0);
}

#[tokio::test]
async fn an_ipv6_attack_is_dropped_too() {
    let desk = Desk::with(SimConfig {
        factor: 300.0,
        ..SimConfig::default()
    })
    .await;
    desk.sim.run_scenario(Scenario::named("ipv6").unwrap()).unwrap();
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().attacks[0].1
                >= AttackPhase::Over)
            .await
    );
    let seen = desk
        .sim
        .wait_for(LIMIT, |s| s.rows.iter().any(|(n, _, seen)| n == MT && *seen > 3))
        .await;
    assert!(seen);
    assert!(
        sums(
            &desk,
            MT,
            ", outcome: \"drop\", ipDestinationSubnet: \"2001:db8:1:2::/64\""
        )
        .await
        .0 > 0
    );
    assert!(desk.sim.prefix("2001:db8:1::/48").unwrap().advertised);
}

#[tokio::test]
async fn two_attacks_overlap_and_the_second_wave_is_silent() {
    let desk = Desk::with(SimConfig {
        factor: 400.0,
        ..SimConfig::default()
    })
    .await;
    desk.sim.run_scenario(Scenario::named("two-prefixes").unwrap()).unwrap();
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().attacks[1].1
                >= AttackPhase::Detected)
            .await
    );
    assert!(
        desk.sim
            .wait_for(LIMIT, |s| s.scenario.as_ref().unwrap().finished)
            .await
    );
    let l4: Vec<_> = desk
        .sim
        .deliveries()
        .into_iter()
        .filter(|d| d.alert_type == "advanced_ddos_attack_l4_alert")
        .collect();
    assert_eq!(l4.len(), 4, "{l4:?}");
    let already = desk
        .sim
        .deliveries()
        .iter()
        .any(|d| d.body.contains("Already Advertised"));
    assert!(already);
}
