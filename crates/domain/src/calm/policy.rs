//! What counts as attack, what as calm, and how fresh data must be.
//!
//! Must hold: whatever is an attack by the two volumes stays one whatever else is set. Rates and the
//! lower thresholds for calm only add minutes that are no calm.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::Dropped;
use crate::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};

/// What counts as attack and how fresh data must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficPolicy {
    /// Dropped packets over the look-back that must be exceeded, together with `min_bits`.
    pub min_packets: Packets,
    /// Dropped bits over the look-back that must be exceeded.
    pub min_bits: Bits,
    /// A mean rate over the look-back that is an attack by itself when exceeded, however few bits
    /// that are; `None` when only the volumes count.
    #[serde(default)]
    pub min_packet_rate: Option<PacketsPerSecond>,
    /// A mean rate over the look-back that is an attack by itself when exceeded, however few packets
    /// that are; `None` when only the volumes count.
    #[serde(default)]
    pub min_bit_rate: Option<BitsPerSecond>,
    /// The thresholds for calm, in percent of those for an attack; 100 means the same ones. What lies
    /// between them begins no attack, but it goes on with one and it is no calm.
    #[serde(default = "all_of_it")]
    pub calm_percent: u8,
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

fn all_of_it() -> u8 {
    100
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
    pub(super) fn window(&self, bucket: Duration) -> Duration {
        let bucket = bucket.max(Duration::from_millis(1));
        let buckets = self.lookback.as_nanos().div_ceil(bucket.as_nanos()).max(1);
        bucket.saturating_mul(u32::try_from(buckets).unwrap_or(u32::MAX))
    }

    /// Whether what was dropped over a whole window of `length` is more than an attack needs.
    pub(super) fn is_excess(&self, sum: &Dropped, length: Duration) -> bool {
        self.exceeds(sum, length, 100)
    }

    /// Whether what was dropped over a whole window of `length` is too much for calm. Every excess is.
    pub(super) fn is_no_calm(&self, sum: &Dropped, length: Duration) -> bool {
        self.exceeds(sum, length, self.calm_percent.min(100))
    }

    fn exceeds(&self, sum: &Dropped, length: Duration, percent: u8) -> bool {
        let over = |amount: u64, limit: u64| u128::from(amount) * 100 > u128::from(limit) * u128::from(percent);
        let faster = |rate: f64, limit: f64| rate * 100.0 > limit * f64::from(percent);
        let volume = over(sum.packets.0, self.min_packets.0) && over(sum.bits.0, self.min_bits.0);
        let packets = |limit: PacketsPerSecond| faster(sum.packets.per(length).0, limit.0);
        let bits = |limit: BitsPerSecond| faster(sum.bits.per(length).0, limit.0);
        volume || self.min_packet_rate.is_some_and(packets) || self.min_bit_rate.is_some_and(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calm::tests::policy;

    fn sum(packets: u64, bits: u64) -> Dropped {
        Dropped {
            packets: Packets(packets),
            bits: Bits(bits),
            samples: 9,
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
        let (policy, window) = (policy(300_000), Duration::from_secs(300));
        assert!(policy.is_excess(&sum(5_001, 10_000_001), window));
        assert!(!policy.is_excess(&sum(5_000, u64::MAX), window));
        assert!(!policy.is_excess(&sum(u64::MAX, 10_000_000), window));
    }

    #[test]
    fn a_rate_is_enough_by_itself_and_takes_nothing_away_from_the_volumes() {
        let window = Duration::from_secs(300);
        let rates = TrafficPolicy {
            min_packet_rate: Some(PacketsPerSecond(1_000.0)),
            min_bit_rate: Some(BitsPerSecond(1e6)),
            ..policy(300_000)
        };
        assert!(!rates.is_excess(&sum(300_000, 0), window), "exactly the rate");
        assert!(rates.is_excess(&sum(300_001, 0), window));
        assert!(!rates.is_excess(&sum(0, 300_000_000), window), "exactly the rate");
        assert!(rates.is_excess(&sum(0, 300_000_001), window));
        assert!(
            rates.is_excess(&sum(5_001, 10_000_001), window),
            "slow, and more than the volumes"
        );
    }

    #[test]
    fn thresholds_for_calm_are_a_share_of_all_of_them_and_never_more() {
        let window = Duration::from_secs(300);
        let half = TrafficPolicy {
            min_packet_rate: Some(PacketsPerSecond(1_000.0)),
            min_bit_rate: Some(BitsPerSecond(1e6)),
            calm_percent: 50,
            ..policy(300_000)
        };
        assert!(half.is_no_calm(&sum(2_501, 5_000_001), window));
        assert!(!half.is_no_calm(&sum(2_500, 5_000_001), window));
        assert!(!half.is_no_calm(&sum(2_501, 5_000_000), window));
        assert!(half.is_no_calm(&sum(150_001, 0), window) && !half.is_no_calm(&sum(150_000, 0), window));
        assert!(half.is_no_calm(&sum(0, 150_000_001), window) && !half.is_no_calm(&sum(0, 150_000_000), window));
        assert!(!half.is_excess(&sum(2_501, 5_000_001), window), "no attack by itself");
        let more = TrafficPolicy {
            calm_percent: 200,
            ..half
        };
        assert!(
            more.is_no_calm(&sum(5_001, 10_000_001), window),
            "never above those for an attack"
        );
    }
}
