//! Rule 5: IPv4 and IPv6 go through the same code, networks are matched by containment, and
//! traffic belongs to the most specific prefix that is advertised.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use domain::decision::{PrefixState, Verdict, decide};
use domain::evidence::{DropRow, PassedRow, TrafficWindow, assign};
use domain::prefix::{Prefix, PrefixMap, owners_of};
use domain::units::{Bits, Packets};
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use crate::chaos::calmness;
use crate::support::{MIN, at, dur, inputs, policy};

/// Networks below 198.51.96.0/20: few enough that they nest and collide.
fn v4() -> impl Strategy<Value = Prefix> {
    (0_u32..1 << 12, 20_u8..=29).prop_map(|(host, length)| v4_net(host, length))
}

fn v4_net(host: u32, length: u8) -> Prefix {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 96, 0)) | host);
    Prefix::containing(Ipv4Net::new(address, length).unwrap().into())
}

/// The same network 32 bits further down, in 2001:db8::/32: containment is preserved exactly.
fn as_v6(prefix: Prefix) -> Prefix {
    let std::net::IpAddr::V4(address) = prefix.net().addr() else {
        panic!("{prefix} is not IPv4")
    };
    let bits = (u128::from(0x2001_0db8_u32) << 96) | (u128::from(u32::from(address)) << 64);
    Prefix::containing(Ipv6Net::new(Ipv6Addr::from(bits), 32 + prefix.length()).unwrap().into())
}

fn row_strategy() -> impl Strategy<Value = DropRow> {
    (
        v4(),
        20_i64..60,
        1_u64..6,
        prop::sample::select(vec![1_000_u64, 10_000]),
        40_u64..1_500,
        any::<bool>(),
    )
        .prop_map(|(subnet, minute, samples, sample_interval, size, dosd)| DropRow {
            at: at(minute * MIN),
            subnet,
            system: if dosd { "dosd".into() } else { "flowtrackd".into() },
            sample_interval,
            packets: Packets(samples * sample_interval),
            bits: Bits(samples * sample_interval * size * 8),
        })
}

fn window(drops: Vec<DropRow>, passed: &[Prefix]) -> TrafficWindow {
    TrafficWindow {
        from: at(0),
        to: at(60 * MIN),
        bucket: dur(MIN),
        newest_row: Some(at(59 * MIN)),
        drops,
        drops_truncated: false,
        passed: passed
            .iter()
            .map(|subnet| PassedRow {
                subnet: *subnet,
                sample_interval: 10_000,
                packets: Packets(10_000),
                bits: Bits(1),
            })
            .collect(),
        passed_truncated: false,
    }
}

/// The verdict for each advertised prefix.
fn verdicts(window: &TrafficWindow, advertised: &[Prefix]) -> Vec<(String, i64, u64)> {
    let shares = assign(window, advertised, &BTreeSet::new());
    advertised
        .iter()
        .map(|prefix| {
            let mut readings = inputs(60 * MIN, shares[prefix].clone());
            readings.prefix = *prefix;
            let decision = decide(&PrefixState::default(), &readings, &policy());
            let track = decision.state.calm.unwrap();
            (
                decision.verdict.key(),
                crate::support::secs(track.calm_since),
                track.proven().as_secs(),
            )
        })
        .collect()
}

proptest! {
    #[test]
    fn ipv4_and_ipv6_get_the_same_verdicts(
        advertised in prop::collection::btree_set(v4(), 1..6),
        rows in prop::collection::vec(row_strategy(), 0..12),
        passed in prop::collection::vec(v4(), 0..6),
    ) {
        let advertised: Vec<Prefix> = advertised.into_iter().collect();
        let four = verdicts(&window(rows.clone(), &passed), &advertised);
        let rows_six = rows.into_iter().map(|row| DropRow { subnet: as_v6(row.subnet), ..row }).collect();
        let passed_six: Vec<Prefix> = passed.into_iter().map(as_v6).collect();
        let advertised_six: Vec<Prefix> = advertised.iter().copied().map(as_v6).collect();
        prop_assert_eq!(four, verdicts(&window(rows_six, &passed_six), &advertised_six));
    }

    /// Every advertised prefix that a row may speak of counts it: the most specific one that
    /// contains the row, and all that lie inside the row.
    #[test]
    fn a_row_belongs_to_the_most_specific_advertised_prefix_around_it_and_to_all_inside_it(
        owners in prop::collection::btree_set(v4(), 0..8), subnet in v4(),
    ) {
        let expected: Vec<Prefix> = owners
            .iter()
            .copied()
            .filter(|owner| {
                let nearest = owner.contains(subnet)
                    && !owners.iter().any(|other| other != owner && owner.contains(*other) && other.contains(subnet));
                nearest || subnet.contains(*owner)
            })
            .collect();
        let map: PrefixMap<()> = owners.iter().map(|owner| (*owner, ())).collect();
        let mut found = owners_of(&map, subnet);
        prop_assert!(found.is_sorted());
        found.dedup();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_order_of_rows_does_not_matter(
        advertised in prop::collection::btree_set(v4(), 1..4),
        (rows, shuffled) in prop::collection::vec(row_strategy(), 0..12).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let advertised: Vec<Prefix> = advertised.into_iter().collect();
        prop_assert_eq!(
            assign(&window(rows, &[]), &advertised, &BTreeSet::new()),
            assign(&window(shuffled, &[]), &advertised, &BTreeSet::new())
        );
    }

    /// A row split at a whole number of samples is the same traffic. (A part of a sample does not
    /// exist; were there one, it would be counted as a whole.)
    #[test]
    fn splitting_a_row_does_not_change_the_verdict(
        rows in prop::collection::vec(row_strategy(), 1..8), part in 0_u64..6, index in any::<prop::sample::Index>(),
    ) {
        let advertised = [v4_net(0, 20)];
        let mut split = rows.clone();
        let which = index.index(split.len());
        let mut second = split[which].clone();
        let samples = second.packets.0 / second.sample_interval;
        let first_samples = part.min(samples);
        let first = &mut split[which];
        let first_bits = first.bits.0 / samples * first_samples;
        first.packets = Packets(first_samples * first.sample_interval);
        first.bits = Bits(first_bits);
        second.packets = Packets((samples - first_samples) * second.sample_interval);
        second.bits = Bits(second.bits.0 - first_bits);
        split.push(second);
        prop_assert_eq!(verdicts(&window(rows, &[]), &advertised), verdicts(&window(split, &[]), &advertised));
    }

    #[test]
    fn a_row_told_twice_never_makes_a_verdict_calmer(
        rows in prop::collection::vec(row_strategy(), 1..8), index in any::<prop::sample::Index>(),
    ) {
        let advertised = [v4_net(0, 20)];
        let calm = |rows: Vec<DropRow>| {
            let shares = assign(&window(rows, &[]), &advertised, &BTreeSet::new());
            let decision = decide(&PrefixState::default(), &inputs(60 * MIN, shares[&advertised[0]].clone()), &policy());
            (calmness(&decision.verdict), std::cmp::Reverse(decision.state.calm.unwrap().calm_since))
        };
        let mut twice = rows.clone();
        twice.push(rows[index.index(rows.len())].clone());
        let (once, twice) = (calm(rows), calm(twice));
        prop_assert!(twice.0 <= once.0 && twice.1 <= once.1);
    }
}

#[test]
fn a_row_wider_than_an_advertised_prefix_counts_for_it_although_a_wider_prefix_contains_the_row() {
    // A /24 row does not say whether the advertised /25 in it was meant.
    let (wide, narrow) = (v4_net(0, 22), v4_net(128, 25));
    let map: PrefixMap<()> = [(wide, ()), (narrow, ())].into_iter().collect();
    assert_eq!(owners_of(&map, v4_net(0, 24)), [wide, narrow]);
}

#[test]
fn rows_off_the_bucket_border_count() {
    // Whoever asks with another time dimension than the bucket says must not read calm.
    let prefix = v4_net(0, 24);
    let rows = (0..10)
        .map(|index| DropRow {
            at: at(58 * MIN + 7 + index),
            subnet: prefix,
            system: "dosd".into(),
            sample_interval: 10_000,
            packets: Packets(10_000),
            bits: Bits(80_000_000),
        })
        .collect();
    let shares = assign(&window(rows, &[prefix]), &[prefix], &BTreeSet::new());
    let decision = decide(
        &PrefixState::default(),
        &inputs(60 * MIN, shares[&prefix].clone()),
        &policy(),
    );
    assert_eq!(decision.verdict, Verdict::Attack);
}
