//! Questions that nobody foresaw: one read-only statement of an operator, answered as text.
//!
//! Must hold: it cannot change the file (the connection is opened for reading, and the statement must be one that only
//! reads), it ends at its deadline, and it returns no more rows than asked for. The connection is its own and is closed
//! afterwards, so nothing that a statement switches stays switched.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

use crate::error::{Cause, DbError};
use crate::stop::{Stop, StopOnDrop};
use crate::store::Db;

/// A value as SQLite stores it. Bytes are only counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// `NULL`.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text; what is not UTF-8 is replaced.
    Text(String),
    /// Bytes.
    Bytes {
        /// How many.
        bytes: usize,
    },
}

/// The answer to a statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, as many as were asked for.
    pub rows: Vec<Vec<Cell>>,
    /// Whether there are more.
    pub more: bool,
}

impl Db {
    /// Runs one statement that reads, and returns at most `most` rows.
    ///
    /// # Errors
    /// [`DbError::Sql`] with SQLite's words for a statement that is wrong, changes something or returns no rows;
    /// [`DbError::Deadline`] after `limit`.
    pub async fn query_readonly(&self, sql: &str, most: usize, limit: Duration) -> Result<Rows, DbError> {
        let what = "query";
        let stop = StopOnDrop(Arc::new(Stop::default()));
        let (source, task_stop, sql) = (self.source().clone(), Arc::clone(&stop.0), sql.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            let conn = source.open()?;
            let _watched = task_stop.watch(&conn).ok_or(DbError::Deadline { what, limit })?;
            run(&conn, &sql, most)
        });
        match tokio::time::timeout(limit, task).await {
            Ok(done) => done.unwrap_or(Err(DbError::Panicked { what })),
            Err(_) => Err(DbError::Deadline { what, limit }),
        }
    }
}

fn run(conn: &Connection, sql: &str, most: usize) -> Result<Rows, DbError> {
    let mut statement = conn.prepare(sql).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => refused("only one statement is run at a time"),
        error => error.into(),
    })?;
    if !statement.readonly() {
        return Err(refused(
            "the statement would change the database; only reading is allowed",
        ));
    }
    if statement.column_count() == 0 {
        return Err(refused("the statement returns no rows"));
    }
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if rows.len() == most {
            return Ok(Rows {
                columns,
                rows,
                more: true,
            });
        }
        let cells = (0..columns.len())
            .map(|index| Ok(cell(row.get_ref(index)?)))
            .collect::<Result<Vec<Cell>, DbError>>()?;
        rows.push(cells);
    }
    Ok(Rows {
        columns,
        rows,
        more: false,
    })
}

fn refused(why: &str) -> DbError {
    DbError::Sql(Cause::text(why))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes { bytes: bytes.len() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpenOptions;

    async fn ask(db: &Db, sql: &str) -> Result<Rows, String> {
        let answer = db.query_readonly(sql, 2, Duration::from_secs(10)).await;
        answer.map_err(|error| crate::error::chain(&error))
    }

    #[tokio::test]
    async fn reads_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("a.db"), OpenOptions::default()).unwrap();
        let rows = ask(
            &db,
            "SELECT 1 AS one, 2.5, 'x', NULL, x'0102' UNION ALL SELECT 2, 2.5, 'y', NULL, x''",
        )
        .await
        .unwrap();
        assert_eq!(rows.columns[0], "one");
        let bytes = Cell::Bytes { bytes: 2 };
        assert_eq!(
            rows.rows[0],
            [
                Cell::Integer(1),
                Cell::Real(2.5),
                Cell::Text("x".into()),
                Cell::Null,
                bytes
            ]
        );
        assert!(!rows.more);
        assert!(ask(&db, "SELECT value FROM json_each('[1,2,3]')").await.unwrap().more);
        assert!(ask(&db, "PRAGMA user_version").await.is_ok());
        for (sql, why) in [
            ("DELETE FROM holds", "would change"),
            ("INSERT INTO facts VALUES ('a', 'b', 'c')", "would change"),
            ("DROP TABLE holds", "would change"),
            ("SELECT 1; SELECT 2", "one statement"),
            ("SELECT nonsense", "no such column"),
            ("", ""),
        ] {
            let error = ask(&db, sql).await.unwrap_err();
            assert!(error.contains(why), "{sql}: {error}");
        }
        let target = dir.path().join("new.db");
        let _ = ask(&db, &format!("ATTACH '{}' AS other", target.display())).await;
        let _ = ask(&db, &format!("VACUUM INTO '{}'", target.display())).await;
        assert!(!target.exists(), "nothing is written anywhere");
    }

    #[tokio::test]
    async fn a_statement_without_end_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("a.db"), OpenOptions::default()).unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let stopped = db
            .query_readonly(endless, 1, Duration::from_millis(50))
            .await
            .unwrap_err();
        assert_eq!(stopped.code(), "db.deadline");
    }
}
