//! What the automation is doing, in one word: acting, dry run, paused, held, or not there.

use std::time::Duration;

use db::decisions::Now;
use domain::decision::Mode;
use domain::hold::Hold;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::prefix::held_words;
use super::sign::{Life, Service};
use super::state::Tone;
use crate::words;

/// The automation as the status line shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Automation {
    pub(crate) word: &'static str,
    pub(crate) tone: Tone,
    pub(crate) detail: String,
    pub(crate) life: Life,
    /// As the process says it runs, else as configured.
    pub(crate) mode: &'static str,
    pub(crate) seen_at: Option<Timestamp>,
    /// When it last judged any prefix.
    pub(crate) decided_at: Option<Timestamp>,
    /// The pause of everything in force.
    pub(crate) pause: Option<Hold>,
}

impl Automation {
    pub(crate) fn of(
        service: &Service,
        decisions: &[Now],
        configured: settings::Mode,
        pause: Option<&Hold>,
        believed_for: Duration,
        now: Timestamp,
    ) -> Self {
        let newest = decisions.iter().max_by_key(|decided| decided.at);
        let mode = newest.map_or_else(|| of_configured(configured), |decided| decided.mode);
        let decided_at = newest.map(|decided| decided.at);
        let stuck = decided_at.filter(|at| since(now, *at) > believed_for);
        let (word, tone, detail) = if !service.life.is_there() {
            let tone = if service.life == Life::Stopped {
                Tone::Warn
            } else {
                Tone::Unknown
            };
            (
                service.life.word(),
                tone,
                format!("Nothing is withdrawn: {}.", service.absence(now)),
            )
        } else if let Some(pause) = pause {
            (
                "held",
                Tone::Warn,
                format!(
                    "Everything is {}: {}",
                    held_words(pause, now),
                    words::outside(&pause.reason)
                ),
            )
        } else if let Some(at) = stuck {
            (
                "stuck",
                Tone::Unknown,
                format!("It lives, but judged no prefix for {}.", words::age_at(at, now)),
            )
        } else {
            match mode {
                Mode::Act => (
                    "acting",
                    Tone::Plain,
                    "It withdraws a prefix when calm is proven.".to_owned(),
                ),
                Mode::DryRun => (
                    "dry run",
                    Tone::Warn,
                    "It says what it would do and withdraws nothing.".to_owned(),
                ),
                Mode::Paused => (
                    "paused",
                    Tone::Warn,
                    "It is paused by configuration and withdraws nothing.".to_owned(),
                ),
            }
        };
        Self {
            word,
            tone,
            detail,
            life: service.life,
            mode: mode.as_str(),
            seen_at: service.seen_at,
            decided_at,
            pause: pause.cloned(),
        }
    }
}

fn of_configured(mode: settings::Mode) -> Mode {
    match mode {
        settings::Mode::Act => Mode::Act,
        settings::Mode::DryRun => Mode::DryRun,
        settings::Mode::Paused => Mode::Paused,
    }
}
