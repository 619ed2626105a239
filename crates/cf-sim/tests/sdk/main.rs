//! Clients that others wrote, against the simulator: Cloudflare's own Python SDK in strict response validation calls every
//! endpoint, and python-telegram-bot sends, edits, polls and is refused. What they take for granted and the simulator does
//! not say is found here.
//!
//! `scripts/test` installs both beside the build; elsewhere these tests are skipped and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use cf_sim::{Sim, SimConfig};

/// Longer than it takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(150);

/// Where `scripts/test` puts the interpreter with its modules: beside the build.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let python = target.join("sdk/bin/python");
    python.is_file().then_some(python)
}

async fn drive(script: &str, arguments: &[String]) {
    let Some(python) = python() else {
        println!(
            "SKIPPED: Cloudflare's SDK and python-telegram-bot are not installed below target (scripts/test does it)"
        );
        return;
    };
    let driving = tokio::process::Command::new(python)
        .args(["-W", "ignore"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script))
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(LIMIT, driving).await.expect("in time").unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    println!("{said}");
}

#[tokio::test]
async fn cloudflares_sdk_believes_every_answer() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let config = sim.config();
    let arguments = [
        sim.api_base_url(),
        config.account_id.clone(),
        config.api_token.clone(),
        sim.control_url(),
    ];
    drive("cloudflare_calls.py", &arguments).await;
    sim.shutdown().await;
}

#[tokio::test]
async fn python_telegram_bot_believes_every_answer() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let config = sim.config();
    let arguments = [
        sim.telegram_url(),
        config.bot_token.clone(),
        config.chat_id.to_string(),
        sim.control_url(),
    ];
    drive("telegram_calls.py", &arguments).await;
    sim.shutdown().await;
}
