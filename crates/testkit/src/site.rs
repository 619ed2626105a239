//! A temporary installation of its own: folder, configuration, database path, addresses, simulated Cloudflare.
//!
//! Every test process has a loopback address of its own (127.0.0.0/8 all leads here), so that tests may run side by side
//! with fixed ports, and a restarted service finds its port again.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use cf_sim::{RequestEntry, Sim, SimConfig, TelegramLimits};
use db::{Db, OpenOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pace::Pace;
use crate::record::Record;
use crate::service::{Program, RealService};
use crate::wait;

/// The prefix that most tests are about.
pub const PREFIX: &str = "203.0.113.0/24";

/// Secret of the simulated notification destination.
pub const WEBHOOK_SECRET: &str = "testkit-webhook-secret";

/// Keeps the folder of a failed test when set.
pub const KEEP_VARIABLE: &str = "CLOUDFLARE_MT_TEST_KEEP";

/// The outbox keeps to 20 messages a minute in a group, so the last of many comes late.
pub const SENT_WITHIN: Duration = Duration::from_secs(90);

/// Lines of a log that a failed test shows.
const SHOWN_LINES: usize = 60;

/// First port of the first site of a process; below the system's own range.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// A temporary installation.
pub struct Site {
    folder: Option<TempDir>,
    address: Ipv4Addr,
    first_port: u16,
    /// Times.
    pub pace: Pace,
    /// Cloudflare and Telegram.
    pub sim: Sim,
    settings: Value,
    runs: AtomicU32,
}

impl Site {
    /// A site with a simulator in fast motion; nothing of ours runs yet.
    pub async fn new(pace: Pace) -> Self {
        Self::with(pace, |_| {}).await
    }

    /// [`Site::new`] with changes to the simulator's configuration.
    ///
    /// # Panics
    /// When the simulator cannot start or the folder cannot be made.
    pub async fn with(pace: Pace, change: impl FnOnce(&mut SimConfig)) -> Self {
        let folder = tempfile::Builder::new().prefix("mt-site-").tempdir().expect("a folder");
        let address = own_address();
        let first_port = NEXT_PORT.fetch_add(10, Ordering::Relaxed);
        let mut config = SimConfig {
            listen: SocketAddr::new(IpAddr::V4(address), first_port),
            ingest_delay: Duration::from_millis(600),
            ingest_jitter: Duration::from_millis(300),
            advertise_propagation: Duration::from_secs(1),
            withdraw_propagation: Duration::from_secs(2),
            telegram_limits: TelegramLimits {
                enabled: false,
                ..TelegramLimits::default()
            },
            ..SimConfig::default()
        };
        change(&mut config);
        let sim = Sim::start(config).await.expect("the simulator starts");
        let settings = Value::Null;
        let mut site = Self {
            folder: Some(folder),
            address,
            first_port,
            pace,
            sim,
            settings,
            runs: AtomicU32::new(0),
        };
        site.settings = site.default_settings();
        let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
        site.sim.set_webhook_target(&url, Some(WEBHOOK_SECRET));
        fs::create_dir(site.config_dir()).expect("a folder");
        fs::create_dir(site.data_dir()).expect("a folder");
        site.write_settings();
        site.write(
            "prefix_mapping.json",
            &json!({PREFIX: {"description": "Customer hosting"}}).to_string(),
        );
        site
    }

    fn default_settings(&self) -> Value {
        let sim = self.sim.config();
        let mut settings = json!({
            "cloudflare": {
                "account_id": sim.account_id,
                "api_token": sim.api_token,
                "webhook_secret": WEBHOOK_SECRET,
                "api_base_url": self.sim.api_base_url(),
            },
            "telegram": {
                "bot_token": sim.bot_token,
                "chat_id": sim.chat_id,
                "api_url": self.sim.telegram_url(),
            },
            "database": {"path": self.database()},
            "webhook": {},
            "dashboard": {},
            "analytics": self.pace.analytics(),
            "autowithdraw": self.pace.autowithdraw(),
            "organisation": {"name": "Example Networks", "server": "mt1.example"},
        });
        for program in Program::ALL {
            settings[program.section()]["listen"] = json!(self.listen(program));
        }
        settings
    }

    /// Changes settings before a start: `("/autowithdraw/mode", json!("dry_run"))`. The last part of the path may be new.
    ///
    /// # Panics
    /// When the section does not exist.
    pub fn set(&mut self, pointer: &str, value: Value) {
        let (section, key) = pointer.rsplit_once('/').expect("a path");
        self.settings.pointer_mut(section).expect("an existing section")[key] = value;
        self.write_settings();
    }

    fn write_settings(&self) {
        self.write("settings.json", &self.settings.to_string());
    }

    /// Writes a file of the configuration, readable by its owner only.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.config_dir().join(name);
        fs::write(&path, text).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changes the mode");
    }

    /// The site's folder.
    ///
    /// # Panics
    /// Never while the site exists.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder
            .as_ref()
            .expect("the folder lives as long as the site")
            .path()
    }

    /// The configuration's folder.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.path().join("config")
    }

    /// The database's folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir().join("magic_transit.db")
    }

    /// Where a service listens.
    #[must_use]
    pub fn listen(&self, program: Program) -> SocketAddr {
        let offset = match program {
            Program::Webhook => 1,
            Program::Monitor => 2,
            Program::AutoWithdraw => 3,
            Program::Dashboard => 4,
        };
        SocketAddr::new(IpAddr::V4(self.address), self.first_port + offset)
    }

    /// Starts a service without waiting for it.
    #[must_use]
    pub fn spawn(&self, program: Program) -> RealService {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        RealService::start(program, &self.config_dir(), self.path(), run)
    }

    /// Starts a service and waits until it is READY.
    pub async fn start(&self, program: Program) -> RealService {
        let mut service = self.spawn(program);
        service.ready().await;
        service
    }

    /// Starts all four at once and waits until all are READY.
    pub async fn start_all(&self) -> Vec<RealService> {
        let mut services: Vec<RealService> = Program::ALL.map(|program| self.spawn(program)).into();
        for service in &mut services {
            service.ready().await;
        }
        services
    }

    /// Changes of advertisements that were asked of Cloudflare, whatever became of them.
    #[must_use]
    pub fn changes_asked(&self) -> Vec<RequestEntry> {
        let requests = self.sim.requests_since(0);
        requests
            .into_iter()
            .filter(|request| request.method == "PATCH" && request.path.contains("/bgp/"))
            .collect()
    }

    /// Whether [`PREFIX`] is advertised, as Cloudflare would say.
    ///
    /// # Panics
    /// When the simulator was told to forget it.
    #[must_use]
    pub fn is_advertised(&self) -> bool {
        self.sim.prefix(PREFIX).expect("the prefix exists").advertised
    }

    /// How often the advertisement of [`PREFIX`] really changed, by anybody.
    ///
    /// # Panics
    /// When the simulator was told to forget it.
    #[must_use]
    pub fn changes_made(&self) -> u32 {
        self.sim.prefix(PREFIX).expect("the prefix exists").changes
    }

    /// Names the ids of [`PREFIX`] in the mapping file, so that it is known before Cloudflare is asked.
    ///
    /// # Panics
    /// When the simulator was told to forget it.
    pub fn map_ids(&self) {
        let prefix = self.sim.prefix(PREFIX).expect("the prefix exists");
        let entry = json!({"prefix_id": prefix.prefix_id, "bgp_prefix_id": prefix.bgp_prefix_id});
        self.write("prefix_mapping.json", &json!({PREFIX: entry}).to_string());
    }

    /// Waits until every notice is sent or deliberately not sent.
    ///
    /// # Panics
    /// When [`SENT_WITHIN`] passes first.
    pub async fn until_told(&self) -> Record {
        let settled = |state: &str| matches!(state, "sent" | "suppressed");
        self.until("every notice is sent", SENT_WITHIN, |record| {
            record
                .notifications
                .iter()
                .all(|notification| settled(&notification.state))
        })
        .await
    }

    /// The database, for reading only.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn db(&self) -> Db {
        Db::open(self.database(), OpenOptions::read_only()).expect("the database opens")
    }

    /// What the database says now.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn record(&self) -> Record {
        Record::read(&self.db()).expect("the database can be read")
    }

    /// Waits until the database says what is wanted.
    ///
    /// # Panics
    /// When `limit` passes first, with what it says instead.
    pub async fn until(&self, what: &str, limit: Duration, holds: impl Fn(&Record) -> bool) -> Record {
        let db = self.db();
        let read = || Record::read(&db).expect("the database can be read");
        let found = wait::within(limit, || Some(read()).filter(&holds)).await;
        found.unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}\n{}", read().shown()))
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut logs: Vec<PathBuf> = fs::read_dir(self.path())
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        for log in logs {
            let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln_test(&format!(
                "--- {} (last of {} lines)\n{}",
                log.display(),
                lines.len(),
                shown.join("\n")
            ));
        }
        if std::env::var_os(KEEP_VARIABLE).is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln_test(&format!("--- kept: {}", folder.keep().display()));
        }
    }
}

/// Into the output of the test, where the harness shows it for failures only.
#[allow(clippy::print_stderr)] // the harness captures what is printed, not what is written to the file descriptor
fn eprintln_test(text: &str) {
    eprintln!("{text}");
}

/// A loopback address of this process alone: its id, which has at most 22 bits, in the last three bytes.
fn own_address() -> Ipv4Addr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    // Never 127.0.0.x, where other things live.
    Ipv4Addr::new(127, a | 0x40, b, c)
}
