//! A process made of the frame alone, for the tests that need a real one and for measuring start time and memory.
//!
//! `PROBE_MODE` says how it behaves; without it, it is a well-behaved service: it opens the database of its settings,
//! listens on `webhook.listen`, serves `/health` and `/metrics`, and runs one loop that reports its status.

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use daemon::{Frame, HttpLimits, LoopHandle, PreboundListener, ServiceSpec, cli};
use settings::Loaded;

const STEP: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let mode = std::env::var("PROBE_MODE").unwrap_or_default();
    if let Some(mode) = mode.strip_prefix("command-") {
        return command(mode.to_owned());
    }
    let mut spec = ServiceSpec::new("cloudflare-probe", "Shows that the frame holds.");
    if let Some(limit) = std::env::var("PROBE_DRAIN_MS").ok().and_then(|text| text.parse().ok()) {
        spec.drain = Duration::from_millis(limit);
    }
    daemon::run_service(&spec, |frame, loaded| service(frame, loaded, mode))
}

async fn service(frame: Frame, loaded: Loaded, mode: String) -> anyhow::Result<()> {
    frame.status("starting: opening the database");
    let path = loaded.settings.database.path.clone();
    let database = tokio::task::spawn_blocking(move || db::Db::open(path, db::OpenOptions::default()))
        .await
        .context("opening the database panicked")?
        .context("cannot open the database")?;
    let listener = PreboundListener::bind(loaded.settings.webhook.listen, "webhook.listen")?;
    let routes = daemon::health::routes(&frame);
    daemon::http::serve(&frame, "probe", listener, routes, HttpLimits::default());
    let limit = Duration::from_millis(400);
    // Long, because a busy machine may not let a loop of 20 ms run for a while.
    frame.spawn_loop("status", Duration::from_secs(10), |turn| {
        report_status(frame.clone(), turn)
    });
    match mode.as_str() {
        "stall" => frame.spawn_loop("stuck", limit, |_| pending()),
        "early" => frame.spawn_loop("early", limit, |_| async { Ok(()) }),
        "panic" => frame.spawn_loop("broken", limit, |_| async { panic!("first line\nsecond line") }),
        "deaf" => frame.spawn_loop("deaf", limit, |turn| async move { turn.idle(pending()).await }),
        _ => {}
    }
    frame.ready();
    frame.shutdown().triggered().await;
    database.close(Duration::from_secs(1)).await;
    Ok(())
}

async fn report_status(frame: Frame, turn: LoopHandle) -> anyhow::Result<()> {
    let mut reloads = frame.reloads();
    let mut steps = tokio::time::interval(STEP);
    let mut stop = std::pin::pin!(frame.shutdown().triggered());
    loop {
        tokio::select! {
            _ = &mut stop => return Ok(()),
            _ = steps.tick() => {}
        }
        turn.tick();
        frame.status(format!("working, {} reloads", *reloads.borrow_and_update()));
    }
}

fn command(mode: String) -> ExitCode {
    cli::run(
        "cloudflare-probe",
        &"warn".parse().unwrap_or_default(),
        |interrupts| async move {
            let mut out = std::io::stdout();
            match mode.as_str() {
                "fail" => anyhow::bail!("the other side said \u{1b}[2J"),
                "write" => loop {
                    writeln!(out, "another line").context("cannot write the table")?;
                },
                "wait" => {
                    writeln!(out, "waiting")?;
                    pending().await
                }
                _ => {
                    let _act = interrupts.finish_first();
                    writeln!(out, "acting")?;
                    // The test decides when the act is over by closing our input.
                    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
                    ended.await.context("reading panicked")??;
                    writeln!(out, "finished")?;
                    Ok(0)
                }
            }
        },
    )
}
