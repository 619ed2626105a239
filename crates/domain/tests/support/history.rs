//! Drawn histories: hours of true traffic of several prefixes, and the dataset that tells of it
//! late. The truth is kept apart from the rows, so that a verdict can be held against it.

use domain::calm::TrafficPolicy;
use domain::prefix::Prefix;

use super::dataset::{Dataset, Row};
use super::rng::Rng;
use super::{dur, p, policy};
use domain::decision::Policy;

/// Dropped traffic of one bucket, as it truly was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Truth {
    pub packets: u64,
    pub bits: u64,
    pub samples: u64,
}

/// One destination subnet (a /24, or a /64 for IPv6) with its traffic by bucket.
pub struct Subnet {
    pub net: Prefix,
    pub buckets: Vec<Truth>,
}

/// A drawn history.
pub struct History {
    pub policy: Policy,
    /// Prefixes that are on demand; nested ones follow the one they lie in.
    pub prefixes: Vec<Prefix>,
    pub subnets: Vec<Subnet>,
    pub dataset: Dataset,
    pub bucket_s: i64,
    pub length_s: i64,
    /// End of the last bucket in which anything was dropped.
    pub last_drop_end: i64,
}

/// What kind of history to draw.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Rows may come later than the usual delay, though within `settle`.
    pub late_rows: bool,
    /// The whole account may be silent for a while.
    pub silences: bool,
    /// How long traffic flows on after the last drop.
    pub calm_tail_s: i64,
}

impl History {
    pub fn draw(rng: &mut Rng, shape: Shape) -> Self {
        let policy = draw_policy(rng);
        let bucket_s = policy.traffic.bucket().as_secs() as i64;
        let slot_s = bucket_s / 2;
        let quiet_after = if bucket_s == 60 {
            rng.range(60, 300) * 60
        } else {
            rng.range(30, 80) * 60
        };
        let length_s = quiet_after + shape.calm_tail_s;
        let settle_s = policy.traffic.settle.as_secs() as i64;
        let delay_s = rng.range(10, settle_s - bucket_s);
        let (prefixes, nets) = draw_prefixes(rng);
        let mut rows = Vec::new();
        let visible_at = |rng: &mut Rng, slot_end: i64| {
            let spare = if shape.late_rows && rng.chance(300) {
                settle_s - delay_s
            } else {
                0
            };
            slot_end + delay_s + rng.range(0, spare)
        };
        let mut subnets = Vec::new();
        let mut last_drop_end = 0;
        for net in nets {
            let mut subnet = Subnet {
                net,
                buckets: vec![Truth::default(); (length_s / bucket_s + 2) as usize],
            };
            for (start, packets, bits, interval) in draw_drops(rng, &policy.traffic, slot_s, quiet_after) {
                let bucket = &mut subnet.buckets[(start / bucket_s) as usize];
                bucket.packets += packets;
                bucket.bits += bits;
                bucket.samples += packets / interval;
                last_drop_end = last_drop_end.max((start / bucket_s + 1) * bucket_s);
                rows.push(Row {
                    at: start,
                    visible_at: visible_at(rng, start + slot_s),
                    subnet: net,
                    dropped: true,
                    system: if rng.chance(700) { "dosd" } else { "flowtrackd" },
                    sample_interval: interval,
                    packets,
                    bits,
                });
            }
            for start in (0..length_s).step_by(2 * bucket_s as usize) {
                rows.push(passed(start, visible_at(rng, start + slot_s), net));
            }
            subnets.push(subnet);
        }
        let other = p("192.0.2.0/24");
        for start in (0..length_s).step_by(slot_s as usize) {
            if !rng.chance(50) {
                rows.push(passed(start, visible_at(rng, start + slot_s), other));
            }
        }
        if shape.silences && rng.chance(300) {
            // The account's feed stops at one row and comes back later, with everything in it. What
            // is older than that row still comes, late as ever.
            let stops_at = rng.range(0, length_s);
            let back_at = stops_at + delay_s + rng.range(1, 60) * 60;
            for row in rows.iter_mut().filter(|row| row.at >= stops_at) {
                row.visible_at = row.visible_at.max(back_at);
            }
        }
        Self {
            policy,
            prefixes,
            subnets,
            dataset: Dataset::new(rows),
            bucket_s,
            length_s,
            last_drop_end,
        }
    }

    /// Whole buckets of one look-back: a look-back that ends inside a bucket counts all of it.
    pub fn window_s(&self) -> i64 {
        let lookback = self.policy.traffic.lookback.as_secs() as i64;
        (lookback + self.bucket_s - 1) / self.bucket_s * self.bucket_s
    }

    /// Whether the look-back window that ends at `end` was truly an attack on `prefix`, whose
    /// epoch began at `epoch`, while `advertised` were at Cloudflare.
    pub fn was_attack(&self, prefix: Prefix, advertised: &[Prefix], epoch: i64, end: i64) -> bool {
        let begin = (end - self.window_s())
            .max(epoch.div_euclid(self.bucket_s) * self.bucket_s)
            .max(0);
        let mut sum = Truth::default();
        for subnet in &self.subnets {
            let owner = advertised
                .iter()
                .filter(|owner| owner.contains(subnet.net))
                .max_by_key(|owner| owner.length());
            if owner != Some(&prefix) {
                continue;
            }
            let last = ((end / self.bucket_s).max(0) as usize).min(subnet.buckets.len());
            for truth in &subnet.buckets[((begin / self.bucket_s) as usize).min(last)..last] {
                sum.packets += truth.packets;
                sum.bits += truth.bits;
                sum.samples += truth.samples;
            }
        }
        let traffic = &self.policy.traffic;
        sum.packets > traffic.min_packets.0 && sum.bits > traffic.min_bits.0 && sum.samples >= traffic.min_samples
    }
}

fn passed(start: i64, visible_at: i64, subnet: Prefix) -> Row {
    Row {
        at: start,
        visible_at,
        subnet,
        dropped: false,
        system: "",
        sample_interval: 10_000,
        packets: 10_000,
        bits: 80_000_000,
    }
}

fn draw_policy(rng: &mut Rng) -> Policy {
    let mut drawn = policy();
    // 330 s is no multiple of a bucket; 100 s leads to ten-second buckets.
    drawn.traffic.lookback = dur(*rng.pick(&[300, 300, 300, 600, 330, 100]));
    drawn.traffic.settle = dur(*rng.pick(&[180, 300, 300, 420]));
    drawn.traffic.min_samples = *rng.pick(&[1, 2, 2, 3]);
    drawn.calm_period = dur(*rng.pick(&[300, 600, 900, 900, 1_200]));
    drawn.traffic.propagation = dur(*rng.pick(&[0, 420, 420]));
    drawn.min_advertised = dur(*rng.pick(&[0, 900]));
    drawn
}

fn draw_prefixes(rng: &mut Rng) -> (Vec<Prefix>, Vec<Prefix>) {
    let mut prefixes = vec![];
    let mut nets = vec![];
    if rng.chance(500) {
        prefixes.push(p("203.0.113.0/24"));
        nets.push(p("203.0.113.0/24"));
    }
    if rng.chance(500) {
        prefixes.push(p("2001:db8:1::/48"));
        nets.extend([p("2001:db8:1::/64"), p("2001:db8:1:7::/64")]);
    }
    if prefixes.is_empty() || rng.chance(300) {
        prefixes.push(p("198.51.100.0/22"));
        nets.extend([p("198.51.100.0/24"), p("198.51.102.0/24")]);
        if rng.chance(500) {
            prefixes.push(p("198.51.102.0/24"));
        }
    }
    (prefixes, nets)
}

/// Start of slot, packets, bits, sample interval.
type Drop = (i64, u64, u64, u64);

fn draw_drops(rng: &mut Rng, policy: &TrafficPolicy, slot_s: i64, until: i64) -> Vec<Drop> {
    let mut drops = Vec::new();
    let slots_per_window = (policy.lookback.as_secs() as i64 / slot_s).max(1);
    let interval = *rng.pick(&[100_u64, 1_000, 1_000, 10_000]);
    let mut slot = |rng: &mut Rng, start: i64, samples: u64| {
        if samples > 0 {
            let packets = samples * interval;
            drops.push((start, packets, packets * 8 * rng.range(64, 1_500) as u64, interval));
        }
    };
    for _ in 0..rng.range(0, 4) {
        let begin = rng.range(0, until / slot_s) * slot_s;
        let longest = *rng.pick(&[10, 200]);
        let length = rng.range(1, longest);
        // From a third of the packet threshold in a look-back to twenty times of it.
        let strongest = *rng.pick(&[15, 15, 200]);
        let per_window = policy.min_packets.0 as i64 * rng.range(3, strongest) / 10;
        for index in 0..length {
            let start = begin + index * slot_s;
            if start + slot_s > until {
                break;
            }
            let milli_samples = per_window * 1_000 / slots_per_window / interval as i64;
            let samples = milli_samples / 1_000 + i64::from(rng.chance((milli_samples % 1_000) as u64));
            slot(rng, start, samples as u64);
        }
    }
    if rng.chance(500) {
        let per_mille = rng.range(1, 40) as u64;
        for start in (0..until - slot_s).step_by(slot_s as usize) {
            if rng.chance(per_mille) {
                slot(rng, start, 1);
            }
        }
    }
    drops
}
