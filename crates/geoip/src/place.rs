//! What is known about an address, out of database records of two shapes.
//!
//! MaxMind's products nest (`{"country": {"iso_code": "US", "names": {"en": ...}}}`); others hold
//! flat records (`{"country_code": "US", "city": "Paris"}`, `{"asn": "AS64500"}`). MaxMind's own
//! record types decode a flat record into all-empty fields without an error, so each field is
//! looked up by its path in both shapes. Texts come from outside: control characters are dropped
//! and the length is bounded.

use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};

/// Longest text that is kept; the longest organisation names have about a hundred characters.
const LONGEST: usize = 120;

/// Where an address is and whose it is, as far as the databases know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Country, two capital letters (ISO 3166-1); where the location is unknown, the country that
    /// the network is registered in.
    pub country: Option<String>,
    /// Its English name.
    pub country_name: Option<String>,
    /// City, English name.
    pub city: Option<String>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Who runs it.
    pub as_name: Option<String>,
}

impl Place {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

type Record<'a> = LookupResult<'a, Vec<u8>>;

/// Fills the fields of the location.
pub(crate) fn locate(reader: &Reader<Vec<u8>>, address: IpAddr, place: &mut Place) -> Result<(), MaxMindDbError> {
    read_location(&reader.lookup(address)?, place);
    Ok(())
}

/// Fills the fields of the autonomous system.
pub(crate) fn attribute(reader: &Reader<Vec<u8>>, address: IpAddr, place: &mut Place) -> Result<(), MaxMindDbError> {
    read_system(&reader.lookup(address)?, place);
    Ok(())
}

pub(crate) fn read_location(record: &Record<'_>, place: &mut Place) {
    place.country = [
        &["country", "iso_code"][..],
        &["country_code"],
        &["country"],
        &["registered_country", "iso_code"],
    ]
    .iter()
    .find_map(|path| text(record, path).and_then(country_code));
    place.country_name = first(
        record,
        &[
            &["country", "names", "en"],
            &["country_name"],
            &["country"],
            &["registered_country", "names", "en"],
        ],
    )
    // A flat `country` may hold the code.
    .filter(|name| name.len() > 2);
    place.city = first(record, &[&["city", "names", "en"], &["city"], &["city_name"]]);
}

pub(crate) fn read_system(record: &Record<'_>, place: &mut Place) {
    place.asn = number(record, "autonomous_system_number").or_else(|| number(record, "asn"));
    place.as_name = first(
        record,
        &[
            &["autonomous_system_organization"],
            &["as_name"],
            &["name"],
            &["organization"],
        ],
    );
}

fn country_code(text: String) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

fn first(record: &Record<'_>, paths: &[&[&str]]) -> Option<String> {
    paths.iter().find_map(|path| text(record, path))
}

/// A text at a path. Another type there, such as a map where the flat shape has a text, is none.
fn text(record: &Record<'_>, path: &[&str]) -> Option<String> {
    let keys: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
    let raw: &str = record.decode_path(&keys).ok().flatten()?;
    let kept: String = raw.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// A system number of either width, or as text: `64500` or `AS64500`. Zero stands for "not routed".
fn number(record: &Record<'_>, key: &str) -> Option<u32> {
    let path = [PathElement::Key(key)];
    let narrow: Option<u32> = record.decode_path(&path).ok().flatten();
    let wide = || {
        let number: u64 = record.decode_path(&path).ok().flatten()?;
        u32::try_from(number).ok()
    };
    let number = narrow.or_else(wide).or_else(|| {
        let written = text(record, &[key])?;
        written.trim_start_matches(['A', 'a', 'S', 's']).parse().ok()
    });
    number.filter(|number| *number != 0)
}
