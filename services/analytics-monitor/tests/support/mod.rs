//! A simulated Cloudflare, a database of its own, a clock that moves when told, and pollers on them.
#![allow(dead_code)] // each test program uses its part

use analytics_monitor::reading::Polled as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use analytics_monitor::policy::Policy;
use analytics_monitor::poll::{Failure, Parts, PollReport, Poller};
use cf_api::budget::RateBudget;
use cf_api::{CloudflareClient, Credentials, Deadlines, Transport, TransportConfig};
use cf_sim::{FaultKind, FaultSpec, RowSpec, Sim, SimConfig, Target};
use daemon::{Clock as _, ManualClock};
use db::analytics::ListRow;
use db::{Db, DbError, OpenOptions, ReadTx, WriteTx};
use domain::notice::Facts;
use domain::time::{floor_to, minus, plus};
use geoip::GeoIp;
use jiff::Timestamp;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const TARGET: &str = "203.0.113.10";

/// Long enough for a busy machine, short enough for a test of what never answers.
const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct Site {
    pub(crate) sim: Sim,
    pub(crate) db: Db,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) geoip: Arc<GeoIp>,
    pub(crate) policy: Policy,
    pub(crate) dir: tempfile::TempDir,
}

impl Site {
    /// The clock shows a whole second two hours ago: the simulator hides rows of its own future.
    pub(crate) async fn new() -> Self {
        Self::with(SimConfig::default(), 120 * MINUTE).await
    }

    pub(crate) async fn with(config: SimConfig, ago: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = floor_to(minus(Timestamp::now(), ago), Duration::from_secs(1));
        Self {
            sim: Sim::start(config).await.unwrap(),
            db: Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap(),
            clock: Arc::new(ManualClock::at(now)),
            geoip: Arc::new(GeoIp::none()),
            policy: Policy {
                poll_interval: 5 * MINUTE,
                lookback: 15 * MINUTE,
                settle: MINUTE,
                min_packets: 1,
                own: vec!["203.0.113.0/24".parse().unwrap()],
                anycast: vec!["162.159.0.0/16".parse().unwrap()],
                witnesses: Vec::new(),
                announced: Vec::new(),
                attacks: false,
                series: false,
            },
            dir,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// So long ago, by the clock of the test.
    pub(crate) fn ago(&self, seconds: u64) -> Timestamp {
        minus(self.now(), Duration::from_secs(seconds))
    }

    pub(crate) fn client(&self) -> CloudflareClient {
        let client = CloudflareClient::new(
            Transport::new(TransportConfig::default()),
            &self.sim.api_base_url(),
            &self.sim.config().account_id,
            Credentials::Token(self.sim.config().api_token.clone().into()),
            RateBudget::alone(Arc::new(Timestamp::now)),
        );
        client.unwrap().with_deadlines(Deadlines {
            change: DEADLINE,
            read: DEADLINE,
            query: DEADLINE,
        })
    }

    /// A poller as a freshly started process has it.
    pub(crate) fn poller(&self) -> Poller {
        Poller::new(Parts {
            db: self.db.clone(),
            api: self.client(),
            clock: self.clock.clone(),
            geoip: Arc::clone(&self.geoip),
            policy: self.policy.clone(),
        })
    }

    /// A poll of a fresh process.
    pub(crate) async fn poll(&self) -> Result<PollReport, Failure> {
        self.poller().poll_once().await
    }

    /// A poll that must succeed: new, grown, known rows and notices.
    pub(crate) async fn polled(&self) -> (u64, u64, u64, u64) {
        let kept = self.poll().await.unwrap().kept;
        (kept.new, kept.grown, kept.known, kept.notices)
    }

    pub(crate) fn add(&self, rows: impl IntoIterator<Item = RowSpec>) {
        self.sim.add_rows(rows.into_iter().map(RowSpec::visible));
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.db.read("test", f).await.unwrap()
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&WriteTx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.db.write("test", f).await.unwrap()
    }

    /// Stored rows, oldest first.
    pub(crate) async fn rows(&self) -> Vec<ListRow> {
        let mut rows = self.read(|tx| db::analytics::newest(tx, None, 100_000)).await;
        rows.reverse();
        rows
    }

    /// What people are told, oldest first.
    pub(crate) async fn facts(&self) -> Vec<Facts> {
        let mut all = self.read(|tx| db::outbox::newest(tx, None, 1_000)).await;
        all.reverse();
        all.into_iter().map(|row| row.facts.unwrap()).collect()
    }

    pub(crate) async fn kinds(&self) -> Vec<&'static str> {
        self.facts().await.iter().map(Facts::kind).collect()
    }

    pub(crate) async fn watermark(&self) -> Option<Timestamp> {
        self.read(analytics_monitor::keep::watermark).await
    }

    pub(crate) async fn set_watermark(&self, at: Timestamp) {
        let text = domain::time::to_db_text(at);
        self.write(move |tx| db::leases::set_cursor(tx, "mitigations_watermark", &text, at))
            .await;
    }

    pub(crate) async fn set_my_prefixes_only(&self, only: bool) {
        let now = self.now();
        self.write(move |tx| db::preferences::set(tx, "my_prefixes_only", &only, "test", now))
            .await;
    }

    /// The database's log, which every write adds to.
    pub(crate) fn written(&self) -> Vec<u8> {
        std::fs::read(self.file("mt.db-wal")).unwrap()
    }

    /// Windows of the queries for rows that arrived, in order.
    pub(crate) fn queries(&self) -> Vec<(Timestamp, Timestamp)> {
        let all = self.sim.requests_since(0);
        let window = |body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).ok()?;
            let variables = body.get("variables")?;
            let at = |name: &str| variables.get(name)?.as_str()?.parse().ok();
            Some((at("from")?, at("to")?))
        };
        all.iter().filter_map(|request| window(&request.body)).collect()
    }

    /// Spoils the next `count` queries for rows, after `skip` good ones.
    pub(crate) fn spoil(&self, kind: FaultKind, skip: u32, count: u32) {
        self.sim.set_fault(FaultSpec {
            skip,
            ..FaultSpec::new(Target::Graphql, kind)
                .path("query Mitigations")
                .times(count)
        });
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A row of an attack on [`TARGET`] of one second.
pub(crate) fn row(at: Timestamp, attack: &str, source: &str, packets: u64) -> RowSpec {
    row_to(TARGET, at, attack, source, packets)
}

pub(crate) fn row_to(target: &str, at: Timestamp, attack: &str, source: &str, packets: u64) -> RowSpec {
    RowSpec::attack(target, attack, "UDP Flood", packets, packets * 8_000)
        .at(at)
        .dim("ipSourceAddress", source)
        .dim("sourcePort", 53)
        .dim("sourceAsn", 64_500)
        .dim("sourceAsnName", "Example")
        .dim("sourceCountry", "US")
        .dim("destinationPort", 443)
        .dim("ipProtocolName", "UDP")
        .dim("coloCode", "FRA")
        .dim("coloCity", "Frankfurt")
        .dim("coloCountry", "DE")
}

/// One row every `step` from `from` to `to`.
pub(crate) fn every(step: Duration, from: Timestamp, to: Timestamp, attack: &str) -> Vec<RowSpec> {
    let mut rows = Vec::new();
    let mut at = from;
    while at < to {
        rows.push(row(at, attack, "198.51.100.7", 10_000));
        at = plus(at, step);
    }
    rows
}
