//! The managed ruleset "Cloudflare L3/4 DDoS Ruleset": rules as an account sees them. Ids, references and numbers that are
//! published are the real ones; texts, detection expressions and all other ids are made up for the simulator.
//!
//! What must hold, because users' accounts show it: 124 rules of which 29 can be overridden (15 of them list
//! `ddos_dynamic` as an allowed action, although no override may use it) and 95 are read only; 61 block, 46 decide
//! themselves (`ddos_dynamic`), 17 only log.

use serde_json::{Value, json};

use crate::ids::Dice;

/// The managed ruleset of the phase `ddos_l4`; the same for every account.
pub(crate) const DDOS_L4: &str = "3b64149bfa6e4220bbbc2bd6db589552";
/// The managed ruleset of the phase `ddos_l7`, which is listed but says nothing here.
pub(super) const DDOS_L7: &str = "4d21379b4f9f4bb088e0729962c8b3cf";
/// Version that an account has been seen to have.
pub(super) const VERSION: u64 = 3_032;
/// Cloudflare's last change of it, as far as the simulator is concerned.
pub(super) const UPDATED: &str = "2026-02-11T09:30:00.123456Z";

/// Reference, id (made up when empty), categories, default action, whether `ddos_dynamic` is listed, description, expression.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    bool,
    &'static str,
    &'static str,
);

/// Those that can be overridden.
const EDITABLE: [Row; 29] = [
    (
        "TCP-0001",
        "9da0fb429a25436fa543519f4570f19f",
        &["generic", "tcp", "syn"],
        "ddos_dynamic",
        true,
        "Generic flood of TCP SYN packets",
        "tcp.flags.syn and not tcp.flags.ack",
    ),
    (
        "TCP-0002",
        "6efeb57a52e744e89a5413121bd0b3d3",
        &["generic", "tcp"],
        "ddos_dynamic",
        true,
        "Generic flood of TCP packets outside of any connection",
        "tcp and not tcp.flags.syn",
    ),
    (
        "UDP-0001",
        "599dab0942ff4898ac1b7797e954e98b",
        &["generic", "udp"],
        "ddos_dynamic",
        true,
        "Generic high-volume UDP traffic flow",
        "udp",
    ),
    (
        "ICMP-0001",
        "",
        &["generic", "icmp"],
        "block",
        true,
        "Generic flood of ICMP packets",
        "icmp",
    ),
    (
        "GEN-0001",
        "",
        &["generic"],
        "ddos_dynamic",
        true,
        "Generic flood of packets of protocols without rules of their own",
        "not (tcp or udp or icmp)",
    ),
    (
        "DNS-0002",
        "520f5ecec28844ca971a8b3f9c425c26",
        &["generic", "dns", "udp"],
        "ddos_dynamic",
        true,
        "Flood of DNS queries",
        "udp.dstport eq 53",
    ),
    (
        "ESP4-0001",
        "89bd10e19f974b9ba3784db068c2fd70",
        &["esp"],
        "ddos_dynamic",
        true,
        "High-volume IPv4 ESP traffic flow",
        "ip.proto.num eq 50",
    ),
    (
        "ESP6-0001",
        "63996ad8353d42e08188bd6bdcd96fe2",
        &["esp"],
        "ddos_dynamic",
        true,
        "High-volume IPv6 ESP traffic flow",
        "ip.proto.num eq 50",
    ),
    (
        "ESP4-0002",
        "",
        &["esp"],
        "log",
        false,
        "IPv4 ESP fragments",
        "ip.proto.num eq 50 and ip.len lt 64",
    ),
    (
        "ESP6-0002",
        "",
        &["esp"],
        "log",
        false,
        "IPv6 ESP fragments",
        "ip.proto.num eq 50 and ip.len lt 84",
    ),
    (
        "GRE4-0001",
        "",
        &["gre"],
        "ddos_dynamic",
        true,
        "High-volume IPv4 GRE traffic flow",
        "ip.proto.num eq 47",
    ),
    (
        "GRE6-0001",
        "",
        &["gre"],
        "ddos_dynamic",
        true,
        "High-volume IPv6 GRE traffic flow",
        "ip.proto.num eq 47",
    ),
    (
        "GRE4-0002",
        "",
        &["gre"],
        "log",
        false,
        "IPv4 GRE fragments",
        "ip.proto.num eq 47 and ip.len lt 64",
    ),
    (
        "GRE6-0002",
        "",
        &["gre"],
        "log",
        false,
        "IPv6 GRE fragments",
        "ip.proto.num eq 47 and ip.len lt 84",
    ),
    (
        "SIP-0001",
        "",
        &["sip", "udp"],
        "block",
        true,
        "Flood of SIP messages over UDP",
        "udp.dstport in {5060 5061}",
    ),
    (
        "UDP4-0002",
        "afd7c2341e974f1c985c338934228119",
        &["sip", "udp"],
        "block",
        true,
        "Flood of packets to SIP ports",
        "udp.dstport in {5060 5061}",
    ),
    (
        "UDP4-0001",
        "cdc6573a5b60439d80eb792d70534fe6",
        &["udp"],
        "block",
        true,
        "Flood of IPv4 UDP fragments",
        "udp and ip.len ge 1480",
    ),
    (
        "UDP6-0001",
        "c2671098563b405a8b0600f550d7ad86",
        &["udp"],
        "block",
        true,
        "Flood of IPv6 UDP fragments",
        "udp and ip.len ge 1460",
    ),
    (
        "ENT-0001",
        "",
        &["advanced", "tcp"],
        "log",
        false,
        "Adaptive protection: TCP from unusual countries",
        "tcp",
    ),
    (
        "ENT-0002",
        "",
        &["advanced", "udp"],
        "log",
        false,
        "Adaptive protection: UDP from unusual countries",
        "udp",
    ),
    (
        "ENT-0003",
        "",
        &["advanced", "gre"],
        "log",
        false,
        "Adaptive protection: GRE above the learnt rate",
        "ip.proto.num eq 47",
    ),
    (
        "ENT-0004",
        "90c9e55497724742b60f603fe4e7541c",
        &["advanced", "esp"],
        "log",
        false,
        "Adaptive protection: ESP above the learnt rate",
        "ip.proto.num eq 50",
    ),
    (
        "ENT-0005",
        "f526ae90584b401d8d7dd9f4938e978c",
        &["advanced", "udp"],
        "log",
        false,
        "Adaptive protection: UDP to unusual ports",
        "udp",
    ),
    (
        "ENT-0006",
        "",
        &["advanced", "icmp"],
        "log",
        false,
        "Adaptive protection: ICMP above the learnt rate",
        "icmp",
    ),
    (
        "ENT-0007",
        "",
        &["advanced", "tcp"],
        "log",
        false,
        "Adaptive protection: SYN above the learnt rate",
        "tcp.flags.syn",
    ),
    (
        "ENT-0008",
        "",
        &["advanced", "tcp"],
        "log",
        false,
        "Adaptive protection: ACK above the learnt rate",
        "tcp.flags.ack",
    ),
    (
        "ENT-0009",
        "",
        &["advanced", "dns"],
        "log",
        false,
        "Adaptive protection: DNS above the learnt rate",
        "udp.srcport eq 53",
    ),
    (
        "ENT-0010",
        "",
        &["advanced"],
        "log",
        false,
        "Adaptive protection: protocols above the learnt rate",
        "not (tcp or udp)",
    ),
    (
        "ENT-0011",
        "",
        &["advanced"],
        "block",
        true,
        "Known fingerprints of attack tools",
        "tcp or udp",
    ),
];

/// Families of read-only rules: reference, categories, how many, how many of them block (then decide themselves, then log), expression.
type Family = (&'static str, &'static [&'static str], usize, usize, usize, &'static str);

const READ_ONLY: [Family; 11] = [
    ("TCP", &["tcp"], 22, 12, 9, "tcp"),
    ("UDP", &["udp"], 18, 10, 7, "udp"),
    ("AMP", &["udp", "reflection"], 16, 12, 4, "udp.srcport ne 53"),
    ("DNS", &["udp", "dns"], 9, 5, 4, "udp.srcport eq 53"),
    ("NTP", &["udp", "reflection"], 5, 4, 1, "udp.srcport eq 123"),
    ("SSDP", &["udp", "reflection"], 4, 3, 1, "udp.srcport eq 1900"),
    ("MEMC", &["udp", "reflection"], 3, 2, 1, "udp.srcport eq 11211"),
    ("QUIC", &["udp", "quic"], 5, 3, 2, "udp.dstport eq 443"),
    ("ICMP", &["icmp"], 5, 2, 3, "icmp"),
    ("MIRAI", &["botnet"], 6, 2, 3, "tcp or udp"),
    ("GAME", &["udp", "gaming"], 2, 0, 2, "udp.dstport in {27015..27030}"),
];

/// The rules in their order, in the API's form.
pub(super) fn rules() -> Vec<Value> {
    let made_up = |reference: &str| {
        let seed = reference.bytes().fold(0x6464_6f73_u64, |sum, b| {
            sum.wrapping_mul(31).wrapping_add(u64::from(b))
        });
        Dice::new(seed).hex32()
    };
    let mut all: Vec<Value> = EDITABLE
        .iter()
        .map(|(reference, id, categories, action, dynamic, description, expression)| {
            let allowed: &[&str] = if *dynamic { &["block", "ddos_dynamic", "log"] } else { &["block", "log"] };
            json!({
                "id": if id.is_empty() { made_up(reference) } else { (*id).to_owned() }, "version": "1", "action": action,
                "action_parameters": {"sensitivity_level": "default"}, "categories": categories, "description": description,
                "expression": expression, "enabled": true, "ref": reference, "last_updated": UPDATED,
                "allowed_override_actions": allowed,
            })
        })
        .collect();
    for (family, categories, count, blocking, deciding, expression) in READ_ONLY {
        for n in 0..count {
            // Numbers of read-only rules begin at 0101: those below are the families' rules that can be overridden.
            let reference = format!("{family}-{:04}", 101 + n);
            let action = match n {
                n if n < blocking => "block",
                n if n < blocking + deciding => "ddos_dynamic",
                _ => "log",
            };
            let categories: Vec<&str> = categories.iter().copied().chain(["read-only"]).collect();
            all.push(json!({
                "id": made_up(&reference), "version": "1", "action": action, "categories": categories,
                "description": format!("Known attack of the family {family}, pattern {}", n + 1),
                "expression": expression, "enabled": true, "ref": reference, "last_updated": UPDATED,
                "allowed_override_actions": [],
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn the_numbers_are_those_that_accounts_show() {
        let rules = rules();
        let mut actions: HashMap<&str, usize> = HashMap::new();
        for rule in &rules {
            *actions.entry(rule["action"].as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(rules.len(), 124);
        assert_eq!(
            actions,
            HashMap::from([("block", 61), ("ddos_dynamic", 46), ("log", 17)])
        );
        let allowed = |n: usize| {
            rules
                .iter()
                .filter(|r| r["allowed_override_actions"].as_array().unwrap().len() == n)
                .count()
        };
        assert_eq!((allowed(3), allowed(2), allowed(0)), (15, 14, 95));
        let ids: HashSet<&str> = rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 124);
        for rule in &rules {
            super::super::expression::parse(rule["expression"].as_str().unwrap()).unwrap();
        }
    }
}
