//! Settings of the automation that withdraws prefixes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use domain::prefix::Prefix;
use domain::units::{Bits, Packets};

/// When and what `cloudflare-autowithdraw` may withdraw by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoWithdraw {
    /// Address and port of health and metrics.
    pub listen: SocketAddr,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Prefixes it may touch; `None` means those of the mapping (see
    /// [`crate::Settings::managed_prefixes`]).
    pub managed: Option<Vec<Prefix>>,
    /// Time between two evaluations.
    pub check_interval: Duration,
    /// Proven calm that must precede a withdrawal, in data time.
    pub calm_period: Duration,
    /// Window over which dropped traffic is summed up and compared with the thresholds.
    pub attack_lookback: Duration,
    /// Age below which Cloudflare's rows may still change: such minutes never prove calm.
    pub settle: Duration,
    /// Time an advertisement needs to take effect; the calm clock starts after it.
    pub propagation: Duration,
    /// An excess that rests on fewer samples is noise.
    pub min_samples: u64,
    /// Attack threshold over the look-back window; both thresholds must be exceeded.
    pub min_dropped_packets: Packets,
    /// Attack threshold over the look-back window; both thresholds must be exceeded.
    pub min_dropped_bits: Bits,
    /// Mean rate over the look-back window that is an attack by itself; 0 for none.
    pub min_dropped_pps: u64,
    /// Mean rate over the look-back window that is an attack by itself; 0 for none.
    pub min_dropped_bps: u64,
    /// Thresholds for calm, in percent of those for an attack (1 to 100).
    pub calm_threshold_percent: u8,
    /// Which mitigation systems' drops count as attack.
    pub mitigation_systems: MitigationSystems,
    /// Prefixes that carry no traffic at all even when advertised: for them an empty answer is
    /// calm, for all others it is unknown.
    pub no_traffic: Vec<Prefix>,
    /// Shortest time a prefix stays advertised.
    pub min_advertised: Duration,
    /// Automatic withdrawals per hour, over all prefixes.
    pub max_withdrawals_per_hour: u32,
    /// How long an alert without END blocks acting.
    pub open_alert_veto: Duration,
    /// Evidence missing for this long raises "automation blind".
    pub unknown_alert_after: Duration,
    /// Advertised for this long without a withdrawal raises "overdue".
    pub overdue_after: Duration,
    /// Whether the inputs of every cycle are recorded.
    pub record_inputs: bool,
    /// Size of all recordings together, megabytes.
    pub record_limit_mb: u64,
    /// How each prefix is known to be reachable without Cloudflare; read through
    /// [`AutoWithdraw::direct_route`].
    pub direct_routes: BTreeMap<Prefix, DirectRoute>,
    /// The statement under `"*"`, for prefixes that have none of their own.
    pub direct_route_default: Option<DirectRoute>,
}

impl AutoWithdraw {
    /// The statement for exactly this network, else the one under `"*"`. `None` means that nobody
    /// has said how the prefix is reachable once it is withdrawn: that is unknown, not fine.
    pub fn direct_route(&self, prefix: Prefix) -> Option<&DirectRoute> {
        self.direct_routes.get(&prefix).or(self.direct_route_default.as_ref())
    }
}

/// Whether the automation carries out what it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Withdraws.
    Act,
    /// Evaluates, records and announces what it would do; touches nothing.
    DryRun,
    /// Evaluates and shows; decides nothing.
    Paused,
}

impl Mode {
    /// The words of the configuration file.
    pub const WORDS: [&str; 3] = ["act", "dry_run", "paused"];

    /// The word of the configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::DryRun => "dry_run",
            Self::Paused => "paused",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Act, Self::DryRun, Self::Paused]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of Cloudflare's mitigation systems' drops count as attack traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MitigationSystems {
    /// Any drop counts.
    All,
    /// Only drops of the named systems, as the dataset's `mitigationSystem` writes them.
    Only(Vec<String>),
}

/// How a prefix is known to be reachable without Cloudflare, before it is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectRoute {
    /// The operator's own routers announce it at all times.
    AlwaysAnnounced,
    /// A GET of this address must answer 2xx.
    Url {
        /// http or https.
        url: String,
        /// Deadline of one check.
        timeout: Duration,
    },
    /// This program must exit 0.
    Command {
        /// Program and arguments; no shell is involved.
        argv: Vec<String>,
        /// Deadline of one check.
        timeout: Duration,
    },
}
