//! Rows of dropped traffic as the analytics API groups them (`network_analytics_events`). A group
//! is identified by all its dimensions; counters that grew are updated, not lost.

use domain::ids::IncidentId;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::column::{Cells, at, read_word};
use super::tallies::{self, Tally};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// A row to be stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRow {
    /// Instant of the group, as Cloudflare wrote it (RFC 3339 with Z), the documented form.
    pub event_datetime: String,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Vector.
    pub attack_vector: Option<String>,
    /// Rule name.
    pub rule_name: Option<String>,
    /// Rule id.
    pub rule_id: Option<String>,
    /// Source address.
    pub source_ip: Option<String>,
    /// Source port.
    pub source_port: Option<u16>,
    /// Source AS.
    pub source_asn: Option<u32>,
    /// Its name.
    pub source_asn_name: Option<String>,
    /// Source country, two letters.
    pub source_country: Option<String>,
    /// Source city.
    pub source_city: Option<String>,
    /// Why the source cannot be real, if it cannot.
    pub source_bogon: Option<String>,
    /// Target address.
    pub destination_ip: Option<String>,
    /// Target port.
    pub destination_port: Option<u16>,
    /// Protocol.
    pub protocol: Option<String>,
    /// TCP flags.
    pub tcp_flags: Option<String>,
    /// Cloudflare location.
    pub colo_code: Option<String>,
    /// Its country.
    pub colo_country: Option<String>,
    /// Its city.
    pub colo_city: Option<String>,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
    /// Outcome.
    pub outcome: Option<String>,
    /// Mitigation reason.
    pub mitigation_reason: Option<String>,
    /// System that dropped.
    pub mitigation_system: Option<String>,
    /// Packets per sample.
    pub sample_interval: Option<u64>,
    /// Our prefix.
    pub prefix: Option<Prefix>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// The row as Cloudflare gave it, JSON.
    pub raw_data: String,
    /// What tells its group from every other: a digest over all dimensions that were asked for, as they came. Without one
    /// it is taken over the columns above.
    pub identity: Option<String>,
}

impl NewRow {
    /// The predecessor's hash: first 32 hex digits of SHA-256 over five dimensions. Where a protocol has no ports,
    /// Cloudflare says 0, and so does the hash.
    pub fn event_hash(&self) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let port = self.destination_port.unwrap_or(0).to_string();
        let joined = [
            self.event_datetime.clone(),
            text(&self.attack_id),
            text(&self.source_ip),
            text(&self.destination_ip),
            port,
        ]
        .join("|");
        hex::encode(Sha256::digest(joined))[..32].to_owned()
    }

    /// Identity over every dimension.
    pub fn group_key(&self) -> String {
        if let Some(identity) = &self.identity {
            return identity.clone();
        }
        let mut hasher = Sha256::new();
        let port = |port: Option<u16>| port.map_or_else(String::new, |port| port.to_string());
        for part in [
            Some(self.event_datetime.clone()),
            self.attack_id.clone(),
            self.attack_vector.clone(),
            self.rule_name.clone(),
            self.rule_id.clone(),
            self.source_ip.clone(),
            Some(port(self.source_port)),
            self.destination_ip.clone(),
            Some(port(self.destination_port)),
            self.protocol.clone(),
            self.tcp_flags.clone(),
            self.colo_code.clone(),
            self.outcome.clone(),
            self.mitigation_reason.clone(),
            self.mitigation_system.clone(),
            self.sample_interval.map(|interval| interval.to_string()),
        ] {
            hasher.update(part.unwrap_or_default());
            hasher.update([0x1f]);
        }
        hex::encode(hasher.finalize())
    }
}

/// What storing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A new group.
    New(i64),
    /// A known group whose counters changed.
    Grown(i64),
    /// A known group, unchanged.
    Known(i64),
}

/// Which of these groups are unknown or have grown: positions in `groups`, each a [`NewRow::group_key`] with packets and
/// bits. Only these have to be stored.
///
/// # Errors
/// Those of the database.
pub fn news(tx: &ReadTx<'_>, groups: &[(String, u64, u64)]) -> Result<Vec<usize>, DbError> {
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut query = tx
        .conn()
        .prepare_cached("SELECT packets, bits FROM network_analytics_events WHERE group_key = ?1")?;
    let mut news = Vec::new();
    for (position, (key, packets, bits)) in groups.iter().enumerate() {
        let known: Option<(Option<i64>, Option<i64>)> = query
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let is_known = known.is_some_and(|(known_packets, known_bits)| {
            clamp(*packets) <= known_packets.unwrap_or(0) && clamp(*bits) <= known_bits.unwrap_or(0)
        });
        if !is_known {
            news.push(position);
        }
    }
    Ok(news)
}

/// A row that the predecessor stored about the same group: it has no identity of ours, and its hash is too coarse, so the
/// dimensions that the hash leaves out are compared as far as its table holds them.
fn of_predecessor(tx: &ReadTx<'_>, new: &NewRow, hash: &str) -> Result<Option<(i64, i64, i64)>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT id, COALESCE(packets, 0), COALESCE(bits, 0) FROM network_analytics_events
             WHERE event_hash = ?1 AND group_key IS NULL AND COALESCE(source_port, 0) = ?2
               AND COALESCE(rule_id, '') = ?3 AND COALESCE(protocol, '') = ?4 AND COALESCE(colo_code, '') = ?5",
        )?
        .query_row(
            params![
                hash,
                new.source_port.unwrap_or(0),
                new.rule_id.as_deref().unwrap_or(""),
                new.protocol.as_deref().unwrap_or(""),
                new.colo_code.as_deref().unwrap_or(""),
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?)
}

/// Stores a row once; counters of a known group only grow. A row of the predecessor about the same group becomes ours.
///
/// # Errors
/// Those of the database.
pub fn store(tx: &WriteTx<'_>, new: &NewRow, now: Timestamp) -> Result<Stored, DbError> {
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let key = new.group_key();
    let known: Option<(i64, i64, i64)> = tx
        .conn()
        .prepare_cached("SELECT id, packets, bits FROM network_analytics_events WHERE group_key = ?1")?
        .query_row([&key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (packets, bits) = (clamp(new.packets), clamp(new.bits));
    if let Some((id, known_packets, known_bits)) = known {
        if packets <= known_packets && bits <= known_bits {
            return Ok(Stored::Known(id));
        }
        tx.conn()
            .prepare_cached(
                "UPDATE network_analytics_events SET packets = max(packets, ?2), bits = max(bits, ?3), updated_at = ?4,
                   samples = (max(packets, ?2) + sample_interval - 1) / sample_interval
                 WHERE id = ?1",
            )?
            .execute(params![id, packets, bits, at(now)])?;
        return Ok(Stored::Grown(id));
    }
    let hash = new.event_hash();
    let samples = new
        .sample_interval
        .map(|interval| clamp(new.packets.div_ceil(interval.max(1))));
    if let Some((id, known_packets, known_bits)) = of_predecessor(tx, new, &hash)? {
        tx.conn()
            .prepare_cached(
                "UPDATE network_analytics_events SET group_key = ?2, packets = max(COALESCE(packets, 0), ?3),
                   bits = max(COALESCE(bits, 0), ?4), sample_interval = ?5, samples = ?6, mitigation_system = ?7,
                   prefix = ?8, source_bogon = ?9, incident_id = ?10, updated_at = ?11 WHERE id = ?1",
            )?
            .execute(params![
                id,
                key,
                packets,
                bits,
                new.sample_interval.map(clamp),
                samples,
                new.mitigation_system,
                new.prefix.map(|prefix| prefix.to_string()),
                new.source_bogon,
                new.incident.map(|id| id.0),
                at(now),
            ])?;
        let grew = packets > known_packets || bits > known_bits;
        return Ok(if grew { Stored::Grown(id) } else { Stored::Known(id) });
    }
    // The predecessor's hash is unique in its table but too coarse; on a clash the full key,
    // shortened, takes its place.
    let clash: bool = tx
        .conn()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM network_analytics_events WHERE event_hash = ?1)")?
        .query_row([&hash], |row| row.get(0))?;
    tx.conn()
        .prepare_cached(
            // OR FAIL: a failed write is undone by the writer as a whole, so the statement keeps no journal of its own for it.
            "INSERT OR FAIL INTO network_analytics_events (event_hash, attack_id, event_datetime, attack_vector, rule_name,
               rule_id, source_ip, source_port, destination_ip, destination_port, protocol, tcp_flags, colo_code,
               colo_country, packets, bits, outcome, mitigation_reason, notified_at, raw_data, source_asn,
               source_asn_name, source_country, group_key, sample_interval, samples, source_city, source_bogon,
               colo_city, mitigation_system, prefix, updated_at, incident_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
               ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?19, ?32)",
        )?
        .execute(params![
            if clash { key.chars().take(40).collect() } else { hash },
            new.attack_id,
            new.event_datetime,
            new.attack_vector,
            new.rule_name,
            new.rule_id,
            new.source_ip,
            new.source_port,
            new.destination_ip,
            new.destination_port,
            new.protocol,
            new.tcp_flags,
            new.colo_code,
            new.colo_country,
            packets,
            bits,
            new.outcome,
            new.mitigation_reason,
            at(now),
            new.raw_data,
            new.source_asn,
            new.source_asn_name,
            new.source_country,
            key,
            new.sample_interval.map(clamp),
            samples,
            new.source_city,
            new.source_bogon,
            new.colo_city,
            new.mitigation_system,
            new.prefix.map(|prefix| prefix.to_string()),
            new.incident.map(|id| id.0),
        ])?;
    Ok(Stored::New(tx.conn().last_insert_rowid()))
}

/// A row as lists show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListRow {
    /// Row number.
    pub id: i64,
    /// Instant of the group.
    pub event_datetime: Option<String>,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Vector.
    pub attack_vector: Option<String>,
    /// Rule name.
    pub rule_name: Option<String>,
    /// Source address.
    pub source_ip: Option<String>,
    /// Source country.
    pub source_country: Option<String>,
    /// Source AS.
    pub source_asn: Option<i64>,
    /// Its name.
    pub source_asn_name: Option<String>,
    /// Target address.
    pub destination_ip: Option<String>,
    /// Target port.
    pub destination_port: Option<i64>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Cloudflare location.
    pub colo_code: Option<String>,
    /// Its country.
    pub colo_country: Option<String>,
    /// Estimated packets.
    pub packets: Option<i64>,
    /// Estimated bits.
    pub bits: Option<i64>,
    /// Outcome.
    pub outcome: Option<String>,
    /// Packets per sample.
    pub sample_interval: Option<i64>,
    /// Samples that the amounts are estimated from.
    pub samples: Option<i64>,
    /// System that dropped.
    pub mitigation_system: Option<String>,
    /// Why the source cannot be real.
    pub source_bogon: Option<String>,
    /// Our prefix, as text.
    pub prefix: Option<String>,
    /// Stored at.
    pub stored_at: Option<Timestamp>,
}

/// What a list reads of a row.
pub(crate) const LIST_COLUMNS: &str =
    "id, event_datetime, attack_id, attack_vector, rule_name, source_ip, source_country,
  source_asn, source_asn_name, destination_ip, destination_port, protocol, colo_code, colo_country, packets, bits,
  outcome, sample_interval, samples, mitigation_system, source_bogon, prefix, notified_at";

/// A row that begins with [`LIST_COLUMNS`], whose order is the order of these fields.
pub(crate) fn read(row: &Row<'_>) -> Result<ListRow, DbError> {
    let mut cells = Cells::of(row);
    Ok(ListRow {
        id: cells.value()?,
        event_datetime: cells.value()?,
        attack_id: cells.value()?,
        attack_vector: cells.value()?,
        rule_name: cells.value()?,
        source_ip: cells.value()?,
        source_country: cells.value()?,
        source_asn: cells.value()?,
        source_asn_name: cells.value()?,
        destination_ip: cells.value()?,
        destination_port: cells.value()?,
        protocol: cells.value()?,
        colo_code: cells.value()?,
        colo_country: cells.value()?,
        packets: cells.value()?,
        bits: cells.value()?,
        outcome: cells.value()?,
        sample_interval: cells.value()?,
        samples: cells.value()?,
        mitigation_system: cells.value()?,
        source_bogon: cells.value()?,
        prefix: cells.value()?,
        stored_at: cells.instant()?,
    })
}

/// The newest rows before `before` (exclusive), newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Vec<ListRow>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {LIST_COLUMNS} FROM network_analytics_events WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
        ))?
        .query_and_then(params![before.unwrap_or(i64::MAX), limit], read)?
        .collect()
}

/// How many rows are stored in all, and since `day_ago`.
///
/// # Errors
/// Those of the database.
pub fn counts(tx: &ReadTx<'_>, day_ago: Timestamp) -> Result<(u64, u64), DbError> {
    let all = tallies::get(tx, Tally::Analytics)?;
    let day = tx
        .conn()
        .prepare_cached("SELECT count(*) FROM network_analytics_events WHERE notified_at > ?1")?
        .query_row([at(day_ago)], |row| row.get(0))?;
    Ok((all, day))
}

/// A row as announcements need it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fresh {
    /// Row number.
    pub id: i64,
    /// Instant of the group; `None` when it was written unreadably.
    pub at: Option<Timestamp>,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Vector.
    pub attack_vector: Option<String>,
    /// Rule name.
    pub rule_name: Option<String>,
    /// Source address.
    pub source_ip: Option<String>,
    /// Source country.
    pub source_country: Option<String>,
    /// Source city.
    pub source_city: Option<String>,
    /// Source AS.
    pub source_asn: Option<u32>,
    /// Its name.
    pub source_asn_name: Option<String>,
    /// Why the source cannot be real.
    pub source_bogon: Option<String>,
    /// Target address.
    pub destination_ip: Option<String>,
    /// Target port.
    pub destination_port: Option<u16>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Cloudflare location.
    pub colo_code: Option<String>,
    /// Its country.
    pub colo_country: Option<String>,
    /// Its city.
    pub colo_city: Option<String>,
    /// Estimated packets.
    pub packets: u64,
    /// Estimated bits.
    pub bits: u64,
    /// Packets per sample.
    pub sample_interval: Option<u64>,
    /// System that dropped.
    pub mitigation_system: Option<String>,
    /// Mitigation reason.
    pub mitigation_reason: Option<String>,
    /// Our prefix.
    pub prefix: Option<Prefix>,
    /// Incident.
    pub incident: Option<IncidentId>,
}

/// Number of the newest row; 0 when there is none.
///
/// # Errors
/// Those of the database.
pub fn newest_id(tx: &ReadTx<'_>) -> Result<i64, DbError> {
    Ok(tx
        .conn()
        .prepare_cached("SELECT COALESCE(max(id), 0) FROM network_analytics_events")?
        .query_row([], |row| row.get(0))?)
}

/// Rows stored after row `id`, oldest first.
///
/// # Errors
/// Those of the database.
pub fn after(tx: &ReadTx<'_>, id: i64, limit: u32) -> Result<Vec<Fresh>, DbError> {
    const T: &str = "network_analytics_events";
    let read = |row: &Row<'_>| -> Result<Fresh, DbError> {
        let when: Option<String> = row.get("event_datetime")?;
        let prefix: Option<String> = row.get("prefix")?;
        let amount = |column: &str| -> Result<u64, DbError> {
            let number: Option<i64> = row.get(column)?;
            Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
        };
        Ok(Fresh {
            id: row.get("id")?,
            at: when.as_deref().and_then(domain::time::from_text),
            attack_id: row.get("attack_id")?,
            attack_vector: row.get("attack_vector")?,
            rule_name: row.get("rule_name")?,
            source_ip: row.get("source_ip")?,
            source_country: row.get("source_country")?,
            source_city: row.get("source_city")?,
            source_asn: row.get("source_asn")?,
            source_asn_name: row.get("source_asn_name")?,
            source_bogon: row.get("source_bogon")?,
            destination_ip: row.get("destination_ip")?,
            destination_port: row.get("destination_port")?,
            protocol: row.get("protocol")?,
            colo_code: row.get("colo_code")?,
            colo_country: row.get("colo_country")?,
            colo_city: row.get("colo_city")?,
            packets: amount("packets")?,
            bits: amount("bits")?,
            sample_interval: row.get("sample_interval")?,
            mitigation_system: row.get("mitigation_system")?,
            mitigation_reason: row.get("mitigation_reason")?,
            prefix: match prefix {
                Some(_) => Some(read_word(row, T, "prefix", |text| text.parse().ok())?),
                None => None,
            },
            incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
        })
    };
    tx.conn()
        .prepare_cached("SELECT * FROM network_analytics_events WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_and_then(params![id, limit], read)?
        .collect()
}

/// Ties rows of an attack that were stored before its incident was known, at most `limit` of them,
/// newest first. Costs one look-up when all are tied already. Returns how many were tied.
///
/// # Errors
/// Those of the database.
pub fn tie_to_incident(tx: &WriteTx<'_>, attack_id: &str, incident: IncidentId, limit: u32) -> Result<usize, DbError> {
    // Later rows are stored with the incident and earlier ones tied from the newest to the oldest,
    // so the oldest row is the last to be tied.
    let oldest: Option<Option<i64>> = tx
        .conn()
        .prepare_cached("SELECT incident_id FROM network_analytics_events WHERE attack_id = ?1 ORDER BY id LIMIT 1")?
        .query_row([attack_id], |row| row.get(0))
        .optional()?;
    if oldest != Some(None) {
        return Ok(0);
    }
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE network_analytics_events SET incident_id = ?2 WHERE id IN (
               SELECT id FROM network_analytics_events WHERE attack_id = ?1 AND incident_id IS NULL
               ORDER BY id DESC LIMIT ?3)",
        )?
        .execute(params![attack_id, incident.0, limit])?)
}
