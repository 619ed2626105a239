//! From a path to connections: checks, creation, migration, in an order that never harms what is there.
//!
//! A file that is up to date is opened without taking the lock file, in a few milliseconds. Everything else (creating,
//! switching to WAL, migrating) happens under it, and is looked at again once it is held, because another process may have
//! been faster.

mod create;
mod error;
pub(crate) mod lock;
pub(crate) mod place;
mod schema_state;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::connection::{self, ReadSource};
use crate::error::{Cause, DbError};
use crate::{backup, migrate};
pub use error::OpenError;
use schema_state::Verdict;

/// What the process wants to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write; create and migrate the file if needed.
    ReadWrite,
    /// Only read; never create, migrate or write anything. Works in a read-only directory.
    ReadOnly,
}

/// How to open the database. `OpenOptions::default()` is right for services.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Reading only, or everything.
    pub access: Access,
    /// Most read connections at once. They are opened when needed.
    pub readers: u32,
    /// Most writes that may wait; a further one is refused with [`DbError::QueueFull`].
    pub queue: usize,
    /// How long a write waits for its turn (queue and lock) before it is refused with [`DbError::Busy`].
    pub write_limit: Duration,
    /// How long a caller waits for the answer to a write before it gets [`DbError::NoAnswer`]. Longer than `write_limit`: a
    /// write that is refused for lack of its turn says so before, and only a hanging disk leaves the outcome open.
    pub answer_limit: Duration,
    /// The deadline of a read that names none.
    pub read_limit: Duration,
    /// How long opening waits for another process that creates or migrates the file.
    pub lock_limit: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            access: Access::ReadWrite,
            readers: 2,
            queue: 4096,
            write_limit: connection::BUSY_LIMIT,
            answer_limit: connection::BUSY_LIMIT + Duration::from_secs(10),
            read_limit: Duration::from_secs(5),
            // Longer than migrating the largest file we know of takes, shorter than systemd's start limit of 90 s.
            lock_limit: Duration::from_secs(60),
        }
    }
}

impl OpenOptions {
    /// For command lines that only look.
    #[must_use]
    pub fn read_only() -> Self {
        Self {
            access: Access::ReadOnly,
            readers: 1,
            ..Self::default()
        }
    }
}

/// An opened file: where it is, how to read it, and the write connection unless it is read-only.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) source: ReadSource,
    pub(crate) writer: Option<Connection>,
}

pub(crate) fn read_write(path: &Path, options: &OpenOptions) -> Result<Opened, OpenError> {
    let path = place::find(path)?;
    let mut conn = match ready_writer(&path)? {
        Some(conn) => conn,
        None => prepare(&path, options.lock_limit)?,
    };
    connection::finish_writer(&mut conn).map_err(|e| OpenError::from_sqlite(&path, &e.into()))?;
    let source = ReadSource::live(&path);
    Ok(Opened {
        path,
        source,
        writer: Some(conn),
    })
}

/// The write connection if the file exists and needs nothing done to it.
fn ready_writer(path: &Path) -> Result<Option<Connection>, OpenError> {
    if !exists(path)? {
        return Ok(None);
    }
    let conn = open_existing(path)?;
    let state = schema_state::of(&conn).map_err(|e| OpenError::from_sqlite(path, &e))?;
    let ready = state.judge(path)? == Verdict::Current && state.wal;
    Ok(ready.then_some(conn))
}

/// Creates, migrates or switches to WAL under the lock file, as needed.
fn prepare(path: &Path, limit: Duration) -> Result<Connection, OpenError> {
    let began = Instant::now();
    let _lock = lock::take(path, limit)?;
    if !exists(path)? {
        create::new_file(path)?;
        tracing::info!(event = "db.file.created", path = %path.display(), schema = migrate::LATEST, took_ms = millis(began));
    }
    let mut conn = open_existing(path)?;
    let state = schema_state::of(&conn).map_err(|e| OpenError::from_sqlite(path, &e))?;
    match state.judge(path)? {
        Verdict::Current => {
            if !state.wal {
                switch_to_wal(path, &conn)?;
            }
        }
        Verdict::Older => {
            let copy = if state.empty {
                None
            } else {
                Some(backup::before_migration(path, &conn)?)
            };
            switch_to_wal(path, &conn)?;
            migrate::to_latest(&mut conn).map_err(|error| match error {
                DbError::DiskFull(_) | DbError::Busy(_) => OpenError::from_sqlite(path, &error),
                error => OpenError::MigrationFailed {
                    path: path.to_path_buf(),
                    from: state.version,
                    to: migrate::LATEST,
                    copy: copy.clone(),
                    source: Cause::text(crate::error::chain(&error)),
                },
            })?;
            connection::set_up_writer(&conn).map_err(|e| OpenError::from_sqlite(path, &e.into()))?;
            let copy = copy.map_or_else(|| "none".into(), |c| c.display().to_string());
            tracing::info!(event = "db.schema.migrated", path = %path.display(), from = state.version, to = migrate::LATEST, copy, took_ms = millis(began));
        }
    }
    Ok(conn)
}

pub(crate) fn read_only(path: &Path) -> Result<Opened, OpenError> {
    let path = place::find(path)?;
    if !exists(&path)? {
        return Err(OpenError::FileMissing { path });
    }
    let live = ReadSource::live(&path);
    let looked = look(&live);
    let (source, looked) = match looked {
        // Without a log there is nothing that the main file does not hold, so it can be read as it lies there.
        Err(DbError::Io(_) | DbError::ReadOnly(_)) if !has_log(&path) => {
            let immutable = ReadSource::immutable(&path);
            let looked = look(&immutable);
            (immutable, looked)
        }
        looked => (live, looked),
    };
    let state = looked.map_err(|error| match error {
        DbError::Io(_) | DbError::ReadOnly(_) => OpenError::FileNotWritable {
            path: path.clone(),
            reading: true,
        },
        error => OpenError::from_sqlite(&path, &error),
    })?;
    match state.judge(&path)? {
        Verdict::Current => Ok(Opened {
            path,
            source,
            writer: None,
        }),
        Verdict::Older => Err(OpenError::MigrationNeeded {
            path,
            found: state.version,
            known: migrate::LATEST,
        }),
    }
}

/// A copy that may take the database's place, opened for reading.
pub(crate) struct Restorable {
    pub(crate) conn: Connection,
    pub(crate) version: i64,
}

/// Opens a copy of any version that this program can migrate; it need not lie where something can be written.
pub(crate) fn restorable(path: &Path) -> Result<Restorable, OpenError> {
    let path = place::find(path)?;
    if !exists(&path)? {
        return Err(OpenError::FileMissing { path });
    }
    let sqlite = |error: &DbError| OpenError::from_sqlite(&path, error);
    let source = if has_log(&path) {
        ReadSource::live(&path)
    } else {
        ReadSource::immutable(&path)
    };
    let conn = source.open().map_err(|error| sqlite(&error.into()))?;
    let state = schema_state::of(&conn).map_err(|error| sqlite(&error))?;
    state.judge(&path)?;
    if state.empty {
        return Err(OpenError::NotOurs {
            path,
            tables: "none".into(),
        });
    }
    Ok(Restorable {
        version: state.version,
        conn,
    })
}

fn look(source: &ReadSource) -> Result<schema_state::SchemaState, DbError> {
    schema_state::of(&source.open()?)
}

fn has_log(path: &Path) -> bool {
    // What cannot be looked at counts as a log: reading around it could show old rows as the newest.
    std::fs::metadata(place::beside(path, "-wal"))
        .map_or_else(|e| e.kind() != std::io::ErrorKind::NotFound, |m| m.len() > 0)
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|e| OpenError::io(path, &e))
}

/// Opens for writing and makes sure that it is: SQLite itself falls back to reading without a word.
fn open_existing(path: &Path) -> Result<Connection, OpenError> {
    let conn = connection::open_writer(path).map_err(|e| OpenError::from_sqlite(path, &e.into()))?;
    if conn.is_readonly("main").unwrap_or(false) {
        return Err(OpenError::from_sqlite(
            path,
            &DbError::ReadOnly(Cause::text("the file opens only for reading")),
        ));
    }
    Ok(conn)
}

/// The switch needs the file for itself for a moment. SQLite does not always ask the busy handler here, so we ask again ourselves.
fn switch_to_wal(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let began = Instant::now();
    loop {
        let source = match conn
            .query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0))
            .map_err(DbError::from)
        {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => Cause::text(format!("the journal mode stays {mode:?}")),
            Err(DbError::Busy(cause)) => cause,
            Err(error) => return Err(OpenError::from_sqlite(path, &error)),
        };
        if began.elapsed() >= connection::BUSY_LIMIT {
            return Err(OpenError::Locked {
                path: path.to_path_buf(),
                waited: connection::BUSY_LIMIT,
                source,
            });
        }
        connection::pause(Duration::from_millis(5));
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
