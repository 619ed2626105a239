//! How single connections are opened and set up. Nothing here knows about schemas, pools or threads.
//!
//! What must hold: `synchronous=FULL` wherever something is written (an acknowledged commit survives a power cut), small page
//! caches and no memory map (the whole process stays in a few megabytes), and no connection ever waits for a lock without limit.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

/// Marks a file as ours in SQLite's header, so that another program's database is never migrated ("CMTD").
pub(crate) const APPLICATION_ID: i32 = 0x434D_5444;

/// How long a statement waits for a lock that another connection holds.
pub(crate) const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// How often a waiting writer asks for the lock. Shorter than the pause that every writer leaves
/// (`writer::PAUSE`), so that a waiting process meets the gap instead of sleeping through it; SQLite's own handler
/// backs off to 100 ms and starves beside a busy neighbour.
const BUSY_POLL: Duration = Duration::from_micros(500);

/// Page caches in KiB (negative in SQLite's pragma), filled only as far as they are used, so an idle process stays small.
/// A flood of alerts touches two dozen indexes; with less they were read from the file again for nearly every alert.
const WRITER_CACHE_KIB: i32 = 8192;
const READER_CACHE_KIB: i32 = 512;

/// Pages in the log after which SQLite moves them into the file inside a commit. 48 MiB, a bound only: the writer thread sees to
/// it long before ([`crate::writer`]).
pub(crate) const MOST_LOG_PAGES: i32 = 12_000;

/// The WAL file is cut back to this size when a checkpoint starts it anew; a long read may have let it grow.
const WAL_KEPT_BYTES: i64 = 16 * 1024 * 1024;

thread_local! {
    static WAITING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static WAIT_LIMIT: Cell<Duration> = const { Cell::new(BUSY_LIMIT) };
}

/// Sets how long connections used on this thread wait for a lock; for the writer thread, which owns its connection.
pub(crate) fn set_busy_limit_of_this_thread(limit: Duration) {
    WAIT_LIMIT.set(limit);
}

/// SQLite's busy handler: `asked` counts the earlier calls for the same lock.
fn wait_for_lock(asked: i32) -> bool {
    let now = Instant::now();
    if asked == 0 {
        WAITING_SINCE.set(Some(now));
    }
    let since = WAITING_SINCE.get().unwrap_or(now);
    if now.duration_since(since) >= WAIT_LIMIT.get() {
        return false;
    }
    pause(BUSY_POLL);
    true
}

/// Blocks this thread for a moment. Only for threads that belong to the database: the writer, and callers that open a file.
#[allow(
    clippy::disallowed_methods,
    reason = "SQLite's locks have no wake-up call; a database thread polls in small steps with a limit"
)]
pub(crate) fn pause(step: Duration) {
    std::thread::sleep(step);
}

/// Opens the write connection of an existing file. The file is never created here.
///
/// SQLite falls back to reading when the file cannot be written: check [`Connection::is_readonly`] where it matters.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    set_up_writer(&conn)?;
    Ok(conn)
}

/// The settings of a write connection. They read no page, so they work on a damaged file as well.
pub(crate) fn set_up_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait_for_lock))?;
    set_up_any(conn, WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.set_prepared_statement_cache_capacity(96);
    Ok(())
}

/// What a write connection gets once the file is known to be good and migrated.
pub(crate) fn finish_writer(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let _: i64 = conn.query_row(&format!("PRAGMA journal_size_limit={WAL_KEPT_BYTES}"), [], |row| {
        row.get(0)
    })?;
    let _: i64 = conn.query_row(&format!("PRAGMA wal_autocheckpoint={MOST_LOG_PAGES}"), [], |row| {
        row.get(0)
    })?;
    Ok(())
}

/// Where and how read connections are opened.
#[derive(Debug, Clone)]
pub(crate) struct ReadSource {
    /// The path, or a `file:` URI where the file is read as immutable.
    pub(crate) path: PathBuf,
    /// Flags for SQLite's open call.
    pub(crate) flags: OpenFlags,
}

impl ReadSource {
    /// The file as other processes see it, following their commits.
    pub(crate) fn live(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            flags: OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        }
    }

    /// The file as bytes that nobody changes: for a directory in which SQLite can create no lock files.
    pub(crate) fn immutable(path: &Path) -> Self {
        let live = Self::live(path);
        Self {
            path: immutable_uri(path),
            flags: live.flags | OpenFlags::SQLITE_OPEN_URI,
        }
    }

    pub(crate) fn open(&self) -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(&self.path, self.flags)?;
        set_up_reader(&conn)?;
        Ok(conn)
    }
}

/// The settings of a read connection.
pub(crate) fn set_up_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait_for_lock))?;
    set_up_any(conn, READER_CACHE_KIB)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.set_prepared_statement_cache_capacity(48);
    Ok(())
}

fn set_up_any(conn: &Connection, cache_kib: i32) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    // Sorting must not need a writable directory for temporary files: the services are sandboxed.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // A file from elsewhere must not run functions out of its schema, and a misspelt column must not turn into a text.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    Ok(())
}

/// `file:` URI with the characters escaped that SQLite gives a meaning (<https://www.sqlite.org/uri.html>).
fn immutable_uri(path: &Path) -> PathBuf {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut uri = b"file:".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => uri.push(byte),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    PathBuf::from(OsString::from_vec(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_of_an_odd_path_still_names_that_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("100% odd?#name.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7)")
            .unwrap();
        let conn = ReadSource::immutable(&path).open().unwrap();
        let seven: i64 = conn.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(seven, 7);
        assert!(conn.execute("INSERT INTO t VALUES (8)", []).is_err());
    }

    #[test]
    fn waiting_for_a_lock_ends_at_the_limit_of_the_thread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t(a)")
            .unwrap();
        let holder = open_writer(&path).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        set_busy_limit_of_this_thread(Duration::from_millis(30));
        let waiter = open_writer(&path).unwrap();
        let began = Instant::now();
        let error = crate::DbError::from(waiter.execute_batch("BEGIN IMMEDIATE").unwrap_err());
        assert_eq!(error.code(), "db.busy");
        assert!(began.elapsed() >= Duration::from_millis(30));
        holder.execute_batch("COMMIT").unwrap();
        waiter.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    }
}
