//! What can go wrong with a statement or a transaction, in classes that a caller can act on.
//!
//! Every class has a stable code, used alike in logs, JSON and the runbooks. The text leaves out the source; print the chain
//! at the boundary. No text holds a bound value, so nothing secret that is stored can leak through an error.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use rusqlite::ffi;

/// What SQLite (or the file system) said, kept as text so that one failure can be told to every caller of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    text: String,
    sqlite_code: Option<i32>,
}

impl Cause {
    /// A cause that did not come from SQLite.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            sqlite_code: None,
        }
    }

    /// SQLite's extended result code (<https://www.sqlite.org/rescode.html>), where there is one.
    #[must_use]
    pub fn sqlite_code(&self) -> Option<i32> {
        self.sqlite_code
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sqlite_code {
            Some(code) => write!(f, "{} (SQLite code {code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Error for Cause {}

impl From<&rusqlite::Error> for Cause {
    fn from(error: &rusqlite::Error) -> Self {
        Self {
            text: error.to_string(),
            sqlite_code: error.sqlite_error().map(|e| e.extended_code),
        }
    }
}

/// A failed read or write. Unless a variant says otherwise, nothing of the failed transaction is stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// Another process or job held the write lock for longer than we wait. Trying again later makes sense.
    #[error("the database stayed busy for too long")]
    Busy(#[source] Cause),
    /// The file system has no room left (or the quota is used up).
    #[error("no space left for the database")]
    DiskFull(#[source] Cause),
    /// The file, its directory or this handle allows no writing.
    #[error("the database cannot be written")]
    ReadOnly(#[source] Cause),
    /// SQLite found the file damaged. Restore from a backup.
    #[error("the database file is damaged")]
    Corrupt(#[source] Cause),
    /// The file system failed (I/O error, file gone, directory unmounted).
    #[error("the file system failed under the database")]
    Io(#[source] Cause),
    /// The file at the database's path is not the one that was opened: somebody replaced or removed it. Restart the service.
    #[error("the database file was replaced or removed while it was open")]
    Replaced,
    /// More writes are waiting than the queue holds. Nothing of this one was stored.
    #[error("the write queue is full ({limit} writes are waiting)")]
    QueueFull {
        /// How many writes may wait.
        limit: usize,
    },
    /// The database handle was closed. Nothing of this write was stored.
    #[error("the database is closed")]
    Closed,
    /// The writer did not answer in time. **It is not known whether the write is stored**: read before repeating it.
    #[error("no answer to the write {what:?} within {} s; it is unknown whether it is stored", limit.as_secs())]
    NoAnswer {
        /// The name of the write.
        what: &'static str,
        /// How long the caller waited.
        limit: Duration,
    },
    /// A read ran into its deadline and was stopped.
    #[error("the read {what:?} was stopped after {} ms", limit.as_millis())]
    Deadline {
        /// The name of the read.
        what: &'static str,
        /// The deadline it had.
        limit: Duration,
    },
    /// The function that was given panicked. Its transaction (or its part of one) was rolled back.
    #[error("the database function {what:?} panicked and was rolled back")]
    Panicked {
        /// The name of the read or write.
        what: &'static str,
    },
    /// A uniqueness or reference rule, or a compare-and-set, refused the write: somebody else was there first.
    #[error("conflict: {what}")]
    Conflict {
        /// Which rule or which thing.
        what: String,
    },
    /// The row that was asked for does not exist.
    #[error("no such row")]
    NotFound,
    /// A stored row cannot be understood, for example an unknown word in one of our own tables.
    #[error("row {id} of table {table} cannot be read: {what}")]
    BadRow {
        /// The table.
        table: String,
        /// The row's key.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// Any other refusal by SQLite: a fault of this program.
    #[error("the database refused a statement")]
    Sql(#[source] Cause),
}

/// Stands in a [`DbError::BadRow`] where the failing code did not name the row; see [`DbError::in_row`].
const UNNAMED: &str = "?";

impl DbError {
    /// A row of ours that cannot be understood.
    #[must_use]
    pub fn bad_row(table: &str, id: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::BadRow {
            table: table.to_owned(),
            id: id.to_string(),
            what: what.to_string(),
        }
    }

    /// Names table and row in a [`DbError::BadRow`] that came from a failed conversion; leaves every other error alone.
    #[must_use]
    pub fn in_row(self, table: &str, id: impl fmt::Display) -> Self {
        match self {
            Self::BadRow { table: old, what, .. } if old == UNNAMED => Self::bad_row(table, id, what),
            other => other,
        }
    }

    /// The stable code for logs, JSON and the runbooks.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "db.busy",
            Self::DiskFull(_) => "db.disk_full",
            Self::ReadOnly(_) => "db.read_only",
            Self::Corrupt(_) => "db.corrupt",
            Self::Io(_) => "db.io",
            Self::Replaced => "db.replaced",
            Self::QueueFull { .. } => "db.queue_full",
            Self::Closed => "db.closed",
            Self::NoAnswer { .. } => "db.no_answer",
            Self::Deadline { .. } => "db.deadline",
            Self::Panicked { .. } => "db.panicked",
            Self::Conflict { .. } => "db.conflict",
            Self::NotFound => "db.not_found",
            Self::BadRow { .. } => "db.bad_row",
            Self::Sql(_) => "db.sql",
        }
    }

    /// True where the database itself is in trouble (as against a refused or impossible request), so the same
    /// request may succeed later: an HTTP caller gets 503, a loop tries again in its next round.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Busy(_) | Self::DiskFull(_) | Self::ReadOnly(_) | Self::Corrupt(_) | Self::Io(_) | Self::Replaced => {
                true
            }
            Self::QueueFull { .. } | Self::Closed | Self::NoAnswer { .. } | Self::Deadline { .. } => true,
            Self::Panicked { .. } | Self::Conflict { .. } | Self::NotFound | Self::BadRow { .. } | Self::Sql(_) => {
                false
            }
        }
    }

    /// True where the connection itself is suspect afterwards and should be opened anew.
    pub(crate) fn spoils_connection(&self) -> bool {
        matches!(self, Self::ReadOnly(_) | Self::Corrupt(_) | Self::Io(_))
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::QueryReturnedNoRows => return Self::NotFound,
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
            | E::InvalidColumnType(..) => return Self::bad_row(UNNAMED, UNNAMED, &error),
            _ => {}
        }
        let cause = Cause::from(&error);
        let Some(extended) = cause.sqlite_code else {
            return Self::Sql(cause);
        };
        match extended {
            // The shared-memory file of the WAL cannot grow: on Linux that is a full file system.
            ffi::SQLITE_IOERR_SHMSIZE => return Self::DiskFull(cause),
            ffi::SQLITE_READONLY_DBMOVED => return Self::Replaced,
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID
            | ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::Conflict { what: cause.text },
            _ => {}
        }
        // The low byte is the primary code, the rest refines it.
        match extended & 0xff {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL | ffi::SQLITE_INTERRUPT => Self::Busy(cause),
            ffi::SQLITE_FULL => Self::DiskFull(cause),
            ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => Self::ReadOnly(cause),
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Self::Corrupt(cause),
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_NOMEM => Self::Io(cause),
            _ => Self::Sql(cause),
        }
    }
}

/// The error with its causes on one line, for the log.
pub(crate) fn chain(error: &DbError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> DbError {
        DbError::from(rusqlite::Error::SqliteFailure(
            ffi::Error::new(code),
            Some("said so".into()),
        ))
    }

    #[test]
    fn extended_codes_find_their_class() {
        let table = [
            (ffi::SQLITE_BUSY, "db.busy"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "db.busy"),
            (ffi::SQLITE_BUSY_RECOVERY, "db.busy"),
            (ffi::SQLITE_LOCKED, "db.busy"),
            (ffi::SQLITE_FULL, "db.disk_full"),
            (ffi::SQLITE_IOERR_SHMSIZE, "db.disk_full"),
            (ffi::SQLITE_READONLY_DIRECTORY, "db.read_only"),
            (ffi::SQLITE_READONLY_DBMOVED, "db.replaced"),
            (ffi::SQLITE_CORRUPT, "db.corrupt"),
            (ffi::SQLITE_NOTADB, "db.corrupt"),
            (ffi::SQLITE_IOERR_FSYNC, "db.io"),
            (ffi::SQLITE_CANTOPEN, "db.io"),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, "db.conflict"),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, "db.conflict"),
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "db.conflict"),
            (ffi::SQLITE_CONSTRAINT_NOTNULL, "db.sql"),
            (ffi::SQLITE_ERROR, "db.sql"),
        ];
        for (code, want) in table {
            assert_eq!(failure(code).code(), want, "SQLite code {code}");
        }
    }

    #[test]
    fn the_text_leaves_out_the_source_and_the_source_is_there() {
        let error = failure(ffi::SQLITE_FULL);
        assert_eq!(error.to_string(), "no space left for the database");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("said so (SQLite code 13)")
        );
    }

    #[test]
    fn a_failed_conversion_names_its_row_once_told() {
        let raw = rusqlite::Error::InvalidColumnType(2, "state".into(), rusqlite::types::Type::Null);
        let error = DbError::from(raw).in_row("intents", 42);
        assert_eq!(
            error.to_string(),
            "row 42 of table intents cannot be read: Invalid column type Null at index: 2, name: state"
        );
        assert_eq!(
            error.in_row("other", 1).to_string().get(..24),
            Some("row 42 of table intents ")
        );
    }
}
