//! Sessions of the dashboard (`sessions`). Only the hash of a token is stored; a copy of the
//! database opens no door.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::column::{at, read_at, read_word};
use super::users::Role;
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A session with its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token, hex.
    pub token_hash: String,
    /// Account.
    pub user_id: i64,
    /// Account name.
    pub user: String,
    /// Role.
    pub role: Role,
    /// Must set a new password first.
    pub must_change: bool,
    /// Secret that changes must repeat.
    pub csrf: String,
    /// Login.
    pub created_at: Timestamp,
    /// Last request.
    pub seen_at: Timestamp,
    /// Absolute end.
    pub expires_at: Timestamp,
    /// Address of the login.
    pub address: String,
    /// Browser of the login.
    pub agent: String,
    /// The password was given, the second factor was not yet.
    pub owes_factor: bool,
}

/// A session to be opened.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// SHA-256 of the token, hex.
    pub token_hash: &'a str,
    /// Account.
    pub user_id: i64,
    /// Secret that changes must repeat.
    pub csrf: &'a str,
    /// Absolute end.
    pub expires_at: Timestamp,
    /// Address.
    pub address: &'a str,
    /// Browser.
    pub agent: &'a str,
}

/// Opens a session.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &WriteTx<'_>, new: &NewSession<'_>, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO sessions (token_hash, user_id, csrf, created_at, seen_at, expires_at, address, agent)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.token_hash,
            new.user_id,
            new.csrf,
            at(now),
            at(new.expires_at),
            new.address,
            new.agent
        ])?;
    tx.conn()
        .prepare_cached("DELETE FROM sessions WHERE expires_at < ?1")?
        .execute([at(now)])?;
    Ok(())
}

/// The session of a token, if it is neither past its end nor idle since before `idle_since`, and
/// its account is not disabled.
///
/// # Errors
/// Those of the database.
pub fn find(
    tx: &ReadTx<'_>,
    token_hash: &str,
    idle_since: Timestamp,
    now: Timestamp,
) -> Result<Option<Session>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "{SELECT} WHERE s.token_hash = ?1 AND s.expires_at > ?2 AND s.seen_at > ?3 AND u.disabled = 0"
        ))?
        .query_and_then(params![token_hash, at(now), at(idle_since)], read)?
        .next()
        .transpose()
}

const SELECT: &str =
    "SELECT s.token_hash, s.user_id, s.csrf, s.created_at, s.seen_at, s.expires_at, s.address, s.agent,
    s.owes_factor, u.name, u.role, u.must_change
  FROM sessions s JOIN users u ON u.id = s.user_id";

fn read(row: &Row<'_>) -> Result<Session, DbError> {
    Ok(Session {
        token_hash: row.get("token_hash")?,
        user_id: row.get("user_id")?,
        user: row.get("name")?,
        role: read_word(row, "users", "role", Role::from_text)?,
        must_change: row.get("must_change")?,
        csrf: row.get("csrf")?,
        created_at: read_at(row, "sessions", "created_at")?,
        seen_at: read_at(row, "sessions", "seen_at")?,
        expires_at: read_at(row, "sessions", "expires_at")?,
        address: row.get("address")?,
        agent: row.get("agent")?,
        owes_factor: row.get("owes_factor")?,
    })
}

/// The live sessions of an account, or of all accounts, the last used first.
///
/// # Errors
/// Those of the database.
pub fn live(
    tx: &ReadTx<'_>,
    user_id: Option<i64>,
    idle_since: Timestamp,
    now: Timestamp,
) -> Result<Vec<Session>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "{SELECT} WHERE (?1 IS NULL OR s.user_id = ?1) AND s.expires_at > ?2 AND s.seen_at > ?3
               AND u.disabled = 0 AND s.owes_factor = 0 ORDER BY s.seen_at DESC, s.token_hash LIMIT 1000"
        ))?
        .query_and_then(params![user_id, at(now), at(idle_since)], read)?
        .collect()
}

/// The session owes the second factor until it is replaced by another.
///
/// # Errors
/// Those of the database.
pub fn owe_factor(tx: &WriteTx<'_>, token_hash: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE sessions SET owes_factor = 1 WHERE token_hash = ?1")?
        .execute([token_hash])?;
    Ok(())
}

/// Ends the session whose token's hash begins with `id` (hex digits), of one account or of any. Returns whose it was.
///
/// # Errors
/// Those of the database.
pub fn close_listed(tx: &WriteTx<'_>, id: &str, user_id: Option<i64>) -> Result<Option<String>, DbError> {
    let owner: Option<String> = tx
        .conn()
        .prepare_cached(
            "SELECT u.name FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE substr(s.token_hash, 1, length(?1)) = ?1 AND (?2 IS NULL OR s.user_id = ?2)",
        )?
        .query_row(params![id, user_id], |row| row.get(0))
        .optional()?;
    tx.conn()
        .prepare_cached(
            "DELETE FROM sessions WHERE substr(token_hash, 1, length(?1)) = ?1 AND (?2 IS NULL OR user_id = ?2)",
        )?
        .execute(params![id, user_id])?;
    Ok(owner)
}

/// Remembers that the session was used.
///
/// # Errors
/// Those of the database.
pub fn touch(tx: &WriteTx<'_>, token_hash: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE token_hash = ?1")?
        .execute(params![token_hash, at(now)])?;
    Ok(())
}

/// Ends one session.
///
/// # Errors
/// Those of the database.
pub fn close(tx: &WriteTx<'_>, token_hash: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?
        .execute([token_hash])?;
    Ok(())
}

/// Ends all sessions of an account but `except`. Returns how many.
///
/// # Errors
/// Those of the database.
pub fn close_others(tx: &WriteTx<'_>, user_id: i64, except: Option<&str>) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND token_hash IS NOT ?2")?
        .execute(params![user_id, except])?)
}
