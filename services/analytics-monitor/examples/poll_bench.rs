//! What a poll costs with 100, 1,000 and 10,000 rows in one answer, and what a second poll of the same window costs.
//! `scripts/bench analytics` runs it on a release build.
//!
//! The simulated Cloudflare is this process; the polls run in a child of it, so that time and memory are the monitor's
//! alone. A poll is everything: query, reading the answer, identities, GeoIP, rows, notices, watermark. What the simulator
//! needs to make the answer stands in a column of its own and is in the time of the polls as well.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)] // a command whose output is its result

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics_monitor::policy::Policy;
use analytics_monitor::poll::{Parts, Poller};
use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Transport, TransportConfig};
use cf_sim::{NodeLimits, RowSpec, Sim, SimConfig};
use daemon::{Clock as _, ManualClock};
use db::{Db, OpenOptions};
use domain::time::{floor_to, minus};
use geoip::GeoIp;
use jiff::Timestamp;
use serde_json::{Value, json};

const SIZES: [u64; 3] = [100, 1_000, 10_000];

/// Rows lie in so many seconds before the end of the window.
const SECONDS: u64 = 800;

/// Marks the child, with what it needs to know.
const CHILD: &str = "POLL_BENCH_CHILD";

fn main() {
    if let Ok(task) = std::env::var(CHILD) {
        let task: Value = serde_json::from_str(&task).expect("a task");
        println!("{}", child(&task));
        return;
    }
    println!(
        "{:>7} {:>12} {:>10} {:>12} {:>10} {:>10} {:>12} {:>8} {:>8}",
        "rows", "first poll", "own time", "second poll", "own time", "simulator", "peak memory", "stored", "notices"
    );
    for rows in SIZES {
        measure(rows);
    }
    println!(
        "times in ms (own time: processor time of the monitor's threads), memory in MiB; both polls read the same window"
    );
}

fn measure(rows: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let config = SimConfig {
        node_limits: NodeLimits {
            max_page_size: 12_000,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let sim = runtime.block_on(Sim::start(config)).expect("a simulator");
    let now = floor_to(Timestamp::now(), Duration::from_secs(1));
    sim.add_rows((0..rows).map(|number| row(number, now)));
    write_places(&folder.path().join("City.mmdb"));
    let task = json!({
        "url": sim.api_base_url(),
        "account": sim.config().account_id,
        "token": sim.config().api_token,
        "now": now.to_string(),
        "folder": folder.path(),
    });
    let child = Command::new(std::env::current_exe().expect("our own path"))
        .env(CHILD, task.to_string())
        .output()
        .expect("a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let said: Value = serde_json::from_slice(&child.stdout).expect("an answer");
    assert_eq!((&said["new"], &said["known"]), (&json!(rows), &json!(rows)), "{said}");
    let simulator = runtime.block_on(answer_time(&sim));
    let number = |name: &str| said[name].as_f64().expect("a number");
    println!(
        "{rows:>7} {:>12.0} {:>10.0} {:>12.0} {:>10.0} {:>10.0} {:>12.1} {:>8} {:>8}",
        number("first_ms"),
        number("first_own_ms"),
        number("second_ms"),
        number("second_own_ms"),
        simulator.as_secs_f64() * 1e3,
        number("peak_kib") / 1_024.0,
        said["new"],
        said["notices"],
    );
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

fn child(task: &Value) -> Value {
    let text = |name: &str| task[name].as_str().expect("a text").to_owned();
    let folder = PathBuf::from(text("folder"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let clock = Arc::new(ManualClock::at(text("now").parse().expect("an instant")));
    let counting = Arc::clone(&clock);
    let parts = Parts {
        db: Db::open(folder.join("mt.db"), OpenOptions::default()).expect("a database"),
        api: CloudflareClient::new(
            Transport::new(TransportConfig::default()),
            &text("url"),
            &text("account"),
            Credentials::Token(text("token").into()),
            RateBudget::alone(Arc::new(move || counting.now())),
        )
        .expect("a client"),
        clock,
        geoip: Arc::new(GeoIp::new(vec![folder.join("City.mmdb")], Vec::new())),
        policy: Policy {
            poll_interval: Duration::from_secs(300),
            lookback: Duration::from_secs(900),
            settle: Duration::from_secs(60),
            min_packets: 1,
            own: vec!["203.0.113.0/24".parse().expect("a network")],
            anycast: Vec::new(),
            witnesses: Vec::new(),
            announced: Vec::new(),
            attacks: false,
            series: false,
        },
    };
    let mut poller = Poller::new(parts);
    let mut poll = || {
        let (own, began) = (own_time(), Instant::now());
        let report = runtime.block_on(poller.poll_once()).expect("a poll");
        (report, began.elapsed(), own_time().saturating_sub(own))
    };
    let (first, first_wall, first_own) = poll();
    let (second, second_wall, second_own) = poll();
    assert_eq!((second.kept.new, second.kept.grown, second.kept.notices), (0, 0, 0));
    assert_eq!((first.queries, second.queries), (1, 1), "all rows are in one answer");
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    json!({
        "first_ms": ms(first_wall),
        "first_own_ms": ms(first_own),
        "second_ms": ms(second_wall),
        "second_own_ms": ms(second_own),
        "new": first.kept.new,
        "known": second.kept.known,
        "notices": first.kept.notices,
        "peak_kib": peak_kib(),
    })
}

/// Processor time of all threads of this process.
fn own_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads");
    let nanos: u64 = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

/// The most memory that was ever resident.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("our status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
