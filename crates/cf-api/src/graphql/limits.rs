//! What the account's plan allows: page size, widest window, oldest data. They differ by plan, so
//! they are read at start-up and windows are clamped to them.

use std::time::Duration;

use graphql_client::GraphQLQuery;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};
use crate::graphql::mitigations::Witness;

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

macro_rules! single {
    ($($query:ident in $path:tt)*) => {$(
        #[derive(GraphQLQuery)]
        #[graphql(
            schema_path = "graphql/schema.graphql",
            query_path = $path,
            custom_scalars_module = "crate::graphql::scalars",
            response_derives = "Debug"
        )]
        struct $query;
    )*};
}

single! {
    LimitsOfAdvancedTcp in "graphql/limits_advanced_tcp.graphql"
    LimitsOfAdvancedDns in "graphql/limits_advanced_dns.graphql"
    LimitsOfFirewall in "graphql/limits_firewall.graphql"
    LimitsOfAttacks in "graphql/limits_attacks.graphql"
}

macro_rules! ask {
    ($query:ident, $module:ident, $client:ident) => {{
        let variables = $module::Variables {
            account: $client.account_id().to_owned(),
        };
        let answered = $client
            .query::<$query>("read analytics limits", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let settings = incoming.present("settings", account.settings)?.node;
        node(
            settings.enabled,
            settings.max_page_size,
            settings.max_number_of_fields,
            settings.max_duration,
            settings.not_older_than,
        )
        .ok_or_else(|| incoming.error(ErrorClass::Malformed, "a limit is out of range"))
    }};
}

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

    /// The account's limits for the node of one witness.
    ///
    /// # Errors
    /// [`CfError`]; also when Cloudflare does not know the node (any more).
    pub async fn witness_limits(&self, witness: Witness) -> Result<NodeLimits, CfError> {
        match witness {
            Witness::Ddos => Ok(self.node_limits().await?.mitigations),
            Witness::AdvancedTcp => ask!(LimitsOfAdvancedTcp, limits_of_advanced_tcp, self),
            Witness::AdvancedDns => ask!(LimitsOfAdvancedDns, limits_of_advanced_dns, self),
            Witness::Firewall => ask!(LimitsOfFirewall, limits_of_firewall, self),
        }
    }

    /// The account's limits for `dosdAttackAnalyticsGroups`, begin and end of attacks.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn attack_limits(&self) -> Result<NodeLimits, CfError> {
        ask!(LimitsOfAttacks, limits_of_attacks, self)
    }
}
