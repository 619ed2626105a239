//! Second factors of accounts: the shared secret (`users.totp_*`) and the codes for whoever lost it (`recovery_codes`).
//!
//! Must hold: a code of either kind works once. The secret itself has to be stored, since codes are made from it; codes
//! for recovery are stored as hashes.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::column::{at, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// What is stored of an account's second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct Factor {
    /// The shared secret in base 32; also while it is being enrolled.
    pub secret: Option<String>,
    /// Since when it is asked for; `None` when it is not.
    pub since: Option<Timestamp>,
    /// Recovery codes that were not used yet.
    pub codes_left: u32,
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor")
            .field("since", &self.since)
            .field("codes_left", &self.codes_left)
            .finish_non_exhaustive()
    }
}

/// The second factor of an account.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such account.
pub fn get(tx: &ReadTx<'_>, user_id: i64) -> Result<Factor, DbError> {
    let found = tx
        .conn()
        .prepare_cached(
            "SELECT id, totp_secret, totp_since,
               (SELECT count(*) FROM recovery_codes WHERE user_id = users.id AND used_at IS NULL) AS codes_left
             FROM users WHERE id = ?1",
        )?
        .query_and_then([user_id], |row| {
            Ok::<_, DbError>(Factor {
                secret: row.get("totp_secret")?,
                since: read_opt_at(row, "users", "totp_since")?,
                codes_left: row.get("codes_left")?,
            })
        })?
        .next()
        .transpose()?;
    found.ok_or(DbError::NotFound)
}

/// Begins to enrol: the secret counts only once a code made from it was shown. Returns whether it was stored; it is not
/// when there is a second factor already.
///
/// # Errors
/// Those of the database.
pub fn begin(tx: &WriteTx<'_>, user_id: i64, secret: &str) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("UPDATE users SET totp_secret = ?2 WHERE id = ?1 AND totp_since IS NULL")?
        .execute(params![user_id, secret])?
        == 1)
}

/// The second factor counts from now on. `step` is the time step of the code that was shown. Returns whether it does;
/// not if it did already or the secret is another one by now.
///
/// # Errors
/// Those of the database.
pub fn confirm(tx: &WriteTx<'_>, user_id: i64, secret: &str, step: i64, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE users SET totp_since = ?4, totp_step = ?3
             WHERE id = ?1 AND totp_secret = ?2 AND totp_since IS NULL",
        )?
        .execute(params![user_id, secret, step, at(now)])?
        == 1)
}

/// Uses the code of a time step. Returns whether it may count: not a second time, and no older one after it.
///
/// # Errors
/// Those of the database.
pub fn use_step(tx: &WriteTx<'_>, user_id: i64, step: i64) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE users SET totp_step = ?2 WHERE id = ?1 AND totp_since IS NOT NULL
               AND (totp_step IS NULL OR totp_step < ?2)",
        )?
        .execute(params![user_id, step])?
        == 1)
}

/// Puts new recovery codes, given by their hashes, in place of all earlier ones.
///
/// # Errors
/// Those of the database.
pub fn set_recovery_codes(tx: &WriteTx<'_>, user_id: i64, hashes: &[String]) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM recovery_codes WHERE user_id = ?1")?
        .execute([user_id])?;
    let mut insert = tx
        .conn()
        .prepare_cached("INSERT INTO recovery_codes (user_id, code_hash) VALUES (?1, ?2)")?;
    for hash in hashes {
        insert.execute(params![user_id, hash])?;
    }
    Ok(())
}

/// Uses a recovery code. Returns whether it was one that was not used before.
///
/// # Errors
/// Those of the database.
pub fn use_recovery_code(tx: &WriteTx<'_>, user_id: i64, hash: &str, now: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE recovery_codes SET used_at = ?3 WHERE user_id = ?1 AND code_hash = ?2 AND used_at IS NULL",
        )?
        .execute(params![user_id, hash, at(now)])?
        == 1)
}

/// Takes the second factor away, with its recovery codes. Returns whether there was one.
///
/// # Errors
/// Those of the database.
pub fn remove(tx: &WriteTx<'_>, user_id: i64) -> Result<bool, DbError> {
    let had: Option<bool> = tx
        .conn()
        .prepare_cached("SELECT totp_since IS NOT NULL FROM users WHERE id = ?1")?
        .query_row([user_id], |row| row.get(0))
        .optional()?;
    set_recovery_codes(tx, user_id, &[])?;
    tx.conn()
        .prepare_cached("UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_step = NULL WHERE id = ?1")?
        .execute([user_id])?;
    Ok(had.unwrap_or(false))
}
