//! What Cloudflare reported last about each tunnel: the newest health notification of it in the webhook ledger.
//!
//! Must hold: a tunnel of which nothing was ever reported is not in the list, and its absence says nothing about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::error::DbError;
use crate::tables::column::read_opt_at;
use crate::tx::ReadTx;

/// Types of notification that report the health of a tunnel (facts: Cloudflare's notification types).
const TYPES: [&str; 2] = ["magic_tunnel_health_check_event", "magic_wan_tunnel_health"];

/// Newest notifications of each type that are looked through.
const LOOKED_THROUGH: u32 = 200;

/// A body beyond that is no health notification.
const LARGEST_BODY: u32 = 65_536;

/// The last report about a tunnel. All texts are Cloudflare's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TunnelReport {
    /// Row of the delivery.
    pub delivery: i64,
    /// Tunnel name, else its id.
    pub name: String,
    /// Tunnel id.
    pub id: Option<String>,
    /// Its state as Cloudflare writes it, such as `MAGIC_TUNNEL_STATUS_DOWN`; `None` when the report does not say.
    pub status: Option<String>,
    /// The state before.
    pub previous: Option<String>,
    /// Where it was seen.
    pub places: Option<String>,
    /// When the report came in.
    pub received_at: Option<Timestamp>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Option<TunnelReport>, DbError> {
    let body: Option<String> = row.get("payload")?;
    let body: Option<Value> = body.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let data = body.as_ref().map(|body| body.get("data").unwrap_or(body));
    let word = |key: &str| -> Option<String> {
        let found = data?.get(key)?.as_str()?.trim();
        (!found.is_empty()).then(|| found.to_owned())
    };
    let id = word("tunnel_id");
    let Some(name) = word("tunnel_name").or_else(|| id.clone()) else {
        return Ok(None);
    };
    Ok(Some(TunnelReport {
        delivery: row.get("id")?,
        name,
        id,
        status: word("new_status").or_else(|| word("status")),
        previous: word("previous_status"),
        places: word("pop_names"),
        received_at: read_opt_at(row, "webhook_events", "received_at")?,
        sent_at: read_opt_at(row, "webhook_events", "event_time")?,
    }))
}

/// The last report about each tunnel, by name.
///
/// # Errors
/// Those of the database.
pub fn reported(tx: &ReadTx<'_>) -> Result<Vec<TunnelReport>, DbError> {
    let mut newest: BTreeMap<String, TunnelReport> = BTreeMap::new();
    for kind in TYPES {
        let mut statement = tx.conn().prepare_cached(
            "SELECT id, received_at, event_time, CASE WHEN length(payload) <= ?3 THEN payload END AS payload
             FROM webhook_events WHERE alert_type = ?1 AND +is_test = 0 ORDER BY received_at DESC, id DESC LIMIT ?2",
        )?;
        let mut rows = statement.query(params![kind, LOOKED_THROUGH, LARGEST_BODY])?;
        while let Some(row) = rows.next()? {
            let Some(report) = read(row)? else { continue };
            let key = report.id.clone().unwrap_or_else(|| report.name.clone());
            let is_newer = newest.get(&key).is_none_or(|known| at(known) < at(&report));
            if is_newer {
                newest.insert(key, report);
            }
        }
    }
    let mut reports: Vec<TunnelReport> = newest.into_values().collect();
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(reports)
}

/// Reports may overtake each other: when they were sent counts.
fn at(report: &TunnelReport) -> (Option<Timestamp>, i64) {
    (report.sent_at.or(report.received_at), report.delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::deliveries;
    use crate::{Db, OpenOptions, WriteTx};

    fn delivery(second: i64, kind: &str, payload: &str) -> deliveries::NewDelivery {
        let at = Timestamp::from_second(1_768_464_000 + second).unwrap();
        deliveries::NewDelivery {
            received_at: at,
            alert_type: Some(kind.into()),
            event_state: None,
            alert_id: None,
            policy_id: None,
            policy_name: None,
            target: None,
            source_ip: "198.51.100.1".into(),
            action_taken: "received",
            payload: Some(payload.into()),
            raw_body: None,
            body_hash: format!("{second}"),
            headers: "{}".into(),
            event_time: Some(at),
            problem: None,
            is_test: false,
        }
    }

    #[test]
    fn the_newest_report_of_each_tunnel_counts() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
        let nobody = domain::alert::Affected {
            prefixes: vec![],
            unresolved: false,
        };
        let report = |id: &str, name: &str, status: &str| {
            format!(
                r#"{{"data":{{"tunnel_id":"{id}","tunnel_name":"{name}","new_status":"{status}","pop_names":"FRA"}}}}"#
            )
        };
        let of = TYPES[0];
        let rows = [
            delivery(1, of, &report("c1", "edge-one", "MAGIC_TUNNEL_STATUS_DOWN")),
            delivery(2, of, &report("c2", "edge-two", "MAGIC_TUNNEL_STATUS_UP")),
            delivery(3, TYPES[1], &report("c1", "edge-one", "MAGIC_TUNNEL_STATUS_UP")),
            delivery(
                4,
                "dos_attack_l4",
                &report("c2", "edge-two", "MAGIC_TUNNEL_STATUS_DOWN"),
            ),
            delivery(5, of, "not JSON"),
            delivery(6, of, r#"{"data":{"tunnel_id":"c3"}}"#),
        ];
        let store = move |tx: &WriteTx<'_>| -> Result<(), DbError> {
            for row in &rows {
                deliveries::store(tx, row, &nobody)?;
            }
            Ok(())
        };
        db.write_blocking("reports", store).unwrap();
        let found = db.read_blocking("reported", reported).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|tunnel| (tunnel.name.as_str(), tunnel.status.as_deref()))
            .collect();
        let wanted = [
            ("c3", None),
            ("edge-one", Some("MAGIC_TUNNEL_STATUS_UP")),
            ("edge-two", Some("MAGIC_TUNNEL_STATUS_UP")),
        ];
        assert_eq!(told, wanted);
    }
}
