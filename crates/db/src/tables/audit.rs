//! Every change by anyone (`audit`): who, when, from where, what before and after, why, result.

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use super::column::{at, read_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// `user@host` or account.
    pub actor: String,
    /// `viewer`, `operator`, `admin`, `shell`, `service`.
    pub role: String,
    /// Program.
    pub via: String,
    /// Address, when it came over the network.
    pub address: Option<String>,
    /// What was done: `prefix.withdraw`, `hold.set`, `login.failed`, ...
    pub action: String,
    /// On what.
    pub subject: String,
    /// State before, as JSON or text.
    pub before: Option<String>,
    /// State after.
    pub after: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// `ok`, `refused: ...`, `failed: ...`.
    pub result: String,
}

/// Appends a row.
///
/// # Errors
/// Those of the database.
pub fn append(tx: &WriteTx<'_>, entry: &Entry) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO audit (at, actor, role, via, address, action, subject, before, after, reason, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            at(entry.at),
            entry.actor,
            entry.role,
            entry.via,
            entry.address,
            entry.action,
            entry.subject,
            entry.before,
            entry.after,
            entry.reason,
            entry.result,
        ])?;
    Ok(())
}

pub(crate) const COLUMNS: &str = "id, at, actor, role, via, address, action, subject, before, after, reason, result";

pub(crate) fn read(row: &Row<'_>) -> Result<Entry, DbError> {
    Ok(Entry {
        at: read_at(row, "audit", "at")?,
        actor: row.get("actor")?,
        role: row.get("role")?,
        via: row.get("via")?,
        address: row.get("address")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        before: row.get("before")?,
        after: row.get("after")?,
        reason: row.get("reason")?,
        result: row.get("result")?,
    })
}

/// The newest rows, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<Entry>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM audit ORDER BY id DESC LIMIT ?1"))?
        .query_and_then(params![limit], read)?
        .collect()
}
