//! How long nothing could be read, and whether people know.
//!
//! Kept in the database, so that a restart during an outage neither tells people twice nor lets
//! the clock begin anew. Within a process the time is measured on the monotonic clock.

use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use db::{DbError, ReadTx, WriteTx};
use domain::notice::{Facts, Notice};
use domain::time::since;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A source of data: what messages call it, and where in the database its state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For people.
    pub title: String,
    /// Name of the mark up to where everything was read.
    pub watermark: String,
    /// Name of the state of a run of failures; empty while all is well.
    failing: String,
    /// Name of the instant at which people were last told that rows are missing.
    pub(crate) cut_told: String,
}

impl Source {
    /// What a system dropped. The DDoS rules are the main source, whose names have no end.
    pub fn rows(witness: Witness) -> Self {
        match witness {
            Witness::Ddos => Self {
                title: "attack analytics".to_owned(),
                watermark: "mitigations_watermark".to_owned(),
                failing: "mitigations_failing".to_owned(),
                cut_told: "mitigations_cut_told".to_owned(),
            },
            other => Self::of(&format!("attack analytics of {}", other.title()), other.system()),
        }
    }

    /// Dropped traffic by minute.
    pub fn minutes() -> Self {
        Self::of("dropped traffic by minute", "minutes")
    }

    /// Begin and end of attacks.
    pub fn attacks() -> Self {
        Self::of("begin and end of attacks", "attacks")
    }

    /// Cloudflare's notification history, with a cursor of its own.
    pub fn alert_history() -> Self {
        Self {
            title: domain::notice::ALERT_HISTORY.to_owned(),
            watermark: db::alert_history::CURSOR.to_owned(),
            failing: "alert_history_failing".to_owned(),
            cut_told: "alert_history_cut_told".to_owned(),
        }
    }

    fn of(title: &str, name: &str) -> Self {
        Self {
            title: title.to_owned(),
            watermark: format!("mitigations_watermark:{name}"),
            failing: format!("mitigations_failing:{name}"),
            cut_told: format!("mitigations_cut_told:{name}"),
        }
    }
}

/// Polls fail without a success in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Failing {
    /// First failure.
    since: Timestamp,
    /// Whether people were told.
    announced: bool,
}

/// The state as this process knows it.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    failing: Option<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    failing: Failing,
    stored: bool,
    /// How long it had lasted when this process met it, and when that was.
    before: Duration,
    met: Duration,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// First failure of the run.
    pub since: Timestamp,
    /// Whether it lasts long enough for people to know, and they do not yet.
    pub announce: bool,
    /// Whether it has lasted long enough.
    pub blind: bool,
    must_store: bool,
}

impl Feed {
    /// Nothing is known to fail.
    pub fn new(source: Source) -> Self {
        Self { source, failing: None }
    }

    /// Takes over what an earlier process left ([`stored`]), if it left anything.
    pub fn restore(&mut self, left: Option<&str>, now: Timestamp, monotonic: Duration) {
        if let Some(failing) = left.and_then(parse) {
            self.failing = Some(Run {
                failing,
                stored: true,
                before: since(now, failing.since),
                met: monotonic,
            });
        }
    }

    /// A poll failed.
    pub fn failed(&mut self, limit: Duration, now: Timestamp, monotonic: Duration) -> Verdict {
        let run = self.failing.get_or_insert(Run {
            failing: Failing {
                since: now,
                announced: false,
            },
            stored: false,
            before: Duration::ZERO,
            met: monotonic,
        });
        let blind = run.before + monotonic.saturating_sub(run.met) >= limit;
        let announce = blind && !run.failing.announced;
        Verdict {
            since: run.failing.since,
            announce,
            blind,
            must_store: announce || !run.stored,
        }
    }

    /// What has to be written after a failure, if anything. Call [`Self::stored`] when it is.
    pub fn write(&self, verdict: Verdict, because: &str) -> Option<Write> {
        verdict.must_store.then(|| Write {
            source: self.source.clone(),
            failing: Failing {
                since: verdict.since,
                announced: verdict.announce || self.failing.is_some_and(|run| run.failing.announced),
            },
            announce: verdict.announce.then(|| because.to_owned()),
        })
    }

    /// The write is durable.
    pub fn stored(&mut self, write: &Write) {
        if let Some(run) = &mut self.failing {
            run.failing = write.failing;
            run.stored = true;
        }
    }

    /// A poll succeeded and [`recovered`] is committed.
    pub fn succeeded(&mut self) {
        self.failing = None;
    }
}

/// A change of the stored state.
#[derive(Debug, Clone)]
pub struct Write {
    source: Source,
    failing: Failing,
    announce: Option<String>,
}

impl Write {
    /// Stores it, with the notice when it is time for one.
    ///
    /// # Errors
    /// Those of the database.
    pub fn apply(&self, tx: &WriteTx<'_>, now: Timestamp) -> Result<(), DbError> {
        let text = serde_json::to_string(&self.failing).unwrap_or_default();
        db::leases::set_cursor(tx, &self.source.failing, &text, now)?;
        if let Some(because) = &self.announce {
            let facts = Facts::FeedBlind {
                feed: self.source.title.clone(),
                because: because.clone(),
                since: self.failing.since,
            };
            db::outbox::enqueue(tx, &Notice::about(facts), now)?;
        }
        Ok(())
    }
}

/// The stored state, for [`Feed::restore`].
///
/// # Errors
/// Those of the database.
pub fn stored(tx: &ReadTx<'_>, source: &Source) -> Result<Option<String>, DbError> {
    db::leases::cursor(tx, &source.failing)
}

/// Data came: ends the run of failures, and announces the return if its absence was announced.
///
/// # Errors
/// Those of the database.
pub fn recovered(tx: &WriteTx<'_>, source: &Source, now: Timestamp) -> Result<(), DbError> {
    let Some(text) = db::leases::cursor(tx, &source.failing)?.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    if let Some(failing) = parse(&text).filter(|failing| failing.announced) {
        let facts = Facts::FeedRestored {
            feed: source.title.clone(),
            since: failing.since,
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    }
    db::leases::set_cursor(tx, &source.failing, "", now)
}

/// An unreadable state is none: the run of failures then counts anew.
fn parse(text: &str) -> Option<Failing> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);

    fn at(second: u64) -> (Timestamp, Duration) {
        let wall = Timestamp::from_second(1_767_225_600 + i64::try_from(second).unwrap()).unwrap();
        (wall, Duration::from_secs(second))
    }

    fn fail(feed: &mut Feed, second: u64) -> (Verdict, Option<Write>) {
        let (now, monotonic) = at(second);
        let verdict = feed.failed(LIMIT, now, monotonic);
        let write = feed.write(verdict, "because");
        if let Some(write) = &write {
            feed.stored(write);
        }
        (verdict, write)
    }

    #[test]
    fn told_once_after_the_limit() {
        let mut feed = Feed::new(Source::rows(Witness::Ddos));
        let told: Vec<u64> = (0..40)
            .map(|n| n * 60)
            .filter(|second| fail(&mut feed, *second).0.announce)
            .collect();
        assert_eq!(told, [600]);
        assert_eq!(fail(&mut feed, 9_000).0.since, at(0).0);
        feed.succeeded();
        assert!(!fail(&mut feed, 9_060).0.blind, "a new run");
    }

    #[test]
    fn only_changes_are_written() {
        let mut feed = Feed::new(Source::rows(Witness::Ddos));
        let writes = (0..20).filter(|n| fail(&mut feed, n * 60).1.is_some()).count();
        assert_eq!(writes, 2, "the first failure, and that people were told");
    }

    #[test]
    fn a_restart_neither_tells_twice_nor_begins_anew() {
        let mut first = Feed::new(Source::rows(Witness::Ddos));
        let (_, write) = fail(&mut first, 0);
        let text = serde_json::to_string(&write.unwrap().failing).unwrap();
        let mut second = Feed::new(Source::rows(Witness::Ddos));
        // The monotonic clock of the new process begins at zero.
        second.restore(Some(&text), at(590).0, Duration::ZERO);
        assert!(!second.failed(LIMIT, at(595).0, Duration::from_secs(5)).announce);
        let verdict = second.failed(LIMIT, at(600).0, Duration::from_secs(10));
        assert!(verdict.announce);
        let write = second.write(verdict, "because").unwrap();
        let text = serde_json::to_string(&write.failing).unwrap();
        let mut third = Feed::new(Source::rows(Witness::Ddos));
        third.restore(Some(&text), at(700).0, Duration::ZERO);
        let verdict = third.failed(LIMIT, at(700).0, Duration::ZERO);
        assert!(verdict.blind && !verdict.announce);
        for nothing in [None, Some(""), Some("{")] {
            let mut fourth = Feed::new(Source::rows(Witness::Ddos));
            fourth.restore(nothing, at(700).0, Duration::ZERO);
            assert!(!fourth.failed(LIMIT, at(700).0, Duration::ZERO).blind);
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_no_time() {
        let mut feed = Feed::new(Source::rows(Witness::Ddos));
        fail(&mut feed, 0);
        let (a_day_later, _) = at(86_400);
        assert!(!feed.failed(LIMIT, a_day_later, Duration::from_secs(60)).blind);
    }
}
