//! Switches that people set while everything runs (`preferences`), as JSON by key.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::column::{at, json};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Reads a preference; `None` when it was never set.
///
/// # Errors
/// [`DbError::BadRow`] when the stored value has another shape.
pub fn get<T: DeserializeOwned>(tx: &ReadTx<'_>, key: &str) -> Result<Option<T>, DbError> {
    let text: Option<String> = tx
        .conn()
        .prepare_cached("SELECT value FROM preferences WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| DbError::bad_row("preferences", key, error)))
        .transpose()
}

/// Sets a preference.
///
/// # Errors
/// Those of the database.
pub fn set<T: Serialize + ?Sized>(
    tx: &WriteTx<'_>,
    key: &str,
    value: &T,
    actor: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO preferences (key, value, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at,
               updated_by = excluded.updated_by",
        )?
        .execute(params![key, json(value)?, at(now), actor])?;
    Ok(())
}
