//! Listening addresses and lists of networks, IPv4 and IPv6 alike.

use std::net::{IpAddr, SocketAddr};

use domain::prefix::{Prefix, PrefixError};

use super::{MAX_ITEMS, text, wrong_type};
use crate::json::{Data, Node};
use crate::keys::{Key, Kind};
use crate::report::Code;
use crate::site::{Problems, Site, cut};

/// What the word `cloudflare` stands for where senders of notifications are listed: the addresses Cloudflare publishes
/// (<https://www.cloudflare.com/ips-v4>). They change rarely; a network that is missing is listed beside the word.
const CLOUDFLARE: [&str; 15] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
];

/// `address:port`, the address as number: a name could mean another interface tomorrow.
pub(super) fn listen(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<SocketAddr> {
    let text = text(key, node, site, problems)?.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    let remedy = if text.parse::<IpAddr>().is_ok() {
        "add the port: \"127.0.0.1:8080\", \"[::1]:8080\"".to_owned()
    } else if port.parse::<u16>().is_ok() {
        format!("write the address as numbers: \"127.0.0.1:{port}\", \"[::1]:{port}\"")
    } else {
        "write \"127.0.0.1:8080\", or \"[::1]:8080\"; a port is at most 65535".to_owned()
    };
    problems.error(Code::InvalidValue, site, "an address with a port is expected", remedy);
    None
}

/// A list of networks. Reports each bad element, repeated and nested ones.
pub(super) fn list(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<Vec<Prefix>> {
    let Data::List(items) = &node.data else {
        return wrong_type(key, node, site, problems);
    };
    if items.len() > MAX_ITEMS {
        problems.error(
            Code::OutOfRange,
            site,
            format!("the list has {} elements, at most {MAX_ITEMS} are allowed", items.len()),
            "list the networks that contain them",
        );
        return None;
    }
    let mut found: Vec<(Prefix, Site)> = Vec::new();
    let mut good = true;
    for (position, item) in items.iter().enumerate() {
        let site = site.part(&format!("[{position}]"), item, cut(&item.compact()));
        match &item.data {
            Data::Text(text) if key.path == "webhook.allowed_sources" && text.trim() == "cloudflare" => {
                let ranges = CLOUDFLARE.iter().filter_map(|text| text.parse().ok());
                found.extend(ranges.map(|range| (range, site.clone())));
            }
            Data::Text(text) => match read_prefix(key.kind, text, &site, problems) {
                Some(prefix) => found.push((prefix, site)),
                None => good = false,
            },
            other => {
                problems.error(
                    Code::WrongType,
                    &site,
                    format!("a network as text is expected, found {}", other.found()),
                    "write it as \"203.0.113.0/24\" or \"2001:db8::/32\"",
                );
                good = false;
            }
        }
    }
    good &= report_overlaps(&found, problems);
    good.then(|| found.into_iter().map(|(prefix, _)| prefix).collect())
}

/// One network. `Kind::Prefixes` wants the length; for clients a bare address is itself.
pub(crate) fn read_prefix(kind: Kind, text: &str, site: &Site, problems: &mut Problems) -> Option<Prefix> {
    let announced = kind == Kind::Prefixes;
    let mut fail = |code, what: String, remedy: String| {
        problems.error(code, site, what, remedy);
        None
    };
    match Prefix::parse_strict(text) {
        Ok(prefix) if announced && !text.contains('/') => fail(
            Code::InvalidValue,
            "the length of the network is missing".to_owned(),
            format!(
                "write {}, or \"{prefix}\" if the single address is meant",
                if prefix.is_ipv6() {
                    "it as \"2001:db8::/48\""
                } else {
                    "it as \"203.0.113.0/24\""
                }
            ),
        ),
        Ok(prefix) if announced && prefix.length() == 0 => fail(
            Code::OutOfRange,
            "this network contains every address".to_owned(),
            "list the networks that are yours".to_owned(),
        ),
        Ok(prefix) => Some(prefix),
        Err(PrefixError::HostBits { network, .. }) => fail(
            Code::HostBits,
            format!("bits are set below the length; the network is {network}"),
            if announced {
                format!("write \"{network}\"")
            } else {
                format!("write \"{network}\", or the address without length if it alone is meant")
            },
        ),
        Err(PrefixError::NotANetwork(_)) => fail(
            Code::InvalidValue,
            "this is not a network".to_owned(),
            if announced {
                "write it as \"203.0.113.0/24\" or \"2001:db8::/48\"".to_owned()
            } else {
                "write it as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\"".to_owned()
            },
        ),
    }
}

/// Repeated networks are errors (two spellings hide which one is meant), nested ones a warning.
/// Each network is reported once. Returns whether there was no error.
pub(crate) fn report_overlaps(found: &[(Prefix, Site)], problems: &mut Problems) -> bool {
    let mut good = true;
    for (position, (prefix, site)) in found.iter().enumerate() {
        let repeated = found.iter().take(position).find(|(other, _)| other == prefix);
        if let Some((_, first)) = repeated {
            problems.error(
                Code::DuplicatePrefix,
                site,
                format!("{prefix} is listed already{}", as_key(first)),
                "keep one of the two",
            );
            good = false;
            continue;
        }
        let outer = found
            .iter()
            .filter(|(other, _)| other != prefix && other.contains(*prefix))
            .max_by_key(|(other, _)| other.length());
        if let Some((outer, outer_site)) = outer {
            problems.warning(
                Code::OverlappingPrefixes,
                site,
                format!("{prefix} lies inside {outer}{}", as_key(outer_site)),
                "fine if both are announced on their own; else keep the one that is meant",
            );
        }
    }
    good
}

fn as_key(site: &Site) -> String {
    site.key.as_ref().map_or_else(String::new, |key| format!(" ({key})"))
}
