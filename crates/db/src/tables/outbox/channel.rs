//! What every process must know about a chat before it sends: how long to keep still and why, where the chat moved.

use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use crate::error::DbError;
use crate::tables::column::{at, opt_at, read_opt_at};
use crate::tx::{ReadTx, WriteTx};

/// State of the channel to a chat, shared by all processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// Nothing is sent before.
    pub blocked_until: Option<Timestamp>,
    /// Why.
    pub blocked_because: Option<String>,
    /// Since when sends fail.
    pub failing_since: Option<Timestamp>,
    /// The id the chat moved to.
    pub migrated_chat_id: Option<String>,
    /// The topic is gone: send without it.
    pub without_thread: bool,
}

/// Reads a channel; a channel never written to is empty.
///
/// # Errors
/// Those of the database.
pub fn channel(tx: &ReadTx<'_>, chat_id: &str) -> Result<Channel, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT * FROM channels WHERE name = ?1")?
        .query_and_then([chat_id], |row| {
            Ok::<_, DbError>(Channel {
                blocked_until: read_opt_at(row, "channels", "blocked_until")?,
                blocked_because: row.get("blocked_because")?,
                failing_since: read_opt_at(row, "channels", "failing_since")?,
                migrated_chat_id: row.get("migrated_chat_id")?,
                without_thread: row.get("without_thread")?,
            })
        })?
        .next()
        .transpose()?
        .unwrap_or_default())
}

/// Writes a channel's state.
///
/// # Errors
/// Those of the database.
pub fn set_channel(tx: &WriteTx<'_>, chat_id: &str, channel: &Channel, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO channels (name, blocked_until, blocked_because, failing_since, migrated_chat_id,
               without_thread, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (name) DO UPDATE SET blocked_until = excluded.blocked_until,
               blocked_because = excluded.blocked_because, failing_since = excluded.failing_since,
               migrated_chat_id = excluded.migrated_chat_id, without_thread = excluded.without_thread,
               updated_at = excluded.updated_at",
        )?
        .execute(params![
            chat_id,
            opt_at(channel.blocked_until),
            channel.blocked_because,
            opt_at(channel.failing_since),
            channel.migrated_chat_id,
            channel.without_thread,
            at(now),
        ])?;
    Ok(())
}
