//! Polls until shutdown, and says how it goes: to health, metrics, log and `systemctl status`.

use std::sync::Arc;
use std::time::Duration;

use daemon::health::CheckHandle;
use daemon::{Frame, LoopHandle, Streak, Weight};
use domain::time::for_people_seconds;
use tokio::time::Instant;

use crate::numbers::Numbers;
use crate::policy::Policy;
use crate::poll::{Failure, Parts, PollReport, Poller};
use crate::reading::{Polled as _, Progress};
use crate::witnesses::{self, Witnesses};

/// Limit within which the loop promises progress: one query's deadline, one write's, and room.
pub const LOOP_LIMIT: Duration = Duration::from_secs(90);

/// Longest pause without a sign of life.
const STEP: Duration = Duration::from_secs(10);

/// Longest pause while there is something to catch up, and after a failure.
const SOON: Duration = Duration::from_secs(60);

/// Longest wait that Cloudflare can impose.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// The loop with what it reports to.
#[derive(Debug)]
pub struct PollLoop {
    frame: Frame,
    policy: Policy,
    check: CheckHandle,
    geography: CheckHandle,
    beside: Option<CheckHandle>,
    numbers: Numbers,
    failures: Streak,
    told_no_networks: bool,
}

impl PollLoop {
    /// Registers check and numbers. Call before the loop is spawned.
    pub fn new(frame: &Frame, policy: &Policy) -> Self {
        let fresh_for = policy.poll_interval + LONGEST_WAIT + LOOP_LIMIT;
        let check = frame.health().check("mitigations", Weight::Vital, fresh_for);
        check.degraded("nothing was read yet");
        let has_others = policy.series || policy.attacks || !policy.witnesses.is_empty();
        let beside = || {
            let check = frame.health().check("witnesses", Weight::Supporting, fresh_for * 2);
            check.degraded("nothing was read yet");
            check
        };
        Self {
            frame: frame.clone(),
            policy: policy.clone(),
            check,
            beside: has_others.then(beside),
            geography: frame.health().check("geoip", Weight::Supporting, fresh_for),
            numbers: Numbers::register(frame.metrics()),
            failures: Streak::new(),
            told_no_networks: false,
        }
    }

    /// Polls until shutdown.
    ///
    /// # Errors
    /// None: trouble is waited out, visibly. Only a bug ends it.
    pub async fn run(mut self, parts: Parts, turn: LoopHandle) -> anyhow::Result<()> {
        let ticks = turn.clone();
        let progress: Progress = Arc::new(move || ticks.tick());
        let mut witnesses = Witnesses::new(&parts, &progress);
        let geoip = Arc::clone(&parts.geoip);
        let mut poller = Poller::new(parts);
        poller.reading().watched(progress);
        let shutdown = self.frame.shutdown().clone();
        let mut stop = std::pin::pin!(shutdown.triggered());
        let mut reloads = self.frame.reloads();
        loop {
            turn.tick();
            let began = Instant::now();
            let outcome = tokio::select! {
                _ = &mut stop => return Ok(()),
                outcome = poller.poll_once() => outcome,
            };
            let mut wait = pause(&outcome, &self.policy);
            match outcome {
                Ok(report) => self.succeeded(&report, began.elapsed()),
                Err(failure) => self.failed(&failure),
            }
            match geoip.problem() {
                None => self.geography.ok(format!("{} database", geoip.label())),
                Some(problem) => self.geography.degraded(problem),
            }
            if let Some(beside) = &self.beside {
                let round = tokio::select! {
                    _ = &mut stop => return Ok(()),
                    round = witnesses.round(&self.frame, &self.numbers) => round,
                };
                witnesses::report(&round, beside);
                if round.is_behind {
                    wait = wait.min(SOON);
                }
            }
            let end = Instant::now() + wait;
            while Instant::now() < end {
                turn.tick();
                tokio::select! {
                    _ = &mut stop => return Ok(()),
                    changed = reloads.changed() => if changed.is_ok() { break },
                    () = tokio::time::sleep_until(end.min(Instant::now() + STEP)) => {}
                }
            }
        }
    }

    fn succeeded(&mut self, report: &PollReport, took: Duration) {
        self.numbers.polled(report, took);
        let kept = report.kept;
        if let Some(run) = self.failures.recovered(self.frame.clock().monotonic()) {
            tracing::info!(
                event = "mitigations.poll.recovered",
                failures = run.failures,
                lasted_s = run.lasted.as_secs()
            );
        }
        tracing::debug!(
            event = "mitigations.polled",
            queries = report.queries,
            new = kept.new,
            grown = kept.grown,
            known = kept.known,
        );
        if kept.new > 0 {
            tracing::info!(
                event = "mitigations.stored",
                new = kept.new,
                grown = kept.grown,
                notices = kept.notices,
            );
        }
        if report.no_networks && !self.told_no_networks {
            tracing::warn!(event = "mitigations.networks.unknown", "everything is announced");
        }
        self.told_no_networks = report.no_networks;
        let line = line(report);
        if report.is_complete() {
            self.check.ok(line.clone());
        } else {
            self.check.degraded(line.clone());
        }
        self.frame.status(line);
    }

    fn failed(&mut self, failure: &Failure) {
        let code = failure.error.code();
        self.numbers.failed(code);
        let error = failure.error.chain();
        if let Some(run) = self.failures.failed(self.frame.clock().monotonic()) {
            tracing::warn!(
                event = "mitigations.poll.failed",
                code,
                failures = run.failures,
                lasted_s = run.lasted.as_secs(),
                error,
            );
        }
        if failure.verdict.announce {
            tracing::error!(event = "mitigations.feed.blind", code, since = %failure.verdict.since, error);
        }
        if let Some(problem) = &failure.not_recorded {
            tracing::error!(event = "mitigations.failure.not_recorded", code = problem.code(), error = %problem);
        }
        let since = for_people_seconds(failure.verdict.since);
        let text = format!("nothing read since {since}: {error}");
        if failure.verdict.blind {
            self.check.failing(text.clone());
        } else {
            self.check.degraded(text.clone());
        }
        self.frame.status(text);
    }
}

/// What the poll did, in one line.
pub fn line(report: &PollReport) -> String {
    let mut parts = match report.to {
        Some(to) => vec![format!("read up to {}", for_people_seconds(to))],
        None => vec!["nothing to read".to_owned()],
    };
    let kept = report.kept;
    parts.push(format!(
        "{} new rows, {} grown, {} notices",
        kept.new, kept.grown, kept.notices
    ));
    if report.is_behind {
        parts.push("catching up".into());
    }
    if !report.truncated.is_empty() {
        parts.push(format!(
            "{} spans INCOMPLETE: more rows than Cloudflare gives out",
            report.truncated.len()
        ));
    }
    if let Some(lost) = report.lost {
        parts.push(format!(
            "GAP from {} to {}",
            for_people_seconds(lost.from),
            for_people_seconds(lost.to)
        ));
    }
    if report.no_networks {
        parts.push("no own prefix is known, so everything is announced".into());
    }
    parts.join(", ")
}

/// How long until the next poll.
fn pause(outcome: &Result<PollReport, Failure>, policy: &Policy) -> Duration {
    let soon = policy.poll_interval.min(SOON);
    match outcome {
        Ok(report) if report.is_behind => soon,
        Ok(_) => policy.poll_interval,
        Err(failure) => {
            let asked = failure.error.retry_after().unwrap_or_default();
            soon.max(asked.min(LONGEST_WAIT))
        }
    }
}

#[cfg(test)]
mod tests {
    use cf_api::graphql::mitigations::Witness;
    use jiff::Timestamp;

    use super::*;
    use crate::feed::{Feed, Source};
    use crate::poll::PollError;
    use crate::window::Span;

    fn policy(poll_interval: Duration) -> Policy {
        Policy {
            poll_interval,
            lookback: Duration::from_secs(900),
            settle: Duration::from_secs(60),
            min_packets: 1,
            own: Vec::new(),
            anycast: Vec::new(),
            witnesses: Vec::new(),
            announced: Vec::new(),
            attacks: false,
            series: false,
        }
    }

    #[test]
    fn the_next_poll_comes_sooner_when_there_is_something_to_catch_up() {
        let verdict = Feed::new(Source::rows(Witness::Ddos)).failed(SOON, Timestamp::UNIX_EPOCH, Duration::ZERO);
        let failed = || Failure {
            error: PollError::NotEnabled,
            verdict,
            not_recorded: None,
        };
        let behind = PollReport {
            is_behind: true,
            ..PollReport::default()
        };
        let usual = Duration::from_secs(300);
        assert_eq!(pause(&Ok(PollReport::default()), &policy(usual)), usual);
        assert_eq!(pause(&Ok(behind), &policy(usual)), SOON);
        assert_eq!(pause(&Err(failed()), &policy(usual)), SOON);
        let quick = Duration::from_secs(1);
        assert_eq!(pause(&Err(failed()), &policy(quick)), quick);
    }

    #[test]
    fn the_line_names_whatever_is_missing() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let span = Span {
            from: at("2026-03-27T02:00:00Z"),
            to: at("2026-03-27T02:30:00Z"),
        };
        let mut report = PollReport {
            to: Some(span.to),
            ..PollReport::default()
        };
        assert_eq!(
            line(&report),
            "read up to 27/03/2026 02:30:00 UTC, 0 new rows, 0 grown, 0 notices"
        );
        report.is_behind = true;
        report.truncated = vec![span];
        report.lost = Some(span);
        report.no_networks = true;
        let text = line(&report);
        for part in [
            "catching up",
            "1 spans INCOMPLETE",
            "GAP from 27/03/2026 02:00:00 UTC",
            "everything is announced",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
