//! `GET /api/analytics`: rows of dropped traffic as the analytics report them. Amounts are estimates from samples.

use axum::extract::State;
use db::analytics::{self, ListRow};
use serde_json::{Value, json};

use super::paging::Paging;
use super::{Answer, list};
use crate::accounts::Member;
use crate::app::App;

pub(crate) async fn list_all(State(app): State<App>, _member: Member, paging: Paging<100>) -> Answer {
    let (before, limit) = (paging.before, paging.limit);
    let rows = app
        .db()
        .read("analytics", move |tx| analytics::newest(tx, before, limit))
        .await?;
    let next = paging.next(rows.last().map(|row| row.id), rows.len());
    Ok(list("events", rows.iter().map(document).collect(), next))
}

fn document(row: &ListRow) -> Value {
    json!({
        "id": format!("graphql_{}", row.id),
        "row": row.id,
        "event_datetime": row.event_datetime,
        "attack_id": row.attack_id,
        "attack_vector": row.attack_vector,
        "rule_name": row.rule_name,
        "source_ip": row.source_ip,
        "source_country": row.source_country,
        "source_asn": row.source_asn,
        "source_asn_name": row.source_asn_name,
        "dest_ip": row.destination_ip,
        "dest_port": row.destination_port,
        "protocol": row.protocol,
        "packets_dropped": row.packets,
        "bits_dropped": row.bits,
        "sample_interval": row.sample_interval,
        "colo_code": row.colo_code,
        "colo_country": row.colo_country,
        "outcome": row.outcome,
        "timestamp": row.stored_at,
    })
}
