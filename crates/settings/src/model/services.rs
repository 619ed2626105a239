//! Settings of the database and of the three services that do not decide anything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::prefix::Prefix;

use super::MitigationSystems;

/// The SQLite file that all programs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The file; its folder must be writable for WAL and lock files.
    pub path: PathBuf,
    /// How long rows are kept.
    pub retention: Retention,
}

/// How long one table's rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Never deleted.
    Forever,
    /// Deleted by the retention job when older than this.
    For(Duration),
}

/// How long rows are kept, per table. A table that is not named is never pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention(pub(crate) BTreeMap<&'static str, Keep>);

impl Retention {
    /// How long rows of `table` are kept; [`Keep::Forever`] for a table without a key.
    pub fn of(&self, table: &str) -> Keep {
        self.0.get(table).copied().unwrap_or(Keep::Forever)
    }

    /// Every table with a key, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Keep)> + '_ {
        self.0.iter().map(|(table, keep)| (*table, *keep))
    }
}

/// The receiver of Cloudflare's notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Prefix>,
    /// Clients that may post; empty means any (the secret still decides).
    pub allowed_sources: Vec<Prefix>,
    /// Largest body that is read, in bytes; a larger one is stored as a stub and announced.
    pub max_body: usize,
    /// Start without any `cloudflare.webhook_secret`: everybody who reaches the port can then
    /// invent attacks. Never true by default.
    pub allow_without_secret: bool,
}

/// The web dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Clients that may reach it; empty means any (login still decides).
    pub allowed_networks: Vec<Prefix>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Prefix>,
    /// The address people use, for links in messages and the cookie's `Secure`; no trailing slash.
    pub public_url: Option<String>,
    /// A session ends when unused for this long.
    pub session_idle: Duration,
    /// A session ends this long after its login in any case.
    pub session_max: Duration,
}

/// The poller of attack analytics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analytics {
    /// Address and port of health and metrics.
    pub listen: SocketAddr,
    /// Time between two polls.
    pub poll_interval: Duration,
    /// How far back each poll reads again, for rows that arrive late.
    pub lookback: Duration,
    /// Age below which Cloudflare's rows may still change; the watermark stays behind it.
    pub settle: Duration,
    /// Events with fewer dropped packets are stored but not announced.
    pub min_packets: u64,
    /// Own networks; `None` means those of the mapping (see [`crate::Settings::my_prefixes`]).
    pub my_prefixes: Option<Vec<Prefix>>,
    /// Cloudflare's own addresses, announced only when the dashboard's switch says so.
    pub anycast_prefixes: Vec<Prefix>,
    /// What is asked for beside what the DDoS rules dropped.
    pub witnesses: MitigationSystems,
    /// Whose dropped traffic is announced.
    pub announced_witnesses: MitigationSystems,
    /// Whether host names of attacking addresses are looked up.
    pub reverse_dns: bool,
    /// Who is asked for them; `None` means the name servers of this host.
    pub dns_server: Option<SocketAddr>,
}
