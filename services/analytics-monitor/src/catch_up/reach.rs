//! Which part of the history a turn reads.

use std::time::Duration;

use domain::time::{floor_to, minus, plus, since};
use jiff::Timestamp;

/// How far before the cursor a turn begins: an entry may appear in the history later than others
/// that were dispatched after it. Entries are remembered, so reading them again costs one request.
const OVERLAP: Duration = Duration::from_secs(3_600);

/// How far the first turn on a database goes back. An attack of that time may still be going on;
/// what is older is the past of another system, and nobody must be woken by it.
const FIRST: Duration = Duration::from_secs(86_400);

/// How long Cloudflare keeps the history at least (90 days for Enterprise accounts).
const KEPT_AT_LEAST: Duration = Duration::from_secs(30 * 86_400);

/// How long Cloudflare keeps it at most.
const KEPT_AT_MOST: Duration = Duration::from_secs(90 * 86_400);

/// How long a notification may be on its way to the receiver.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// How long deliveries that are not read yet hold up the catching up.
const UNREAD_AT_MOST: Duration = Duration::from_secs(600);

/// The filters of the history take whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// What a turn asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Dispatched at or after.
    pub since: Timestamp,
    /// Dispatched before.
    pub before: Timestamp,
    /// The cursor was later than our clock, which was set back or wrong: the turn reads as if it
    /// were the first.
    pub cursor_ahead: bool,
    /// Begin of a time that Cloudflare may no longer have.
    pub lost_since: Option<Timestamp>,
}

/// From the cursor, less an overlap, to `settle` before now.
pub fn reach(cursor: Option<Timestamp>, now: Timestamp, settle: Duration) -> Reach {
    let before = floor_to(minus(now, settle), SECOND);
    let cursor_ahead = cursor.is_some_and(|cursor| cursor > now);
    let since_when = match cursor.filter(|_| !cursor_ahead) {
        Some(cursor) => minus(cursor.min(before), OVERLAP),
        None => minus(before, FIRST),
    };
    Reach {
        since: floor_to(since_when.max(minus(before, KEPT_AT_MOST)), SECOND),
        before,
        cursor_ahead,
        lost_since: cursor.filter(|cursor| *cursor < minus(now, KEPT_AT_LEAST)),
    }
}

impl Reach {
    /// As far as deliveries are read: `unread` is when the oldest came that is not. None when that leaves nothing. One that is not
    /// read for long holds up nothing: when it is, it is counted on what was recovered.
    pub fn up_to(self, unread: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let Some(unread) = unread.filter(|at| since(now, *at) < UNREAD_AT_MOST) else {
            return Some(self);
        };
        let before = floor_to(minus(unread, ON_ITS_WAY), SECOND).min(self.before);
        (before > self.since).then_some(Self { before, ..self })
    }
}

/// The middle of a span, for reading its older half first; none when it cannot be halved.
pub fn half(from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let half = floor_to(plus(from, since(to, from) / 2), SECOND);
    (half > from && half < to).then_some(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(60);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-03-27T02:30:00.7Z")
    }

    #[test]
    fn the_first_turn_goes_back_one_day() {
        let first = reach(None, now(), SETTLE);
        assert_eq!(first.since, at("2026-03-26T02:29:00Z"));
        assert_eq!(first.before, at("2026-03-27T02:29:00Z"), "whole seconds, settled");
        assert_eq!((first.cursor_ahead, first.lost_since), (false, None));
    }

    #[test]
    fn what_is_not_read_yet_is_left_for_a_later_turn_but_not_for_ever() {
        let whole = reach(Some(at("2026-03-27T02:26:00Z")), now(), SETTLE);
        assert_eq!(whole.up_to(None, now()), Some(whole));
        let capped = whole.up_to(Some(at("2026-03-27T02:28:30.5Z")), now()).unwrap();
        assert_eq!(
            capped.before,
            at("2026-03-27T02:27:30Z"),
            "one may be on its way for a minute"
        );
        assert_eq!(capped.since, whole.since);
        assert_eq!(
            whole.up_to(Some(now()), now()),
            Some(whole),
            "it came later than what is asked for"
        );
        let short = Reach {
            since: at("2026-03-27T02:28:00Z"),
            ..whole
        };
        assert_eq!(short.up_to(Some(at("2026-03-27T02:28:30Z")), now()), None);
        assert_eq!(
            whole.up_to(Some(at("2026-03-27T02:19:00Z")), now()),
            Some(whole),
            "too long unread"
        );
    }

    #[test]
    fn later_turns_begin_before_the_cursor_however_old_it_is() {
        let next = reach(Some(at("2026-03-27T02:26:00Z")), now(), SETTLE);
        assert_eq!(next.since, at("2026-03-27T01:26:00Z"));
        // The settling time was made longer: nothing new, and nothing is read backwards.
        let next = reach(Some(at("2026-03-27T02:29:59Z")), now(), SETTLE);
        assert_eq!(next.since, at("2026-03-27T01:29:00Z"));
        let next = reach(Some(at("2026-03-17T02:30:00Z")), now(), SETTLE);
        assert_eq!((next.since, next.lost_since), (at("2026-03-17T01:30:00Z"), None));
    }

    #[test]
    fn what_cloudflare_may_have_forgotten_is_said() {
        let cursor = at("2026-02-01T00:00:00Z");
        let next = reach(Some(cursor), now(), SETTLE);
        assert_eq!(next.lost_since, Some(cursor));
        assert_eq!(
            next.since,
            at("2026-01-31T23:00:00Z"),
            "an Enterprise account may still have it"
        );
        let next = reach(Some(at("2025-01-01T00:00:00Z")), now(), SETTLE);
        assert_eq!(next.since, at("2025-12-27T02:29:00Z"), "nobody has more than 90 days");
    }

    #[test]
    fn a_cursor_of_the_future_is_none() {
        let next = reach(Some(at("2026-03-27T02:31:00Z")), now(), SETTLE);
        assert!(next.cursor_ahead);
        assert_eq!(next.since, reach(None, now(), SETTLE).since);
    }

    #[test]
    fn halves_until_a_second() {
        assert_eq!(
            half(at("2026-03-27T02:00:00Z"), at("2026-03-27T02:00:05Z")),
            Some(at("2026-03-27T02:00:02Z"))
        );
        assert_eq!(half(at("2026-03-27T02:00:00Z"), at("2026-03-27T02:00:01Z")), None);
    }
}
