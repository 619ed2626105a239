//! Who may act (`leases`), and small named values (`cursors`, `facts`).
//!
//! A lease is a counter that only its owner's progressing loop bumps. Whether the owner is dead
//! is judged by the observer on its own monotonic clock (rule 13), never by comparing wall clocks.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::column::at;
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A lease as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// Owner: host, pid and start, unique per process.
    pub owner: String,
    /// Bumped by progress.
    pub counter: i64,
}

/// Reads a lease.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, name: &str) -> Result<Option<Lease>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT owner, counter FROM leases WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Lease {
                owner: row.get(0)?,
                counter: row.get(1)?,
            })
        })
        .optional()?)
}

/// Takes the lease if it is as `seen` (`None`: nobody ever held it). Returns whether it is ours.
///
/// # Errors
/// Those of the database.
pub fn take(tx: &WriteTx<'_>, name: &str, owner: &str, seen: Option<&Lease>, now: Timestamp) -> Result<bool, DbError> {
    let taken = match seen {
        None => tx
            .conn()
            .prepare_cached(
                "INSERT OR IGNORE INTO leases (name, owner, counter, taken_at, bumped_at) VALUES (?1, ?2, 1, ?3, ?3)",
            )?
            .execute(params![name, owner, at(now)])?,
        Some(seen) => tx
            .conn()
            .prepare_cached(
                "UPDATE leases SET owner = ?2, counter = counter + 1, taken_at = ?3, bumped_at = ?3
                 WHERE name = ?1 AND owner = ?4 AND counter = ?5",
            )?
            .execute(params![name, owner, at(now), seen.owner, seen.counter])?,
    };
    Ok(taken == 1)
}

/// Bumps the owner's counter. Returns whether the lease is still ours.
///
/// # Errors
/// Those of the database.
pub fn bump(tx: &WriteTx<'_>, name: &str, owner: &str, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("UPDATE leases SET counter = counter + 1, bumped_at = ?3 WHERE name = ?1 AND owner = ?2")?
        .execute(params![name, owner, at(now)])?
        == 1)
}

/// Gives the lease up at an orderly end, so that a successor need not wait.
///
/// # Errors
/// Those of the database.
pub fn release(tx: &WriteTx<'_>, name: &str, owner: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM leases WHERE name = ?1 AND owner = ?2")?
        .execute(params![name, owner])?;
    Ok(())
}

/// Reads a cursor.
///
/// # Errors
/// Those of the database.
pub fn cursor(tx: &ReadTx<'_>, name: &str) -> Result<Option<String>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT value FROM cursors WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// Moves a cursor.
///
/// # Errors
/// Those of the database.
pub fn set_cursor(tx: &WriteTx<'_>, name: &str, value: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO cursors (name, value, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        )?
        .execute(params![name, value, at(now)])?;
    Ok(())
}

/// Reads a small named fact of the installation, such as the host the file belongs to.
///
/// # Errors
/// Those of the database.
pub fn fact(tx: &ReadTx<'_>, name: &str) -> Result<Option<String>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT value FROM facts WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

/// Stores a small named fact.
///
/// # Errors
/// Those of the database.
pub fn set_fact(tx: &WriteTx<'_>, name: &str, value: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO facts (name, value, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        )?
        .execute(params![name, value, at(now)])?;
    Ok(())
}
