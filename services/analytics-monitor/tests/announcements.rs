//! Who is told what about new rows.

use analytics_monitor::reading::Polled as _;
use std::time::Duration;

use crate::support::*;
use cf_api::webhook::{decode, to_alert};
use db::analytics::NewRow;
use domain::bgp::{BgpPrefix, BgpState};
use domain::ids::{BgpPrefixId, IncidentId, PrefixId};
use domain::notice::Facts;
use domain::time::plus;
use serde_json::json;

const ATTACK: &str = "2af39739-cc4e-3b59-10c9-18468bb89828";

#[tokio::test]
async fn few_rows_of_an_attack_are_told_singly_and_many_as_one() {
    let site = Site::new().await;
    site.add((0..3).map(|n| row(site.ago(600 - n), "few", "198.51.100.7", 10_000)));
    site.add((0..5).map(|n| row(site.ago(500 - n), "many", &format!("198.51.100.{n}"), 10_000 * (n + 1))));
    assert_eq!(site.polled().await, (8, 0, 0, 4));
    let facts = site.facts().await;
    let of = |attack: &str| -> Vec<&Facts> {
        facts
            .iter()
            .filter(|facts| matches!(facts, Facts::Mitigation { attack_id: Some(id), .. } if id == attack))
            .collect()
    };
    assert_eq!(of("few").len(), 3);
    let many = of("many");
    let [
        Facts::Mitigation {
            events,
            packets,
            bits,
            from,
            to,
            sources,
            targets,
            locations,
            distinct_sources,
            sample_interval,
            ..
        },
    ] = &many[..]
    else {
        panic!("{many:?}")
    };
    assert_eq!((*events, *packets, *bits), (5, 150_000, 1_200_000_000));
    assert_eq!((*from, *to), (site.ago(500), site.ago(496)));
    assert_eq!(sources[0], "198.51.100.4 (spoofed: documentation, US, AS64500 Example)");
    assert_eq!(sources.len(), 5);
    assert_eq!(
        (targets, locations),
        (
            &vec!["203.0.113.10:443 UDP".to_owned()],
            &vec!["FRA (Frankfurt, DE)".to_owned()]
        )
    );
    assert_eq!((*distinct_sources, *sample_interval), (5, 10_000));
}

#[tokio::test]
async fn others_are_stored_and_told_only_when_the_switch_says_so() {
    let site = Site::new().await;
    let rows = || {
        let soon = plus(site.now(), Duration::from_secs(180));
        [
            row_to("162.159.1.1", soon, "anycast", "198.51.100.7", 10_000),
            row_to("8.8.4.4", soon, "foreign", "198.51.100.7", 10_000),
            row(soon, "ours", "198.51.100.7", 10_000),
        ]
    };
    // In turn: never set, all, ours only. No restart in between.
    let mut poller = site.poller();
    for (switch, expected) in [(None, 1), (Some(false), 2), (Some(true), 1)] {
        if let Some(only) = switch {
            site.set_my_prefixes_only(only).await;
        }
        site.add(rows());
        site.clock.advance(5 * MINUTE);
        let kept = poller.poll_once().await.unwrap().kept;
        assert_eq!((kept.new, kept.notices), (3, expected), "{switch:?}");
    }
    assert_eq!(site.rows().await.len(), 9, "everything is stored");
}

#[tokio::test]
async fn a_list_made_in_the_dashboard_decides_from_the_next_poll_on() {
    let site = Site::new().await;
    let mut poller = site.poller();
    let list = async |list: serde_json::Value| {
        let now = site.now();
        site.write(move |tx| db::preferences::set(tx, "announced_prefixes", &list, "test", now))
            .await;
    };
    // In turn: never set, another network, ours again, and what is no list.
    for (set, ours, others) in [
        (None, 1, 0),
        (Some(json!(["198.51.100.0/24"])), 0, 1),
        (Some(json!(["203.0.113.0/25", "198.51.100.0/24"])), 1, 1),
        (Some(json!([])), 1, 0),
        (Some(json!(["nonsense"])), 1, 0),
        (Some(json!("203.0.113.0/24")), 1, 0),
    ] {
        if let Some(set) = set.clone() {
            list(set).await;
        }
        let soon = plus(site.now(), Duration::from_secs(180));
        site.add([
            row(soon, "ours", "198.51.100.7", 10_000),
            row_to("198.51.100.9", soon, "others", "198.51.100.7", 10_000),
        ]);
        site.clock.advance(5 * MINUTE);
        let kept = poller.poll_once().await.unwrap().kept;
        assert_eq!((kept.new, kept.notices), (2, ours + others), "{set:?}");
    }
    assert_eq!(site.rows().await.len(), 12, "everything is stored");
}

#[tokio::test]
async fn a_switch_of_an_odd_shape_stops_nothing() {
    let site = Site::new().await;
    let now = site.now();
    site.write(move |tx| db::preferences::set(tx, "my_prefixes_only", "perhaps", "test", now))
        .await;
    site.add([row(site.ago(600), "a", "198.51.100.7", 10_000)]);
    assert_eq!(site.polled().await, (1, 0, 0, 1));
}

#[tokio::test]
async fn discovered_prefixes_are_ours_as_well() {
    let mut site = Site::new().await;
    site.policy.own.clear();
    let now = site.now();
    let prefix = BgpPrefix {
        prefix: "192.0.2.0/24".parse().unwrap(),
        parent_id: PrefixId::new("p"),
        id: BgpPrefixId::new("b"),
        asn: None,
        description: String::new(),
        state: BgpState {
            advertised: None,
            advertised_modified_at: None,
            on_demand_enabled: true,
            locked: false,
            bgp_signalled: false,
            prepend: None,
            auto_advertise_withdraw: false,
        },
    };
    let rows = |from: u64| {
        [
            row_to("192.0.2.9", site.ago(from), "a", "198.51.100.7", 10_000),
            row_to("8.8.4.4", site.ago(from), "b", "198.51.100.7", 10_000),
        ]
    };
    // While nothing is known to be ours, silence would be the wrong guess.
    site.add(rows(600));
    let report = site.poll().await.unwrap();
    assert!(report.no_networks);
    assert_eq!((report.kept.new, report.kept.notices), (2, 2));

    site.write(move |tx| db::inventory::observed(tx, &prefix, false, now))
        .await;
    site.add(rows(590));
    let report = site.poll().await.unwrap();
    assert!(!report.no_networks);
    assert_eq!((report.kept.new, report.kept.notices), (2, 1));
}

#[tokio::test]
async fn small_rows_are_stored_and_not_told() {
    let mut site = Site::new().await;
    site.policy.min_packets = 20_000;
    site.add([
        row(site.ago(600), "a", "198.51.100.7", 10_000),
        row(site.ago(599), "a", "198.51.100.7", 20_000),
    ]);
    assert_eq!(site.polled().await, (2, 0, 0, 1));
}

#[tokio::test]
async fn rows_from_before_the_first_poll_are_not_told() {
    let site = Site::new().await;
    let now = site.now();
    let old = NewRow {
        event_datetime: "2025-12-31T00:00:00Z".into(),
        destination_ip: Some(TARGET.into()),
        prefix: Some("203.0.113.0/24".parse().unwrap()),
        packets: 10_000,
        raw_data: "{}".into(),
        ..NewRow::default()
    };
    site.write(move |tx| db::analytics::store(tx, &old, now).map(drop))
        .await;
    site.add([row(site.ago(600), "a", "198.51.100.7", 10_000)]);
    assert_eq!(site.polled().await, (1, 0, 0, 1));
}

#[tokio::test]
async fn a_crash_between_rows_and_notices_loses_no_notice() {
    let site = Site::new().await;
    site.poll().await.unwrap();
    site.add([row(site.ago(120), "a", "198.51.100.7", 10_000)]);
    // As a process leaves it that died between a first part of the rows and the last: one row is
    // stored, the watermark has not moved.
    let mark = site.watermark().await.unwrap();
    site.poll().await.unwrap();
    site.write(move |tx| {
        db::leases::set_cursor(tx, "mitigations_announced", "0", mark)?;
        db::leases::set_cursor(tx, "mitigations_watermark", &domain::time::to_db_text(mark), mark)
    })
    .await;
    assert_eq!(site.polled().await, (0, 0, 1, 1), "the stored row is announced");
    assert_eq!(site.polled().await, (0, 0, 1, 0), "once");
}

#[tokio::test]
async fn rows_belong_to_the_incident_of_their_attack_whichever_comes_first() {
    let site = Site::new().await;
    // Cloudflare writes one id with hyphens here and without there.
    site.add([row(site.ago(600), &ATTACK.replace('-', ""), "198.51.100.7", 10_000)]);
    site.poll().await.unwrap();
    let incidents = async || -> Vec<Option<IncidentId>> {
        let rows = site.read(|tx| db::analytics::after(tx, 0, 10)).await;
        rows.iter().map(|row| row.incident).collect()
    };
    assert_eq!(incidents().await, [None]);

    let data = json!({"attack_id": ATTACK, "target_ip": TARGET});
    let body = site.sim.alert("l4_start", Some(&data), None).unwrap();
    let alert = to_alert(&decode(body.to_string().as_bytes()), site.now());
    assert!(alert.attack_id.is_some());
    let now = site.now();
    let affected = vec!["203.0.113.0/24".parse().unwrap()];
    let incident = site
        .write(move |tx| db::incidents::join(tx, &alert, &affected, now))
        .await;

    site.clock.advance(5 * MINUTE);
    site.add([row(site.ago(120), &ATTACK.replace('-', ""), "198.51.100.8", 10_000)]);
    site.poll().await.unwrap();
    assert_eq!(incidents().await, [Some(incident), Some(incident)]);
    let told = site.read(|tx| db::outbox::newest(tx, None, 10)).await;
    assert_eq!((told[0].incident, told[1].incident), (Some(incident), None));
}
