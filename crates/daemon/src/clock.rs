//! What time it is, as a value that is passed in.
//!
//! Decisions never read the clock themselves; whoever calls them holds a [`Clock`]. Two readings exist and must not be
//! mixed: [`Clock::now`] is the wall clock, which an administrator or NTP may step at any moment, and
//! [`Clock::monotonic`] only ever moves forward, so every limit and every age is measured with it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A source of time. Cheap to call, never blocks.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall clock in UTC. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since this clock was made. Never goes back, never jumps with the wall clock.
    fn monotonic(&self) -> Duration;
}

/// A clock shared by all parts of a process.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
///
/// The monotonic reading comes from tokio's clock, so a test that pauses tokio's time pauses this one with it.
#[derive(Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    pub fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// The same, ready to be shared.
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told; for tests and for replaying recorded incidents.
#[derive(Debug)]
pub struct ManualClock {
    reading: Mutex<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that shows `wall` and a monotonic reading of zero.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            reading: Mutex::new(Reading {
                wall,
                monotonic: Duration::ZERO,
            }),
        }
    }

    /// Lets time pass: both readings move by `by`. The wall clock stays at its end when it would leave the calendar.
    pub fn advance(&self, by: Duration) {
        let mut reading = self.reading();
        reading.monotonic = reading.monotonic.saturating_add(by);
        let step = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        reading.wall = reading.wall.saturating_add(step).unwrap_or(Timestamp::MAX);
    }

    /// Steps the wall clock alone, as an administrator or NTP does. The monotonic reading is untouched.
    pub fn step_wall(&self, by: SignedDuration) {
        let mut reading = self.reading();
        let edge = if by.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        reading.wall = reading.wall.checked_add(by).unwrap_or(edge);
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.reading().wall
    }

    fn monotonic(&self) -> Duration {
        self.reading().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn midnight() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a valid instant")
    }

    #[test]
    fn advancing_moves_both_readings() {
        let clock = ManualClock::at(midnight());
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:01.5Z");
        assert_eq!(clock.monotonic(), Duration::from_millis(1500));
    }

    #[test]
    fn a_step_of_the_wall_clock_leaves_the_monotonic_reading() {
        let clock = ManualClock::at(midnight());
        clock.advance(Duration::from_secs(10));
        clock.step_wall(SignedDuration::from_hours(-3));
        assert_eq!(clock.now().to_string(), "2025-12-31T21:00:10Z");
        assert_eq!(clock.monotonic(), Duration::from_secs(10));
    }

    #[test]
    fn the_ends_of_the_calendar_are_kept() {
        let clock = ManualClock::at(Timestamp::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
        clock.step_wall(SignedDuration::MIN);
        assert_eq!(clock.now(), Timestamp::MIN);
    }
}
