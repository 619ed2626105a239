//! How long the command lines take from their start to the end of their output: help, and the status of the prefixes,
//! beside raw limits of the same run. `scripts/bench cli` runs it on release builds.
//!
//! The simulated Cloudflare answers on loopback at once, so nearly all of a status is our own time.
#![allow(clippy::print_stdout, clippy::expect_used)] // a command whose output is its result

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use db::{Db, OpenOptions};
use testkit::binaries;
use testkit::{Pace, Site};

/// Starts timed for each case.
const ROUNDS: usize = 40;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let site = Site::new(Pace::fast()).await;
    // An installation that has run: the file exists and knows the prefixes.
    drop(Db::open(site.database(), OpenOptions::default()).expect("a database"));
    println!("{:<56} {:>10} {:>10}   of {ROUNDS} runs", "", "median ms", "most ms");
    row("raw limit: exec of /bin/true", || timed(&mut Command::new("/bin/true")));
    for program in ["cloudflare-prefix-manager", "cloudflare-rules-manager", "cloudflare-mt"] {
        row(&format!("{program} --help"), || {
            timed(Command::new(binaries::program(program)).arg("--help"))
        });
    }
    let status = |arguments: &[&str]| {
        let mut command = Command::new(binaries::program("cloudflare-prefix-manager"));
        command.arg("--config-dir").arg(site.config_dir()).args(arguments);
        timed(&mut command)
    };
    let before = site.sim.requests_since(0).len();
    let first = status(&["status"]);
    let asked = site.sim.requests_since(0).len() - before;
    println!("{:<56} {:>10.1}   the first one, {asked} calls", "status", ms(first));
    row("cloudflare-prefix-manager status", || status(&["status"]));
    row("cloudflare-prefix-manager status 203.0.113.0/24", || {
        status(&["status", "203.0.113.0/24"])
    });
    row("cloudflare-prefix-manager list (asks nobody)", || status(&["list"]));
}

fn timed(command: &mut Command) -> Duration {
    let began = Instant::now();
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    done.expect("the program runs");
    began.elapsed()
}

fn row(name: &str, mut run: impl FnMut() -> Duration) {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| run()).collect();
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let most = times.last().copied().unwrap_or_default();
    println!("{name:<56} {:>10.1} {:>10.1}", ms(median), ms(most));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
