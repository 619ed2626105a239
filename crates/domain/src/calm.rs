//! Traffic rows to one of three answers: attack, calm so far, unknown. Calm is measured in the
//! time of the data, never of our clock.
//!
//! Every cycle re-reads all buckets since calm began (as far back as one calm period and one
//! look-back), so a bucket that arrives late is no gap. The newest, unsettled buckets can show an
//! attack but never calm. What is kept between cycles is a [`CalmTrack`]; its instants only move
//! forward within an epoch.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bgp::Epoch;
use crate::evidence::{Dropped, PrefixTraffic};
use crate::time::{floor_to, minus, plus, since};
use crate::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};

/// What counts as attack and how fresh data must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficPolicy {
    /// Dropped packets over the look-back that must be exceeded, together with `min_bits`.
    pub min_packets: Packets,
    /// Dropped bits over the look-back that must be exceeded.
    pub min_bits: Bits,
    /// Samples an excess must rest on; below it is noise.
    pub min_samples: u64,
    /// Length of the sliding window the thresholds speak of.
    #[serde(with = "crate::duration::text")]
    pub lookback: Duration,
    /// Age that rows reach before they count as complete.
    #[serde(with = "crate::duration::text")]
    pub settle: Duration,
    /// Time after the epoch's start in which the announcement still spreads.
    #[serde(with = "crate::duration::text")]
    pub propagation: Duration,
    /// The prefix is declared to carry no traffic: no rows at all are then not suspicious.
    pub carries_no_traffic: bool,
}

/// Sampling coarser than this proves nothing (rule "attack").
pub const MAX_SAMPLE_INTERVAL: u64 = 100_000;

/// How far rows may lie ahead of our clock before the clocks are not to be trusted.
pub const FUTURE_TOLERANCE: Duration = Duration::from_secs(120);

impl TrafficPolicy {
    /// How long the newest row may stand still beyond `settle` before data counts as stale.
    pub fn stale_after(&self) -> Duration {
        self.settle * 2
    }

    /// The time resolution to ask for: coarse enough to keep answers small, fine enough that the
    /// look-back holds at least five buckets.
    pub fn bucket(&self) -> Duration {
        let lookback = self.lookback.as_secs();
        Duration::from_secs(if lookback >= 300 {
            60
        } else if lookback >= 50 {
            10
        } else {
            1
        })
    }

    /// Length of the summed window: the look-back in whole buckets. A look-back that is no multiple
    /// of the bucket begins or ends inside one, and what cannot be told apart counts.
    fn window(&self, bucket: Duration) -> Duration {
        let bucket = bucket.max(Duration::from_millis(1));
        let buckets = self.lookback.as_nanos().div_ceil(bucket.as_nanos()).max(1);
        bucket.saturating_mul(u32::try_from(buckets).unwrap_or(u32::MAX))
    }

    fn is_excess(&self, sum: &Dropped) -> bool {
        sum.packets > self.min_packets && sum.bits > self.min_bits
    }
}

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
    let attacks = || windows.iter().filter(|w| is_attack(w, policy));
    let last_attack_end = attacks().map(|w| w.ends_at).max();
    let peak = attacks()
        .copied()
        .max_by(|a, b| a.bits.cmp(&b.bits).then(a.packets.cmp(&b.packets)));
    let noise = windows
        .iter()
        .any(|w| policy.is_excess(&dropped(w)) && !is_attack(w, policy));
    if let Some(end) = last_attack_end {
        track.calm_since = track.calm_since.max(end);
    }

    let mut reading = TrafficReading {
        answer: TrafficAnswer::Quiet { noise },
        settled_until: None,
        latest: windows.iter().rfind(|w| w.ends_at <= now).copied().unwrap_or_default(),
        peak,
        first_attack_end: attacks().map(|w| w.ends_at).min(),
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
    if last_attack_end.is_some_and(|end| end >= settled_until) {
        reading.answer = TrafficAnswer::Attack;
    }
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

fn is_attack(window: &WindowSum, policy: &TrafficPolicy) -> bool {
    policy.is_excess(&dropped(window)) && window.samples >= policy.min_samples
}

fn dropped(window: &WindowSum) -> Dropped {
    Dropped {
        packets: window.packets,
        bits: window.bits,
        samples: window.samples,
    }
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

/// Sums over every window of one look-back that ends on a bucket border inside the data, oldest
/// first. Buckets before the epoch are another epoch's. The last window ends with the bucket that
/// contains `now`: an excess in a bucket that is not over yet is an attack already.
fn look_back_windows(
    traffic: &PrefixTraffic,
    policy: &TrafficPolicy,
    epoch_start: Timestamp,
    now: Timestamp,
) -> Vec<WindowSum> {
    let bucket = traffic.bucket.max(Duration::from_millis(1));
    let length = policy.window(bucket);
    let start = floor_to(traffic.from.max(epoch_start), bucket);
    let end = traffic.to.min(plus(floor_to(now, bucket), bucket));
    let mut windows = Vec::new();
    // Wide sums: hostile or broken counters near u64::MAX must not wrap or saturate, because
    // they are subtracted again when they leave the window.
    let (mut packets, mut bits, mut samples) = (0u128, 0u128, 0u128);
    let clamp = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
    let mut entering = traffic.drops.range(start..).peekable();
    let mut leaving = traffic.drops.range(start..).peekable();
    let mut ends_at = start;
    while ends_at < end {
        ends_at = plus(ends_at, bucket);
        while let Some((_, drop)) = entering.next_if(|(at, _)| **at < ends_at) {
            packets += u128::from(drop.packets.0);
            bits += u128::from(drop.bits.0);
            samples += u128::from(drop.samples);
        }
        let begins_at = minus(ends_at, length);
        while let Some((_, drop)) = leaving.next_if(|(at, _)| **at < begins_at) {
            packets -= u128::from(drop.packets.0);
            bits -= u128::from(drop.bits.0);
            samples -= u128::from(drop.samples);
        }
        let (packets, bits) = (Packets(clamp(packets)), Bits(clamp(bits)));
        windows.push(WindowSum {
            ends_at,
            packets,
            bits,
            samples: clamp(samples),
            packet_rate: packets.per(length),
            bit_rate: bits.per(length),
        });
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(lookback_ms: u64) -> TrafficPolicy {
        TrafficPolicy {
            min_packets: Packets(5_000),
            min_bits: Bits(10_000_000),
            min_samples: 2,
            lookback: Duration::from_millis(lookback_ms),
            settle: Duration::from_secs(300),
            propagation: Duration::from_secs(420),
            carries_no_traffic: false,
        }
    }

    #[test]
    fn windows_are_whole_buckets_that_cover_the_look_back() {
        for (lookback_ms, bucket_s, window_s) in [
            (300_000, 60, 300),
            (300_001, 60, 360),
            (330_000, 60, 360),
            (100_000, 10, 100),
            (59_000, 10, 60),
            (30_000, 1, 30),
            (400, 1, 1),
            (0, 1, 1),
        ] {
            let policy = policy(lookback_ms);
            let bucket = policy.bucket();
            assert_eq!(bucket.as_secs(), bucket_s, "{lookback_ms} ms");
            assert_eq!(policy.window(bucket).as_secs(), window_s, "{lookback_ms} ms");
        }
    }

    #[test]
    fn thresholds_must_both_be_exceeded() {
        let sum = |packets, bits| Dropped {
            packets: Packets(packets),
            bits: Bits(bits),
            samples: 9,
        };
        let policy = policy(300_000);
        assert!(policy.is_excess(&sum(5_001, 10_000_001)));
        assert!(!policy.is_excess(&sum(5_000, u64::MAX)));
        assert!(!policy.is_excess(&sum(u64::MAX, 10_000_000)));
    }
}
