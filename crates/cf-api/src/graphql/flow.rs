//! What a network carried, hour by hour: all traffic as its routers sampled it, and what the scrubbing let
//! through. For pages; nothing is decided from it.
//!
//! Nodes `mnmFlowDataAdaptiveGroups` (Network Flow, sampled by sFlow and NetFlow) and
//! `magicTransitNetworkAnalyticsAdaptiveGroups` (sees what goes through Cloudflare, so a prefix only while it is
//! advertised). Must hold: an hour without a row is an hour nobody reported, and never an hour of no traffic.

use std::time::Duration;

use domain::time::{floor_to, rfc3339_seconds};
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;

use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
use crate::error::CfError;

/// Rows of each ranking.
const TOP: u64 = 5;

/// Length of a row's time.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// What the end of a window is cut to.
const MINUTE: Duration = Duration::from_secs(60);

/// Most hours of a window: what both nodes give out in one query (a week) and one.
const MOST_HOURS: u64 = 169;

/// Traffic of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowHour {
    /// Its start.
    pub at: Timestamp,
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

/// Traffic of one protocol, address or router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowShare {
    /// As Cloudflare writes it.
    pub name: String,
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

/// What routers reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFlow {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// Its end (exclusive).
    pub to: Timestamp,
    /// Oldest first. Hours that nobody reported are absent.
    pub hours: Vec<FlowHour>,
    /// Most bits first, as are the next three.
    pub protocols: Vec<FlowShare>,
    /// Addresses that sent.
    pub sources: Vec<FlowShare>,
    /// Routers that reported.
    pub routers: Vec<FlowShare>,
    /// Addresses that received.
    pub destinations: Vec<FlowShare>,
}

/// What the scrubbing let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedHours {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// Its end (exclusive).
    pub to: Timestamp,
    /// Oldest first. In hours that are absent nothing was seen at Cloudflare.
    pub hours: Vec<FlowHour>,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/network_flow.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct NetworkFlowQuery;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/passed_hours.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct PassedHoursQuery;

/// The generated rows of every part have types of their own that are alike.
macro_rules! shares {
    ($rows:expr, $name:ident) => {
        $rows
            .into_iter()
            .map(|row| FlowShare {
                name: row.dimensions.$name,
                packets: Packets(row.sum.packets),
                bits: Bits(row.sum.bits),
            })
            .collect()
    };
}

macro_rules! hours {
    ($incoming:expr, $rows:expr, $now:expr) => {
        $rows
            .into_iter()
            .map(|row| {
                hour(
                    &$incoming,
                    &row.dimensions.datetime_hour,
                    row.sum.packets,
                    row.sum.bits,
                    $now,
                )
            })
            .collect::<Result<Vec<_>, CfError>>()?
    };
}

fn hour(incoming: &Incoming, at: &str, packets: u64, bits: u64, now: Timestamp) -> Result<FlowHour, CfError> {
    Ok(FlowHour {
        at: incoming.row_instant("datetimeHour", at, now)?,
        packets: Packets(packets),
        bits: Bits(bits),
    })
}

impl CloudflareClient {
    /// All traffic as routers reported it from `from`, cut to the hour, to before `to`, cut to the minute; at most a week.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn network_flow(&self, from: Timestamp, to: Timestamp, now: Timestamp) -> Result<NetworkFlow, CfError> {
        let (from, to) = (floor_to(from, HOUR), floor_to(to, MINUTE));
        let variables = network_flow_query::Variables {
            account: self.account_id().to_owned(),
            from: rfc3339_seconds(from),
            to: rfc3339_seconds(to),
            hours: MOST_HOURS,
            top: TOP,
        };
        let answered = self
            .query::<NetworkFlowQuery>("read network flow", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        Ok(NetworkFlow {
            from,
            to,
            hours: hours!(incoming, account.hours, now),
            protocols: shares!(account.protocols, protocol_string),
            sources: shares!(account.sources, source_address),
            routers: shares!(account.routers, router_address),
            destinations: shares!(account.destinations, destination_address),
        })
    }

    /// What the scrubbing let through from `from`, cut to the hour, to before `to`, cut to the minute; at most a week.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn passed_hours(&self, from: Timestamp, to: Timestamp, now: Timestamp) -> Result<PassedHours, CfError> {
        let (from, to) = (floor_to(from, HOUR), floor_to(to, MINUTE));
        let variables = passed_hours_query::Variables {
            account: self.account_id().to_owned(),
            from: rfc3339_seconds(from),
            to: rfc3339_seconds(to),
            hours: MOST_HOURS,
        };
        let answered = self
            .query::<PassedHoursQuery>("read passed traffic", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        Ok(PassedHours {
            from,
            to,
            hours: hours!(incoming, account.hours, now),
        })
    }
}
