//! What automation needs as a whole and no verdict of a prefix could tell the failure of: the list
//! of prefixes, and the cycle itself. Told once when it fails for long, and once when it is back.

use std::time::Duration;

use db::Db;
use domain::notice::{Facts, Notice};
use domain::time::since;
use jiff::Timestamp;

/// One of them.
#[derive(Debug)]
pub struct Feed {
    name: &'static str,
    failing_since: Option<Timestamp>,
    told: bool,
}

impl Feed {
    /// One that works as far as anybody knows. `name` is what people call it.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            failing_since: None,
            told: false,
        }
    }

    /// Takes note of how it is and tells people where that is due. What could not be stored is
    /// told the next time.
    pub async fn observe(&mut self, db: &Db, error: Option<&str>, tell_after: Duration, now: Timestamp) {
        let Some(facts) = self.due(error, tell_after, now) else {
            return;
        };
        let stored = db.write("feed.notice", move |tx| {
            db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
        });
        if let Err(error) = stored.await {
            tracing::warn!(event = "feed.notice.not_stored", feed = self.name, error = %error);
            return;
        }
        self.told = !self.told;
        if !self.told {
            self.failing_since = None;
        }
    }

    fn due(&mut self, error: Option<&str>, tell_after: Duration, now: Timestamp) -> Option<Facts> {
        match (error, self.failing_since) {
            (Some(error), failing_since) => {
                let since_when = *self.failing_since.get_or_insert(failing_since.unwrap_or(now));
                let due = !self.told && since(now, since_when) >= tell_after;
                due.then(|| Facts::FeedBlind {
                    feed: self.name.into(),
                    because: error.to_owned(),
                    since: since_when,
                })
            }
            (None, Some(failed_since)) if self.told => Some(Facts::FeedRestored {
                feed: self.name.into(),
                since: failed_since,
            }),
            (None, _) => {
                self.failing_since = None;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_failure_is_not_told_and_a_long_one_names_its_begin() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let after = Duration::from_secs(60);
        let mut feed = Feed::new("list of prefixes");
        assert_eq!(feed.due(Some("HTTP 500"), after, at(0)), None);
        assert_eq!(feed.due(None, after, at(30)), None);
        assert_eq!(feed.due(Some("HTTP 500"), after, at(40)), None);
        assert_eq!(
            feed.due(Some("HTTP 500"), after, at(99)),
            None,
            "the first one does not count"
        );
        let told = feed.due(Some("HTTP 503"), after, at(100));
        let expected = Facts::FeedBlind {
            feed: "list of prefixes".into(),
            because: "HTTP 503".into(),
            since: at(40),
        };
        assert_eq!(told, Some(expected));
        feed.told = true;
        assert_eq!(feed.due(Some("HTTP 503"), after, at(900)), None, "once");
        assert!(matches!(feed.due(None, after, at(901)), Some(Facts::FeedRestored { since, .. }) if since == at(40)));
    }
}
