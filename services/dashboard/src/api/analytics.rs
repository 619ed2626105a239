//! `GET /api/analytics`: attacks as they were measured, from two sources in one list. Rows of the analytics hold *amounts*
//! of dropped traffic, estimated from samples; alerts hold *rates*. They have keys of their own, and what a source does
//! not know is null.

pub(crate) mod detail;
mod merge;
pub(crate) mod summary;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use db::analytics::ListRow;
use db::events::Event;
use db::lists::{attacks, traffic};
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::Serialize;

use self::merge::{Cursor, Sources};
use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::log::number;

/// A row of either source.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Measured {
    /// graphql_17 or webhook_17
    pub(crate) id: String,
    /// The number in it
    pub(crate) row: i64,
    /// graphql: a row of the analytics; webhook: an alert
    pub(crate) source: &'static str,
    pub(crate) event_datetime: Option<Timestamp>,
    pub(crate) attack_id: Option<String>,
    pub(crate) attack_vector: Option<String>,
    /// In an alert, the policy's name
    pub(crate) rule_name: Option<String>,
    /// Null in alerts: they name none
    pub(crate) source_ip: Option<String>,
    /// By reverse look-up; null as long as none is known
    pub(crate) source_hostname: Option<String>,
    /// Two letters, of the source itself
    pub(crate) source_country: Option<String>,
    pub(crate) source_asn: Option<i64>,
    pub(crate) source_asn_name: Option<String>,
    /// In an alert without address, the prefix
    pub(crate) dest_ip: Option<String>,
    pub(crate) dest_port: Option<i64>,
    pub(crate) protocol: Option<String>,
    /// Estimated packets; null in alerts
    pub(crate) packets_dropped: Option<i64>,
    /// Estimated bits; null in alerts
    pub(crate) bits_dropped: Option<i64>,
    /// Rate; null in rows of the analytics
    pub(crate) packets_per_second: Option<f64>,
    /// Rate; null in rows of the analytics
    pub(crate) bits_per_second: Option<f64>,
    /// Packets for each sample that the estimate rests on
    pub(crate) sample_interval: Option<i64>,
    /// Samples that the estimate rests on
    pub(crate) samples: Option<i64>,
    /// System that dropped it; null in alerts
    pub(crate) mitigation_system: Option<String>,
    /// Why the source cannot be real
    pub(crate) source_bogon: Option<String>,
    /// Cloudflare's location that saw it
    pub(crate) colo_code: Option<String>,
    /// Where that location is
    pub(crate) colo_country: Option<String>,
    /// Null in alerts: nothing says that anything was dropped
    pub(crate) outcome: Option<String>,
    /// Our prefix
    pub(crate) prefix: Option<String>,
    /// When it was stored
    pub(crate) timestamp: Option<Timestamp>,
}

impl From<ListRow> for Measured {
    fn from(row: ListRow) -> Self {
        Self {
            id: format!("graphql_{}", row.id),
            row: row.id,
            source: "graphql",
            event_datetime: row.event_datetime.as_deref().and_then(domain::time::from_text),
            attack_id: row.attack_id,
            attack_vector: row.attack_vector,
            rule_name: row.rule_name,
            source_ip: row.source_ip,
            source_hostname: None,
            source_country: row.source_country,
            source_asn: row.source_asn,
            source_asn_name: row.source_asn_name,
            dest_ip: row.destination_ip,
            dest_port: row.destination_port,
            protocol: row.protocol,
            packets_dropped: row.packets,
            bits_dropped: row.bits,
            packets_per_second: None,
            bits_per_second: None,
            sample_interval: row.sample_interval,
            samples: row.samples,
            mitigation_system: row.mitigation_system,
            source_bogon: row.source_bogon,
            colo_code: row.colo_code,
            colo_country: row.colo_country,
            outcome: row.outcome,
            prefix: row.prefix,
            timestamp: row.stored_at,
        }
    }
}

impl From<Event> for Measured {
    fn from(event: Event) -> Self {
        let megabits = number(event.megabits_per_second.as_deref());
        Self {
            id: format!("webhook_{}", event.id),
            row: event.id,
            source: "webhook",
            event_datetime: event.created_at,
            attack_id: event.attack_id,
            attack_vector: event.attack_vector,
            rule_name: event.policy_name,
            source_ip: None,
            source_hostname: None,
            source_country: None,
            source_asn: None,
            source_asn_name: None,
            dest_ip: event.target_ip.or_else(|| event.prefix.clone()),
            dest_port: event.target_port,
            protocol: event.protocol,
            packets_dropped: None,
            bits_dropped: None,
            packets_per_second: number(event.packets_per_second.as_deref()),
            bits_per_second: megabits.map(|megabits| megabits * 1e6),
            sample_interval: None,
            samples: None,
            mitigation_system: None,
            source_bogon: None,
            colo_code: None,
            colo_country: None,
            outcome: None,
            prefix: event.prefix,
            timestamp: event.created_at,
        }
    }
}

/// A page of the list. `next_before` is to be handed back as it is.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct MeasuredList {
    success: bool,
    events: Vec<Measured>,
    #[cfg_attr(test, schema(value_type = Option<String>))]
    next_before: Option<Cursor>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// The list, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Analytics {
    sources: Sources,
    traffic: traffic::Filter,
    alerts: attacks::Filter,
}

impl Analytics {
    /// Both sources without filter, or only what concerns our prefixes.
    pub(crate) fn newest(own: bool) -> Self {
        Self {
            sources: Sources::Both,
            traffic: traffic::Filter {
                own,
                ..traffic::Filter::default()
            },
            alerts: attacks::Filter {
                event_type: Some("START".to_owned()),
                own,
                ..attacks::Filter::default()
            },
        }
    }
}

impl List for Analytics {
    const NAME: &'static str = "events";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "event_datetime",
        "source",
        "attack_vector",
        "source_ip",
        "source_hostname",
        "source_country",
        "source_asn",
        "source_asn_name",
        "dest_ip",
        "dest_port",
        "protocol",
        "prefix",
        "packets_dropped",
        "bits_dropped",
        "packets_per_second",
        "bits_per_second",
        "sample_interval",
        "samples",
        "mitigation_system",
        "source_bogon",
        "outcome",
        "rule_name",
        "attack_id",
        "colo_code",
        "colo_country",
        "timestamp",
        "row",
    ];
    const FILTERS: &'static [&'static str] = &["filter", "source", "since", "until", "prefix", "attack_id", "q"];
    const PAGE: u32 = 100;
    type Row = Measured;
    type Cursor = Cursor;

    fn asked(params: &Params) -> Result<Self, Failure> {
        let own = params.word("filter", &["all", "when_protected"])? == Some("when_protected");
        let sources = match params.word("source", &["all", "graphql", "webhooks"])? {
            Some("graphql") => Sources::Traffic,
            Some("webhooks") => Sources::Alerts,
            _ => Sources::Both,
        };
        let (span, prefix, text) = (params.span()?, params.prefix()?, params.text("q")?);
        let attack_id = params.text("attack_id")?;
        let alerts = attacks::Filter {
            span,
            prefix,
            event_type: Some("START".to_owned()),
            alert_type: None,
            own,
            attack_id: attack_id.clone(),
            text: text.clone(),
        };
        let traffic = traffic::Filter {
            span,
            prefix,
            own,
            attack_id,
            text,
        };
        Ok(Self {
            sources,
            traffic,
            alerts,
        })
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<Cursor>, limit: u32) -> Result<Rows<Self>, DbError> {
        let before = before.unwrap_or_default();
        let mut found = merge::read(tx, self, before, limit)?;
        let addresses: Vec<String> = found.rows.iter().filter_map(|row| row.source_ip.clone()).collect();
        let names = db::hostnames::names(tx, addresses.iter().map(String::as_str))?;
        for row in &mut found.rows {
            let known = row.source_ip.as_ref().and_then(|address| names.get(address));
            row.source_hostname = known.cloned();
        }
        Ok(found)
    }
}

impl Measured {
    /// Where it stands in the list.
    fn place(&self) -> (Option<Timestamp>, &'static str, i64) {
        (self.event_datetime, self.source, self.row)
    }
}

/// Attack traffic and alerts, newest first
///
/// Amounts are estimates from samples; rates are what alerts say.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/analytics", operation_id = "list_analytics", tag = "records",
    params(
        ("filter" = Option<String>, Query, description = "all; when_protected: only what concerns our prefixes", example = "when_protected"),
        ("source" = Option<String>, Query, description = "all, graphql, webhooks", example = "graphql"),
        crate::api::document::Span, crate::api::document::Paging, crate::api::document::OfPrefix,
        ("attack_id" = Option<String>, Query, description = "Of this attack", example = "a1"),
        crate::api::document::Text),
    responses((status = 200, body = MeasuredList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<MeasuredList>, Failure> {
    let found = listing::page::<Analytics>(&app, &member, &uri).await?;
    Ok(Json(MeasuredList {
        success: true,
        events: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}
