//! Every event name that any of our programs logs, with its level and what it means.
//!
//! Must hold: a name in the code is in this table with the same level, and a name in the table is in the code; a test
//! reads the sources of the whole workspace and compares. `docs/50-log-events.md` is made from this table. Alerting
//! rules hang on the names: one that has been released is not renamed.

mod page;
pub mod scan;
mod table;

pub use page::page;
pub use table::all;

/// How urgent an event is. In terms of the promise: is anybody unprotected or unalarmed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventLevel {
    /// Protection or alarming is impaired.
    Error,
    /// Degraded but coping.
    Warn,
    /// A decision or a change of state.
    Info,
    /// Every tick.
    Debug,
    /// As a library outside the project sets it.
    Library,
}

impl EventLevel {
    /// As it appears in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Library => "any",
        }
    }
}

/// One event name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventDef {
    /// `area.thing.happened`
    pub name: &'static str,
    /// Its one level.
    pub level: EventLevel,
    /// What has happened and what it means for protection.
    pub meaning: &'static str,
    /// What to do; empty where nothing is to be done. Errors and warnings always have one.
    pub action: &'static str,
}

impl EventDef {
    const fn error(name: &'static str, meaning: &'static str, action: &'static str) -> Self {
        Self {
            name,
            level: EventLevel::Error,
            meaning,
            action,
        }
    }

    const fn warn(name: &'static str, meaning: &'static str, action: &'static str) -> Self {
        Self {
            name,
            level: EventLevel::Warn,
            meaning,
            action,
        }
    }

    const fn info(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            level: EventLevel::Info,
            meaning,
            action: "",
        }
    }

    const fn debug(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            level: EventLevel::Debug,
            meaning,
            action: "",
        }
    }

    const fn library(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            level: EventLevel::Library,
            meaning,
            action: "",
        }
    }
}

/// The entry of `name`.
pub fn find(name: &str) -> Option<&'static EventDef> {
    all().find(|event| event.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<&str> = all().map(|event| event.name).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
    }

    #[test]
    fn names_meanings_and_actions_are_complete() {
        for event in all() {
            let name = event.name;
            let words: Vec<&str> = name.split('.').collect();
            assert!(words.len() >= 2, "{name}: at least area.happened");
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(
                words.iter().all(|word| !word.is_empty() && word.chars().all(plain)),
                "{name}"
            );
            assert!(event.meaning.ends_with('.'), "{name}: the meaning is a sentence");
            let urgent = matches!(event.level, EventLevel::Error | EventLevel::Warn);
            assert_eq!(
                urgent,
                !event.action.is_empty(),
                "{name}: an action for errors and warnings"
            );
            assert!(
                event.action.is_empty() || event.action.ends_with('.'),
                "{name}: the action is a sentence"
            );
        }
    }

    #[test]
    fn entries_are_found() {
        assert_eq!(find("process.ready").map(|event| event.level), Some(EventLevel::Info));
        assert_eq!(find("process.readi"), None);
    }
}
