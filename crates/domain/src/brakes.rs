//! Rule 8: what slows automation down when calm looks proven but haste would be unwise.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prefix::Prefix;
use crate::time::{minus, plus};

/// A day, over which repeated withdrawals of one prefix count as flapping.
pub const FLAP_MEMORY: Duration = Duration::from_secs(86_400);

/// The longest calm period that flapping leads to (a longer configured one stays as it is).
pub const FLAP_CEILING: Duration = Duration::from_secs(7_200);

/// Prefixes that must turn calm together after blindness before their calm is distrusted.
pub const MASS_CALM_PREFIXES: usize = 3;

/// Unknown cycles in a row that count as blindness for [`mass_calm_restarts`].
pub const BLIND_CYCLES: u32 = 3;

/// The calm period in force for a prefix: doubled for each automatic withdrawal of it within the
/// last day, up to two hours.
pub fn calm_period(base: Duration, withdrawals: &[Timestamp], now: Timestamp) -> Duration {
    let day_ago = minus(now, FLAP_MEMORY);
    let repeats = withdrawals.iter().filter(|at| **at > day_ago).count();
    let mut period = base;
    for _ in 0..repeats.min(32) {
        if period >= FLAP_CEILING {
            break;
        }
        period = (period * 2).min(FLAP_CEILING.max(base));
    }
    period
}

/// Whether the hourly limit of automatic withdrawals is reached, and when the next may start.
pub fn hourly_limit(recent: &[Timestamp], limit: u32, now: Timestamp) -> Option<Timestamp> {
    let hour = Duration::from_secs(3_600);
    let mut within: Vec<Timestamp> = recent.iter().copied().filter(|at| *at > minus(now, hour)).collect();
    within.sort();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if within.len() < limit {
        return None;
    }
    let frees = within.get(within.len().saturating_sub(limit.max(1))).copied();
    Some(plus(frees.unwrap_or(now), hour))
}

/// What the mass-calm brake needs to know of each prefix in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalmTurn {
    /// The prefix.
    pub prefix: Prefix,
    /// Calm became proven in this cycle.
    pub turned_ready: bool,
    /// It was unknown for at least [`BLIND_CYCLES`] cycles, and its calm was not restarted since.
    pub after_blindness: bool,
}

/// The prefixes whose calm must start anew: three or more that turn calm in one cycle after three
/// unknown cycles. Data that comes back from an outage and calls everything calm at once is more
/// likely wrong than right. Once per gap.
pub fn mass_calm_restarts(turns: &[CalmTurn]) -> Vec<Prefix> {
    let suspicious: Vec<Prefix> = turns
        .iter()
        .filter(|turn| turn.turned_ready && turn.after_blindness)
        .map(|turn| turn.prefix)
        .collect();
    if suspicious.len() >= MASS_CALM_PREFIXES {
        suspicious
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn flapping_doubles_up_to_two_hours() {
        let base = Duration::from_secs(900);
        let now = at(86_400);
        assert_eq!(calm_period(base, &[], now), base);
        assert_eq!(calm_period(base, &[at(80_000)], now), base * 2);
        assert_eq!(calm_period(base, &[at(80_000), at(81_000)], now), base * 4);
        assert_eq!(calm_period(base, &[at(80_000); 9], now), FLAP_CEILING);
        assert_eq!(calm_period(base, &[at(-10)], now), base, "older than a day");
        let long = Duration::from_secs(10_000);
        assert_eq!(calm_period(long, &[at(80_000)], now), long, "never shortened");
    }

    #[test]
    fn hourly_limit_says_when_it_frees() {
        let now = at(3_600);
        let recent = [at(100), at(200), at(-100)];
        assert_eq!(hourly_limit(&recent, 3, now), None);
        assert_eq!(hourly_limit(&recent, 2, now), Some(at(3_700)));
        assert_eq!(hourly_limit(&recent, 1, now), Some(at(3_800)));
        assert!(hourly_limit(&[], 0, now).is_some(), "a limit of none blocks");
    }

    #[test]
    fn three_that_turn_calm_after_blindness_start_anew() {
        let turn = |text: &str, after_blindness| CalmTurn {
            prefix: text.parse().unwrap(),
            turned_ready: true,
            after_blindness,
        };
        let mut turns = vec![
            turn("192.0.2.0/24", true),
            turn("198.51.100.0/24", true),
            turn("203.0.113.0/24", false),
        ];
        assert!(mass_calm_restarts(&turns).is_empty());
        turns[2].after_blindness = true;
        assert_eq!(mass_calm_restarts(&turns).len(), 3);
    }
}
