//! What the account's plan allows: page size, widest window, oldest data. They differ by plan, so
//! they are read at start-up and windows are clamped to them.

use std::time::Duration;

use graphql_client::GraphQLQuery;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};

/// Limits of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Whether the account has the node at all.
    pub enabled: bool,
    /// Most rows of one answer.
    pub max_page_size: u32,
    /// Most fields of one row.
    pub max_fields: u32,
    /// Widest window.
    pub max_duration: Duration,
    /// Oldest data.
    pub not_older_than: Duration,
}

/// Limits of the nodes that we query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// `magicTransitNetworkAnalyticsAdaptiveGroups`, the evidence.
    pub traffic: NodeLimits,
    /// `dosdNetworkAnalyticsAdaptiveGroups`, the record of mitigations.
    pub mitigations: NodeLimits,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/limits.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct NodeLimitsQuery;

/// `None` when a number is negative or absurdly large.
fn node(
    enabled: bool,
    max_page_size: i64,
    max_fields: i64,
    max_duration_s: i64,
    not_older_than_s: i64,
) -> Option<NodeLimits> {
    Some(NodeLimits {
        enabled,
        max_page_size: u32::try_from(max_page_size).ok()?,
        max_fields: u32::try_from(max_fields).ok()?,
        max_duration: Duration::from_secs(u64::try_from(max_duration_s).ok()?),
        not_older_than: Duration::from_secs(u64::try_from(not_older_than_s).ok()?),
    })
}

impl CloudflareClient {
    /// The account's limits for the nodes that we query.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn node_limits(&self) -> Result<AccountLimits, CfError> {
        let variables = node_limits_query::Variables {
            account: self.account_id().to_owned(),
        };
        let answered = self
            .query::<NodeLimitsQuery>("read analytics limits", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let settings = incoming.present("settings", account.settings)?;
        let (traffic, mitigations) = (settings.traffic, settings.mitigations);
        let limits = node(
            traffic.enabled,
            traffic.max_page_size,
            traffic.max_number_of_fields,
            traffic.max_duration,
            traffic.not_older_than,
        )
        .zip(node(
            mitigations.enabled,
            mitigations.max_page_size,
            mitigations.max_number_of_fields,
            mitigations.max_duration,
            mitigations.not_older_than,
        ));
        let (traffic, mitigations) =
            limits.ok_or_else(|| incoming.error(ErrorClass::Malformed, "a limit is out of range"))?;
        Ok(AccountLimits { traffic, mitigations })
    }
}
