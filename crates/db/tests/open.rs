//! Opening: what is checked, what is created, and what an operator reads when it does not work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Child, PREDECESSOR, get, put};
use db::{Db, OpenError, OpenOptions, SCHEMA_VERSION};
use rusqlite::Connection;

fn open(path: &Path) -> Result<Db, OpenError> {
    Db::open(path, OpenOptions::default())
}

fn refused(path: &Path) -> OpenError {
    open(path).expect_err("it must not open")
}

/// Code, and that every text is there and says where.
fn assert_told(error: &OpenError, code: &str, names: &Path) {
    assert_eq!(error.code(), code, "{error:?}");
    let told = format!("{error} {} {}", error.meaning(), error.remedy());
    assert!(told.contains(&names.display().to_string()), "{told}");
    assert!(
        error.meaning().ends_with('.') && error.remedy().ends_with('.') || error.remedy().ends_with(')'),
        "{told}"
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Long enough for a few pages on any disk.
const CLOSING: Duration = Duration::from_secs(30);

#[test]
fn a_new_file_is_complete_private_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("magic_transit.db");
    let db = open(&path).unwrap();
    assert_eq!(mode(&path), 0o660);
    put(&db, 1, "one").unwrap();
    assert_eq!(mode(&dir.path().join("magic_transit.db-wal")), 0o660);
    assert!(db.close_blocking(Duration::from_secs(10)).drained);
    drop(db);
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.retain(|n| !n.ends_with("-wal") && !n.ends_with("-shm"));
    assert_eq!(names, ["magic_transit.db", "magic_transit.db.lock"]);
    assert_eq!(get(&open(&path).unwrap(), 1).unwrap().as_deref(), Some("one"));
}

#[test]
fn a_link_leads_to_the_same_file_and_the_same_lock() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let by_link = open(&link.join("a.db")).unwrap();
    assert_eq!(by_link.path(), fs::canonicalize(&real).unwrap().join("a.db"));
    put(&by_link, 1, "one").unwrap();
    assert_eq!(
        get(&open(&real.join("a.db")).unwrap(), 1).unwrap().as_deref(),
        Some("one")
    );
}

#[test]
fn a_missing_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere/a.db");
    assert_told(&refused(&path), "db.directory_missing", &dir.path().join("nowhere"));
    fs::write(dir.path().join("file"), "x").unwrap();
    assert_told(
        &refused(&dir.path().join("file/a.db")),
        "db.directory_missing",
        &dir.path().join("file"),
    );
}

#[test]
fn a_newer_schema_names_both_versions_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert!(open(&path).unwrap().close_blocking(CLOSING).drained);
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", SCHEMA_VERSION + 5)
        .unwrap();
    let before = fs::read(&path).unwrap();
    for options in [OpenOptions::default(), OpenOptions::read_only()] {
        let error = Db::open(&path, options).expect_err("newer");
        assert_told(&error, "db.newer_schema", &path);
        let text = error.to_string();
        assert!(
            text.contains(&format!("version {}", SCHEMA_VERSION + 5))
                && text.contains(&format!("up to {SCHEMA_VERSION}")),
            "{text}"
        );
    }
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn damaged_files_are_recognised_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let sound = dir.path().join("sound.db");
    Connection::open(&sound).unwrap().execute_batch(PREDECESSOR).unwrap();
    let bytes = fs::read(&sound).unwrap();
    let mut header = bytes.clone();
    header[..16].fill(b'x');
    let mut schema = bytes.clone();
    schema[100..2000].fill(0xff);
    let damaged: [(&str, &[u8]); 5] = [
        ("header", &header),
        ("schema", &schema),
        ("truncated", &bytes[..5000]),
        ("text", b"{\"this\": \"is no database\"}"),
        ("two bytes", b"xy"),
    ];
    for (what, content) in damaged {
        let path = dir.path().join(what);
        fs::write(&path, content).unwrap();
        for options in [OpenOptions::default(), OpenOptions::read_only()] {
            let error = Db::open(&path, options).expect_err(what);
            assert_told(&error, "db.corrupt", &path);
        }
        assert_eq!(fs::read(&path).unwrap(), content, "{what}");
    }
}

#[test]
fn damage_that_the_header_does_not_show_stops_the_migration_before_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch(PREDECESSOR).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let last_page = bytes.len() - 4096;
    bytes[last_page..].fill(0xee);
    fs::write(&path, &bytes).unwrap();
    let error = refused(&path);
    assert!(["db.corrupt", "db.copy_failed"].contains(&error.code()), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn the_database_of_another_program_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [
        ("foreign tables", "CREATE TABLE moz_places (id INTEGER PRIMARY KEY)"),
        (
            "foreign version",
            "CREATE TABLE moz_places (id INTEGER PRIMARY KEY); PRAGMA user_version = 1",
        ),
        (
            "foreign newer version",
            "CREATE TABLE moz_places (id INTEGER PRIMARY KEY); PRAGMA user_version = 75",
        ),
        (
            "foreign id",
            "CREATE TABLE attack_events (id INTEGER PRIMARY KEY); PRAGMA application_id = 7",
        ),
    ] {
        let path = dir.path().join(name);
        Connection::open(&path).unwrap().execute_batch(script).unwrap();
        let before = fs::read(&path).unwrap();
        assert_told(&refused(&path), "db.not_ours", &path);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn reading_only_needs_a_migrated_file_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let error = Db::open(&path, OpenOptions::read_only()).expect_err("missing");
    assert_told(&error, "db.file_missing", &path);
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    Connection::open(&path).unwrap().execute_batch(PREDECESSOR).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Db::open(&path, OpenOptions::read_only()).expect_err("old");
    assert_told(&error, "db.migration_needed", &path);
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(open(&path).unwrap());
    let db = Db::open(&path, OpenOptions::read_only()).unwrap();
    assert_eq!(put(&db, 1, "x").unwrap_err().code(), "db.read_only");
    assert_eq!(get(&db, 1).unwrap(), None);
}

#[test]
fn a_reader_follows_what_a_writer_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let writer = open(&path).unwrap();
    let reader = Db::open(&path, OpenOptions::read_only()).unwrap();
    put(&writer, 1, "one").unwrap();
    assert_eq!(get(&reader, 1).unwrap().as_deref(), Some("one"));
}

#[test]
fn a_lock_that_is_never_released_is_reported_after_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let lock = fs::File::create(dir.path().join("a.db.lock")).unwrap();
    lock.lock().unwrap();
    let options = OpenOptions {
        lock_limit: Duration::from_millis(50),
        ..OpenOptions::default()
    };
    let error = Db::open(&path, options.clone()).expect_err("locked");
    assert_told(&error, "db.locked", &dir.path().join("a.db.lock"));
    drop(lock);
    let db = Db::open(&path, options).unwrap();
    // A file that needs nothing done to it opens without the lock.
    let lock = fs::File::open(dir.path().join("a.db.lock")).unwrap();
    lock.lock().unwrap();
    drop(open(&path).unwrap());
    drop(db);
}

#[test]
fn a_predecessor_that_still_holds_its_file_is_reported_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let predecessor = Connection::open(&path).unwrap();
    predecessor.execute_batch(PREDECESSOR).unwrap();
    predecessor
        .execute_batch("BEGIN IMMEDIATE; UPDATE attack_events SET severity = 'high'")
        .unwrap();
    let began = Instant::now();
    let error = refused(&path);
    assert_told(&error, "db.locked", &path);
    assert!(error.remedy().contains("predecessor"), "{}", error.remedy());
    assert!(began.elapsed() < Duration::from_secs(30));
    predecessor.execute_batch("COMMIT").unwrap();
    let version: i64 = predecessor
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 0);
    drop(predecessor);
    drop(open(&path).unwrap());
}

#[test]
fn the_log_of_a_file_that_is_gone_is_kept_aside_and_never_replayed_into_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let db = open(&path).unwrap();
    for n in 0..50 {
        put(&db, n, "old").unwrap();
    }
    let log = fs::read(dir.path().join("a.db-wal")).unwrap();
    assert!(log.len() > 4096);
    drop(db);
    let other = dir.path().join("other.db");
    fs::write(dir.path().join("other.db-wal"), &log).unwrap();
    let new = open(&other).unwrap();
    assert_eq!(get(&new, 1).unwrap(), None);
    assert!(new.integrity_check_blocking().unwrap().is_empty());
    let kept = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().contains("other.db-wal.orphan-"));
    assert_eq!(fs::read(kept.expect("the log is kept")).unwrap(), log);
}

#[test]
fn what_a_crash_left_of_a_half_built_file_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.db.new"), "half").unwrap();
    drop(open(&dir.path().join("a.db")).unwrap());
    assert!(!dir.path().join("a.db.new").exists());
}

/// Run as another user by the tests below: opens what the environment says and prints what came of it.
#[test]
#[ignore = "the other process of other tests"]
fn child_opens() {
    let Some(path) = crate::common::role("open") else {
        return;
    };
    let options = if std::env::var_os("DB_TEST_READ_ONLY").is_some() {
        OpenOptions::read_only()
    } else {
        OpenOptions::default()
    };
    match Db::open(path, options) {
        Ok(db) => println!("said opened {:?}", get(&db, 1).map_err(|e| e.code())),
        Err(error) => println!("said {} {error}", error.code()),
    }
}

/// What a user without any rights hears. As root, permissions mean nothing, so the child runs as nobody.
fn as_nobody(dir: &Path, path: &Path, read_only: bool) -> String {
    let mut child = Child::new("open::child_opens", "open", path);
    if read_only {
        child.env("DB_TEST_READ_ONLY", "1");
    }
    child.as_nobody(dir);
    let said = child.start().said();
    said.first().expect("the child said nothing").clone()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn permissions_are_told_apart_and_reading_works_in_a_read_only_directory() {
    let dir = tempfile::tempdir().unwrap();
    set_mode(dir.path(), 0o755);
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = data.join("a.db");

    set_mode(&data, 0o555);
    let said = as_nobody(dir.path(), &path, false);
    assert!(
        said.starts_with("db.directory_not_writable") && said.contains(&data.display().to_string()),
        "{said}"
    );

    set_mode(&data, 0o755);
    let db = open(&path).unwrap();
    put(&db, 1, "one").unwrap();
    assert!(db.close_blocking(Duration::from_secs(10)).checkpointed);
    drop(db);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(data.join(format!("a.db{suffix}")));
    }

    set_mode(&path, 0o444);
    set_mode(&data, 0o555);
    let said = as_nobody(dir.path(), &path, false);
    assert!(said.starts_with("db.directory_not_writable"), "{said}");
    let said = as_nobody(dir.path(), &path, true);
    assert_eq!(said, "opened Ok(Some(\"one\"))", "reading needs neither lock nor log");

    set_mode(&data, 0o777);
    let said = as_nobody(dir.path(), &path, false);
    assert!(
        said.starts_with("db.file_not_writable") && said.contains("for writing"),
        "{said}"
    );

    set_mode(&path, 0o000);
    for read_only in [false, true] {
        let said = as_nobody(dir.path(), &path, read_only);
        assert!(
            said.starts_with("db.file_not_writable") && said.contains("for reading"),
            "{said}"
        );
    }
    set_mode(&data, 0o755);
}
