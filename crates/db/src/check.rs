//! Is the file sound? For after READY (a check reads every page), for backups and for the doctor.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::error::DbError;
use crate::stop::{Stop, StopOnDrop};
use crate::store::Db;

/// More problems than these are not listed: a damaged file is damaged, and the list goes into messages.
const MOST_PROBLEMS: i64 = 20;

impl Db {
    /// SQLite's integrity check and a check of all foreign keys. Empty means sound; otherwise what is wrong, in SQLite's words.
    ///
    /// It runs on a connection of its own and reads the whole file, so run it after the service is ready.
    ///
    /// # Errors
    /// [`DbError::Deadline`] after `limit`; [`DbError::Corrupt`] when the damage prevents even the check.
    pub async fn integrity_check(&self, limit: Duration) -> Result<Vec<String>, DbError> {
        let what = "integrity_check";
        let stop = StopOnDrop(Arc::new(Stop::default()));
        let (source, task_stop) = (self.source().clone(), Arc::clone(&stop.0));
        let task = tokio::task::spawn_blocking(move || {
            let conn = source.open()?;
            let _watched = task_stop.watch(&conn).ok_or(DbError::Deadline { what, limit })?;
            problems(&conn)
        });
        match tokio::time::timeout(limit, task).await {
            Ok(done) => done.unwrap_or(Err(DbError::Panicked { what })),
            Err(_) => Err(DbError::Deadline { what, limit }),
        }
    }

    /// [`Db::integrity_check`] for threads that may block, without a deadline.
    ///
    /// # Errors
    /// As for [`Db::integrity_check`].
    pub fn integrity_check_blocking(&self) -> Result<Vec<String>, DbError> {
        problems(&self.source().open()?)
    }
}

/// What is wrong with the file; empty if nothing is.
pub(crate) fn problems(conn: &Connection) -> Result<Vec<String>, DbError> {
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({MOST_PROBLEMS})"))?;
    let mut found: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    found.retain(|line| line != "ok");
    let mut keys = conn.prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT ?1")?;
    let dangling = keys.query_map([MOST_PROBLEMS], |row| {
        let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!(
            "row {} of {table} refers to a row of {parent} that is not there",
            rowid.map_or("?".into(), |id| id.to_string())
        ))
    })?;
    for line in dangling {
        found.push(line?);
    }
    Ok(found)
}
