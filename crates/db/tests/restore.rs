//! A copy in the place of the database: never under somebody, never half, nothing is lost.

use std::fs;
use std::path::Path;

use crate::common::{Child, PREDECESSOR, get, put};
use db::{Db, OpenOptions, RestoreError, leases, restore};
use jiff::Timestamp;
use rusqlite::Connection;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn open(path: &Path) -> Db {
    Db::open(path, OpenOptions::default()).unwrap()
}

fn close(db: Db) {
    assert!(db.close_blocking(std::time::Duration::from_secs(10)).checkpointed);
}

/// Plays a service: holds the database open until told to end.
#[test]
#[ignore = "a role of other tests"]
fn holder() {
    let Some(path) = crate::common::role("holder") else {
        return;
    };
    let db = open(&path);
    put(&db, 1, "held").unwrap();
    crate::common::say("open");
    crate::common::wait_for_go();
}

#[test]
fn the_copy_takes_the_place_and_what_was_there_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("copy.db"));
    let db = open(&path);
    put(&db, 1, "before").unwrap();
    db.write_blocking("host", |tx| leases::set_fact(tx, "host", "this one", NOW))
        .unwrap();
    db.backup_blocking(&copy).unwrap();
    put(&db, 2, "after").unwrap();
    close(db);
    let done = restore(&copy, &path, NOW).unwrap();
    assert_eq!((&done.path, done.schema_version), (&path, db::SCHEMA_VERSION));
    let db = open(&path);
    assert_eq!(
        (get(&db, 1).unwrap().as_deref(), get(&db, 2).unwrap()),
        (Some("before"), None)
    );
    let host = db
        .read_blocking("host", |tx| leases::fact(tx, "host"))
        .unwrap()
        .unwrap();
    assert!(
        host.contains("restored"),
        "whoever starts on it finds that it was moved: {host}"
    );
    let kept = Db::open(done.replaced.unwrap(), OpenOptions::read_only()).unwrap();
    assert_eq!(get(&kept, 2).unwrap().as_deref(), Some("after"), "nothing is lost");
    assert!(copy.exists());
}

#[test]
fn never_under_somebody() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("copy.db"));
    let db = open(&path);
    db.backup_blocking(&copy).unwrap();
    close(db);
    let mut holder = Child::new("restore::holder", "holder", &path).start();
    assert_eq!(holder.next().as_deref(), Some("open"));
    let before = fs::read(&path).unwrap();
    let refused = restore(&copy, &path, NOW).unwrap_err();
    assert!(matches!(refused, RestoreError::InUse { .. }), "{refused}");
    assert_eq!(refused.code(), "db.in_use");
    assert_eq!(fs::read(&path).unwrap(), before);
    holder.go();
    assert_eq!(holder.next(), None, "it has ended");
    drop(holder);
    restore(&copy, &path, NOW).unwrap();
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("a.db"), dir.path().join("copy.db"));
    let db = open(&path);
    for n in 0..200 {
        put(&db, n, "a row that takes some room").unwrap();
    }
    db.backup_blocking(&copy).unwrap();
    close(db);
    let before = fs::read(&path).unwrap();
    let mut damaged = fs::read(&copy).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 9_000].fill(0x5a);
    let other = dir.path().join("other.db");
    // What SQLite makes of a database without tables.
    fs::write(&other, b"").unwrap();
    for (bytes, code) in [
        (damaged, "db.corrupt"),
        (b"no database at all, by far".to_vec(), "db.corrupt"),
    ] {
        let bad = dir.path().join("bad.db");
        fs::write(&bad, bytes).unwrap();
        assert_eq!(restore(&bad, &path, NOW).unwrap_err().code(), code);
    }
    assert_eq!(restore(&other, &path, NOW).unwrap_err().code(), "db.not_ours");
    assert_eq!(
        restore(&dir.path().join("none"), &path, NOW).unwrap_err().code(),
        "db.file_missing"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !names.iter().any(|name| name.to_string_lossy().contains("restoring")),
        "{names:?}"
    );
}

#[test]
fn a_damaged_database_and_the_predecessors_file_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("a.db"), dir.path().join("old.db"));
    fs::write(&path, b"this was a database once").unwrap();
    Connection::open(&old).unwrap().execute_batch(PREDECESSOR).unwrap();
    let done = restore(&old, &path, NOW).unwrap();
    assert_eq!(done.schema_version, 0);
    assert!(done.replaced.unwrap().exists());
    let db = open(&path);
    assert!(db.integrity_check_blocking().unwrap().is_empty());
}
