//! Half a day with everything that goes wrong: rows that come late, grow, repeat and exceed a page, a monitor that stands
//! still for two hours, a key that is revoked. At the end the record holds each event once, with its full amounts, each
//! was announced once, and every condition was visible while it lasted.

use analytics_monitor::reading::Polled as _;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::*;
use analytics_monitor::poll::PollReport;
use cf_sim::{FaultKind, FaultSpec, NodeLimits, SimConfig, Target};
use domain::notice::Facts;
use domain::time::{minus, plus};
use jiff::Timestamp;

const PAGE: u64 = 40;

/// What really happened: packets by second and source.
#[derive(Default)]
struct Truth(BTreeMap<(String, String), u64>);

impl Truth {
    /// Something happens, and Cloudflare shows it at once.
    fn happens(&mut self, site: &Site, at: Timestamp, source: &str, packets: u64) {
        site.add([row(at, "attack", source, packets)]);
        *self.0.entry((at.to_string(), source.to_owned())).or_default() += packets;
    }

    /// One event every 20 seconds over some minutes.
    fn goes_on(&mut self, site: &Site, from: Timestamp, minutes: u32) {
        for step in 0..minutes * 3 {
            let at = plus(from, Duration::from_secs(20) * step);
            self.happens(site, at, &format!("198.51.100.{}", step % 7), 10_000);
        }
    }
}

#[tokio::test]
async fn no_event_is_missing_and_none_is_there_twice() {
    let config = SimConfig {
        node_limits: NodeLimits {
            max_page_size: PAGE,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, 8 * 60 * MINUTE).await;
    let mut truth = Truth::default();
    let mut poller = site.poller();
    let mut total = PollReport::default();
    let add = |total: &mut PollReport, report: &PollReport| {
        total.kept.add(report.kept);
        total.queries += report.queries;
    };
    add(&mut total, &poller.poll_once().await.unwrap());

    // An hour with polls every five minutes.
    for turn in 0..12_u64 {
        let began = site.now();
        truth.goes_on(&site, began, 5);
        site.clock.advance(5 * MINUTE);
        // Three minutes before the watermark: it comes late. And one that is known grows.
        let late = minus(began, 3 * MINUTE);
        truth.happens(&site, late, &format!("192.0.2.{turn}"), 10_000);
        truth.happens(&site, plus(late, MINUTE), "203.0.113.200", 10_000);
        if turn > 0 {
            truth.happens(&site, plus(minus(late, 5 * MINUTE), MINUTE), "203.0.113.200", 30_000);
        }
        let report = poller.poll_once().await.unwrap();
        assert!(report.kept.new > 0 && report.truncated.is_empty());
        assert_eq!(report.kept.grown > 0, turn > 0, "growth is seen");
        add(&mut total, &report);
    }
    // The same again: nothing is new.
    let again = poller.poll_once().await.unwrap();
    assert_eq!((again.kept.new, again.kept.grown, again.kept.notices), (0, 0, 0));
    assert!(again.kept.known > 0);

    // A burst of three pages within four minutes.
    let burst = site.now();
    for event in 0..3 * PAGE {
        let at = plus(burst, Duration::from_secs(2 * event));
        truth.happens(&site, at, &format!("2001:db8::{event:x}"), 10_000);
    }
    site.clock.advance(5 * MINUTE);
    let report = poller.poll_once().await.unwrap();
    assert!(report.queries > 5 && report.truncated.is_empty(), "{report:?}");
    assert_eq!(
        report.kept.new,
        3 * PAGE + 3,
        "with the minute before it, which had to settle"
    );
    add(&mut total, &report);

    // The monitor stands still for two hours; the attack does not. Another process takes over.
    let stopped = site.now();
    truth.goes_on(&site, stopped, 120);
    site.clock.advance(120 * MINUTE);
    let mut poller = site.poller();
    let report = poller.poll_once().await.unwrap();
    assert!(report.from.unwrap() < stopped && report.lost.is_none());
    assert!(report.kept.new > 350, "{report:?}");
    add(&mut total, &report);

    // The key is revoked for half an hour, in the middle of a poll of several pages.
    let revoked = FaultKind::Status {
        status: 401,
        body: Some(r#"{"data":null,"errors":[{"message":"Unauthorized"}]}"#.into()),
    };
    for turn in 0..6 {
        let began = site.now();
        truth.goes_on(&site, began, 5);
        site.clock.advance(5 * MINUTE);
        if turn == 0 {
            site.sim.set_fault(FaultSpec {
                skip: 1,
                ..FaultSpec::new(Target::Graphql, revoked.clone())
            });
        }
        let failure = poller.poll_once().await.expect_err("nothing may be read");
        assert_eq!(failure.error.code(), "auth", "{failure:?}");
        assert_eq!(
            failure.verdict.announce,
            turn == 3,
            "people are told once, after a quarter of an hour"
        );
    }
    let mark = site.watermark().await.unwrap();
    assert!(mark < minus(site.now(), 25 * MINUTE), "the watermark waits: {mark}");
    site.sim.clear_faults();
    let report = poller.poll_once().await.unwrap();
    assert!(!report.is_behind && report.lost.is_none());
    add(&mut total, &report);
    site.clock.advance(20 * MINUTE);
    add(&mut total, &poller.poll_once().await.unwrap());

    let mut stored = BTreeMap::new();
    for row in site.rows().await {
        let key = (row.event_datetime.unwrap(), row.source_ip.unwrap());
        let before = stored.insert(key.clone(), u64::try_from(row.packets.unwrap()).unwrap());
        assert_eq!(before, None, "{key:?} is there twice");
    }
    assert_eq!(stored, truth.0);
    let mut announced = 0;
    let mut others = Vec::new();
    for facts in site.facts().await {
        match facts {
            Facts::Mitigation { events, .. } => announced += events,
            other => others.push(other.kind()),
        }
    }
    assert_eq!(announced, truth.0.len() as u64, "each is announced once");
    assert_eq!(others, ["feed_blind", "feed_restored"]);
}
