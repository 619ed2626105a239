//! Rows of dropped traffic as a list, by the instant that Cloudflare gives them.

use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::Row;

use super::{Condition, Listed, Page, Query, Shape, Span, Written};
use crate::error::DbError;
use crate::tables::analytics::{self, ListRow};
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "network_analytics_events",
    columns: analytics::LIST_COLUMNS,
    time: "event_datetime",
    written: Written::Rfc3339,
};

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// When the traffic was seen.
    pub span: Span,
    /// To this prefix of ours.
    pub prefix: Option<Prefix>,
    /// To any prefix of ours.
    pub own: bool,
    /// Of this attack.
    pub attack_id: Option<String>,
    /// Anywhere in what a row says.
    pub text: Option<String>,
}

impl Filter {
    pub(crate) fn query(&self, page: Page) -> Query {
        let mut rest = Vec::new();
        let by_attack = self.attack_id.as_deref().map(|id| Condition::text("attack_id = ?", id));
        let by_prefix = self.prefix.map(|prefix| prefix.to_string());
        let lead = match (&by_attack, &by_prefix) {
            (Some(attack), prefix) => {
                rest.extend(prefix.iter().map(|prefix| Condition::text("+prefix = ?", prefix)));
                Some(attack.clone())
            }
            (None, Some(prefix)) => Some(Condition::text("prefix = ?", prefix)),
            (None, None) if self.own => Some(Condition::plain("prefix IS NOT NULL")),
            (None, None) => None,
        };
        if self.own && by_attack.is_some() && by_prefix.is_none() {
            rest.push(Condition::plain("+prefix IS NOT NULL"));
        }
        if let Some(text) = &self.text {
            rest.push(Condition::contains(
                "concat_ws(char(10), attack_id, attack_vector, rule_name, source_ip, source_country, source_asn_name,
                   destination_ip, protocol, colo_code, outcome) LIKE ? ESCAPE '\\'",
                text,
            ));
        }
        Query {
            shape: SHAPE,
            lead,
            rest,
            span: self.span,
            page,
        }
    }
}

/// A page of the rows, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Filter, page: Page) -> Result<Listed<ListRow>, DbError> {
    filter.query(page).read(tx, analytics::read, |row| row.id)
}

/// A row with what lists leave out.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// What lists show.
    pub row: ListRow,
    /// The rest.
    pub more: More,
}

/// What lists leave out of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct More {
    /// Rule id.
    pub rule_id: Option<String>,
    /// Source port.
    pub source_port: Option<i64>,
    /// Source city.
    pub source_city: Option<String>,
    /// Why the source cannot be real.
    pub source_bogon: Option<String>,
    /// TCP flags.
    pub tcp_flags: Option<String>,
    /// City of Cloudflare's location.
    pub colo_city: Option<String>,
    /// Samples that the estimate rests on.
    pub samples: Option<i64>,
    /// Why it was mitigated.
    pub mitigation_reason: Option<String>,
    /// By which system.
    pub mitigation_system: Option<String>,
    /// Its incident.
    pub incident_id: Option<i64>,
    /// When its counters grew last.
    pub updated_at: Option<Timestamp>,
    /// JSON as the predecessor kept it.
    pub raw_data: Option<String>,
}

/// One row.
///
/// # Errors
/// Those of the database.
pub fn one(tx: &ReadTx<'_>, id: i64) -> Result<Option<Full>, DbError> {
    let read = |row: &Row<'_>| -> Result<Full, DbError> {
        let updated: Option<String> = row.get("updated_at")?;
        Ok(Full {
            row: analytics::read(row)?,
            more: More {
                rule_id: row.get("rule_id")?,
                source_port: row.get("source_port")?,
                source_city: row.get("source_city")?,
                source_bogon: row.get("source_bogon")?,
                tcp_flags: row.get("tcp_flags")?,
                colo_city: row.get("colo_city")?,
                samples: row.get("samples")?,
                mitigation_reason: row.get("mitigation_reason")?,
                mitigation_system: row.get("mitigation_system")?,
                incident_id: row.get("incident_id")?,
                updated_at: updated.as_deref().and_then(domain::time::from_text),
                raw_data: row.get("raw_data")?,
            },
        })
    };
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {}, rule_id, source_port, source_city, tcp_flags, colo_city, mitigation_reason, incident_id,
               updated_at, raw_data FROM network_analytics_events WHERE id = ?1",
            analytics::LIST_COLUMNS
        ))?
        .query_and_then([id], read)?
        .next()
        .transpose()
}

/// The body of an alert of an attack: it says what the analytics do not (a rule's description).
///
/// # Errors
/// Those of the database.
pub fn payload_of_attack(tx: &ReadTx<'_>, attack_id: &str) -> Result<Option<String>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT raw_payload FROM attack_events WHERE attack_id = ?1 AND raw_payload IS NOT NULL LIMIT 1",
        )?
        .query_and_then([attack_id], |row| Ok(row.get(0)?))?
        .next()
        .transpose()
}
