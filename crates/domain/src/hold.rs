//! Holds and pauses: a person's word against automation. It always wins (rule 7).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::HoldId;
use crate::prefix::Prefix;
use crate::time::plus;

/// A hold on one prefix, or a pause of all automation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Row number.
    pub id: HoldId,
    /// The prefix held; `None` pauses everything.
    pub prefix: Option<Prefix>,
    /// Who set it, `user@host` or an account name.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it was set.
    pub created_at: Timestamp,
    /// When it ends by itself; `None` lasts until released.
    pub until: Option<Timestamp>,
}

impl Hold {
    /// Whether it is in force at `now` for `prefix`. A hold on a wider or narrower network that
    /// overlaps counts: holding the parent holds its children, and a withdrawal of the parent
    /// would take a held child with it.
    pub fn applies(&self, prefix: Prefix, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until) && self.prefix.is_none_or(|held| held.overlaps(prefix))
    }
}

/// The hold that wins for `prefix` at `now`: the one that lasts longest, open-ended first.
pub fn in_force(holds: &[Hold], prefix: Prefix, now: Timestamp) -> Option<&Hold> {
    holds
        .iter()
        .filter(|hold| hold.applies(prefix, now))
        .max_by_key(|hold| hold.until.unwrap_or(Timestamp::MAX))
}

/// When automation may act again after a hold that ends by itself (rule 7): its end is announced
/// `notice` before anything may follow. One that was set for less than that, or that ran out while
/// nobody was there to announce it, goes on until it has been announced for that long. `None` when
/// it binds no more.
pub fn binds_until(
    until: Timestamp,
    announced_at: Option<Timestamp>,
    notice: Duration,
    now: Timestamp,
) -> Option<Timestamp> {
    let announced = announced_at.unwrap_or(now).min(now);
    let ends = until.max(plus(announced, notice));
    (ends > now).then_some(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(prefix: Option<&str>, until: Option<i64>) -> Hold {
        Hold {
            id: HoldId(1),
            prefix: prefix.map(|text| text.parse().unwrap()),
            actor: "ana@noc".into(),
            reason: "maintenance".into(),
            created_at: Timestamp::UNIX_EPOCH,
            until: until.map(|s| Timestamp::from_second(s).unwrap()),
        }
    }

    #[test]
    fn the_longest_hold_wins_and_pauses_cover_everything() {
        let prefix = "203.0.113.0/24".parse().unwrap();
        let holds = [
            hold(Some("203.0.113.0/24"), Some(100)),
            hold(None, None),
            hold(None, Some(50)),
        ];
        let now = Timestamp::from_second(10).unwrap();
        assert_eq!(in_force(&holds, prefix, now), Some(&holds[1]));
        assert_eq!(in_force(&holds[2..], prefix, Timestamp::from_second(50).unwrap()), None);
        assert_eq!(in_force(&holds[..1], "198.51.100.0/24".parse().unwrap(), now), None);
    }

    #[test]
    fn no_hold_ends_before_its_end_was_announced_for_long_enough() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let notice = Duration::from_secs(600);
        let ends = |announced: Option<i64>, now| binds_until(at(1_000), announced.map(at), notice, at(now));
        assert_eq!(ends(Some(400), 999), Some(at(1_000)));
        assert_eq!(ends(Some(400), 1_000), None);
        // Nobody was there to announce it: from now on it takes as long as if somebody had been.
        assert_eq!(ends(None, 5_000), Some(at(5_600)));
        assert_eq!(ends(Some(5_000), 5_599), Some(at(5_600)));
        assert_eq!(ends(Some(5_000), 5_600), None);
        // An announcement from the future was made before a clock was set back.
        assert_eq!(ends(Some(9_000), 2_000), Some(at(2_600)));
    }
}
