//! Calls to Cloudflare counted by all processes together (`api_budget`), one row per process.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::time::minus;
use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::column::{at, json, read_json};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Rows that nobody renewed for this long belong to processes that are gone, and their calls
/// have left the five-minute window of Cloudflare's limits.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// One process's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Start of slot (Unix seconds) to calls, REST and GraphQL.
    pub slots: BTreeMap<i64, [u32; 2]>,
    /// No call before this instant, REST and GraphQL.
    pub locked_until: [Option<Timestamp>; 2],
}

/// Replaces the row of `owner` and returns those of all others.
///
/// # Errors
/// Those of the database.
pub fn exchange(tx: &WriteTx<'_>, owner: &str, own: &Counts, now: Timestamp) -> Result<Vec<Counts>, DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM api_budget WHERE updated_at < ?1")?
        .execute([at(minus(now, FORGET_AFTER))])?;
    tx.conn()
        .prepare_cached(
            "INSERT INTO api_budget (name, body, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
        )?
        .execute(params![owner, json(own)?, at(now)])?;
    tx.conn()
        .prepare_cached("SELECT name, body FROM api_budget WHERE name <> ?1 LIMIT 1000")?
        .query_and_then([owner], |row| read_json(row, "api_budget", "body"))?
        .collect()
}

/// What all processes count now.
///
/// # Errors
/// Those of the database.
pub fn all(tx: &ReadTx<'_>, now: Timestamp) -> Result<Vec<Counts>, DbError> {
    tx.conn()
        .prepare_cached("SELECT name, body FROM api_budget WHERE updated_at >= ?1 LIMIT 1000")?
        .query_and_then([at(minus(now, FORGET_AFTER))], |row| {
            read_json(row, "api_budget", "body")
        })?
        .collect()
}
