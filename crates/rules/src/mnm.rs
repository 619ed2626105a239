//! Network monitoring rules: what Cloudflare takes, what makes sense, and which prefixes nothing watches.
//!
//! Source: Cloudflare API (`mnm/rules`) and developers.cloudflare.com, "Magic Network Monitoring": names, eight durations,
//! thresholds from 1 without an upper end, at most 5,000 networks; a rule's networks are summed and advertised together.

mod coverage;
mod draft;
mod rate;
mod record;

pub use coverage::{Gap, gaps};
pub use draft::{Problem, name_for, problems};
pub use rate::{RateError, bits_per_second, packets_per_second, rate_text};
pub use record::{Record, normal, same};

use std::time::Duration;

/// The durations that Cloudflare takes, in minutes.
pub const MINUTES: [u64; 8] = [1, 5, 10, 15, 20, 30, 45, 60];

/// The durations that Cloudflare takes.
pub fn durations() -> impl Iterator<Item = Duration> {
    MINUTES.into_iter().map(|minutes| Duration::from_secs(minutes * 60))
}
