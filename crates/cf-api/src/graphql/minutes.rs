//! Dropped traffic of the whole account, minute by minute, by network and by the system that dropped.
//!
//! Node `magicTransitNetworkAnalyticsAdaptiveGroups`, which sees what every system dropped and names it.

use std::time::Duration;

use domain::prefix::Prefix;
use domain::time::{floor_to, rfc3339_seconds};
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;

use super::answer::QueryCost;
use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::CfError;

/// Dropped traffic of one network in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteRow {
    /// Start of the minute.
    pub at: Timestamp,
    /// Network of the targets: /24 or /64, however long our prefix is.
    pub subnet: Prefix,
    /// Who dropped; may be empty.
    pub system: String,
    /// Packets per sample.
    pub sample_interval: u64,
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinutesRequest {
    /// Start (inclusive), cut to the minute.
    pub from: Timestamp,
    /// End (exclusive), cut to the minute.
    pub to: Timestamp,
    /// Most rows; at most the node's `maxPageSize`.
    pub limit: u32,
}

/// A complete, readable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinutesAnswer {
    /// Oldest first.
    pub rows: Vec<MinuteRow>,
    /// Whether the row limit was reached: the end of the window is missing; split it.
    pub truncated: bool,
    /// What the query cost.
    pub cost: QueryCost,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/dropped_minutes.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct DroppedMinutes;

impl CloudflareClient {
    /// Dropped traffic of whole minutes. `now` is our clock, against which rows from the future are refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn dropped_minutes(&self, request: MinutesRequest, now: Timestamp) -> Result<MinutesAnswer, CfError> {
        let minute = Duration::from_secs(60);
        let variables = dropped_minutes::Variables {
            account: self.account_id().to_owned(),
            from: rfc3339_seconds(floor_to(request.from, minute)),
            to: rfc3339_seconds(floor_to(request.to, minute)),
            limit: u64::from(request.limit),
        };
        let answered = self
            .query::<DroppedMinutes>("read dropped minutes", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let truncated = account.rows.len() >= request.limit as usize;
        let rows = account
            .rows
            .into_iter()
            .map(|row| {
                Ok(MinuteRow {
                    at: incoming.row_instant("datetimeMinute", &row.dimensions.datetime_minute, now)?,
                    subnet: incoming.row_subnet(&row.dimensions.ip_destination_subnet)?,
                    system: row.dimensions.mitigation_system,
                    sample_interval: u64::from(row.dimensions.sample_interval),
                    packets: Packets(row.sum.packets),
                    bits: Bits(row.sum.bits),
                })
            })
            .collect::<Result<Vec<_>, CfError>>()?;
        Ok(MinutesAnswer {
            rows,
            truncated,
            cost: QueryCost {
                cost: answered.data.cost,
                budget: viewer.budget,
            },
        })
    }
}
