//! What a mitigation system dropped, row by row, for the record and for notices: outcome `drop`, oldest first.
//!
//! The nodes are witnesses of the same traffic that see different parts of it: each packet was dropped by one system. What
//! a node does not know (attacks, rules, DNS questions) is absent in its rows.

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

/// An analytics node, and the system behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Witness {
    /// DDoS managed rules: `dosdNetworkAnalyticsAdaptiveGroups`. Knows attacks and rules.
    Ddos,
    /// `advancedTcpProtectionNetworkAnalyticsAdaptiveGroups`
    AdvancedTcp,
    /// `advancedDnsProtectionNetworkAnalyticsAdaptiveGroups`
    AdvancedDns,
    /// `magicFirewallNetworkAnalyticsAdaptiveGroups`: the customer's own rules.
    Firewall,
}

impl Witness {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ddos, Self::AdvancedTcp, Self::AdvancedDns, Self::Firewall];

    /// The system's name in the database: the one that the traffic node gives in `mitigationSystem`, where it gives one.
    pub fn system(self) -> &'static str {
        match self {
            Self::Ddos => "dosd",
            Self::AdvancedTcp => "flowtrackd",
            Self::AdvancedDns => "advanced-dns-protection",
            Self::Firewall => "magic-firewall",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ddos => "DDoS protection",
            Self::AdvancedTcp => "Advanced TCP Protection",
            Self::AdvancedDns => "Advanced DNS Protection",
            Self::Firewall => "Magic Firewall",
        }
    }
}

/// One group of dropped packets. Addresses stay text: whoever stores them keeps what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MitigationRow {
    /// Who dropped.
    pub witness: Witness,
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
    /// `protocolState`, only of Advanced TCP Protection
    pub protocol_state: Option<String>,
    /// `dnsQueryName`, only of Advanced DNS Protection
    pub dns_query_name: Option<String>,
    /// `dnsQueryType`, only of Advanced DNS Protection
    pub dns_query_type: Option<String>,
    /// `rulesetId`, only of Magic Firewall
    pub ruleset_id: Option<String>,
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
    /// A row in which nothing is known.
    pub fn of(witness: Witness) -> Self {
        Self {
            witness,
            at: Timestamp::UNIX_EPOCH,
            datetime: String::new(),
            attack_id: None,
            attack_vector: None,
            rule_name: None,
            rule_id: None,
            mitigation_reason: None,
            outcome: None,
            verdict: None,
            source_ip: None,
            source_port: None,
            source_asn: None,
            source_asn_name: None,
            source_country: None,
            destination_ip: String::new(),
            destination_port: None,
            protocol: None,
            tcp_flags: None,
            protocol_state: None,
            dns_query_name: None,
            dns_query_type: None,
            ruleset_id: None,
            colo_code: None,
            colo_country: None,
            colo_city: None,
            sample_interval: 0,
            packets: Packets(0),
            bits: Bits(0),
        }
    }

    /// The row in the API's own shape, for the raw record.
    pub fn to_wire_json(&self) -> Value {
        let mut row = json!({
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
        });
        for (name, value) in [
            ("protocolState", &self.protocol_state),
            ("dnsQueryName", &self.dns_query_name),
            ("dnsQueryType", &self.dns_query_type),
            ("rulesetId", &self.ruleset_id),
        ] {
            if let Some(value) = value {
                row["dimensions"][name] = value.as_str().into();
            }
        }
        row
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

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

macro_rules! queries {
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

queries! {
    Mitigations in "graphql/mitigations.graphql"
    DroppedByAdvancedTcp in "graphql/dropped_advanced_tcp.graphql"
    DroppedByAdvancedDns in "graphql/dropped_advanced_dns.graphql"
    DroppedByFirewall in "graphql/dropped_firewall.graphql"
}

/// The generated types of the documents are distinct but alike. After the colon: fields that only some nodes have.
macro_rules! answer {
    ($query:ident, $module:ident, $witness:expr, $client:ident, $request:ident, $now:ident: $($field:ident)*) => {{
        let variables = $module::Variables {
            account: $client.account_id().to_owned(),
            from: rfc3339_seconds($request.from),
            to: rfc3339_seconds($request.to),
            limit: u64::from($request.limit),
        };
        let answered = $client
            .query::<$query>("read mitigations", CallKind::Analytics, variables)
            .await?;
        let incoming = answered.incoming;
        let viewer = incoming.present("viewer", answered.data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let truncated = account.rows.len() >= $request.limit as usize;
        // Made in one piece: a list that grows is for a moment there twice.
        let mut rows = Vec::with_capacity(account.rows.len());
        for row in account.rows {
                let dims = row.dimensions;
                rows.push(MitigationRow {
                    at: incoming.row_instant("datetime", &dims.datetime, $now)?,
                    datetime: dims.datetime,
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
                    $($field: given(dims.$field),)*
                    ..MitigationRow::of($witness)
                });
        }
        Ok(MitigationAnswer {
            from: $request.from,
            to: $request.to,
            rows,
            truncated,
            cost: QueryCost {
                cost: answered.data.cost,
                budget: viewer.budget,
            },
        })
    }};
}

impl CloudflareClient {
    /// Rows of traffic that the DDoS rules dropped in a window; see [`Self::dropped`].
    ///
    /// # Errors
    /// As there.
    pub async fn mitigations(&self, request: MitigationRequest, now: Timestamp) -> Result<MitigationAnswer, CfError> {
        self.dropped(Witness::Ddos, request, now).await
    }

    /// Rows of traffic that one system dropped in a window. `now` is our clock, against which rows from the future are
    /// refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete and readable answer.
    pub async fn dropped(
        &self,
        witness: Witness,
        request: MitigationRequest,
        now: Timestamp,
    ) -> Result<MitigationAnswer, CfError> {
        let second = Duration::from_secs(1);
        let request = MitigationRequest {
            from: floor_to(request.from, second),
            to: floor_to(request.to, second),
            ..request
        };
        match witness {
            Witness::Ddos => answer!(Mitigations, mitigations, witness, self, request, now:
                attack_id attack_vector rule_name rule_id mitigation_reason),
            Witness::AdvancedTcp => answer!(DroppedByAdvancedTcp, dropped_by_advanced_tcp, witness, self, request, now:
                mitigation_reason protocol_state),
            Witness::AdvancedDns => answer!(DroppedByAdvancedDns, dropped_by_advanced_dns, witness, self, request, now:
                mitigation_reason dns_query_name dns_query_type),
            Witness::Firewall => answer!(DroppedByFirewall, dropped_by_firewall, witness, self, request, now:
                rule_id ruleset_id),
        }
    }
}
