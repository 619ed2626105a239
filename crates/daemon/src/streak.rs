//! Repeated failures, told without flooding the log.
//!
//! The first failure of a streak is worth a line, then the second, fourth, eighth and so on, then the recovery with how
//! many there were and how long it took. This only says *when* to speak; the caller writes the line, so that event name
//! and fields are found where the thing happens.

use std::time::Duration;

/// Counts failures in a row. One per thing that can fail (one upstream, one table, one listener).
#[derive(Debug, Clone, Default)]
pub struct Streak {
    failures: u64,
    since: Duration,
}

/// A streak of failures as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Failures in a row, at least 1.
    pub failures: u64,
    /// Time from the first of them to now.
    pub lasted: Duration,
}

impl Streak {
    /// No failure so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a failure at `now` (a monotonic reading). Returns the run when it is worth a line: at the first failure
    /// and whenever the number of failures has doubled.
    pub fn failed(&mut self, now: Duration) -> Option<Run> {
        if self.failures == 0 {
            self.since = now;
        }
        self.failures = self.failures.saturating_add(1);
        self.failures.is_power_of_two().then(|| self.run(now))
    }

    /// Notes a success at `now`. Returns the run it ended, if there was one.
    pub fn recovered(&mut self, now: Duration) -> Option<Run> {
        let ended = (self.failures > 0).then(|| self.run(now));
        self.failures = 0;
        ended
    }

    /// Failures in a row at this moment; 0 when the last attempt succeeded.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    fn run(&self, now: Duration) -> Run {
        Run {
            failures: self.failures,
            lasted: now.saturating_sub(self.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn speaks_at_the_first_and_at_doublings() {
        let mut streak = Streak::new();
        let spoken: Vec<u64> = (1..=70)
            .filter_map(|n| streak.failed(at(n)).map(|run| run.failures))
            .collect();
        assert_eq!(spoken, [1, 2, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn recovery_tells_how_many_and_how_long_then_starts_anew() {
        let mut streak = Streak::new();
        assert_eq!(streak.recovered(at(1)), None);
        for second in 10..15 {
            streak.failed(at(second));
        }
        let run = streak.recovered(at(70)).expect("a streak ended");
        assert_eq!((run.failures, run.lasted), (5, at(60)));
        assert_eq!(streak.recovered(at(71)), None);
        assert_eq!(
            streak.failed(at(100)).map(|run| (run.failures, run.lasted)),
            Some((1, at(0)))
        );
    }
}
