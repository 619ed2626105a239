//! What the account's plan allows for one query, read at start and once a day.
//!
//! Until it could be read, cautious values are used: a page and a span that every plan grants, and
//! no opinion on the age of data, because asking for too much is refused visibly.

use std::time::Duration;

use cf_api::graphql::limits::NodeLimits;

/// How long read limits are trusted: they change with the contract.
pub const READ_EVERY: Duration = Duration::from_secs(86_400);

/// Most rows of one answer, whatever the plan allows: several pages are held in memory at once.
const LARGEST_PAGE: u32 = 5_000;

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
