//! The prefix that a drill is about: one of the networks that are reserved for documentation (RFC 5737, RFC 3849), and that
//! overlaps nothing this installation calls its own.
//!
//! Must hold: what is chosen has no address in common with any listed prefix, however large or small that is.

use domain::prefix::Prefix;

use crate::desk::Desk;

/// Candidates in their order, as people read them.
pub const NAMES: &str = "192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8:d111::/48";

/// Everything that is somebody's: managed and own prefixes, the mapping, and what was ever read from Cloudflare. A database
/// that cannot be read adds nothing here: the hop that reads it says so, and the configuration alone names what is managed.
pub async fn listed(desk: &Desk) -> Vec<Prefix> {
    let settings = &desk.settings;
    let mut all = settings.managed_prefixes();
    all.extend(settings.my_prefixes());
    all.extend(settings.mapping.iter().map(|entry| entry.prefix));
    let known = desk.read("the prefixes cannot be read", |tx| {
        let entries = db::inventory::all(tx)?;
        Ok(entries.into_iter().map(|entry| entry.prefix.prefix).collect::<Vec<_>>())
    });
    all.extend(known.await.unwrap_or_default());
    all.sort();
    all.dedup();
    all
}

/// A documentation prefix that overlaps none of `listed`; none when all do.
pub fn choose(listed: &[Prefix]) -> Option<Prefix> {
    let mut candidates = NAMES.split(", ").filter_map(|text| text.parse::<Prefix>().ok());
    candidates.find(|candidate| !listed.iter().any(|own| own.overlaps(*candidate)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use ipnet::IpNet;

    use super::*;

    fn p(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_candidates_are_prefixes() {
        assert_eq!(NAMES.split(", ").count(), 4);
        assert!(NAMES.split(", ").all(|text| text.parse::<Prefix>().is_ok()));
        assert_eq!(choose(&[]), Some(p("192.0.2.0/24")));
    }

    #[test]
    fn what_overlaps_in_either_direction_is_not_chosen() {
        assert_eq!(choose(&[p("192.0.2.128/25")]), Some(p("198.51.100.0/24")));
        assert_eq!(
            choose(&[p("192.0.0.0/16"), p("198.51.100.0/24")]),
            Some(p("203.0.113.0/24"))
        );
        let all = [
            p("192.0.2.0/24"),
            p("198.51.0.0/16"),
            p("203.0.113.7/32"),
            p("2001:db8::/32"),
        ];
        assert_eq!(choose(&all), None);
    }

    #[test]
    fn whatever_is_listed_nothing_of_it_is_chosen() {
        // A fixed sequence: the same prefixes on every machine, most of them near the candidates.
        let mut state = 20_260_201_u64;
        let mut chance = move |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let near: [u32; 4] = [0xC000_0200, 0xC633_6400, 0xCB00_7100, 0x0A00_0000];
        let (mut some, mut none) = (0, 0);
        for _ in 0..20_000 {
            let listed: Vec<Prefix> = (0..chance(9))
                .map(|_| {
                    let net: IpNet = if chance(4) == 0 {
                        let address = (0x2001_0db8_u128 << 96) | ((u128::from(chance(3)) * 0xd111) << 80);
                        let length = u8::try_from(chance(129)).unwrap();
                        IpNet::new(IpAddr::V6(Ipv6Addr::from(address)), length).unwrap()
                    } else {
                        let base = near[chance(4) as usize] ^ u32::try_from(chance(512)).unwrap();
                        let length = u8::try_from(chance(33)).unwrap();
                        IpNet::new(IpAddr::V4(Ipv4Addr::from(base)), length).unwrap()
                    };
                    Prefix::containing(net)
                })
                .collect();
            match choose(&listed) {
                Some(chosen) => {
                    some += 1;
                    for own in &listed {
                        assert!(!own.contains(chosen) && !chosen.contains(*own), "{chosen} of {own}");
                        assert!(!own.contains_addr(chosen.net().addr()), "{chosen} of {own}");
                    }
                }
                None => none += 1,
            }
        }
        assert!(some > 1_000 && none > 10, "{some} {none}");
    }
}
