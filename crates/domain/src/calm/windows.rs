//! The sliding windows of one answer, and which of them are attack, noise or no calm.

use std::time::Duration;

use jiff::Timestamp;

use super::{TrafficPolicy, WindowSum};
use crate::evidence::{Dropped, PrefixTraffic};
use crate::time::{floor_to, minus, plus};
use crate::units::{Bits, Packets};

/// What the windows of one answer show, oldest first.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Those that are an attack.
    pub(super) attacks: Vec<WindowSum>,
    /// End of the last one that is no calm: an attack, or an excess of the thresholds for calm.
    pub(super) last_no_calm: Option<Timestamp>,
    /// An excess rests on too few samples.
    pub(super) noise: bool,
}

/// Judges windows in their order. An attack begins above the thresholds; once there was one (before
/// this answer, says `attacked`) it goes on as long as those for calm are exceeded.
pub(super) fn judged(windows: &[WindowSum], mut attacked: bool, length: Duration, policy: &TrafficPolicy) -> Shown {
    let mut shown = Shown::default();
    for window in windows {
        let sum = dropped(window);
        if !policy.is_no_calm(&sum, length) {
            continue;
        }
        if window.samples < policy.min_samples {
            shown.noise = true;
            continue;
        }
        shown.last_no_calm = Some(window.ends_at);
        attacked |= policy.is_excess(&sum, length);
        if attacked {
            shown.attacks.push(*window);
        }
    }
    shown
}

fn dropped(window: &WindowSum) -> Dropped {
    Dropped {
        packets: window.packets,
        bits: window.bits,
        samples: window.samples,
    }
}

/// Sums over every window of one look-back that ends on a bucket border inside the data, oldest
/// first. Buckets before the epoch are another epoch's. The last window ends with the bucket that
/// contains `now`: an excess in a bucket that is not over yet is an attack already.
pub(super) fn look_back_windows(
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
