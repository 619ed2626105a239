//! A sliding quota with a lock-out: going over blocks every call for a whole further window, as Cloudflare documents it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// One quota.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u32,
    window: Duration,
    used: VecDeque<Timestamp>,
    locked_until: Option<Timestamp>,
}

/// State after a request was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Whole seconds until the window is free again, at least 1.
    pub(crate) reset_s: u64,
    pub(crate) refused: bool,
}

impl Quota {
    /// `limit` 0 switches it off.
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            used: VecDeque::new(),
            locked_until: None,
        }
    }

    pub(crate) fn take(&mut self, now: Timestamp) -> Tally {
        if self.limit == 0 {
            return Tally {
                limit: 0,
                remaining: u32::MAX,
                reset_s: 1,
                refused: false,
            };
        }
        if let Some(until) = self.locked_until {
            if now < until {
                return Tally {
                    limit: self.limit,
                    remaining: 0,
                    reset_s: whole_seconds(now, until),
                    refused: true,
                };
            }
            self.locked_until = None;
            self.used.clear();
        }
        while self
            .used
            .front()
            .is_some_and(|t| now.duration_since(*t).unsigned_abs() >= self.window)
        {
            self.used.pop_front();
        }
        if self.used.len() >= self.limit as usize {
            let until = plus(now, self.window);
            self.locked_until = Some(until);
            return Tally {
                limit: self.limit,
                remaining: 0,
                reset_s: whole_seconds(now, until),
                refused: true,
            };
        }
        self.used.push_back(now);
        let free_at = self.used.front().map_or(now, |t| plus(*t, self.window));
        Tally {
            limit: self.limit,
            remaining: self.remaining(),
            reset_s: whole_seconds(now, free_at),
            refused: false,
        }
    }

    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    pub(crate) fn remaining(&self) -> u32 {
        self.limit
            .saturating_sub(u32::try_from(self.used.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn view(&self) -> (u32, usize, Option<Timestamp>) {
        (self.limit, self.used.len(), self.locked_until)
    }
}

/// `at` plus `by`; the end of time when that does not fit.
pub(crate) fn plus(at: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at` minus `by`; the beginning of time when that does not fit.
pub(crate) fn minus(at: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn whole_seconds(now: Timestamp, until: Timestamp) -> u64 {
    let left = until.duration_since(now).as_millis();
    u64::try_from(left).unwrap_or(0).div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_over_blocks_everything_for_a_window() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let at = |s: u64| plus(start, Duration::from_secs(s));
        let mut quota = Quota::new(3, Duration::from_secs(300));
        for s in 0..3 {
            assert!(!quota.take(at(s)).refused);
        }
        let over = quota.take(at(3));
        assert!(over.refused);
        assert_eq!(over.reset_s, 300);
        // The first request left the sliding window long before, but the lock-out holds.
        assert!(quota.take(at(302)).refused);
        let free = quota.take(at(304));
        assert!(!free.refused);
        assert_eq!(free.remaining, 2);
    }
}
