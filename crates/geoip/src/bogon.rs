//! Source addresses that cannot be real, and why.
//!
//! Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and RFC 8190, with
//! the entries up to RFC 9780 of 2025): everything that is not globally reachable. Besides: IPv4
//! and IPv6 multicast, and IPv6 outside `2000::/3`, from which nothing was ever allocated.
//!
//! Entries that are globally reachable although special (AS112, AMT, ORCHIDv2, ...) are exceptions
//! below a wider entry, or simply absent. `192.88.99.0/24` is absent on purpose: the registry has
//! marked it as deprecated without saying that it is unreachable, and relays still answer from it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address cannot be the source of a packet from the public Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BogonReason {
    /// "This network", `0.0.0.0/8` and `::` (RFC 791, RFC 4291).
    ThisNetwork,
    /// Private use (RFC 1918).
    Private,
    /// Shared by carriers behind their address translation (RFC 6598).
    CarrierNat,
    /// The host itself.
    Loopback,
    /// Only valid on one link.
    LinkLocal,
    /// IETF protocol assignments that are not meant to be reachable (RFC 6890, RFC 2928).
    Protocol,
    /// For examples in documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// For measurements in laboratories (RFC 2544, RFC 5180).
    Benchmarking,
    /// A group, never a source (RFC 5771, RFC 4291).
    Multicast,
    /// Everybody on the link (RFC 919).
    Broadcast,
    /// Reserved or never allocated.
    Reserved,
    /// Unique local (RFC 4193).
    UniqueLocal,
    /// Site-local, deprecated (RFC 3879).
    SiteLocal,
    /// An IPv4 address in IPv6 clothes, which is never on the wire (RFC 4291).
    Ipv4Mapped,
    /// Local translation between IPv4 and IPv6 (RFC 8215).
    LocalTranslation,
    /// Discard-only and dummy prefixes (RFC 6666, RFC 9780).
    Discard,
    /// Identifiers of segment routing within one domain (RFC 9602).
    SegmentRouting,
}

impl BogonReason {
    /// Stable words for the database, messages and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThisNetwork => "this network",
            Self::Private => "private",
            Self::CarrierNat => "carrier NAT",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Protocol => "protocol assignment",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Reserved => "reserved",
            Self::UniqueLocal => "unique local",
            Self::SiteLocal => "site-local",
            Self::Ipv4Mapped => "IPv4-mapped",
            Self::LocalTranslation => "local translation",
            Self::Discard => "discard-only",
            Self::SegmentRouting => "segment routing",
        }
    }
}

impl fmt::Display for BogonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why `address` cannot be the source of a packet from the public Internet; `None` when it can.
pub fn bogon(address: IpAddr) -> Option<BogonReason> {
    match address {
        IpAddr::V4(address) => bogon_v4(address),
        IpAddr::V6(address) => bogon_v6(address),
    }
}

/// A network, and what it means: `None` is an exception that can be real.
struct Entry<A> {
    network: A,
    length: u32,
    reason: Option<BogonReason>,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u32, reason: Option<BogonReason>) -> Entry<u32> {
    Entry {
        network: u32::from_be_bytes([a, b, c, d]),
        length,
        reason,
    }
}

/// Networks named by their first three groups; all registry entries have zeros after them.
const fn v6(first: u16, second: u16, third: u16, length: u32, reason: Option<BogonReason>) -> Entry<u128> {
    Entry {
        network: ((first as u128) << 112) | ((second as u128) << 96) | ((third as u128) << 80),
        length,
        reason,
    }
}

use BogonReason as R;

/// Most specific first: the first match decides.
const V4: [Entry<u32>; 18] = [
    v4(255, 255, 255, 255, 32, Some(R::Broadcast)),
    // Port Control Protocol and TURN anycast (RFC 7723, RFC 8155).
    v4(192, 0, 0, 9, 32, None),
    v4(192, 0, 0, 10, 32, None),
    v4(192, 0, 0, 0, 24, Some(R::Protocol)),
    v4(192, 0, 2, 0, 24, Some(R::Documentation)),
    v4(198, 51, 100, 0, 24, Some(R::Documentation)),
    v4(203, 0, 113, 0, 24, Some(R::Documentation)),
    // The relay address of 6a44 (RFC 6751), unlike the /24 around it.
    v4(192, 88, 99, 2, 32, Some(R::Protocol)),
    v4(192, 168, 0, 0, 16, Some(R::Private)),
    v4(169, 254, 0, 0, 16, Some(R::LinkLocal)),
    v4(198, 18, 0, 0, 15, Some(R::Benchmarking)),
    v4(172, 16, 0, 0, 12, Some(R::Private)),
    v4(100, 64, 0, 0, 10, Some(R::CarrierNat)),
    v4(0, 0, 0, 0, 8, Some(R::ThisNetwork)),
    v4(10, 0, 0, 0, 8, Some(R::Private)),
    v4(127, 0, 0, 0, 8, Some(R::Loopback)),
    v4(224, 0, 0, 0, 4, Some(R::Multicast)),
    v4(240, 0, 0, 0, 4, Some(R::Reserved)),
];

const V6: [Entry<u128>; 25] = [
    Entry {
        network: 0,
        length: 128,
        reason: Some(R::ThisNetwork),
    },
    Entry {
        network: 1,
        length: 128,
        reason: Some(R::Loopback),
    },
    // Anycast of PCP, TURN and service registration (RFC 7723, RFC 8155, RFC 9665).
    Entry {
        network: 0x2001_0001_0000_0000_0000_0000_0000_0001,
        length: 128,
        reason: None,
    },
    Entry {
        network: 0x2001_0001_0000_0000_0000_0000_0000_0002,
        length: 128,
        reason: None,
    },
    Entry {
        network: 0x2001_0001_0000_0000_0000_0000_0000_0003,
        length: 128,
        reason: None,
    },
    Entry {
        network: 0xffff_0000_0000,
        length: 96,
        reason: Some(R::Ipv4Mapped),
    },
    v6(0x0100, 0, 0, 64, Some(R::Discard)),
    Entry {
        network: 0x0100_0000_0000_0001_0000_0000_0000_0000,
        length: 64,
        reason: Some(R::Discard),
    },
    v6(0x0064, 0xff9b, 1, 48, Some(R::LocalTranslation)),
    v6(0x2001, 0x0002, 0, 48, Some(R::Benchmarking)),
    v6(0x2001, 0x0004, 0x0112, 48, None), // AS112 (RFC 7535)
    v6(0x2001, 0x0000, 0, 32, None),      // Teredo (RFC 4380)
    v6(0x2001, 0x0003, 0, 32, None),      // AMT (RFC 7450)
    v6(0x2001, 0x0db8, 0, 32, Some(R::Documentation)),
    v6(0x2001, 0x0020, 0, 28, None), // ORCHIDv2 (RFC 7343)
    v6(0x2001, 0x0030, 0, 28, None), // Drone identification (RFC 9374)
    v6(0x2001, 0x0000, 0, 23, Some(R::Protocol)),
    v6(0x3fff, 0x0000, 0, 20, Some(R::Documentation)),
    v6(0x5f00, 0, 0, 16, Some(R::SegmentRouting)),
    v6(0xfe80, 0, 0, 10, Some(R::LinkLocal)),
    v6(0xfec0, 0, 0, 10, Some(R::SiteLocal)),
    v6(0xff00, 0, 0, 8, Some(R::Multicast)),
    v6(0xfc00, 0, 0, 7, Some(R::UniqueLocal)),
    v6(0x2000, 0, 0, 3, None),
    v6(0, 0, 0, 0, Some(R::Reserved)),
];

fn bogon_v4(address: Ipv4Addr) -> Option<BogonReason> {
    let bits = u32::from(address);
    let found = V4
        .iter()
        .find(|entry| (bits ^ entry.network) >> (32 - entry.length) == 0);
    found.and_then(|entry| entry.reason)
}

fn bogon_v6(address: Ipv6Addr) -> Option<BogonReason> {
    let groups = address.segments();
    // 6to4 (RFC 3056) and translated addresses (RFC 6052) carry the IPv4 address they speak for.
    match groups {
        [0x2002, high, low, ..] => return bogon_v4(joined(high, low)),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => return bogon_v4(joined(high, low)),
        _ => {}
    }
    let bits = u128::from(address);
    let found = V6.iter().find(|entry| {
        let beyond = 128 - entry.length;
        // A shift by the full width is no shift that the language defines.
        (bits ^ entry.network).checked_shr(beyond).unwrap_or(0) == 0
    });
    found.and_then(|entry| entry.reason)
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<BogonReason> {
        bogon(text.parse().expect(text))
    }

    /// First and last address of each entry are bogons of its kind, their neighbours outside are
    /// not, or are of another kind.
    #[test]
    fn networks_begin_and_end_where_the_registry_says() {
        for (before, first, last, after, reason) in [
            (None, "0.0.0.0", "0.255.255.255", Some("1.0.0.0"), R::ThisNetwork),
            (
                Some("9.255.255.255"),
                "10.0.0.0",
                "10.255.255.255",
                Some("11.0.0.0"),
                R::Private,
            ),
            (
                Some("100.63.255.255"),
                "100.64.0.0",
                "100.127.255.255",
                Some("100.128.0.0"),
                R::CarrierNat,
            ),
            (
                Some("126.255.255.255"),
                "127.0.0.0",
                "127.255.255.255",
                Some("128.0.0.0"),
                R::Loopback,
            ),
            (
                Some("169.253.255.255"),
                "169.254.0.0",
                "169.254.255.255",
                Some("169.255.0.0"),
                R::LinkLocal,
            ),
            (
                Some("172.15.255.255"),
                "172.16.0.0",
                "172.31.255.255",
                Some("172.32.0.0"),
                R::Private,
            ),
            (
                Some("191.255.255.255"),
                "192.0.0.0",
                "192.0.0.255",
                Some("192.0.1.0"),
                R::Protocol,
            ),
            (
                Some("192.0.1.255"),
                "192.0.2.0",
                "192.0.2.255",
                Some("192.0.3.0"),
                R::Documentation,
            ),
            (
                Some("192.167.255.255"),
                "192.168.0.0",
                "192.168.255.255",
                Some("192.169.0.0"),
                R::Private,
            ),
            (
                Some("198.17.255.255"),
                "198.18.0.0",
                "198.19.255.255",
                Some("198.20.0.0"),
                R::Benchmarking,
            ),
            (
                Some("198.51.99.255"),
                "198.51.100.0",
                "198.51.100.255",
                Some("198.51.101.0"),
                R::Documentation,
            ),
            (
                Some("203.0.112.255"),
                "203.0.113.0",
                "203.0.113.255",
                Some("203.0.114.0"),
                R::Documentation,
            ),
            (
                Some("223.255.255.255"),
                "224.0.0.0",
                "239.255.255.255",
                None,
                R::Multicast,
            ),
            (None, "240.0.0.0", "255.255.255.254", None, R::Reserved),
            (None, "::ffff:0:0", "::ffff:255.255.255.255", None, R::Ipv4Mapped),
            (None, "100::", "100::ffff:ffff:ffff:ffff", None, R::Discard),
            (None, "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", None, R::Discard),
            (
                None,
                "64:ff9b:1::",
                "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
                None,
                R::LocalTranslation,
            ),
            (
                None,
                "2001:2::",
                "2001:2:0:ffff:ffff:ffff:ffff:ffff",
                None,
                R::Benchmarking,
            ),
            (
                Some("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                Some("2001:db9::"),
                R::Documentation,
            ),
            (
                Some("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                "3fff::",
                "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
                Some("3fff:1000::"),
                R::Documentation,
            ),
            (
                None,
                "5f00::",
                "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                None,
                R::SegmentRouting,
            ),
            (
                None,
                "fc00::",
                "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                None,
                R::UniqueLocal,
            ),
            (
                None,
                "fe80::",
                "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                None,
                R::LinkLocal,
            ),
            (
                None,
                "fec0::",
                "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                None,
                R::SiteLocal,
            ),
            (
                None,
                "ff00::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                None,
                R::Multicast,
            ),
        ] {
            assert_eq!((of(first), of(last)), (Some(reason), Some(reason)), "{first} to {last}");
            for outside in [before, after].into_iter().flatten() {
                assert_eq!(of(outside), None, "{outside} is real");
            }
        }
    }

    #[test]
    fn single_addresses() {
        for (address, reason) in [
            ("255.255.255.255", R::Broadcast),
            ("192.88.99.2", R::Protocol),
            ("::", R::ThisNetwork),
            ("::1", R::Loopback),
            ("2001:10::1", R::Protocol),
            ("2001:1ff:ffff::1", R::Protocol),
            ("::ffff:8.8.8.8", R::Ipv4Mapped),
            // Never allocated: IPv4-compatible, below and above the global unicast space.
            ("::8.8.8.8", R::Reserved),
            ("1fff:ffff::1", R::Reserved),
            ("4000::1", R::Reserved),
            ("fbff::1", R::Reserved),
            ("fe00::1", R::Reserved),
        ] {
            assert_eq!(of(address), Some(reason), "{address}");
        }
    }

    #[test]
    fn what_is_reachable_is_no_bogon() {
        for address in [
            "8.8.8.8",
            "192.0.0.9",
            "192.0.0.10",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.175.48.1",
            "2000::1",
            "2001::1",
            "2001:1::1",
            "2001:1::2",
            "2001:1::3",
            "2001:3::1",
            "2001:4:112::1",
            "2001:20::1",
            "2001:3f:ffff::1",
            "2001:200::1",
            "2606:4700::1",
            "2620:4f:8000::1",
        ] {
            assert_eq!(of(address), None, "{address}");
        }
    }

    #[test]
    fn carried_ipv4_addresses_decide() {
        for (address, reason) in [
            ("2002:808:808::1", None),
            ("2002:a00:1::1", Some(R::Private)),
            ("2002:e000:1::", Some(R::Multicast)),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b::192.168.1.1", Some(R::Private)),
        ] {
            assert_eq!(of(address), reason, "{address}");
        }
    }

    #[test]
    fn the_first_match_is_the_most_specific() {
        let v4 = V4.iter().enumerate().all(|(at, entry)| {
            V4[at + 1..].iter().all(|later| {
                later.length <= entry.length || (later.network ^ entry.network) >> (32 - entry.length) != 0
            })
        });
        let v6 = V6.iter().enumerate().all(|(at, entry)| {
            V6[at + 1..].iter().all(|later| {
                later.length <= entry.length
                    || (later.network ^ entry.network)
                        .checked_shr(128 - entry.length)
                        .unwrap_or(0)
                        != 0
            })
        });
        assert!(v4 && v6);
    }
}
