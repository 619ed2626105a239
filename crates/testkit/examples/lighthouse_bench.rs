//! What Lighthouse says of the main page over a seeded database, and what its first load takes: `scripts/bench lighthouse`.
//!
//! Lighthouse comes from the folder that LIGHTHOUSE names, the dashboard from where tests find the programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    dead_code
)]

#[path = "../../../services/dashboard/tests/support/seed/mod.rs"]
mod seed;
#[path = "../tests/browser/stage.rs"]
mod stage;

use std::process::Stdio;

use db::users::Role;
use serde_json::Value;
use tokio::process::Command;

/// What the page is called: Lighthouse takes every address but 127.0.0.1 for a foreign one, which should have TLS, and the
/// simulated sites have addresses of their own.
const NAME: &str = "dashboard.localhost";

const FLAGS: &str = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync --disable-dev-shm-usage";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::var("LIGHTHOUSE").expect("LIGHTHOUSE names the folder where it is installed");
    let stage = stage::Seeded::with(seed::Words::default(), "Example Networks").await;
    let token = stage.session("ana", Role::Operator).await;
    let base = stage.base();
    let (_, place) = base.split_once("//").expect("an address");
    let (address, port) = place.rsplit_once(':').expect("a port");
    let (named, flags) = (
        format!("http://{NAME}:{port}"),
        format!("{FLAGS} --host-resolver-rules=\"MAP {NAME} {address}\""),
    );
    println!("Lighthouse on the main page (the browser shares this machine with the dashboard)");
    for form in ["desktop", "phone"] {
        let mut command = Command::new("node");
        command
            .arg(format!("{folder}/node_modules/lighthouse/cli/index.js"))
            .arg(&named)
            .args([
                "--quiet",
                "--output=json",
                "--only-categories=performance,accessibility,best-practices",
            ])
            .arg(format!("--extra-headers={{\"Cookie\":\"magic-transit={token}\"}}"))
            .arg(format!("--chrome-flags={flags}"))
            .stderr(Stdio::inherit());
        if form == "desktop" {
            command.arg("--preset=desktop");
        }
        let output = command.output().await.expect("node runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report of Lighthouse");
        tell(form, &report, &named);
    }
}

fn tell(form: &str, report: &Value, base: &str) {
    let score = |name: &str| report["categories"][name]["score"].as_f64().unwrap_or(0.0) * 100.0;
    let number = |name: &str| report["audits"][name]["numericValue"].as_f64().unwrap_or(f64::NAN);
    println!(
        "{form}: performance {:.0}, accessibility {:.0}, best practices {:.0}",
        score("performance"),
        score("accessibility"),
        score("best-practices")
    );
    println!(
        "  first contentful paint {:.2} s, largest {:.2} s, layout shift {:.3}, blocked {:.0} ms",
        number("first-contentful-paint") / 1e3,
        number("largest-contentful-paint") / 1e3,
        number("cumulative-layout-shift"),
        number("total-blocking-time")
    );
    let observed = &report["audits"]["metrics"]["details"]["items"][0];
    println!(
        "  without its simulated network: first contentful paint {} ms",
        observed["observedFirstContentfulPaint"]
    );
    let requests = report["audits"]["network-requests"]["details"]["items"].as_array();
    let requests = requests.map(Vec::as_slice).unwrap_or_default();
    let bytes: f64 = requests
        .iter()
        .filter_map(|request| request["transferSize"].as_f64())
        .sum();
    let foreign = requests
        .iter()
        .filter_map(|request| request["url"].as_str())
        .filter(|url| !url.starts_with(base) && !url.starts_with("data:"));
    println!(
        "  {} requests, {:.1} kB transferred, {} to other hosts",
        requests.len(),
        bytes / 1e3,
        foreign.count()
    );
    let audits = report["audits"].as_object();
    for (name, audit) in audits.into_iter().flatten() {
        let counts = audit["scoreDisplayMode"] == "binary" || audit["scoreDisplayMode"] == "metricSavings";
        if counts && audit["score"].as_f64().is_some_and(|score| score < 0.9) {
            println!("  below 0.9: {name}: {}", audit["title"].as_str().unwrap_or_default());
        }
    }
}
