//! What was read about the prefixes in one cycle, or why it was not.
//!
//! A reading is either known, with the instant it was read, or unavailable, with the reason.
//! There is no third thing: nothing here turns a failed read into an empty one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prefix::{Prefix, PrefixMap, owners_of};
use crate::time::floor_to;
use crate::units::{Bits, Packets};

/// A value with the instant it was read, or the reason there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reading", rename_all = "snake_case")]
pub enum Observed<T> {
    /// It was read.
    Known {
        /// The value.
        value: T,
        /// When it was read, by our clock.
        at: Timestamp,
    },
    /// It was not obtained.
    Unavailable {
        /// Why, in words for people.
        reason: String,
    },
}

impl<T> Observed<T> {
    /// A reading made at `at`.
    pub fn known(value: T, at: Timestamp) -> Self {
        Self::Known { value, at }
    }

    /// A reading that failed.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// The value, if it was read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unavailable { .. } => None,
        }
    }

    /// The same reading of something derived from the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Known { value, at } => Observed::Known { value: f(value), at },
            Self::Unavailable { reason } => Observed::Unavailable { reason },
        }
    }
}

/// One row of dropped traffic as the analytics API groups it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRow {
    /// Start of the time bucket.
    pub at: Timestamp,
    /// `ipDestinationSubnet`: a /24, or a /64 for IPv6.
    pub subnet: Prefix,
    /// `mitigationSystem`.
    pub system: String,
    /// Packets represented by one sample.
    pub sample_interval: u64,
    /// Estimated packets (already scaled up).
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

/// One row of passed traffic over the whole window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedRow {
    /// `ipDestinationSubnet`.
    pub subnet: Prefix,
    /// Packets represented by one sample.
    pub sample_interval: u64,
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

/// The answer to one cycle's analytics query, account-wide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficWindow {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// End of the window asked for (exclusive).
    pub to: Timestamp,
    /// Length of a time bucket.
    pub bucket: Duration,
    /// Newest row of any outcome, account-wide.
    pub newest_row: Option<Timestamp>,
    /// Dropped traffic.
    pub drops: Vec<DropRow>,
    /// Whether the row limit was reached: what is not listed is unknown.
    pub drops_truncated: bool,
    /// Passed traffic.
    pub passed: Vec<PassedRow>,
    /// Whether the row limit of the passed rows was reached.
    pub passed_truncated: bool,
}

/// Dropped traffic of one prefix in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
    /// Samples the estimate rests on.
    pub samples: u64,
}

impl Dropped {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bits += other.bits;
        self.samples = self.samples.saturating_add(other.samples);
    }
}

/// The part of a [`TrafficWindow`] that belongs to one prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixTraffic {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// End of the window asked for (exclusive).
    pub to: Timestamp,
    /// Length of a time bucket.
    pub bucket: Duration,
    /// Newest row of any outcome, account-wide.
    pub newest_row: Option<Timestamp>,
    /// Dropped traffic by start of bucket; a bucket without drops is absent.
    pub drops: BTreeMap<Timestamp, Dropped>,
    /// Whether rows may be missing because the answer was cut at the row limit.
    pub truncated: bool,
    /// Whether any row, passed or dropped, belongs to the prefix.
    pub saw_rows: bool,
    /// Passed traffic over the window.
    pub passed_packets: Packets,
    /// Passed traffic over the window.
    pub passed_bits: Bits,
    /// Mitigation systems that dropped.
    pub systems: BTreeSet<String>,
    /// The coarsest sampling among the rows.
    pub max_sample_interval: u64,
}

/// Deals the rows of a window out to their owners: the most specific *advertised* prefix that
/// contains a row's subnet, and every advertised prefix inside it (rule 5, [`owners_of`]).
///
/// `systems` limits which mitigation systems count as attack; empty counts all. Rows of other
/// systems still prove that the prefix has traffic.
pub fn assign(
    window: &TrafficWindow,
    advertised: &[Prefix],
    systems: &BTreeSet<String>,
) -> BTreeMap<Prefix, PrefixTraffic> {
    let owners: PrefixMap<()> = advertised.iter().map(|prefix| (*prefix, ())).collect();
    let mut dealt: BTreeMap<Prefix, PrefixTraffic> =
        advertised.iter().map(|prefix| (*prefix, empty_share(window))).collect();
    for row in &window.drops {
        for owner in owners_of(&owners, row.subnet) {
            let Some(share) = dealt.get_mut(&owner) else {
                continue;
            };
            share.saw_rows = true;
            share.max_sample_interval = share.max_sample_interval.max(row.sample_interval);
            if !systems.is_empty() && !systems.contains(&row.system) {
                continue;
            }
            if !row.system.is_empty() {
                share.systems.insert(row.system.clone());
            }
            // Rows of a finer time dimension than the bucket belong to the bucket they lie in.
            share
                .drops
                .entry(floor_to(row.at, window.bucket))
                .or_default()
                .add(Dropped {
                    packets: row.packets,
                    bits: row.bits,
                    samples: row.packets.0.div_ceil(row.sample_interval.max(1)),
                });
        }
    }
    for row in &window.passed {
        for owner in owners_of(&owners, row.subnet) {
            let Some(share) = dealt.get_mut(&owner) else {
                continue;
            };
            share.saw_rows = true;
            share.max_sample_interval = share.max_sample_interval.max(row.sample_interval);
            share.passed_packets += row.packets;
            share.passed_bits += row.bits;
        }
    }
    dealt
}

fn empty_share(window: &TrafficWindow) -> PrefixTraffic {
    PrefixTraffic {
        from: window.from,
        to: window.to,
        bucket: window.bucket,
        newest_row: window.newest_row,
        drops: BTreeMap::new(),
        truncated: window.drops_truncated,
        saw_rows: false,
        passed_packets: Packets(0),
        passed_bits: Bits(0),
        systems: BTreeSet::new(),
        max_sample_interval: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subnet: &str, packets: u64) -> DropRow {
        DropRow {
            at: Timestamp::UNIX_EPOCH,
            subnet: subnet.parse().unwrap(),
            system: "dosd".into(),
            sample_interval: 10_000,
            packets: Packets(packets),
            bits: Bits(packets * 8_000),
        }
    }

    fn window(drops: Vec<DropRow>) -> TrafficWindow {
        TrafficWindow {
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::from_second(600).unwrap(),
            bucket: Duration::from_secs(60),
            newest_row: None,
            drops,
            drops_truncated: false,
            passed: vec![],
            passed_truncated: false,
        }
    }

    #[test]
    fn rows_go_to_the_most_specific_advertised_owner_in_both_families() {
        let wide = "198.51.100.0/22".parse().unwrap();
        let narrow = "198.51.101.0/24".parse().unwrap();
        let six = "2001:db8:1::/48".parse().unwrap();
        let rows = vec![
            row("198.51.100.0/24", 10_000),
            row("198.51.103.0/24", 20_000),
            row("198.51.101.0/24", 40_000),
            row("2001:db8:1:7::/64", 50_000),
            row("2001:db8:10::/64", 70_000),
        ];
        let shares = assign(&window(rows.clone()), &[wide, narrow, six], &BTreeSet::new());
        let total = |prefix| shares[&prefix].drops.values().map(|d| d.packets).sum::<Packets>();
        assert_eq!(total(wide), Packets(30_000));
        assert_eq!(total(narrow), Packets(40_000));
        assert_eq!(total(six), Packets(50_000));
        // Not advertised itself, the /24's traffic is the /22's.
        let shares = assign(&window(rows), &[wide], &BTreeSet::new());
        assert_eq!(
            shares[&wide].drops.values().map(|d| d.packets).sum::<Packets>(),
            Packets(70_000)
        );
        assert_eq!(shares[&wide].drops[&Timestamp::UNIX_EPOCH].samples, 7);
    }

    #[test]
    fn other_systems_prove_traffic_without_counting_as_attack() {
        let prefix = "203.0.113.0/24".parse().unwrap();
        let only: BTreeSet<String> = ["flowtrackd".to_owned()].into();
        let shares = assign(&window(vec![row("203.0.113.0/24", 90_000)]), &[prefix], &only);
        assert!(shares[&prefix].saw_rows && shares[&prefix].drops.is_empty());
    }

    #[test]
    fn the_coarsest_sampling_of_any_row_is_kept() {
        let prefix: Prefix = "203.0.113.0/24".parse().unwrap();
        let coarsest =
            |window: &TrafficWindow| assign(window, &[prefix], &BTreeSet::new())[&prefix].max_sample_interval;
        let mut fine = window(vec![row("203.0.113.0/24", 10_000)]);
        assert_eq!(coarsest(&fine), 10_000);
        fine.passed.push(PassedRow {
            subnet: prefix,
            sample_interval: 20_000,
            packets: Packets(20_000),
            bits: Bits(1),
        });
        assert_eq!(coarsest(&fine), 20_000);
        // Also of a system that does not count as attack.
        let mut coarse = row("203.0.113.0/24", 1_000_000);
        coarse.sample_interval = 1_000_000;
        let only: BTreeSet<String> = ["flowtrackd".to_owned()].into();
        assert_eq!(
            assign(&window(vec![coarse]), &[prefix], &only)[&prefix].max_sample_interval,
            1_000_000
        );
    }

    #[test]
    fn rows_within_a_bucket_are_summed_under_its_start() {
        let prefix: Prefix = "203.0.113.0/24".parse().unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let rows = [60, 61, 119].map(|second| DropRow {
            at: at(second),
            ..row("203.0.113.0/24", 10_000)
        });
        let shares = assign(&window(rows.to_vec()), &[prefix], &BTreeSet::new());
        let buckets: Vec<(Timestamp, u64)> = shares[&prefix]
            .drops
            .iter()
            .map(|(at, sum)| (*at, sum.packets.0))
            .collect();
        assert_eq!(buckets, [(at(60), 30_000)]);
    }
}
