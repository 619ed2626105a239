//! The sources beside the DDoS rules: what other systems dropped, minute by minute, begin and end of attacks.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use analytics_monitor::attacks::Attacks;
use analytics_monitor::minutes::Minutes;
use analytics_monitor::numbers::Numbers;
use analytics_monitor::poll::{Parts, PollReport, Poller};
use analytics_monitor::reading::{Polled as _, Progress};
use analytics_monitor::witnesses::Witnesses;
use cf_api::graphql::mitigations::Witness;
use cf_api::webhook::{decode, to_alert};
use cf_sim::{FaultKind, FaultSpec, NodeLimits, RowSpec, SimConfig, Target};
use daemon::Frame;
use db::series::Point;
use domain::ids::IncidentId;
use domain::notice::Facts;
use domain::time::{floor_to, minus, plus};
use jiff::Timestamp;
use serde_json::json;

const FIREWALL: &str = "magicFirewallNetworkAnalyticsAdaptiveGroups";
const ADVANCED_TCP: &str = "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups";
const ADVANCED_DNS: &str = "advancedDnsProtectionNetworkAnalyticsAdaptiveGroups";
const ATTACKS: &str = "dosdAttackAnalyticsGroups";

impl Site {
    fn parts(&self) -> Parts {
        Parts {
            db: self.db.clone(),
            api: self.client(),
            clock: self.clock.clone(),
            geoip: Arc::clone(&self.geoip),
            policy: self.policy.clone(),
        }
    }

    async fn witnessed(&self, witness: Witness) -> PollReport {
        Poller::of(self.parts(), witness).poll_once().await.unwrap()
    }

    async fn minutes(&self) -> PollReport {
        Minutes::new(self.parts()).poll_once().await.unwrap()
    }

    async fn attacks(&self) -> PollReport {
        Attacks::new(self.parts()).poll_once().await.unwrap()
    }

    async fn series(&self, from: Timestamp, to: Timestamp) -> Vec<Point> {
        let prefix = "203.0.113.0/24".parse().unwrap();
        self.read(move |tx| db::series::series(tx, prefix, from, to, 5_000))
            .await
    }

    async fn incident(&self, attack: &str) -> IncidentId {
        let data = json!({"attack_id": attack, "target_ip": TARGET});
        let body = self.sim.alert("l4_start", Some(&data), None).unwrap();
        let alert = to_alert(&decode(body.to_string().as_bytes()), self.ago(900));
        let now = self.now();
        let affected = vec!["203.0.113.0/24".parse().unwrap()];
        self.write(move |tx| {
            let id = db::incidents::join(tx, &alert, &affected, now)?;
            // The alert's own amounts are of no interest here.
            Ok(id)
        })
        .await
    }
}

fn of_system(node: &str, at: Timestamp) -> RowSpec {
    let mut row = row(at, "", "198.51.100.7", 10_000);
    row.node = node.to_owned();
    for unknown in ["attackId", "attackVector"] {
        row.dimensions.remove(unknown);
    }
    row
}

fn dropped(at: Timestamp, target: &str, system: &str, packets: u64) -> RowSpec {
    RowSpec::dropped(target, packets, packets * 8_000)
        .at(at)
        .dim("mitigationSystem", system)
}

#[tokio::test]
async fn what_other_systems_dropped_is_stored_by_name_and_told_when_it_is_chosen() {
    let mut site = Site::new().await;
    let at = site.ago(600);
    site.add([
        of_system(FIREWALL, at).dim("ruleId", "r1"),
        of_system(ADVANCED_TCP, at).dim("mitigationReason", "unexpected packet"),
        of_system(ADVANCED_DNS, at).dim("dnsQueryType", "ANY"),
        row(at, "a", "198.51.100.7", 10_000),
    ]);
    site.policy.announced = vec![Witness::AdvancedTcp];
    assert_eq!(site.witnessed(Witness::Firewall).await.kept.new, 1);
    assert_eq!(
        site.kinds().await,
        Vec::<&str>::new(),
        "the customer's own rules drop all the time"
    );
    assert_eq!(site.witnessed(Witness::AdvancedDns).await.kept.new, 1);
    let report = site.witnessed(Witness::AdvancedTcp).await;
    assert_eq!((report.kept.new, report.kept.notices), (1, 1));
    assert_eq!(site.polled().await, (1, 0, 0, 1));
    let systems: Vec<Option<String>> = site.rows().await.into_iter().map(|row| row.mitigation_system).collect();
    let named: Vec<&str> = systems.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        named,
        ["magic-firewall", "advanced-dns-protection", "flowtrackd", "dosd"]
    );
    let facts = site.facts().await;
    let Facts::Mitigation { vectors, .. } = &facts[0] else {
        panic!("{facts:?}")
    };
    assert_eq!(vectors, &["unexpected packet (Advanced TCP Protection)"]);
    // A second look finds all of it known.
    for witness in [Witness::Firewall, Witness::AdvancedDns, Witness::AdvancedTcp] {
        let kept = site.witnessed(witness).await.kept;
        assert_eq!((kept.new, kept.known, kept.notices), (0, 1, 0), "{witness:?}");
    }
}

#[tokio::test]
async fn a_witness_that_fails_holds_up_no_other_and_is_told_by_name() {
    let site = Site::new().await;
    site.add([
        row(site.ago(600), "a", "198.51.100.7", 10_000),
        of_system(FIREWALL, site.ago(600)),
    ]);
    site.sim
        .set_fault(FaultSpec::new(Target::Graphql, FaultKind::Garbage).path("query DroppedByFirewall"));
    let mut firewall = Poller::of(site.parts(), Witness::Firewall);
    for minutes in [0, 5, 10, 15] {
        let failure = firewall.poll_once().await.expect_err("a failed poll");
        assert_eq!(failure.verdict.announce, minutes == 15);
        site.clock.advance(5 * MINUTE);
    }
    let facts = site.facts().await;
    assert!(
        matches!(&facts[..], [Facts::FeedBlind { feed, .. }] if feed == "attack analytics of Magic Firewall"),
        "{facts:?}"
    );
    site.poll().await.expect("the main source");
    site.sim.clear_faults();
    assert!(firewall.poll_once().await.is_ok());
    assert!(site.kinds().await.contains(&"feed_restored"));
}

/// Where the budget of calls is short, the last in line goes without: it must not be the same one for ever.
#[tokio::test]
async fn each_witness_is_asked_first_in_its_turn() {
    let site = Site::new().await;
    let progress: Progress = Arc::new(|| {});
    let mut parts = site.parts();
    parts.policy.witnesses = vec![Witness::AdvancedTcp, Witness::AdvancedDns, Witness::Firewall];
    (parts.policy.series, parts.policy.attacks) = (true, true);
    let mut witnesses = Witnesses::new(&parts, &progress);
    let frame = Frame::builder("cloudflare-analytics-monitor").build();
    let numbers = Numbers::register(frame.metrics());
    let mut first = Vec::new();
    for _ in 0..witnesses.once().await.len() {
        site.clock.advance(5 * MINUTE);
        let refused = FaultKind::Status {
            status: 401,
            body: Some(r#"{"data":null,"errors":[{"message":"Unauthorized"}]}"#.into()),
        };
        site.sim.set_fault(FaultSpec::new(Target::Graphql, refused).times(1));
        let round = witnesses.round(&frame, &numbers).await;
        first.extend(
            round
                .lines
                .into_iter()
                .filter(|(_, line)| line.starts_with("nothing read"))
                .map(|(title, _)| title),
        );
    }
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 5, "{first:?}");
}

#[tokio::test]
async fn what_the_contract_does_not_have_is_no_fault() {
    let config = SimConfig {
        missing_nodes: vec![FIREWALL.into(), ATTACKS.into()],
        ..SimConfig::default()
    };
    let site = Site::with(config, 120 * MINUTE).await;
    assert!(site.witnessed(Witness::Firewall).await.not_in_contract);
    assert!(site.attacks().await.not_in_contract);
    assert!(!site.witnessed(Witness::AdvancedTcp).await.not_in_contract);
    assert_eq!(site.kinds().await, Vec::<&str>::new());
}

#[tokio::test]
async fn dropped_traffic_is_kept_minute_by_minute_and_calm_minutes_are_known() {
    let site = Site::new().await;
    let minute = floor_to(site.ago(600), MINUTE);
    let second = |n: u64| plus(minute, std::time::Duration::from_secs(n));
    site.add([
        dropped(second(0), TARGET, "dosd", 30_000),
        dropped(second(59), TARGET, "dosd", 30_000),
        dropped(second(59), TARGET, "magic-firewall", 10_000),
        dropped(second(60), TARGET, "dosd", 10_000),
        dropped(second(60), "198.51.100.1", "dosd", 50_000),
        RowSpec::passed(TARGET, 90_000, 1).at(second(120)),
    ]);
    let report = site.minutes().await;
    assert_eq!((report.kept.new, report.truncated.len()), (3, 0));
    let points = site.series(minute, plus(minute, 3 * MINUTE)).await;
    let seen: Vec<_> = points
        .iter()
        .map(|point| (point.packets, point.bits, point.samples, point.is_known()))
        .collect();
    assert_eq!(
        seen,
        [
            (70_000, 560_000_000, 7, true),
            (10_000, 80_000_000, 1, true),
            (0, 0, 0, true)
        ]
    );
    // Younger than the settle delay: not known yet.
    let young = site.series(minus(site.now(), MINUTE), plus(site.now(), MINUTE)).await;
    assert!(young.iter().all(|point| !point.is_known()), "{young:?}");

    let written = site.written();
    assert_eq!(site.minutes().await.kept.new, 0, "nothing changed");
    assert_eq!(site.written(), written, "and nothing was written");
    // It grew late, and the next poll's overlap sees it.
    site.add([dropped(second(60), TARGET, "dosd", 10_000)]);
    site.clock.advance(MINUTE);
    assert_eq!(site.minutes().await.kept.new, 1);
    let points = site.series(minute, plus(minute, 2 * MINUTE)).await;
    assert_eq!(points[1].packets, 20_000);
    assert_ne!(site.written(), written);
}

#[tokio::test]
async fn minutes_that_no_page_can_hold_are_at_least_that_much() {
    let config = SimConfig {
        node_limits: NodeLimits {
            max_page_size: 5,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, 120 * MINUTE).await;
    let crowded = floor_to(site.ago(600), MINUTE);
    // More systems in one minute than a page has rows; a minute cannot be split.
    site.add((0..9).map(|n| dropped(crowded, TARGET, &format!("system-{n}"), 10_000)));
    let report = site.minutes().await;
    assert!(!report.truncated.is_empty());
    let points = site.series(crowded, plus(crowded, 2 * MINUTE)).await;
    assert_eq!((points[0].packets, points[0].is_known()), (50_000, false));
    let facts = site.facts().await;
    assert!(
        matches!(&facts[..], [Facts::Raised { title, .. }] if title == "Incomplete: dropped traffic by minute"),
        "{facts:?}"
    );
}

#[tokio::test]
async fn a_stop_of_two_hours_leaves_no_hole_in_the_series() {
    let site = Site::with(SimConfig::default(), 240 * MINUTE).await;
    site.minutes().await;
    let down = floor_to(site.now(), MINUTE);
    site.clock.advance(120 * MINUTE);
    site.add([dropped(plus(down, 30 * MINUTE), TARGET, "dosd", 20_000)]);
    let report = site.minutes().await;
    assert!(!report.is_behind);
    let points = site.series(down, plus(down, 118 * MINUTE)).await;
    assert!(points.iter().all(Point::is_known));
    assert_eq!(points[30].packets, 20_000);
}

#[tokio::test]
async fn what_cloudflare_no_longer_has_is_told_of_every_source() {
    let config = SimConfig {
        node_limits: NodeLimits {
            not_older_than_s: 7_200,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, Duration::ZERO).await;
    let mark = floor_to(site.ago(10 * 3_600), MINUTE);
    let (own, text) = (site.policy.own.clone(), domain::time::to_db_text(mark));
    site.write(move |tx| {
        for source in ["attacks", "magic-firewall"] {
            db::leases::set_cursor(tx, &format!("mitigations_watermark:{source}"), &text, mark)?;
        }
        let calm = db::series::difference(tx, minus(mark, 2 * MINUTE), mark, &own, Vec::new(), |_| true)?;
        db::series::apply(tx, &calm)
    })
    .await;
    for report in [
        site.minutes().await,
        site.attacks().await,
        site.witnessed(Witness::Firewall).await,
    ] {
        assert_eq!(report.lost.map(|lost| lost.from), Some(mark), "{report:?}");
    }
    // The next polls have nothing to tell.
    site.clock.advance(MINUTE);
    for report in [
        site.minutes().await,
        site.attacks().await,
        site.witnessed(Witness::Firewall).await,
    ] {
        assert_eq!(report.lost, None);
    }
    let feeds: Vec<String> = site
        .facts()
        .await
        .into_iter()
        .filter_map(|facts| match facts {
            Facts::DataGap { feed, .. } => Some(feed),
            _ => None,
        })
        .collect();
    assert_eq!(
        feeds,
        [
            "dropped traffic by minute",
            "begin and end of attacks",
            "attack analytics of Magic Firewall"
        ]
    );
}

#[tokio::test]
async fn peaks_of_rows_and_minutes_reach_the_incident() {
    let site = Site::new().await;
    let attack = "2af39739-cc4e-3b59-10c9-18468bb89828";
    let id = site.incident(attack).await;
    let before = site.read(move |tx| db::incidents::get(tx, id)).await.unwrap();
    let (pps, bps) = (before.peak_pps.unwrap_or(0.0), before.peak_bps.unwrap_or(0.0));
    // Sixty million packets in one minute are a million a second, above what the alert said.
    let minute = floor_to(site.ago(600), MINUTE);
    let heavy = 60 * 5_000_000;
    assert!(pps < 5_000_000.0 && bps < 4e10, "{before:?}");
    site.add([row(minute, &attack.replace('-', ""), "198.51.100.7", heavy)]);
    site.poll().await.unwrap();
    let after = site.read(move |tx| db::incidents::get(tx, id)).await.unwrap();
    assert_eq!((after.peak_pps, after.peak_bps), (Some(5_000_000.0), Some(4e10)));
    // The minutes of its prefix raise it further; a lower one leaves it.
    site.add([
        dropped(minute, TARGET, "dosd", 2 * heavy),
        dropped(plus(minute, MINUTE), TARGET, "dosd", 600),
    ]);
    site.minutes().await;
    let after = site.read(move |tx| db::incidents::get(tx, id)).await.unwrap();
    assert_eq!((after.peak_pps, after.peak_bps), (Some(10_000_000.0), Some(8e10)));
}

fn attack_row(id: &str, source: &str, began: Timestamp, ended: Option<Timestamp>, packets: u64) -> RowSpec {
    let mut row = RowSpec::attack(TARGET, id, "UDP Flood", packets, packets * 8)
        .at(began)
        .dim("startDatetime", began.to_string())
        .dim("destinationIp", TARGET)
        .dim("sourceIp", source)
        .dim("droppedPackets", packets)
        .dim("droppedBits", packets * 8);
    if let Some(end) = ended {
        row = row.dim("endDatetime", end.to_string());
    }
    row.node = ATTACKS.to_owned();
    row
}

#[tokio::test]
async fn attacks_are_followed_from_begin_to_end_and_the_incident_is_told_once() {
    let site = Site::new().await;
    let attack = "2af39739-cc4e-3b59-10c9-18468bb89828";
    let id = site.incident(attack).await;
    let began = site.ago(600);
    site.add([
        attack_row(attack, "198.51.100.1", began, None, 10_000),
        attack_row(attack, "198.51.100.2", plus(began, MINUTE), None, 30_000),
    ]);
    assert_eq!(site.attacks().await.kept.new, 1);
    let span = async |name: &'static str| site.read(move |tx| db::attack_spans::get(tx, name)).await.unwrap();
    let open = span("2af39739-cc4e-3b59-10c9-18468bb89828").await;
    assert_eq!((open.began_at, open.ended_at, open.sources), (began, None, 2));
    assert_eq!(
        (open.packets, open.dropped_bits, open.complete),
        (40_000, 320_000, true)
    );
    assert_eq!(
        (open.incident, open.prefix.map(|prefix| prefix.to_string())),
        (Some(id), Some("203.0.113.0/24".into()))
    );
    assert_eq!(site.attacks().await.kept.new, 0, "nothing changed");

    // An hour later, far outside the look-back, it has ended for one source, then for all.
    site.clock.advance(60 * MINUTE);
    site.add([attack_row(attack, "198.51.100.3", began, Some(site.ago(300)), 5_000)]);
    site.attacks().await;
    let lasting = span("2af39739-cc4e-3b59-10c9-18468bb89828").await;
    assert_eq!((lasting.ended_at, lasting.sources), (None, 3));
    let kinds = async || {
        let lines = site.read(move |tx| db::incidents::timeline(tx, id, 100)).await;
        let own = lines
            .into_iter()
            .map(|line| line.kind)
            .filter(|kind| kind.starts_with("analytics_"));
        own.collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["analytics_began"]);

    let other = "0123456789abcdef0123456789abcdef";
    let ended = site.ago(120);
    site.add([attack_row(other, "198.51.100.9", site.ago(600), Some(ended), 1_000)]);
    site.attacks().await;
    assert_eq!(span("0123456789abcdef0123456789abcdef").await.ended_at, Some(ended));
    assert_eq!(
        site.read(|tx| db::attack_spans::open(tx, Timestamp::UNIX_EPOCH, 10))
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn the_end_of_an_attack_is_told_once() {
    let site = Site::new().await;
    let attack = "2af39739-cc4e-3b59-10c9-18468bb89828";
    let id = site.incident(attack).await;
    site.add([attack_row(
        attack,
        "198.51.100.1",
        site.ago(600),
        Some(site.ago(300)),
        10_000,
    )]);
    for _ in 0..2 {
        site.attacks().await;
        site.clock.advance(5 * MINUTE);
    }
    let lines = site.read(move |tx| db::incidents::timeline(tx, id, 100)).await;
    let own: Vec<_> = lines
        .iter()
        .filter(|line| line.kind.starts_with("analytics_"))
        .collect();
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own[0].text.starts_with("UDP Flood began"), "{own:?}");
    assert!(own[1].text.contains("ended after 5 min"), "{own:?}");
}
