//! Deliveries that are acknowledged and not read yet (`inbox`). Where many come at once, the receiver stores them as they are
//! and reads them afterwards, in the order in which they came. Until then nobody knows what they are about: every one of them
//! vetoes every withdrawal.

use jiff::Timestamp;
use rusqlite::params;

use super::column::{at, read_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A delivery as it came, authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its place in the order in which they came.
    pub id: i64,
    /// When it was received.
    pub received_at: Timestamp,
    /// Client address.
    pub source: String,
    /// Headers that matter, as a JSON object.
    pub headers: String,
    /// Size of a body that was too large to be read whole.
    pub oversized: Option<u64>,
    /// The body, complete or (when too large) its beginning.
    pub body: Vec<u8>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries.
    pub deliveries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// When the oldest one came.
    pub oldest: Option<Timestamp>,
}

/// Stores a delivery as it is. The id of `unread` is not looked at.
///
/// # Errors
/// Those of the database.
pub fn put(tx: &WriteTx<'_>, unread: &Unread) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT OR FAIL INTO inbox (received_at, source, headers, oversized, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            at(unread.received_at),
            unread.source,
            unread.headers,
            unread.oversized.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            unread.body,
        ])?;
    Ok(())
}

/// The oldest ones after `after`, at most `limit`, and none more once they are `bytes` large.
///
/// # Errors
/// Those of the database.
pub fn oldest(tx: &ReadTx<'_>, after: i64, limit: u32, bytes: usize) -> Result<Vec<Unread>, DbError> {
    let mut statement = tx.conn().prepare_cached(
        "SELECT id, received_at, source, headers, oversized, body FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after, limit])?;
    let (mut found, mut size) = (Vec::new(), 0);
    while size < bytes
        && let Some(row) = rows.next()?
    {
        let unread = Unread {
            id: row.get("id")?,
            received_at: read_at(row, "inbox", "received_at")?,
            source: row.get("source")?,
            headers: row.get("headers")?,
            oversized: row.get("oversized")?,
            body: row.get("body")?,
        };
        size += unread.body.len();
        found.push(unread);
    }
    Ok(found)
}

/// Takes a delivery that was read out of the inbox. False when it is not there any more.
///
/// # Errors
/// Those of the database.
pub fn take_out(tx: &WriteTx<'_>, id: i64) -> Result<bool, DbError> {
    let deleted = tx
        .conn()
        .prepare_cached("DELETE FROM inbox WHERE id = ?1")?
        .execute([id])?;
    Ok(deleted > 0)
}

/// When the oldest one came; none when everything was read. A wrong clock does not hide that something waits: an instant that
/// cannot be read is an error.
///
/// # Errors
/// Those of the database.
pub fn oldest_at(tx: &ReadTx<'_>) -> Result<Option<Timestamp>, DbError> {
    tx.conn()
        .prepare_cached("SELECT received_at FROM inbox ORDER BY id LIMIT 1")?
        .query_and_then([], |row| read_at(row, "inbox", "received_at"))?
        .next()
        .transpose()
}

/// What waits.
///
/// # Errors
/// Those of the database.
pub fn backlog(tx: &ReadTx<'_>) -> Result<Backlog, DbError> {
    let (deliveries, bytes) = tx
        .conn()
        .prepare_cached("SELECT count(*), COALESCE(sum(length(body)), 0) FROM inbox")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Backlog {
        deliveries,
        bytes,
        oldest: oldest_at(tx)?,
    })
}
