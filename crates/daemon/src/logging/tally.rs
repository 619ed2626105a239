//! How often each error and warning was logged since the start, for Prometheus: errors by class without a second list of
//! classes. Only names of the table count, so the number of series is bounded.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tracing::Level;

use crate::events::{self, EventDef};

static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Counts an event of this level, if it is one that somebody should look at.
pub(super) fn count(name: &str, level: Level) {
    if level > Level::WARN {
        return;
    }
    let Some(event) = events::find(name) else { return };
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(event.name).or_insert(0) += 1;
}

/// All that were counted, by name.
pub(crate) fn counts() -> Vec<(&'static EventDef, u64)> {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    counts
        .iter()
        .filter_map(|(name, count)| Some((events::find(name)?, *count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_errors_and_warnings_count() {
        let of = |name: &str| {
            counts()
                .iter()
                .find(|(event, _)| event.name == name)
                .map(|(_, count)| *count)
        };
        let before = of("vigil.failed").unwrap_or(0);
        count("vigil.failed", Level::WARN);
        count("vigil.failed", Level::INFO);
        count("no.such.event", Level::ERROR);
        assert_eq!(of("vigil.failed"), Some(before + 1));
        assert_eq!(of("no.such.event"), None);
    }
}
