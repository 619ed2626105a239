//! A failed answer moves nothing and is visible; a feed that stays silent is told once, and so is
//! its return.

use analytics_monitor::reading::Polled as _;
use std::time::Duration;

use crate::support::*;
use cf_sim::{FaultKind, NodeLimits, Permissions, SimConfig};
use domain::notice::Facts;
use jiff::Timestamp;

fn messages() -> Vec<String> {
    vec!["unable to execute query, please try again later".into()]
}

#[tokio::test]
async fn no_failed_answer_moves_anything() {
    let site = Site::new().await;
    site.add([row(site.ago(600), "a", "198.51.100.7", 10_000)]);
    let table = [
        (FaultKind::GraphqlErrors { messages: messages() }, "transient"),
        (FaultKind::GraphqlErrorsWithData { messages: messages() }, "transient"),
        (
            FaultKind::GraphqlErrors {
                messages: vec!["not authorized for that account".into()],
            },
            "permission",
        ),
        (
            FaultKind::Status {
                status: 503,
                body: None,
            },
            "transient",
        ),
        (FaultKind::RateLimited { retry_after: Some(1) }, "rate_limited"),
        (FaultKind::Garbage, "malformed"),
        (FaultKind::Html { status: 200 }, "malformed"),
        (FaultKind::TruncatedBody, ""),
        (FaultKind::Refuse, ""),
        (FaultKind::Reset, ""),
        (FaultKind::Hang, ""),
    ];
    for (kind, code) in table {
        site.spoil(kind.clone(), 0, 1);
        let failure = site.poll().await.expect_err("a failed poll");
        assert!(code.is_empty() || failure.error.code() == code, "{kind:?}: {failure:?}");
        assert!(!failure.verdict.blind);
        assert!(failure.not_recorded.is_none());
        assert_eq!(site.watermark().await, None, "{kind:?}");
        assert_eq!(site.rows().await, [], "{kind:?}");
        assert_eq!(site.kinds().await, Vec::<&str>::new(), "{kind:?}");
        site.sim.clear_faults();
    }
    assert_eq!(site.polled().await, (1, 0, 0, 1));
}

#[tokio::test]
async fn the_failure_of_a_page_leaves_the_span_open_and_announces_nothing_of_it() {
    let config = SimConfig {
        node_limits: NodeLimits {
            max_page_size: 20,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, 120 * MINUTE).await;
    site.add(every(Duration::from_secs(10), site.ago(900), site.ago(60), "a"));
    for skip in 1..6 {
        site.spoil(FaultKind::GraphqlErrors { messages: messages() }, skip, 1);
        site.poll().await.expect_err("a failed poll");
        assert_eq!(site.watermark().await, None, "after {skip} good answers");
        assert_eq!(site.kinds().await, Vec::<&str>::new());
        site.sim.clear_faults();
    }
    let (new, grown, known, notices) = site.polled().await;
    assert_eq!((new + known, grown, notices), (84, 0, 1));
    assert_eq!(site.rows().await.len(), 84);
    let facts = site.facts().await;
    assert!(
        matches!(&facts[..], [Facts::Mitigation { events: 84, .. }]),
        "pages that were stored before a failure are told too: {facts:?}"
    );
}

#[tokio::test]
async fn what_was_caught_up_before_a_failure_stays() {
    let site = Site::with(SimConfig::default(), Duration::from_secs(11 * 3_600)).await;
    site.poll().await.unwrap();
    let down = site.now();
    site.clock.advance(Duration::from_secs(10 * 3_600));
    site.add(every(10 * MINUTE, down, site.ago(60), "a"));
    site.spoil(FaultKind::Garbage, 4, 1);
    site.poll().await.expect_err("the fifth query fails");
    let (mark, rows) = (site.watermark().await.unwrap(), site.rows().await.len());
    assert!(mark > down && rows > 10 && rows < 60, "{mark} {rows}");
    site.poll().await.unwrap();
    assert_eq!(site.rows().await.len(), 60);
}

#[tokio::test]
async fn a_silent_feed_is_told_once_and_so_is_its_return() {
    let site = Site::new().await;
    site.poll().await.unwrap();
    site.clock.advance(5 * MINUTE);
    let began = site.now();
    site.spoil(FaultKind::GraphqlErrors { messages: messages() }, 0, 1_000);
    let mut poller = site.poller();
    for minutes in [0u64, 5, 10, 15, 20, 25] {
        // Midway another process takes over; the run of failures goes on.
        if minutes == 10 {
            poller = site.poller();
        }
        let failure = poller.poll_once().await.expect_err("a failed poll");
        assert_eq!(failure.verdict.since, began);
        assert_eq!(failure.verdict.blind, minutes >= 15, "after {minutes} minutes");
        assert_eq!(failure.verdict.announce, minutes == 15);
        site.clock.advance(5 * MINUTE);
    }
    let facts = site.facts().await;
    let [Facts::FeedBlind { feed, because, since }] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((feed.as_str(), *since), ("attack analytics", began));
    assert!(because.contains("try again later"), "{because}");

    // A restart during the outage tells nobody again, and the return is told all the same.
    site.sim.clear_faults();
    site.add([row(began, "a", "198.51.100.7", 10_000)]);
    assert_eq!(site.polled().await, (1, 0, 0, 1));
    let facts = site.facts().await;
    let restored: Vec<&Timestamp> = facts
        .iter()
        .filter_map(|facts| match facts {
            Facts::FeedRestored { since, .. } => Some(since),
            _ => None,
        })
        .collect();
    assert_eq!(restored, [&began]);
    site.clock.advance(5 * MINUTE);
    site.poll().await.unwrap();
    assert_eq!(site.kinds().await, ["feed_blind", "mitigation", "feed_restored"]);
}

#[tokio::test]
async fn a_short_trouble_is_told_to_nobody() {
    let site = Site::new().await;
    let mut poller = site.poller();
    for _ in 0..3 {
        site.spoil(
            FaultKind::Status {
                status: 502,
                body: None,
            },
            0,
            2,
        );
        poller.poll_once().await.expect_err("a failed poll");
        site.clock.advance(5 * MINUTE);
        poller.poll_once().await.expect_err("a failed poll");
        site.clock.advance(5 * MINUTE);
        poller.poll_once().await.unwrap();
    }
    assert_eq!(site.kinds().await, Vec::<&str>::new());
}

#[tokio::test]
async fn a_token_without_permission_is_no_calm() {
    let config = SimConfig {
        permissions: Permissions {
            analytics: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, 120 * MINUTE).await;
    let failure = site.poll().await.expect_err("nothing may be read");
    assert!(["permission", "auth"].contains(&failure.error.code()), "{failure:?}");
    assert_eq!(site.watermark().await, None);
}

#[tokio::test]
async fn limits_that_cannot_be_read_do_not_stop_polls() {
    let site = Site::new().await;
    site.add([row(site.ago(600), "a", "198.51.100.7", 10_000)]);
    let fault = cf_sim::FaultSpec::new(
        cf_sim::Target::Graphql,
        FaultKind::GraphqlErrors { messages: messages() },
    );
    site.sim.set_fault(fault.path("NodeLimits"));
    assert_eq!(site.polled().await, (1, 0, 0, 1));
}
