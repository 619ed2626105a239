//! How fast the dashboard answers over a million rows in every event table, what it holds meanwhile, what that costs at
//! Cloudflare with one page open and with two hundred, and the same with Cloudflare hanging. `scripts/bench dashboard`
//! runs it on release builds.
//!
//! Generator and service share the machine's cores, so all figures are higher than for a browser elsewhere. Some thousand
//! rows are made from a seed and stored the way the services do; `multiply_rows` of `db`, built beside this program, then
//! copies them until there are as many as `BENCH_ROWS` says.
#![allow(clippy::print_stdout, clippy::expect_used)] // a command whose output is its result

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cf_sim::{FaultKind, FaultSpec, Target};
use db::sessions::{self, NewSession};
use db::users::{self, Role};
use db::{Db, DbError, WriteTx, analytics, audit, deliveries, events, history, incidents, outbox};
use domain::ids::IntentId;
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder};
use sha2::{Digest as _, Sha256};
use testkit::{Pace, Program, RealService, Site};

/// Rows of each event table; `BENCH_ROWS` changes it.
const ROWS: u32 = 1_000_000;

/// Rows that are stored one by one, before they are multiplied.
const MADE: u32 = 5_000;

/// Rows written at once.
const BATCH: u32 = 500;

/// Where the program that multiplies them is, beside the services.
const MULTIPLY: &str = "examples/multiply_rows";

/// Requests timed for each address.
const REQUESTS: usize = 400;

/// Pages open at the same time.
const TABS: usize = 200;

/// How long the pages stay open while calls to Cloudflare are counted.
const OPEN: Duration = Duration::from_secs(20);

/// Prefixes that the rows concern.
const PREFIXES: u32 = 100;

/// Lists, with filters that find many rows, few, and none; statistics; pages. `{middle}` is a row in the middle.
const ADDRESSES: [(&str, &str); 26] = [
    ("main page", "/"),
    ("traffic page", "/traffic"),
    ("network flow", "/api/network-flow"),
    ("situation", "/api/overview"),
    ("prefixes", "/api/prefixes"),
    ("statistics", "/api/stats"),
    ("summary", "/api/analytics-summary"),
    ("attacks", "/api/attacks"),
    ("attacks, middle, 500 rows", "/api/attacks?before={middle}&limit=500"),
    ("attacks, one prefix", "/api/attacks?prefix=198.51.7.0/24"),
    ("attacks, rare type", "/api/attacks?alert_type=bgp_hijack_notification"),
    (
        "attacks, type and prefix",
        "/api/attacks?event_type=END&prefix=198.51.7.0/24&before={middle}",
    ),
    ("attacks, an hour long ago", "/api/attacks?since={then}&until={later}"),
    ("attacks, text that is nowhere", "/api/attacks?q=nowhere-to-be-found"),
    ("analytics", "/api/analytics"),
    (
        "analytics, own, middle",
        "/api/analytics?filter=when_protected&before=graphql_{middle}.webhook_{middle}",
    ),
    ("analytics, one attack", "/api/analytics?source=graphql&attack_id=a7-0"),
    (
        "analytics, text that is nowhere",
        "/api/analytics?q=nowhere-to-be-found",
    ),
    ("deliveries", "/api/deliveries"),
    (
        "deliveries, one type, middle",
        "/api/deliveries?alert_type=dos_attack_l4&before={middle}",
    ),
    ("withdrawals", "/api/withdrawals?prefix=198.51.7.0/24"),
    ("incidents", "/api/incidents"),
    ("incidents, one prefix", "/api/incidents?prefix=198.51.7.0/24"),
    ("messages", "/api/messages"),
    ("audit", "/api/audit?actor=ana"),
    ("audit page", "/audit"),
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let rows = std::env::var("BENCH_ROWS").ok().and_then(|text| text.parse().ok());
    let rows = rows.unwrap_or(ROWS);
    let site = Site::new(Pace::fast()).await;
    let now = Timestamp::now();
    let began = Instant::now();
    let open = || Db::open(site.database(), db::OpenOptions::default()).expect("the database opens");
    {
        let db = open();
        fill(&db, MADE.min(rows), now);
        db.close_blocking(Duration::from_secs(30));
    }
    multiply(&site.database(), rows);
    let cookie = {
        let db = open();
        fill_rarer(&db, rows / 100, now);
        sign_in(&db, now)
    };
    let size = std::fs::metadata(site.database()).map_or(0, |file| file.len());
    println!(
        "{rows} rows in each event table, {} MB, made in {:.0} s",
        size / 1_000_000,
        began.elapsed().as_secs_f64()
    );
    let mut service = site.start(Program::Dashboard).await;
    let browser = Browser {
        client: Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client"),
        base: format!("http://{}", site.listen(Program::Dashboard)),
        cookie,
    };
    println!("\nResident when started: {}", memory(&service));
    measure("Cloudflare answering", &browser, rows, now).await;
    println!("Resident afterwards: {}", memory(&service));
    site.sim.set_fault(FaultSpec::new(Target::Any, FaultKind::Hang));
    measure("Cloudflare hanging", &browser, rows, now).await;
    site.sim.clear_faults();
    println!("Resident afterwards: {}", memory(&service));
    let mut counted = Vec::new();
    for tabs in [1, TABS] {
        // Each time from its start on: what one of them read must not serve the other.
        drop(service);
        service = site.start(Program::Dashboard).await;
        let calls = calls_with(&site, &browser, tabs).await;
        println!(
            "{tabs} open pages for {} s: {calls} calls to Cloudflare, resident {}",
            OPEN.as_secs(),
            memory(&service)
        );
        counted.push(calls);
    }
    let verdict = if counted.windows(2).all(|pair| pair[0] == pair[1]) {
        "the same"
    } else {
        "NOT the same"
    };
    println!("200 open pages cost as many calls as one: {verdict}");
}

struct Browser {
    client: Client,
    base: String,
    cookie: String,
}

impl Browser {
    fn get(&self, path: &str) -> RequestBuilder {
        self.client
            .get(format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
    }
}

fn memory(service: &RealService) -> String {
    let megabytes = |name: &str| f64::from(u32::try_from(service.memory_kib(name)).unwrap_or(u32::MAX)) / 1_024.0;
    format!("{:.1} MiB, at most {:.1} MiB", megabytes("VmRSS"), megabytes("VmHWM"))
}

/// Times every address and prints it.
async fn measure(title: &str, browser: &Browser, rows: u32, now: Timestamp) {
    println!(
        "\n{title:<36} {:>8} {:>8} {:>8} {:>10}   of {REQUESTS} requests",
        "p50 ms", "p99 ms", "most ms", "bytes"
    );
    let then = minus(now, Duration::from_secs(u64::from(rows / 2) * 30));
    for (name, address) in ADDRESSES {
        let path = address
            .replace("{middle}", &(rows / 2).max(2).to_string())
            .replace("{then}", &domain::time::rfc3339_seconds(then))
            .replace(
                "{later}",
                &domain::time::rfc3339_seconds(plus(then, Duration::from_secs(3_600))),
            );
        let mut times = Vec::with_capacity(REQUESTS);
        let mut size = 0;
        for round in 0..REQUESTS + REQUESTS / 10 {
            let began = Instant::now();
            let answer = browser.get(&path).send().await.expect("an answer");
            let status = answer.status();
            let body = answer.bytes().await.expect("a body");
            assert!(
                status.is_success(),
                "{path}: {status} {}",
                String::from_utf8_lossy(&body)
            );
            size = body.len();
            if round >= REQUESTS / 10 {
                times.push(began.elapsed());
            }
        }
        times.sort();
        let at = |share: usize| {
            times
                .get((times.len() - 1) * share / 100)
                .map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        println!("{name:<36} {:>8.2} {:>8.2} {:>8.2} {size:>10}", at(50), at(99), at(100));
    }
}

/// Calls of the dashboard to Cloudflare while this many pages are open and follow live.
async fn calls_with(site: &Site, browser: &Browser, tabs: usize) -> usize {
    let last = |site: &Site| site.sim.requests_since(0).last().map_or(0, |request| request.seq);
    let before = last(site);
    let mut open = Vec::with_capacity(tabs);
    for _ in 0..tabs {
        let answer = browser.get("/api/live").send().await.expect("a stream");
        assert!(answer.status().is_success(), "{}", answer.status());
        open.push(answer);
    }
    let deadline = Instant::now() + OPEN;
    while Instant::now() < deadline {
        for path in ["/", "/traffic"] {
            for _ in 0..tabs {
                let answer = browser.get(path).send().await.expect("an answer");
                assert!(answer.status().is_success());
                drop(answer.bytes().await);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    site.sim.requests_since(before).len()
}

/// An account with a session; its cookie.
fn sign_in(db: &Db, now: Timestamp) -> String {
    let token = hex::encode(Sha256::digest("the bench"));
    let hash = hex::encode(Sha256::digest(&token));
    db.write_blocking("session", move |tx| {
        let id = users::add(tx, "bench", "*", Role::Admin, false, now)?;
        let new = NewSession {
            token_hash: &hash,
            user_id: id,
            csrf: "none",
            expires_at: plus(now, Duration::from_secs(86_400)),
            address: "127.0.0.1",
            agent: "bench",
        };
        sessions::open(tx, &new, now)
    })
    .expect("stores");
    format!("magic-transit={token}")
}

/// Rows of all event tables, one every half minute up to now.
fn fill(db: &Db, rows: u32, now: Timestamp) {
    let mut from = 0;
    while from < rows {
        let to = (from + BATCH).min(rows);
        db.write_blocking("fill", move |tx| {
            for row in from..to {
                one_of_each(tx, row, minus(now, Duration::from_secs(u64::from(rows - row) * 30)))?;
            }
            Ok(())
        })
        .expect("stores");
        from = to;
    }
}

/// Incidents and messages: of these there are a hundred times fewer.
fn fill_rarer(db: &Db, rows: u32, now: Timestamp) {
    let mut from = 0;
    while from < rows {
        let to = (from + BATCH).min(rows);
        db.write_blocking("fill", move |tx| {
            for row in from..to {
                let at = minus(now, Duration::from_secs(u64::from(rows - row) * 3_000));
                rarer(tx, row, prefix(row), at)?;
            }
            Ok(())
        })
        .expect("stores");
        from = to;
    }
}

/// Copies the rows until there are as many.
fn multiply(file: &Path, rows: u32) {
    let folder = std::env::var("CLOUDFLARE_MT_TEST_BINARIES").expect("where the programs are");
    let done = Command::new(Path::new(&folder).join(MULTIPLY))
        .arg(file)
        .arg(rows.to_string())
        .status()
        .expect("multiply_rows is built; scripts/bench does that");
    assert!(done.success(), "multiply_rows: {done}");
}

/// A number from a row's, always the same (SplitMix64).
fn mixed(row: u32, of: u64) -> u64 {
    let mut z = (u64::from(row) + of).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn prefix(row: u32) -> Prefix {
    let number = mixed(row, 1) % u64::from(PREFIXES);
    format!("198.51.{number}.0/24").parse().expect("a prefix")
}

fn one_of_each(tx: &WriteTx<'_>, row: u32, at: Timestamp) -> Result<(), DbError> {
    let prefix = prefix(row);
    let address = format!("192.0.2.{}", mixed(row, 2) % 256);
    let kind = if row % MADE == 17 {
        "bgp_hijack_notification"
    } else {
        "dos_attack_l4"
    };
    let payload = format!(r#"{{"data":{{"attack_id":"a{row}","filler":"{}"}}}}"#, "x".repeat(600));
    events::append(
        tx,
        &events::NewEvent {
            event_type: if row.is_multiple_of(2) { "START" } else { "END" }.into(),
            alert_type: kind.into(),
            attack_id: Some(format!("a{}", row / 2)),
            prefixes: vec![prefix],
            target_ip: Some(address.clone()),
            attack_vector: Some("UDP flood".into()),
            packets_per_second: Some("610000".into()),
            action_taken: "mitigating".into(),
            raw_payload: Some(payload.clone()),
            ..events::NewEvent::default()
        },
        at,
    )?;
    let traffic = analytics::NewRow {
        event_datetime: domain::time::rfc3339_seconds(at),
        attack_id: Some(format!("a{}", row / 10)),
        attack_vector: Some("UDP flood".into()),
        source_ip: Some(address.clone()),
        source_port: u16::try_from(mixed(row, 3) % 65_536).ok(),
        source_country: Some("NL".into()),
        destination_ip: Some(format!("198.51.{}.9", mixed(row, 1) % u64::from(PREFIXES))),
        packets: mixed(row, 4) % 1_000_000,
        bits: mixed(row, 5) % 1_000_000_000,
        outcome: Some("drop".into()),
        prefix: (!row.is_multiple_of(4)).then_some(prefix),
        ..analytics::NewRow::default()
    };
    analytics::store(tx, &traffic, at)?;
    let delivery = deliveries::NewDelivery {
        received_at: at,
        alert_type: Some(kind.into()),
        event_state: Some("ALERT_STATE_EVENT_START".into()),
        alert_id: Some(format!("a{row}")),
        policy_id: None,
        policy_name: Some("Magic Transit L3/4".into()),
        target: Some(address),
        source_ip: "198.51.100.1".into(),
        action_taken: "received",
        payload: Some(payload),
        raw_body: None,
        body_hash: hex::encode(Sha256::digest(row.to_le_bytes())),
        headers: "{}".into(),
        event_time: Some(at),
        problem: None,
        is_test: false,
    };
    let affected = domain::alert::Affected {
        prefixes: vec![prefix],
        unresolved: false,
    };
    deliveries::store(tx, &delivery, &affected)?;
    history::record(
        tx,
        &history::Withdrawal {
            prefix,
            intent: IntentId(i64::from(row) + 1),
            incident: None,
            attack_type: None,
            advertised_at: Some(at),
            attack_ended_at: None,
            attack_began_at: None,
            withdrawn_at: at,
            method: "autowithdraw_daemon".into(),
            actor: "automation".into(),
            calm_s: Some(900),
            notes: "calm is proven".into(),
        },
        at,
    )?;
    audit::append(
        tx,
        &audit::Entry {
            at,
            actor: if row.is_multiple_of(3) { "ana" } else { "otto" }.into(),
            role: "operator".into(),
            via: "dashboard".into(),
            address: Some("192.0.2.7".into()),
            action: "hold.set".into(),
            subject: prefix.to_string(),
            before: None,
            after: None,
            reason: Some("carrier maintenance".into()),
            result: "ok".into(),
        },
    )?;
    Ok(())
}

/// A message and an incident.
fn rarer(tx: &WriteTx<'_>, row: u32, prefix: Prefix, at: Timestamp) -> Result<(), DbError> {
    let facts = Facts::SelfTest {
        actor: "bench".into(),
        note: format!("row {row}"),
    };
    outbox::enqueue(tx, &Notice::about(facts), at)?;
    let alert = domain::alert::Alert {
        correlation_id: Some(format!("c{row}")),
        vector: Some("UDP flood".into()),
        ..alert(at)
    };
    incidents::join(tx, &alert, &[prefix], at)?;
    Ok(())
}

fn alert(at: Timestamp) -> domain::alert::Alert {
    domain::alert::Alert {
        kind: domain::alert::AlertKind::AdvancedL4,
        phase: domain::alert::Phase::Start,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: Some(at),
        started_at: None,
        received_at: at,
        targets: vec![],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: None,
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: None,
        bits_per_second: None,
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        problems: vec![],
        is_test: false,
    }
}
