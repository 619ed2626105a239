//! Tokens with which machines use the API (`api_tokens`). Only the hash of a token is stored; a copy of the database
//! opens no door.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::column::{at, read_at, read_opt_at, read_word};
use super::users::Role;
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Row number.
    pub id: i64,
    /// What it is for; unique without regard to case.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Its end.
    pub expires_at: Timestamp,
    /// Last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_address: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// By whom.
    pub revoked_by: Option<String>,
}

/// A token to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// What it is for.
    pub name: &'a str,
    /// SHA-256 of the secret, hex.
    pub token_hash: &'a str,
    /// What it may do.
    pub role: Role,
    /// Who makes it.
    pub created_by: &'a str,
    /// Its end.
    pub expires_at: Timestamp,
}

const COLUMNS: &str =
    "id, name, role, created_by, created_at, expires_at, last_used_at, last_address, revoked_at, revoked_by";

fn read(row: &Row<'_>) -> Result<Token, DbError> {
    const T: &str = "api_tokens";
    Ok(Token {
        id: row.get("id")?,
        name: row.get("name")?,
        role: read_word(row, T, "role", Role::from_text)?,
        created_by: row.get("created_by")?,
        created_at: read_at(row, T, "created_at")?,
        expires_at: read_at(row, T, "expires_at")?,
        last_used_at: read_opt_at(row, T, "last_used_at")?,
        last_address: row.get("last_address")?,
        revoked_at: read_opt_at(row, T, "revoked_at")?,
        revoked_by: row.get("revoked_by")?,
    })
}

/// Makes a token.
///
/// # Errors
/// [`DbError::Conflict`] when the name is taken, also by a revoked one: the audit names tokens.
pub fn add(tx: &WriteTx<'_>, new: &NewToken<'_>, now: Timestamp) -> Result<i64, DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO api_tokens (name, token_hash, role, created_by, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            new.name,
            new.token_hash,
            new.role.as_str(),
            new.created_by,
            at(now),
            at(new.expires_at)
        ])?;
    Ok(tx.conn().last_insert_rowid())
}

/// The token with this hash, if it is neither revoked nor past its end.
///
/// # Errors
/// Those of the database.
pub fn find(tx: &ReadTx<'_>, token_hash: &str, now: Timestamp) -> Result<Option<Token>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM api_tokens WHERE token_hash = ?1 AND revoked_at IS NULL AND expires_at > ?2"
        ))?
        .query_and_then(params![token_hash, at(now)], read)?
        .next()
        .transpose()
}

/// Remembers a use.
///
/// # Errors
/// Those of the database.
pub fn used(tx: &WriteTx<'_>, id: i64, address: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE api_tokens SET last_used_at = ?2, last_address = ?3 WHERE id = ?1")?
        .execute(params![id, at(now), address])?;
    Ok(())
}

/// Revokes a token for good. Returns its name, or `None` when there is no such token or it is revoked already.
///
/// # Errors
/// Those of the database.
pub fn revoke(tx: &WriteTx<'_>, id: i64, actor: &str, now: Timestamp) -> Result<Option<String>, DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE api_tokens SET revoked_at = ?2, revoked_by = ?3 WHERE id = ?1 AND revoked_at IS NULL RETURNING name",
        )?
        .query_and_then(params![id, at(now), actor], |row| Ok(row.get(0)?))?
        .next()
        .transpose()
}

/// All tokens, the newest first.
///
/// # Errors
/// Those of the database.
pub fn all(tx: &ReadTx<'_>) -> Result<Vec<Token>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_tokens ORDER BY id DESC LIMIT 1000"))?
        .query_and_then([], read)?
        .collect()
}
