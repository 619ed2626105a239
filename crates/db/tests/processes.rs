//! Several processes on one file: starting at once, dying, and not standing in each other's way.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Child, PREDECESSOR, get, put, say, wait_for_go};
use db::{Db, OpenOptions, preferences};
use jiff::Timestamp;
use rusqlite::Connection;

#[test]
#[ignore = "the other process of other tests"]
fn child_opens_and_writes() {
    let Some(path) = crate::common::role("open-and-write") else {
        return;
    };
    wait_for_go();
    let stored = Db::open(path, OpenOptions::default())
        .map_err(|error| {
            format!(
                "{} {error} {:?}",
                error.code(),
                std::error::Error::source(&error).map(ToString::to_string)
            )
        })
        .and_then(|db| {
            put(&db, std::process::id().into(), "here").map_err(|error| format!("{} {error}", error.code()))
        });
    match stored {
        Ok(()) => say("stored"),
        Err(error) => say(&error),
    }
}

/// Starts four processes that open the file at the same moment; returns what went wrong.
fn four_at_once(path: &Path) -> Vec<String> {
    let mut children: Vec<_> = (0..4)
        .map(|_| Child::new("processes::child_opens_and_writes", "open-and-write", path).start())
        .collect();
    for child in &mut children {
        child.go();
    }
    let said: Vec<String> = children.into_iter().flat_map(crate::common::Running::said).collect();
    assert_eq!(said.len(), 4);
    said.into_iter().filter(|s| s != "stored").collect()
}

fn rows(path: &Path, sql: &str) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn four_processes_starting_at_once_on_a_new_file_all_succeed_forty_times() {
    let dir = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for round in 0..40 {
        let path = dir.path().join(format!("{round}.db"));
        failures.extend(four_at_once(&path));
        assert_eq!(
            rows(&path, "SELECT count(*) FROM preferences WHERE key LIKE 'test.%'"),
            4,
            "round {round}"
        );
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn four_processes_starting_at_once_on_an_old_file_migrate_it_once() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = dir.path().join(format!("{round}.db"));
        Connection::open(&path).unwrap().execute_batch(PREDECESSOR).unwrap();
        let failures = four_at_once(&path);
        assert!(failures.is_empty(), "{failures:#?}");
        assert_eq!(rows(&path, "SELECT count(*) FROM webhook_events"), 5);
        let copies = std::fs::read_dir(dir.path()).unwrap().filter(|e| {
            e.as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{round}.db.before-"))
        });
        assert_eq!(copies.count(), 1);
    }
}

#[test]
fn threads_opening_the_same_new_file_all_succeed() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let path = dir.path().join(format!("{round}.db"));
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for n in 0..4 {
                let (path, barrier) = (&path, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    put(&Db::open(path, OpenOptions::default()).unwrap(), n, "here").unwrap();
                });
            }
        });
        assert_eq!(
            rows(&path, "SELECT count(*) FROM preferences WHERE key LIKE 'test.%'"),
            4
        );
    }
}

/// Writes from four threads without end and says each key once it is acknowledged.
#[test]
#[ignore = "the other process of other tests"]
fn child_acknowledges() {
    let Some(path) = crate::common::role("acknowledge") else {
        return;
    };
    let db = Db::open(path, OpenOptions::default()).unwrap();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let key = next.fetch_add(1, Ordering::Relaxed);
                    put(&db, key, "acknowledged").unwrap();
                    say(&key.to_string());
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = dir.path().join(format!("{round}.db"));
        let mut child = Child::new("processes::child_acknowledges", "acknowledge", &path).start();
        let mut acknowledged: Vec<String> = (0..100)
            .map(|_| child.next().expect("the child died by itself"))
            .collect();
        acknowledged.extend(child.kill());
        let db = Db::open(&path, OpenOptions::default()).unwrap();
        for key in &acknowledged {
            assert!(
                get(&db, key.parse().unwrap()).unwrap().is_some(),
                "round {round}: {key} was acknowledged and is not there"
            );
        }
        assert!(db.integrity_check_blocking().unwrap().is_empty());
    }
}

/// Where [`child_hogs`] keeps the number of commits it has made so far.
const COMMITS: &str = "test.hog.commits";

/// Writes from eight threads without end: its writer has always something to do.
#[test]
#[ignore = "the other process of other tests"]
fn child_hogs() {
    let Some(path) = crate::common::role("hog") else { return };
    let db = Db::open(path, OpenOptions::default()).unwrap();
    let said = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let stats = db.clone();
                    db.write_blocking("hog", move |tx| {
                        preferences::set(tx, COMMITS, &stats.writer_stats().commits, "hog", Timestamp::UNIX_EPOCH)
                    })
                    .unwrap();
                    if said.fetch_add(1, Ordering::Relaxed) == 100 {
                        say("busy");
                    }
                }
            });
        }
    });
}

#[test]
fn a_busy_process_does_not_starve_the_writer_of_another() {
    const WRITES: u64 = 25;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut hog = Child::new("processes::child_hogs", "hog", &path).start();
    assert_eq!(hog.next().as_deref(), Some("busy"));
    let db = Db::open(&path, OpenOptions::default()).unwrap();
    let commits = || -> u64 {
        db.read_blocking("commits", |tx| preferences::get(tx, COMMITS))
            .unwrap()
            .unwrap()
    };
    let mut waited = Vec::new();
    for _ in 0..WRITES {
        // The other process must be in full swing again: our own last write may have held it up.
        let (last, until) = (commits(), Instant::now() + Duration::from_secs(30));
        while commits() < last + 10 {
            assert!(Instant::now() < until, "the other process writes no more");
            std::thread::yield_now();
        }
        let before = commits();
        let during: u64 = db
            .write_blocking("ours", |tx| {
                preferences::set(tx, "test.ours", "x", "test", Timestamp::UNIX_EPOCH)?;
                Ok(preferences::get(tx, COMMITS)?.unwrap_or(0))
            })
            .expect("the lock was never to be had");
        waited.push(during - before);
    }
    drop(hog);
    // Measured: a handful each. With waits as SQLite makes them by itself (up to 100 ms) it is hundreds, and over 200 on average.
    let (most, sum) = (*waited.iter().max().unwrap(), waited.iter().sum::<u64>());
    assert!(
        most <= 600 && sum <= WRITES * 100,
        "commits of the other process until our turn came: {waited:?}"
    );
}
