//! What the DDoS mitigation dropped, row by row, for the record and for notices.
//!
//! Node `dosdNetworkAnalyticsAdaptiveGroups`, outcome `drop`, oldest first.

use std::time::Duration;

use domain::time::{floor_to, rfc3339_seconds};
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::QueryCost;
use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::CfError;

/// One group of dropped packets. Addresses stay text: whoever stores them keeps what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationRow {
    /// The second it happened.
    pub at: Timestamp,
    /// `datetime` as written; part of the identity that stored rows are recognised by.
    pub datetime: String,
    /// `attackId`; empty texts are `None`, here and below.
    pub attack_id: Option<String>,
    /// `attackVector`
    pub attack_vector: Option<String>,
    /// `ruleName`
    pub rule_name: Option<String>,
    /// `ruleId`
    pub rule_id: Option<String>,
    /// `mitigationReason`
    pub mitigation_reason: Option<String>,
    /// `outcome`, `drop`
    pub outcome: Option<String>,
    /// `verdict`
    pub verdict: Option<String>,
    /// `ipSourceAddress`
    pub source_ip: Option<String>,
    /// `sourcePort`
    pub source_port: Option<u32>,
    /// `sourceAsn`
    pub source_asn: Option<u32>,
    /// `sourceAsnName`
    pub source_asn_name: Option<String>,
    /// `sourceCountry`, two letters
    pub source_country: Option<String>,
    /// `ipDestinationAddress`
    pub destination_ip: String,
    /// `destinationPort`
    pub destination_port: Option<u32>,
    /// `ipProtocolName`
    pub protocol: Option<String>,
    /// `tcpFlagsString`
    pub tcp_flags: Option<String>,
    /// `coloCode`, the data centre that dropped
    pub colo_code: Option<String>,
    /// `coloCountry`
    pub colo_country: Option<String>,
    /// `coloCity`
    pub colo_city: Option<String>,
    /// Packets represented by one sample.
    pub sample_interval: u64,
    /// Estimated packets, already scaled up.
    pub packets: Packets,
    /// Estimated bits.
    pub bits: Bits,
}

impl MitigationRow {
    /// The row in the API's own shape, for the raw record.
    pub fn to_wire_json(&self) -> Value {
        json!({
            "dimensions": {
                "datetime": self.datetime,
                "attackId": self.attack_id,
                "attackVector": self.attack_vector,
                "ruleName": self.rule_name,
                "ruleId": self.rule_id,
                "mitigationReason": self.mitigation_reason,
                "outcome": self.outcome,
                "verdict": self.verdict,
                "ipSourceAddress": self.source_ip,
                "sourcePort": self.source_port,
                "sourceAsn": self.source_asn,
                "sourceAsnName": self.source_asn_name,
                "sourceCountry": self.source_country,
                "ipDestinationAddress": self.destination_ip,
                "destinationPort": self.destination_port,
                "ipProtocolName": self.protocol,
                "tcpFlagsString": self.tcp_flags,
                "coloCode": self.colo_code,
                "coloCountry": self.colo_country,
                "coloCity": self.colo_city,
                "sampleInterval": self.sample_interval,
            },
            "sum": { "packets": self.packets.0, "bits": self.bits.0 },
        })
    }
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MitigationRequest {
    /// Start (inclusive), cut to the second.
    pub from: Timestamp,
    /// End (exclusive), cut to the second.
    pub to: Timestamp,
    /// Most rows; at most the node's `maxPageSize`.
    pub limit: u32,
}

/// A complete, readable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationAnswer {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// End of the window asked for (exclusive).
    pub to: Timestamp,
    /// Oldest first.
    pub rows: Vec<MitigationRow>,
    /// Whether the row limit was reached: the end of the window is missing; split it.
    pub truncated: bool,
    /// What the query cost.
    pub cost: QueryCost,
}

#[derive(GraphQLQuery)]
#[graphql(
    schema_path = "graphql/schema.graphql",
    query_path = "graphql/mitigations.graphql",
    custom_scalars_module = "crate::graphql::scalars",
    response_derives = "Debug"
)]
struct Mitigations;

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl CloudflareClient {
    /// Rows of dropped traffic in a window. `now` is our clock, against which rows from the future
    /// are refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn mitigations(&self, request: MitigationRequest, now: Timestamp) -> Result<MitigationAnswer, CfError> {
        let second = Duration::from_secs(1);
        let (from, to) = (floor_to(request.from, second), floor_to(request.to, second));
        let variables = mitigations::Variables {
            account: self.account_id().to_owned(),
            from: rfc3339_seconds(from),
            to: rfc3339_seconds(to),
            limit: u64::from(request.limit),
        };
        let answered = self
            .query::<Mitigations>("read mitigations", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let truncated = account.rows.len() >= request.limit as usize;
        let rows = account
            .rows
            .into_iter()
            .map(|row| {
                let dims = row.dimensions;
                Ok(MitigationRow {
                    at: incoming.row_instant("datetime", &dims.datetime, now)?,
                    datetime: dims.datetime,
                    attack_id: given(dims.attack_id),
                    attack_vector: given(dims.attack_vector),
                    rule_name: given(dims.rule_name),
                    rule_id: given(dims.rule_id),
                    mitigation_reason: given(dims.mitigation_reason),
                    outcome: given(dims.outcome),
                    verdict: given(dims.verdict),
                    source_ip: given(dims.ip_source_address),
                    source_port: dims.source_port,
                    source_asn: dims.source_asn,
                    source_asn_name: given(dims.source_asn_name),
                    source_country: given(dims.source_country),
                    destination_ip: dims.ip_destination_address,
                    destination_port: dims.destination_port,
                    protocol: given(dims.ip_protocol_name),
                    tcp_flags: given(dims.tcp_flags_string),
                    colo_code: given(dims.colo_code),
                    colo_country: given(dims.colo_country),
                    colo_city: given(dims.colo_city),
                    sample_interval: u64::from(dims.sample_interval),
                    packets: Packets(row.sum.packets),
                    bits: Bits(row.sum.bits),
                })
            })
            .collect::<Result<Vec<_>, CfError>>()?;
        Ok(MitigationAnswer {
            from,
            to,
            rows,
            truncated,
            cost: QueryCost {
                cost: answered.data.cost,
                budget: viewer.budget,
            },
        })
    }
}
