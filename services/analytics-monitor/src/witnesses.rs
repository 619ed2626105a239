//! The sources beside the DDoS rules: what other systems dropped, dropped traffic by minute, begin and end of attacks.
//!
//! Each has its own watermark and its own run of failures. None of them holds up or spoils the main source; a system that
//! the contract does not have is no fault.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::health::CheckHandle;
use daemon::{Frame, Streak};
use domain::time::for_people_seconds;

use crate::attacks::Attacks;
use crate::feed::Source;
use crate::minutes::Minutes;
use crate::numbers::Numbers;
use crate::poll::{Failure, Parts, PollReport, Poller};
use crate::reading::{Polled as _, Progress, Reading};

/// One source.
#[derive(Debug)]
enum Side {
    Rows(Poller),
    Minutes(Minutes),
    Attacks(Attacks),
}

impl Side {
    /// For logs and metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Rows(poller) => poller.witness().system(),
            Self::Minutes(_) => "minutes",
            Self::Attacks(_) => "attacks",
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Rows(poller) => poller.witness().title().to_owned(),
            Self::Minutes(_) => Source::minutes().title,
            Self::Attacks(_) => Source::attacks().title,
        }
    }

    fn reading(&mut self) -> &mut Reading {
        match self {
            Self::Rows(poller) => poller.reading(),
            Self::Minutes(minutes) => minutes.reading(),
            Self::Attacks(attacks) => attacks.reading(),
        }
    }

    async fn poll_once(&mut self) -> Turn {
        let outcome = match self {
            Self::Rows(poller) => poller.poll_once().await,
            Self::Minutes(minutes) => minutes.poll_once().await,
            Self::Attacks(attacks) => attacks.poll_once().await,
        };
        Turn {
            name: self.name(),
            title: self.title(),
            outcome,
        }
    }
}

/// How the poll of one source went.
#[derive(Debug)]
pub struct Turn {
    /// For logs, metrics and JSON.
    pub name: &'static str,
    /// For people.
    pub title: String,
    /// What it did, or why it failed.
    pub outcome: Result<PollReport, Failure>,
}

/// All of them.
#[derive(Debug)]
pub struct Witnesses {
    sides: Vec<(Side, Streak)>,
}

/// How a round went.
#[derive(Debug, Default)]
pub struct Round {
    /// Text by title.
    pub lines: BTreeMap<String, String>,
    /// Whether anything is wrong with any of them.
    pub degraded: bool,
    /// Whether any has more to catch up.
    pub is_behind: bool,
}

impl Witnesses {
    /// Those that the policy names. `progress` is called after each answer and each write.
    pub fn new(parts: &Parts, progress: &Progress) -> Self {
        let policy = &parts.policy;
        let minutes = policy.series.then(|| Side::Minutes(Minutes::new(parts.clone())));
        let attacks = policy.attacks.then(|| Side::Attacks(Attacks::new(parts.clone())));
        let rows = policy.witnesses.iter();
        let rows = rows.map(|witness| Side::Rows(Poller::of(parts.clone(), *witness)));
        let watched = |mut side: Side| {
            side.reading().watched(Progress::clone(progress));
            (side, Streak::new())
        };
        Self {
            sides: minutes.into_iter().chain(attacks).chain(rows).map(watched).collect(),
        }
    }

    /// Polls each once, one after the other: `--once`.
    pub async fn once(&mut self) -> Vec<Turn> {
        let mut all = Vec::new();
        for (side, _) in &mut self.sides {
            all.push(side.poll_once().await);
        }
        all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// The same for the service: numbers and log are told as well.
    pub async fn round(&mut self, frame: &Frame, numbers: &Numbers) -> Round {
        let mut round = Round::default();
        for (side, failures) in &mut self.sides {
            let Turn { name, title, outcome } = side.poll_once().await;
            let monotonic = frame.clock().monotonic();
            let line = match &outcome {
                Ok(report) => {
                    if let Some(run) = failures.recovered(monotonic) {
                        tracing::info!(
                            event = "witness.poll.recovered",
                            witness = name,
                            failures = run.failures,
                            lasted_s = run.lasted.as_secs(),
                        );
                    }
                    numbers.witnessed(name, report);
                    round.degraded |= !report.is_complete();
                    round.is_behind |= report.is_behind;
                    line(report)
                }
                Err(failure) => {
                    round.degraded = true;
                    numbers.unwitnessed(name, failure.error.code());
                    failed(
                        name,
                        failure,
                        failures.failed(monotonic).map(|run| (run.failures, run.lasted)),
                    )
                }
            };
            round.lines.insert(title, line);
        }
        // Another one is first the next time: where the budget of calls is short, the last in line goes without, and it must
        // not be the same one for ever.
        if !self.sides.is_empty() {
            self.sides.rotate_left(1);
        }
        round
    }
}

/// What a poll of a source did, in one line.
pub fn line(report: &PollReport) -> String {
    if report.not_in_contract {
        return "not in the contract".to_owned();
    }
    let mut text = match report.to {
        Some(to) => format!("read up to {}", for_people_seconds(to)),
        None => "nothing to read".to_owned(),
    };
    text.push_str(&format!(", {} new or changed", report.kept.new + report.kept.grown));
    if report.is_behind {
        text.push_str(", catching up");
    }
    if !report.truncated.is_empty() {
        text.push_str(", INCOMPLETE: more rows than Cloudflare gives out");
    }
    if report.lost.is_some() {
        text.push_str(", with a GAP");
    }
    text
}

fn failed(name: &'static str, failure: &Failure, run: Option<(u64, Duration)>) -> String {
    let (code, error) = (failure.error.code(), failure.error.chain());
    if let Some((failures, lasted)) = run {
        tracing::warn!(
            event = "witness.poll.failed",
            witness = name,
            code,
            failures,
            lasted_s = lasted.as_secs(),
            error,
        );
    }
    if failure.verdict.announce {
        tracing::error!(event = "witness.blind", witness = name, code, since = %failure.verdict.since, error);
    }
    if let Some(problem) = &failure.not_recorded {
        tracing::error!(event = "mitigations.failure.not_recorded", code = problem.code(), error = %problem);
    }
    format!(
        "nothing read since {}: {error}",
        for_people_seconds(failure.verdict.since)
    )
}

/// Reports a round.
pub fn report(round: &Round, check: &CheckHandle) {
    let said: Vec<String> = round
        .lines
        .iter()
        .map(|(title, line)| format!("{title}: {line}"))
        .collect();
    let said = said.join("; ");
    if round.degraded {
        check.degraded(said);
    } else {
        check.ok(said);
    }
}
