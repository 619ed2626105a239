//! All four services at work for long: attacks that come, are protected and withdrawn; services that are killed and
//! restarted; everything outside that fails now and then. At the end nothing is left undone, and meanwhile memory, open
//! files and the database's log stayed where they were, and no error was logged while nothing was broken.
//!
//! The product's waiting times run in fast motion ([`testkit::Pace::fast`]), about sixty times faster than life, so the long
//! form of 24 minutes (`scripts/bench soak`) is a day. The short form with all tests is about half an hour of it.
//! `SOAK_SECONDS` sets how long; `SOAK_TABLE=1` prints what was measured.
//!
//! The first part breaks everything; in the second part no service is restarted, so that each process can be watched for
//! growth, while Telegram and Cloudflare still fail now and then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use jiff::Timestamp;
use serde_json::json;
use testkit::site::{PREFIX, WEBHOOK_SECRET};
use testkit::{Pace, Program, RealService, Site, undone, wait};
use tokio::time::Instant;

/// Length of the short form.
const SECONDS: u64 = 26;

/// Share of the time in which services are killed.
const BREAKING: f64 = 0.4;

/// An attack begins every so many seconds; until the next one it is over, calm is proven and the prefix withdrawn.
const ATTACK_EVERY: u64 = 60;

/// How long an attack lasts.
const ATTACK_S: u64 = 8;

/// How long something outside is broken.
const BROKEN: Duration = Duration::from_secs(3);

/// Errors are explained by a fault until so long after its end: what failed is tried again and told after some seconds.
const EXPLAINED: Duration = Duration::from_secs(12);

/// The log is cut back to 16 MiB when a checkpoint starts it anew; while it is moved it may grow beyond.
const LOG_BYTES: u64 = 40 * 1024 * 1024;

/// Growth that is none: of own memory in KiB, and of open files.
const MEMORY_SLACK: (f64, u64) = (1.15, 6 * 1024);
const FILES_SLACK: u64 = 10;

fn length() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

/// Attacks on [`PREFIX`], one after another, between ordinary traffic.
fn story(length: Duration) -> String {
    let mut story = format!(
        r#"name = "soak"
duration = "{}s"

[[background]]
prefix = "{PREFIX}"
pps = 120000
mbps = 800

[[background]]
prefix = "198.51.100.0/24"
pps = 60000
mbps = 300
"#,
        length.as_secs() + 600
    );
    for number in 0..length.as_secs().div_ceil(ATTACK_EVERY) {
        let _ = write!(
            story,
            r#"
[[attack]]
name = "soak-{number}"
prefix = "{PREFIX}"
target_ip = "203.0.113.{}"
target_port = 53
vector = "UDP flood"
protocol = "UDP"
start = "{}s"
duration = "{ATTACK_S}s"
pps = 812500
mbps = 5120
detection = "1s"
l4_delay = "1s"
end_delay = "1s"
auto_advertise = {{ delay = "1s" }}
"#,
            10 + number % 200,
            1 + number * ATTACK_EVERY,
        );
    }
    story
}

/// What is broken outside, one after another.
fn ways() -> Vec<(Target, FaultKind)> {
    let status = |status| FaultKind::Status { status, body: None };
    let messages = vec!["unable to execute query, please try again later".to_owned()];
    vec![
        (Target::Telegram, FaultKind::Refuse),
        (Target::Graphql, status(503)),
        (Target::Rest, FaultKind::Reset),
        (Target::Graphql, FaultKind::GraphqlErrors { messages }),
        (Target::Telegram, status(502)),
        (Target::Rest, FaultKind::Garbage),
        (Target::Graphql, FaultKind::TruncatedBody),
        (Target::Telegram, FaultKind::Delay { ms: 900 }),
        (Target::Rest, status(500)),
    ]
}

/// One look at one process.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    own_kib: u64,
    files: u64,
}

/// What was seen while it ran.
#[derive(Debug, Default)]
struct Seen {
    /// Of the processes that were not restarted any more.
    looks: BTreeMap<Program, Vec<Look>>,
    largest_log: u64,
    /// When something was broken, and until when it explains errors.
    broken: Vec<(Timestamp, Timestamp)>,
    kills: usize,
    deliveries: u64,
    asked: u64,
}

impl Seen {
    fn look(&mut self, site: &Site, services: &[RealService], at: Duration, steady: bool) {
        let log = site.database().with_extension("db-wal");
        let bytes = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
        self.largest_log = self.largest_log.max(bytes);
        if !steady {
            return;
        }
        for service in services {
            let files = std::fs::read_dir(format!("/proc/{}/fd", service.id())).expect("the process lives");
            let look = Look {
                at,
                own_kib: service.memory_kib("RssAnon"),
                files: files.count() as u64,
            };
            self.looks.entry(service.program).or_default().push(look);
        }
    }

    /// The most of the first and of the last part of the steady time.
    fn most(&self, program: Program, of: fn(&Look) -> u64) -> (u64, u64) {
        let looks = self.looks.get(&program).map_or(&[][..], Vec::as_slice);
        let (first, last) = looks.split_at(looks.len() / 2);
        let most = |looks: &[Look]| looks.iter().map(of).max().unwrap_or(0);
        (most(first), most(last))
    }

    fn is_explained(&self, at: Timestamp) -> bool {
        self.broken.iter().any(|(from, to)| *from <= at && at <= *to)
    }
}

/// A delivery about somebody else's address, so that it holds up no withdrawal: begin and end of an attack in turn.
async fn deliver(client: &reqwest::Client, url: &str, number: u64) {
    let state = if number.is_multiple_of(2) { "START" } else { "END" };
    let attack = number / 2;
    let body = json!({
        "alert_type": "dos_attack_l4", "alert_event": format!("ALERT_STATE_EVENT_{state}"),
        "ts": Timestamp::now().as_second(), "alert_correlation_id": format!("{attack:032x}"),
        "data": {"attack_id": format!("other-{attack}"), "attack_vector": "SYN flood", "target_ip": "192.0.2.77"},
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let request = client.post(url).header("cf-webhook-auth", WEBHOOK_SECRET);
        let answer = request.body(body.to_string()).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        assert!(Instant::now() < deadline, "nobody acknowledges {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks each service for health and metrics, as a monitoring system does. One that is being restarted does not answer.
async fn ask(client: &reqwest::Client, site: &Site) -> u64 {
    let mut answered = 0;
    for program in Program::ALL {
        for path in ["health", "metrics"] {
            let url = format!("http://{}/{path}", site.listen(program));
            if let Ok(answer) = client.get(url).send().await {
                answered += u64::from(answer.bytes().await.is_ok());
            }
        }
    }
    answered
}

/// Ends a service in one of two ways and starts it again; each service in turn meets both.
async fn restart(site: &Site, service: &mut RealService, number: usize) {
    if (number + number / Program::ALL.len()).is_multiple_of(2) {
        assert_eq!(service.stop().await.code(), Some(0), "{}", service.log());
    } else {
        service.kill();
    }
    *service = site.start(service.program).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_time_leaves_nothing_behind_and_nothing_grows() {
    let length = length();
    let is_short = length < Duration::from_secs(120);
    // A private chat takes a message a second; a group's twenty a minute would be what is waited for at the end.
    let site = Site::with(Pace::fast(), |config| config.chat_id = 4_711).await;
    site.sim.run_scenario_toml(&story(length)).unwrap();
    let mut services = site.start_all().await;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
    let (began, breaking) = (Instant::now(), length.mul_f64(BREAKING));
    let restart_every = (breaking / 5).clamp(Duration::from_secs(2), Duration::from_secs(30));
    // Analytics that fail all the time would never prove calm, which the automation must be able to do in between.
    let break_every = BROKEN * if is_short { 1 } else { 7 };
    let (mut next_restart, mut next_break) = (restart_every, break_every);
    let mut seen = Seen::default();
    let mut breaks = 0;
    // A busy machine may need longer to restart each.
    while began.elapsed() < length || seen.kills < services.len() {
        let at = began.elapsed();
        if at >= next_restart && (at < breaking || seen.kills < services.len()) {
            let victim = seen.kills % services.len();
            restart(&site, &mut services[victim], seen.kills).await;
            seen.kills += 1;
            next_restart = began.elapsed() + restart_every;
        }
        if at >= next_break && (at < breaking || !is_short) {
            let ways = ways();
            let (target, kind) = ways[breaks % ways.len()].clone();
            let fault = FaultSpec {
                for_seconds: Some(BROKEN.as_secs_f64()),
                ..FaultSpec::new(target, kind)
            };
            site.sim.set_fault(fault);
            let from = Timestamp::now();
            seen.broken.push((from, domain::time::plus(from, BROKEN + EXPLAINED)));
            breaks += 1;
            next_break = at + break_every;
        }
        deliver(&client, &url, seen.deliveries).await;
        seen.deliveries += 1;
        seen.asked += ask(&client, &site).await;
        // A quarter of the time after the last restart is for filling caches.
        let steady = at >= breaking + (length - breaking) / 4;
        seen.look(&site, &services, at, steady);
        wait::within(Duration::from_millis(700), || None::<()>).await;
    }
    site.sim.clear_faults();
    let attacks = length.as_secs().div_ceil(ATTACK_EVERY);
    // Each withdrawal of a day doubles the calm period, so that in the long form most attacks meet the one before.
    let withdrawn = Duration::from_secs(120) + site.pace.withdrawn_within();
    site.until("an attack is over and withdrawn", withdrawn, |record| {
        !record.history.is_empty()
    })
    .await;
    seen.look(&site, &services, began.elapsed(), true);
    if std::env::var_os("SOAK_TABLE").is_some() {
        println!("{}", table(&site, &seen, began.elapsed(), attacks));
    }
    end(&site, &mut services).await;
    check(&site, &seen, attacks);
}

/// All end in order; the last one sends what waits.
async fn end(site: &Site, services: &mut [RealService]) {
    let (last, others) = services.split_first_mut().expect("services");
    for service in others.iter() {
        service.signal("TERM");
    }
    for service in others {
        assert_eq!(service.end().await.code(), Some(0), "{}", service.log());
    }
    site.until_told().await;
    assert_eq!(last.stop().await.code(), Some(0), "{}", last.log());
    assert_eq!(
        undone::left_undone(site),
        Vec::<String>::new(),
        "{}",
        site.record().shown()
    );
}

fn check(site: &Site, seen: &Seen, attacks: u64) {
    let mut wrong = unexplained(site.path(), seen);
    for program in Program::ALL {
        let (name, (factor, more)) = (program.name(), MEMORY_SLACK);
        let (first, last) = seen.most(program, |look| look.own_kib);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let limit = (first as f64 * factor) as u64 + more;
        if last > limit {
            wrong.push(format!("{name} grew from {first} to {last} KiB"));
        }
        let (first, last) = seen.most(program, |look| look.files);
        if last > first + FILES_SLACK {
            wrong.push(format!("{name} had {first} files open and then {last}"));
        }
    }
    if seen.largest_log > LOG_BYTES {
        wrong.push(format!("the database's log had {} bytes", seen.largest_log));
    }
    let record = site.record();
    if record.deliveries < seen.deliveries {
        let (stored, sent) = (record.deliveries, seen.deliveries);
        wrong.push(format!("{sent} deliveries were acknowledged, {stored} are stored"));
    }
    let told = record
        .attack_ids()
        .iter()
        .filter(|id| !id.starts_with("other-"))
        .count() as u64;
    if told < attacks {
        wrong.push(format!("{attacks} attacks, {told} on record"));
    }
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "{}",
        table(site, seen, Duration::ZERO, attacks)
    );
}

/// The attacks of the long form follow each other so soon that one begins right after a withdrawal; that is told as an error,
/// and rightly so.
fn is_in_the_story(line: &str) -> bool {
    line.contains(" event=withdraw.reattack ")
}

/// Errors in the logs of all processes while nothing was broken.
fn unexplained(folder: &Path, seen: &Seen) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder");
    let mut found = Vec::new();
    for path in files.map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a log")).into_owned();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let at = words.next().and_then(|word| word.parse::<Timestamp>().ok());
            match (at, words.next()) {
                (Some(at), Some("ERROR")) if !seen.is_explained(at) && !is_in_the_story(line) => {
                    found.push(line.to_owned())
                }
                (Some(_), Some("ERROR" | "WARN" | "INFO" | "DEBUG")) => {}
                // A panic, or something else that is no line of ours.
                _ => found.push(format!("no line of the log: {line}")),
            }
        }
    }
    found
}

fn table(site: &Site, seen: &Seen, took: Duration, attacks: u64) -> String {
    let record = site.record();
    let mut text = format!(
        "{} s: {} restarts, {} faults, {attacks} attacks, {} withdrawals, {} deliveries, {} messages, {} answers to monitoring\n",
        took.as_secs(),
        seen.kills,
        seen.broken.len(),
        record.history.len(),
        seen.deliveries,
        site.sim.messages().len(),
        seen.asked,
    );
    let bytes = std::fs::metadata(site.database()).map_or(0, |metadata| metadata.len());
    let _ = writeln!(
        text,
        "database {} KiB, its log at most {} KiB",
        bytes / 1_024,
        seen.largest_log / 1_024
    );
    for program in Program::ALL {
        let (memory, files) = (
            seen.most(program, |look| look.own_kib),
            seen.most(program, |look| look.files),
        );
        let looks = seen.looks.get(&program).map_or(&[][..], Vec::as_slice);
        let span = looks
            .first()
            .zip(looks.last())
            .map_or(Duration::ZERO, |(first, last)| last.at - first.at);
        let _ = writeln!(
            text,
            "{:<32} own memory at most {} then {} KiB, open files {} then {}, over {} s",
            program.name(),
            memory.0,
            memory.1,
            files.0,
            files.1,
            span.as_secs(),
        );
    }
    text
}
