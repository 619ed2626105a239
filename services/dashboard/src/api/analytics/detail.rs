//! `GET /api/analytics/{id}` and `/api/analytics/detail/{event_id}`: everything about one row.

use axum::Json;
use axum::extract::{Path, State};
use db::lists::traffic::{self, Full};
use db::{ReadTx, events};
use domain::ids::EventId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::attacks::lifted;
use crate::app::App;
use crate::overview::log::number;

/// A row of the analytics or an alert with everything that is known of it; what its source does not say is null.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MeasuredDetail {
    id: i64,
    /// graphql or webhook
    source: &'static str,
    event_datetime: Option<Timestamp>,
    event_type: Option<String>,
    alert_type: Option<String>,
    attack_id: Option<String>,
    attack_vector: Option<String>,
    policy_id: Option<String>,
    policy_name: Option<String>,
    rule_id: Option<String>,
    rule_name: Option<String>,
    /// As an alert of the same attack told it
    rule_description: Option<String>,
    source_ip: Option<String>,
    source_hostname: Option<String>,
    source_port: Option<i64>,
    source_asn: Option<i64>,
    source_asn_name: Option<String>,
    source_country: Option<String>,
    source_city: Option<String>,
    /// Why the source cannot be real
    source_bogon: Option<String>,
    destination_ip: Option<String>,
    destination_port: Option<i64>,
    protocol: Option<String>,
    tcp_flags: Option<String>,
    colo_code: Option<String>,
    colo_country: Option<String>,
    colo_city: Option<String>,
    verdict: Option<String>,
    /// Estimated packets, of the analytics
    packets: Option<i64>,
    /// Estimated bits, of the analytics
    bits: Option<i64>,
    /// Packets per second, of an alert
    packets_per_second: Option<f64>,
    /// Bits per second, of an alert
    bits_per_second: Option<f64>,
    /// Estimated packets in thousands, or the alert's rate in thousands a second
    kpps: Option<f64>,
    /// Estimated bits in millions, or the alert's rate in millions a second
    mbps: Option<f64>,
    sample_interval: Option<i64>,
    samples: Option<i64>,
    outcome: Option<String>,
    mitigation_reason: Option<String>,
    mitigation_system: Option<String>,
    severity: Option<String>,
    action_taken: Option<String>,
    prefix: Option<String>,
    incident_id: Option<i64>,
    /// When it was stored
    notified_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MeasuredAnswer {
    success: bool,
    event: MeasuredDetail,
}

/// Everything about one row of the analytics, by its number
#[cfg_attr(test, utoipa::path(
    get, path = "/api/analytics/{id}", operation_id = "get_analytics_row", tag = "records",
    params(("id" = i64, Path, example = 3)),
    responses((status = 200, body = MeasuredAnswer), crate::api::document::OneFailures)
))]
pub(crate) async fn by_number(
    State(app): State<App>,
    _member: Member,
    Path(id): Path<i64>,
) -> Result<Json<MeasuredAnswer>, Failure> {
    answer(&app, move |tx| of_traffic(tx, id)).await
}

/// Everything about one row of the list, by its id there
#[cfg_attr(test, utoipa::path(
    get, path = "/api/analytics/detail/{event_id}", operation_id = "get_analytics_detail", tag = "records",
    params(("event_id" = String, Path, description = "graphql_17 or webhook_17", example = "webhook_9")),
    responses((status = 200, body = MeasuredAnswer), crate::api::document::OneFailures)
))]
pub(crate) async fn by_id(
    State(app): State<App>,
    _member: Member,
    Path(written): Path<String>,
) -> Result<Json<MeasuredAnswer>, Failure> {
    let parts = written
        .split_once('_')
        .and_then(|(source, id)| Some((source, id.parse::<i64>().ok()?)));
    match parts {
        Some(("graphql", id)) => answer(&app, move |tx| of_traffic(tx, id)).await,
        Some(("webhook", id)) => answer(&app, move |tx| of_alert(tx, id)).await,
        _ => {
            let text = "An id here is graphql_ or webhook_ with a number.";
            Err(Failure::bad_request("invalid_value", text))
        }
    }
}

async fn answer<F>(app: &App, read: F) -> Result<Json<MeasuredAnswer>, Failure>
where
    F: FnOnce(&ReadTx<'_>) -> Result<Option<MeasuredDetail>, db::DbError> + Send + 'static,
{
    let found = app.db().read("analytics detail", read).await?;
    let event = found.ok_or_else(|| Failure::not_found("There is no such event."))?;
    Ok(Json(MeasuredAnswer { success: true, event }))
}

fn of_traffic(tx: &ReadTx<'_>, id: i64) -> Result<Option<MeasuredDetail>, db::DbError> {
    let Some(Full { row, more }) = traffic::one(tx, id)? else {
        return Ok(None);
    };
    let described = match row.attack_id.as_deref() {
        Some(attack) => traffic::payload_of_attack(tx, attack)?,
        None => None,
    };
    let payload = described.and_then(|raw| serde_json::from_str::<Value>(&raw).ok());
    let raw: Option<Value> = more.raw_data.as_deref().and_then(|raw| serde_json::from_str(raw).ok());
    let dimension = |name: &str| Some(raw.as_ref()?.get("dimensions")?.get(name)?.as_str()?.to_owned());
    let hostname = match row.source_ip.as_deref() {
        Some(address) => db::hostnames::get(tx, address)?.and_then(|known| known.name),
        None => None,
    };
    Ok(Some(MeasuredDetail {
        id: row.id,
        source: "graphql",
        event_datetime: row.event_datetime.as_deref().and_then(domain::time::from_text),
        attack_id: row.attack_id,
        attack_vector: row.attack_vector,
        rule_id: more.rule_id,
        rule_name: row.rule_name,
        rule_description: payload
            .as_ref()
            .map(lifted)
            .and_then(|lifted| Some(lifted.rule_description?.as_str()?.to_owned())),
        source_ip: row.source_ip,
        source_hostname: hostname,
        source_port: more.source_port,
        source_asn: row.source_asn,
        source_asn_name: row.source_asn_name,
        source_country: row.source_country,
        source_city: more.source_city,
        source_bogon: more.source_bogon,
        destination_ip: row.destination_ip,
        destination_port: row.destination_port,
        protocol: row.protocol,
        tcp_flags: more.tcp_flags,
        colo_code: row.colo_code,
        colo_country: row.colo_country,
        colo_city: more.colo_city.or_else(|| dimension("coloCity")),
        verdict: dimension("verdict"),
        packets: row.packets,
        bits: row.bits,
        kpps: row.packets.map(|packets| hundredths(packets, 1e3)),
        mbps: row.bits.map(|bits| hundredths(bits, 1e6)),
        sample_interval: row.sample_interval,
        samples: more.samples,
        outcome: row.outcome,
        mitigation_reason: more.mitigation_reason,
        mitigation_system: more.mitigation_system,
        prefix: row.prefix,
        incident_id: more.incident_id,
        notified_at: row.stored_at,
        updated_at: more.updated_at,
        ..MeasuredDetail::default()
    }))
}

fn of_alert(tx: &ReadTx<'_>, id: i64) -> Result<Option<MeasuredDetail>, db::DbError> {
    let Some(event) = events::get(tx, EventId(id))?.filter(|event| event.event_type == "START") else {
        return Ok(None);
    };
    let payload = event
        .raw_payload
        .as_deref()
        .and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    let (packets, megabits) = (
        number(event.packets_per_second.as_deref()),
        number(event.megabits_per_second.as_deref()),
    );
    Ok(Some(MeasuredDetail {
        id: event.id,
        source: "webhook",
        event_datetime: event.created_at,
        event_type: Some(event.event_type),
        alert_type: event.alert_type,
        attack_id: event.attack_id,
        attack_vector: event.attack_vector,
        policy_id: event.policy_id,
        rule_name: event.policy_name.clone(),
        policy_name: event.policy_name,
        rule_description: payload
            .as_ref()
            .map(lifted)
            .and_then(|lifted| Some(lifted.rule_description?.as_str()?.to_owned())),
        destination_ip: event.target_ip.or_else(|| event.prefix.clone()),
        destination_port: event.target_port,
        protocol: event.protocol,
        packets_per_second: packets,
        bits_per_second: megabits.map(|megabits| megabits * 1e6),
        kpps: packets.map(|packets| packets / 1e3),
        mbps: megabits,
        severity: event.severity,
        action_taken: event.action_taken,
        prefix: event.prefix,
        incident_id: event.incident_id,
        notified_at: event.created_at,
        ..MeasuredDetail::default()
    }))
}

/// In units of `unit`, to two decimals.
#[allow(clippy::cast_precision_loss)]
fn hundredths(amount: i64, unit: f64) -> f64 {
    (amount as f64 / unit * 100.0).round() / 100.0
}
