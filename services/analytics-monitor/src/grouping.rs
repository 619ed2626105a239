//! New rows to notices: one each for up to three rows of an attack, else one for all of them.
//!
//! Pure: who is told what depends only on the rows and the switches given.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use cf_api::graphql::mitigations::Witness;
use db::analytics::Fresh;
use domain::ids::{IncidentId, normalise_id};
use domain::notice::{Facts, Notice};
use jiff::Timestamp;

use crate::networks::Networks;

/// Up to so many rows of an attack have a message of their own.
const SINGLY: u64 = 3;

/// Entries of each list; a message shows the first few and says how many more there are.
const MOST_LISTED: usize = 100;

/// Which rows people want to hear of.
#[derive(Debug, Clone)]
pub struct Audience {
    /// Our networks and Cloudflare's.
    pub networks: Networks,
    /// Whether `networks` are a list made for announcements: then it alone decides what is ours.
    pub is_listed: bool,
    /// Leave attacks on Cloudflare's own addresses out (the dashboard's switch).
    pub my_prefixes_only: bool,
    /// Rows with fewer packets are left out.
    pub min_packets: u64,
    /// Systems whose rows are announced besides the DDoS rules'.
    pub announced: Vec<Witness>,
}

impl Audience {
    /// Whether people want to hear of what this row's system drops. Rows of nobody we know are the predecessor's.
    fn hears(&self, row: &Fresh) -> bool {
        witness_of(row).is_none_or(|witness| witness == Witness::Ddos || self.announced.contains(&witness))
    }

    /// Whether the row is announced. While nothing is known to be ours everything is, except
    /// Cloudflare's own addresses: silence would be the wrong guess.
    fn wants(&self, row: &Fresh) -> bool {
        if row.packets < self.min_packets || !self.hears(row) {
            return false;
        }
        if row.prefix.is_some() && !self.is_listed {
            return true;
        }
        let target: Option<IpAddr> = row.destination_ip.as_deref().and_then(|text| text.trim().parse().ok());
        match target {
            Some(target) if self.networks.own_prefix(target).is_some() => true,
            Some(target) if self.networks.is_anycast(target) => !self.my_prefixes_only,
            // Nobody's address that we know of.
            _ => self.networks.knows_nothing(),
        }
    }
}

fn witness_of(row: &Fresh) -> Option<Witness> {
    let system = row.mitigation_system.as_deref()?;
    Witness::ALL.into_iter().find(|witness| witness.system() == system)
}

/// What rows are told together: an attack, or what one system dropped without knowing of an attack.
type Key = (Option<String>, Option<String>);

/// Takes rows in one by one and keeps of them what notices say.
#[derive(Debug)]
pub struct Grouping<'a> {
    audience: &'a Audience,
    /// In the order in which their attacks first appeared.
    groups: Vec<Group>,
    places: HashMap<Key, usize>,
}

#[derive(Debug)]
struct Group {
    attack: Option<String>,
    /// Its rows, while they are few.
    singly: Vec<Fresh>,
    all: Totals,
}

impl<'a> Grouping<'a> {
    /// No rows yet.
    pub fn new(audience: &'a Audience) -> Self {
        Self {
            audience,
            groups: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Takes a row in, if people want to hear of it.
    pub fn add(&mut self, row: Fresh) {
        if !self.audience.wants(&row) {
            return;
        }
        let attack = row.attack_id.as_deref().map(normalise_id);
        let system = row.mitigation_system.clone().filter(|_| attack.is_none());
        let next = self.groups.len();
        let place = *self.places.entry((attack.clone(), system)).or_insert(next);
        if place == next {
            self.groups.push(Group {
                attack,
                singly: Vec::new(),
                all: Totals::default(),
            });
        }
        let Some(group) = self.groups.get_mut(place) else {
            return;
        };
        group.all.add(&row);
        if group.all.events <= SINGLY {
            group.singly.push(row);
        } else {
            group.singly = Vec::new();
        }
    }

    /// The notices about them.
    pub fn notices(self) -> Vec<Notice> {
        let mut notices = Vec::new();
        for Group { attack, singly, all } in self.groups {
            if singly.is_empty() {
                notices.push(all.notice(attack.as_deref()));
            }
            for row in singly {
                let mut alone = Totals::default();
                alone.add(&row);
                notices.push(alone.notice(attack.as_deref()));
            }
        }
        notices
    }
}

/// What a notice says about its rows.
#[derive(Debug, Default)]
struct Totals {
    attack_id: Option<String>,
    incident: Option<IncidentId>,
    events: u64,
    packets: u64,
    bits: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    vectors: Volumes,
    targets: Volumes,
    sources: Volumes,
    locations: Volumes,
    spoofed: HashSet<String>,
    sample_interval: Option<u64>,
}

impl Totals {
    fn add(&mut self, row: &Fresh) {
        self.attack_id = self.attack_id.take().or_else(|| row.attack_id.clone());
        self.incident = self.incident.or(row.incident);
        self.events += 1;
        self.packets = self.packets.saturating_add(row.packets);
        self.bits = self.bits.saturating_add(row.bits);
        self.from = self.from.into_iter().chain(row.at).min();
        self.to = self.to.into_iter().chain(row.at).max();
        self.sample_interval = self.sample_interval.max(row.sample_interval);
        self.vectors
            .add(vector(row), row, |row| vector(row).unwrap_or_default());
        self.targets
            .add(target(row), row, |row| target(row).unwrap_or_default());
        self.sources.add(row.source_ip.clone(), row, source_text);
        self.locations.add(row.colo_code.clone(), row, location_text);
        if row.source_bogon.is_some() {
            self.spoofed.extend(row.source_ip.clone());
        }
    }

    fn notice(self, attack: Option<&str>) -> Notice {
        let (sources, distinct_sources) = self.sources.most();
        let facts = Facts::Mitigation {
            attack_id: self.attack_id,
            vectors: self.vectors.most().0,
            events: self.events,
            packets: self.packets,
            bits: self.bits,
            from: self.from.unwrap_or(Timestamp::UNIX_EPOCH),
            to: self.to.unwrap_or(Timestamp::UNIX_EPOCH),
            targets: self.targets.most().0,
            distinct_sources,
            sources,
            locations: self.locations.most().0,
            spoofed_sources: self.spoofed.len() as u64,
            sample_interval: self.sample_interval.unwrap_or(1),
        };
        Notice {
            facts,
            event: None,
            incident: self.incident,
            group: attack.map(|attack| format!("mitigation:{attack}")),
        }
    }
}

/// Distinct values with their packets, and the text of the first row of each.
#[derive(Debug, Default)]
struct Volumes(HashMap<String, (u64, String)>);

impl Volumes {
    fn add(&mut self, key: Option<String>, row: &Fresh, text: impl Fn(&Fresh) -> String) {
        if let Some(key) = key {
            let entry = self.0.entry(key).or_insert_with(|| (0, text(row)));
            entry.0 = entry.0.saturating_add(row.packets);
        }
    }

    /// Texts by packets, most first, and how many values there are. Equal volumes stand in the order of their values, so
    /// that a message does not depend on chance.
    fn most(self) -> (Vec<String>, u64) {
        let distinct = self.0.len() as u64;
        let mut sorted: Vec<(String, (u64, String))> = self.0.into_iter().collect();
        sorted.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        let texts = sorted.into_iter().take(MOST_LISTED).map(|(_, (_, text))| text);
        (texts.collect(), distinct)
    }
}

/// The vector; rows of generic rules have none, then the rule's name says most. Systems that know neither are named
/// themselves.
fn vector(row: &Fresh) -> Option<String> {
    let told = row.attack_vector.clone().or_else(|| row.rule_name.clone());
    match witness_of(row) {
        None | Some(Witness::Ddos) => told,
        Some(other) => {
            let what = told
                .or_else(|| row.mitigation_reason.clone())
                .or_else(|| row.protocol.clone());
            Some(what.map_or_else(
                || other.title().to_owned(),
                |what| format!("{what} ({})", other.title()),
            ))
        }
    }
}

/// `203.0.113.10:443 TCP`, `[2001:db8::1]:53 UDP`, `203.0.113.10 ICMP`
fn target(row: &Fresh) -> Option<String> {
    let address = row.destination_ip.as_deref()?;
    let mut text = match row.destination_port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    };
    if let Some(protocol) = &row.protocol {
        text.push(' ');
        text.push_str(protocol);
    }
    Some(text)
}

/// `198.51.100.7 (US, AS64500 Example)`, `10.0.0.1 (spoofed: private)`
pub fn source_text(row: &Fresh) -> String {
    let mut known = Vec::new();
    if let Some(reason) = &row.source_bogon {
        known.push(format!("spoofed: {reason}"));
    }
    match (&row.source_city, &row.source_country) {
        (Some(city), Some(country)) => known.push(format!("{city}, {country}")),
        (None, Some(country)) => known.push(country.clone()),
        (_, None) => {}
    }
    match (row.source_asn, &row.source_asn_name) {
        (Some(asn), Some(name)) => known.push(format!("AS{asn} {name}")),
        (Some(asn), None) => known.push(format!("AS{asn}")),
        (None, _) => {}
    }
    with_known(row.source_ip.clone().unwrap_or_default(), &known)
}

/// `FRA (Frankfurt, DE)`
fn location_text(row: &Fresh) -> String {
    let known: Vec<String> = [&row.colo_city, &row.colo_country]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    with_known(row.colo_code.clone().unwrap_or_default(), &known)
}

fn with_known(name: String, known: &[String]) -> String {
    if known.is_empty() {
        name
    } else {
        format!("{name} ({})", known.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(rows: &[Fresh], audience: &Audience) -> Vec<Notice> {
        let mut grouping = Grouping::new(audience);
        rows.iter().cloned().for_each(|row| grouping.add(row));
        grouping.notices()
    }

    fn audience() -> Audience {
        Audience {
            networks: Networks::new(
                ["203.0.113.0/24".parse().unwrap()],
                &["162.159.0.0/16".parse().unwrap()],
            ),
            is_listed: false,
            my_prefixes_only: true,
            min_packets: 1,
            announced: Vec::new(),
        }
    }

    fn row(id: i64, attack: &str, source: &str, packets: u64) -> Fresh {
        Fresh {
            id,
            at: Some(Timestamp::from_second(1_767_225_600 + id).unwrap()),
            attack_id: Some(attack.into()),
            attack_vector: Some("UDP Flood".into()),
            source_ip: Some(source.into()),
            source_country: Some("US".into()),
            source_asn: Some(64_500),
            source_asn_name: Some("Example".into()),
            destination_ip: Some("203.0.113.10".into()),
            destination_port: Some(443),
            protocol: Some("UDP".into()),
            colo_code: Some("FRA".into()),
            colo_city: Some("Frankfurt".into()),
            colo_country: Some("DE".into()),
            packets,
            bits: packets * 8_000,
            sample_interval: Some(10_000),
            prefix: Some("203.0.113.0/24".parse().unwrap()),
            ..Fresh::default()
        }
    }

    fn to(target: &str) -> Fresh {
        Fresh {
            destination_ip: Some(target.into()),
            prefix: None,
            ..row(1, "a", "198.51.100.7", 10)
        }
    }

    fn events(notices: &[Notice]) -> Vec<u64> {
        notices
            .iter()
            .map(|notice| match &notice.facts {
                Facts::Mitigation { events, .. } => *events,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn up_to_three_rows_singly_then_one_for_all_per_attack() {
        let rows = |attack: &str, count: i64| -> Vec<Fresh> {
            (0..count).map(|id| row(id, attack, "198.51.100.7", 10)).collect()
        };
        for (count, expected) in [(1, vec![1]), (3, vec![1, 1, 1]), (4, vec![4]), (40, vec![40])] {
            assert_eq!(events(&notices(&rows("a", count), &audience())), expected);
        }
        // Spellings of one id are one attack; others are counted apart.
        let mixed = [rows("AB-CD", 2), rows("abcd", 2), rows("other", 1)].concat();
        assert_eq!(events(&notices(&mixed, &audience())), [4, 1]);
    }

    #[test]
    fn tops_are_by_packets_with_what_is_known() {
        let mut rows = vec![
            row(1, "a", "198.51.100.1", 10_000),
            row(2, "a", "198.51.100.2", 10_000),
            row(3, "a", "198.51.100.9", 50_000),
            row(4, "a", "198.51.100.2", 10_000),
            row(5, "a", "10.0.0.1", 5_000),
        ];
        rows[2].source_city = Some("Springfield".into());
        rows[2].destination_ip = Some("2001:db8::1".into());
        rows[2].colo_code = Some("AMS".into());
        rows[2].colo_city = None;
        rows[2].attack_vector = Some("SYN Flood".into());
        rows[3].incident = Some(IncidentId(7));
        rows[4].source_bogon = Some("private".into());
        rows[4].source_country = None;
        rows[4].source_asn = None;
        rows[4].destination_port = None;
        rows[4].sample_interval = Some(100_000);
        let notices = notices(&rows, &audience());
        assert_eq!(notices.len(), 1);
        assert_eq!(
            (notices[0].incident, notices[0].group.as_deref()),
            (Some(IncidentId(7)), Some("mitigation:a"))
        );
        let Facts::Mitigation {
            vectors,
            packets,
            bits,
            from,
            to,
            targets,
            sources,
            locations,
            distinct_sources,
            spoofed_sources,
            sample_interval,
            ..
        } = &notices[0].facts
        else {
            panic!("a mitigation")
        };
        assert_eq!(vectors, &["SYN Flood", "UDP Flood"]);
        assert_eq!((*packets, *bits), (85_000, 680_000_000));
        assert_eq!((from, to), (&rows[0].at.unwrap(), &rows[4].at.unwrap()));
        assert_eq!(
            targets,
            &["[2001:db8::1]:443 UDP", "203.0.113.10:443 UDP", "203.0.113.10 UDP"]
        );
        assert_eq!(
            sources,
            &[
                "198.51.100.9 (Springfield, US, AS64500 Example)",
                "198.51.100.2 (US, AS64500 Example)",
                "198.51.100.1 (US, AS64500 Example)",
                "10.0.0.1 (spoofed: private)",
            ]
        );
        assert_eq!(locations, &["AMS (DE)", "FRA (Frankfurt, DE)"]);
        assert_eq!((*distinct_sources, *spoofed_sources, *sample_interval), (4, 1, 100_000));
    }

    #[test]
    fn only_what_concerns_us_is_announced() {
        let wants = |target: &str, audience: &Audience| !notices(&[to(target)], audience).is_empty();
        let own_only = audience();
        assert!(
            wants("203.0.113.99", &own_only),
            "ours, although it was stored before we knew"
        );
        assert!(!wants("162.159.1.1", &own_only));
        assert!(!wants("8.8.8.8", &own_only));
        assert!(!wants("nonsense", &own_only));
        let all = Audience {
            my_prefixes_only: false,
            ..audience()
        };
        assert!(wants("162.159.1.1", &all));
        assert!(!wants("8.8.8.8", &all));
        let lost = Audience {
            networks: Networks::new([], &["162.159.0.0/16".parse().unwrap()]),
            ..audience()
        };
        assert!(wants("8.8.8.8", &lost), "nothing is known to be ours");
        assert!(!wants("162.159.1.1", &lost));
        let large = Audience {
            min_packets: 11,
            ..audience()
        };
        assert!(!wants("203.0.113.99", &large));
    }

    #[test]
    fn other_systems_are_heard_when_they_are_chosen_and_then_named() {
        let dropped = |system: &str| Fresh {
            attack_id: None,
            attack_vector: None,
            mitigation_system: Some(system.into()),
            ..row(1, "a", "198.51.100.7", 10)
        };
        let all = [dropped("dosd"), dropped("flowtrackd"), dropped("magic-firewall")];
        assert_eq!(events(&notices(&all, &audience())), [1]);
        let chosen = Audience {
            announced: vec![Witness::AdvancedTcp],
            ..audience()
        };
        let told = notices(&all, &chosen);
        assert_eq!(events(&told), [1, 1]);
        let Facts::Mitigation { vectors, .. } = &told[1].facts else {
            panic!("a mitigation")
        };
        assert_eq!(vectors, &["UDP (Advanced TCP Protection)"]);
    }

    #[test]
    fn rows_without_attack_are_a_group_of_their_own() {
        let mut rows: Vec<Fresh> = (0..4).map(|id| row(id, "a", "198.51.100.7", 10)).collect();
        for row in &mut rows {
            row.attack_id = None;
            row.attack_vector = None;
            row.rule_name = Some("Generic rule".into());
        }
        let notices = notices(&rows, &audience());
        assert_eq!(events(&notices), [4]);
        assert_eq!(notices[0].group, None);
        let Facts::Mitigation { vectors, .. } = &notices[0].facts else {
            panic!("a mitigation")
        };
        assert_eq!(vectors, &["Generic rule"]);
    }
}
