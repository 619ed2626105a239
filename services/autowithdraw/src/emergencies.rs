//! What people did in an emergency, while the journal could not be written: their spool files are taken into it before a
//! cycle compares what Cloudflare says, so that an act of theirs is not announced as somebody else's.
//!
//! Must hold: a file that cannot be taken stops nothing, and is told once as long as it lies there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::Streak;
use db::{Db, DbError};
use jiff::Timestamp;
use prefix_ops::emergency::spool::{Imported, Spool};

/// Where they lie, and what was told of them.
#[derive(Debug)]
pub struct Emergencies {
    spool: Spool,
    /// Files that could not be taken the last time, and why.
    told: BTreeMap<PathBuf, String>,
    failing: Streak,
}

impl Emergencies {
    /// Those that belong to this database.
    pub fn beside(database: &Path) -> Self {
        Self {
            spool: Spool::of(database),
            told: BTreeMap::new(),
            failing: Streak::new(),
        }
    }

    /// Takes what waits. Returns whether the journal holds an act that it did not hold before.
    pub async fn take(&mut self, db: &Db, now: Timestamp, monotonic: Duration) -> bool {
        let done = self.spool.import(db, now).await;
        self.tell(done, monotonic)
    }

    fn tell(&mut self, done: Result<Imported, DbError>, monotonic: Duration) -> bool {
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                // Some may have been taken before it failed; but what fails for long must not stop the cycles.
                let first = self.failing.failures() == 0;
                if let Some(run) = self.failing.failed(monotonic) {
                    let code = error.code();
                    tracing::warn!(event = "emergency.not_taken", failures = run.failures, code, error = %error);
                }
                return first;
            }
        };
        self.failing.recovered(monotonic);
        for (prefix, act) in &done.taken {
            tracing::info!(event = "emergency.taken", prefix = %prefix, act = act.as_str());
        }
        for (file, because) in self.news(done.odd) {
            tracing::warn!(event = "emergency.file.odd", file = %file.display(), because);
        }
        !done.taken.is_empty()
    }

    /// What was not said yet. A file that is gone or has another fault is worth a word again.
    fn news(&mut self, odd: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
        let odd: BTreeMap<PathBuf, String> = odd.into_iter().collect();
        let before = std::mem::replace(&mut self.told, odd.clone());
        odd.into_iter()
            .filter(|(file, because)| before.get(file) != Some(because))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_taken_is_told_once_and_again_when_it_comes_back() {
        let mut emergencies = Emergencies::beside(Path::new("/nowhere/magic_transit.db"));
        let odd = |names: &[&str]| -> Vec<(PathBuf, String)> {
            let each = names
                .iter()
                .map(|name| (PathBuf::from(name), "it is no spool file".to_owned()));
            each.collect()
        };
        assert_eq!(emergencies.news(odd(&["a", "b"])), odd(&["a", "b"]));
        assert_eq!(emergencies.news(odd(&["a", "b"])), []);
        assert_eq!(emergencies.news(odd(&["b", "c"])), odd(&["c"]));
        assert_eq!(emergencies.news(odd(&["a", "b", "c"])), odd(&["a"]));
        let other = vec![(PathBuf::from("a"), "it is of another version".to_owned())];
        assert_eq!(emergencies.news(other.clone()), other);
        assert_eq!(emergencies.news(Vec::new()), []);
        assert_eq!(emergencies.news(other.clone()), other);
    }

    #[test]
    fn a_cycle_that_may_not_know_of_an_act_is_decided_anew() {
        let mut emergencies = Emergencies::beside(Path::new("/nowhere/magic_transit.db"));
        let second = Duration::from_secs(1);
        assert!(!emergencies.tell(Ok(Imported::default()), second));
        let taken = Imported {
            taken: vec![("203.0.113.0/24".parse().unwrap(), domain::intent::Act::Advertise)],
            ..Imported::default()
        };
        assert!(emergencies.tell(Ok(taken), second));
        assert!(
            emergencies.tell(Err(DbError::Closed), second),
            "some may have been taken"
        );
        assert!(!emergencies.tell(Err(DbError::Closed), second), "the cycles go on");
        assert!(!emergencies.tell(Ok(Imported::default()), second));
        assert!(emergencies.tell(Err(DbError::Closed), second));
    }
}
