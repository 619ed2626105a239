//! Evidence for the withdraw decision: what was dropped, what passed, how far the data reaches.
//!
//! Node `magicTransitNetworkAnalyticsAdaptiveGroups`; the query documents are in `graphql/`.

use std::time::Duration;

use domain::evidence::{DropRow, PassedRow, TrafficWindow};
use domain::prefix::Prefix;
use domain::time::{floor_to, plus, rfc3339_seconds};
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;

use super::answer::Answered;
pub use super::answer::QueryCost;
use crate::client::CloudflareClient;
use crate::error::CfError;

/// How far past our clock the newest row is looked for, so that rows from the future are seen (and
/// refused) instead of filtered away.
const NEWEST_AHEAD: Duration = Duration::from_secs(600);

/// Length of the time buckets that dropped traffic is grouped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// One second.
    Second,
    /// Ten seconds.
    TenSeconds,
    /// One minute.
    Minute,
}

impl Resolution {
    /// The bucket's length.
    pub fn bucket(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::TenSeconds => 10,
            Self::Minute => 60,
        })
    }
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficRequest {
    /// Start of the window (inclusive), cut to the second.
    pub from: Timestamp,
    /// Start of the second look at what passed, cut to the second: from here on its rows prove
    /// traffic of every advertisement that began before. Never earlier than `from`.
    pub recent_from: Timestamp,
    /// End of the window (exclusive), cut to the second.
    pub to: Timestamp,
    /// Grouping of the dropped rows.
    pub resolution: Resolution,
    /// Most rows of each list; at most the node's `maxPageSize`.
    pub limit: u32,
}

/// A complete, readable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficAnswer {
    /// The rows, and whether each list was cut.
    pub window: TrafficWindow,
    /// What passed since [`TrafficRequest::recent_from`]. May be cut at the row limit: what is not
    /// in it is not known to be absent.
    pub recent: Vec<PassedRow>,
    /// What the query cost.
    pub cost: QueryCost,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/traffic_second.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct TrafficBySecond;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/traffic_ten_seconds.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct TrafficByTenSeconds;

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/traffic_minute.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct TrafficByMinute;

/// The generated types of the three documents are distinct but alike.
macro_rules! traffic_query {
    ($query:ident, $module:ident) => {
        impl $query {
            fn variables(account: &str, request: &TrafficRequest, now: Timestamp) -> $module::Variables {
                $module::Variables {
                    account: account.to_owned(),
                    from: rfc3339_seconds(request.from),
                    recent_from: rfc3339_seconds(request.recent_from),
                    to: rfc3339_seconds(request.to),
                    newest_to: rfc3339_seconds(plus(now, NEWEST_AHEAD)),
                    limit: u64::from(request.limit),
                }
            }

            fn rows(
                answered: Answered<$module::ResponseData>,
                request: &TrafficRequest,
                now: Timestamp,
            ) -> Result<TrafficAnswer, CfError> {
                let Answered { data, incoming } = answered;
                let viewer = incoming.present("viewer", data.viewer)?;
                let account = incoming.only_account(viewer.accounts)?;
                let is_full = |rows: usize| rows >= request.limit as usize;
                let drops_truncated = is_full(account.drops.len());
                let passed_truncated = is_full(account.passed.len());
                let drops = account
                    .drops
                    .into_iter()
                    .map(|row| {
                        Ok(DropRow {
                            at: incoming.row_instant("bucket", &row.dimensions.bucket, now)?,
                            subnet: incoming.row_subnet(&row.dimensions.ip_destination_subnet)?,
                            system: row.dimensions.mitigation_system,
                            sample_interval: u64::from(row.dimensions.sample_interval),
                            packets: Packets(row.sum.packets),
                            bits: Bits(row.sum.bits),
                        })
                    })
                    .collect::<Result<Vec<_>, CfError>>()?;
                let passed = account
                    .passed
                    .into_iter()
                    .map(|row| {
                        Ok(PassedRow {
                            subnet: incoming.row_subnet(&row.dimensions.ip_destination_subnet)?,
                            sample_interval: u64::from(row.dimensions.sample_interval),
                            packets: Packets(row.sum.packets),
                            bits: Bits(row.sum.bits),
                        })
                    })
                    .collect::<Result<Vec<_>, CfError>>()?;
                let recent = account
                    .recent
                    .into_iter()
                    .map(|row| {
                        Ok(PassedRow {
                            subnet: incoming.row_subnet(&row.dimensions.ip_destination_subnet)?,
                            sample_interval: u64::from(row.dimensions.sample_interval),
                            packets: Packets(row.sum.packets),
                            bits: Bits(row.sum.bits),
                        })
                    })
                    .collect::<Result<Vec<_>, CfError>>()?;
                let newest_row = account
                    .newest
                    .iter()
                    .map(|row| incoming.row_instant("datetime", &row.dimensions.datetime, now))
                    .collect::<Result<Vec<_>, CfError>>()?
                    .into_iter()
                    .max();
                Ok(TrafficAnswer {
                    window: TrafficWindow {
                        from: request.from,
                        to: request.to,
                        bucket: request.resolution.bucket(),
                        newest_row,
                        drops,
                        drops_truncated,
                        passed,
                        passed_truncated,
                    },
                    recent,
                    cost: QueryCost {
                        cost: data.cost,
                        budget: viewer.budget,
                    },
                })
            }
        }
    };
}

traffic_query!(TrafficBySecond, traffic_by_second);
traffic_query!(TrafficByTenSeconds, traffic_by_ten_seconds);
traffic_query!(TrafficByMinute, traffic_by_minute);

impl crate::client::Incoming {
    pub(crate) fn row_subnet(&self, text: &str) -> Result<Prefix, CfError> {
        text.parse().map_err(|error: domain::prefix::PrefixError| {
            self.error(
                crate::error::ErrorClass::Malformed,
                format!("ipDestinationSubnet: {error}"),
            )
        })
    }
}

impl CloudflareClient {
    /// Dropped and passed traffic of the whole account in a window, and the newest row of any
    /// outcome since its start. `now` is our clock, against which rows from the future are refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn traffic(&self, request: TrafficRequest, now: Timestamp) -> Result<TrafficAnswer, CfError> {
        let call = "read traffic";
        let second = Duration::from_secs(1);
        let request = TrafficRequest {
            from: floor_to(request.from, second),
            recent_from: floor_to(request.recent_from.max(request.from), second),
            to: floor_to(request.to, second),
            ..request
        };
        let (account, kind) = (self.account_id(), self.evidence());
        match request.resolution {
            Resolution::Second => {
                let variables = TrafficBySecond::variables(account, &request, now);
                let answered = self.query::<TrafficBySecond>(call, kind, variables).await?;
                TrafficBySecond::rows(answered, &request, now)
            }
            Resolution::TenSeconds => {
                let variables = TrafficByTenSeconds::variables(account, &request, now);
                let answered = self.query::<TrafficByTenSeconds>(call, kind, variables).await?;
                TrafficByTenSeconds::rows(answered, &request, now)
            }
            Resolution::Minute => {
                let variables = TrafficByMinute::variables(account, &request, now);
                let answered = self.query::<TrafficByMinute>(call, kind, variables).await?;
                TrafficByMinute::rows(answered, &request, now)
            }
        }
    }
}
