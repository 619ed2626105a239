//! Databases written for the purpose: both record shapes, replacement, damage.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use geoip::{GeoIp, Licence, Place};
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde::Serialize;

const BUILT: u64 = 1_767_225_600; // 2026-01-01

#[derive(Serialize)]
struct Names {
    names: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Country {
    iso_code: String,
    names: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Nested {
    city: Names,
    country: Country,
}

#[derive(Serialize)]
struct Flat {
    country_code: String,
}

fn names(english: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("de", format!("{english} auf Deutsch")), ("en", english.to_owned())])
}

fn nested(city: &str, code: &str, country: &str) -> Nested {
    Nested {
        city: Names { names: names(city) },
        country: Country {
            iso_code: code.into(),
            names: names(country),
        },
    }
}

/// Writes a database of IPv6 form, in which IPv4 networks lie below `::/96`.
fn write<T: Serialize>(path: &Path, database_type: &str, records: Vec<(&str, T)>) {
    let mut database = maxminddb_writer::Database::default();
    database.metadata.ip_version = IpVersion::V6;
    database.metadata.database_type = database_type.into();
    database.metadata.build_epoch = BUILT;
    database.metadata.binary_format_major_version = 2;
    for (network, record) in records {
        let value = database.insert_value(record).unwrap();
        let (address, length) = network.split_once('/').unwrap();
        let length: u8 = length.parse().unwrap();
        let net = match address.parse().unwrap() {
            IpAddr::V4(v4) => IpAddrWithMask::new(v4.to_ipv6_compatible().into(), length + 96),
            v6 @ IpAddr::V6(_) => IpAddrWithMask::new(v6, length),
        };
        database.insert_node(net, value);
    }
    // As update tools do it: written aside, then moved into place.
    let aside = path.with_extension("new");
    database.write_to(fs::File::create(&aside).unwrap()).unwrap();
    fs::rename(aside, path).unwrap();
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn city(&self, name: &str) -> GeoIp {
        GeoIp::new(vec![self.file(name)], Vec::new())
    }
}

fn lookup(geoip: &GeoIp, address: &str) -> Place {
    geoip.lookup(address.parse().unwrap())
}

#[test]
fn nested_records_give_city_country_and_system() {
    let folder = Folder::new();
    write(
        &folder.file("City.mmdb"),
        "GeoLite2-City",
        vec![
            ("198.51.100.0/24", nested("Springfield", "us", "United States")),
            ("2001:db8::/32", nested("Utrecht", "NL", "The Netherlands")),
        ],
    );
    write(
        &folder.file("ASN.mmdb"),
        "GeoLite2-ASN",
        vec![(
            "198.51.100.0/25",
            serde_json::json!({"autonomous_system_number": 64_500, "autonomous_system_organization": "Example\u{7} Net"}),
        )],
    );
    let geoip = GeoIp::new(vec![folder.file("City.mmdb")], vec![folder.file("ASN.mmdb")]);
    let expected = Place {
        country: Some("US".into()),
        country_name: Some("United States".into()),
        city: Some("Springfield".into()),
        asn: Some(64_500),
        as_name: Some("Example Net".into()),
    };
    assert_eq!(lookup(&geoip, "198.51.100.7"), expected);
    assert_eq!(
        lookup(&geoip, "::ffff:198.51.100.7"),
        expected,
        "the IPv4 address is meant"
    );
    assert_eq!(lookup(&geoip, "198.51.100.200").asn, None);
    assert_eq!(lookup(&geoip, "2001:db8::1").city.as_deref(), Some("Utrecht"));
    assert!(lookup(&geoip, "203.0.113.1").is_empty());

    let edition = geoip.city().unwrap();
    assert_eq!(edition.licence, Licence::Free);
    assert_eq!(edition.database_type, "GeoLite2-City");
    assert_eq!(edition.built.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!((geoip.label(), geoip.problem()), ("free", None));
    assert_eq!(geoip.asn().unwrap().database_type, "GeoLite2-ASN");
}

#[test]
fn flat_records_are_understood_as_well() {
    let folder = Folder::new();
    let path = folder.file("country.mmdb");
    write(
        &path,
        "country ipvAll",
        vec![(
            "198.51.100.0/24",
            Flat {
                country_code: "US".into(),
            },
        )],
    );
    let geoip = folder.city("country.mmdb");
    assert_eq!(lookup(&geoip, "198.51.100.7").country.as_deref(), Some("US"));

    let record = serde_json::json!({"city": "Paris", "country_code": "fr", "state1": "x"});
    write(&path, "city ipvAll", vec![("198.51.100.0/24", record)]);
    geoip.refresh();
    let place = lookup(&geoip, "198.51.100.7");
    assert_eq!(
        (place.city.as_deref(), place.country.as_deref()),
        (Some("Paris"), Some("FR"))
    );

    let record =
        serde_json::json!({"asn": "AS64501", "as_name": "Flat Net", "country": "France", "country_code": "FR"});
    write(&path, "lite", vec![("198.51.100.0/24", record)]);
    let geoip = GeoIp::new(vec![path.clone()], vec![path]);
    let place = lookup(&geoip, "198.51.100.7");
    assert_eq!((place.asn, place.as_name.as_deref()), (Some(64_501), Some("Flat Net")));
    assert_eq!(
        (place.country.as_deref(), place.country_name.as_deref()),
        (Some("FR"), Some("France"))
    );
}

#[test]
fn the_first_usable_candidate_is_taken_and_commercial_ones_are_recognised() {
    let folder = Folder::new();
    let candidates = vec![folder.file("GeoIP2-City.mmdb"), folder.file("GeoLite2-City.mmdb")];
    let geoip = GeoIp::new(candidates.clone(), Vec::new());
    assert_eq!((geoip.label(), geoip.city(), geoip.problem()), ("none", None, None));
    assert!(lookup(&geoip, "198.51.100.7").is_empty());

    let record = |city| vec![("198.51.100.0/24", nested(city, "US", "United States"))];
    write(&candidates[1], "GeoLite2-City", record("Free"));
    geoip.refresh();
    assert_eq!(geoip.label(), "free");
    // The better one appears, at first unusable.
    fs::write(&candidates[0], "not a database").unwrap();
    geoip.refresh();
    assert_eq!(geoip.label(), "free");
    assert!(geoip.problem().unwrap().contains("GeoIP2-City.mmdb"));
    write(&candidates[0], "GeoIP2-City", record("Commercial"));
    geoip.refresh();
    assert_eq!((geoip.label(), geoip.problem()), ("commercial", None));
    assert_eq!(lookup(&geoip, "198.51.100.7").city.as_deref(), Some("Commercial"));
    // It disappears: the next one takes its place.
    fs::remove_file(&candidates[0]).unwrap();
    geoip.refresh();
    assert_eq!(geoip.label(), "free");
}

#[test]
fn a_replaced_file_is_read_anew_and_a_broken_one_keeps_the_old() {
    let folder = Folder::new();
    let path = folder.file("City.mmdb");
    let record = |city| vec![("198.51.100.0/24", nested(city, "US", "United States"))];
    write(&path, "GeoLite2-City", record("Before"));
    let geoip = folder.city("City.mmdb");
    let city = || lookup(&geoip, "198.51.100.7").city.unwrap();
    assert_eq!(city(), "Before");

    write(&path, "GeoLite2-City", record("After"));
    assert_eq!(city(), "Before", "files are looked at by refresh only");
    geoip.refresh();
    assert_eq!(city(), "After");

    let good = fs::read(&path).unwrap();
    for broken in [
        Vec::new(),
        good[..good.len() / 2].to_vec(),
        b"<html>login</html>".to_vec(),
    ] {
        fs::write(&path, broken).unwrap();
        geoip.refresh();
        assert_eq!(city(), "After");
        assert!(geoip.problem().is_some());
    }
    fs::remove_file(&path).unwrap();
    geoip.refresh();
    assert_eq!(city(), "After", "the copy in memory stays in use");
    write(&path, "GeoLite2-City", record("Again"));
    geoip.refresh();
    assert_eq!((city().as_str(), geoip.problem()), ("Again", None));
}

#[test]
fn damaged_records_and_other_kinds_are_refused() {
    let folder = Folder::new();
    let system = serde_json::json!({"autonomous_system_number": 64_500, "autonomous_system_organization": "Example"});
    write(
        &folder.file("City.mmdb"),
        "GeoLite2-ASN",
        vec![("198.51.100.0/24", &system)],
    );
    let geoip = folder.city("City.mmdb");
    assert_eq!(geoip.city(), None);
    let problem = geoip.problem().unwrap();
    assert!(
        problem.contains("holds no city data") && problem.contains("GeoLite2-ASN"),
        "{problem}"
    );

    // The tree and the metadata are whole, a record is not.
    write(
        &folder.file("ASN.mmdb"),
        "GeoLite2-ASN",
        vec![("198.51.100.0/24", &system)],
    );
    let mut bytes = fs::read(folder.file("ASN.mmdb")).unwrap();
    let at = bytes.windows(7).position(|part| part == b"Example").unwrap();
    bytes[at - 1] = 0xff;
    fs::write(folder.file("ASN.mmdb"), bytes).unwrap();
    let geoip = GeoIp::new(Vec::new(), vec![folder.file("ASN.mmdb")]);
    assert_eq!(geoip.asn(), None);
    assert!(geoip.problem().unwrap().contains("damaged"));

    fs::create_dir(folder.file("Folder.mmdb")).unwrap();
    let geoip = folder.city("Folder.mmdb");
    assert_eq!(geoip.city(), None);
    assert!(geoip.problem().unwrap().contains("no regular file"));
}
