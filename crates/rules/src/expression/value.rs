//! Values as the field they are compared with wants them: numbers, addresses, ranges, networks, texts.

use std::net::IpAddr;

use domain::prefix::{Prefix, PrefixError};

use super::field::{Field, Type};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// A text, as it stood between the quotes.
    Text(String),
}

/// A member of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Numbers from the first to the last.
    Numbers(u64, u64),
    /// Addresses from the first to the last.
    Addresses(IpAddr, IpAddr),
    /// A text.
    Text(String),
}

/// What is wrong with a value, and what to write instead.
pub(super) type Wrong = (String, Option<String>);

fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Wrong {
    (message.into(), Some(hint.into()))
}

/// Reads one value for `field`, which holds `holds`.
pub(super) fn literal(word: &str, field: &str, holds: Type) -> Result<Literal, Wrong> {
    match holds {
        Type::Number(most) => number(word, field, most).map(Literal::Number),
        Type::Address => {
            if word.contains('/') {
                return Err(wrong(
                    "a network stands only inside a set",
                    format!("write {field} in {{{word}}}"),
                ));
            }
            if word.contains("..") {
                return Err(wrong(
                    "a range stands only inside a set",
                    format!("write {field} in {{{word}}}"),
                ));
            }
            address(word).map(Literal::Address)
        }
        Type::Text => Err(wrong(
            format!("{field} is compared with a text"),
            format!("put it in double quotes: \"{word}\""),
        )),
        Type::Flag | Type::Raw => Err((format!("{field} is not compared with a value"), None)),
    }
}

/// Reads a member of a set for `field`, which holds `holds`.
pub(super) fn item(word: &str, field: &str, holds: Type) -> Result<Item, Wrong> {
    match holds {
        Type::Number(most) => match word.split_once("..") {
            None => number(word, field, most).map(|one| Item::Numbers(one, one)),
            Some((from, to)) => {
                let (from, to) = (end_of(from, field, most)?, end_of(to, field, most)?);
                if from > to {
                    return Err(wrong("the range is upside down", format!("write {to}..{from}")));
                }
                Ok(Item::Numbers(from, to))
            }
        },
        Type::Address => addresses(word),
        _ => literal(word, field, holds).map(|_| Item::Text(word.to_owned())),
    }
}

fn end_of(word: &str, field: &str, most: u64) -> Result<u64, Wrong> {
    if word.is_empty() {
        return Err(wrong(
            "a range has two ends",
            format!("write both, such as 1024..{most}"),
        ));
    }
    number(word, field, most)
}

fn number(word: &str, field: &str, most: u64) -> Result<u64, Wrong> {
    if word.contains("..") {
        return Err(wrong(
            "a range stands only inside a set",
            format!("write {field} in {{{word}}}"),
        ));
    }
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong(
            "a number does not begin with 0",
            format!("write {}", digits.trim_start_matches('0')),
        ));
    }
    let Ok(value) = u64::from_str_radix(digits, radix) else {
        return Err(not_a_number(word, field, most));
    };
    if digits.starts_with('+') {
        return Err(not_a_number(word, field, most));
    }
    if value > most {
        return Err((format!("{value} is too large: {field} goes from 0 to {most}"), None));
    }
    Ok(value)
}

fn not_a_number(word: &str, field: &str, most: u64) -> Wrong {
    let hint = match (field, word.to_ascii_lowercase().as_str()) {
        ("ip.proto.num", "tcp") => "TCP is 6".to_owned(),
        ("ip.proto.num", "udp") => "UDP is 17".to_owned(),
        ("ip.proto.num", "icmp") => "ICMP is 1, ICMPv6 is 58".to_owned(),
        ("ip.proto.num", "gre") => "GRE is 47".to_owned(),
        ("ip.proto.num", "esp") => "ESP is 50".to_owned(),
        (_, word) if word.ends_with("port") => "write the number of the port".to_owned(),
        (_, word) => service(word).map_or_else(
            || format!("write a number from 0 to {most}"),
            |port| format!("names of services are not understood: {word} is {port}"),
        ),
    };
    wrong(format!("'{}' is no number", short(word)), hint)
}

fn service(word: &str) -> Option<u16> {
    Some(match word {
        "http" => 80,
        "https" => 443,
        "ssh" => 22,
        "dns" | "domain" => 53,
        "smtp" => 25,
        "ntp" => 123,
        "rdp" => 3389,
        _ => return None,
    })
}

fn address(word: &str) -> Result<IpAddr, Wrong> {
    word.parse::<IpAddr>().map_err(|_| {
        let hint = if word.parse::<f64>().is_ok() && !word.contains(':') {
            "an address has four numbers from 0 to 255, such as 192.0.2.1"
        } else if word.contains(':') {
            "an address looks like 2001:db8::1; a port is a condition of its own"
        } else if word.chars().any(|c| c.is_ascii_alphabetic()) {
            "host names are not understood; write the address"
        } else {
            "an address looks like 192.0.2.1 or 2001:db8::1"
        };
        wrong(format!("'{}' is no address", short(word)), hint)
    })
}

fn addresses(word: &str) -> Result<Item, Wrong> {
    if let Some((from, to)) = word.split_once("..") {
        let (from, to) = (address(from)?, address(to)?);
        if from.is_ipv4() != to.is_ipv4() {
            return Err(wrong("the range goes from one family to the other", "write two ranges"));
        }
        if from > to {
            return Err(wrong("the range is upside down", format!("write {to}..{from}")));
        }
        return Ok(Item::Addresses(from, to));
    }
    let Some((network, _)) = word.split_once('/') else {
        return address(word).map(|one| Item::Addresses(one, one));
    };
    match Prefix::parse_strict(word) {
        Ok(prefix) => Ok(ends(prefix)),
        Err(PrefixError::HostBits { network, .. }) => Err(wrong(
            format!("'{}' has bits behind its length", short(word)),
            format!("the network is {network}"),
        )),
        Err(PrefixError::NotANetwork(_)) => {
            address(network)?;
            Err(wrong(
                format!("'{}' is no network", short(word)),
                "the length is 0 to 32 for IPv4, 0 to 128 for IPv6",
            ))
        }
    }
}

/// A network as the range of its addresses.
pub(super) fn ends(prefix: Prefix) -> Item {
    match prefix.net() {
        ipnet::IpNet::V4(net) => Item::Addresses(net.network().into(), net.broadcast().into()),
        ipnet::IpNet::V6(net) => Item::Addresses(net.network().into(), net.broadcast().into()),
    }
}

/// What stands for `field` in a comparison, in words.
pub(super) fn wanted(field: &Field) -> &'static str {
    match field.holds {
        Type::Address => "an address",
        Type::Number(_) => "a number",
        Type::Text => "a text in double quotes",
        Type::Flag | Type::Raw => "no value",
    }
}

pub(super) fn short(word: &str) -> String {
    const MOST: usize = 40;
    if word.chars().count() <= MOST {
        return word.to_owned();
    }
    let head: String = word.chars().take(MOST).collect();
    format!("{head}…")
}
