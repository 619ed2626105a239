//! How fresh everything is that the page rests on, and how much of Cloudflare's budget is used.
//!
//! Must hold: what was never read is unknown and not fresh.

use std::time::Duration;

use cf_api::budget::Limits;
use cf_api::budget::window::PERIOD_S;
use db::budget::Counts;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::state::Tone;

/// A part of a quota from which on calls may be refused.
const HIGH: f64 = 0.7;

/// Something that is read again and again.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) at: Option<Timestamp>,
    pub(crate) tone: Tone,
}

impl Source {
    /// `fresh_for`: from then on it counts as old; `None` when it comes as it comes.
    pub(crate) fn of(name: &'static str, at: Option<Timestamp>, fresh_for: Option<Duration>, now: Timestamp) -> Self {
        let tone = match (at, fresh_for) {
            (Some(at), Some(limit)) if since(now, at) > limit => Tone::Unknown,
            (Some(_), Some(_)) => Tone::Good,
            (None, Some(_)) => Tone::Unknown,
            (_, None) => Tone::Plain,
        };
        Self { name, at, tone }
    }
}

/// Calls of all our processes in the last five minutes, of those that Cloudflare allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Quota {
    pub(crate) name: &'static str,
    pub(crate) used: u32,
    pub(crate) of: u32,
    /// Cloudflare asked us to wait until then.
    pub(crate) locked_until: Option<Timestamp>,
    pub(crate) tone: Tone,
}

/// REST and GraphQL.
pub(crate) fn quotas(calls: &[Counts], now: Timestamp) -> Vec<Quota> {
    let limits = Limits::default();
    let since = now.as_second() - PERIOD_S;
    let quota = |name, index: usize, of: u32| {
        let used = calls
            .iter()
            .flat_map(|counts| counts.slots.iter())
            .filter(|(slot, _)| **slot > since)
            .map(|(_, counts)| counts[index])
            .fold(0, u32::saturating_add);
        let locked_until = calls
            .iter()
            .filter_map(|counts| counts.locked_until[index])
            .filter(|until| *until > now)
            .max();
        let high = f64::from(used) > f64::from(of) * HIGH;
        let tone = if locked_until.is_some() || high {
            Tone::Warn
        } else {
            Tone::Good
        };
        Quota {
            name,
            used,
            of,
            locked_until,
            tone,
        }
    };
    vec![
        quota("REST calls", 0, limits.rest),
        quota("GraphQL queries", 1, limits.graphql),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_last_five_minutes_count() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let counts = |slot, calls| Counts {
            slots: [(slot, calls)].into(),
            locked_until: [None, None],
        };
        let all = [
            counts(999_990, [30, 7]),
            counts(999_800, [10, 0]),
            counts(999_600, [900, 250]),
        ];
        let found = quotas(&all, now);
        assert_eq!((found[0].used, found[0].of, found[0].tone), (40, 1_200, Tone::Good));
        assert_eq!((found[1].used, found[1].of), (7, 300));
        let locked = Counts {
            slots: [].into(),
            locked_until: [None, Some(Timestamp::from_second(1_000_060).unwrap())],
        };
        assert_eq!(quotas(&[locked], now)[1].tone, Tone::Warn);
    }

    #[test]
    fn what_was_never_read_is_unknown() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let minute = Some(Duration::from_secs(60));
        let tone =
            |at: Option<i64>, limit| Source::of("x", at.map(|at| Timestamp::from_second(at).unwrap()), limit, now).tone;
        assert_eq!(tone(None, minute), Tone::Unknown);
        assert_eq!(tone(Some(999_990), minute), Tone::Good);
        assert_eq!(tone(Some(999_900), minute), Tone::Unknown);
        assert_eq!(tone(None, None), Tone::Plain);
    }
}
