//! Which events are let through: `info`, or `info,hyper=debug,webhook=debug`.
//!
//! Stricter than tracing's own reader in two places where a slip would silence the log: a word that is no level is an
//! error instead of the name of a target, and what is not named keeps `info` instead of being switched off.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The default when nothing is said.
const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// A checked filter text.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

/// A part of a filter text that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFilterError {
    /// A word that is no level.
    #[error(
        "`{0}` is not a level: use off, error, warn, info, debug or trace, alone or as TARGET=LEVEL, joined by commas"
    )]
    NotALevel(String),
    /// `=LEVEL` without anything in front.
    #[error("`{0}` has no target before the `=`")]
    NoTarget(String),
}

impl LogFilter {
    pub(super) fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            text: "info".to_owned(),
            targets: Targets::new().with_default(DEFAULT_LEVEL),
        }
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut targets = Targets::new().with_default(DEFAULT_LEVEL);
        let level = |word: &str| {
            word.parse::<LevelFilter>()
                .map_err(|_| LogFilterError::NotALevel(word.to_owned()))
        };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            targets = match part.split_once('=') {
                None => targets.with_default(level(part)?),
                Some((target, _)) if target.trim().is_empty() => {
                    return Err(LogFilterError::NoTarget(part.to_owned()));
                }
                Some((target, word)) => targets.with_target(target.trim(), level(word.trim())?),
            };
        }
        Ok(Self {
            text: text.to_owned(),
            targets,
        })
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn filter(text: &str) -> Targets {
        text.parse::<LogFilter>().expect("a valid filter").targets()
    }

    #[test]
    fn what_is_not_named_keeps_info() {
        for text in ["", "hyper=debug"] {
            assert!(filter(text).would_enable("webhook::store", &Level::INFO), "{text:?}");
            assert!(!filter(text).would_enable("webhook::store", &Level::DEBUG), "{text:?}");
        }
        assert!(filter("hyper=debug").would_enable("hyper::proto", &Level::DEBUG));
    }

    #[test]
    fn levels_and_targets_combine() {
        let both = filter("warn, webhook=debug,webhook::noise=off");
        assert!(both.would_enable("webhook::store", &Level::DEBUG));
        assert!(!both.would_enable("webhook::noise", &Level::ERROR));
        assert!(!both.would_enable("db", &Level::INFO));
    }

    #[test]
    fn a_slip_is_an_error_not_silence() {
        for (text, part) in [("inof", "inof"), ("info,hyper=loud", "loud"), ("webhook", "webhook")] {
            let error = text.parse::<LogFilter>().expect_err("refused");
            assert_eq!(error, LogFilterError::NotALevel(part.to_owned()));
        }
        assert!(matches!(
            "=debug".parse::<LogFilter>(),
            Err(LogFilterError::NoTarget(_))
        ));
    }
}
