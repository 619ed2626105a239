//! Backups, integrity checks and a full disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{get, put};
use db::{BackupError, Db, OpenOptions};

fn open(path: &Path) -> Db {
    Db::open(path, OpenOptions::default()).unwrap()
}

#[test]
fn a_backup_made_while_others_write_is_one_sound_moment() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("a.db"));
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let key = written.load(Ordering::Relaxed);
                put(&db, key, "x").unwrap();
                written.store(key + 1, Ordering::Relaxed);
            }
        });
        while written.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        for round in 0..5 {
            let before = written.load(Ordering::Relaxed);
            let to = dir.path().join(format!("{round}.backup"));
            let report = db.backup_blocking(&to).unwrap();
            assert_eq!(report.path, to);
            assert_eq!(report.schema_version, db::SCHEMA_VERSION);
            assert_eq!(report.bytes, fs::metadata(&to).unwrap().len());
            assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o660);
            // Written one after the other, so a moment is a number below which everything is there.
            let copy = Db::open(&to, OpenOptions::read_only()).unwrap();
            let there = (0..).take_while(|n| get(&copy, *n).unwrap().is_some()).count() as u64;
            assert!(
                there >= before,
                "the backup is older than its beginning: {there} < {before}"
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
    let leftovers = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("partial"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn a_backup_is_one_file_that_opens_as_a_database_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("a.db"));
    put(&db, 1, "one").unwrap();
    let to = dir.path().join("copy.db");
    db.backup_blocking(&to).unwrap();
    assert!(!dir.path().join("copy.db-wal").exists());
    put(&db, 2, "two").unwrap();
    let restored = open(&to);
    assert_eq!(get(&restored, 1).unwrap().as_deref(), Some("one"));
    assert_eq!(get(&restored, 2).unwrap(), None);
    put(&restored, 3, "three").unwrap();
    assert!(restored.integrity_check_blocking().unwrap().is_empty());
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_says_why_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("a.db"));
    let there = dir.path().join("there");
    fs::write(&there, "precious").unwrap();
    let error = db.backup(&there).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error:?}");
    assert_eq!(fs::read(&there).unwrap(), b"precious");
    let nowhere = dir.path().join("nowhere/copy.db");
    let error = db.backup(&nowhere).await.unwrap_err();
    assert_eq!(error.code(), "db.backup_io");
    assert!(error.to_string().contains("nowhere/copy.db"));
}

#[tokio::test]
async fn the_integrity_check_finds_damage_and_backups_refuse_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let db = open(&path);
    for n in 0..200 {
        put(&db, n, &"x".repeat(500)).unwrap();
    }
    assert!(db.integrity_check(Duration::from_secs(60)).await.unwrap().is_empty());
    assert!(db.close(Duration::from_secs(10)).await.checkpointed);
    drop(db);
    let mut bytes = fs::read(&path).unwrap();
    let last_page = bytes.len() - 4096;
    bytes[last_page..].fill(0xee);
    fs::write(&path, bytes).unwrap();
    let db = open(&path);
    match db.integrity_check(Duration::from_secs(60)).await {
        Ok(problems) => assert!(!problems.is_empty() && problems.len() <= 40, "{problems:?}"),
        Err(error) => assert_eq!(error.code(), "db.corrupt"),
    }
    let to = dir.path().join("copy.db");
    assert_eq!(db.backup(&to).await.unwrap_err().code(), "db.corrupt");
    assert!(!to.exists());
}

/// A file system of one megabyte; unmounted when dropped.
struct Tiny(PathBuf);

impl Tiny {
    /// `None` where we may not mount.
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(at.to_path_buf()))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_nothing_acknowledged_is_lost_and_it_heals() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tiny) = Tiny::mount(dir.path()) else {
        eprintln!(
            "not allowed to mount a small file system here: the page limit test in the writer covers part of this"
        );
        return;
    };
    let path = tiny.0.join("a.db");
    let ballast = tiny.0.join("ballast");
    fs::write(&ballast, vec![0; 300_000]).unwrap();
    let db = open(&path);
    let mut stored = Vec::new();
    let error = loop {
        let key = stored.len() as u64;
        match put(&db, key, &"x".repeat(3000)) {
            Ok(()) => stored.push(key),
            Err(error) => break error,
        }
        assert!(stored.len() < 2000, "the disk never filled up");
    };
    assert_eq!(error.code(), "db.disk_full", "{error:?}");
    assert!(error.is_outage());
    assert_eq!(db.writer_stats().last_error.unwrap().1.code(), "db.disk_full");

    let other = Db::open(tiny.0.join("other.db"), OpenOptions::default()).expect_err("no room for a new file");
    assert_eq!(other.code(), "db.disk_full", "{other:?}");
    let backup = db.backup_blocking(&tiny.0.join("copy.db")).unwrap_err();
    assert!(!tiny.0.join("copy.db").exists(), "{backup:?}");

    fs::remove_file(&ballast).unwrap();
    put(&db, 9999, "room again").unwrap();
    for key in stored {
        assert!(get(&db, key).unwrap().is_some(), "{key} was acknowledged");
    }
    assert!(db.integrity_check_blocking().unwrap().is_empty());
    drop(db);
    drop(tiny);
}
