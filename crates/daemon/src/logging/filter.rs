//! Which events are let through: `info`, or `info,hyper=debug,webhook=debug`.
//!
//! Stricter than tracing's own reader in two places where a slip would silence the log: a word that is no level is an
//! error instead of the name of a target, and what is not named keeps `info` instead of being switched off. Libraries
//! that chat are kept at `warn` unless they are named, so that `debug` shows our own events and not every packet.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The default when nothing is said.
const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// Libraries of which only warnings are of interest, unless somebody names them. Whatever is not here is shown.
const CHATTY: [&str; 9] = [
    "h2",
    "hickory_proto",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "reqwest",
    "rusqlite_migration",
    "rustls",
    "teloxide",
];

/// The level for chatty libraries.
const CHATTY_LEVEL: LevelFilter = LevelFilter::WARN;

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
        Self::combine("info", DEFAULT_LEVEL, &[])
    }
}

impl LogFilter {
    fn combine(text: &str, everything: LevelFilter, named: &[(&str, LevelFilter)]) -> Self {
        // Later entries win over earlier ones of the same name; `off` for everything is `off` for libraries, too.
        let chatty = CHATTY.map(|library| (library, CHATTY_LEVEL.min(everything)));
        Self {
            text: text.to_owned(),
            targets: Targets::new()
                .with_default(everything)
                .with_targets(chatty)
                .with_targets(named.iter().copied()),
        }
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let level = |word: &str| {
            word.parse::<LevelFilter>()
                .map_err(|_| LogFilterError::NotALevel(word.to_owned()))
        };
        let mut everything = DEFAULT_LEVEL;
        let mut named = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => everything = level(part)?,
                Some((target, _)) if target.trim().is_empty() => {
                    return Err(LogFilterError::NoTarget(part.to_owned()));
                }
                Some((target, word)) => named.push((target.trim(), level(word.trim())?)),
            }
        }
        Ok(Self::combine(text, everything, &named))
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
    fn chatty_libraries_are_quiet_unless_named() {
        for text in ["info", "debug", "trace"] {
            assert!(!filter(text).would_enable("hyper::proto", &Level::INFO), "{text}");
            assert!(filter(text).would_enable("hyper::proto", &Level::WARN), "{text}");
            assert!(
                filter(text).would_enable("r2d2", &Level::INFO),
                "{text}: not on the list"
            );
        }
        assert!(!filter("off").would_enable("hyper::proto", &Level::ERROR));
        assert!(filter("warn,hyper=trace").would_enable("hyper::proto", &Level::TRACE));
        assert!(filter("hyper::proto=debug").would_enable("hyper::proto::h1", &Level::DEBUG));
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
