//! Host names of source addresses (`hostnames`): found ones and missing ones, each until it expires.
//!
//! An address is kept as Cloudflare writes it, the form that `network_analytics_events` holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::column::{at, read_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Newest rows of the analytics in which addresses without name are looked for.
const LOOKED_THROUGH: u32 = 5_000;

/// What is known about the name of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hostname {
    /// Address as text.
    pub address: String,
    /// Its name; `None` when it has none, or none was found.
    pub name: Option<String>,
    /// Why there is none.
    pub problem: Option<String>,
    /// When it was looked up.
    pub looked_up_at: Timestamp,
    /// Until when that is good.
    pub expires_at: Timestamp,
}

/// What is known about an address, also when it has expired.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, address: &str) -> Result<Option<Hostname>, DbError> {
    tx.conn()
        .prepare_cached("SELECT address, name, problem, looked_up_at, expires_at FROM hostnames WHERE address = ?1")?
        .query_and_then([address], |row| -> Result<Hostname, DbError> {
            Ok(Hostname {
                address: row.get("address")?,
                name: row.get("name")?,
                problem: row.get("problem")?,
                looked_up_at: read_at(row, "hostnames", "looked_up_at")?,
                expires_at: read_at(row, "hostnames", "expires_at")?,
            })
        })?
        .next()
        .transpose()
}

/// The names of those addresses that have one, for pages. An expired name is still shown: it is the last one known.
///
/// # Errors
/// Those of the database.
pub fn names<'a>(
    tx: &ReadTx<'_>,
    addresses: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, DbError> {
    let mut query = tx
        .conn()
        .prepare_cached("SELECT name FROM hostnames WHERE address = ?1 AND name IS NOT NULL")?;
    let mut names = BTreeMap::new();
    for address in addresses {
        if let Some(name) = query.query_row([address], |row| row.get(0)).optional()? {
            names.insert(address.to_owned(), name);
        }
    }
    Ok(names)
}

/// Sources of attacks on us that have no valid answer yet, most packets first. Forged addresses have no name worth
/// knowing and are left out. Only rows stored since `since` count.
///
/// # Errors
/// Those of the database.
pub fn wanted(tx: &ReadTx<'_>, since: Timestamp, now: Timestamp, limit: u32) -> Result<Vec<String>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT source_ip FROM (
               SELECT source_ip, packets FROM network_analytics_events
               WHERE notified_at >= ?1 AND source_bogon IS NULL AND source_ip <> '' AND prefix IS NOT NULL
               ORDER BY id DESC LIMIT ?4
             ) AS newest
             WHERE NOT EXISTS (SELECT 1 FROM hostnames known WHERE known.address = newest.source_ip AND known.expires_at > ?2)
             GROUP BY source_ip ORDER BY total(packets) DESC, source_ip LIMIT ?3",
        )?
        .query_and_then(params![at(since), at(now), limit, LOOKED_THROUGH], |row| Ok(row.get(0)?))?
        .collect()
}

/// Stores answers; each replaces the one before.
///
/// # Errors
/// Those of the database.
pub fn store(tx: &WriteTx<'_>, answers: &[Hostname]) -> Result<(), DbError> {
    let mut put = tx.conn().prepare_cached(
        "INSERT INTO hostnames (address, name, problem, looked_up_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (address) DO UPDATE SET problem = excluded.problem, looked_up_at = excluded.looked_up_at,
           expires_at = excluded.expires_at,
           -- A look-up that failed says nothing against the name that was known.
           name = CASE WHEN excluded.name IS NULL AND excluded.problem IS NOT NULL THEN name ELSE excluded.name END",
    )?;
    for answer in answers {
        put.execute(params![
            answer.address,
            answer.name,
            answer.problem,
            at(answer.looked_up_at),
            at(answer.expires_at),
        ])?;
    }
    Ok(())
}

/// Whether any answer expired before `before`.
///
/// # Errors
/// Those of the database.
pub fn has_expired(tx: &ReadTx<'_>, before: Timestamp) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM hostnames WHERE expires_at < ?1)")?
        .query_row([at(before)], |row| row.get(0))?)
}

/// Deletes answers that expired before `before`, at most `limit`, and returns how many went.
///
/// # Errors
/// Those of the database.
pub fn prune(tx: &WriteTx<'_>, before: Timestamp, limit: u32) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "DELETE FROM hostnames WHERE address IN
               (SELECT address FROM hostnames WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute(params![at(before), limit])?)
}
