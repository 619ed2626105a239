//! A site with a calm advertised prefix, a receiver that beats, and daemons that come and go.

use std::time::Duration;

use cf_sim::SimConfig;
use daemon::shutdown::StopReason;
use daemon::{ExitReport, Frame, PreboundListener, supervise};
use db::heartbeats::Heartbeat;
use db::{Db, OpenOptions, WriteTx};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde_json::{Value, json};
use settings::{Environment, LoadOptions};
use testkit::site::PREFIX;
use testkit::{Pace, Record, Site, wait};

/// Longer than calm period, look-back, settling and a few cycles on a busy machine.
pub(crate) const WITHDRAWN_WITHIN: Duration = Duration::from_secs(60);

/// Ordinary traffic to the prefix, which is advertised since long, and to another one, so that the
/// dataset is never empty.
pub(crate) const CALM: &str = r#"
name = "calm"
duration = "30m"

[[prefix]]
cidr = "203.0.113.0/24"
advertised = true

[[background]]
prefix = "203.0.113.0/24"
pps = 120000
mbps = 800

[[background]]
prefix = "198.51.100.0/24"
pps = 60000
mbps = 300
"#;

pub(crate) fn pace() -> Pace {
    Pace {
        check_interval: Duration::from_millis(300),
        calm_period: Duration::from_secs(3),
        lookback: Duration::from_secs(2),
        settle: Duration::from_millis(1_500),
        propagation: Duration::from_secs(1),
        min_advertised: Duration::from_secs(1),
        blind_after: Duration::from_secs(2),
        ..Pace::fast()
    }
}

pub(crate) fn prefix() -> Prefix {
    PREFIX.parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) struct House {
    pub(crate) site: Site,
    pub(crate) db: Db,
}

pub(crate) struct Daemon {
    pub(crate) frame: Frame,
    running: tokio::task::JoinHandle<ExitReport>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl House {
    /// With a receiver that just beat.
    pub(crate) async fn new(pace: Pace) -> Self {
        let house = Self::without_receiver(pace, |_| {}).await;
        house.beat().await;
        house
    }

    pub(crate) async fn without_receiver(pace: Pace, change: impl FnOnce(&mut SimConfig)) -> Self {
        let site = Site::with(pace, |config| {
            config.ingest_delay = Duration::from_millis(300);
            config.ingest_jitter = Duration::from_millis(200);
            config.advertise_propagation = Duration::from_millis(200);
            config.rest_quota = 0;
            config.graphql_quota = 0;
            change(config);
        })
        .await;
        site.sim.clear_webhook_target();
        let db = Db::open(site.database(), OpenOptions::default()).unwrap();
        Self { site, db }
    }

    pub(crate) fn calm(&self) {
        self.site.sim.run_scenario_toml(CALM).unwrap();
    }

    /// Advertised just now: the calm clock is at its begin.
    pub(crate) fn fresh(&self) {
        self.calm();
        assert!(self.site.sim.set_advertised(PREFIX, false));
        assert!(self.site.sim.set_advertised(PREFIX, true));
    }

    pub(crate) async fn write<T: Send + 'static>(&self, f: impl FnOnce(&WriteTx<'_>) -> T + Send + 'static) -> T {
        self.db.write("test", move |tx| Ok(f(tx))).await.unwrap()
    }

    /// A sign of life of the receiver: open alerts are known for ten minutes.
    pub(crate) async fn beat(&self) {
        self.write(|tx| {
            let beat = Heartbeat {
                service: "cloudflare-webhook".into(),
                pid: 1,
                host: "test".into(),
                version: "0".into(),
                started_at: now(),
                beat_at: now(),
                state: "ok".into(),
                status: String::new(),
            };
            db::heartbeats::beat(tx, &beat).unwrap();
        })
        .await;
    }

    pub(crate) async fn start(&self) -> Daemon {
        let options = LoadOptions {
            config_dir: Some(self.site.config_dir()),
            environment: Environment::default(),
            ..LoadOptions::default()
        };
        let settings = settings::load(&options).unwrap().settings;
        let frame = Frame::builder("cloudflare-autowithdraw").build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let inner = frame.clone();
        let running = runtime.spawn(async move {
            let listener = PreboundListener::bind("127.0.0.1:0".parse().unwrap(), "test").unwrap();
            let service = autowithdraw::run(inner.clone(), settings, listener);
            supervise(&inner, service).await
        });
        let daemon = Daemon {
            frame,
            running,
            runtime: Some(runtime),
        };
        let ready = wait::within(Duration::from_secs(10), || daemon.frame.is_ready().then_some(())).await;
        assert!(ready.is_some(), "the daemon is ready");
        daemon
    }

    pub(crate) fn record(&self) -> Record {
        Record::read(&self.db).unwrap()
    }

    pub(crate) async fn until(&self, what: &str, limit: Duration, holds: impl Fn(&Record) -> bool) -> Record {
        let found = wait::within(limit, || Some(self.record()).filter(&holds)).await;
        found.unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}\n{}", self.record().shown()))
    }

    pub(crate) async fn until_verdict(&self, key: &str) -> Record {
        self.until(&format!("verdict {key}"), WITHDRAWN_WITHIN, |record| {
            record.verdict(PREFIX).as_deref() == Some(key)
        })
        .await
    }

    pub(crate) async fn until_withdrawn(&self) -> Record {
        self.until("it is withdrawn and recorded", WITHDRAWN_WITHIN, |record| {
            record.history.len() == 1
        })
        .await
    }

    /// For the whole of `span` nothing is asked of Cloudflare, and the verdict begins like this.
    pub(crate) async fn nothing_happens(&self, span: Duration, verdict: &str) {
        wait::never("acted", span, || {
            let asked = self.site.changes_asked().len();
            if asked > 0 {
                return Some(format!("{asked} changes were asked for\n{}", self.record().shown()));
            }
            let record = self.record();
            let is = record.verdict(PREFIX).unwrap_or_default();
            // In fast motion a busy machine lets the feed lag for seconds, which is another way not to know.
            let lags = verdict.starts_with("unknown:traffic") && is == "unknown:traffic_stale";
            (!is.starts_with(verdict) && !lags)
                .then(|| format!("the verdict is {is}, not {verdict}\n{}", record.shown()))
        })
        .await;
        assert!(self.site.is_advertised());
    }

    pub(crate) fn changes_asked(&self) -> usize {
        self.site.changes_asked().len()
    }
}

impl Daemon {
    /// SIGTERM, and a clean end.
    pub(crate) async fn stop(mut self) {
        self.frame.shutdown().trigger(StopReason::Terminate);
        let running = std::mem::replace(&mut self.running, tokio::spawn(std::future::pending()));
        let report = tokio::time::timeout(Duration::from_secs(15), running)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(report.code(), 0, "{report:?}");
    }

    /// Death without any farewell: nothing of it runs any more.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A setting, before a start.
pub(crate) fn set(house: &mut House, key: &str, value: Value) {
    house.site.set(&format!("/autowithdraw/{key}"), value);
}

/// The mapping file of several prefixes.
pub(crate) fn map(house: &House, prefixes: &[&str]) {
    let entries: serde_json::Map<String, Value> = prefixes
        .iter()
        .map(|prefix| ((*prefix).to_owned(), json!({})))
        .collect();
    house
        .site
        .write("prefix_mapping.json", &Value::Object(entries).to_string());
}
