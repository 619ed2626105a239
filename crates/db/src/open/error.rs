//! Why the database could not be opened, in words for the person who has to fix it.
//!
//! `Display` says what failed and where; [`OpenError::meaning`] what follows from it; [`OpenError::remedy`] what to do;
//! [`OpenError::code`] is the stable code for logs, JSON and the runbooks. The texts leave out the source.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Cause, DbError};

/// The database could not be opened. Whatever happened, an existing file holds what it held before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory of the file does not exist (or is not a directory).
    #[error("the directory {} for the database does not exist", dir.display())]
    DirectoryMissing {
        /// The directory.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// No file can be created in the directory; SQLite needs its log files beside the database.
    #[error("the directory {} of the database cannot be written", dir.display())]
    DirectoryNotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file exists but this user may not write (or read) it.
    #[error("the database file {} cannot be opened for {}", path.display(), if *reading { "reading" } else { "writing" })]
    FileNotWritable {
        /// The file.
        path: PathBuf,
        /// True when even reading failed.
        reading: bool,
    },
    /// There is no such file, and the caller may not create one.
    #[error("there is no database file {}", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// No room on the file system.
    #[error("no space is left for the database {}", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What SQLite or the file system said.
        source: Cause,
    },
    /// The file is no SQLite database, or damaged.
    #[error("{} is damaged or is no SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Cause,
    },
    /// A sound SQLite file that belongs to another program.
    #[error("{} is the database of another program (its tables: {tables})", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Some of its tables.
        tables: String,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has schema version {found}, this program knows versions up to {known}", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Opened for reading only, but the file must be migrated first.
    #[error("{} has schema version {found}, this program needs version {known}", path.display())]
    MigrationNeeded {
        /// The file.
        path: PathBuf,
        /// The file's version; 0 is the predecessor's.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// Another process held a lock for the whole time we were ready to wait.
    #[error("{} stayed locked by another process for {} s", path.display(), waited.as_secs())]
    Locked {
        /// The file that is locked: the database or its `.lock` file.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
        /// What SQLite or the file system said.
        source: Cause,
    },
    /// The schema could not be brought up to date; the change was rolled back.
    #[error("migrating {} from schema version {from} to {to} failed", path.display())]
    MigrationFailed {
        /// The file.
        path: PathBuf,
        /// The version it has, as before.
        from: i64,
        /// The version it should have got.
        to: i64,
        /// The copy that was made before the attempt, if the file held anything.
        copy: Option<PathBuf>,
        /// What went wrong.
        source: Cause,
    },
    /// The copy that must exist before a migration could not be made.
    #[error("the safety copy {} before the migration of {} could not be made", copy.display(), path.display())]
    CopyFailed {
        /// The file.
        path: PathBuf,
        /// Where the copy should have gone.
        copy: PathBuf,
        /// What went wrong.
        source: Cause,
    },
    /// Any other failure of the file system or of SQLite.
    #[error("the database {} cannot be opened", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Cause,
    },
}

impl OpenError {
    /// The stable code for logs, JSON and the runbooks.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DirectoryMissing { .. } => "db.directory_missing",
            Self::DirectoryNotWritable { .. } => "db.directory_not_writable",
            Self::FileNotWritable { .. } => "db.file_not_writable",
            Self::FileMissing { .. } => "db.file_missing",
            Self::DiskFull { .. } => "db.disk_full",
            Self::NotADatabase { .. } => "db.corrupt",
            Self::NotOurs { .. } => "db.not_ours",
            Self::NewerSchema { .. } => "db.newer_schema",
            Self::MigrationNeeded { .. } => "db.migration_needed",
            Self::Locked { .. } => "db.locked",
            Self::MigrationFailed { .. } => "db.migration_failed",
            Self::CopyFailed { .. } => "db.copy_failed",
            Self::Failed { .. } => "db.open_failed",
        }
    }

    /// What it means for the operator: what does not work now, and that nothing was changed.
    #[must_use]
    pub fn meaning(&self) -> String {
        match self {
            Self::MigrationFailed { from, copy, .. } => {
                let kept = match copy {
                    Some(copy) => format!(" A copy from before the attempt is kept at {}.", copy.display()),
                    None => String::new(),
                };
                format!("The change was rolled back: the file still holds every row at version {from}. The service does not start.{kept}")
            }
            Self::CopyFailed { .. } => "Nothing was changed: without a copy no migration is begun. The service does not start.".into(),
            Self::NewerSchema { .. } => {
                "A newer version of this product has used the file. An older program could misread or damage it, so it does not start. Nothing was changed.".into()
            }
            Self::MigrationNeeded { .. } => "Reading only, the file cannot be migrated, and its tables are not those this program expects. Nothing was changed.".into(),
            Self::NotOurs { .. } => "The configured path leads to a file that this product did not make; it does not touch it.".into(),
            Self::NotADatabase { .. } => "Its content cannot be trusted; the service does not start. Nothing was changed.".into(),
            Self::FileMissing { .. } => "There is nothing to read yet. Nothing was created.".into(),
            Self::Locked { .. } => "Another program works on the file, or hangs while holding it. Nothing was changed.".into(),
            _ => "Nothing can be stored, so the service does not start: alarms and decisions would be lost. Nothing was changed.".into(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::DirectoryMissing { dir, .. } => {
                format!("Create {} owned by the services' user (systemd's StateDirectory does it), or correct database.path in settings.json.", dir.display())
            }
            Self::DirectoryNotWritable { dir, .. } => format!(
                "Give the services' user write permission on {}; if the file system is mounted read-only, look for disk errors with dmesg; in a unit, list the directory in ReadWritePaths.",
                dir.display()
            ),
            Self::FileNotWritable { path, .. } => format!("Compare owner and mode of {} with the user that runs this program (ls -l; id); services and their files belong to one user.", path.display()),
            Self::FileMissing { path } => format!("Start one of the services once, or run 'cloudflare-mt db migrate'; if the file should exist, correct database.path ({}).", path.display()),
            Self::DiskFull { path, .. } => {
                format!("Free space or quota on the file system of {} (df -h, df -i); old copies named '{}.before-*' may be moved away.", path.display(), name(path))
            }
            Self::NotADatabase { path, .. } => format!(
                "Keep the file and its -wal file for analysis, then restore the newest backup ('cloudflare-mt db restore'); if {} is no database at all, correct database.path.",
                path.display()
            ),
            Self::NotOurs { .. } => "Correct database.path in settings.json.".into(),
            Self::NewerSchema { .. } => "Install the newer version again, or restore a backup (or the '.before-*' copy) from before the upgrade; what was stored since is not in it.".into(),
            Self::MigrationNeeded { .. } => "Start one of the services once, or run 'cloudflare-mt db migrate' as the services' user.".into(),
            Self::Locked { path, .. } => format!(
                "Find who holds it: fuser -v {}. Stop the predecessor's services and cron jobs before this product uses their database; end a hanging process.",
                path.display()
            ),
            Self::MigrationFailed { .. } => "Read the cause below it; if it is not the disk, keep the copy and report it. The previous version of the product still works with the file.".into(),
            Self::CopyFailed { copy, .. } => format!("Make room for a second copy of the database, and write permission, for {}.", copy.display()),
            Self::Failed { .. } => "Read the cause; dmesg shows disk errors. 'cloudflare-mt doctor' checks paths and permissions.".into(),
        }
    }

    pub(crate) fn thread(path: &Path, source: io::Error) -> Self {
        Self::Failed {
            path: path.to_path_buf(),
            source: Cause::text(format!("the writer thread cannot be started: {source}")),
        }
    }

    pub(crate) fn io(path: &Path, source: &io::Error) -> Self {
        let cause = Cause::text(source.to_string());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                path: path.to_path_buf(),
                source: cause,
            },
            _ => Self::Failed {
                path: path.to_path_buf(),
                source: cause,
            },
        }
    }

    /// What SQLite said while the file was being opened for writing, with a look at the directory where that tells more.
    pub(crate) fn from_sqlite(path: &Path, error: &DbError) -> Self {
        let path_buf = path.to_path_buf();
        let cause = match std::error::Error::source(error).and_then(|source| source.downcast_ref::<Cause>()) {
            Some(cause) => cause.clone(),
            None => Cause::text(error.to_string()),
        };
        match error {
            DbError::Busy(_) => Self::Locked {
                path: path_buf,
                waited: crate::connection::BUSY_LIMIT,
                source: cause,
            },
            DbError::Corrupt(_) => Self::NotADatabase {
                path: path_buf,
                source: cause,
            },
            DbError::DiskFull(_) => Self::DiskFull {
                path: path_buf,
                source: cause,
            },
            DbError::ReadOnly(_) | DbError::Io(_) => super::place::explain(path, error).unwrap_or(Self::Failed {
                path: path_buf,
                source: cause,
            }),
            _ => Self::Failed {
                path: path_buf,
                source: cause,
            },
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}
