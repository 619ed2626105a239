//! What a mitigation system dropped, row by row, for the record and for notices: outcome `drop`, oldest first.
//!
//! The nodes are witnesses of the same traffic that see different parts of it: each packet was dropped by one system. What
//! a node does not know (attacks, rules, DNS questions) is absent in its rows.

use std::time::Duration;

use domain::time::{floor_to, rfc3339_seconds};
use domain::units::{Bits, Packets};
use graphql_client::GraphQLQuery;
use jiff::Timestamp;
use serde_json::Value;

use super::dropped::DroppedRows;
use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
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

    /// The row in the API's own shape.
    pub fn to_wire_json(&self) -> Value {
        serde_json::to_value(self.wire()).unwrap_or_default()
    }

    /// The same as text, for the raw record.
    pub fn to_wire_text(&self) -> String {
        serde_json::to_string(&self.wire()).unwrap_or_default()
    }

    fn wire(&self) -> wire::Row<'_> {
        wire::Row {
            dimensions: wire::Dimensions {
                datetime: &self.datetime,
                attack_id: self.attack_id.as_deref(),
                attack_vector: self.attack_vector.as_deref(),
                rule_name: self.rule_name.as_deref(),
                rule_id: self.rule_id.as_deref(),
                mitigation_reason: self.mitigation_reason.as_deref(),
                outcome: self.outcome.as_deref(),
                verdict: self.verdict.as_deref(),
                ip_source_address: self.source_ip.as_deref(),
                source_port: self.source_port,
                source_asn: self.source_asn,
                source_asn_name: self.source_asn_name.as_deref(),
                source_country: self.source_country.as_deref(),
                ip_destination_address: &self.destination_ip,
                destination_port: self.destination_port,
                ip_protocol_name: self.protocol.as_deref(),
                tcp_flags_string: self.tcp_flags.as_deref(),
                colo_code: self.colo_code.as_deref(),
                colo_country: self.colo_country.as_deref(),
                colo_city: self.colo_city.as_deref(),
                sample_interval: self.sample_interval,
                protocol_state: self.protocol_state.as_deref(),
                dns_query_name: self.dns_query_name.as_deref(),
                dns_query_type: self.dns_query_type.as_deref(),
                ruleset_id: self.ruleset_id.as_deref(),
            },
            sum: wire::Sum {
                packets: self.packets.0,
                bits: self.bits.0,
            },
        }
    }
}

/// A row as the API writes it. What only some nodes have is left out where it is not known.
mod wire {
    use serde::Serialize;

    #[derive(Serialize)]
    pub(super) struct Row<'a> {
        pub(super) dimensions: Dimensions<'a>,
        pub(super) sum: Sum,
    }

    #[derive(Serialize)]
    pub(super) struct Sum {
        pub(super) packets: u64,
        pub(super) bits: u64,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Dimensions<'a> {
        pub(super) datetime: &'a str,
        pub(super) attack_id: Option<&'a str>,
        pub(super) attack_vector: Option<&'a str>,
        pub(super) rule_name: Option<&'a str>,
        pub(super) rule_id: Option<&'a str>,
        pub(super) mitigation_reason: Option<&'a str>,
        pub(super) outcome: Option<&'a str>,
        pub(super) verdict: Option<&'a str>,
        pub(super) ip_source_address: Option<&'a str>,
        pub(super) source_port: Option<u32>,
        pub(super) source_asn: Option<u32>,
        pub(super) source_asn_name: Option<&'a str>,
        pub(super) source_country: Option<&'a str>,
        pub(super) ip_destination_address: &'a str,
        pub(super) destination_port: Option<u32>,
        pub(super) ip_protocol_name: Option<&'a str>,
        pub(super) tcp_flags_string: Option<&'a str>,
        pub(super) colo_code: Option<&'a str>,
        pub(super) colo_country: Option<&'a str>,
        pub(super) colo_city: Option<&'a str>,
        pub(super) sample_interval: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) protocol_state: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) dns_query_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) dns_query_type: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) ruleset_id: Option<&'a str>,
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
macro_rules! row {
    ($row:ty, $witness:expr, $incoming:ident, $number:ident, $text:ident, $now:ident: $($field:ident)*) => {{
        let row: $row = $incoming.row($number, $text)?;
        let dims = row.dimensions;
        Ok(MitigationRow {
            at: $incoming.row_instant("datetime", &dims.datetime, $now)?,
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
        })
    }};
}

/// Makes the value of one row, number `number` of its answer.
pub(super) fn read_row(
    witness: Witness,
    incoming: &Incoming,
    number: usize,
    text: &[u8],
    now: Timestamp,
) -> Result<MitigationRow, CfError> {
    match witness {
        Witness::Ddos => row!(mitigations::MitigationsViewerAccountsRows, witness, incoming, number, text, now:
            attack_id attack_vector rule_name rule_id mitigation_reason),
        Witness::AdvancedTcp => row!(dropped_by_advanced_tcp::DroppedByAdvancedTcpViewerAccountsRows, witness,
            incoming, number, text, now: mitigation_reason protocol_state),
        Witness::AdvancedDns => row!(dropped_by_advanced_dns::DroppedByAdvancedDnsViewerAccountsRows, witness,
            incoming, number, text, now: mitigation_reason dns_query_name dns_query_type),
        Witness::Firewall => row!(dropped_by_firewall::DroppedByFirewallViewerAccountsRows, witness,
            incoming, number, text, now: rule_id ruleset_id),
    }
}

macro_rules! ask {
    ($query:ident, $module:ident, $client:ident, $request:ident) => {{
        let variables = $module::Variables {
            account: $client.account_id().to_owned(),
            from: rfc3339_seconds($request.from),
            to: rfc3339_seconds($request.to),
            limit: u64::from($request.limit),
        };
        $client
            .ask::<$query>("read mitigations", CallKind::Analytics, variables)
            .await?
    }};
}

impl CloudflareClient {
    /// Rows of traffic that one system dropped in a window. `now` is our clock, against which rows from the future are
    /// refused.
    ///
    /// # Errors
    /// [`CfError`], for anything but a complete answer; an unreadable row is one when it is [taken](DroppedRows::take).
    pub async fn dropped(
        &self,
        witness: Witness,
        request: MitigationRequest,
        now: Timestamp,
    ) -> Result<DroppedRows, CfError> {
        let second = Duration::from_secs(1);
        let request = MitigationRequest {
            from: floor_to(request.from, second),
            to: floor_to(request.to, second),
            ..request
        };
        let incoming = match witness {
            Witness::Ddos => ask!(Mitigations, mitigations, self, request),
            Witness::AdvancedTcp => ask!(DroppedByAdvancedTcp, dropped_by_advanced_tcp, self, request),
            Witness::AdvancedDns => ask!(DroppedByAdvancedDns, dropped_by_advanced_dns, self, request),
            Witness::Firewall => ask!(DroppedByFirewall, dropped_by_firewall, self, request),
        };
        DroppedRows::of(self, witness, request, incoming, now)
    }
}
