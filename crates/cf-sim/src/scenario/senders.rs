//! Who sends to whom: the addresses of a carpet, the sources of a crowd, each made from the seed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::attack::{Attack, Crowd, Origin, Source};
use super::file::Background;
use crate::ids::Dice;

/// A part of the traffic: from one source to one address and port.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) host: IpAddr,
    pub(super) port: u16,
    pub(super) source: Source,
    /// Part of the whole traffic; all pairs together have 1.
    pub(super) part: f64,
}

/// Every address of ordinary traffic with every source.
pub(super) fn of_background(background: &Background) -> Vec<Pair> {
    let hosts = hosts(background);
    let sources = given_or_two(&background.sources, &background.prefix);
    let total: f64 = sources.iter().map(|s| s.share).sum();
    let mut all = Vec::with_capacity(hosts.len() * sources.len());
    for host in &hosts {
        for source in &sources {
            #[allow(clippy::cast_precision_loss)] // a handful of hosts
            let part = source.share / total / hosts.len() as f64;
            all.push(Pair {
                host: *host,
                port: background.port,
                source: source.clone(),
                part,
            });
        }
    }
    all
}

/// Sources and targets of an attack in turn: as many pairs as there are of what there is more of.
pub(super) fn of_attack(attack: &Attack, seed: u64) -> Vec<Pair> {
    let mut dice = Dice::new(seed ^ 0x7365_6e64);
    let hosts = carpet(attack, &mut dice);
    let sources = match &attack.crowd {
        Some(crowd) => crowd_of(crowd, &attack.prefix, &mut dice),
        None => given_or_two(&attack.sources, &attack.prefix),
    };
    let ports: Vec<u16> = std::iter::once(attack.target_port)
        .chain(attack.more_ports.iter().copied())
        .collect();
    let count = hosts.len().max(sources.len()).max(ports.len());
    let mut pairs: Vec<Pair> = (0..count)
        .map(|i| {
            let source = sources[i % sources.len()].clone();
            Pair {
                host: hosts[i % hosts.len()],
                port: ports[i % ports.len()],
                part: source.share,
                source,
            }
        })
        .collect();
    let total: f64 = pairs.iter().map(|pair| pair.part).sum();
    pairs.iter_mut().for_each(|pair| pair.part /= total);
    pairs
}

/// The target, and others of its prefix, all different as long as there are enough.
fn carpet(attack: &Attack, dice: &mut Dice) -> Vec<IpAddr> {
    let mut hosts = vec![attack.target_ip];
    let room = match attack.prefix {
        IpNet::V4(net) => 1_u64 << (32 - u32::from(net.prefix_len())),
        IpNet::V6(_) => u64::MAX,
    };
    let wanted = u64::from(attack.targets).min(room.saturating_sub(2).max(1));
    while (hosts.len() as u64) < wanted {
        let host = inside(attack.prefix, dice.next());
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// An address of the network: the chance fills the bits after the prefix, and never makes its first address.
fn inside(net: IpNet, chance: u64) -> IpAddr {
    match net.trunc() {
        IpNet::V4(net) => {
            let bits = 32 - u32::from(net.prefix_len());
            let most = if bits >= 32 { u32::MAX } else { (1_u32 << bits) - 1 };
            #[allow(clippy::cast_possible_truncation)] // the lower half of a chance is a chance
            let offset = (chance as u32) & most;
            IpAddr::V4(Ipv4Addr::from(
                u32::from(net.network()) | offset.max(1).min(most.max(1)),
            ))
        }
        IpNet::V6(net) => {
            let bits = 128 - u32::from(net.prefix_len());
            let most = if bits >= 64 { u64::MAX } else { (1_u64 << bits) - 1 };
            IpAddr::V6(Ipv6Addr::from(
                u128::from(net.network()) | u128::from((chance & most).max(1)),
            ))
        }
    }
}

fn hosts(background: &Background) -> Vec<IpAddr> {
    if !background.hosts.is_empty() {
        return background.hosts.clone();
    }
    [10_u8, 20, 30]
        .iter()
        .filter_map(|n| host_at(background.prefix, *n))
        .collect()
}

fn host_at(prefix: IpNet, offset: u8) -> Option<IpAddr> {
    let host = match prefix.network() {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a).checked_add(u32::from(offset))?).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a).checked_add(u128::from(offset))?).into()),
    };
    prefix.contains(&host).then_some(host)
}

/// Countries, ASes and locations of a crowd that does not say its own.
fn origins() -> Vec<Origin> {
    [
        ("BR", 64_501, "EXAMPLE-REFLECTORS", "GRU", "Sao Paulo", "BR", 4.0),
        ("US", 64_502, "EXAMPLE-RESOLVERS", "IAD", "Ashburn", "US", 3.0),
        ("VN", 64_503, "EXAMPLE-ACCESS", "SIN", "Singapore", "SG", 2.0),
        ("DE", 64_504, "EXAMPLE-HOSTING", "FRA", "Frankfurt", "DE", 1.0),
        ("ID", 64_505, "EXAMPLE-MOBILE", "SIN", "Singapore", "SG", 1.0),
    ]
    .map(|(country, asn, name, colo, city, colo_country, share)| Origin {
        country: country.into(),
        asn,
        asn_name: name.into(),
        colo: colo.into(),
        colo_city: city.into(),
        colo_country: colo_country.into(),
        share,
    })
    .into()
}

fn crowd_of(crowd: &Crowd, prefix: &IpNet, dice: &mut Dice) -> Vec<Source> {
    let made;
    let origins = if crowd.origins.is_empty() {
        made = origins();
        &made
    } else {
        &crowd.origins
    };
    let total: f64 = origins.iter().map(|origin| origin.share).sum();
    let count = f64::from(crowd.addresses);
    // As many forged addresses as forged packets, and at least one of each kind that there is.
    let least: f64 = if crowd.spoofed > 0.0 { 1.0 } else { 0.0 };
    let most: f64 = if crowd.spoofed < 1.0 { count - 1.0 } else { count };
    let forged = (count * crowd.spoofed)
        .round()
        .clamp(least.min(count), most.max(least).min(count));
    let port = |dice: &mut Dice| {
        crowd
            .port
            .unwrap_or(1_024 + u16::try_from(dice.next() % 64_000).unwrap_or(0))
    };
    let mut all = Vec::new();
    for index in 0..crowd.addresses {
        let is_forged = f64::from(index) < forged;
        // Origins in turn, as often as their share says.
        let mut at = dice.fraction() * total;
        let mut origin = &origins[0];
        for candidate in origins {
            origin = candidate;
            at -= candidate.share;
            if at < 0.0 {
                break;
            }
        }
        let share = if is_forged {
            crowd.spoofed / forged
        } else {
            (1.0 - crowd.spoofed) / (count - forged)
        };
        if share <= 0.0 {
            continue;
        }
        all.push(Source {
            address: address_of(prefix, is_forged, dice),
            port: port(dice),
            asn: if is_forged { 0 } else { origin.asn },
            asn_name: if is_forged {
                String::new()
            } else {
                origin.asn_name.clone()
            },
            country: if is_forged {
                String::new()
            } else {
                origin.country.clone()
            },
            colo: origin.colo.clone(),
            colo_city: origin.colo_city.clone(),
            colo_country: origin.colo_country.clone(),
            share,
        });
    }
    all
}

/// A documentation address, or (forged) one that no honest packet on the Internet comes from.
fn address_of(prefix: &IpNet, forged: bool, dice: &mut Dice) -> IpAddr {
    let nets: &[&str] = match (prefix, forged) {
        (IpNet::V4(_), false) => &["192.0.2.0/24", "198.51.100.0/24"],
        (IpNet::V4(_), true) => &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "240.0.0.0/8"],
        (IpNet::V6(_), false) => &["2001:db8:fffe::/48", "2001:db8:ffff::/48"],
        (IpNet::V6(_), true) => &["fc00::/8", "100::/64"],
    };
    let which = usize::try_from(dice.next() % nets.len() as u64).unwrap_or(0);
    match nets[which].parse::<IpNet>() {
        Ok(net) => inside(net, dice.next()),
        Err(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 201)),
    }
}

/// The given sources, or two of the address family.
fn given_or_two(given: &[Source], prefix: &IpNet) -> Vec<Source> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let addresses: [IpAddr; 2] = match prefix {
        IpNet::V4(_) => [[192, 0, 2, 201].into(), [198, 51, 100, 202].into()],
        IpNet::V6(_) => [
            [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1].into(),
            [0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, 2].into(),
        ],
    };
    let source = |(address, asn, country, colo, city): (IpAddr, u32, &str, &str, &str)| Source {
        address,
        port: 50_000,
        asn,
        asn_name: format!("EXAMPLE-{asn}"),
        country: country.into(),
        colo: colo.into(),
        colo_city: city.into(),
        colo_country: country.into(),
        share: 1.0,
    };
    [
        (addresses[0], 64_496, "DE", "FRA", "Frankfurt"),
        (addresses[1], 64_497, "NL", "AMS", "Amsterdam"),
    ]
    .map(source)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(more: &str, seed: u64) -> Vec<Pair> {
        let text = format!(
            "name = \"x\"\nprefix = \"203.0.113.0/24\"\ntarget_ip = \"203.0.113.10\"\ntarget_port = 53\nvector = \"UDP flood\"\nprotocol = \"UDP\"\nstart = \"60s\"\nduration = \"100s\"\npps = 20000\nmbps = 10\n{more}"
        );
        of_attack(&toml::from_str(&text).unwrap(), seed)
    }

    #[test]
    fn a_crowd_has_the_forged_part_that_was_asked_for() {
        let all = pairs("crowd = { addresses = 200, spoofed = 0.4 }", 7);
        let forged: f64 = all.iter().filter(|p| p.source.asn == 0).map(|p| p.part).sum();
        assert!((forged - 0.4).abs() < 1e-9, "{forged}");
        assert!((all.iter().map(|p| p.part).sum::<f64>() - 1.0).abs() < 1e-9);
        let private = |p: &Pair| matches!(p.source.address, IpAddr::V4(a) if a.is_private() || a.octets()[0] == 240);
        assert!(all.iter().all(|p| private(p) == (p.source.asn == 0)));
        let mut countries: Vec<&str> = all.iter().map(|p| p.source.country.as_str()).collect();
        countries.sort_unstable();
        countries.dedup();
        assert!(countries.len() >= 4, "{countries:?}");
        assert_eq!(pairs("crowd = { addresses = 1, spoofed = 0.4 }", 7).len(), 1);
    }

    #[test]
    fn a_carpet_stays_in_its_prefix_and_repeats_no_address() {
        let all = pairs("targets = 64\nmore_ports = [80, 443]", 3);
        let mut hosts: Vec<IpAddr> = all.iter().map(|p| p.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        assert_eq!(hosts.len(), 64);
        let net: IpNet = "203.0.113.0/24".parse().unwrap();
        assert!(hosts.iter().all(|host| net.contains(host)));
        let mut ports: Vec<u16> = all.iter().map(|p| p.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports, [53, 80, 443]);
        assert_eq!(
            pairs("targets = 2000", 3).len(),
            254,
            "no more addresses than there are"
        );
    }

    #[test]
    fn the_seed_decides() {
        let addresses = |seed| {
            let all = pairs("crowd = { addresses = 20 }", seed);
            all.iter().map(|p| p.source.address).collect::<Vec<_>>()
        };
        assert_eq!(addresses(1), addresses(1));
        assert_ne!(addresses(1), addresses(2));
    }
}
