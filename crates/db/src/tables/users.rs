//! Accounts of the dashboard (`users`) and failed logins. Hashes only; checking them is the
//! dashboard's.

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::column::{at, read_at, read_opt_at, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, acknowledge, hold, advertise, withdraw.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Database text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Reads the database text.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Row number.
    pub id: i64,
    /// Name, unique without regard to case.
    pub name: String,
    /// bcrypt or argon2id, in its own text form.
    pub password_hash: String,
    /// Role.
    pub role: Role,
    /// Must set a new password at the next login.
    pub must_change: bool,
    /// May not log in.
    pub disabled: bool,
    /// Created.
    pub created_at: Timestamp,
    /// Password set.
    pub password_changed_at: Timestamp,
    /// Last login.
    pub last_login_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<User, DbError> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        password_hash: row.get("password_hash")?,
        role: read_word(row, "users", "role", Role::from_text)?,
        must_change: row.get("must_change")?,
        disabled: row.get("disabled")?,
        created_at: read_at(row, "users", "created_at")?,
        password_changed_at: read_at(row, "users", "password_changed_at")?,
        last_login_at: read_opt_at(row, "users", "last_login_at")?,
    })
}

/// Adds an account.
///
/// # Errors
/// [`DbError::Conflict`] when the name is taken.
pub fn add(
    tx: &WriteTx<'_>,
    name: &str,
    password_hash: &str,
    role: Role,
    must_change: bool,
    now: Timestamp,
) -> Result<i64, DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO users (name, password_hash, role, must_change, created_at, password_changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![name, password_hash, role.as_str(), must_change, at(now)])?;
    Ok(tx.conn().last_insert_rowid())
}

/// Sets a password hash. Returns whether the account exists.
///
/// # Errors
/// Those of the database.
pub fn set_password(
    tx: &WriteTx<'_>,
    name: &str,
    password_hash: &str,
    must_change: bool,
    now: Timestamp,
) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE users SET password_hash = ?2, must_change = ?3, password_changed_at = ?4 WHERE name = ?1",
        )?
        .execute(params![name, password_hash, must_change, at(now)])?
        == 1)
}

/// Replaces a hash by a stronger one of the same password; not a password change.
///
/// # Errors
/// Those of the database.
pub fn rehash(tx: &WriteTx<'_>, id: i64, old: &str, new: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2")?
        .execute(params![id, old, new])?;
    Ok(())
}

/// Enables or disables an account. Returns whether it exists.
///
/// # Errors
/// Those of the database.
pub fn set_disabled(tx: &WriteTx<'_>, name: &str, disabled: bool) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("UPDATE users SET disabled = ?2 WHERE name = ?1")?
        .execute(params![name, disabled])?
        == 1)
}

/// Gives an account another role. Returns whether it exists.
///
/// # Errors
/// Those of the database.
pub fn set_role(tx: &WriteTx<'_>, name: &str, role: Role) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("UPDATE users SET role = ?2 WHERE name = ?1")?
        .execute(params![name, role.as_str()])?
        == 1)
}

/// Remembers a login.
///
/// # Errors
/// Those of the database.
pub fn logged_in(tx: &WriteTx<'_>, id: i64, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE users SET last_login_at = ?2 WHERE id = ?1")?
        .execute(params![id, at(now)])?;
    Ok(())
}

/// One account by name.
///
/// # Errors
/// Those of the database.
pub fn by_name(tx: &ReadTx<'_>, name: &str) -> Result<Option<User>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM users WHERE name = ?1")?
        .query_and_then([name], read)?
        .next()
        .transpose()
}

/// All accounts, by name.
///
/// # Errors
/// Those of the database.
pub fn all(tx: &ReadTx<'_>) -> Result<Vec<User>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM users ORDER BY name LIMIT 10000")?
        .query_and_then([], read)?
        .collect()
}

/// Records a failed login and forgets those older than a day.
///
/// # Errors
/// Those of the database.
pub fn login_failed(tx: &WriteTx<'_>, account: &str, address: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("INSERT INTO login_failures (at, account, address) VALUES (?1, ?2, ?3)")?
        .execute(params![at(now), account, address])?;
    tx.conn()
        .prepare_cached("DELETE FROM login_failures WHERE at < ?1")?
        .execute([at(domain::time::minus(now, std::time::Duration::from_secs(86_400)))])?;
    Ok(())
}

/// Failed logins: how many, and the newest.
pub type Failures = (u32, Option<Timestamp>);

/// Failed logins since `since`: for the account, and from the address.
///
/// # Errors
/// Those of the database.
pub fn failures(
    tx: &ReadTx<'_>,
    account: &str,
    address: &str,
    since: Timestamp,
) -> Result<(Failures, Failures), DbError> {
    let count = |column: &str, value: &str| -> Result<Failures, DbError> {
        let (number, newest): (u32, Option<String>) = tx
            .conn()
            .prepare_cached(&format!(
                "SELECT count(*), max(at) FROM login_failures WHERE {column} = ?1 AND at > ?2"
            ))?
            .query_row(params![value, at(since)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((number, newest.as_deref().and_then(domain::time::from_text)))
    };
    Ok((count("account", account)?, count("address", address)?))
}

/// Forgets the failed logins of an account after a good one.
///
/// # Errors
/// Those of the database.
pub fn forget_failures(tx: &WriteTx<'_>, account: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM login_failures WHERE account = ?1")?
        .execute([account])?;
    Ok(())
}
