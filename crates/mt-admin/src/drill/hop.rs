//! One hop of the chain: how it went and how long it took; and the grade of all of them.

use std::time::{Duration, Instant};

use cli::Trouble;
use serde::Serialize;

/// How a hop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It worked, in time.
    Ok,
    /// It worked, later than it should.
    Slow,
    /// It is broken.
    Failed,
    /// A hop before it is broken: not known.
    NotReached,
    /// Nobody asked for it, or there is nothing to rehearse.
    NotAsked,
}

impl State {
    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "SLOW",
            Self::Failed => "FAILED",
            Self::NotReached => "not reached",
            Self::NotAsked => "not asked",
        }
    }
}

/// What a step says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Good(String),
    /// There was nothing to rehearse; why.
    Nothing(String),
    /// It is broken: what, and what to do.
    Broken(String, String),
}

impl From<Trouble> for Outcome {
    fn from(trouble: Trouble) -> Self {
        Self::Broken(trouble.text, trouble.remedy.unwrap_or_default())
    }
}

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Its name.
    pub hop: &'static str,
    /// How it went.
    pub state: State,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// How long it should take at most, milliseconds.
    pub target_ms: u64,
    /// What happened.
    pub text: String,
    /// What to do; empty when nothing.
    pub remedy: String,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Hop {
    /// A hop that was gone through.
    pub fn of(hop: &'static str, target: Duration, took: Duration, outcome: Outcome) -> Self {
        let (state, text, remedy) = match outcome {
            Outcome::Good(text) if took <= target => (State::Ok, text, String::new()),
            Outcome::Good(text) => {
                let remedy = "it works, but later than it should: is the host, the disk or the network busy?";
                (State::Slow, text, remedy.to_owned())
            }
            Outcome::Nothing(text) => (State::NotAsked, text, String::new()),
            Outcome::Broken(text, remedy) => (State::Failed, text, remedy),
        };
        Self {
            hop,
            state,
            took_ms: millis(took),
            target_ms: millis(target),
            text,
            remedy,
        }
    }

    /// A hop behind a broken one.
    pub fn not_reached(hop: &'static str, target: Duration) -> Self {
        Self {
            hop,
            state: State::NotReached,
            took_ms: 0,
            target_ms: millis(target),
            text: "a hop before it is broken".to_owned(),
            remedy: String::new(),
        }
    }
}

/// Whether a hop was gone through and works.
pub fn worked(hops: &[Hop], name: &str) -> bool {
    hops.iter()
        .any(|hop| hop.hop == name && matches!(hop.state, State::Ok | State::Slow))
}

/// The grade of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Grade {
    /// Every hop worked, in time.
    A,
    /// One or two were slow, or not rehearsed.
    B,
    /// More than that.
    C,
    /// Something is broken.
    F,
}

impl Grade {
    /// The grade of these hops; of none it is the worst.
    pub fn of(hops: &[Hop]) -> Self {
        let broken = |hop: &Hop| matches!(hop.state, State::Failed | State::NotReached);
        if hops.is_empty() || hops.iter().any(broken) {
            return Self::F;
        }
        match hops.iter().filter(|hop| hop.state != State::Ok).count() {
            0 => Self::A,
            1 | 2 => Self::B,
            _ => Self::C,
        }
    }
}

/// Measures by the clock that only goes forward.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since then.
    pub fn passed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(outcome: Outcome, took_s: u64) -> Hop {
        Hop::of("x", Duration::from_secs(2), Duration::from_secs(took_s), outcome)
    }

    #[test]
    fn grades_never_call_unknown_good() {
        let good = || hop(Outcome::Good(String::new()), 1);
        let slow = || hop(Outcome::Good(String::new()), 3);
        let nothing = || hop(Outcome::Nothing(String::new()), 0);
        let broken = || hop(Outcome::Broken(String::new(), String::new()), 1);
        assert_eq!(Grade::of(&[]), Grade::F);
        assert_eq!(Grade::of(&[good(), good()]), Grade::A);
        assert_eq!(Grade::of(&[good(), slow(), nothing()]), Grade::B);
        assert_eq!(Grade::of(&[slow(), slow(), nothing(), good()]), Grade::C);
        assert_eq!(Grade::of(&[good(), broken()]), Grade::F);
        assert_eq!(Grade::of(&[good(), Hop::not_reached("y", Duration::ZERO)]), Grade::F);
        assert!(worked(&[slow()], "x") && !worked(&[nothing()], "x") && !worked(&[broken()], "x"));
    }
}
