//! What a poll of the analytics monitor costs with 100, 1,000 and 10,000 rows in one answer, and what a second poll of the
//! same window costs. `scripts/bench analytics` runs it on release builds.
//!
//! The monitor is the real service in a process of its own; the simulated Cloudflare is this process. A poll is everything:
//! query, reading the answer, identities, GeoIP, rows, notices, watermark. It takes its time by the service's own metric;
//! what the simulator needs to make the answer stands in a column of its own and is in that time as well.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)] // a command whose output is its result

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cf_sim::{NodeLimits, RowSpec, Sim};
use domain::time::{floor_to, minus};
use jiff::Timestamp;
use serde_json::json;
use testkit::{Pace, Program, RealService, Site, wait};

const SIZES: [u64; 3] = [100, 1_000, 10_000];

/// Rows lie in so many seconds before the end of the window.
const SECONDS: u64 = 800;

/// How long a poll may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "{:>7} {:>11} {:>9} {:>12} {:>9} {:>10} {:>10} {:>10} {:>8}",
        "rows", "first poll", "of it own", "second poll", "of it own", "simulator", "peak MiB", "after MiB", "notices"
    );
    for rows in SIZES {
        measure(rows).await;
    }
    println!("times in ms (own: processor time of the monitor's process, to 10 ms); both polls read the same window");
}

async fn measure(rows: u64) {
    let mut site = Site::with(Pace::fast(), |config| {
        config.node_limits = NodeLimits {
            max_page_size: 12_000,
            ..NodeLimits::default()
        };
    })
    .await;
    let city = site.path().join("City.mmdb");
    write_places(&city);
    site.set("/analytics/poll_interval", json!("1h"));
    site.set("/analytics/lookback", json!("15m"));
    site.set("/analytics/settle", json!("60s"));
    site.set("/analytics/my_prefixes", json!(["203.0.113.0/24"]));
    site.set("/analytics/reverse_dns", json!(false));
    site.set(
        "/geoip",
        json!({"city_db": city, "asn_db": site.path().join("none.mmdb")}),
    );
    let now = floor_to(Timestamp::now(), Duration::from_secs(1));
    site.sim.add_rows((0..rows).map(|number| row(number, now)));

    let mut monitor = site.spawn(Program::Monitor);
    monitor.ready().await;
    let metrics = Metrics {
        url: format!("http://{}/metrics", site.listen(Program::Monitor)),
    };
    let first = metrics.after_poll(1).await;
    let first_own = processor_time(&monitor);
    assert_eq!(first.rows, [rows, 0, 0], "new, grown, known");
    let before = processor_time(&monitor);
    monitor.signal("HUP");
    let second = metrics.after_poll(2).await;
    let second_own = processor_time(&monitor) - before;
    assert_eq!(second.rows, [rows, 0, rows], "the second poll writes nothing");
    assert_eq!(
        (second.queries, second.notices),
        (2, first.notices),
        "all rows are in one answer"
    );
    println!(
        "{rows:>7} {:>11.0} {:>9.0} {:>12.0} {:>9.0} {:>10.0} {:>10.1} {:>10.1} {:>8}",
        first.took_s * 1e3,
        first_own.as_secs_f64() * 1e3,
        second.took_s * 1e3,
        second_own.as_secs_f64() * 1e3,
        answer_time(&site.sim).await.as_secs_f64() * 1e3,
        mib(monitor.memory_kib("VmHWM")),
        mib(monitor.memory_kib("VmRSS")),
        first.notices,
    );
    monitor.stop().await;
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}

struct Metrics {
    url: String,
}

/// What the monitor says about its polls so far.
struct Polls {
    took_s: f64,
    /// New, grown, known.
    rows: [u64; 3],
    queries: u64,
    notices: u64,
}

impl Metrics {
    async fn after_poll(&self, polls: u64) -> Polls {
        let began = Instant::now();
        loop {
            let text = reqwest::get(&self.url)
                .await
                .expect("an answer")
                .text()
                .await
                .expect("text");
            let value = |name: &str| -> f64 {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("cloudflare_mt_mitigation_{name}")));
                line.map_or(0.0, |value| value.trim().parse().expect("a number"))
            };
            let count = |name: &str| format!("{:.0}", value(name)).parse::<u64>().expect("a count");
            if count("polls_total{outcome=\"ok\"}") >= polls {
                return Polls {
                    took_s: value("poll_seconds"),
                    rows: ["new", "grown", "known"].map(|what| count(&format!("rows_total{{what=\"{what}\"}}"))),
                    queries: count("queries_total"),
                    notices: count("notices_total"),
                };
            }
            assert!(began.elapsed() < LIMIT, "no poll within {LIMIT:?}:\n{text}");
            wait::within(Duration::from_millis(20), || None::<()>).await;
        }
    }
}

/// Processor time of the process so far, its ended threads included.
fn processor_time(service: &RealService) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.id())).expect("the process lives");
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("ticks"))
        .sum();
    // Linux tells them in hundredths of a second, whatever its own clock does. Source: proc(5), USER_HZ.
    Duration::from_millis(10 * ticks)
}

fn row(number: u64, now: Timestamp) -> RowSpec {
    let [_, a, b, c] = u32::try_from(number).expect("a small number").to_be_bytes();
    RowSpec::attack("203.0.113.10", "bench", "UDP Flood", 10_000, 80_000_000)
        .at(minus(now, Duration::from_secs(61 + number % SECONDS)))
        .visible()
        .dim("ipSourceAddress", format!("{}.{b}.{c}.{}", 11 + a, number % 251))
        .dim("sourcePort", 1_024 + number % 60_000)
        .dim("sourceAsn", 64_500)
        .dim("sourceAsnName", "Example Network")
        .dim("sourceCountry", "US")
        .dim("destinationPort", 443)
        .dim("ipProtocolName", "UDP")
        .dim("ruleId", "599dab0942ff4898ac1b7797e954e98b")
        .dim("ruleName", "UDP generic")
        .dim("mitigationReason", "UDP generic")
        .dim("coloCode", "FRA")
        .dim("coloCity", "Frankfurt")
        .dim("coloCountry", "DE")
}

/// A city database with a place for each /16 of the sources.
fn write_places(path: &Path) {
    let mut database = maxminddb_writer::Database::default();
    database.metadata.database_type = "GeoLite2-City".into();
    database.metadata.build_epoch = 1_767_225_600;
    database.metadata.binary_format_major_version = 2;
    let name = |text: String| BTreeMap::from([("names", BTreeMap::from([("en", text)]))]);
    for second in 0..=255_u8 {
        let record = json!({
            "city": name(format!("City {second}")),
            "country": {"iso_code": "US", "names": {"en": "United States"}},
        });
        let value = database.insert_value(record).expect("a record");
        let network: maxminddb_writer::paths::IpAddrWithMask =
            format!("11.{second}.0.0/16").parse().expect("a network");
        database.insert_node(network, value);
    }
    database
        .write_to(fs::File::create(path).expect("a file"))
        .expect("written");
}

/// How long the simulator takes for the answer alone: the monitor's own query once more.
async fn answer_time(sim: &Sim) -> Duration {
    let asked = sim.requests_since(0);
    let query = asked
        .iter()
        .rfind(|request| request.body.contains("query Mitigations"))
        .expect("a query");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let began = Instant::now();
    let answer = client
        .post(format!("{}/graphql", sim.api_base_url()))
        .bearer_auth(&sim.config().api_token)
        .header("content-type", "application/json")
        .body(query.body.clone())
        .send()
        .await
        .expect("an answer");
    let body = answer.bytes().await.expect("its body");
    assert!(body.starts_with(b"{\"data\":"), "{:?}", &body[..body.len().min(200)]);
    began.elapsed()
}
