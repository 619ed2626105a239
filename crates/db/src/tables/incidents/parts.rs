//! What an incident consists of, read from the rows that joined it: targets, vectors and sources.
//!
//! Nothing is kept twice: the operator's log and the attack analytics hold it, each row with its incident. Amounts are
//! those of the analytics, estimated from samples; what only an alert names has none.

use domain::ids::IncidentId;
use rusqlite::{Row, params};
use serde::Serialize;

use crate::error::DbError;
use crate::tx::ReadTx;

/// A share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Of what: an address, a vector, a country, a network.
    pub name: String,
    /// Packets, all rows together.
    pub packets: u64,
    /// Bits, all rows together.
    pub bits: u64,
    /// Rows that name it.
    pub rows: u64,
}

/// A source of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Address.
    pub address: String,
    /// Country, as looked up when it was seen.
    pub country: Option<String>,
    /// Autonomous system.
    pub asn: Option<i64>,
    /// Its name.
    pub asn_name: Option<String>,
    /// Why it cannot be real, if it cannot.
    pub bogon: Option<String>,
    /// Packets counted, all rows together.
    pub packets: u64,
    /// Bits counted, all rows together.
    pub bits: u64,
}

/// Lists are bounded; the largest or most frequent come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Addresses and host names that were attacked.
    pub targets: Vec<Share>,
    /// Attack vectors.
    pub vectors: Vec<Share>,
    /// Sources by volume.
    pub sources: Vec<Source>,
    /// Their countries.
    pub countries: Vec<Share>,
    /// Their networks, as `AS64500 Name`.
    pub networks: Vec<Share>,
    /// All packets of the analytics rows: what the shares are shares of.
    pub packets: u64,
}

/// Sums may be anything that was stored; they are shown, never calculated with.
fn amount(row: &Row<'_>, column: &str) -> Result<u64, DbError> {
    let sum: f64 = row.get(column)?;
    Ok(sum.max(0.0) as u64)
}

/// Reads them, at most `most` of each.
///
/// # Errors
/// Those of the database.
pub fn parts(tx: &ReadTx<'_>, incident: IncidentId, most: u32) -> Result<Parts, DbError> {
    let shares = |sql: &str| -> Result<Vec<Share>, DbError> {
        tx.conn()
            .prepare_cached(sql)?
            .query_and_then(params![incident.0, most], |row| {
                Ok(Share {
                    name: row.get("name")?,
                    packets: amount(row, "packets")?,
                    bits: amount(row, "bits")?,
                    rows: amount(row, "lines")?,
                })
            })?
            .collect()
    };
    let targets = shares(
        "SELECT name, total(packets) AS packets, total(bits) AS bits, total(1) AS lines FROM (
           SELECT target_ip AS name, 0 AS packets, 0 AS bits FROM attack_events
             WHERE incident_id = ?1 AND target_ip <> ''
           UNION ALL
           SELECT destination_ip, packets, bits FROM network_analytics_events
             WHERE incident_id = ?1 AND destination_ip <> ''
         ) GROUP BY name ORDER BY total(packets) DESC, lines DESC, name LIMIT ?2",
    )?;
    let vectors = shares(
        "SELECT name, total(packets) AS packets, total(bits) AS bits, total(1) AS lines FROM (
           SELECT attack_vector AS name, 0 AS packets, 0 AS bits FROM attack_events
             WHERE incident_id = ?1 AND attack_vector <> ''
           UNION ALL
           SELECT attack_vector, packets, bits FROM network_analytics_events
             WHERE incident_id = ?1 AND attack_vector <> ''
         ) GROUP BY name COLLATE NOCASE ORDER BY total(packets) DESC, lines DESC, name LIMIT ?2",
    )?;
    let countries = shares(
        "SELECT source_country AS name, total(packets) AS packets, total(bits) AS bits, total(1) AS lines
         FROM network_analytics_events WHERE incident_id = ?1 AND source_country <> ''
         GROUP BY source_country ORDER BY total(packets) DESC, name LIMIT ?2",
    )?;
    let networks = shares(
        "SELECT 'AS' || source_asn || COALESCE(' ' || max(source_asn_name), '') AS name, total(packets) AS packets,
           total(bits) AS bits, total(1) AS lines
         FROM network_analytics_events WHERE incident_id = ?1 AND source_asn IS NOT NULL
         GROUP BY source_asn ORDER BY total(packets) DESC, source_asn LIMIT ?2",
    )?;
    let sources = tx
        .conn()
        .prepare_cached(
            "SELECT source_ip, max(source_country) AS country, max(source_asn) AS asn, max(source_asn_name) AS asn_name,
               max(source_bogon) AS bogon, total(packets) AS packets, total(bits) AS bits
             FROM network_analytics_events
             WHERE incident_id = ?1 AND source_ip <> '' GROUP BY source_ip ORDER BY total(packets) DESC, source_ip LIMIT ?2",
        )?
        .query_and_then(params![incident.0, most], |row| -> Result<Source, DbError> {
            Ok(Source {
                address: row.get("source_ip")?,
                country: row.get("country")?,
                asn: row.get("asn")?,
                asn_name: row.get("asn_name")?,
                bogon: row.get("bogon")?,
                packets: amount(row, "packets")?,
                bits: amount(row, "bits")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let packets = tx
        .conn()
        .prepare_cached("SELECT total(packets) AS packets FROM network_analytics_events WHERE incident_id = ?1")?
        .query_and_then([incident.0], |row| amount(row, "packets"))?
        .next()
        .transpose()?
        .unwrap_or_default();
    Ok(Parts {
        targets,
        vectors,
        sources,
        countries,
        networks,
        packets,
    })
}
