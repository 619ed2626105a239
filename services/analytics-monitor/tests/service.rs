//! The whole service in process, and the real program's one-shot commands.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use analytics_monitor::rules::{self, RulesError};
use cf_sim::{FaultKind, FaultSpec, Permissions, RowSpec, Sim, SimConfig, Target};
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

    async fn start(&self) -> Running {
        let frame = Frame::builder("cloudflare-analytics-monitor").build();
        let listener = PreboundListener::bind("127.0.0.1:0".parse().unwrap(), "test")
            .await
            .unwrap();
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

#[tokio::test]
async fn once_polls_once_and_says_what_it_did() {
    let place = Place::new(SimConfig::default()).await;
    place.add_row("first");
    let output = place.program(&["--once", "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["new"], &report["notices"]), (&json!(1), &json!(1)), "{report}");
    let db = place.open();
    let kinds: Vec<&str> = facts_of(&db).iter().map(Facts::kind).collect();
    assert_eq!(kinds, ["mitigation"], "no words about start and stop");
    let output = place.program(&["-1"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("read up to") && text.contains("0 new rows"), "{text}");
}

#[tokio::test]
async fn test_prints_and_stores_nothing() {
    let place = Place::new(SimConfig::default()).await;
    place.add_row("first");
    let output = place.program(&["--test", "--json", "--lookback", "5"]).await;
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["rows"][0]["prefix"], "203.0.113.0/24", "{shown}");
    assert_eq!(shown["rows"][0]["row"]["dimensions"]["attackId"], "first");
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
        assert!(output.stdout.is_empty());
    }
    assert_eq!(place.program(&["--json"]).await.status.code(), Some(2));
    assert_eq!(place.program(&["--check-config"]).await.status.code(), Some(0));
    std::fs::write(place.dir.path().join("settings.json"), "{").unwrap();
    assert_eq!(place.program(&["--test"]).await.status.code(), Some(78));
}
