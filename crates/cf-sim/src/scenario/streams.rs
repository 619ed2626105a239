//! The traffic of a scenario: who sends how much to whom, and in which analytics it appears.
//!
//! - Network Monitoring sees what reaches the customer's routers: what never came to Cloudflare, and what it let through.
//! - Magic Transit sees the part that arrives at Cloudflare: background as passed, attacks split into dropped and passed.
//! - Each mitigation system has a node of attack packets; the flat attack node has one growing row per attack and pair.
//! - What Cloudflare lets through goes into a tunnel, and is in that tunnel's traffic.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::attack::Attack;
use super::file::Scenario;
use super::senders::{self, Pair};
use crate::config::SimConfig;
use crate::traffic::{
    ADVANCED_DNS, ADVANCED_TCP, DOSD, Dims, FIREWALL, MAGIC_TRANSIT, MNM, TUNNEL_TRAFFIC, second_text,
};
use crate::world::State;

/// Managed ruleset and rule of every attack here.
const RULESET: &str = "3b64149bfa6e4220bbbc2bd6db589552";
const RULE: &str = "599dab0942ff4898ac1b7797e954e98b";

/// Rows of one stream have keys of their own: one for each node, and two for each system.
const KEYS: u64 = 32;

/// What one system drops of a stream.
#[derive(Debug)]
struct Drop {
    part: f64,
    node: &'static str,
    /// As the node of all traffic shows it.
    outside: Arc<Dims>,
    /// As the system's own node shows it.
    inside: Arc<Dims>,
}

/// One sender to one receiver.
#[derive(Debug)]
struct Stream {
    key: u64,
    prefix: IpNet,
    /// Index of the attack; background has none.
    attack: Option<usize>,
    pps: f64,
    packet_bits: u64,
    pair: Pair,
    passed: Arc<Dims>,
    drops: Vec<Drop>,
    /// What the DDoS node shows of packets that passed.
    ddos_passed: Arc<Dims>,
    flow: Arc<Dims>,
    tunnel: Arc<Dims>,
}

/// What reached the customer's routers between two ticks, which is what Network Monitoring judges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) prefix: IpNet,
    pub(super) attack: Option<usize>,
    pub(super) packets: f64,
    pub(super) bits: f64,
}

/// All streams of a scenario.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    attack_ids: Vec<String>,
    dropped: Vec<bool>,
    seen: Vec<Seen>,
}

/// Time and place of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Scenario time at its end.
    pub(super) at: Duration,
    /// Real time at its end.
    pub(super) now: Timestamp,
    /// Its real length in seconds.
    pub(super) seconds: f64,
}

impl Streams {
    pub(super) fn new(scenario: &Scenario, attack_ids: &[String], round: u32, seed: u64, config: &SimConfig) -> Self {
        let mut all = Self {
            streams: Vec::new(),
            attack_ids: attack_ids.to_vec(),
            dropped: vec![false; attack_ids.len()],
            seen: Vec::new(),
        };
        // Keys differ between rounds, so that a new round does not continue the old one's seconds.
        let mut key = u64::from(round) << 32;
        for background in &scenario.background {
            for pair in senders::of_background(background) {
                key += KEYS;
                #[allow(clippy::cast_precision_loss)] // rates are far below the limit of exact floats
                let pps = background.pps as f64 * pair.part;
                let bits = packet_bits(background.mbps, background.pps);
                let line = Line {
                    pair: &pair,
                    protocol: &background.protocol,
                    bits,
                    config,
                };
                all.streams.push(line.stream(key, background.prefix, pps, None));
            }
        }
        for (index, attack) in scenario.attack.iter().enumerate() {
            for pair in senders::of_attack(attack, seed.wrapping_add(index as u64)) {
                key += KEYS;
                #[allow(clippy::cast_precision_loss)]
                let pps = attack.pps as f64 * pair.part;
                let line = Line {
                    pair: &pair,
                    protocol: &attack.protocol,
                    bits: packet_bits(attack.mbps, attack.pps),
                    config,
                };
                let of = Some((index, attack, attack_ids[index].as_str()));
                all.streams.push(line.stream(key, attack.prefix, pps, of));
            }
        }
        all
    }

    /// Whether packets of an attack were dropped at Cloudflare so far.
    pub(super) fn dropped(&self, attack: usize) -> bool {
        self.dropped.get(attack).copied().unwrap_or(false)
    }

    /// What reached the routers in the last step.
    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Traffic of one step. `began` has the real time at which each attack began.
    pub(super) fn feed(
        &mut self,
        scenario: &Scenario,
        state: &mut State,
        config: &SimConfig,
        step: Step,
        began: &[Timestamp],
    ) {
        self.seen.clear();
        if step.at > scenario.duration + Duration::from_secs(1) {
            return;
        }
        let interval = config.sample_interval;
        for s in &self.streams {
            let attack = s.attack.map(|i| &scenario.attack[i]);
            let strength = attack.map_or(1.0, |a| a.strength(step.at));
            let packets = s.pps * step.seconds * strength;
            if packets <= 0.0 {
                continue;
            }
            let share = state
                .prefixes
                .by_cidr(s.prefix)
                .map_or(0.0, |p| state.prefixes.share(p, step.now));
            let recognised = attack.is_some_and(|a| step.at >= a.start + a.mitigated_after);
            let dropped_part = if recognised {
                s.drops.iter().map(|d| d.part).sum()
            } else {
                0.0_f64
            };
            let arriving = packets * share;
            let passing = arriving * (1.0 - dropped_part);
            let mut put = |offset: u64, node: &'static str, dims: &Arc<Dims>, packets: f64| {
                state
                    .traffic
                    .feed(s.key + offset, node, dims, step.now, packets, s.packet_bits, interval)
            };
            let at_routers = packets - arriving + passing;
            put(0, MNM, &s.flow, at_routers);
            #[allow(clippy::cast_precision_loss)] // at most 12,000
            let bits = at_routers * s.packet_bits as f64;
            self.seen.push(Seen {
                prefix: s.prefix,
                attack: s.attack,
                packets: at_routers,
                bits,
            });
            let passed = put(1, MAGIC_TRANSIT, &s.passed, passing);
            put(2, TUNNEL_TRAFFIC, &s.tunnel, passing);
            let Some((index, attack)) = s.attack.zip(attack) else {
                continue;
            };
            let mut by_rules = 0;
            if recognised {
                for (offset, drop) in (4..).step_by(2).zip(&s.drops) {
                    let packets = arriving * drop.part;
                    let dropped = put(offset, MAGIC_TRANSIT, &drop.outside, packets);
                    put(offset + 1, drop.node, &drop.inside, packets);
                    self.dropped[index] |= dropped > 0;
                    if drop.node == DOSD {
                        by_rules += dropped;
                    }
                }
                if s.drops.iter().any(|d| d.node == DOSD) {
                    put(3, DOSD, &s.ddos_passed, passing);
                }
            }
            if by_rules > 0 || (passed > 0 && self.dropped[index] && s.drops.iter().any(|d| d.node == DOSD)) {
                let began = began.get(index).copied().unwrap_or(step.now);
                let id = self.attack_ids[index].as_str();
                upsert(state, s, id, attack, began, (by_rules, passed), step.now);
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
    let mut set = |name: &str, value: Value| dims.insert(name.to_owned(), value);
    set("attackId", json!(id));
    set("attackVector", json!(attack.vector));
    set("attackType", json!(attack.vector));
    set("destinationIp", json!(s.pair.host.to_string()));
    set("destinationPort", json!(s.pair.port));
    set("sourceIp", json!(s.pair.source.address.to_string()));
    set("sourcePort", json!(s.pair.source.port));
    set("ipProtocol", json!(protocol_number(&attack.protocol)));
    set("ipProtocolName", json!(attack.protocol));
    if let Some((number, word)) = tcp_flags(&attack.protocol, Some(&attack.vector)) {
        set("tcpFlags", json!(number));
        set("commonTcpFlags", json!(number));
        set("tcpFlagsNames", json!(word));
        set("commonTcpFlagsNames", json!(word));
    }
    set("mitigationType", json!("block"));
    set("mitigationScope", json!("local"));
    set("mitigationReason", json!(attack.rule_name));
    set("ruleId", json!(RULE));
    set("ruleName", json!(attack.rule_name));
    set("rulesetId", json!(RULESET));
    set("startDatetime", json!(second_text(began.as_second())));
    let key = format!("{id}/{}", s.key);
    state
        .traffic
        .upsert_attack(&key, dims, (dropped + passed, dropped), s.packet_bits, now);
}

fn packet_bits(mbps: u64, pps: u64) -> u64 {
    // The smallest Ethernet frame has 64 bytes, the largest here 1500.
    (mbps.saturating_mul(1_000_000) / pps.max(1)).clamp(512, 12_000)
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

/// Flags of the packets: ordinary traffic acknowledges, floods carry what their name says.
fn tcp_flags(protocol: &str, vector: Option<&str>) -> Option<(u8, &'static str)> {
    if !protocol.eq_ignore_ascii_case("TCP") {
        return None;
    }
    let vector = vector.map(str::to_ascii_uppercase);
    Some(match vector.as_deref() {
        None => (16, "ACK"),
        Some(v) if v.contains("SYN-ACK") || v.contains("SYN ACK") => (18, "SYN ACK"),
        Some(v) if v.contains("RST") => (4, "RST"),
        Some(v) if v.contains("ACK") => (16, "ACK"),
        Some(v) if v.contains("FIN") => (1, "FIN"),
        Some(_) => (2, "SYN"),
    })
}

struct Line<'a> {
    pair: &'a Pair,
    protocol: &'a str,
    bits: u64,
    config: &'a SimConfig,
}

impl Line<'_> {
    fn stream(&self, key: u64, prefix: IpNet, pps: f64, attack: Option<(usize, &Attack, &str)>) -> Stream {
        let common = self.common(attack.map(|(_, a, _)| a.vector.as_str()));
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
                text("ruleId", RULE),
                text("ruleName", &a.rule_name),
                text("rulesetId", RULESET),
                text("mitigationReason", &a.rule_name),
                text("mitigationScope", "local"),
            ]);
            dims
        });
        let drops = attack.map_or_else(Vec::new, |(_, a, _)| {
            let one = |(system, part): (&str, f64)| Drop {
                part,
                node: node_of(system),
                outside: with(&common, &[("outcome", "drop"), ("mitigationSystem", system)]),
                inside: with(&ddos, &[("outcome", "drop"), ("verdict", "drop")]),
            };
            let some = a.systems().into_iter().filter(|(_, part)| *part > 0.0);
            some.map(one).collect()
        });
        let passing: [(&str, &str); 4] = [
            ("outcome", "pass"),
            ("mitigationSystem", ""),
            ("egressTunnelName", FIRST_TUNNEL),
            ("offRamp", "GRE"),
        ];
        Stream {
            key,
            prefix,
            attack: attack.map(|(i, _, _)| i),
            pps,
            packet_bits: self.bits,
            pair: self.pair.clone(),
            passed: with(&common, &passing),
            drops,
            ddos_passed: with(&ddos, &[("outcome", "pass"), ("verdict", "pass")]),
            flow: Arc::new(self.flow(attack.map(|(_, a, _)| a.vector.as_str()))),
            tunnel: Arc::new(self.tunnel()),
        }
    }

    /// What every node of packet samples has.
    fn common(&self, vector: Option<&str>) -> Dims {
        let (host, s) = (self.pair.host, &self.pair.source);
        let mut common = Dims::new();
        let mut set = |name: &str, value: Value| common.insert(name.to_owned(), value);
        set("ipDestinationAddress", json!(host.to_string()));
        set("destinationPort", json!(self.pair.port));
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
        set("ethertype", json!(if host.is_ipv4() { 0x0800 } else { 0x86dd }));
        set("ipTotalLength", json!(self.bits / 8));
        set("direction", json!("ingress"));
        set("sampleInterval", json!(self.config.sample_interval));
        if let Some((number, word)) = tcp_flags(self.protocol, vector) {
            set("tcpFlags", json!(number));
            set("tcpFlagsString", json!(word));
        }
        common
    }

    /// What a router exports.
    fn flow(&self, vector: Option<&str>) -> Dims {
        let (host, s) = (self.pair.host, &self.pair.source);
        let (number, word) = tcp_flags(self.protocol, vector).unwrap_or((0, ""));
        [
            ("destinationAddress", json!(host.to_string())),
            ("destinationPort", json!(self.pair.port)),
            ("sourceAddress", json!(s.address.to_string())),
            ("sourcePort", json!(s.port)),
            ("protocol", json!(protocol_number(self.protocol))),
            ("protocolString", json!(self.protocol)),
            ("ethertype", json!(if host.is_ipv4() { 0x0800 } else { 0x86dd })),
            ("routerAddress", json!("192.0.2.254")),
            ("tcpFlags", json!(number)),
            ("tcpFlagsString", json!(word)),
            ("sampleInterval", json!(1000)),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    }

    /// What goes through the tunnel to the customer.
    fn tunnel(&self) -> Dims {
        let s = &self.pair.source;
        [
            ("direction", "ingress"),
            ("tunnelName", FIRST_TUNNEL),
            ("egressTunnelName", FIRST_TUNNEL),
            ("edgeColoCode", s.colo.as_str()),
            ("edgeColoCity", s.colo_city.as_str()),
            ("edgeColoCountry", s.colo_country.as_str()),
            ("edgeColoName", s.colo.as_str()),
            ("edgePopName", s.colo.as_str()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), json!(v)))
        .collect()
    }
}

/// The tunnel that everything takes.
pub(super) const FIRST_TUNNEL: &str = "edge-one";
