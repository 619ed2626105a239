//! `--once` and `--test`: a single poll from a shell or a timer, without the service around it. Every source that is switched
//! on is read, and each says what it found; one that fails hides no other and makes the exit code 1.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use daemon::{SharedClock, SystemClock, config, output};
use geoip::GeoIp;
use serde_json::{Value, json};
use settings::{Loaded, Settings};

use crate::args::{self, Args, NAME};
use crate::look::look;
use crate::policy::Policy;
use crate::poll::{Failure, Parts, PollReport, Poller};
use crate::poll_loop;
use crate::reading::{Polled as _, Progress};
use crate::witnesses::{self, Turn, Witnesses};

/// How long the last writes may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Runs the command that the flags ask for.
pub fn run(args: Args) -> ExitCode {
    let loaded = match config::load_or_answer(&args.common, args::spec().needs) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let filter = args.common.log_level.clone();
    daemon::cli::run(NAME, &filter, move |_| work(args, loaded))
}

async fn work(args: Args, loaded: Loaded) -> anyhow::Result<u8> {
    for problem in &loaded.warnings {
        let finding = problem.one_line(&loaded.directory);
        tracing::warn!(event = "config.finding", code = problem.code.as_str(), finding);
    }
    let mut settings = loaded.settings;
    args.apply(&mut settings)?;
    let clock = SystemClock::shared();
    let (text, problem) = if args.test {
        let preview = look(&settings, &clock).await?;
        let text = match args.json {
            true => format!("{:#}\n", preview.to_json()),
            false => preview.to_text(),
        };
        (text, preview.problem())
    } else {
        let turns = once(&settings, &clock).await?;
        let text = match args.json {
            true => format!(
                "{:#}\n",
                json!({"sources": turns.iter().map(to_json).collect::<Vec<_>>()})
            ),
            false => turns.iter().map(to_line).collect(),
        };
        (text, problem(&turns))
    };
    output::print(&text)?;
    match problem {
        None => Ok(daemon::exit::DONE),
        Some(problem) => anyhow::bail!("not everything could be read: {problem}"),
    }
}

/// One poll of each source as the service makes it; what is announced is sent by whichever service runs.
///
/// # Errors
/// Why nothing could be polled at all.
pub async fn once(settings: &Settings, clock: &SharedClock) -> anyhow::Result<Vec<Turn>> {
    let db = assembly::parts::database(settings).await?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner_of(NAME, clock.now());
    let api = assembly::parts::cloudflare(settings, &transport, &db, &owner, clock)?;
    let parts = Parts {
        db: db.clone(),
        api,
        clock: clock.clone(),
        geoip: Arc::new(geoip_of(settings)),
        policy: Policy::of(settings),
    };
    let progress: Progress = Arc::new(|| ());
    let mut witnesses = Witnesses::new(&parts, &progress);
    let mut turns = vec![Turn {
        name: Witness::Ddos.system(),
        title: Witness::Ddos.title().to_owned(),
        outcome: Poller::new(parts).poll_once().await,
    }];
    turns.extend(witnesses.once().await);
    db.close(CLOSE_LIMIT).await;
    Ok(turns)
}

/// The databases as configured; nothing is opened yet.
pub fn geoip_of(settings: &Settings) -> GeoIp {
    GeoIp::new(settings.geoip.city_candidates(), settings.geoip.asn_candidates())
}

fn problem(turns: &[Turn]) -> Option<String> {
    let failed = |turn: &Turn| {
        Some(format!(
            "{}: {}",
            turn.title,
            turn.outcome.as_ref().err()?.error.chain()
        ))
    };
    let failed: Vec<String> = turns.iter().filter_map(failed).collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn to_line(turn: &Turn) -> String {
    let line = match &turn.outcome {
        Err(failure) => format!("FAILED: {}", failure.error.chain()),
        Ok(report) if turn.name == Witness::Ddos.system() => poll_loop::line(report),
        Ok(report) => witnesses::line(report),
    };
    format!("{}: {line}\n", turn.title)
}

fn to_json(turn: &Turn) -> Value {
    let mut json = match &turn.outcome {
        Ok(report) => report_json(report),
        Err(Failure { error, .. }) => json!({"outcome": error.code(), "error": error.chain()}),
    };
    json["source"] = turn.name.into();
    json["title"] = turn.title.as_str().into();
    json
}

fn report_json(report: &PollReport) -> Value {
    if report.not_in_contract {
        return json!({"outcome": "not_in_contract"});
    }
    json!({
        "outcome": "ok",
        "from": report.from,
        "to": report.to,
        "new": report.kept.new,
        "grown": report.kept.grown,
        "known": report.kept.known,
        "notices": report.kept.notices,
        "queries": report.queries,
        "truncated": report.truncated.len(),
        "lost": report.lost.map(|span| json!({"from": span.from, "to": span.to})),
        "behind": report.is_behind,
    })
}
