//! What an incident consists of, read from the rows that joined it: targets, vectors and sources.
//!
//! Nothing is kept twice: the operator's log and the attack analytics hold it, each row with its incident.

use domain::ids::IncidentId;
use rusqlite::params;
use serde::Serialize;

use crate::error::DbError;
use crate::tx::ReadTx;

/// A source of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Address.
    pub address: String,
    /// Country, as looked up when it was seen.
    pub country: Option<String>,
    /// Packets counted, all rows together.
    pub packets: u64,
}

/// Lists are bounded; the most frequent or largest come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Addresses and host names that were attacked.
    pub targets: Vec<String>,
    /// Attack vectors.
    pub vectors: Vec<String>,
    /// Sources by volume.
    pub sources: Vec<Source>,
}

/// Reads them, at most `most` of each.
///
/// # Errors
/// Those of the database.
pub fn parts(tx: &ReadTx<'_>, incident: IncidentId, most: u32) -> Result<Parts, DbError> {
    let texts = |sql: &str| -> Result<Vec<String>, DbError> {
        tx.conn()
            .prepare_cached(sql)?
            .query_and_then(params![incident.0, most], |row| Ok(row.get(0)?))?
            .collect()
    };
    let targets = texts(
        "SELECT target FROM (
           SELECT target_ip AS target FROM attack_events WHERE incident_id = ?1 AND target_ip <> ''
           UNION ALL
           SELECT destination_ip FROM network_analytics_events WHERE incident_id = ?1 AND destination_ip <> ''
         ) GROUP BY target ORDER BY count(*) DESC, target LIMIT ?2",
    )?;
    let vectors = texts(
        "SELECT vector FROM (
           SELECT attack_vector AS vector FROM attack_events WHERE incident_id = ?1 AND attack_vector <> ''
           UNION ALL
           SELECT attack_vector FROM network_analytics_events WHERE incident_id = ?1 AND attack_vector <> ''
         ) GROUP BY vector COLLATE NOCASE ORDER BY count(*) DESC, vector LIMIT ?2",
    )?;
    let sources = tx
        .conn()
        .prepare_cached(
            "SELECT source_ip, max(source_country) AS country, sum(packets) AS packets FROM network_analytics_events
             WHERE incident_id = ?1 AND source_ip <> '' GROUP BY source_ip ORDER BY packets DESC, source_ip LIMIT ?2",
        )?
        .query_and_then(params![incident.0, most], |row| -> Result<Source, DbError> {
            Ok(Source {
                address: row.get("source_ip")?,
                country: row.get("country")?,
                packets: row
                    .get::<_, Option<i64>>("packets")?
                    .unwrap_or_default()
                    .max(0)
                    .unsigned_abs(),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Parts {
        targets,
        vectors,
        sources,
    })
}
