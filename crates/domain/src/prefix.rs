//! Networks as operators write them, and sets of them answered by longest match.
//!
//! A [`Prefix`] never carries host bits: `203.0.113.5/24` and `203.0.113.0/24` would otherwise be
//! two keys for one network. IPv4 and IPv6 share all code; nothing here compares text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;
use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 network with its host bits cleared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(IpNet);

/// Why a text is not a [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Neither an address nor `address/length`.
    #[error("'{0}' is not a network; write it as 203.0.113.0/24 or 2001:db8::/32")]
    NotANetwork(String),
    /// The address has bits below the prefix length.
    #[error("'{given}' has host bits set; the network is {network}")]
    HostBits {
        /// What was written.
        given: String,
        /// The network that contains it.
        network: Prefix,
    },
}

impl Prefix {
    /// The network that contains `net`'s address: host bits are cleared silently.
    pub fn containing(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// The single-address network of `addr` (/32 or /128).
    pub fn host(addr: IpAddr) -> Self {
        Self(IpNet::from(addr))
    }

    /// Reads what people and Cloudflare write and refuses host bits, as Cloudflare does.
    ///
    /// # Errors
    /// [`PrefixError::NotANetwork`] for anything but an address or `address/length`,
    /// [`PrefixError::HostBits`] for `203.0.113.5/24`.
    pub fn parse_strict(text: &str) -> Result<Self, PrefixError> {
        let net = parse_net(text)?;
        let prefix = Self::containing(net);
        if prefix.0 == net {
            Ok(prefix)
        } else {
            Err(PrefixError::HostBits {
                given: text.trim().to_owned(),
                network: prefix,
            })
        }
    }

    /// The underlying network.
    pub fn net(self) -> IpNet {
        self.0
    }

    /// Prefix length in bits.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether this is an IPv6 network.
    pub fn is_ipv6(self) -> bool {
        matches!(self.0, IpNet::V6(_))
    }

    /// Whether `other` lies wholly inside this network (a network contains itself).
    pub fn contains(self, other: Prefix) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether `addr` lies inside this network.
    pub fn contains_addr(self, addr: IpAddr) -> bool {
        self.0.contains(&addr)
    }

    /// Whether the two networks share any address.
    pub fn overlaps(self, other: Prefix) -> bool {
        self.contains(other) || other.contains(self)
    }
}

fn parse_net(text: &str) -> Result<IpNet, PrefixError> {
    let text = text.trim();
    IpNet::from_str(text)
        .or_else(|_| IpAddr::from_str(text).map(IpNet::from))
        .map_err(|_| PrefixError::NotANetwork(text.chars().take(80).collect()))
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Tolerant reading for text from outside: a bare address becomes a host network and host
    /// bits are cleared. Configuration uses [`Prefix::parse_strict`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_net(text).map(Self::containing)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Values keyed by network, found by longest match over IPv4 and IPv6 alike.
#[derive(Clone, Default)]
pub struct PrefixMap<T> {
    map: JointPrefixMap<IpNet, T>,
}

impl<T> PrefixMap<T> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            map: JointPrefixMap::new(),
        }
    }

    /// Stores `value` under `prefix`, returning what was there.
    pub fn insert(&mut self, prefix: Prefix, value: T) -> Option<T> {
        self.map.insert(prefix.0, value)
    }

    /// The value stored under exactly this network.
    pub fn get(&self, prefix: Prefix) -> Option<&T> {
        self.map.get(&prefix.0)
    }

    /// The most specific stored network that contains all of `inner`.
    pub fn longest_match(&self, inner: Prefix) -> Option<(Prefix, &T)> {
        self.map.get_lpm(&inner.0).map(|(net, value)| (Prefix(net), value))
    }

    /// The most specific stored network that contains `addr`.
    pub fn longest_match_addr(&self, addr: IpAddr) -> Option<(Prefix, &T)> {
        self.longest_match(Prefix::host(addr))
    }

    /// All stored networks and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &T)> {
        self.map.iter().map(|(net, value)| (Prefix(net), value))
    }

    /// Number of stored networks.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

impl<T> FromIterator<(Prefix, T)> for PrefixMap<T> {
    fn from_iter<I: IntoIterator<Item = (Prefix, T)>>(iter: I) -> Self {
        let mut map = Self::new();
        for (prefix, value) in iter {
            map.insert(prefix, value);
        }
        map
    }
}

impl<T: fmt::Debug> fmt::Debug for PrefixMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Which of `owners` traffic towards `subnet` belongs to: the most specific owner that contains
/// it, and every owner that lies inside it (a /24 row says nothing about which /25 was meant, so
/// it counts for each). Sorted; empty when nothing overlaps.
pub fn owners_of(owners: &PrefixMap<()>, subnet: Prefix) -> Vec<Prefix> {
    let around = owners.longest_match(subnet).map(|(owner, ())| owner);
    let inside = owners.map.children(&subnet.0).map(|(net, ())| Prefix(net));
    let mut found: Vec<Prefix> = around.into_iter().chain(inside).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_cleared_or_refused() {
        assert_eq!(p("203.0.113.5/24"), p("203.0.113.0/24"));
        assert_eq!(p("192.0.2.10").length(), 32);
        assert!(matches!(
            Prefix::parse_strict("2001:db8::1/32"),
            Err(PrefixError::HostBits { network, .. }) if network == p("2001:db8::/32")
        ));
        assert!("not-a-net".parse::<Prefix>().is_err());
    }

    #[test]
    fn ipv6_spellings_are_one_network() {
        assert_eq!(p("2001:DB8:0:0::/48"), p("2001:db8::/48"));
        // A textual "contains" would take the first for the second.
        assert!(!p("2001:db8:1::/48").contains(p("2001:db8:10::/64")));
        assert!(p("2001:db8:1::/48").contains(p("2001:db8:1:5::/64")));
    }

    #[test]
    fn a_slash_22_owns_its_four_slash_24s_unless_one_is_advertised_itself() {
        let owners: PrefixMap<()> = [p("198.51.100.0/22"), p("198.51.101.0/24")]
            .into_iter()
            .map(|prefix| (prefix, ()))
            .collect();
        assert_eq!(owners_of(&owners, p("198.51.101.0/24")), [p("198.51.101.0/24")]);
        assert_eq!(owners_of(&owners, p("198.51.103.0/24")), [p("198.51.100.0/22")]);
        assert!(owners_of(&owners, p("203.0.113.0/24")).is_empty());
    }

    #[test]
    fn a_row_wider_than_the_owners_counts_for_each() {
        let owners: PrefixMap<()> = [p("192.0.2.0/25"), p("192.0.2.128/25")]
            .into_iter()
            .map(|prefix| (prefix, ()))
            .collect();
        assert_eq!(
            owners_of(&owners, p("192.0.2.0/24")),
            [p("192.0.2.0/25"), p("192.0.2.128/25")]
        );
    }
}
