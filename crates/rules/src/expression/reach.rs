//! What an expression can apply to at most: protocols, address families, and whether it takes in all of another.
//!
//! Must hold: the answers err to one side only. A protocol that an expression may match is never left out, and "covers" is
//! said only when it is certain.

use std::net::IpAddr;

use super::field::Field;
use super::value::{Item, Literal};
use super::{Node, Relation, Subject};

/// A set of IP protocol numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols([u64; 4]);

impl Protocols {
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; 4]);
    /// None.
    pub const NONE: Self = Self([0; 4]);

    /// These ones.
    pub fn of(numbers: &[u8]) -> Self {
        let mut set = Self::NONE;
        for number in numbers {
            set.0[usize::from(number / 64)] |= 1 << (number % 64);
        }
        set
    }

    /// Whether it holds this number.
    pub fn has(self, number: u8) -> bool {
        self.0[usize::from(number / 64)] & (1 << (number % 64)) != 0
    }

    /// What both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// What one of them holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// What it does not hold.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(self.0.map(|part| !part))
    }
}

/// Field names whose comparison fixes the protocol itself.
const PROTOCOL: &str = "ip.proto.num";

fn subject_of(node: &Node) -> Option<&'static Field> {
    match node {
        Node::Flag(field) => Some(field),
        Node::Compare(Subject::Field(field) | Subject::BitSlice(field, _, _), _, _)
        | Node::In(Subject::Field(field) | Subject::BitSlice(field, _, _), _)
        | Node::InList(Subject::Field(field) | Subject::BitSlice(field, _, _), _) => Some(field),
        _ => None,
    }
}

/// The protocols that the packets it applies to may have.
pub fn protocols(node: &Node) -> Protocols {
    match node {
        Node::Always(true) => Protocols::ALL,
        Node::Always(false) => Protocols::NONE,
        Node::Not(inside) => match subject_of(inside) {
            Some(field) if field.name == PROTOCOL => protocols(inside).complement(),
            _ => Protocols::ALL,
        },
        Node::And(parts) => parts.iter().map(protocols).fold(Protocols::ALL, Protocols::and),
        Node::Or(parts) | Node::Xor(parts) => parts.iter().map(protocols).fold(Protocols::NONE, Protocols::or),
        leaf => match subject_of(leaf) {
            Some(field) if field.name == PROTOCOL => ranges(leaf).map_or(Protocols::ALL, |(_, ranges)| {
                let all: Vec<u8> = (0..=u8::MAX)
                    .filter(|number| {
                        ranges
                            .iter()
                            .any(|(from, to)| (*from..=*to).contains(&key_of(u64::from(*number))))
                    })
                    .collect();
                Protocols::of(&all)
            }),
            Some(field) if !field.protocols.is_empty() => Protocols::of(field.protocols),
            _ => Protocols::ALL,
        },
    }
}

/// Whether packets of IPv4 and of IPv6 may be among those it applies to.
pub fn families(node: &Node) -> (bool, bool) {
    match node {
        Node::Always(always) => (*always, *always),
        Node::And(parts) => parts
            .iter()
            .map(families)
            .fold((true, true), |all, one| (all.0 && one.0, all.1 && one.1)),
        Node::Or(parts) | Node::Xor(parts) => parts
            .iter()
            .map(families)
            .fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1)),
        Node::Compare(_, Relation::Equal, Literal::Address(address)) => (address.is_ipv4(), address.is_ipv6()),
        Node::In(_, items) => {
            let mut found = (false, false);
            for item in items {
                match item {
                    Item::Addresses(from, _) if from.is_ipv4() => found.0 = true,
                    Item::Addresses(..) => found.1 = true,
                    _ => found = (true, true),
                }
            }
            found
        }
        _ => (true, true),
    }
}

/// Whether certainly every packet that `inner` applies to is one that `outer` applies to.
pub fn covers(outer: &Node, inner: &Node) -> bool {
    if outer == inner || *outer == Node::Always(true) || *inner == Node::Always(false) {
        return true;
    }
    match (outer, inner) {
        (_, Node::Or(parts)) => parts.iter().all(|part| covers(outer, part)),
        (Node::And(parts), _) => parts.iter().all(|part| covers(part, inner)),
        (Node::Or(parts), Node::And(inside)) => {
            parts.iter().any(|part| covers(part, inner)) || inside.iter().any(|part| covers(outer, part))
        }
        (Node::Or(parts), _) => parts.iter().any(|part| covers(part, inner)),
        (_, Node::And(parts)) => {
            parts.iter().any(|part| covers(outer, part)) || covers_protocols(outer, protocols(inner))
        }
        _ => covers_leaf(outer, inner),
    }
}

fn covers_leaf(outer: &Node, inner: &Node) -> bool {
    if let (Some((outer_subject, outer)), Some((inner_subject, inner))) = (ranges(outer), ranges(inner))
        && outer_subject == inner_subject
    {
        let merged = merged(outer);
        return inner
            .iter()
            .all(|(from, to)| merged.iter().any(|(low, high)| low <= from && to <= high));
    }
    covers_protocols(outer, protocols(inner))
}

/// A comparison of the protocol number covers whatever can only have such numbers.
fn covers_protocols(outer: &Node, inner: Protocols) -> bool {
    let is_protocol = subject_of(outer).is_some_and(|field| field.name == PROTOCOL);
    is_protocol && inner != Protocols::ALL && protocols(outer).and(inner) == inner
}

/// Numbers and addresses in one order: IPv4, then IPv6; numbers stand alone.
type Key = (u8, u128);

fn key_of(number: u64) -> Key {
    (0, u128::from(number))
}

fn key_of_address(address: IpAddr) -> Key {
    match address {
        IpAddr::V4(address) => (4, u128::from(u32::from(address))),
        IpAddr::V6(address) => (6, u128::from(address)),
    }
}

/// What a comparison lets through, as ranges. `None` where that cannot be said.
fn ranges(node: &Node) -> Option<(&Subject, Vec<(Key, Key)>)> {
    const FIRST: Key = (0, 0);
    const LAST: Key = (0, u64::MAX as u128);
    let (subject, found) = match node {
        Node::In(subject, items) => {
            let all = items.iter().map(|item| match item {
                Item::Numbers(from, to) => Some((key_of(*from), key_of(*to))),
                Item::Addresses(from, to) => Some((key_of_address(*from), key_of_address(*to))),
                Item::Text(_) => None,
            });
            (subject, all.collect::<Option<Vec<_>>>()?)
        }
        Node::Compare(subject, Relation::Equal, Literal::Address(address)) => {
            let key = key_of_address(*address);
            (subject, vec![(key, key)])
        }
        Node::Compare(subject, relation, Literal::Number(number)) => {
            let at = key_of(*number);
            let below = number.checked_sub(1).map(key_of);
            let above = number.checked_add(1).map(key_of);
            let down = below.map(|below| (FIRST, below));
            let up = above.map(|above| (above, LAST));
            let ranges = match relation {
                Relation::Equal => vec![(at, at)],
                Relation::Less => down.into_iter().collect(),
                Relation::LessOrEqual => vec![(FIRST, at)],
                Relation::Greater => up.into_iter().collect(),
                Relation::GreaterOrEqual => vec![(at, LAST)],
                Relation::NotEqual => down.into_iter().chain(up).collect(),
                _ => return None,
            };
            (subject, ranges)
        }
        _ => return None,
    };
    Some((subject, found))
}

fn merged(mut ranges: Vec<(Key, Key)>) -> Vec<(Key, Key)> {
    ranges.sort_unstable();
    let mut merged: Vec<(Key, Key)> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some((_, end)) if end.0 == from.0 && from.1 <= end.1.saturating_add(1) => *end = (*end).max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, Scope};
    use super::*;

    fn node(text: &str) -> Node {
        Expression::parse_for(text, Scope::DdosL4).expect(text).root().clone()
    }

    #[test]
    fn protocols_that_an_expression_may_match() {
        for (text, expected) in [
            ("tcp.dstport eq 80", Protocols::of(&[6])),
            ("ip.dst eq 192.0.2.1 and udp.dstport eq 53", Protocols::of(&[17])),
            ("tcp.dstport eq 53 or udp.dstport eq 53", Protocols::of(&[6, 17])),
            ("ip.proto.num in {50 51}", Protocols::of(&[50, 51])),
            ("ip.proto.num lt 2", Protocols::of(&[0, 1])),
            ("not ip.proto.num eq 6", Protocols::of(&[6]).complement()),
            ("not tcp.dstport eq 80", Protocols::ALL),
            ("tcp.flags.syn and udp.dstport eq 1", Protocols::NONE),
            ("ip.dst eq 192.0.2.1", Protocols::ALL),
        ] {
            assert_eq!(protocols(&node(text)), expected, "{text}");
        }
        assert_eq!(families(&node("ip.dst in {192.0.2.0/24}")), (true, false));
        assert_eq!(families(&node("ip.dst in {192.0.2.0/24 2001:db8::/32}")), (true, true));
        assert_eq!(
            families(&node("ip.dst eq 192.0.2.1 and ip.src eq 2001:db8::1")),
            (false, false)
        );
    }

    #[test]
    fn what_certainly_takes_in_another() {
        for (outer, inner, expected) in [
            ("true", "ip.dst eq 192.0.2.1", true),
            (
                "ip.dst in {192.0.2.0/24}",
                "ip.dst eq 192.0.2.1 and udp.dstport eq 53",
                true,
            ),
            (
                "ip.dst in {192.0.2.0/25 192.0.2.128/25}",
                "ip.dst in {192.0.2.0/24}",
                true,
            ),
            ("ip.dst in {192.0.2.0/25}", "ip.dst in {192.0.2.0/24}", false),
            ("udp.dstport ge 1024", "udp.dstport in {2000..3000}", true),
            ("udp.dstport ge 1024", "udp.dstport in {53 2000}", false),
            ("udp.dstport ge 1024", "tcp.dstport eq 2000", false),
            ("ip.proto.num eq 17", "udp.dstport eq 53", true),
            ("ip.proto.num eq 6", "udp.dstport eq 53", false),
            ("ip.proto.num eq 6", "ip.dst eq 192.0.2.1", false),
            ("tcp.dstport eq 80 or tcp.dstport eq 443", "tcp.dstport eq 443", true),
            ("tcp.dstport eq 80", "tcp.dstport eq 80 or tcp.dstport eq 443", false),
            (
                "ip.dst in {2001:db8::/32} and tcp.dstport eq 80",
                "ip.dst eq 2001:db8::1",
                false,
            ),
            ("not ip.dst eq 192.0.2.1", "ip.dst eq 192.0.2.2", false),
        ] {
            assert_eq!(covers(&node(outer), &node(inner)), expected, "{outer} | {inner}");
        }
    }
}
