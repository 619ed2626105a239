//! Prefixes as discovered at Cloudflare, with the last live state (`inventory`), and the cached
//! monitoring rules (`monitoring_rules`). A failed read keeps the last state and says since when.

use domain::bgp::{BgpPrefix, BgpState};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use super::column::{at, json, read_at, read_json, read_opt_at, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

const TABLE: &str = "inventory";

/// A known prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Ids and last live state.
    pub prefix: BgpPrefix,
    /// Whether automation may touch it.
    pub managed: bool,
    /// When the state was read.
    pub read_at: Timestamp,
    /// Why the latest read failed.
    pub error: Option<String>,
    /// Since when reads fail.
    pub error_since: Option<Timestamp>,
}

/// Stores a successful read.
///
/// # Errors
/// Those of the database.
pub fn observed(tx: &WriteTx<'_>, prefix: &BgpPrefix, managed: bool, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO inventory (prefix, prefix_id, bgp_prefix_id, asn, description, managed, state, read_at,
               error, error_since, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, NULL, ?8)
             ON CONFLICT (prefix) DO UPDATE SET prefix_id = excluded.prefix_id, bgp_prefix_id = excluded.bgp_prefix_id,
               asn = excluded.asn, description = excluded.description, managed = excluded.managed,
               state = excluded.state, read_at = excluded.read_at, error = NULL, error_since = NULL,
               seen_at = excluded.seen_at",
        )?
        .execute(params![
            prefix.prefix.to_string(),
            prefix.parent_id.as_str(),
            prefix.id.as_str(),
            prefix.asn,
            prefix.description,
            managed,
            json(&prefix.state)?,
            at(now),
        ])?;
    Ok(())
}

/// Stores that reading failed; the last state stays, with its age.
///
/// # Errors
/// Those of the database.
pub fn failed(tx: &WriteTx<'_>, prefix: Prefix, because: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE inventory SET error = ?2, error_since = COALESCE(error_since, ?3) WHERE prefix = ?1")?
        .execute(params![prefix.to_string(), because, at(now)])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Entry, DbError> {
    Ok(Entry {
        prefix: BgpPrefix {
            prefix: read_word(row, TABLE, "prefix", |text| text.parse().ok())?,
            parent_id: PrefixId::new(&row.get::<_, String>("prefix_id")?),
            id: BgpPrefixId::new(&row.get::<_, String>("bgp_prefix_id")?),
            asn: row.get("asn")?,
            description: row.get("description")?,
            state: read_json::<BgpState>(row, TABLE, "state")?,
        },
        managed: row.get("managed")?,
        read_at: read_at(row, TABLE, "read_at")?,
        error: row.get("error")?,
        error_since: read_opt_at(row, TABLE, "error_since")?,
    })
}

/// All known prefixes, in network order.
///
/// # Errors
/// Those of the database.
pub fn all(tx: &ReadTx<'_>) -> Result<Vec<Entry>, DbError> {
    let mut entries: Vec<Entry> = tx
        .conn()
        .prepare_cached("SELECT * FROM inventory LIMIT 100000")?
        .query_and_then([], read)?
        .collect::<Result<_, DbError>>()?;
    entries.sort_by_key(|entry| entry.prefix.prefix);
    Ok(entries)
}

/// One known prefix.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, prefix: Prefix) -> Result<Option<Entry>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM inventory WHERE prefix = ?1")?
        .query_and_then([prefix.to_string()], read)?
        .next()
        .transpose()
}

/// A monitoring rule as cached: what a threshold alert without target is resolved by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitoringRule {
    /// Rule id.
    pub id: String,
    /// Rule name.
    pub name: String,
    /// Its networks.
    pub prefixes: Vec<Prefix>,
    /// The rule as Cloudflare gave it.
    pub body: String,
}

/// Replaces the cached rules by a complete list.
///
/// # Errors
/// Those of the database.
pub fn replace_rules(tx: &WriteTx<'_>, rules: &[MonitoringRule], now: Timestamp) -> Result<(), DbError> {
    tx.conn().prepare_cached("DELETE FROM monitoring_rules")?.execute([])?;
    for rule in rules {
        tx.conn()
            .prepare_cached(
                "INSERT OR REPLACE INTO monitoring_rules (id, name, prefixes, body, read_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![rule.id, rule.name, json(&rule.prefixes)?, rule.body, at(now)])?;
    }
    Ok(())
}

/// The networks of the rule with this name.
///
/// # Errors
/// Those of the database.
pub fn rule_prefixes(tx: &ReadTx<'_>, name: &str) -> Result<Option<Vec<Prefix>>, DbError> {
    tx.conn()
        .prepare_cached("SELECT id, prefixes FROM monitoring_rules WHERE name = ?1 LIMIT 1")?
        .query_and_then([name], |row| read_json(row, "monitoring_rules", "prefixes"))?
        .next()
        .transpose()
}

/// The cached rules, and when they were read.
///
/// # Errors
/// Those of the database.
pub fn rules(tx: &ReadTx<'_>) -> Result<Vec<(MonitoringRule, Timestamp)>, DbError> {
    const T: &str = "monitoring_rules";
    tx.conn()
        .prepare_cached("SELECT id, name, prefixes, body, read_at FROM monitoring_rules ORDER BY name LIMIT 10000")?
        .query_and_then([], |row| {
            let rule = MonitoringRule {
                id: row.get("id")?,
                name: row.get("name")?,
                prefixes: read_json(row, T, "prefixes")?,
                body: row.get("body")?,
            };
            Ok((rule, read_at(row, T, "read_at")?))
        })?
        .collect()
}
