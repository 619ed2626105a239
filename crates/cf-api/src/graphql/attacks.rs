//! Attacks with begin and end, one row for each source that Cloudflare names.
//!
//! Node `dosdAttackAnalyticsGroups`: flat rows that grow while the attack lasts. The end of an attack that lasts is "not
//! available": absent, or earlier than its begin.

use domain::time::rfc3339_seconds;
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;

use super::answer::QueryCost;
use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::CfError;

/// Part of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttackRow {
    /// `attackId`
    pub attack_id: String,
    /// `startDatetime`
    pub began_at: Timestamp,
    /// `endDatetime`; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
    /// `attackVector`; empty texts are `None`, here and below.
    pub vector: Option<String>,
    /// `ruleName`
    pub rule_name: Option<String>,
    /// `mitigationType`
    pub mitigation: Option<String>,
    /// `destinationIp`
    pub target: Option<String>,
    /// `sourceIp`
    pub source: Option<String>,
    /// Estimated packets.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
    /// Estimated packets that were dropped.
    pub dropped_packets: Packets,
    /// Estimated bits that were dropped.
    pub dropped_bits: Bits,
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttacksRequest {
    /// No attack that began before this is looked at: the oldest of `ids`, or `from`.
    pub oldest: Timestamp,
    /// Attacks that began from here on are asked for, whatever their id.
    pub from: Timestamp,
    /// End of the window of begins (exclusive).
    pub to: Timestamp,
    /// Attacks asked for by id.
    pub ids: Vec<String>,
    /// Most rows; at most the node's `maxPageSize`.
    pub limit: u32,
}

/// A complete, readable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttacksAnswer {
    /// In the order of their begin.
    pub rows: Vec<AttackRow>,
    /// Whether the row limit was reached.
    pub truncated: bool,
    /// What the query cost.
    pub cost: QueryCost,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/attacks.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct Attacks;

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl CloudflareClient {
    /// Attacks that began in a window, and those of some ids. `now` is our clock, against which rows from the future are
    /// refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn attacks(&self, request: &AttacksRequest, now: Timestamp) -> Result<AttacksAnswer, CfError> {
        let variables = attacks::Variables {
            account: self.account_id().to_owned(),
            oldest: rfc3339_seconds(request.oldest.min(request.from)),
            from: rfc3339_seconds(request.from),
            to: rfc3339_seconds(request.to),
            ids: request.ids.clone(),
            limit: u64::from(request.limit),
        };
        let answered = self
            .query::<Attacks>("read attacks", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let truncated = account.rows.len() >= request.limit as usize;
        let rows = account
            .rows
            .into_iter()
            .map(|row| {
                let began_at = incoming.row_instant("startDatetime", &row.start_datetime, now)?;
                let ended_at = match row.end_datetime.as_deref().filter(|text| !text.is_empty()) {
                    Some(text) => Some(incoming.row_instant("endDatetime", text, now)?),
                    None => None,
                };
                Ok(AttackRow {
                    attack_id: row.attack_id,
                    began_at,
                    ended_at: ended_at.filter(|end| *end >= began_at),
                    vector: given(row.attack_vector),
                    rule_name: given(row.rule_name),
                    mitigation: given(row.mitigation_type),
                    target: given(row.destination_ip),
                    source: given(row.source_ip),
                    packets: Packets(row.packets),
                    bits: Bits(row.bits),
                    dropped_packets: Packets(row.dropped_packets),
                    dropped_bits: Bits(row.dropped_bits),
                })
            })
            .collect::<Result<Vec<_>, CfError>>()?;
        Ok(AttacksAnswer {
            rows,
            truncated,
            cost: QueryCost {
                cost: answered.data.cost,
                budget: viewer.budget,
            },
        })
    }
}
