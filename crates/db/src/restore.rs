//! Putting a copy in the place of the database: whole or not at all, never under a running service, nothing is lost.
//!
//! The copy is copied once more, checked and made ready beside the database; what lies there is renamed, not deleted;
//! only then the new file gets the name. It is marked as moved (`facts`, name `host`), so that the automation starts
//! paused until a person confirms: time has passed that the copy knows nothing of (rule 13).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::backup::{self, BackupError};
use crate::error::{Cause, DbError};
use crate::open::{OpenError, Restorable, lock, place, restorable};

/// Longest wait for a process that is just creating or migrating the file.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The database.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its schema version; an older one is migrated at the next start.
    pub schema_version: i64,
    /// Where the file that was there before is now.
    pub replaced: Option<PathBuf>,
}

/// Why nothing was restored. The database is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A service or a command has the database open.
    #[error("{} is in use", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The copy cannot be used.
    #[error("the copy {} cannot be restored", path.display())]
    Unusable {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: Box<OpenError>,
    },
    /// The copy is damaged, or it cannot be copied to its place.
    #[error("{} could not be brought beside the database", from.display())]
    Copy {
        /// The copy.
        from: PathBuf,
        /// Why.
        source: Box<BackupError>,
    },
    /// The place of the database cannot be used.
    #[error("nothing can be put at {}", path.display())]
    Place {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<OpenError>,
    },
}

impl RestoreError {
    /// The stable code for logs, JSON and the runbooks.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "db.in_use",
            Self::Unusable { source, .. } | Self::Place { source, .. } => source.code(),
            Self::Copy { source, .. } => source.code(),
        }
    }
}

/// Puts the copy at `from` in the place of the database at `to`, which nobody may have open. Blocks.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(from: &Path, to: &Path, now: Timestamp) -> Result<RestoreReport, RestoreError> {
    let placed = |source: OpenError| RestoreError::Place {
        path: to.to_path_buf(),
        source: Box::new(source),
    };
    let to = place::find(to).map_err(placed)?;
    let failed = |error: &io::Error| RestoreError::Place {
        path: to.clone(),
        source: Box::new(OpenError::io(&to, error)),
    };
    let unusable = |source: OpenError| RestoreError::Unusable {
        path: from.to_path_buf(),
        source: Box::new(source),
    };
    let Restorable { conn, version } = restorable(from).map_err(unusable)?;
    let _lock = lock::take(&to, LOCK_LIMIT).map_err(|source| RestoreError::Place {
        path: to.clone(),
        source: Box::new(source),
    })?;
    let held = hold_alone(&to).map_err(|error| failed(&error))?;
    if held.is_none() {
        return Err(RestoreError::InUse { path: to });
    }

    let ready = place::beside(&to, &format!(".restoring-{}", std::process::id()));
    let made = backup::copy(&conn, &ready)
        .map_err(|source| RestoreError::Copy {
            from: from.to_path_buf(),
            source: Box::new(source),
        })
        .and_then(|report| {
            mark_as_moved(&ready, now).map_err(|source| RestoreError::Copy {
                from: from.to_path_buf(),
                source: Box::new(BackupError::Db {
                    path: ready.clone(),
                    source,
                }),
            })?;
            let replaced = put_aside(&to).map_err(|error| failed(&error))?;
            File::open(&ready)
                .and_then(|file| file.sync_all())
                .and_then(|()| fs::rename(&ready, &to))
                .and_then(|()| place::sync_directory(&to))
                .map_err(|error| failed(&error))?;
            Ok(RestoreReport {
                path: to.clone(),
                bytes: report.bytes,
                schema_version: version,
                replaced,
            })
        });
    for leftover in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(place::beside(&ready, leftover));
    }
    made
}

/// An exclusive lock on the whole file, which nobody gets beside a connection in WAL mode: each holds a shared one for as
/// long as it is open. `None` when somebody has the file open.
fn hold_alone(path: &Path) -> io::Result<Option<Option<File>>> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
        Err(error) => return Err(error),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Some(file))),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Renames the database and its log. A log whose database is gone belongs to it still, so both keep one name.
fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if !path.try_exists()? {
        return Ok(None);
    }
    let kept = backup::free_name(path, "replaced");
    fs::rename(path, &kept)?;
    for suffix in ["-wal", "-journal"] {
        match fs::rename(place::beside(path, suffix), place::beside(&kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match fs::remove_file(place::beside(path, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Some(kept)),
    }
}

/// Whoever starts on it finds that it comes from elsewhere. A file of the predecessor has no place for that and no
/// automation that could go on with it.
fn mark_as_moved(path: &Path, now: Timestamp) -> Result<(), DbError> {
    let conn = Connection::open(path)?;
    let known: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'facts')",
        [],
        |row| row.get(0),
    )?;
    if known {
        let at = domain::time::to_db_text(now);
        conn.execute(
            "INSERT INTO facts (name, value, updated_at) VALUES ('host', ?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            params![format!("a copy restored at {at}"), at],
        )?;
    }
    conn.close()
        .map_err(|(_, error)| DbError::Sql(Cause::text(error.to_string())))
}
