//! The fields of packets by name: type, range, and whether overrides may use them.
//!
//! Source: developers.cloudflare.com, "Override expressions" (network-layer DDoS) and "Magic Firewall fields".

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An IPv4 or IPv6 address.
    Address,
    /// A whole number up to this one.
    Number(u64),
    /// Yes or no.
    Flag,
    /// Text.
    Text,
    /// A raw header, for `bit_slice`.
    Raw,
}

/// Whether overrides of the network-layer DDoS ruleset may use a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Cloudflare recommends it.
    Recommended,
    /// It works only if the attack's fingerprint happens to hold it.
    Unreliable,
    /// Other products have it, overrides do not.
    NotInOverrides,
}

/// A field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Type,
    /// Whether overrides may use it.
    pub advice: Advice,
    /// What it means.
    pub meaning: &'static str,
    /// IP protocols that can have it; empty for any.
    pub protocols: &'static [u8],
}

const PORT: Type = Type::Number(65_535);
const BYTE: Type = Type::Number(255);
const TCP: &[u8] = &[6];
const UDP: &[u8] = &[17];
const ICMP: &[u8] = &[1, 58];

const fn field(
    name: &'static str,
    holds: Type,
    advice: Advice,
    protocols: &'static [u8],
    meaning: &'static str,
) -> Field {
    Field {
        name,
        holds,
        advice,
        meaning,
        protocols,
    }
}

use Advice::{NotInOverrides, Recommended, Unreliable};
use Type::{Address, Flag, Number, Raw, Text};

/// All fields that the documentation names for packets.
pub const FIELDS: &[Field] = &[
    field("ip.dst", Address, Recommended, &[], "destination address"),
    field(
        "ip.proto.num",
        BYTE,
        Recommended,
        &[],
        "IP protocol number: 6 TCP, 17 UDP, 1 ICMP, 47 GRE, 50 ESP",
    ),
    field("tcp.dstport", PORT, Recommended, TCP, "destination port of TCP"),
    field("udp.dstport", PORT, Recommended, UDP, "destination port of UDP"),
    field("tcp.flags", BYTE, Recommended, TCP, "all TCP flags as a number"),
    field("tcp.flags.ack", Flag, Recommended, TCP, "acknowledgement"),
    field("tcp.flags.fin", Flag, Recommended, TCP, "last packet of the sender"),
    field("tcp.flags.push", Flag, Recommended, TCP, "push"),
    field("tcp.flags.reset", Flag, Recommended, TCP, "reset"),
    field("tcp.flags.syn", Flag, Recommended, TCP, "begin of a connection"),
    field("tcp.flags.urg", Flag, Recommended, TCP, "urgent"),
    field("ip.src", Address, Unreliable, &[], "source address"),
    field("ip.len", PORT, Unreliable, &[], "length of the packet with its header"),
    field("ip.ttl", BYTE, Unreliable, &[], "time to live"),
    field("tcp.srcport", PORT, Unreliable, TCP, "source port of TCP"),
    field("udp.srcport", PORT, Unreliable, UDP, "source port of UDP"),
    field("cf.colo.name", Text, NotInOverrides, &[], "data centre"),
    field("cf.colo.region", Text, NotInOverrides, &[], "region of the data centre"),
    field("icmp", Raw, NotInOverrides, ICMP, "raw ICMP packet"),
    field("icmp.type", BYTE, NotInOverrides, ICMP, "ICMP type"),
    field("icmp.code", BYTE, NotInOverrides, ICMP, "ICMP code"),
    field("ip", Raw, NotInOverrides, &[], "raw IP packet"),
    field(
        "ip.dst.country",
        Text,
        NotInOverrides,
        &[],
        "country of the destination",
    ),
    field("ip.src.country", Text, NotInOverrides, &[], "country of the source"),
    field("ip.geoip.country", Text, NotInOverrides, &[], "country of either side"),
    field(
        "ip.src.asnum",
        Number(u32::MAX as u64),
        NotInOverrides,
        &[],
        "AS of the source",
    ),
    field(
        "ip.dst.asnum",
        Number(u32::MAX as u64),
        NotInOverrides,
        &[],
        "AS of the destination",
    ),
    field("ip.hdr_len", BYTE, NotInOverrides, &[], "length of the IPv4 header"),
    field("ip.opt.type", BYTE, NotInOverrides, &[], "first byte of the IP options"),
    field("ip.proto", Text, NotInOverrides, &[], "IP protocol by name"),
    field("sip", Flag, NotInOverrides, UDP, "valid SIP"),
    field("tcp", Raw, NotInOverrides, TCP, "raw TCP header"),
    field("tcp.flags.cwr", Flag, NotInOverrides, TCP, "congestion window reduced"),
    field("tcp.flags.ecn", Flag, NotInOverrides, TCP, "congestion notification"),
    field("udp", Raw, NotInOverrides, UDP, "raw UDP header"),
];

/// The field of this name.
pub(super) fn named(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

impl Field {
    /// Whether overrides may use it.
    pub fn in_overrides(&self) -> bool {
        self.advice != NotInOverrides
    }
}
