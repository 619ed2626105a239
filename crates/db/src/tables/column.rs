//! Columns to values and back, once: instants, JSON, words. A value of our own that cannot be
//! read is an error that names table and column, never a default.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::DbError;

/// An instant as stored.
pub(crate) fn at(instant: Timestamp) -> String {
    domain::time::to_db_text(instant)
}

/// An optional instant as stored.
pub(crate) fn opt_at(instant: Option<Timestamp>) -> Option<String> {
    instant.map(at)
}

/// A JSON column. Our shapes always serialise; a failure is a fault of this program.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::bad_row("(new row)", "-", error))
}

/// Reads an instant.
pub(crate) fn read_at(row: &Row<'_>, table: &str, column: &str) -> Result<Timestamp, DbError> {
    let text: String = row.get(column)?;
    domain::time::from_text(&text)
        .ok_or_else(|| DbError::bad_row(table, key(row), format!("{column} {text:?} is no instant")))
}

/// Reads an optional instant.
pub(crate) fn read_opt_at(row: &Row<'_>, table: &str, column: &str) -> Result<Option<Timestamp>, DbError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        domain::time::from_text(&text)
            .ok_or_else(|| DbError::bad_row(table, key(row), format!("{column} {text:?} is no instant")))
    })
    .transpose()
}

/// Reads a JSON column.
pub(crate) fn read_json<T: DeserializeOwned>(row: &Row<'_>, table: &str, column: &str) -> Result<T, DbError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| DbError::bad_row(table, key(row), format!("{column}: {error}")))
}

/// Reads an optional JSON column.
pub(crate) fn read_opt_json<T: DeserializeOwned>(
    row: &Row<'_>,
    table: &str,
    column: &str,
) -> Result<Option<T>, DbError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        serde_json::from_str(&text).map_err(|error| DbError::bad_row(table, key(row), format!("{column}: {error}")))
    })
    .transpose()
}

/// Reads a word or network of ours by its parser.
pub(crate) fn read_word<T>(
    row: &Row<'_>,
    table: &str,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, DbError> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| DbError::bad_row(table, key(row), format!("{column} holds the unknown word {text:?}")))
}

/// Names a row in an error: its `id`, else its first column.
fn key(row: &Row<'_>) -> String {
    row.get::<_, i64>("id")
        .map(|id| id.to_string())
        .or_else(|_| row.get::<_, String>(0))
        .unwrap_or_else(|_| "?".to_owned())
}

/// Values of a row from left to right. A look-up by name compares with the names of all columns, which for a page of 500 rows took
/// longer than everything else.
pub(crate) struct Cells<'a, 'row> {
    row: &'a Row<'row>,
    next: usize,
}

impl<'a, 'row> Cells<'a, 'row> {
    pub(crate) fn of(row: &'a Row<'row>) -> Self {
        Self { row, next: 0 }
    }

    fn at(&mut self) -> usize {
        let at = self.next;
        self.next += 1;
        at
    }

    pub(crate) fn value<T: FromSql>(&mut self) -> Result<T, DbError> {
        let at = self.at();
        Ok(self.row.get(at)?)
    }

    /// Whatever the predecessor stored there, as text.
    pub(crate) fn text(&mut self) -> Result<Option<String>, DbError> {
        let at = self.at();
        Ok(match self.row.get_ref(at)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Real(number) => Some(number.to_string()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        })
    }

    pub(crate) fn instant(&mut self) -> Result<Option<Timestamp>, DbError> {
        Ok(self.text()?.as_deref().and_then(domain::time::from_text))
    }
}
