//! A row of the API to a row of the table: our prefix, where the source is, whether it can be real.
//!
//! What Cloudflare says about country and AS is kept; the databases fill the gaps and add the
//! city. Nothing here can fail: what cannot be found out stays empty.

use std::net::IpAddr;

use cf_api::graphql::mitigations::MitigationRow;
use db::analytics::NewRow;
use geoip::{GeoIp, Place};

use crate::networks::Networks;

/// The row to store. Looks addresses up in memory.
pub fn enrich(row: &MitigationRow, geoip: &GeoIp, networks: &Networks) -> NewRow {
    let source: Option<IpAddr> = row.source_ip.as_deref().and_then(|text| text.trim().parse().ok());
    let target: Option<IpAddr> = row.destination_ip.trim().parse().ok();
    let bogon = source.and_then(geoip::bogon);
    // A forged address says nothing about a place.
    let place = match (source, bogon) {
        (Some(source), None) => geoip.lookup(source),
        _ => Place::default(),
    };
    let country = row.source_country.clone().or_else(|| place.country.clone());
    // A city in another country than Cloudflare's would be confusing, whoever is right.
    let city = place.city.filter(|_| place.country == country);
    let asn = row.source_asn.filter(|asn| *asn != 0);
    let (asn, as_name) = match asn {
        Some(asn) => {
            let name = place.as_name.filter(|_| place.asn == Some(asn));
            (Some(asn), row.source_asn_name.clone().or(name))
        }
        None => (place.asn, place.as_name),
    };
    NewRow {
        event_datetime: row.datetime.clone(),
        attack_id: row.attack_id.clone(),
        attack_vector: row.attack_vector.clone().or_else(|| question(row)),
        rule_name: row.rule_name.clone(),
        rule_id: row.rule_id.clone(),
        source_ip: row.source_ip.clone(),
        source_port: port(row.source_port),
        source_asn: asn,
        source_asn_name: as_name,
        source_country: country,
        source_city: city,
        source_bogon: bogon.map(|reason| reason.as_str().to_owned()),
        destination_ip: Some(row.destination_ip.clone()).filter(|text| !text.is_empty()),
        destination_port: port(row.destination_port),
        protocol: row.protocol.clone(),
        tcp_flags: row.tcp_flags.clone(),
        colo_code: row.colo_code.clone(),
        colo_country: row.colo_country.clone(),
        colo_city: row.colo_city.clone(),
        packets: row.packets.0,
        bits: row.bits.0,
        outcome: row.outcome.clone(),
        mitigation_reason: row.mitigation_reason.clone(),
        mitigation_system: Some(row.witness.system().to_owned()),
        sample_interval: Some(row.sample_interval).filter(|interval| *interval > 0),
        prefix: target.and_then(|target| networks.own_prefix(target)),
        incident: None,
        raw_data: row.to_wire_text(),
        identity: None,
    }
}

/// What the traffic was, of systems that know no vectors: `DNS ANY a.example`.
fn question(row: &MitigationRow) -> Option<String> {
    let kind = row.dns_query_type.as_deref()?;
    let name = row.dns_query_name.as_deref().unwrap_or_default();
    Some(format!("DNS {kind} {name}").trim_end().to_owned())
}

/// Port 0 is what protocols without ports have.
fn port(number: Option<u32>) -> Option<u16> {
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use cf_api::graphql::mitigations::Witness;
    use domain::units::{Bits, Packets};

    use super::*;

    fn row(source: &str, target: &str) -> MitigationRow {
        MitigationRow {
            datetime: "1970-01-01T00:00:00Z".into(),
            outcome: Some("drop".into()),
            source_ip: Some(source.into()),
            source_port: Some(0),
            source_asn: Some(0),
            destination_ip: target.into(),
            destination_port: Some(70_000),
            sample_interval: 10_000,
            packets: Packets(10_000),
            bits: Bits(1),
            ..MitigationRow::of(Witness::Ddos)
        }
    }

    fn networks() -> Networks {
        let own = ["203.0.113.0/24", "203.0.113.128/25", "2001:db8::/32"].map(|text| text.parse().unwrap());
        Networks::new(own, &["162.159.0.0/16".parse().unwrap()])
    }

    fn prefix_of(target: &str) -> Option<String> {
        let stored = enrich(&row("8.8.8.8", target), &GeoIp::none(), &networks());
        stored.prefix.map(|prefix| prefix.to_string())
    }

    #[test]
    fn the_most_specific_own_prefix_is_noted() {
        assert_eq!(prefix_of("203.0.113.5").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(prefix_of("203.0.113.200").as_deref(), Some("203.0.113.128/25"));
        assert_eq!(prefix_of("2001:DB8:5::1").as_deref(), Some("2001:db8::/32"));
        assert_eq!(prefix_of("162.159.1.1"), None);
        assert_eq!(prefix_of("nonsense"), None);
    }

    #[test]
    fn forged_sources_are_marked_and_odd_values_stay_empty() {
        let stored = enrich(&row("10.1.2.3", "203.0.113.5"), &GeoIp::none(), &networks());
        assert_eq!(stored.source_bogon.as_deref(), Some("private"));
        assert_eq!(
            (stored.source_port, stored.destination_port, stored.source_asn),
            (None, None, None)
        );
        assert_eq!(
            enrich(&row("8.8.8.8", "203.0.113.5"), &GeoIp::none(), &networks()).source_bogon,
            None
        );
        assert_eq!(
            enrich(&row("?", "203.0.113.5"), &GeoIp::none(), &networks()).source_bogon,
            None
        );
    }

    #[test]
    fn the_system_that_dropped_is_named_and_what_it_was_asked() {
        let asked = MitigationRow {
            witness: Witness::AdvancedDns,
            dns_query_type: Some("ANY".into()),
            dns_query_name: Some("a.example".into()),
            ..row("8.8.8.8", "203.0.113.5")
        };
        let stored = enrich(&asked, &GeoIp::none(), &networks());
        assert_eq!(stored.mitigation_system.as_deref(), Some("advanced-dns-protection"));
        assert_eq!(stored.attack_vector.as_deref(), Some("DNS ANY a.example"));
        assert!(
            stored.raw_data.contains("\"dnsQueryType\":\"ANY\""),
            "{}",
            stored.raw_data
        );
    }

    #[test]
    fn what_cloudflare_says_stays() {
        let told = MitigationRow {
            source_country: Some("DE".into()),
            source_asn: Some(64_496),
            source_asn_name: Some("Example".into()),
            ..row("8.8.8.8", "203.0.113.5")
        };
        let stored = enrich(&told, &GeoIp::none(), &networks());
        assert_eq!(
            (
                stored.source_country.as_deref(),
                stored.source_asn,
                stored.source_asn_name.as_deref()
            ),
            (Some("DE"), Some(64_496), Some("Example"))
        );
        assert!(stored.raw_data.contains("\"sourceAsn\":64496"));
    }
}
