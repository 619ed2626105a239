//! What a poll reads and stores: once, completely, from where the last one stopped.

use analytics_monitor::reading::Polled as _;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use cf_sim::{NodeLimits, SimConfig};
use domain::notice::Facts;
use domain::time::minus;
use geoip::GeoIp;
use maxminddb_writer::paths::IpAddrWithMask;

fn small_pages(rows: u64) -> SimConfig {
    SimConfig {
        node_limits: NodeLimits {
            max_page_size: rows,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    }
}

#[tokio::test]
async fn rows_are_stored_once_and_a_second_poll_writes_none() {
    let site = Site::new().await;
    site.add([
        row(site.ago(600), "a", "198.51.100.7", 10_000),
        row(site.ago(600), "a", "198.51.100.8", 20_000),
        // Other dimensions, else equal: a row of its own.
        row(site.ago(600), "a", "198.51.100.8", 30_000).dim("sourcePort", 54),
    ]);
    let mut poller = site.poller();
    let report = poller.poll_once().await.unwrap();
    assert_eq!((report.kept.new, report.kept.known), (3, 0));
    assert_eq!((report.from, report.to), (Some(site.ago(900)), Some(site.ago(60))));
    assert_eq!(site.watermark().await, Some(site.ago(60)));
    let before = site.rows().await;
    assert_eq!(before.len(), 3);
    assert_eq!(before[0].packets, Some(10_000));
    assert_eq!(before[0].sample_interval, Some(10_000));
    assert_eq!(before[2].samples, Some(3));

    let written = site.written();
    let kept = poller.poll_once().await.unwrap().kept;
    assert_eq!((kept.new, kept.grown, kept.known), (0, 0, 3));
    assert_eq!(site.written(), written, "the same window again writes nothing");
    site.clock.advance(5 * MINUTE);
    let kept = poller.poll_once().await.unwrap().kept;
    assert_eq!((kept.new, kept.grown, kept.known, kept.notices), (0, 0, 3, 0));
    assert_eq!(site.rows().await, before);
    assert_eq!(site.watermark().await, Some(site.ago(60)));
}

#[tokio::test]
async fn counters_that_grow_late_are_updated_and_not_announced_again() {
    let site = Site::new().await;
    let late = row(site.ago(120), "a", "198.51.100.7", 10_000);
    site.add([late.clone()]);
    assert_eq!(site.polled().await, (1, 0, 0, 1));
    // The same second of the same stream, reported later.
    site.add([late]);
    site.clock.advance(5 * MINUTE);
    assert_eq!(site.polled().await, (0, 1, 0, 0));
    let rows = site.rows().await;
    assert_eq!(
        (rows.len(), rows[0].packets, rows[0].bits),
        (1, Some(20_000), Some(160_000_000))
    );
}

#[tokio::test]
async fn rows_that_arrive_late_are_found_by_the_overlap() {
    let site = Site::new().await;
    assert_eq!(site.polled().await, (0, 0, 0, 0));
    // Older than the watermark already.
    site.add([row(site.ago(300), "a", "198.51.100.7", 10_000)]);
    site.clock.advance(5 * MINUTE);
    assert_eq!(site.polled().await, (1, 0, 0, 1));
}

#[tokio::test]
async fn a_full_page_is_split_until_everything_is_there() {
    let site = Site::with(small_pages(20), 120 * MINUTE).await;
    site.add(every(Duration::from_secs(10), site.ago(900), site.ago(60), "a"));
    let report = site.poll().await.unwrap();
    assert_eq!((report.kept.new, report.truncated.len()), (84, 0));
    assert!(report.queries > 5 && report.queries <= 15, "{}", report.queries);
    assert_eq!(site.rows().await.len(), 84);
    assert_eq!(site.kinds().await, ["mitigation"]);
}

#[tokio::test]
async fn more_than_can_be_read_is_kept_as_far_as_it_goes_and_named() {
    let site = Site::with(small_pages(20), 120 * MINUTE).await;
    // More rows in one second than a page holds: no split helps.
    let second = site.ago(600);
    site.add((0..50).map(|host| row(second, "a", &format!("198.51.100.{host}"), 10_000)));
    site.add([row(site.ago(300), "b", "198.51.100.7", 10_000)]);
    let report = site.poll().await.unwrap();
    assert!(!report.truncated.is_empty());
    assert!(
        report
            .truncated
            .iter()
            .all(|span| span.from <= second && second < span.to)
    );
    assert_eq!(
        report.kept.new, 21,
        "a page of the crowded second, and the row after it"
    );
    assert!(report.queries <= 31);
    let told = |facts: &Facts| matches!(facts, Facts::Raised { title, .. } if title == "Incomplete: attack analytics");
    assert_eq!(site.facts().await.iter().filter(|facts| told(facts)).count(), 1);
    // The next polls read the same second again; people hear of it once an hour.
    for minutes in [5, 55] {
        site.clock.advance(minutes * MINUTE);
        let now = site.ago(120);
        site.add((0..50).map(|host| row(now, "c", &format!("198.51.100.{host}"), 10_000)));
        assert!(!site.poll().await.unwrap().truncated.is_empty());
        let count = site.facts().await.iter().filter(|facts| told(facts)).count();
        assert_eq!(count, if minutes == 5 { 1 } else { 2 });
    }
    assert_eq!(
        site.watermark().await,
        Some(site.ago(60)),
        "it does not stand still for ever"
    );
}

#[tokio::test]
async fn a_restart_continues_from_the_watermark() {
    let site = Site::new().await;
    site.poll().await.unwrap();
    let mark = site.watermark().await.unwrap();
    site.clock.advance(40 * MINUTE);
    // In the pause, long before the look-back of the next start.
    site.add([row(site.ago(1_800), "a", "198.51.100.7", 10_000)]);
    let report = site.poll().await.unwrap();
    assert_eq!(report.from, Some(minus(mark, 14 * MINUTE)));
    assert_eq!(report.kept.new, 1);
}

#[tokio::test]
async fn an_outage_is_caught_up_in_bounded_steps() {
    let site = Site::with(SimConfig::default(), Duration::from_secs(31 * 3_600)).await;
    site.poll().await.unwrap();
    let before = site.queries().len();
    let (down, back) = (site.now(), Duration::from_secs(30 * 3_600));
    site.clock.advance(back);
    site.add(every(10 * MINUTE, down, site.ago(60), "a"));
    let mut poller = site.poller();
    let mut rounds = 0;
    let mut marks = vec![site.watermark().await];
    loop {
        let report = poller.poll_once().await.unwrap();
        rounds += 1;
        marks.push(site.watermark().await);
        if !report.is_behind {
            break;
        }
    }
    assert_eq!(rounds, 3);
    assert!(marks.is_sorted(), "{marks:?}");
    assert_eq!(marks.last(), Some(&Some(site.ago(60))));
    assert_eq!(site.rows().await.len(), 180);
    let hour = Duration::from_secs(3_600);
    let queries = &site.queries()[before..];
    assert!(queries.len() <= 3 * 13, "{}", queries.len());
    assert!(queries.iter().all(|(from, to)| domain::time::since(*to, *from) <= hour));
    // Announced per stretch, not per row.
    let kinds = site.kinds().await;
    assert!(
        kinds.len() <= 35 && kinds.iter().all(|kind| *kind == "mitigation"),
        "{}",
        kinds.len()
    );
}

#[tokio::test]
async fn what_cloudflare_no_longer_has_is_told_once() {
    let config = SimConfig {
        node_limits: NodeLimits {
            not_older_than_s: 7_200,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, Duration::ZERO).await;
    let mark = site.ago(10 * 3_600);
    site.set_watermark(mark).await;
    let report = site.poll().await.unwrap();
    assert_eq!(report.lost.map(|lost| lost.from), Some(mark));
    let facts = site.facts().await;
    assert!(
        matches!(&facts[..], [Facts::DataGap { feed, from, .. }] if feed == "attack analytics" && *from == mark),
        "{facts:?}"
    );
    site.clock.advance(MINUTE);
    assert_eq!(site.poll().await.unwrap().lost, None);
    assert_eq!(site.facts().await.len(), 1);
}

#[tokio::test]
async fn limits_of_the_account_bound_every_query() {
    let config = SimConfig {
        node_limits: NodeLimits {
            max_duration_s: 120,
            max_page_size: 7,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let site = Site::with(config, 120 * MINUTE).await;
    site.add(every(Duration::from_secs(30), site.ago(900), site.ago(60), "a"));
    // The simulator refuses a wider window and a larger page.
    let report = site.poll().await.unwrap();
    assert_eq!((report.kept.new, report.truncated.len()), (28, 0));
    assert_eq!(report.queries, 7);
}

#[tokio::test]
async fn rows_carry_prefix_place_and_doubt() {
    let mut site = Site::new().await;
    let mut database = maxminddb_writer::Database::default();
    database.metadata.database_type = "GeoLite2-City".into();
    database.metadata.build_epoch = 1_767_225_600;
    database.metadata.binary_format_major_version = 2;
    let name =
        |text: &str| BTreeMap::from([("names".to_owned(), BTreeMap::from([("en".to_owned(), text.to_owned())]))]);
    let record = BTreeMap::from([("city".to_owned(), name("Springfield"))]);
    let country =
        serde_json::json!({"city": record["city"], "country": {"iso_code": "US", "names": {"en": "United States"}}});
    let value = database.insert_value(country).unwrap();
    database.insert_node("8.8.8.0/24".parse::<IpAddrWithMask>().unwrap(), value);
    database
        .write_to(File::create(site.file("City.mmdb")).unwrap())
        .unwrap();
    site.geoip = Arc::new(GeoIp::new(vec![site.file("City.mmdb")], Vec::new()));

    site.add([
        row(site.ago(600), "a", "8.8.8.8", 10_000).dim("sourceCountry", ""),
        row(site.ago(599), "a", "8.8.8.8", 10_000).dim("sourceCountry", "DE"),
        row(site.ago(598), "a", "10.0.0.1", 10_000).dim("sourceCountry", ""),
    ]);
    site.poll().await.unwrap();
    let rows = site.read(|tx| db::analytics::after(tx, 0, 10)).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.source_city.as_deref(),
                row.source_country.as_deref(),
                row.source_bogon.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some("Springfield"), Some("US"), None),
            (None, Some("DE"), None),
            (None, None, Some("private")),
        ]
    );
    assert!(
        rows.iter()
            .all(|row| row.prefix.unwrap().to_string() == "203.0.113.0/24")
    );
}
