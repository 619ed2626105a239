//! The whole service in process, and the real program's one-shot commands.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use analytics_monitor::cron_watchdog;
use analytics_monitor::rules::{self, RulesError};
use cf_sim::{FaultKind, FaultSpec, NodeLimits, Permissions, RowSpec, Sim, SimConfig, Target};
use daemon::shutdown::StopReason;
use daemon::{ExitReport, Frame, PreboundListener, supervise};
use db::{Db, OpenOptions};
use domain::notice::Facts;
use domain::time::minus;
use jiff::Timestamp;
use serde_json::{Value, json};
use settings::{Environment, LoadOptions, Settings};

const LIMIT: Duration = Duration::from_secs(20);

struct Place {
    sim: Sim,
    dir: tempfile::TempDir,
}

impl Place {
    async fn new(config: SimConfig) -> Self {
        let place = Self {
            sim: Sim::start(config).await.unwrap(),
            dir: tempfile::tempdir().unwrap(),
        };
        let config = json!({
            "cloudflare": {"account_id": place.sim.config().account_id, "api_token": place.sim.config().api_token,
                           "api_base_url": place.sim.api_base_url()},
            "database": {"path": place.database()},
            "analytics": {"listen": "127.0.0.1:0", "poll_interval": "200ms", "lookback": "10m", "settle": "1s",
                          "my_prefixes": ["203.0.113.0/24"]},
            "geoip": {"city_db": place.dir.path().join("City.mmdb"), "asn_db": place.dir.path().join("ASN.mmdb")},
        });
        std::fs::write(place.dir.path().join("settings.json"), config.to_string()).unwrap();
        place
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("mt.db")
    }

    fn settings(&self) -> Settings {
        let options = LoadOptions {
            config_dir: Some(self.dir.path().to_owned()),
            environment: Environment::default(),
            ..LoadOptions::default()
        };
        settings::load(&options).unwrap().settings
    }

    fn add_row(&self, attack: &str) {
        let at = minus(Timestamp::now(), Duration::from_secs(120));
        let row = RowSpec::attack("203.0.113.10", attack, "UDP Flood", 10_000, 80_000_000);
        self.sim.add_rows([row.at(at).visible()]);
    }

    /// One thing for each source beside the DDoS rules.
    fn add_to_every_source(&self) {
        let at = minus(Timestamp::now(), Duration::from_secs(120));
        let rows = [
            "advancedTcpProtectionNetworkAnalyticsAdaptiveGroups",
            "advancedDnsProtectionNetworkAnalyticsAdaptiveGroups",
            "magicFirewallNetworkAnalyticsAdaptiveGroups",
        ];
        self.sim.add_rows(rows.map(|node| of_node(node, at)));
        let traffic = RowSpec::dropped("203.0.113.10", 20_000, 160_000).at(at).visible();
        self.sim
            .add_rows([traffic.dim("mitigationSystem", "dosd"), of_attack(at)]);
    }

    async fn start(&self) -> Running {
        let frame = Frame::builder("cloudflare-analytics-monitor").build();
        let listener = PreboundListener::bind("127.0.0.1:0".parse().unwrap(), "test").unwrap();
        let url = format!("http://{}", listener.address());
        let (inner, settings) = (frame.clone(), self.settings());
        let task = tokio::spawn(async move {
            let service = analytics_monitor::run(inner.clone(), settings, listener);
            supervise(&inner, service).await
        });
        let running = Running { frame, url, task };
        assert!(self.sim.wait_until(LIMIT, || running.frame.is_ready()).await);
        running
    }

    fn open(&self) -> Db {
        Db::open(self.database(), OpenOptions::read_only()).unwrap()
    }

    /// The real program in this place.
    async fn program(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cloudflare-analytics-monitor"));
        command
            .env_clear()
            .arg("--config-dir")
            .arg(self.dir.path())
            .args(arguments);
        let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output());
        output.await.expect("the program ends").unwrap()
    }
}

struct Running {
    frame: Frame,
    url: String,
    task: tokio::task::JoinHandle<ExitReport>,
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        let answer = client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn stop(self, reason: StopReason) -> ExitReport {
        self.frame.shutdown().trigger(reason);
        tokio::time::timeout(LIMIT, self.task).await.unwrap().unwrap()
    }
}

fn facts_of(db: &Db) -> Vec<Facts> {
    let mut all = db
        .read_blocking("test", |tx| db::outbox::newest(tx, None, 100))
        .unwrap();
    all.reverse();
    all.into_iter().filter_map(|row| row.facts).collect()
}

fn lines(facts: &Facts) -> &[(String, String)] {
    match facts {
        Facts::ServiceStarted { lines, .. } | Facts::ServiceStopped { lines, .. } => lines,
        other => panic!("{other:?}"),
    }
}

fn stored(db: &Db) -> usize {
    db.read_blocking("test", |tx| db::analytics::newest(tx, None, 100))
        .unwrap()
        .len()
}

#[tokio::test]
async fn it_starts_polls_and_stops_with_a_word() {
    let place = Place::new(SimConfig::default()).await;
    place.add_row("first");
    let running = place.start().await;
    let db = place.open();
    assert!(place.sim.wait_until(LIMIT, || stored(&db) == 1).await);
    // It goes on by itself.
    place.add_row("second");
    assert!(place.sim.wait_until(LIMIT, || stored(&db) == 2).await);
    let rule = || {
        db.read_blocking("test", |tx| db::inventory::rule_prefixes(tx, "net-203.0.113.0_24"))
            .unwrap()
    };
    assert!(place.sim.wait_until(LIMIT, || rule().is_some()).await);
    assert_eq!(rule().unwrap(), ["203.0.113.0/24".parse().unwrap()]);

    let (status, health) = running.get("/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(status, 200, "{health}");
    assert!(running.frame.current_status().contains("read up to"));
    let (_, metrics) = running.get("/metrics").await;
    for metric in [
        "cloudflare_mt_mitigation_rows_total{what=\"new\"} 2",
        "cloudflare_mt_mitigation_polls_total{outcome=\"ok\"}",
    ] {
        assert!(metrics.contains(metric), "{metric}\n{metrics}");
    }

    let report = running.stop(StopReason::Terminate).await;
    assert_eq!((report.code(), report.not_stopped.len()), (0, 0), "{report:?}");
    let facts = facts_of(&db);
    let kinds: Vec<&str> = facts.iter().map(Facts::kind).collect();
    assert_eq!(
        kinds,
        ["service_started", "mitigation", "mitigation", "service_stopped"]
    );
    let labels: Vec<&str> = lines(&facts[0]).iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "Poll interval",
            "Look-back",
            "GeoIP",
            "Prefixes advertised",
            "Attacks",
            "Mitigations",
            "Last attack"
        ]
    );
    assert!(
        lines(&facts[3]).contains(&("Mitigations".into(), "2 in the record".into())),
        "{:?}",
        facts[3]
    );
}

#[tokio::test]
async fn a_failing_feed_is_seen_on_the_health_page_and_other_ends_are_no_stop() {
    let place = Place::new(SimConfig::default()).await;
    place.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    let running = place.start().await;
    let told = || running.frame.current_status().contains("nothing read since");
    assert!(
        place.sim.wait_until(LIMIT, told).await,
        "{}",
        running.frame.current_status()
    );
    let (_, health) = running.get("/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health.to_string().contains("nothing read since"), "{health}");
    let db = place.open();
    running.stop(StopReason::Internal).await;
    let kinds: Vec<&str> = facts_of(&db).iter().map(Facts::kind).collect();
    assert_eq!(kinds, ["service_started"]);
}

#[tokio::test]
async fn the_watchdog_of_cron_is_known_by_its_looks_and_its_silence_is_told_once() {
    let place = Place::new(SimConfig::default()).await;
    let running = place.start().await;
    health_says(&running, &place, "no watchdog has ever looked").await;
    let looks = reqwest::Client::builder()
        .no_proxy()
        .user_agent(cron_watchdog::NAME)
        .build()
        .unwrap();
    looks.get(format!("{}/health", running.url)).send().await.unwrap();
    let known = || {
        let cursor = |tx: &db::ReadTx<'_>| db::leases::cursor(tx, "cron_watchdog_looked");
        place.open().read_blocking("test", cursor).unwrap().is_some()
    };
    assert!(place.sim.wait_until(LIMIT, known).await);
    running.stop(StopReason::Terminate).await;

    // The next process remembers it, tells its silence once, and that it is back.
    let db = Db::open(place.database(), OpenOptions::default()).unwrap();
    let last = cron_watchdog::last_look(&db).await.unwrap().unwrap();
    let later = domain::time::plus(last, cron_watchdog::SILENT_AFTER);
    assert!(cron_watchdog::fell_silent(&db, last, later).await.unwrap());
    assert!(!cron_watchdog::fell_silent(&db, last, later).await.unwrap());
    cron_watchdog::looked(&db, later).await.unwrap();
    cron_watchdog::looked(&db, later).await.unwrap();
    let told: Vec<&str> = facts_of(&db)
        .iter()
        .map(Facts::kind)
        .filter(|kind| kind.starts_with("service_silent") || kind.starts_with("service_back"))
        .collect();
    assert_eq!(told, ["service_silent", "service_back"]);
}

#[tokio::test]
async fn rules_that_cannot_be_read_leave_the_cache_alone() {
    let config = SimConfig {
        permissions: Permissions {
            mnm_read: false,
            ..Permissions::default()
        },
        ..SimConfig::default()
    };
    let place = Place::new(config).await;
    let settings = place.settings();
    let db = Db::open(place.database(), OpenOptions::default()).unwrap();
    let now = Timestamp::now();
    let rule = db::inventory::MonitoringRule {
        id: "r".into(),
        name: "known".into(),
        prefixes: vec!["203.0.113.0/24".parse().unwrap()],
        body: "{}".into(),
    };
    db.write("test", move |tx| db::inventory::replace_rules(tx, &[rule], now))
        .await
        .unwrap();
    let clock = daemon::SystemClock::shared();
    let api = assembly::parts::cloudflare(&settings, &assembly::parts::transport(), &db, "test", &clock).unwrap();
    let error = rules::renew(&api, &db, now).await.expect_err("no permission");
    assert!(
        matches!(&error, RulesError::Cloudflare(error) if error.class.as_str() == "permission"),
        "{error:?}"
    );
    let known = db
        .read("test", |tx| db::inventory::rule_prefixes(tx, "known"))
        .await
        .unwrap();
    assert!(known.is_some());
}

fn of_node(node: &str, at: Timestamp) -> RowSpec {
    let mut row = RowSpec::attack("203.0.113.10", "", "", 10_000, 80_000_000)
        .at(at)
        .visible();
    node.clone_into(&mut row.node);
    for unknown in ["attackId", "attackVector"] {
        row.dimensions.remove(unknown);
    }
    row
}

/// An attack that goes on.
fn of_attack(began: Timestamp) -> RowSpec {
    let mut row = RowSpec::attack("203.0.113.10", "whole", "UDP Flood", 10_000, 80_000)
        .at(began)
        .visible()
        .dim("startDatetime", began.to_string())
        .dim("destinationIp", "203.0.113.10")
        .dim("sourceIp", "198.51.100.7")
        .dim("droppedPackets", 10_000)
        .dim("droppedBits", 80_000);
    row.node = "dosdAttackAnalyticsGroups".to_owned();
    row
}

/// What the JSON of `--once` and `--test` says of one source.
fn of<'a>(shown: &'a Value, source: &str) -> &'a Value {
    let sources = shown["sources"].as_array().unwrap();
    sources
        .iter()
        .find(|of| of["source"] == source)
        .unwrap_or_else(|| panic!("{source}: {shown}"))
}

const SOURCES: [&str; 6] = [
    "dosd",
    "flowtrackd",
    "advanced-dns-protection",
    "magic-firewall",
    "minutes",
    "attacks",
];

#[tokio::test]
async fn once_polls_every_source_once_and_says_what_it_did() {
    let place = Place::new(SimConfig::default()).await;
    place.add_row("first");
    place.add_to_every_source();
    let output = place.program(&["--once", "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = of(&report, "dosd");
    assert_eq!((&rows["new"], &rows["notices"]), (&json!(1), &json!(1)), "{report}");
    for source in SOURCES {
        let source = of(&report, source);
        assert_eq!(
            (&source["outcome"], &source["new"]),
            (&json!("ok"), &json!(1)),
            "{report}"
        );
    }
    let db = place.open();
    let kinds: Vec<&str> = facts_of(&db).iter().map(Facts::kind).collect();
    assert_eq!(kinds, ["mitigation"], "no words about start and stop");
    let output = place.program(&["-1"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), SOURCES.len(), "{text}");
    assert!(
        text.starts_with("DDoS protection: read up to") && text.contains("0 new rows"),
        "{text}"
    );
    assert!(text.contains("\nbegin and end of attacks: read up to"), "{text}");
}

#[tokio::test]
async fn test_prints_every_source_and_stores_nothing() {
    let place = Place::new(SimConfig::default()).await;
    place.add_row("first");
    place.add_to_every_source();
    let output = place.program(&["--test", "--json", "--lookback", "5"]).await;
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = of(&shown, "dosd");
    assert_eq!(rows["rows"][0]["prefix"], "203.0.113.0/24", "{shown}");
    assert_eq!(rows["rows"][0]["row"]["dimensions"]["attackId"], "first");
    for source in &SOURCES[1..4] {
        assert_eq!(of(&shown, source)["rows"].as_array().map(Vec::len), Some(1), "{shown}");
    }
    let minutes = of(&shown, "minutes");
    assert_eq!(
        (&minutes["minutes"][0]["prefix"], &minutes["minutes"][0]["packets"]),
        (&json!("203.0.113.0/24"), &json!(20_000)),
        "{shown}"
    );
    assert_eq!(of(&shown, "attacks")["attacks"][0]["attack_id"], "whole", "{shown}");
    let output = place.program(&["-t", "-l", "5"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "DDoS protection: 1 rows in 1 queries",
        "Magic Firewall: 1 rows",
        "203.0.113.0/24  dosd: 20,000 packets",
        "begin and end of attacks: 1 attacks",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = place.program(&["-t", "-l", "1"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(": 0 rows in 1 queries"), "{text}");
    assert!(!Path::new(&place.database()).exists());
    let files: Vec<_> = std::fs::read_dir(place.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["settings.json"]);
}

#[tokio::test]
async fn a_source_that_fails_or_is_not_bought_hides_no_other() {
    let config = SimConfig {
        missing_nodes: vec!["advancedDnsProtectionNetworkAnalyticsAdaptiveGroups".into()],
        ..SimConfig::default()
    };
    let place = Place::new(config).await;
    place.add_row("first");
    place
        .sim
        .set_fault(FaultSpec::new(Target::Graphql, FaultKind::Garbage).path("query DroppedByFirewall"));
    for mode in ["--once", "--test"] {
        let output = place.program(&[mode, "--json"]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("Magic Firewall") && !said.contains("DDoS"), "{said}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(of(&shown, "dosd")["outcome"], "ok");
        assert_eq!(of(&shown, "magic-firewall")["outcome"], "malformed");
        assert_eq!(of(&shown, "advanced-dns-protection")["outcome"], "not_in_contract");
    }
}

/// Waits until health says something of a check, and returns the whole.
async fn health_says(running: &Running, place: &Place, part: &str) -> Value {
    for _ in 0..400 {
        let (_, health) = running.get("/health").await;
        if health.contains(part) {
            return serde_json::from_str(&health).unwrap();
        }
        place.sim.wait_until(Duration::from_millis(50), || false).await;
    }
    panic!("{part}: {}", running.get("/health").await.1)
}

/// The value of a metric.
async fn metric(running: &Running, name: &str) -> f64 {
    let (_, metrics) = running.get("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {metrics}"))
        .trim()
        .parse()
        .unwrap()
}

/// Each condition is seen on the health page, in the metrics and by people; that nothing is lost is `no_event_lost`.
#[tokio::test]
async fn every_condition_is_seen_in_health_metrics_and_messages() {
    let config = SimConfig {
        node_limits: NodeLimits {
            max_page_size: 5,
            ..NodeLimits::default()
        },
        ..SimConfig::default()
    };
    let place = Place::new(config).await;
    // It had stopped two hours ago.
    let db = Db::open(place.database(), OpenOptions::default()).unwrap();
    let stopped = minus(Timestamp::now(), Duration::from_secs(7_200));
    let mark = domain::time::to_db_text(stopped);
    db.write("test", move |tx| {
        db::leases::set_cursor(tx, "mitigations_watermark", &mark, stopped)
    })
    .await
    .unwrap();
    let crowded = minus(Timestamp::now(), Duration::from_secs(3_600));
    let row = |source: u8, packets: u64| {
        RowSpec::attack("203.0.113.10", "crowd", "UDP Flood", packets, packets * 8_000)
            .dim("ipSourceAddress", format!("198.51.100.{source}"))
            .visible()
    };
    // More in one second than an answer holds.
    place.sim.add_rows((0..9).map(|source| row(source, 10_000).at(crowded)));
    place.add_row("first");
    let running = place.start().await;

    let health = health_says(&running, &place, "INCOMPLETE").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(metric(&running, "cloudflare_mt_mitigation_truncated_total").await >= 1.0);
    assert_eq!(
        metric(&running, "cloudflare_mt_mitigation_rows_total{what=\"new\"}").await,
        6.0
    );
    let facts = facts_of(&db);
    assert!(
        lines(&facts[0])
            .iter()
            .any(|(label, text)| label == "Catching up" && text.contains("2 h ago")),
        "{facts:?}"
    );
    let raised = |facts: &Facts| matches!(facts, Facts::Raised { title, .. } if title.starts_with("Incomplete"));
    assert!(facts.iter().any(raised), "{facts:?}");
    // The crowded second is behind: all is well again.
    health_says(&running, &place, "0 new rows").await;
    let lag = Timestamp::now().as_second() as f64
        - metric(&running, "cloudflare_mt_mitigation_watermark_timestamp_seconds").await;
    assert!((0.0..60.0).contains(&lag), "{lag}");

    // Rows that repeat are known, one that grows is counted, one that comes late is new.
    assert!(metric(&running, "cloudflare_mt_mitigation_rows_total{what=\"known\"}").await > 0.0);
    let at = minus(Timestamp::now(), Duration::from_secs(200));
    place.sim.add_rows([row(77, 10_000).at(at)]);
    health_says(&running, &place, "1 new rows, 0 grown").await;
    place.sim.add_rows([row(77, 30_000).at(at)]);
    health_says(&running, &place, "0 new rows, 1 grown").await;
    assert_eq!(
        metric(&running, "cloudflare_mt_mitigation_rows_total{what=\"grown\"}").await,
        1.0
    );

    // The key is revoked: degraded at once; the notice after a while is in `failures`.
    place.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 401,
            body: Some(r#"{"data":null,"errors":[{"message":"Unauthorized"}]}"#.into()),
        },
    ));
    let health = health_says(&running, &place, "nothing read since").await;
    assert_eq!(health["status"], "degraded", "{health}");
    // Another witness may have met it first.
    let refused = "cloudflare_mt_mitigation_polls_total{outcome=\"auth\"}";
    for _ in 0..400 {
        if running.get("/metrics").await.1.contains(refused) {
            break;
        }
        place.sim.wait_until(Duration::from_millis(50), || false).await;
    }
    assert!(metric(&running, refused).await >= 1.0);
    place.sim.clear_faults();
    health_says(&running, &place, "read up to").await;
    running.stop(StopReason::Terminate).await;
}

#[tokio::test]
async fn failures_have_a_reason_and_an_exit_code() {
    let place = Place::new(SimConfig::default()).await;
    place.sim.set_fault(FaultSpec::new(
        Target::Graphql,
        FaultKind::Status {
            status: 503,
            body: None,
        },
    ));
    for mode in ["--once", "--test"] {
        let output = place.program(&[mode]).await;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("503"), "{said}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.lines().all(|line| line.is_empty() || line.contains("FAILED")),
            "{text}"
        );
    }
    assert_eq!(place.program(&["--json"]).await.status.code(), Some(2));
    assert_eq!(place.program(&["--check-config"]).await.status.code(), Some(0));
    std::fs::write(place.dir.path().join("settings.json"), "{").unwrap();
    assert_eq!(place.program(&["--test"]).await.status.code(), Some(78));
}
