//! Whose turn it is to be listed: parents with advertised prefixes in every cycle as far as the
//! share of the quota allows, the others in rotation.

use std::collections::BTreeSet;
use std::time::Duration;

/// Share of the REST quota (1,200 calls in 5 minutes) that list calls may use.
const QUOTA_SHARE_PERCENT: u32 = 8;

/// How many parents may be listed per cycle within the share of the quota; at least one.
pub(super) fn parents_per_cycle(check_interval: Duration) -> usize {
    let calls_per_window = 1_200 * QUOTA_SHARE_PERCENT / 100;
    let per_cycle = check_interval.as_secs_f64() * f64::from(calls_per_window) / 300.0;
    // One of them is the list of the parents themselves, which large accounts read in every cycle.
    (per_cycle.floor() as usize).saturating_sub(1).max(1)
}

/// Where each of the two rotations stands: at the id that was listed last.
#[derive(Debug, Default)]
pub(super) struct Turns {
    hot: Rotation,
    cold: Rotation,
    cold_is_next: bool,
}

impl Turns {
    /// The parents to list in this cycle, at most `slots`. `hot` have advertised prefixes or could
    /// not be read last time.
    pub(super) fn next(&mut self, hot: &BTreeSet<String>, cold: &BTreeSet<String>, slots: usize) -> Vec<String> {
        let (mut for_hot, mut for_cold) = shares(hot.len(), cold.len(), slots);
        if for_hot + for_cold > slots {
            // A single slot: in turns.
            (for_hot, for_cold) = if self.cold_is_next { (0, 1) } else { (1, 0) };
            self.cold_is_next = !self.cold_is_next;
        }
        let mut turn = self.hot.next(hot, for_hot);
        turn.extend(self.cold.next(cold, for_cold));
        turn
    }
}

/// Slots of the hot and the cold ones. Both are at least one where there are any, so that no
/// parent is forgotten; their sum is larger than `slots` only when there is a single slot.
fn shares(hot: usize, cold: usize, slots: usize) -> (usize, usize) {
    let for_hot = match cold {
        0 => hot.min(slots),
        _ => hot.min(slots.saturating_sub(1).max(1)),
    };
    let for_cold = match hot {
        0 => cold.min(slots),
        _ => cold.min(slots.saturating_sub(for_hot).max(1)),
    };
    (for_hot, for_cold)
}

/// Cycles until every parent was listed once more.
pub(super) fn cycles_per_round(hot: usize, cold: usize, slots: usize) -> usize {
    let (for_hot, for_cold) = shares(hot, cold, slots);
    let rounds = hot.div_ceil(for_hot.max(1)).max(cold.div_ceil(for_cold.max(1))).max(1);
    if for_hot + for_cold > slots { rounds * 2 } else { rounds }
}

/// A rotation over ids that come and go.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    last: Option<String>,
}

impl Rotation {
    /// The next `count` of `among` after the last one, which may be gone by now.
    pub(crate) fn next(&mut self, among: &BTreeSet<String>, count: usize) -> Vec<String> {
        let last = self.last.clone().unwrap_or_default();
        let after = among.iter().filter(|id| **id > last);
        let before = among.iter().filter(|id| **id <= last);
        let turn: Vec<String> = after.chain(before).take(count).cloned().collect();
        if let Some(newest) = turn.last() {
            self.last = Some(newest.clone());
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(prefix: &str, count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("{prefix}{number:03}")).collect()
    }

    #[test]
    fn list_calls_stay_within_their_share() {
        for seconds in [5u64, 60, 300] {
            let per_cycle = parents_per_cycle(Duration::from_secs(seconds)) as u64;
            assert!(per_cycle * 300 / seconds <= 96 || per_cycle == 1, "{seconds} s");
        }
    }

    #[test]
    fn advertised_ones_come_every_cycle_and_all_others_within_a_round() {
        for (hot, cold, slots) in [
            (3, 40, 19),
            (0, 40, 19),
            (30, 40, 19),
            (5, 0, 19),
            (1, 1, 1),
            (4, 9, 1),
            (2, 3, 2),
        ] {
            let (hot_ids, cold_ids) = (ids("h", hot), ids("c", cold));
            let round = cycles_per_round(hot, cold, slots);
            let mut turns = Turns::default();
            // From any point of the rotation, a round reaches everybody.
            for _ in 0..7 {
                turns.next(&hot_ids, &cold_ids, slots);
            }
            let mut seen = BTreeSet::new();
            for _ in 0..round {
                let turn = turns.next(&hot_ids, &cold_ids, slots);
                assert!(turn.len() <= slots, "{turn:?}");
                if hot < slots {
                    assert!(hot_ids.iter().all(|id| turn.contains(id)) || slots == 1, "{turn:?}");
                }
                seen.extend(turn);
            }
            assert_eq!(seen.len(), hot + cold, "{hot} {cold} {slots}: {round} cycles");
        }
    }

    #[test]
    fn a_parent_that_changes_sides_makes_nobody_wait_longer() {
        let mut cold = ids("c", 4);
        let mut turns = Turns::default();
        assert_eq!(turns.next(&BTreeSet::new(), &cold, 1), ["c000"]);
        cold.remove("c000");
        assert_eq!(turns.next(&BTreeSet::new(), &cold, 1), ["c001"]);
    }
}
