//! Waiting times and sizes of the drain, with where they come from.

use std::time::Duration;

use db::outbox::{Grouping, Pace};

/// Everything about the drain that a test makes shorter. The default is for production.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How long a claimed row is kept from other processes: a request (15 s) and slow writes on both sides fit in.
    pub lease: Duration,
    /// How often other processes' commits are looked for.
    pub poll: Duration,
    /// Longest time without a look at the queue, whatever the change counter says.
    pub longest_rest: Duration,
    /// The chat's pace; `None` takes Telegram's limits for its kind of chat.
    pub pace: Option<Pace>,
    /// What is sent as one message.
    pub grouping: Grouping,
    /// First waiting time of a message after a failed try; doubles.
    pub backoff: Duration,
    /// Longest waiting time of a message after failed tries.
    pub backoff_most: Duration,
    /// Longest pause of the whole chat while requests fail: at most so long after Telegram is back something is tried.
    pub pause_most: Duration,
    /// How long this process leaves a chat alone that nothing can be sent to.
    pub broken_pause: Duration,
    /// Smallest distance of two summaries of what was too old.
    pub summary_gap: Duration,
    /// Nothing has reached the chat for this long although something waits: other channels are told, and the journal.
    pub stuck_after: Duration,
    /// How often old rows are looked for.
    pub upkeep_every: Duration,
    /// Without a chat: how long a row waits for another process that has one.
    pub no_chat_grace: Duration,
    /// First pause after the database failed; doubles.
    pub db_pause: Duration,
    /// Longest pause after the database failed.
    pub db_pause_most: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            longest_rest: Duration::from_secs(5),
            pace: None,
            grouping: Grouping {
                same_group: 3,
                storm: 15,
                most: 40,
            },
            backoff: Duration::from_secs(1),
            backoff_most: Duration::from_secs(60),
            pause_most: Duration::from_secs(30),
            broken_pause: Duration::from_secs(300),
            summary_gap: Duration::from_secs(600),
            stuck_after: Duration::from_secs(300),
            upkeep_every: Duration::from_secs(30),
            no_chat_grace: Duration::from_secs(600),
            db_pause: Duration::from_millis(250),
            db_pause_most: Duration::from_secs(10),
        }
    }
}

/// Telegram's limits (bot FAQ): about one message a second in one chat, twenty a minute in a group. The window is a
/// little longer than a minute, because the server counts arrivals and we count starts. A fifth of a group's minute is
/// kept for critical notices.
pub(super) fn pace_of(is_group: bool) -> Pace {
    let (per_window, reserve) = if is_group { (20, 4) } else { (60, 5) };
    Pace {
        per_window,
        reserve,
        window: Duration::from_secs(61),
        gap: Duration::from_secs(1),
    }
}

/// `first` doubled with every failure after the first, at most `most`.
pub(crate) fn doubling(first: Duration, failures: u32, most: Duration) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

/// A waiting time between half of it and all of it, so that processes do not move in step. `draw` is from 0 to 1.
pub(crate) fn spread(wait: Duration, draw: f64) -> Duration {
    let draw = if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 0.5 };
    wait.mul_f64(0.5 + draw / 2.0)
}

/// How long the whole chat is left alone after a failure, given how long it has been failing: a quarter of that, at
/// least a second.
pub(super) fn chat_pause(failing: Duration, most: Duration) -> Duration {
    (failing / 4).clamp(Duration::from_secs(1).min(most), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waiting_times_double_up_to_their_limit() {
        let waits: Vec<u64> = (0..9)
            .map(|failures| doubling(s(1), failures, s(60)).as_secs())
            .collect();
        assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(doubling(s(1), u32::MAX, s(60)), s(60));
    }

    #[test]
    fn spread_stays_between_half_and_all() {
        for draw in [0.0, 0.3, 0.999, 1.0, -3.0, f64::NAN, f64::INFINITY] {
            let wait = spread(s(8), draw);
            assert!((s(4)..=s(8)).contains(&wait), "{draw}: {wait:?}");
        }
        assert!(spread(s(8), 0.9) > spread(s(8), 0.1));
    }

    #[test]
    fn the_chat_is_tried_again_soon_after_a_short_failure() {
        assert_eq!(chat_pause(s(0), s(30)), s(1));
        assert_eq!(chat_pause(s(40), s(30)), s(10));
        assert_eq!(chat_pause(s(86_400), s(30)), s(30));
        assert_eq!(chat_pause(s(0), Duration::from_millis(50)), Duration::from_millis(50));
    }

    #[test]
    fn defaults_fit_together() {
        let limits = Limits::default();
        assert!(limits.lease > crate::telegram::DEADLINE * 3);
        for is_group in [true, false] {
            let pace = pace_of(is_group);
            assert!(pace.reserve < pace.per_window && pace.window > s(60));
        }
    }
}
