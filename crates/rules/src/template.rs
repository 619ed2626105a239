//! The simple builder: destinations, a service, perhaps sources, made into an expression; and back.
//!
//! Must hold: what is built is an expression that [`Expression::parse`] takes, for IPv4 and IPv6, one address or many,
//! and [`Simple::of`] reads back what [`Simple::expression`] wrote.

mod table;

use domain::prefix::Prefix;

use crate::expression::{Expression, Item, Literal, Node, Refusal, Relation, Subject};
pub use table::TEMPLATES;

/// Ports from the first to the last.
pub type Ports = (u16, u16);

/// A service that many people run.
#[derive(Debug, PartialEq, Eq)]
pub struct Template {
    /// Stable name.
    pub id: &'static str,
    /// Heading it stands under.
    pub group: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// Destination ports of TCP.
    pub tcp: &'static [Ports],
    /// Destination ports of UDP.
    pub udp: &'static [Ports],
    /// IP protocols, where ports say nothing.
    pub protocols: &'static [u8],
    /// Short name of the managed rule it mostly is about; empty where the live ruleset has to be asked for one.
    pub target: &'static str,
}

/// The template of this name.
pub fn template(id: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.id == id)
}

/// What the simple builder asks for. Empty lists stand for "any".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// Addresses and networks that are attacked.
    pub destinations: Vec<Prefix>,
    /// Destination ports of TCP.
    pub tcp: Vec<Ports>,
    /// Destination ports of UDP.
    pub udp: Vec<Ports>,
    /// IP protocols, where ports say nothing.
    pub protocols: Vec<u8>,
    /// Addresses and networks that packets claim to come from. Cloudflare does not recommend it.
    pub sources: Vec<Prefix>,
    /// Source ports of the protocols whose destination ports are given, else of both. Not recommended either.
    pub source_ports: Vec<Ports>,
}

impl Simple {
    /// The service of a template for these destinations.
    pub fn of_template(template: &Template, destinations: Vec<Prefix>) -> Self {
        Self {
            destinations,
            tcp: template.tcp.to_vec(),
            udp: template.udp.to_vec(),
            protocols: template.protocols.to_vec(),
            ..Self::default()
        }
    }

    /// The template with exactly these ports and protocols; the first in the table where two are alike.
    pub fn template(&self) -> Option<&'static Template> {
        TEMPLATES.iter().find(|template| {
            same(template.tcp, &self.tcp) && same(template.udp, &self.udp) && same(template.protocols, &self.protocols)
        })
    }

    /// The expression; `true` where nothing is asked for.
    ///
    /// # Errors
    /// When it becomes longer than Cloudflare takes, or a range of ports is upside down.
    pub fn expression(&self) -> Result<Expression, Refusal> {
        let mut conditions = Vec::new();
        conditions.extend(addresses("ip.dst", &self.destinations));
        let mut services = Vec::new();
        services.extend(ports("tcp.dstport", &self.tcp));
        services.extend(ports("udp.dstport", &self.udp));
        let protocols: Vec<String> = self.protocols.iter().map(ToString::to_string).collect();
        services.extend(set("ip.proto.num", &protocols));
        conditions.extend(either(services));
        conditions.extend(addresses("ip.src", &self.sources));
        let mut from = Vec::new();
        if self.udp.is_empty() || !self.tcp.is_empty() {
            from.extend(ports("tcp.srcport", &self.source_ports));
        }
        if self.tcp.is_empty() || !self.udp.is_empty() {
            from.extend(ports("udp.srcport", &self.source_ports));
        }
        conditions.extend(either(from));
        let text = if conditions.is_empty() {
            "true".to_owned()
        } else {
            conditions.join(" and ")
        };
        Expression::parse(&text)
    }

    /// What the builder would have been asked for to write this expression. `None` for anything else.
    pub fn of(expression: &Expression) -> Option<Self> {
        let mut simple = Self::default();
        let conditions = match expression.root() {
            Node::And(parts) => parts.as_slice(),
            Node::Always(true) => &[],
            one => std::slice::from_ref(one),
        };
        for condition in conditions {
            let alternatives = match condition {
                Node::Or(parts) => parts.as_slice(),
                one => std::slice::from_ref(one),
            };
            for alternative in alternatives {
                simple.take(alternative)?;
            }
        }
        // Only what comes out the same is the same.
        let again = simple.expression().ok()?;
        (again.root() == expression.root()).then_some(simple)
    }

    fn take(&mut self, node: &Node) -> Option<()> {
        let (name, items) = match node {
            Node::In(Subject::Field(field), items) => (field.name, items.clone()),
            Node::Compare(Subject::Field(field), Relation::Equal, value) => {
                let item = match value {
                    Literal::Number(number) => Item::Numbers(*number, *number),
                    Literal::Address(address) => Item::Addresses(*address, *address),
                    Literal::Text(_) => return None,
                };
                (field.name, vec![item])
            }
            _ => return None,
        };
        match name {
            "ip.dst" => self.destinations = networks(&items)?,
            "ip.src" => self.sources = networks(&items)?,
            "tcp.dstport" => self.tcp = port_ranges(&items)?,
            "udp.dstport" => self.udp = port_ranges(&items)?,
            "tcp.srcport" | "udp.srcport" => self.source_ports = port_ranges(&items)?,
            "ip.proto.num" => {
                let one = |item: &Item| match item {
                    Item::Numbers(from, to) if from == to => u8::try_from(*from).ok(),
                    _ => None,
                };
                self.protocols = items.iter().map(one).collect::<Option<_>>()?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn same<T: Ord + Clone>(one: &[T], other: &[T]) -> bool {
    let sorted = |list: &[T]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}

fn addresses(field: &str, networks: &[Prefix]) -> Option<String> {
    let text = |network: &Prefix| {
        let net = network.net();
        if net.prefix_len() == net.max_prefix_len() {
            net.addr().to_string()
        } else {
            net.to_string()
        }
    };
    match networks {
        [one] if one.net().prefix_len() == one.net().max_prefix_len() => Some(format!("{field} eq {}", text(one))),
        [] => None,
        many => Some(format!(
            "{field} in {{{}}}",
            many.iter().map(text).collect::<Vec<_>>().join(" ")
        )),
    }
}

fn ports(field: &str, ranges: &[Ports]) -> Option<String> {
    let text = |(from, to): &Ports| {
        if from == to {
            from.to_string()
        } else {
            format!("{from}..{to}")
        }
    };
    set(field, &ranges.iter().map(text).collect::<Vec<_>>())
}

fn set(field: &str, values: &[String]) -> Option<String> {
    match values {
        [] => None,
        [one] if !one.contains("..") => Some(format!("{field} eq {one}")),
        many => Some(format!("{field} in {{{}}}", many.join(" "))),
    }
}

fn either(mut conditions: Vec<String>) -> Option<String> {
    match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(format!("({})", conditions.join(" or "))),
    }
}

fn networks(items: &[Item]) -> Option<Vec<Prefix>> {
    items.iter().map(network).collect()
}

/// The one network that has exactly these addresses.
fn network(item: &Item) -> Option<Prefix> {
    let Item::Addresses(from, to) = item else { return None };
    let most = if from.is_ipv4() { 32 } else { 128 };
    (0..=most).rev().find_map(|length| {
        let network: Prefix = format!("{from}/{length}").parse().ok()?;
        let net = network.net();
        (net.network() == *from && net.broadcast() == *to).then_some(network)
    })
}

fn port_ranges(items: &[Item]) -> Option<Vec<Ports>> {
    let one = |item: &Item| match item {
        Item::Numbers(from, to) => Some((u16::try_from(*from).ok()?, u16::try_from(*to).ok()?)),
        _ => None,
    };
    items.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_makes_an_expression_and_is_found_again() {
        let places = [
            vec!["192.0.2.7/32".parse().unwrap()],
            vec!["2001:db8:7::/48".parse().unwrap(), "192.0.2.0/24".parse().unwrap()],
            vec![],
        ];
        for template in TEMPLATES {
            for destinations in &places {
                let simple = Simple::of_template(template, destinations.clone());
                let expression = simple.expression().unwrap();
                let read = Simple::of(&expression).unwrap_or_else(|| panic!("{expression}"));
                assert_eq!(read, simple, "{expression}");
                let found = read.template().unwrap();
                assert!(
                    same(found.tcp, template.tcp) && same(found.udp, template.udp),
                    "{} is found as {}",
                    template.id,
                    found.id
                );
            }
        }
    }

    #[test]
    fn ids_are_unique_and_groups_stand_together() {
        let mut seen = Vec::new();
        let mut groups: Vec<&str> = Vec::new();
        for template in TEMPLATES {
            assert!(!seen.contains(&template.id), "{}", template.id);
            seen.push(template.id);
            if groups.last() != Some(&template.group) {
                assert!(!groups.contains(&template.group), "{}", template.group);
                groups.push(template.group);
            }
        }
        assert_eq!((groups.len(), TEMPLATES.len() >= 70), (16, true), "{}", TEMPLATES.len());
    }

    #[test]
    fn sources_and_several_protocols() {
        let simple = Simple {
            destinations: vec!["192.0.2.1/32".parse().unwrap(), "192.0.2.9/32".parse().unwrap()],
            tcp: vec![(53, 53)],
            udp: vec![(53, 53), (1_024, 2_000)],
            sources: vec!["198.51.100.0/24".parse().unwrap()],
            source_ports: vec![(123, 123)],
            ..Simple::default()
        };
        let expression = simple.expression().unwrap();
        assert_eq!(
            expression.text(),
            "ip.dst in {192.0.2.1 192.0.2.9} and (tcp.dstport eq 53 or udp.dstport in {53 1024..2000}) and ip.src in \
             {198.51.100.0/24} and (tcp.srcport eq 123 or udp.srcport eq 123)"
        );
        assert_eq!(Simple::of(&expression), Some(simple));
        for other in [
            "not ip.dst eq 192.0.2.1",
            "tcp.flags.syn",
            "ip.len gt 9",
            "ip.dst eq 192.0.2.1 or tcp.dstport eq 1",
        ] {
            assert_eq!(Simple::of(&Expression::parse(other).unwrap()), None, "{other}");
        }
        assert_eq!(Simple::default().expression().unwrap().text(), "true");
    }
}
