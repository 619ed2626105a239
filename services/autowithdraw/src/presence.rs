//! Whether the traffic of an answer is that of a prefix's own advertisement.
//!
//! One query serves all prefixes, so it begins where the prefix that needs most of it begins, and what passed carries
//! no instant: beside a prefix that is advertised for long, a fresh one could not tell its own first rows from an
//! earlier advertisement's. A second, later look at what passed can. Must hold: a row that may be older than the
//! advertisement proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_api::graphql::traffic::TrafficAnswer;
use domain::bgp::Epoch;
use domain::calm::FUTURE_TOLERANCE;
use domain::evidence::PrefixTraffic;
use domain::prefix::{Prefix, PrefixMap, owners_of};
use domain::time::{ceil_to, floor_to, plus};
use jiff::Timestamp;

/// Where the second look begins: with the youngest advertisement of which no traffic was seen yet, so that it serves
/// all of them. Without any there is nothing to find, and it is as short as can be.
pub(crate) fn recent_from(unseen: &BTreeMap<Prefix, Epoch>, from: Timestamp, to: Timestamp) -> Timestamp {
    let second = Duration::from_secs(1);
    let youngest = unseen.values().map(|epoch| ceil_to(epoch.0, second)).max();
    youngest.unwrap_or(to).clamp(from, to.max(from))
}

/// Cuts the shares of prefixes of which no traffic was seen yet to their own advertisement.
pub(crate) fn cut_to_own(
    shares: &mut BTreeMap<Prefix, PrefixTraffic>,
    unseen: &BTreeMap<Prefix, Epoch>,
    answer: &TrafficAnswer,
    recent_from: Timestamp,
    now: Timestamp,
) {
    let owners: PrefixMap<()> = shares.keys().map(|prefix| (*prefix, ())).collect();
    let passed_lately: BTreeSet<Prefix> = answer
        .recent
        .iter()
        .flat_map(|row| owners_of(&owners, row.subnet))
        .collect();
    for (prefix, epoch) in unseen {
        let Some(share) = shares.get_mut(prefix) else { continue };
        let begins = floor_to(epoch.0, share.bucket);
        if share.from > begins {
            // All of it is later than the begin.
            continue;
        }
        let not_after = plus(now, FUTURE_TOLERANCE);
        let dropped = answer.window.drops.iter().any(|row| {
            row.at >= begins
                && row.at <= not_after
                && owners_of(&owners, row.subnet).into_iter().any(|own| own == *prefix)
        });
        let passed = recent_from >= epoch.0 && passed_lately.contains(prefix);
        share.saw_rows = dropped || passed;
        share.from = begins;
        share.drops = share.drops.split_off(&begins);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cf_api::graphql::traffic::QueryCost;
    use domain::evidence::{DropRow, PassedRow, TrafficWindow, assign};
    use domain::units::{Bits, Packets};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_040 + minute * 60).unwrap()
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn passed(subnet: &str) -> PassedRow {
        PassedRow {
            subnet: prefix(subnet),
            sample_interval: 10_000,
            packets: Packets(10_000),
            bits: Bits(1),
        }
    }

    fn answer(all: &[&str], recent: &[&str], drops: Vec<DropRow>) -> TrafficAnswer {
        TrafficAnswer {
            window: TrafficWindow {
                from: at(0),
                to: at(40),
                bucket: Duration::from_secs(60),
                newest_row: Some(at(39)),
                drops,
                drops_truncated: false,
                passed: all.iter().map(|subnet| passed(subnet)).collect(),
                passed_truncated: false,
            },
            recent: recent.iter().map(|subnet| passed(subnet)).collect(),
            cost: QueryCost {
                cost: None,
                budget: None,
            },
        }
    }

    const OLD: &str = "198.51.100.0/24";
    const FRESH: &str = "203.0.113.0/24";
    const OTHER: &str = "192.0.2.0/24";

    /// What is seen of `FRESH`, advertised since minute 30, and of `OTHER`, since minute 20.
    fn cut(answer: &TrafficAnswer) -> BTreeMap<Prefix, PrefixTraffic> {
        let unseen: BTreeMap<Prefix, Epoch> = [(prefix(FRESH), Epoch(at(30))), (prefix(OTHER), Epoch(at(20)))].into();
        let begins = recent_from(&unseen, at(0), at(40));
        assert_eq!(begins, at(30));
        let all = [prefix(OLD), prefix(FRESH), prefix(OTHER)];
        let mut shares = assign(&answer.window, &all, &BTreeSet::new());
        cut_to_own(&mut shares, &unseen, answer, begins, at(40));
        shares
    }

    #[test]
    fn what_passed_since_the_youngest_began_proves_all_that_began_before() {
        let shares = cut(&answer(&[OLD, FRESH, OTHER], &[OLD, FRESH, OTHER], vec![]));
        for (name, from) in [(FRESH, 30), (OTHER, 20)] {
            let share = &shares[&prefix(name)];
            assert!(share.saw_rows, "{name}");
            assert_eq!(share.from, at(from), "{name}");
        }
        assert_eq!(shares[&prefix(OLD)].from, at(0), "the old one keeps its window");
    }

    #[test]
    fn what_passed_before_it_proves_nothing() {
        let shares = cut(&answer(&[OLD, FRESH, OTHER], &[OLD], vec![]));
        assert!(!shares[&prefix(FRESH)].saw_rows && !shares[&prefix(OTHER)].saw_rows);
        assert!(shares[&prefix(OLD)].saw_rows);
    }

    #[test]
    fn a_drop_proves_it_from_its_own_begin_whatever_dropped_it() {
        let dropped = |minute| DropRow {
            at: at(minute),
            subnet: prefix(FRESH),
            system: "magic-firewall".into(),
            sample_interval: 10_000,
            packets: Packets(10_000),
            bits: Bits(1),
        };
        let seen = |minute| {
            let shares = cut(&answer(&[OLD], &[OLD], vec![dropped(minute)]));
            let share = &shares[&prefix(FRESH)];
            (share.saw_rows, share.drops.len())
        };
        assert_eq!(seen(29), (false, 0));
        assert_eq!(seen(30), (true, 1));
        assert!(!seen(60).0, "rows of the future prove nothing");
    }

    #[test]
    fn without_anybody_unseen_the_second_look_is_empty() {
        assert_eq!(recent_from(&BTreeMap::new(), at(0), at(40)), at(40));
        let early: BTreeMap<Prefix, Epoch> = [(prefix(OLD), Epoch(at(-100)))].into();
        assert_eq!(recent_from(&early, at(0), at(40)), at(0));
    }
}
