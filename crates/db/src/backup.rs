//! Copies of the database: verified, whole or not there at all, usable on their own.
//!
//! SQLite's backup interface copies one snapshot while everybody goes on working. The copy is made under another name,
//! taken out of WAL mode (so it is one file that also opens from read-only media), checked, synced and only then given its name.
//! Nothing is ever overwritten.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::error::{Cause, DbError};
use crate::open::{OpenError, place};
use crate::store::Db;
use crate::{check, connection, migrate};

/// A finished copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its schema version.
    pub schema_version: i64,
}

/// Why a copy could not be made. No file is left under the name that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is there already; nothing is overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("the copy {} cannot be written", path.display())]
    Io {
        /// The target.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the database cannot be copied to {}", path.display())]
    Db {
        /// The target.
        path: PathBuf,
        /// What SQLite said.
        source: DbError,
    },
    /// The copy was made, checked and found damaged: so is the original. The copy was removed.
    #[error("the copy {} failed its check: {problems}", path.display())]
    NotSound {
        /// The target.
        path: PathBuf,
        /// What the check found.
        problems: String,
    },
}

impl BackupError {
    /// The stable code for logs, JSON and the runbooks.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "db.backup_exists",
            Self::Io { .. } => "db.backup_io",
            Self::Db { source, .. } => source.code(),
            Self::NotSound { .. } => "db.corrupt",
        }
    }
}

impl Db {
    /// Copies the database as it is at this moment to `to`, which must not exist, and checks the copy.
    ///
    /// Blocks; readers and writers go on meanwhile.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn backup_blocking(&self, to: &Path) -> Result<BackupReport, BackupError> {
        let from = self.source().open().map_err(|e| BackupError::Db {
            path: to.to_path_buf(),
            source: e.into(),
        })?;
        copy(&from, to)
    }

    /// [`Db::backup_blocking`] for async callers.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backup(&self, to: &Path) -> Result<BackupReport, BackupError> {
        let (db, to) = (self.clone(), to.to_path_buf());
        let path = to.clone();
        let copied = tokio::task::spawn_blocking(move || db.backup_blocking(&to)).await;
        copied.unwrap_or(Err(BackupError::Db {
            path,
            source: DbError::Panicked { what: "backup" },
        }))
    }
}

/// The safety copy before a migration, beside the file: `<db>.before-v<N>-<time>`, with the file's own mode and owner.
pub(crate) fn before_migration(path: &Path, conn: &Connection) -> Result<PathBuf, OpenError> {
    let to = free_name(path, &format!("before-v{}", migrate::LATEST));
    let like = |to: &Path| -> io::Result<()> {
        let original = fs::metadata(path)?;
        fs::set_permissions(to, original.permissions())?;
        // Only root can give files away; for everybody else the owner is right already.
        let made = fs::metadata(to)?;
        if (made.uid(), made.gid()) != (original.uid(), original.gid()) {
            let _ = std::os::unix::fs::chown(to, Some(original.uid()), Some(original.gid()));
        }
        Ok(())
    };
    let copied = copy(conn, &to).and_then(|report| {
        like(&to).map(|()| report).map_err(|source| BackupError::Io {
            path: to.clone(),
            source,
        })
    });
    match copied {
        Ok(report) => {
            tracing::info!(event = "db.safety_copy.made", path = %to.display(), size_bytes = report.bytes);
            Ok(to)
        }
        Err(BackupError::Db {
            source: DbError::DiskFull(source),
            ..
        }) => Err(OpenError::DiskFull {
            path: path.to_path_buf(),
            source,
        }),
        Err(BackupError::Db {
            source: DbError::Corrupt(source),
            ..
        }) => Err(OpenError::NotADatabase {
            path: path.to_path_buf(),
            source,
        }),
        Err(error) => {
            let source = Cause::text(match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            });
            Err(OpenError::CopyFailed {
                path: path.to_path_buf(),
                copy: to,
                source,
            })
        }
    }
}

/// `<path>.<kind>-<UTC time>`, numbered if that is taken.
pub(crate) fn free_name(path: &Path, kind: &str) -> PathBuf {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let first = place::beside(path, &format!(".{kind}-{stamp}"));
    let numbered = (2..).map(|n| place::beside(path, &format!(".{kind}-{stamp}-{n}")));
    std::iter::once(first.clone())
        .chain(numbered)
        .find(|name| !name.exists())
        .unwrap_or(first)
}

/// A checked copy of one snapshot, whole or not there at all.
pub(crate) fn copy(from: &Connection, to: &Path) -> Result<BackupReport, BackupError> {
    let io_error = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: to.to_path_buf() },
        _ => BackupError::Io {
            path: to.to_path_buf(),
            source,
        },
    };
    let to = std::path::absolute(to).map_err(io_error)?;
    if to.try_exists().map_err(io_error)? {
        return Err(BackupError::Exists { path: to });
    }
    let partial = place::beside(&to, &format!(".partial-{}", std::process::id()));
    drop(place::create(&partial).map_err(io_error)?);
    let made = fill(from, &partial, &to).and_then(|report| {
        fs::File::options()
            .write(true)
            .open(&partial)
            .and_then(|file| file.sync_all())
            .map_err(io_error)?;
        // A link, because renaming would overwrite what appeared meanwhile.
        fs::hard_link(&partial, &to)
            .and_then(|()| place::sync_directory(&to))
            .map_err(io_error)?;
        Ok(report)
    });
    for leftover in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(place::beside(&partial, leftover));
    }
    made
}

fn fill(from: &Connection, partial: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    let db_error = |source: DbError| BackupError::Db {
        path: to.to_path_buf(),
        source,
    };
    let sql_error = |error: rusqlite::Error| db_error(error.into());
    let open = || {
        Connection::open_with_flags(
            partial,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    };
    let mut target = open().map_err(sql_error)?;
    // The copy is synced once, at the end.
    target.pragma_update(None, "synchronous", "OFF").map_err(sql_error)?;
    one_snapshot(from, &mut target).map_err(db_error)?;
    target.close().map_err(|(_, error)| sql_error(error))?;

    let target = open().map_err(sql_error)?;
    let _: String = target
        .query_row("PRAGMA journal_mode=DELETE", [], |row| row.get(0))
        .map_err(sql_error)?;
    let problems = check::problems(&target).map_err(db_error)?;
    if !problems.is_empty() {
        return Err(BackupError::NotSound {
            path: to.to_path_buf(),
            problems: problems.join("; "),
        });
    }
    let schema_version = target
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sql_error)?;
    target.close().map_err(|(_, error)| sql_error(error))?;
    let bytes = fs::metadata(partial)
        .map_err(|source| BackupError::Io {
            path: to.to_path_buf(),
            source,
        })?
        .len();
    Ok(BackupReport {
        path: to.to_path_buf(),
        bytes,
        schema_version,
    })
}

/// All pages in one step: in WAL mode that is one read transaction, which no writer disturbs or makes start again.
fn one_snapshot(from: &Connection, to: &mut Connection) -> Result<(), DbError> {
    let began = Instant::now();
    let backup = Backup::new(from, to)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            // A file that is not in WAL mode yet (the predecessor's) may be locked for a moment.
            _ if began.elapsed() < connection::BUSY_LIMIT => connection::pause(Duration::from_millis(5)),
            _ => {
                return Err(DbError::Busy(Cause::text(
                    "the database stayed locked while it was being copied",
                )));
            }
        }
    }
}
