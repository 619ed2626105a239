//! Traffic rows to one of three answers: attack, calm so far, unknown. Calm is measured in the
//! time of the data, never of our clock.
//!
//! Every cycle re-reads all buckets since calm began (as far back as one calm period and one
//! look-back), so a bucket that arrives late is no gap. The newest, unsettled buckets can show an
//! attack but never calm. What is kept between cycles is a [`CalmTrack`]; its instants only move
//! forward within an epoch.

mod policy;
mod windows;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bgp::Epoch;
use crate::evidence::PrefixTraffic;
use crate::time::{floor_to, minus, plus, since};
use crate::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};

pub use policy::{FUTURE_TOLERANCE, MAX_SAMPLE_INTERVAL, TrafficPolicy};
use windows::{judged, look_back_windows};

/// What is remembered about an epoch's traffic between cycles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalmTrack {
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Calm is proven from here on, as far as `verified_until`. Only moves forward.
    pub calm_since: Timestamp,
    /// End of the settled data that has been read without a gap since `calm_since`.
    pub verified_until: Timestamp,
    /// Whether any row of the prefix was seen in this epoch.
    pub saw_rows: bool,
    /// The newest row of the account that any answer of this epoch showed.
    #[serde(default)]
    pub newest_row: Option<Timestamp>,
    /// Rows from here on can only be this epoch's, because the prefix was seen withdrawn before;
    /// `None` when it was not, and only the epoch itself is sure.
    #[serde(default)]
    pub rows_from: Option<Timestamp>,
    /// A window of this epoch was an attack: from then on it goes on as long as the lower thresholds
    /// for calm are exceeded.
    #[serde(default)]
    pub attacked: bool,
}

impl CalmTrack {
    /// The track of a fresh epoch: nothing verified, calm no earlier than the end of propagation.
    pub fn begin(epoch: Epoch, policy: &TrafficPolicy) -> Self {
        Self {
            epoch,
            calm_since: plus(epoch.0, policy.propagation),
            verified_until: epoch.0,
            saw_rows: false,
            newest_row: None,
            rows_from: None,
            attacked: false,
        }
    }

    /// Proven calm time.
    pub fn proven(&self) -> Duration {
        since(self.verified_until, self.calm_since)
    }

    /// Where the next query must begin for this prefix: early enough that the first window after
    /// `calm_since` is complete, but no earlier than the epoch, nor than what one calm period and
    /// one look-back before the earliest possible `settled_until` need.
    pub fn read_from(&self, policy: &TrafficPolicy, calm_period: Duration, now: Timestamp) -> Timestamp {
        let bucket = policy.bucket();
        let window = policy.window(bucket);
        // The newest row may be this old before it is stale; flooring costs a bucket at either end.
        let settled_at_least = minus(now, policy.settle + policy.stale_after() + bucket);
        let earliest = minus(settled_at_least, calm_period + window + bucket);
        let wanted = minus(self.calm_since.min(self.verified_until), window);
        floor_to(wanted.max(earliest).max(self.epoch.0), bucket)
    }
}

/// Why traffic says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum TrafficUnknown {
    /// The row limit was reached and what was listed is no attack.
    Truncated,
    /// The dataset holds no row at all.
    EmptyDataset,
    /// No new row for too long.
    Stale {
        /// Age of the newest row in seconds.
        age_s: u64,
    },
    /// Rows lie in our future: one of the clocks is wrong.
    FutureRows {
        /// By how many seconds.
        ahead_s: u64,
    },
    /// The prefix is advertised and not one row, passed or dropped, belongs to it.
    NoRowsForPrefix,
    /// Sampling is too coarse to prove anything.
    SampledTooCoarsely {
        /// Packets per sample.
        interval: u64,
    },
}

impl TrafficUnknown {
    /// One clause for people.
    pub fn explain(&self) -> String {
        match self {
            Self::Truncated => "the analytics answer was cut at its row limit".into(),
            Self::EmptyDataset => "the analytics answer holds no traffic of the account at all".into(),
            Self::Stale { age_s } => format!(
                "analytics stand still, the newest row is {} old",
                crate::duration::human(Duration::from_secs(*age_s))
            ),
            Self::FutureRows { ahead_s } => format!("analytics rows lie {ahead_s} s in the future; check the clock"),
            Self::NoRowsForPrefix => {
                "not one row of traffic, passed or dropped, belongs to the prefix since it is advertised".into()
            }
            Self::SampledTooCoarsely { interval } => format!("only one packet in {interval} is sampled"),
        }
    }
}

/// The largest window seen, for display and for the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowSum {
    /// End of the window.
    pub ends_at: Timestamp,
    /// Dropped packets in it.
    pub packets: Packets,
    /// Dropped bits in it.
    pub bits: Bits,
    /// Samples it rests on.
    pub samples: u64,
    /// Mean rate over the window.
    pub packet_rate: PacketsPerSecond,
    /// Mean rate over the window.
    pub bit_rate: BitsPerSecond,
}

/// What one cycle's traffic says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "traffic", rename_all = "snake_case")]
pub enum TrafficAnswer {
    /// Both thresholds exceeded in the newest windows.
    Attack,
    /// No attack in the newest windows; how long is in the track.
    Quiet {
        /// An excess was seen that rests on too few samples.
        noise: bool,
        /// The newest windows exceed the lower thresholds for calm, though they are no attack.
        restless: bool,
    },
    /// Nothing can be said.
    Unknown(TrafficUnknown),
}

/// The outcome of reading one cycle's traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficReading {
    /// Attack, quiet or unknown.
    pub answer: TrafficAnswer,
    /// What is remembered.
    pub track: CalmTrack,
    /// Data counts as complete up to here; `None` when nothing can be said.
    pub settled_until: Option<Timestamp>,
    /// The newest window that is over, though its last minutes may not have settled; the default
    /// when there is none.
    pub latest: WindowSum,
    /// The largest window that was an attack in this reading.
    pub peak: Option<WindowSum>,
    /// End of the first window that was an attack, in this reading.
    pub first_attack_end: Option<Timestamp>,
    /// End of the last window that was an attack, in this reading.
    pub last_attack_end: Option<Timestamp>,
}

/// Reads one cycle's traffic of an advertised prefix (rules 1 to 4).
pub fn read_traffic(
    traffic: &PrefixTraffic,
    previous: &CalmTrack,
    policy: &TrafficPolicy,
    now: Timestamp,
) -> TrafficReading {
    let epoch_start = previous.epoch.0;
    let mut track = previous.clone();
    track.saw_rows |= shows_rows_of_epoch(traffic, previous, now);

    let windows = look_back_windows(traffic, policy, epoch_start, now);
    let length = policy.window(traffic.bucket);
    let shown = judged(&windows, previous.attacked, length, policy);
    let last_attack_end = shown.attacks.last().map(|w| w.ends_at);
    let larger = |a: &&WindowSum, b: &&WindowSum| a.bits.cmp(&b.bits).then(a.packets.cmp(&b.packets));
    let peak = shown.attacks.iter().max_by(larger).copied();
    track.attacked |= !shown.attacks.is_empty();
    if let Some(end) = shown.last_no_calm {
        track.calm_since = track.calm_since.max(end);
    }

    let mut reading = TrafficReading {
        answer: TrafficAnswer::Quiet {
            noise: shown.noise,
            restless: false,
        },
        settled_until: None,
        latest: windows.iter().rfind(|w| w.ends_at <= now).copied().unwrap_or_default(),
        peak,
        first_attack_end: shown.attacks.first().map(|w| w.ends_at),
        last_attack_end,
        track,
    };

    let settled_until = match settled_until(traffic, policy, now) {
        Ok(settled) => settled,
        Err(unknown) => {
            // Even data that proves no calm can show an attack.
            reading.answer = if last_attack_end.is_some_and(|end| is_recent(end, policy, now)) {
                TrafficAnswer::Attack
            } else {
                TrafficAnswer::Unknown(unknown)
            };
            return reading;
        }
    };
    reading.settled_until = Some(settled_until);
    let is_live = traffic.newest_row > previous.newest_row;
    reading.track.newest_row = previous.newest_row.max(traffic.newest_row);
    let is_newest = |end: Option<Timestamp>| end.is_some_and(|end| end >= settled_until);
    reading.answer = if is_newest(last_attack_end) {
        TrafficAnswer::Attack
    } else {
        TrafficAnswer::Quiet {
            noise: shown.noise,
            restless: is_newest(shown.last_no_calm),
        }
    };
    if let Some(unknown) = incomplete(traffic, &reading.track, policy) {
        if unknown == TrafficUnknown::NoRowsForPrefix {
            // Reading these minutes again later shows nothing new about them: that other minutes
            // have rows does not turn these into calm ones.
            reading.track.calm_since = reading.track.calm_since.max(settled_until);
        }
        if reading.answer != TrafficAnswer::Attack {
            reading.answer = TrafficAnswer::Unknown(unknown);
        }
        return reading;
    }

    // The first window after `verified_until` ends a bucket later. If the answer begins after that
    // window does (and after the epoch), a part of it was never read together with the rest and may
    // hide an attack: calm begins with the first whole window of this answer.
    let window = policy.window(traffic.bucket);
    let needed = minus(
        plus(floor_to(reading.track.verified_until, traffic.bucket), traffic.bucket),
        window,
    );
    if traffic.from > needed.max(floor_to(epoch_start, traffic.bucket)) {
        reading.track.calm_since = reading.track.calm_since.max(plus(traffic.from, window));
    }
    // No newer row means no progress. In a dataset that stopped, rows that were late when it did
    // are missing for good, and `now - settle` would move over the holes they left.
    if is_live {
        reading.track.verified_until = reading.track.verified_until.max(settled_until);
    }
    reading
}

/// Whether a row, passed or dropped, shows that the prefix carries traffic in this epoch. Passed
/// rows carry no instant: they count when the whole window is the epoch's, or lies in a time in
/// which an earlier epoch was over.
fn shows_rows_of_epoch(traffic: &PrefixTraffic, track: &CalmTrack, now: Timestamp) -> bool {
    let begins = floor_to(track.epoch.0, traffic.bucket);
    let not_after = plus(now, FUTURE_TOLERANCE);
    let dropped = traffic
        .drops
        .range(begins..)
        .next()
        .is_some_and(|(at, _)| *at <= not_after);
    let sure_from = track.rows_from.map_or(begins, |from| from.min(begins));
    dropped || (traffic.saw_rows && traffic.from >= sure_from)
}

fn is_recent(end: Timestamp, policy: &TrafficPolicy, now: Timestamp) -> bool {
    plus(end, policy.settle) >= minus(now, policy.lookback)
}

/// How far the data is complete: `settle` before now, but never beyond the newest row of the
/// account: a dataset that stopped is not a quiet network.
fn settled_until(traffic: &PrefixTraffic, policy: &TrafficPolicy, now: Timestamp) -> Result<Timestamp, TrafficUnknown> {
    let Some(newest) = traffic.newest_row else {
        return Err(TrafficUnknown::EmptyDataset);
    };
    let latest_row = traffic.drops.keys().next_back().copied().unwrap_or(newest).max(newest);
    if latest_row > plus(now, FUTURE_TOLERANCE) {
        return Err(TrafficUnknown::FutureRows {
            ahead_s: since(latest_row, now).as_secs(),
        });
    }
    let age = since(now, newest);
    if age > policy.settle + policy.stale_after() {
        return Err(TrafficUnknown::Stale { age_s: age.as_secs() });
    }
    Ok(floor_to(
        minus(now, policy.settle).min(newest).min(traffic.to),
        traffic.bucket,
    ))
}

fn incomplete(traffic: &PrefixTraffic, track: &CalmTrack, policy: &TrafficPolicy) -> Option<TrafficUnknown> {
    if traffic.truncated {
        Some(TrafficUnknown::Truncated)
    } else if traffic.max_sample_interval > MAX_SAMPLE_INTERVAL {
        Some(TrafficUnknown::SampledTooCoarsely {
            interval: traffic.max_sample_interval,
        })
    } else if !track.saw_rows && !policy.carries_no_traffic {
        Some(TrafficUnknown::NoRowsForPrefix)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn policy(lookback_ms: u64) -> TrafficPolicy {
        TrafficPolicy {
            min_packets: Packets(5_000),
            min_bits: Bits(10_000_000),
            min_packet_rate: None,
            min_bit_rate: None,
            calm_percent: 100,
            min_samples: 2,
            lookback: Duration::from_millis(lookback_ms),
            settle: Duration::from_secs(300),
            propagation: Duration::from_secs(420),
            carries_no_traffic: false,
        }
    }
}
