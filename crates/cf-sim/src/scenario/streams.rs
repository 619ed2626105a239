//! The traffic of a scenario: who sends how much to whom, and in which analytics it appears.
//!
//! - Network Monitoring sees everything, wherever it comes in.
//! - Magic Transit sees the part that arrives at Cloudflare: background as passed, attacks split into dropped and passed.
//! - The DDoS node sees attack packets only; the flat attack node has one growing row per attack and source.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::json;

use super::file::{Attack, Background, Scenario, Source};
use crate::config::SimConfig;
use crate::quota::plus;
use crate::traffic::{ADVANCED_DNS, ADVANCED_TCP, DOSD, Dims, FIREWALL, MAGIC_TRANSIT, MNM, second_text};
use crate::world::State;

/// One sender to one receiver.
#[derive(Debug)]
struct Stream {
    key: u64,
    prefix: IpNet,
    /// Index of the attack; background has none.
    attack: Option<usize>,
    pps: f64,
    packet_bits: u64,
    source: String,
    passed: Arc<Dims>,
    dropped: Arc<Dims>,
    ddos_passed: Arc<Dims>,
    ddos_dropped: Arc<Dims>,
    flow: Arc<Dims>,
}

/// All streams of a scenario.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    attack_ids: Vec<String>,
    dropped: Vec<bool>,
}

impl Streams {
    pub(super) fn new(scenario: &Scenario, attack_ids: &[String], round: u32, config: &SimConfig) -> Self {
        let mut all = Self {
            streams: Vec::new(),
            attack_ids: attack_ids.to_vec(),
            dropped: vec![false; attack_ids.len()],
        };
        // Keys differ between rounds, so that a new round does not continue the old one's seconds.
        let mut key = u64::from(round) << 32;
        for background in &scenario.background {
            let hosts = hosts(background);
            let sources = sources(&background.sources, &background.prefix);
            let total: f64 = sources.iter().map(|s| s.share).sum();
            for host in &hosts {
                for source in &sources {
                    key += 8;
                    #[allow(clippy::cast_precision_loss)]
                    let pps = background.pps as f64 * source.share / total / hosts.len() as f64;
                    let line = Line {
                        host: *host,
                        port: background.port,
                        protocol: &background.protocol,
                        source,
                        config,
                    };
                    all.streams.push(line.stream(
                        key,
                        background.prefix,
                        pps,
                        packet_bits(background.mbps, background.pps),
                        None,
                    ));
                }
            }
        }
        for (index, attack) in scenario.attack.iter().enumerate() {
            let sources = sources(&attack.sources, &attack.prefix);
            let total: f64 = sources.iter().map(|s| s.share).sum();
            for source in &sources {
                key += 8;
                #[allow(clippy::cast_precision_loss)]
                let pps = attack.pps as f64 * source.share / total;
                let line = Line {
                    host: attack.target_ip,
                    port: attack.target_port,
                    protocol: &attack.protocol,
                    source,
                    config,
                };
                let of = Some((index, attack, attack_ids[index].as_str()));
                all.streams
                    .push(line.stream(key, attack.prefix, pps, packet_bits(attack.mbps, attack.pps), of));
            }
        }
        all
    }

    /// Whether packets of an attack were dropped at Cloudflare so far.
    pub(super) fn dropped(&self, attack: usize) -> bool {
        self.dropped.get(attack).copied().unwrap_or(false)
    }

    /// Traffic between two ticks.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn feed(
        &mut self,
        scenario: &Scenario,
        state: &mut State,
        config: &SimConfig,
        factor: f64,
        started: Timestamp,
        from: Timestamp,
        now: Timestamp,
    ) {
        let seconds = now.duration_since(from).as_secs_f64();
        let at = now.duration_since(started).unsigned_abs().mul_f64(factor);
        if at > scenario.duration + Duration::from_secs(1) {
            return;
        }
        let interval = config.sample_interval;
        for s in &self.streams {
            let share = state
                .prefixes
                .by_cidr(s.prefix)
                .map_or(0.0, |p| state.prefixes.share(p, now));
            let attack = s.attack.map(|i| &scenario.attack[i]);
            let strength = attack.map_or(1.0, |a| strength(a, at));
            let packets = s.pps * seconds * strength;
            if packets <= 0.0 {
                continue;
            }
            let mut put = |offset: u64, node: &'static str, dims: &Arc<Dims>, packets: f64| {
                state
                    .traffic
                    .feed(s.key + offset, node, dims, now, packets, s.packet_bits, interval)
            };
            put(0, MNM, &s.flow, packets);
            let Some((index, attack)) = s.attack.zip(attack) else {
                put(1, MAGIC_TRANSIT, &s.passed, packets * share);
                continue;
            };
            let (drop, pass) = (
                packets * share * attack.mitigated,
                packets * share * (1.0 - attack.mitigated),
            );
            let dropped = put(2, MAGIC_TRANSIT, &s.dropped, drop);
            let passed = put(3, MAGIC_TRANSIT, &s.passed, pass);
            let node = node_of(&attack.system);
            put(4, node, &s.ddos_dropped, drop);
            put(5, node, &s.ddos_passed, pass);
            self.dropped[index] |= dropped > 0;
            if dropped + passed > 0 && node == DOSD {
                let began = plus(started, attack.start.div_f64(factor));
                upsert(state, s, &self.attack_ids[index], attack, began, (dropped, passed), now);
            }
        }
    }

    /// Fills in the end of an attack in the flat node.
    pub(super) fn close_attack(&self, attack: usize, state: &mut State, now: Timestamp) {
        state.traffic.end_attack(&self.attack_ids[attack], now);
    }
}

/// The node of a mitigation system, besides the one of all traffic.
fn node_of(system: &str) -> &'static str {
    match system {
        "flowtrackd" => ADVANCED_TCP,
        "advanced-dns-protection" => ADVANCED_DNS,
        "magic-firewall" => FIREWALL,
        _ => DOSD,
    }
}

fn upsert(
    state: &mut State,
    s: &Stream,
    id: &str,
    attack: &Attack,
    began: Timestamp,
    (dropped, passed): (u64, u64),
    now: Timestamp,
) {
    let mut dims = Dims::new();
    let mut set = |name: &str, value: serde_json::Value| dims.insert(name.to_owned(), value);
    set("attackId", json!(id));
    set("attackVector", json!(attack.vector));
    set("attackType", json!(attack.vector));
    set("destinationIp", json!(attack.target_ip.to_string()));
    set("destinationPort", json!(attack.target_port));
    set("sourceIp", json!(s.source));
    set("ipProtocol", json!(protocol_number(&attack.protocol)));
    set("ipProtocolName", json!(attack.protocol));
    set("mitigationType", json!("block"));
    set("mitigationScope", json!("local"));
    set("ruleId", json!("599dab0942ff4898ac1b7797e954e98b"));
    set("ruleName", json!(attack.rule_name));
    set("rulesetId", json!("3b64149bfa6e4220bbbc2bd6db589552"));
    set("startDatetime", json!(second_text(began.as_second())));
    let key = format!("{id}/{}", s.key);
    state
        .traffic
        .upsert_attack(&key, dims, (dropped + passed, dropped), s.packet_bits, now);
}

/// Full strength in the middle, growing and falling evenly at the ends.
fn strength(attack: &Attack, at: Duration) -> f64 {
    let end = attack.start + attack.duration;
    if at < attack.start || at >= end {
        return 0.0;
    }
    let ramp = attack.ramp.min(attack.duration / 2).as_secs_f64();
    let edge = (at - attack.start).min(end - at).as_secs_f64();
    if ramp <= 0.0 { 1.0 } else { (edge / ramp).min(1.0) }
}

fn packet_bits(mbps: u64, pps: u64) -> u64 {
    // The smallest Ethernet frame has 64 bytes, the largest here 1500.
    (mbps.saturating_mul(1_000_000) / pps.max(1)).clamp(512, 12_000)
}

fn hosts(background: &Background) -> Vec<IpAddr> {
    if !background.hosts.is_empty() {
        return background.hosts.clone();
    }
    [10_u8, 20, 30]
        .iter()
        .filter_map(|n| host_at(background.prefix, *n))
        .collect()
}

fn host_at(prefix: IpNet, offset: u8) -> Option<IpAddr> {
    let host = match prefix.network() {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a).checked_add(u32::from(offset))?).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a).checked_add(u128::from(offset))?).into()),
    };
    prefix.contains(&host).then_some(host)
}

/// The given sources, or two of the address family.
fn sources(given: &[Source], prefix: &IpNet) -> Vec<Source> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let addresses: [IpAddr; 2] = match prefix {
        IpNet::V4(_) => [[192, 0, 2, 201].into(), [198, 51, 100, 202].into()],
        IpNet::V6(_) => [
            [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1].into(),
            [0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, 2].into(),
        ],
    };
    let source = |(address, asn, country, colo, city): (IpAddr, u32, &str, &str, &str)| Source {
        address,
        port: 50_000,
        asn,
        asn_name: format!("EXAMPLE-{asn}"),
        country: country.into(),
        colo: colo.into(),
        colo_city: city.into(),
        colo_country: country.into(),
        share: 1.0,
    };
    [
        (addresses[0], 64_496, "DE", "FRA", "Frankfurt"),
        (addresses[1], 64_497, "NL", "AMS", "Amsterdam"),
    ]
    .map(source)
    .into()
}

fn protocol_number(name: &str) -> u8 {
    match name.to_ascii_uppercase().as_str() {
        "ICMP" => 1,
        "TCP" => 6,
        "UDP" => 17,
        "GRE" => 47,
        "ESP" => 50,
        "ICMPV6" => 58,
        _ => 0,
    }
}

struct Line<'a> {
    host: IpAddr,
    port: u16,
    protocol: &'a str,
    source: &'a Source,
    config: &'a SimConfig,
}

impl Line<'_> {
    fn stream(
        &self,
        key: u64,
        prefix: IpNet,
        pps: f64,
        packet_bits: u64,
        attack: Option<(usize, &Attack, &str)>,
    ) -> Stream {
        let s = self.source;
        let bytes = packet_bits / 8;
        let mut common = Dims::new();
        let mut set = |name: &str, value: serde_json::Value| common.insert(name.to_owned(), value);
        set("ipDestinationAddress", json!(self.host.to_string()));
        set("destinationPort", json!(self.port));
        set("ipSourceAddress", json!(s.address.to_string()));
        set("sourcePort", json!(s.port));
        set("sourceAsn", json!(s.asn));
        set("sourceAsnName", json!(s.asn_name));
        set("sourceCountry", json!(s.country));
        set("destinationAsn", json!(64_500));
        set("coloCode", json!(s.colo));
        set("coloName", json!(s.colo.to_ascii_lowercase()));
        set("coloCity", json!(s.colo_city));
        set("coloCountry", json!(s.colo_country));
        set("ipProtocol", json!(protocol_number(self.protocol)));
        set("ipProtocolName", json!(self.protocol));
        set("ethertype", json!(if self.host.is_ipv4() { 0x0800 } else { 0x86dd }));
        set("ipTotalLength", json!(bytes));
        set("direction", json!("ingress"));
        set("sampleInterval", json!(self.config.sample_interval));
        if self.protocol.eq_ignore_ascii_case("TCP") {
            set("tcpFlags", json!(if attack.is_some() { 2 } else { 16 }));
            set("tcpFlagsString", json!(if attack.is_some() { "SYN" } else { "ACK" }));
        }
        let with = |base: &Dims, more: &[(&str, &str)]| {
            let mut dims = base.clone();
            dims.extend(more.iter().map(|(k, v)| ((*k).to_owned(), json!(v))));
            Arc::new(dims)
        };
        let ddos = attack.map_or_else(Dims::new, |(_, a, id)| {
            let text = |k: &str, v: &str| (k.to_owned(), json!(v));
            let mut dims = common.clone();
            dims.extend([
                text("attackId", id),
                text("attackVector", &a.vector),
                text("ruleId", "599dab0942ff4898ac1b7797e954e98b"),
                text("ruleName", &a.rule_name),
                text("rulesetId", "3b64149bfa6e4220bbbc2bd6db589552"),
                text("mitigationReason", &a.rule_name),
                text("mitigationScope", "local"),
            ]);
            dims
        });
        let flow: Dims = [
            ("destinationAddress", json!(self.host.to_string())),
            ("destinationPort", json!(self.port)),
            ("sourceAddress", json!(s.address.to_string())),
            ("sourcePort", json!(s.port)),
            ("protocol", json!(protocol_number(self.protocol))),
            ("protocolString", json!(self.protocol)),
            ("routerAddress", json!("192.0.2.254")),
            ("sampleInterval", json!(1000)),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        Stream {
            key,
            prefix,
            attack: attack.map(|(i, _, _)| i),
            pps,
            packet_bits,
            source: s.address.to_string(),
            passed: with(&common, &[("outcome", "pass"), ("mitigationSystem", "")]),
            dropped: with(
                &common,
                &[
                    ("outcome", "drop"),
                    (
                        "mitigationSystem",
                        attack.map_or("dosd", |(_, attack, _)| attack.system.as_str()),
                    ),
                ],
            ),
            ddos_passed: with(&ddos, &[("outcome", "pass"), ("verdict", "pass")]),
            ddos_dropped: with(&ddos, &[("outcome", "drop"), ("verdict", "drop")]),
            flow: Arc::new(flow),
        }
    }
}
