//! What a cycle of the withdraw daemon costs: calls to Cloudflare as a share of its quotas, and our own time, for 5, 100
//! and 1,000 advertised prefixes against a simulated Cloudflare on loopback. `scripts/bench autowithdraw` runs it on a
//! release build.
//!
//! Our own time is the processor time of all threads but the simulator's: gathering, reading answers, deciding, and the
//! commit with its evidence record. Waiting for Cloudflare is not in it.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)] // a command whose output is its result

use std::fs;
use std::time::{Duration, Instant};

use autowithdraw::actor::LeaseHolder;
use autowithdraw::bindings::BindingReads;
use autowithdraw::commit::{Terms, commit};
use autowithdraw::cycle::Gatherer;
use autowithdraw::inventory::Inventory;
use autowithdraw::ledger::Spans;
use autowithdraw::policy::mode;
use autowithdraw::routes::RouteChecks;
use cf_sim::{BgpPrefixConfig, PrefixConfig, RowSpec};
use daemon::SystemClock;
use db::heartbeats::Heartbeat;
use domain::time::minus;
use jiff::Timestamp;
use serde_json::json;
use settings::{Environment, LoadOptions};
use testkit::{Pace, Site};

/// Prefixes and the parents they are below.
const SIZES: [(u32, u32); 3] = [(5, 5), (100, 40), (1_000, 400)];

/// Cycles measured, after some that warm up and take new epochs in.
const MEASURED: usize = 20;
const WARM: usize = 3;

/// Cycles in the window of both quotas: 5 minutes at the usual interval of 60 s.
const CYCLES_PER_WINDOW: f64 = 5.0;
const REST_QUOTA: f64 = 1_200.0;
const GRAPHQL_QUOTA: f64 = 300.0;

/// Minutes of traffic in the dataset: more than a calm period and its windows need.
const MINUTES: u64 = 40;

/// One prefix in so many is under attack.
const ATTACKED_EACH: u32 = 10;

/// Name of the simulator's threads.
const SIMULATOR: &str = "simulator";

fn main() {
    println!(
        "{:>8} {:>8} {:>11} {:>8} {:>11} {:>8} {:>11} {:>9} {:>9}",
        "prefixes", "parents", "REST/cycle", "quota", "GQL/cycle", "quota", "own median", "own most", "wall"
    );
    for (prefixes, parents) in SIZES {
        measure(prefixes, parents);
    }
    println!(
        "of 1,200 REST calls and 300 GraphQL queries in 5 minutes, a cycle a minute, {MEASURED} cycles; own time and wall in ms"
    );
}

fn measure(prefixes: u32, parents: u32) {
    let outside = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(SIMULATOR)
        .enable_all()
        .build()
        .expect("a runtime");
    let site = outside
        .block_on(outside.spawn(site(prefixes, parents)))
        .expect("a site");
    let ours = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    ours.block_on(cycles(&site, prefixes, parents));
}

async fn site(prefixes: u32, parents: u32) -> Site {
    let account = account(prefixes, parents);
    let networks: Vec<String> = account
        .iter()
        .flat_map(|parent| parent.bgp.iter().map(|below| below.cidr.to_string()))
        .collect();
    let mut site = Site::with(Pace::fast(), |config| {
        config.prefixes = account;
        // Many cycles run in a moment here; what they would be of the quota is computed.
        config.rest_quota = 0;
        config.graphql_quota = 0;
    })
    .await;
    site.set(
        "/autowithdraw",
        json!({"mode": "act", "direct_route": {"*": "always_announced"}}),
    );
    let mapping: serde_json::Map<String, serde_json::Value> =
        networks.iter().map(|network| (network.clone(), json!({}))).collect();
    site.write("prefix_mapping.json", &serde_json::Value::Object(mapping).to_string());
    let now = Timestamp::now();
    let mut rows = Vec::new();
    for (number, network) in (0_u32..).zip(&networks) {
        let host = network.replace(".0/24", ".10");
        for minute in 1..MINUTES {
            let at = minus(now, Duration::from_secs(minute * 60));
            rows.push(RowSpec::passed(&host, 50_000, 400_000_000).at(at).visible());
            if number % ATTACKED_EACH == 0 {
                let dropped = RowSpec::dropped(&host, 9_000_000, 72_000_000_000).dim("mitigationSystem", "dosd");
                rows.push(dropped.at(at).visible());
            }
        }
    }
    site.sim.add_rows(rows);
    site
}

/// Parents of four /24 each, as many of which are there as are wanted, all advertised since long.
fn account(prefixes: u32, parents: u32) -> Vec<PrefixConfig> {
    let mut account: Vec<PrefixConfig> = (0..parents)
        .map(|parent| {
            let cidr = format!("10.{}.{}.0/22", parent / 64, (parent % 64) * 4);
            let mut config = PrefixConfig::simple(cidr.parse().expect("a network"), parent, "Bench");
            config.bgp.clear();
            config
        })
        .collect();
    for number in 0..prefixes {
        let (parent, below) = (number % parents, number / parents);
        let cidr = format!("10.{}.{}.0/24", parent / 64, (parent % 64) * 4 + below);
        let mut config = BgpPrefixConfig::simple(cidr.parse().expect("a network"), 1_000_000 + number);
        config.advertised = true;
        account[parent as usize].bgp.push(config);
    }
    account
}

async fn cycles(site: &Site, prefixes: u32, parents: u32) {
    let options = LoadOptions {
        config_dir: Some(site.config_dir()),
        environment: Environment::default(),
        ..LoadOptions::default()
    };
    let settings = settings::load(&options).expect("settings").settings;
    let clock = SystemClock::shared();
    let db = assembly::parts::database(&settings).await.expect("a database");
    let owner = assembly::parts::owner_of("bench", clock.now());
    let transport = assembly::parts::transport();
    let api = assembly::parts::cloudflare(&settings, &transport, &db, &owner, &clock).expect("a client");
    let beat = Heartbeat {
        service: "cloudflare-webhook".into(),
        pid: 1,
        host: "bench".into(),
        version: "0".into(),
        started_at: clock.now(),
        beat_at: clock.now(),
        state: "ok".into(),
        status: String::new(),
    };
    db.write("bench", move |tx| db::heartbeats::beat(tx, &beat))
        .await
        .expect("stored");
    let auto = &settings.autowithdraw;
    let (mode, hold_end_notice) = (mode(auto), Duration::from_secs(600));
    let mut gatherer = Gatherer {
        inventory: Inventory::new(api.clone(), clock.clone(), &settings, Vec::new()),
        bindings: Some(BindingReads::new(api.clone(), Duration::from_secs(60))),
        routes: RouteChecks::new(transport, clock.clone()),
        spans: Spans {
            veto: auto.open_alert_veto,
            hold_end_notice,
            min_advertised: auto.min_advertised,
        },
        db: db.clone(),
        api,
        clock: clock.clone(),
        settings: settings.clone(),
    };
    let holder = LeaseHolder::new(owner.clone(), clock.clone(), mode);
    let terms = Terms {
        mode,
        owner,
        hold_end_notice,
        unexplained_for: Duration::from_secs(90),
    };
    let (mut own, mut wall, mut first) = (Vec::new(), Vec::new(), 0);
    for number in 0..WARM + MEASURED {
        if number == WARM {
            first = site.sim.requests_since(0).last().map_or(0, |request| request.seq);
        }
        holder.progress(&db).await.expect("the lease");
        let (before, began) = (own_time(), Instant::now());
        let cycle = gatherer.run().await.expect("a cycle");
        assert_eq!(cycle.answers.len(), prefixes as usize, "every prefix is answered");
        assert_eq!(cycle.traffic_error, None);
        let terms = terms.clone();
        db.write("bench.commit", move |tx| commit(tx, &cycle, &terms))
            .await
            .expect("committed");
        if number >= WARM {
            own.push(own_time().saturating_sub(before));
            wall.push(began.elapsed());
        }
    }
    let requests = site.sim.requests_since(first);
    let of = |surface: &str| requests.iter().filter(|request| request.surface == surface).count() as f64;
    let (rest, graphql) = (of("rest") / MEASURED as f64, of("graphql") / MEASURED as f64);
    // Small accounts list their parents once in five minutes, which may not have been among these cycles.
    let parents_listed = requests
        .iter()
        .any(|request| request.path.ends_with("/addressing/prefixes"));
    let rest_window = rest * CYCLES_PER_WINDOW + if parents_listed { 0.0 } else { 1.0 };
    own.sort();
    wall.sort();
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    println!(
        "{prefixes:>8} {parents:>8} {rest:>11.1} {:>7.1}% {graphql:>11.1} {:>7.1}% {:>11.1} {:>9.1} {:>9.1}",
        rest_window / REST_QUOTA * 100.0,
        graphql * CYCLES_PER_WINDOW / GRAPHQL_QUOTA * 100.0,
        ms(own[own.len() / 2]),
        ms(own[own.len() - 1]),
        ms(wall[wall.len() / 2]),
    );
}

/// Processor time of all threads of this process but the simulator's.
fn own_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads");
    let nanos: u64 = tasks
        .filter_map(|task| Some(task.ok()?.path()))
        .filter(|task| {
            !fs::read_to_string(task.join("comm"))
                .unwrap_or_default()
                .starts_with(SIMULATOR)
        })
        // A thread that ended meanwhile says nothing.
        .filter_map(|task| fs::read_to_string(task.join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}
