//! Notices commits of any connection of any process, cheaply: for pages that follow the database live.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::connection::ReadSource;
use crate::error::DbError;

/// Watches the file for commits. It holds a connection of its own and no lock between polls.
///
/// A poll reads one counter in shared memory (`PRAGMA data_version`, <https://www.sqlite.org/pragma.html#pragma_data_version>);
/// polling several times a second costs next to nothing. It says *that* something was committed, not what.
pub struct ChangeWatch {
    /// A mutex only so that a watch may be borrowed across an await; there is one poller.
    conn: Mutex<Connection>,
    seen: i64,
}

impl ChangeWatch {
    pub(crate) fn open(source: &ReadSource) -> Result<Self, DbError> {
        let conn = source.open()?;
        let seen = version(&conn)?;
        Ok(Self {
            conn: Mutex::new(conn),
            seen,
        })
    }

    /// True if anything was committed since the last poll (or since the watch began). Blocks for microseconds, and up to
    /// the busy limit of five seconds while another process recovers the file after a crash: call it on a blocking thread.
    ///
    /// # Errors
    /// Whatever SQLite says; the watch stays usable.
    pub fn poll(&mut self) -> Result<bool, DbError> {
        let now = version(self.conn.get_mut().unwrap_or_else(PoisonError::into_inner))?;
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }
}

impl std::fmt::Debug for ChangeWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeWatch")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

fn version(conn: &Connection) -> Result<i64, DbError> {
    Ok(conn
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))?)
}
