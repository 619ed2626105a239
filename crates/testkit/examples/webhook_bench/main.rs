//! What the webhook receiver acknowledges durably, beside the limits of this machine in the same run: the same
//! process's `/health` under the same load, and SQLite's commits on the same disk with the same settings.
//! `scripts/bench webhook` runs it on release builds.
//!
//! Generator and service share the machine's cores, so all figures are lower than a generator elsewhere would see.
//! Every delivery is a new attack alert of its own: it writes delivery, event, incident, ledger and notice.
#![allow(clippy::print_stdout, clippy::expect_used)] // a command whose output is its result

mod load;
mod wire;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cf_sim::{FaultKind, FaultSpec, Target};
use testkit::site::WEBHOOK_SECRET;
use testkit::{Pace, Program, RealService, Site, binaries};

use load::{Answers, Request, closed, open};

/// Connections of the closed loops.
const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];

/// Requests a second of the open loops.
const RATES: [u32; 5] = [200, 1_000, 2_000, 4_000, 6_000];

/// Connections an open loop may use.
const OPEN_CONNECTIONS: usize = 256;

/// How long reading what is stored may take after the loads.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Seconds of each load; `BENCH_SECONDS` changes it.
const SECONDS: u64 = 5;

// `BENCH_CONNECTIONS` measures deliveries at that many connections only: for looking at one load with other tools.

/// Prints the limits of SQLite on the disk of the folder given; an example of the crate `db`.
const COMMIT_RATE: &str = "examples/commit_rate";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let numbers = Arc::new(AtomicU64::new(0));

    let site = Site::new(Pace::fast()).await;
    raw_limits(&site);
    let mut service = site.start(Program::Webhook).await;
    let to = site.listen(Program::Webhook);
    title(&format!("{} s each: /health of the same process", span.as_secs()));
    for connections in CONNECTIONS {
        let answers = closed(to, connections, span, &health(to), &numbers).await;
        row(&format!("{connections} connections"), &answers);
    }
    let only = std::env::var("BENCH_CONNECTIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    if let Some(connections) = only {
        deliveries(&service, &site, span, &numbers, &[connections], &[]).await;
        service.stop().await;
        return;
    }
    let plain = deliveries(&service, &site, span, &numbers, &CONNECTIONS, &RATES).await;
    service.stop().await;

    let site = Site::new(Pace::fast()).await;
    site.sim.set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang));
    let mut service = site.start(Program::Webhook).await;
    println!("\nThe same with Telegram hanging");
    let hanging = deliveries(&service, &site, span, &numbers, &[64], &[1_000]).await;
    service.stop().await;
    println!("\nstored and acknowledged: {plain} and, with Telegram hanging, {hanging}");
}

/// All loads of deliveries on one service; how many were acknowledged, which must be as many as are stored.
async fn deliveries(
    service: &RealService,
    site: &Site,
    span: Duration,
    numbers: &Arc<AtomicU64>,
    connections: &[usize],
    rates: &[u32],
) -> u64 {
    let to = site.listen(Program::Webhook);
    let request = delivery(to);
    let memory = Memory::watch(service.id());
    let mut acknowledged = 0;
    title("durable acknowledgements, closed loop");
    for &connections in connections {
        let answers = closed(to, connections, span, &request, numbers).await;
        acknowledged += answers.good() as u64;
        row(&format!("{connections} connections"), &answers);
        until_read(site).await;
    }
    title("durable acknowledgements, open loop: latency from the scheduled time");
    for &rate in rates {
        let answers = open(to, OPEN_CONNECTIONS, rate, span, &request, numbers).await;
        acknowledged += answers.good() as u64;
        row(&format!("{rate} a second asked"), &answers);
        until_read(site).await;
    }
    let [resident, own] = memory.most().map(mebibytes);
    println!("resident memory under load: {resident:.1} MiB at most, {own:.1} of it its own (RssAnon)");
    let stored = site.db().read_blocking("bench", db::deliveries::count).expect("reads");
    assert!(stored >= acknowledged, "{acknowledged} acknowledged, {stored} stored");
    stored
}

/// Waits until what was acknowledged in a crowd is read too, and says how much that was and how long it took.
async fn until_read(site: &Site) {
    let began = Instant::now();
    let waiting = || {
        site.db()
            .read_blocking("bench", db::inbox::backlog)
            .expect("reads")
            .deliveries
    };
    let first = waiting();
    while waiting() > 0 {
        assert!(began.elapsed() < READ_WITHIN, "{} deliveries are not read", waiting());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if first > 0 {
        let took = began.elapsed().as_secs_f64();
        println!("    {first} of them were not read yet when the load ended, and were after {took:.1} s");
    }
}

fn raw_limits(site: &Site) {
    let program = binaries::program(COMMIT_RATE);
    let output = Command::new(program).arg(site.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("SQLite on the same disk, WAL and synchronous=FULL, rows of 1 KiB:");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

fn health(to: SocketAddr) -> Request {
    let bytes = format!("GET /health HTTP/1.1\r\nhost: {to}\r\n\r\n").into_bytes();
    Arc::new(move |_| bytes.clone())
}

fn delivery(to: SocketAddr) -> Request {
    Arc::new(move |number| {
        let vectors = ["UDP flood", "SYN flood", "DNS amplification", "ACK flood"];
        let vector = vectors[usize::try_from(number).unwrap_or_default() % vectors.len()];
        let target = number % 250 + 1;
        let sent = jiff::Timestamp::now();
        let body = format!(
            r#"{{"name":"L4 policy","text":"An attack on 203.0.113.{target} was detected","ts":{},"account_id":"c0ffee00c0ffee00c0ffee00c0ffee00","policy_id":"749b911ea5d04344a58e45edd099b328","policy_name":"L4 policy","alert_type":"advanced_ddos_attack_l4_alert","alert_correlation_id":"{number:032x}","alert_event":"ALERT_STATE_EVENT_START","data":{{"account_name":"Example Networks","account_tag":"c0ffee00c0ffee00c0ffee00c0ffee00","action":"block","attack_id":"a{number:031x}","attack_vector":"{vector}","dashboard_link":"https://dash.cloudflare.com/c0ffee00c0ffee00c0ffee00c0ffee00/networks","max_rate":"812.5 kpps","megabits_per_second":5120,"mitigation":"block","packets_per_second":812500,"protocol":"UDP","rule_description":"High volume UDP","rule_id":"599dab0942ff4898ac1b7797e954e98b","rule_name":"udp_generic","ruleset_id":"3b64149bfa6e4220bbbc2bd6db589552","ruleset_override_id":"","start_time":"{sent:.0}","target_id":"","target_ip":"203.0.113.{target}","target_port":53}}}}"#,
            sent.as_second(),
        );
        format!(
            "POST /webhook/cloudflare HTTP/1.1\r\nhost: {to}\r\nuser-agent: Go-http-client/2.0\r\n\
             content-type: application/json\r\ncf-webhook-auth: {WEBHOOK_SECRET}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    })
}

/// Resident memory of a process, looked at while it works.
struct Memory {
    most: Arc<[AtomicU64; 2]>,
    done: Arc<AtomicBool>,
}

impl Memory {
    fn watch(process: u32) -> Self {
        let memory = Self {
            most: Arc::default(),
            done: Arc::default(),
        };
        let (most, done) = (Arc::clone(&memory.most), Arc::clone(&memory.done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
                for (line, most) in ["VmRSS:", "RssAnon:"].iter().zip(most.iter()) {
                    let kib = status.lines().find_map(|found| {
                        let rest = found.strip_prefix(line)?;
                        rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
                    });
                    most.fetch_max(kib.unwrap_or_default(), Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        memory
    }

    fn most(self) -> [u64; 2] {
        self.done.store(true, Ordering::Relaxed);
        [0, 1].map(|at| self.most[at].load(Ordering::Relaxed))
    }
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}

fn title(text: &str) {
    println!(
        "\n{text}\n{:<24} {:>10} {:>9} {:>9} {:>9} {:>9} {:>8}",
        "", "a second", "p50 ms", "p99 ms", "p99.9 ms", "most ms", "failed"
    );
}

fn row(name: &str, answers: &Answers) {
    let [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|share| answers.percentile(share));
    println!(
        "{name:<24} {:>10.0} {p50:>9.2} {p99:>9.2} {p999:>9.2} {most:>9.2} {:>8}",
        answers.rate(),
        answers.bad
    );
}
