//! What the account's plan allows for one query, read at start and once a day.
//!
//! Until it could be read, cautious values are used: a page and a span that every plan grants, and
//! no opinion on the age of data, because asking for too much is refused visibly.

use std::time::Duration;

use cf_api::graphql::limits::NodeLimits;
use cf_api::graphql::mitigations::Witness;
use cf_api::{CfError, CloudflareClient};
use daemon::Streak;

/// How long read limits are trusted: they change with the contract.
pub const READ_EVERY: Duration = Duration::from_secs(86_400);

/// Most rows of one answer, whatever the plan allows: a page is held in memory. The documented plans allow 10,000.
const LARGEST_PAGE: u32 = 12_000;

/// Bounds of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Rows of one answer.
    pub page: u32,
    /// Widest window.
    pub max_duration: Duration,
    /// Oldest data; `None` while it is not known.
    pub not_older_than: Option<Duration>,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            page: 1_000,
            max_duration: Duration::from_secs(3_600),
            not_older_than: None,
        }
    }
}

impl Reach {
    /// The limits of the node, within what makes sense.
    pub fn of(limits: &NodeLimits) -> Self {
        Self {
            page: limits.max_page_size.clamp(1, LARGEST_PAGE),
            max_duration: limits.max_duration.max(Duration::from_secs(1)),
            not_older_than: Some(limits.not_older_than).filter(|age| !age.is_zero()),
        }
    }
}

/// Which node's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// What a system dropped.
    Rows(Witness),
    /// All traffic, by minute.
    Traffic,
    /// Begin and end of attacks.
    Attacks,
}

impl Node {
    /// For logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows(witness) => witness.system(),
            Self::Traffic => "minutes",
            Self::Attacks => "attacks",
        }
    }

    /// Reads the limits now.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn read(self, api: &CloudflareClient) -> Result<NodeLimits, CfError> {
        match self {
            Self::Rows(witness) => api.witness_limits(witness).await,
            Self::Traffic => Ok(api.node_limits().await?.traffic),
            Self::Attacks => api.attack_limits().await,
        }
    }
}

/// The limits of one node, renewed once a day.
#[derive(Debug)]
pub struct Limits {
    node: Node,
    reach: Reach,
    enabled: bool,
    read: Option<Duration>,
    unread: Streak,
}

impl Limits {
    /// Nothing is read yet.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            reach: Reach::default(),
            enabled: true,
            read: None,
            unread: Streak::new(),
        }
    }

    /// What may be asked for.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether the contract has the node, as far as is known.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Reads them when that is due; `now` on the monotonic clock. A failure here is not the poll's: it goes on with what
    /// is known, within what is certain.
    pub async fn renew(&mut self, api: &CloudflareClient, now: Duration) {
        if self.read.is_some_and(|read| now.saturating_sub(read) < READ_EVERY) {
            return;
        }
        match self.node.read(api).await {
            Ok(limits) => {
                let reach = Reach::of(&limits);
                if reach != self.reach || limits.enabled != self.enabled {
                    tracing::info!(
                        event = "mitigations.limits.read",
                        node = self.node.as_str(),
                        enabled = limits.enabled,
                        page_rows = reach.page,
                        max_duration_s = reach.max_duration.as_secs(),
                        not_older_than_s = reach.not_older_than.map(|age| age.as_secs()),
                    );
                }
                self.unread.recovered(now);
                self.reach = reach;
                self.enabled = limits.enabled;
                self.read = Some(now);
            }
            Err(error) => {
                if let Some(run) = self.unread.failed(now) {
                    tracing::warn!(
                        event = "mitigations.limits.unread",
                        node = self.node.as_str(),
                        failures = run.failures,
                        error = %error,
                    );
                }
            }
        }
    }
}
