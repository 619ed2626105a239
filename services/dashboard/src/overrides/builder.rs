//! The simple builder's fields: a service, destinations, ports, protocols, sources; made into a condition, and back.
//!
//! Must hold: every list takes several values, IPv4 and IPv6, networks and single addresses, ports and ranges; what cannot be
//! meant is named by its field; what a condition was built from is shown again when it is edited.

use domain::prefix::Prefix;
use rules::expression::Expression;
use rules::template::{Ports, Simple, template};
use serde::Deserialize;

use super::{chosen, wrong};
use crate::answer::Failure;
use crate::words;

/// Values of one field at most; a longer condition is longer than Cloudflare takes anyway.
const MOST: usize = 200;

/// Protocols that people know by name. Source: IANA, protocol numbers.
const PROTOCOLS: [(&str, u8); 9] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("sctp", 132),
];

/// The fields as they were written: several values with spaces or commas between them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Builder {
    /// Service, by its id.
    pub(crate) service: Option<String>,
    /// Addresses and networks.
    pub(crate) destinations: Option<String>,
    /// Destination ports besides those of the service: `80`, `8000-8100`.
    pub(crate) tcp_ports: Option<String>,
    pub(crate) udp_ports: Option<String>,
    /// IP protocols, by number or name.
    pub(crate) protocols: Option<String>,
    /// Addresses and networks.
    pub(crate) sources: Option<String>,
    pub(crate) source_ports: Option<String>,
}

impl Builder {
    /// What the fields would have to say for this condition; empty ones where the builder cannot make it.
    pub(crate) fn of(expression: &str) -> Self {
        let simple = Expression::parse(expression)
            .ok()
            .and_then(|parsed| Simple::of(&parsed));
        let Some(simple) = simple else { return Self::default() };
        let service = simple.template();
        let networks = |list: &[Prefix]| {
            let texts = list.iter().map(|network| {
                let net = network.net();
                if net.prefix_len() == net.max_prefix_len() {
                    net.addr().to_string()
                } else {
                    net.to_string()
                }
            });
            Some(texts.collect::<Vec<_>>().join(" "))
        };
        let ports = |list: &[Ports]| {
            let texts = list.iter().map(|(from, to)| {
                if from == to {
                    from.to_string()
                } else {
                    format!("{from}-{to}")
                }
            });
            Some(texts.collect::<Vec<_>>().join(" "))
        };
        // The ports of a service stand for themselves.
        let own = |list: &[Ports]| ports(if service.is_some() { &[] } else { list });
        let protocols = simple.protocols.iter().map(ToString::to_string);
        Self {
            service: Some(service.map(|service| service.id.to_owned()).unwrap_or_default()),
            destinations: networks(&simple.destinations),
            tcp_ports: own(&simple.tcp),
            udp_ports: own(&simple.udp),
            protocols: service
                .is_none()
                .then(|| protocols.collect::<Vec<_>>().join(" "))
                .or(Some(String::new())),
            sources: networks(&simple.sources),
            source_ports: ports(&simple.source_ports),
        }
    }

    /// Whether any field says anything.
    pub(crate) fn is_asked(&self) -> bool {
        self.named().into_iter().any(|(_, text)| chosen(text).is_some())
    }

    /// Every field with its name in forms.
    pub(crate) fn named(&self) -> [(&'static str, &Option<String>); 7] {
        [
            ("service", &self.service),
            ("destinations", &self.destinations),
            ("tcp_ports", &self.tcp_ports),
            ("udp_ports", &self.udp_ports),
            ("protocols", &self.protocols),
            ("sources", &self.sources),
            ("source_ports", &self.source_ports),
        ]
    }
}

/// The values of a field, each once, in their order.
fn values<T: PartialEq>(
    label: &str,
    written: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Failure> {
    let mut found = Vec::new();
    let texts = written.as_deref().unwrap_or_default();
    let texts = texts.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    for text in texts.filter(|text| !text.is_empty()) {
        let value = read(text).map_err(|why| wrong(format!("{label}: {} {why}.", words::outside_up_to(text, 60))))?;
        if !found.contains(&value) {
            found.push(value);
        }
        if found.len() > MOST {
            return Err(wrong(format!("{label}: at most {MOST} values.")));
        }
    }
    Ok(found)
}

fn network(text: &str) -> Result<Prefix, String> {
    let read = Prefix::parse_strict(text).or_else(|_| text.parse::<std::net::IpAddr>().map(Prefix::host));
    read.map_err(|_| "is no address and no network".to_owned())
}

fn ports(text: &str) -> Result<Ports, String> {
    let (from, to) = text
        .split_once("..")
        .or_else(|| text.split_once('-'))
        .unwrap_or((text, text));
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>()
            .ok()
            .filter(|_| digits)
            .ok_or("is no port from 0 to 65535 and no range such as 8000-8100")
    };
    let (from, to) = (port(from)?, port(to)?);
    if from > to {
        return Err("is a range upside down".to_owned());
    }
    Ok((from, to))
}

fn protocol(text: &str) -> Result<u8, String> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named
        .map(|(_, number)| *number)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "is no protocol: a number from 0 to 255, or a name such as gre".to_owned())
}

/// The condition that the fields make.
///
/// # Errors
/// 400 with the field that cannot be meant.
pub(crate) fn built(builder: &Builder) -> Result<String, Failure> {
    let mut simple = match chosen(&builder.service).as_deref() {
        None => Simple::default(),
        Some(id) => {
            let service = template(id).ok_or_else(|| wrong("There is no such service."))?;
            Simple::of_template(service, Vec::new())
        }
    };
    simple.destinations = values("Destinations", &builder.destinations, network)?;
    simple.sources = values("Sources", &builder.sources, network)?;
    simple.source_ports = values("Source ports", &builder.source_ports, ports)?;
    let more = |list: &mut Vec<Ports>, found: Vec<Ports>| {
        for one in found {
            if !list.contains(&one) {
                list.push(one);
            }
        }
    };
    more(&mut simple.tcp, values("TCP ports", &builder.tcp_ports, ports)?);
    more(&mut simple.udp, values("UDP ports", &builder.udp_ports, ports)?);
    for number in values("Protocols", &builder.protocols, protocol)? {
        if !simple.protocols.contains(&number) {
            simple.protocols.push(number);
        }
    }
    let made = simple
        .expression()
        .map_err(|refusal| wrong(words::outside(&format!("{refusal}."))))?;
    Ok(made.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Builder {
        let fields: serde_json::Map<_, _> = pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).into()))
            .collect();
        serde_json::from_value(fields.into()).unwrap()
    }

    #[test]
    fn a_table_of_conditions_that_read_back() {
        for (fields, expected) in [
            (
                &[
                    ("destinations", "192.0.2.7, 2001:db8:7::/48"),
                    ("tcp_ports", "80 8000-8100"),
                ][..],
                "ip.dst in {192.0.2.7 2001:db8:7::/48} and tcp.dstport in {80 8000..8100}",
            ),
            (
                &[
                    ("service", "dns"),
                    ("sources", "198.51.100.0/24\n2001:db8::9"),
                    ("source_ports", "53"),
                ],
                "udp.dstport eq 53 and ip.src in {198.51.100.0/24 2001:db8::9} and udp.srcport eq 53",
            ),
            (
                &[("destinations", "192.0.2.0/24"), ("protocols", "gre, 50")],
                "ip.dst in {192.0.2.0/24} and ip.proto.num in {47 50}",
            ),
            (
                &[("tcp_ports", "53"), ("udp_ports", "53 1024..2000 53")],
                "(tcp.dstport eq 53 or udp.dstport in {53 1024..2000})",
            ),
            (&[("destinations", " ")], "true"),
        ] {
            let made = built(&asked(fields)).unwrap_or_else(|failure| panic!("{fields:?}: {}", failure.text()));
            assert_eq!(made, expected);
            let again = Builder::of(&made);
            assert_eq!(built(&again).unwrap(), made, "{again:?}");
        }
        assert_eq!(Builder::of("udp.dstport eq 53").service.as_deref(), Some("dns"));
        assert!(!Builder::of("tcp.flags.syn").is_asked(), "what the builder cannot make");
    }

    #[test]
    fn what_cannot_be_meant_is_named_by_field() {
        for (field, text, expected) in [
            ("destinations", "999.1.1.1", "Destinations: 999.1.1.1 is no address"),
            (
                "destinations",
                "192.0.2.7/24",
                "Destinations: 192.0.2.7/24 is no address",
            ),
            ("sources", "2001:db8::/200", "Sources: 2001:db8::/200"),
            ("tcp_ports", "80-", "TCP ports: 80-"),
            ("tcp_ports", "+80", "TCP ports: +80"),
            ("udp_ports", "70000", "UDP ports: 70000"),
            ("source_ports", "9-3", "Source ports: 9-3 is a range upside down"),
            ("protocols", "256", "Protocols: 256"),
            ("service", "no-such", "There is no such service"),
        ] {
            let failure = built(&asked(&[(field, text)])).unwrap_err();
            assert!(failure.text().contains(expected), "{field} {text}: {}", failure.text());
        }
        let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        assert!(built(&asked(&[("tcp_ports", &many.join(" "))])).is_err());
    }
}
