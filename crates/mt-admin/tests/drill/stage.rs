//! An installation in which all is well: a real receiver that stores and sends, and what the other three services would
//! have left in its database.

use std::time::Duration;

use db::decisions::Now;
use db::heartbeats::Heartbeat;
use db::{Db, OpenOptions};
use domain::decision::{DirectRoute, Inputs, Managed, Mode, PrefixState, decide};
use domain::evidence::Observed;
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;
use serde_json::Value;
use testkit::site::PREFIX;
use testkit::{Pace, Program, RealService, Site};

use crate::support::{self, Run};

pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) receiver: Option<RealService>,
}

impl Stage {
    /// All is well, with these changes to the settings before the start.
    pub(crate) async fn with(settings: &[(&str, Value)]) -> Self {
        let mut site = Site::new(Pace::fast()).await;
        for (pointer, value) in settings {
            site.set(pointer, value.clone());
        }
        let receiver = site.start(Program::Webhook).await;
        let stage = Self {
            site,
            receiver: Some(receiver),
        };
        stage.lives().await;
        stage
    }

    /// All is well, except that the receiver is not the real one: the drill is told where another listens.
    pub(crate) async fn without_receiver() -> Self {
        let stage = Self {
            site: Site::new(Pace::fast()).await,
            receiver: None,
        };
        stage.lives().await;
        stage.beat("cloudflare-webhook", 1, "ok").await;
        stage
    }

    pub(crate) fn db(&self) -> Db {
        Db::open(self.site.database(), OpenOptions::default()).unwrap()
    }

    async fn lives(&self) {
        for unit in [
            "cloudflare-analytics-monitor",
            "cloudflare-autowithdraw",
            "cloudflare-dashboard",
        ] {
            self.beat(unit, 1, "ok").await;
        }
        let db = self.db();
        db.write("test", |tx| {
            db::leases::take(tx, "autowithdraw", "test", None, Timestamp::now()).map(drop)
        })
        .await
        .unwrap();
        self.answered(Duration::from_secs(1)).await;
    }

    /// A sign of life so long ago; of the future when negative.
    pub(crate) async fn beat(&self, service: &str, age_s: i64, state: &str) {
        let age = Duration::from_secs(age_s.unsigned_abs());
        let now = Timestamp::now();
        let beat_at = if age_s < 0 { plus(now, age) } else { minus(now, age) };
        let beat = Heartbeat {
            service: service.into(),
            pid: 4711,
            host: "mt1.example".into(),
            version: "0.1.0".into(),
            started_at: minus(beat_at, Duration::from_secs(60)),
            beat_at,
            state: state.into(),
            status: "as the test says".into(),
        };
        self.db()
            .write("test", move |tx| db::heartbeats::beat(tx, &beat))
            .await
            .unwrap();
    }

    /// The automation's answer, so old.
    pub(crate) async fn answered(&self, age: Duration) {
        let prefix: Prefix = PREFIX.parse().unwrap();
        let at = minus(Timestamp::now(), age);
        let inputs = Inputs {
            prefix,
            managed: Managed::Yes,
            bgp: Observed::unavailable("a test"),
            traffic: Observed::unavailable("a test"),
            alerts: Observed::known(Vec::new(), at),
            hold: None,
            direct_route: DirectRoute::AlwaysAnnounced,
            own_withdrawals: Vec::new(),
            all_withdrawals: Vec::new(),
            other_intent_open: false,
            now: at,
        };
        let policy = mt_admin::drill::rehearsed::policy(&self.settings(), prefix);
        let now = Now {
            prefix,
            at,
            decision: decide(&PrefixState::default(), &inputs, &policy),
            bgp: None,
            managed: true,
            mode: Mode::Act,
        };
        self.db()
            .write("test", move |tx| db::decisions::publish(tx, &now, None))
            .await
            .unwrap();
    }

    pub(crate) fn settings(&self) -> settings::Settings {
        let options = settings::LoadOptions::of_process(Some(self.site.config_dir()), &[]);
        settings::load(&options).unwrap().settings
    }

    /// `cloudflare-mt drill` with these arguments.
    pub(crate) async fn drill(&self, arguments: &[&str]) -> Run {
        self.command(&self.site.config_dir(), arguments).await
    }

    /// The same with another configuration.
    pub(crate) async fn command(&self, config: &std::path::Path, arguments: &[&str]) -> Run {
        let all: Vec<&str> = ["drill"].into_iter().chain(arguments.iter().copied()).collect();
        let command = support::program(env!("CARGO_BIN_EXE_cloudflare-mt"), config, &all);
        tokio::task::spawn_blocking(move || support::run(command))
            .await
            .unwrap()
    }

    /// A second configuration beside the real one, with one text replaced.
    pub(crate) fn other_config(&self, from: &str, to: &str) -> std::path::PathBuf {
        let other = self.site.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let text = std::fs::read_to_string(self.site.config_dir().join("settings.json")).unwrap();
        assert!(text.contains(from), "{from}\n{text}");
        std::fs::write(other.join("settings.json"), text.replace(from, to)).unwrap();
        let mapping = "prefix_mapping.json";
        std::fs::copy(self.site.config_dir().join(mapping), other.join(mapping)).unwrap();
        other
    }

    pub(crate) async fn end(mut self) {
        if let Some(mut receiver) = self.receiver.take() {
            receiver.kill();
            receiver.end().await;
        }
    }
}

/// State of a hop in a report.
pub(crate) fn state(report: &Value, hop: &str) -> String {
    let all = report["hops"].as_array().unwrap();
    let found = all.iter().find(|one| one["hop"] == hop);
    found.unwrap_or_else(|| panic!("no hop {hop}: {report}"))["state"]
        .as_str()
        .unwrap()
        .to_owned()
}
