//! How long each service takes from its start to READY, on a new and on an existing database, and what it holds when idle,
//! beside raw limits of the same run. `scripts/bench start` runs it on release builds.
//!
//! READY is timed from before the fork to the arrival of the message on the NOTIFY_SOCKET.
#![allow(clippy::print_stdout, clippy::expect_used)] // a command whose output is its result

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Pace, Program, Site};

/// Starts timed for each case.
const ROUNDS: usize = 15;

/// How long a service is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{:<32} {:>10} {:>10}   of {ROUNDS} starts", "", "median ms", "most ms");
    row(
        "raw limit: exec of /bin/true",
        (0..ROUNDS).map(|_| exec_of_true()).collect(),
    );
    row(
        "raw limit: 4 KiB and fsync",
        (0..ROUNDS).map(|_| fsync_of_a_page()).collect(),
    );
    for program in Program::ALL {
        let mut on_new = Vec::new();
        let mut on_existing = Vec::new();
        let mut memory = [0; 3];
        for round in 0..ROUNDS {
            let site = Site::new(Pace::fast()).await;
            let mut first = site.spawn(program);
            on_new.push(first.ready().await);
            first.stop().await;
            let mut second = site.spawn(program);
            on_existing.push(second.ready().await);
            if round + 1 == ROUNDS {
                tokio::time::sleep(IDLE).await;
                memory = ["VmRSS", "RssAnon", "RssFile"].map(|name| second.memory_kib(name));
            }
            second.stop().await;
        }
        row(&format!("{}, new file", program.name()), on_new);
        row(&format!("{}, existing", program.name()), on_existing);
        let [all, own, mapped] = memory.map(kib);
        println!(
            "{:<32} {all:>10.1} MiB resident after {} s idle: {own:.1} its own, {mapped:.1} of the program file",
            "",
            IDLE.as_secs()
        );
    }
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn kib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn row(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    println!(
        "{name:<32} {:>10.1} {:>10.1}",
        ms(times.get(times.len() / 2)),
        ms(times.last())
    );
}

fn exec_of_true() -> Duration {
    let began = Instant::now();
    Command::new("/bin/true").env_clear().status().expect("/bin/true runs");
    began.elapsed()
}

fn fsync_of_a_page() -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let mut file = File::create(folder.path().join("page")).expect("a file");
    file.write_all(&[0; 4_096])
        .and_then(|()| file.sync_all())
        .expect("writes");
    began.elapsed()
}
