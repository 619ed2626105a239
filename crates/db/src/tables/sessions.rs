//! Sessions of the dashboard (`sessions`). Only the hash of a token is stored; a copy of the
//! database opens no door.

use jiff::Timestamp;
use rusqlite::params;

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
        .prepare_cached(
            "SELECT s.token_hash, s.user_id, s.csrf, s.created_at, s.seen_at, s.expires_at, s.address, s.agent,
               u.name, u.role, u.must_change
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.token_hash = ?1 AND s.expires_at > ?2 AND s.seen_at > ?3 AND u.disabled = 0",
        )?
        .query_and_then(params![token_hash, at(now), at(idle_since)], |row| {
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
            })
        })?
        .next()
        .transpose()
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
