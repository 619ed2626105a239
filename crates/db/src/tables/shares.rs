//! What traffic consists of, ranked: targets, vectors, sources, their countries and networks, each with its amount.
//!
//! Must hold: whatever is summed, it costs no more than [`MOST_ROWS`] rows; what was left out is said
//! ([`Parts::is_whole`]). Amounts are those of the analytics, estimated from samples; what only an alert names has none.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use crate::error::DbError;
use crate::tx::ReadTx;

/// Rows of the analytics that are summed at most: the newest.
pub const MOST_ROWS: u32 = 20_000;

/// Alerts that are read at most: the newest.
const MOST_ALERTS: u32 = 2_000;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// All packets of the analytics rows that were summed: what the shares are shares of.
    pub packets: u64,
    /// Rows of the analytics that were summed.
    pub rows: u64,
    /// Whether these are all of them; otherwise they are the newest.
    pub is_whole: bool,
    /// The oldest instant that was summed.
    pub since: Option<Timestamp>,
    /// The newest instant that was summed.
    pub newest: Option<Timestamp>,
}

/// A sum under construction.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    packets: u64,
    bits: u64,
    rows: u64,
}

impl Amount {
    fn add(&mut self, row: &Traffic) {
        self.packets = self.packets.saturating_add(row.packets);
        self.bits = self.bits.saturating_add(row.bits);
        self.rows += 1;
    }
}

/// A row of the analytics, as far as it is summed.
#[derive(Debug)]
struct Traffic {
    at: Option<String>,
    target: Option<String>,
    vector: Option<String>,
    source: Option<String>,
    country: Option<String>,
    asn: Option<i64>,
    asn_name: Option<String>,
    bogon: Option<String>,
    packets: u64,
    bits: u64,
}

/// Columns of a [`Traffic`].
const COLUMNS: &str = "event_datetime, destination_ip, attack_vector, source_ip, source_country, source_asn,
  source_asn_name, source_bogon, CAST(packets AS REAL) AS packets, CAST(bits AS REAL) AS bits";

fn read(row: &Row<'_>) -> Result<Traffic, DbError> {
    let text = |column: &str| -> Result<Option<String>, DbError> {
        let found: Option<String> = row.get(column)?;
        Ok(found.filter(|text| !text.is_empty()))
    };
    // Amounts may be anything that was stored; they are shown, never calculated with.
    let amount = |column: &str| -> Result<u64, DbError> {
        let number: Option<f64> = row.get(column)?;
        Ok(number.unwrap_or(0.0).max(0.0) as u64)
    };
    Ok(Traffic {
        at: text("event_datetime")?,
        target: text("destination_ip")?,
        vector: text("attack_vector")?,
        source: text("source_ip")?,
        country: text("source_country")?,
        asn: row.get("source_asn")?,
        asn_name: text("source_asn_name")?,
        bogon: text("source_bogon")?,
        packets: amount("packets")?,
        bits: amount("bits")?,
    })
}

/// What is known of a source besides its amount.
#[derive(Debug, Default)]
struct Origin {
    amount: Amount,
    country: Option<String>,
    asn: Option<i64>,
    asn_name: Option<String>,
    bogon: Option<String>,
}

#[derive(Debug, Default)]
struct Network {
    amount: Amount,
    name: Option<String>,
}

#[derive(Debug, Default)]
struct Sum {
    all: Amount,
    targets: HashMap<String, Amount>,
    /// By their names in lower case: alerts and analytics write them differently.
    vectors: HashMap<String, (String, Amount)>,
    countries: HashMap<String, Amount>,
    networks: HashMap<i64, Network>,
    sources: HashMap<String, Origin>,
    oldest: Option<String>,
    newest: Option<String>,
}

impl Sum {
    fn vector(&mut self, name: &str) -> &mut Amount {
        let (_, amount) = self
            .vectors
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| (name.to_owned(), Amount::default()));
        amount
    }

    fn add(&mut self, row: &Traffic) {
        self.all.add(row);
        if let Some(target) = &row.target {
            self.targets.entry(target.clone()).or_default().add(row);
        }
        if let Some(vector) = &row.vector {
            self.vector(vector).add(row);
        }
        if let Some(country) = &row.country {
            self.countries.entry(country.clone()).or_default().add(row);
        }
        if let Some(asn) = row.asn {
            let network = self.networks.entry(asn).or_default();
            network.amount.add(row);
            network.name = network.name.take().or_else(|| row.asn_name.clone());
        }
        if let Some(source) = &row.source {
            let origin = self.sources.entry(source.clone()).or_default();
            origin.amount.add(row);
            origin.country = origin.country.take().or_else(|| row.country.clone());
            origin.asn = origin.asn.or(row.asn);
            origin.asn_name = origin.asn_name.take().or_else(|| row.asn_name.clone());
            origin.bogon = origin.bogon.take().or_else(|| row.bogon.clone());
        }
        if row.at.is_some() && (self.oldest.is_none() || row.at < self.oldest) {
            self.oldest.clone_from(&row.at);
        }
        if row.at > self.newest {
            self.newest.clone_from(&row.at);
        }
    }

    /// An alert names a target and a vector, and no amount.
    fn name(&mut self, target: Option<String>, vector: Option<String>) {
        if let Some(target) = target.filter(|text| !text.is_empty()) {
            self.targets.entry(target).or_default().rows += 1;
        }
        if let Some(vector) = vector.filter(|text| !text.is_empty()) {
            self.vector(&vector).rows += 1;
        }
    }

    fn ranked(self, most: u32, is_whole: bool) -> Parts {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut sources: Vec<Source> = self
            .sources
            .into_iter()
            .map(|(address, origin)| Source {
                address,
                country: origin.country,
                asn: origin.asn,
                asn_name: origin.asn_name,
                bogon: origin.bogon,
                packets: origin.amount.packets,
                bits: origin.amount.bits,
            })
            .collect();
        sources.sort_by(|one, other| {
            let by = |source: &Source| std::cmp::Reverse(source.packets);
            (by(one), &one.address).cmp(&(by(other), &other.address))
        });
        sources.truncate(most);
        let networks = self.networks.into_iter().map(|(asn, network)| {
            let name = network.name.map(|name| format!(" {name}")).unwrap_or_default();
            (format!("AS{asn}{name}"), network.amount)
        });
        Parts {
            targets: shares(self.targets, most),
            vectors: shares(self.vectors.into_values(), most),
            sources,
            countries: shares(self.countries, most),
            networks: shares(networks, most),
            packets: self.all.packets,
            rows: self.all.rows,
            is_whole,
            since: self.oldest.as_deref().and_then(domain::time::from_text),
            newest: self.newest.as_deref().and_then(domain::time::from_text),
        }
    }
}

fn shares(amounts: impl IntoIterator<Item = (String, Amount)>, most: usize) -> Vec<Share> {
    let share = |(name, amount): (String, Amount)| Share {
        name,
        packets: amount.packets,
        bits: amount.bits,
        rows: amount.rows,
    };
    let mut all: Vec<Share> = amounts.into_iter().map(share).collect();
    all.sort_by(|one, other| {
        let by = |share: &Share| std::cmp::Reverse((share.packets, share.rows));
        (by(one), &one.name).cmp(&(by(other), &other.name))
    });
    all.truncate(most);
    all
}

/// Sums the rows of a statement with two parameters: what is looked for, and the limit.
fn summed(tx: &ReadTx<'_>, sum: &mut Sum, sql: &str, what: &dyn rusqlite::ToSql) -> Result<bool, DbError> {
    let mut statement = tx.conn().prepare_cached(sql)?;
    let mut rows = statement.query(params![what, MOST_ROWS + 1])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        if count > MOST_ROWS {
            return Ok(false);
        }
        sum.add(&read(row)?);
    }
    Ok(true)
}

/// What an incident consists of, at most `most` of each: the rows that joined it.
///
/// # Errors
/// Those of the database.
pub(crate) fn of_incident(tx: &ReadTx<'_>, incident: i64, most: u32) -> Result<Parts, DbError> {
    let mut sum = Sum::default();
    let sql =
        format!("SELECT {COLUMNS} FROM network_analytics_events WHERE incident_id = ?1 ORDER BY id DESC LIMIT ?2");
    let is_whole = summed(tx, &mut sum, &sql, &incident)?;
    let mut alerts = tx.conn().prepare_cached(
        "SELECT target_ip, attack_vector FROM attack_events WHERE incident_id = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let mut rows = alerts.query(params![incident, MOST_ALERTS])?;
    while let Some(row) = rows.next()? {
        sum.name(row.get(0)?, row.get(1)?);
    }
    Ok(sum.ranked(most, is_whole))
}

/// What the traffic to prefixes of ours consists of since an instant, at most `most` of each.
///
/// # Errors
/// Those of the database.
pub fn top(tx: &ReadTx<'_>, since: Timestamp, most: u32) -> Result<Parts, DbError> {
    let mut sum = Sum::default();
    let sql = format!(
        "SELECT {COLUMNS} FROM network_analytics_events WHERE prefix IS NOT NULL AND event_datetime >= ?1
         ORDER BY event_datetime DESC LIMIT ?2"
    );
    let is_whole = summed(tx, &mut sum, &sql, &domain::time::rfc3339_seconds(since))?;
    Ok(sum.ranked(most, is_whole))
}

#[cfg(test)]
mod tests;
