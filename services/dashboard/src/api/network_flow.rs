//! `GET /api/network-flow`: what the network carried in the last 24 h. Keys of the predecessor, with `null` where nothing
//! is known.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use cf_api::graphql::flow::{FlowHour, FlowShare};
use jiff::Timestamp;
use serde::Serialize;

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::flow::{Amount, Known, Pace};
use crate::words;

/// What the network carried. Amounts are estimates from samples; null is unknown.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct FlowBody {
    /// Bits per second that routers report, on average over the hours they reported
    avg_bit_rate: Option<f64>,
    /// Packets per second, the same
    avg_packet_rate: Option<f64>,
    top_protocol: Option<String>,
    /// Bits in all, as are the next three
    top_protocol_bits: Option<u64>,
    top_source: Option<String>,
    top_source_bits: Option<u64>,
    top_source_hostname: Option<String>,
    top_router: Option<String>,
    top_router_bits: Option<u64>,
    top_router_hostname: Option<String>,
    top_destination: Option<String>,
    top_destination_bits: Option<u64>,
    top_destination_hostname: Option<String>,
    /// Bits that went through Cloudflare and passed
    passed_bits: Option<u64>,
    passed_packets: Option<u64>,
    /// Bits that Cloudflare dropped, in the minutes that were read
    dropped_bits: Option<u64>,
    dropped_packets: Option<u64>,
    /// Minutes of drops that were read
    dropped_minutes_read: Option<u64>,
    /// Of them completely and for every prefix; if these are fewer, drops are at least the given ones
    dropped_minutes_complete: Option<u64>,
    /// Oldest first
    hours: Vec<HourBody>,
}

/// An hour; null is unknown.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct HourBody {
    /// Its start
    at: Timestamp,
    /// Bits that routers report
    seen_bits: Option<u64>,
    /// Bits that passed Cloudflare; null where nothing was seen there
    passed_bits: Option<u64>,
    /// Bits that Cloudflare dropped
    dropped_bits: Option<u64>,
    /// Minutes of drops that were read
    dropped_minutes_read: u64,
}

/// Why a part is unknown or old.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct FlowTrouble {
    /// routers, passed or dropped
    part: &'static str,
    text: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct FlowAnswer {
    success: bool,
    network_flow: FlowBody,
    /// 24h
    period: &'static str,
    from: Timestamp,
    to: Timestamp,
    /// When the reports of routers were read
    routers_read_at: Option<Timestamp>,
    /// When what passed was read
    passed_read_at: Option<Timestamp>,
    /// Start of the newest minute of drops that was read
    dropped_read_until: Option<Timestamp>,
    troubles: Vec<FlowTrouble>,
    timestamp: Timestamp,
}

/// What the network carried in the last 24 h
#[cfg_attr(test, utoipa::path(
    get, path = "/api/network-flow", operation_id = "get_network_flow", tag = "situation",
    responses((status = 200, body = FlowAnswer), crate::api::document::Failures)
))]
pub(crate) async fn get(State(app): State<App>, _member: Member) -> Result<Json<FlowAnswer>, Failure> {
    let known = app.flow().of(&app, Pace::Patient).await;
    let names = known.names(&app).await;
    let dropped = known.dropped.as_deref();
    let mut troubles = Vec::new();
    let mut trouble = |part, text: Option<String>| troubles.extend(text.map(|text| FlowTrouble { part, text }));
    trouble("routers", known.routers.trouble());
    trouble("passed", known.passed.trouble());
    trouble("dropped", dropped.err().map(|error| words::outside(&error.to_string())));
    Ok(Json(FlowAnswer {
        success: true,
        network_flow: body(&known, &names),
        period: "24h",
        from: known.day.from,
        to: known.day.to,
        routers_read_at: known.routers.read_at,
        passed_read_at: known.passed.read_at,
        dropped_read_until: dropped.ok().and_then(|dropped| dropped.read_until),
        troubles,
        timestamp: app.now(),
    }))
}

fn body(known: &Known, names: &BTreeMap<String, String>) -> FlowBody {
    let routers = known.routers.value.as_deref();
    let seen = routers.map(|flow| flow.hours.as_slice());
    let passed = known.passed.value.as_deref().map(|passed| passed.hours.as_slice());
    let all = seen.map(|hours| Amount::of(hours, known.day));
    let through = passed.map(|hours| Amount::of(hours, known.day));
    let top = |shares: Option<&Vec<FlowShare>>| {
        let share = shares?.first()?;
        Some((
            words::outside(&share.name),
            share.bits.0,
            names.get(&share.name).cloned(),
        ))
    };
    let protocol = top(routers.map(|flow| &flow.protocols));
    let source = top(routers.map(|flow| &flow.sources));
    let router = top(routers.map(|flow| &flow.routers));
    let destination = top(routers.map(|flow| &flow.destinations));
    type First = Option<(String, u64, Option<String>)>;
    let name = |first: &First| first.as_ref().map(|(name, _, _)| name.clone());
    let bits = |first: &First| first.as_ref().map(|(_, bits, _)| *bits);
    let host = |first: &First| first.as_ref().and_then(|(_, _, host)| host.clone());
    let dropped = known.dropped.as_deref().ok();
    let sum = |of: fn(&db::lists::hours::DroppedHour) -> u64| {
        dropped.map(|dropped| dropped.hours.iter().map(of).fold(0, u64::saturating_add))
    };
    let read = sum(|hour| hour.minutes_read);
    let known_drops = |amount: Option<u64>| amount.filter(|_| read.is_some_and(|read| read > 0));
    FlowBody {
        avg_bit_rate: all.and_then(|all| all.bit_rate()),
        avg_packet_rate: all.and_then(|all| all.packet_rate()),
        top_protocol: name(&protocol),
        top_protocol_bits: bits(&protocol),
        top_source: name(&source),
        top_source_bits: bits(&source),
        top_source_hostname: host(&source),
        top_router: name(&router),
        top_router_bits: bits(&router),
        top_router_hostname: host(&router),
        top_destination: name(&destination),
        top_destination_bits: bits(&destination),
        top_destination_hostname: host(&destination),
        passed_bits: through.map(|through| through.bits),
        passed_packets: through.map(|through| through.packets),
        dropped_bits: known_drops(sum(|hour| hour.bits)),
        dropped_packets: known_drops(sum(|hour| hour.packets)),
        dropped_minutes_read: read,
        dropped_minutes_complete: sum(|hour| hour.minutes_complete),
        hours: known.day.hours().map(|at| hour(at, seen, passed, known)).collect(),
    }
}

fn hour(at: Timestamp, seen: Option<&[FlowHour]>, passed: Option<&[FlowHour]>, known: &Known) -> HourBody {
    let bits = |hours: Option<&[FlowHour]>| Some(hours?.iter().find(|hour| hour.at == at)?.bits.0);
    let dropped = known.dropped.as_deref().ok();
    let dropped = dropped.and_then(|dropped| dropped.hours.iter().find(|hour| hour.at == at));
    HourBody {
        at,
        seen_bits: bits(seen),
        passed_bits: bits(passed),
        dropped_bits: dropped.filter(|hour| hour.minutes_read > 0).map(|hour| hour.bits),
        dropped_minutes_read: dropped.map_or(0, |hour| hour.minutes_read),
    }
}
