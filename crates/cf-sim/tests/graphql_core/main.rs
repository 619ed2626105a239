//! graphql-core, the reference implementation in Python, is asked about every query of ours and about the simulator's
//! answers: the simulator validates with another implementation, so that one misreading cannot hide in both.
//!
//! `scripts/test` installs it beside the build; elsewhere the test is skipped and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use cf_sim::{Sim, SimConfig};

/// Longer than it takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Where `scripts/test` puts the interpreter with its modules: beside the build.
fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let python = target.join("graphql-core/bin/python");
    python.is_file().then_some(python)
}

#[tokio::test]
async fn every_query_and_answer_fits_the_schema() {
    let Some(python) = python() else {
        println!("SKIPPED: graphql-core is not installed below target (scripts/test does it)");
        return;
    };
    let sim = Sim::start(SimConfig {
        graphql_quota: 0,
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checking = tokio::process::Command::new(python)
        .arg(here.join("tests/graphql_core/check.py"))
        .arg(here.join("schema/cloudflare.graphql"))
        .arg(format!("http://{}", sim.addr()))
        .args([&sim.config().account_id, &sim.config().api_token])
        .arg(here.join("tests/graphql_core/documents"))
        .arg(here.join("../cf-api/graphql"))
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(LIMIT, checking).await.expect("in time").unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    println!("{said}");
    sim.shutdown().await;
}
