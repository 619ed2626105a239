//! Feeds systemd's watchdog from progress.
//!
//! Must hold: WATCHDOG=1 is sent only at moments at which every registered loop has made progress within its own limit,
//! and never when no loop is registered, because then nothing proves that work is done. A stall is logged once when it
//! begins and once when it ends, also where no service manager watches.
//!
//! The one exception is the drain after the stop signal: its loops end one by one, systemd goes on watching (seen with
//! version 252), and a kill in the middle of it would cut off what it is there to finish. It has its own limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::frame::Frame;
use crate::progress::LoopState;

/// How often stalls are looked for when nobody set a watchdog.
const UNWATCHED_PERIOD: Duration = Duration::from_secs(5);

/// Three chances within the limit, so that one late turn is not a restart.
const PINGS_PER_LIMIT: u32 = 3;

/// Looks after the loops of `frame` until dropped.
pub(crate) async fn watch(frame: Frame) {
    let limit = frame.watchdog();
    let period = limit
        .map_or(UNWATCHED_PERIOD, |limit| limit / PINGS_PER_LIMIT)
        .max(Duration::from_millis(1));
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stalls = Stalls::default();
    let mut warned = false;
    loop {
        turns.tick().await;
        if frame.shutdown().is_triggered() {
            if limit.is_some() {
                frame.notifier().watchdog();
            }
            continue;
        }
        let states = frame.progress().survey();
        if stalls.note(&states) && !states.is_empty() {
            if limit.is_some() {
                frame.notifier().watchdog();
            }
            warned = false;
        } else if states.is_empty() && frame.is_ready() && !warned {
            warned = true;
            tracing::warn!(event = "watchdog.nothing_registered");
        }
    }
}

/// The stalls known so far, by loop name.
#[derive(Debug, Default)]
struct Stalls {
    known: BTreeMap<Arc<str>, Duration>,
}

impl Stalls {
    /// Logs what began and what ended; returns whether every loop is in time.
    fn note(&mut self, states: &[LoopState]) -> bool {
        for state in states.iter().filter(|state| state.is_stalled()) {
            let seen = self.known.insert(Arc::clone(&state.name), state.age);
            if seen.is_none() {
                tracing::error!(
                    event = "watchdog.loop.stalled",
                    name = &*state.name,
                    silent_s = state.age.as_secs_f64(),
                    limit_s = state.limit.as_secs_f64(),
                );
            }
        }
        let in_time = |name: &Arc<str>| !states.iter().any(|state| state.name == *name && state.is_stalled());
        self.known.retain(|name, age| {
            let ended = in_time(name);
            if ended {
                tracing::warn!(
                    event = "watchdog.loop.recovered",
                    name = &**name,
                    silent_s = age.as_secs_f64()
                );
            }
            !ended
        });
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, age: u64) -> LoopState {
        LoopState {
            name: name.into(),
            age: Duration::from_secs(age),
            limit: Duration::from_secs(10),
        }
    }

    #[test]
    fn one_stalled_loop_is_enough_and_its_end_counts() {
        let mut stalls = Stalls::default();
        assert!(stalls.note(&[state("a", 1), state("b", 10)]));
        assert!(!stalls.note(&[state("a", 1), state("b", 11)]));
        assert!(!stalls.note(&[state("a", 12), state("b", 0)]));
        assert!(stalls.note(&[state("a", 0), state("b", 0)]));
    }

    #[test]
    fn a_stalled_loop_that_ended_is_no_longer_waited_for() {
        let mut stalls = Stalls::default();
        assert!(!stalls.note(&[state("a", 11)]));
        assert!(stalls.note(&[state("b", 1)]));
    }
}
