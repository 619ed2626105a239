//! Catches up turn after turn until shutdown, and says how it goes: to health and log, and to people when the history
//! could not be read for long.

use std::time::Duration;

use cf_api::ErrorClass;
use daemon::health::CheckHandle;
use daemon::{Frame, LoopHandle, Streak, Weight};
use db::Db;
use domain::time::for_people_seconds;
use tokio::time::Instant;

use super::{CatchUp, CatchUpError, Caught};
use crate::feed::{self, Feed, Source};

/// Limit within which the loop promises progress: one answer's deadline, one write's, and room.
pub const LOOP_LIMIT: Duration = Duration::from_secs(90);

/// Longest pause between two turns. Rule 6 takes open alerts for known for 10 min after the cursor,
/// so that one turn may fail without blinding the automation when the receiver is silent.
const LONGEST_PAUSE: Duration = Duration::from_secs(180);

/// Longest pause after a failure and while there is more to catch up.
const SOON: Duration = Duration::from_secs(60);

/// Longest wait that Cloudflare can impose.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// The history cannot be read for so long: people are told, once, and again when it can.
const TELL_AFTER: Duration = Duration::from_secs(1_800);

/// Longest pause without a sign of life.
const STEP: Duration = Duration::from_secs(10);

/// The loop with what it reports to.
#[derive(Debug)]
pub struct Watch {
    frame: Frame,
    pause: Duration,
    check: CheckHandle,
    failures: Streak,
    feed: Feed,
    recovered: u64,
}

impl Watch {
    /// Registers its check. `interval` is the time between two polls of the monitor. Call before the
    /// loop is spawned.
    pub fn new(frame: &Frame, interval: Duration) -> Self {
        let fresh_for = LONGEST_PAUSE + LONGEST_WAIT + LOOP_LIMIT;
        let check = frame.health().check("alert_history", Weight::Supporting, fresh_for);
        check.degraded("nothing was compared yet");
        Self {
            frame: frame.clone(),
            pause: interval.min(LONGEST_PAUSE),
            check,
            failures: Streak::new(),
            feed: Feed::new(Source::alert_history()),
            recovered: 0,
        }
    }

    /// Catches up until shutdown.
    ///
    /// # Errors
    /// None: trouble is waited out, visibly. Only a bug ends it.
    pub async fn run(mut self, catch_up: CatchUp, turn: LoopHandle) -> anyhow::Result<()> {
        let ticks = turn.clone();
        let catch_up = catch_up.with_progress(move || ticks.tick());
        let shutdown = self.frame.shutdown().clone();
        let mut stop = std::pin::pin!(shutdown.triggered());
        let db = catch_up.db().clone();
        let left = db.read("alert_history.failing", |tx| feed::stored(tx, &Source::alert_history()));
        // Unreadable: the run of failures counts anew.
        let left = left.await.unwrap_or_default();
        let clock = self.frame.clock().clone();
        self.feed.restore(left.as_deref(), clock.now(), clock.monotonic());
        loop {
            turn.tick();
            let outcome = tokio::select! {
                _ = &mut stop => return Ok(()),
                outcome = catch_up.turn() => outcome,
            };
            let soon = self.pause.min(SOON);
            let wait = match &outcome {
                Ok(caught) if caught.is_behind => soon,
                Ok(_) => self.pause,
                Err(error) => soon.max(error.retry_after().unwrap_or_default().min(LONGEST_WAIT)),
            };
            match outcome {
                Ok(caught) => {
                    self.succeeded(&caught);
                    self.tell_return(&db).await;
                }
                Err(error) => {
                    self.failed(&error);
                    self.tell_failure(&db, &error).await;
                }
            }
            turn.tick();
            let end = Instant::now() + wait;
            while Instant::now() < end {
                turn.tick();
                tokio::select! {
                    _ = &mut stop => return Ok(()),
                    () = tokio::time::sleep_until(end.min(Instant::now() + STEP)) => {}
                }
            }
        }
    }

    fn succeeded(&mut self, caught: &Caught) {
        if let Some(run) = self.failures.recovered(self.frame.clock().monotonic()) {
            tracing::info!(
                event = "alert_history.read_again",
                failures = run.failures,
                lasted_s = run.lasted.as_secs()
            );
        }
        tracing::debug!(
            event = "alert_history.compared",
            delivered = caught.delivered,
            recovered = caught.recovered
        );
        self.recovered += caught.recovered;
        if caught.recovered > 0 {
            tracing::warn!(
                event = "alert_history.recovered",
                recovered = caught.recovered,
                delivered = caught.delivered
            );
        }
        if caught.cursor_ahead {
            tracing::warn!(event = "alert_history.cursor.ahead");
        }
        if let Some(since) = caught.lost_since {
            tracing::error!(event = "alert_history.gap", since = %since);
        }
        if caught.truncated {
            tracing::error!(event = "alert_history.truncated", before = ?caught.up_to);
        }
        let line = line(caught, self.recovered);
        if caught.is_behind || caught.truncated {
            self.check.degraded(line);
        } else {
            self.check.ok(line);
        }
    }

    /// What could not be stored is stored with the next failure.
    async fn tell_failure(&mut self, db: &Db, error: &CatchUpError) {
        let clock = self.frame.clock();
        let now = clock.now();
        let verdict = self.feed.failed(TELL_AFTER, now, clock.monotonic());
        let Some(write) = self.feed.write(verdict, &meaning(error)) else {
            return;
        };
        let given = write.clone();
        if db
            .write("alert_history.failing", move |tx| given.apply(tx, now))
            .await
            .is_ok()
        {
            self.feed.stored(&write);
        }
    }

    /// What could not be stored is stored with the next success.
    async fn tell_return(&mut self, db: &Db) {
        let source = Source::alert_history();
        let look = db.read("alert_history.failing", {
            let source = source.clone();
            move |tx| feed::stored(tx, &source)
        });
        if look
            .await
            .is_ok_and(|failing| failing.is_none_or(|text| text.is_empty()))
        {
            self.feed.succeeded();
            return;
        }
        let now = self.frame.clock().now();
        let stored = db.write("alert_history.works", move |tx| feed::recovered(tx, &source, now));
        if stored.await.is_ok() {
            self.feed.succeeded();
        }
    }

    fn failed(&mut self, error: &CatchUpError) {
        if let Some(run) = self.failures.failed(self.frame.clock().monotonic()) {
            tracing::warn!(
                event = "alert_history.unread",
                code = error.code(),
                failures = run.failures,
                lasted_s = run.lasted.as_secs(),
                error = error.chain(),
            );
        }
        self.check.degraded(meaning(error));
    }
}

/// How far the record is complete, in one line.
fn line(caught: &Caught, recovered: u64) -> String {
    let mut parts = Vec::new();
    if let Some(up_to) = caught.up_to {
        parts.push(format!(
            "every alert sent before {} is in the record",
            for_people_seconds(up_to)
        ));
    }
    parts.push(format!("{recovered} recovered since the start"));
    if caught.is_behind {
        parts.push("catching up".into());
    }
    if caught.truncated {
        parts.push("INCOMPLETE: more alerts in one second than Cloudflare gives out".into());
    }
    parts.join(", ")
}

/// What it means that the history cannot be read.
fn meaning(error: &CatchUpError) -> String {
    let remedy = match error {
        CatchUpError::Cloudflare(error) => match error.class {
            ErrorClass::Permission | ErrorClass::Auth => "; grant the token the permission Notifications: Read",
            _ => "",
        },
        CatchUpError::Database(_) => "",
    };
    format!(
        "alerts that the receiver does not get are not recovered: {}{remedy}",
        error.chain()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_up_to_when_and_what_is_missing() {
        let mut caught = Caught {
            up_to: Some("2026-03-27T02:29:00Z".parse().unwrap()),
            ..Caught::default()
        };
        assert_eq!(
            line(&caught, 3),
            "every alert sent before 27/03/2026 02:29:00 UTC is in the record, 3 recovered since the start"
        );
        (caught.is_behind, caught.truncated) = (true, true);
        let text = line(&caught, 0);
        assert!(text.contains("catching up") && text.contains("INCOMPLETE"), "{text}");
    }
}
