//! The city and the ASN database together, for whoever asks about an address.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::database::{Database, Edition, Kind};
use crate::place::{Place, attribute, locate};

/// Looks addresses up. Share it; all methods take `&self`.
pub struct GeoIp {
    city: Database,
    asn: Database,
}

impl GeoIp {
    /// Takes the files to try for each kind, in order; the first that can be used is. Nothing is
    /// opened before the first [`Self::lookup`] or [`Self::refresh`].
    pub fn new(city: Vec<PathBuf>, asn: Vec<PathBuf>) -> Self {
        Self {
            city: Database::new(Kind::City, city),
            asn: Database::new(Kind::Asn, asn),
        }
    }

    /// No databases at all.
    pub fn none() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    /// Looks whether files appeared or were replaced, and reads them. A file that cannot be used is
    /// logged once and leaves the one before in use. Costs one system call per candidate while
    /// nothing changed; reads up to some hundred megabytes when something did, so call it where
    /// blocking is allowed, and regularly.
    pub fn refresh(&self) {
        self.city.refresh();
        self.asn.refresh();
    }

    /// What is known about an address. Never fails: what cannot be found out is empty. Works in
    /// memory, except for the very first call when [`Self::refresh`] was not called before.
    pub fn lookup(&self, address: IpAddr) -> Place {
        // Databases know IPv4 addresses in their own form.
        let address = address.to_canonical();
        let mut place = Place::default();
        // An error here is an IPv6 address in an IPv4 database, or damage that the probe did not
        // meet: nothing is known either way.
        if let Some(city) = self.city.in_use() {
            let _ = locate(&city.reader, address, &mut place);
        }
        if let Some(asn) = self.asn.in_use() {
            let _ = attribute(&asn.reader, address, &mut place);
        }
        place
    }

    /// The city (or country) database in use.
    pub fn city(&self) -> Option<Edition> {
        self.city.in_use().map(|loaded| loaded.edition.clone())
    }

    /// The ASN database in use.
    pub fn asn(&self) -> Option<Edition> {
        self.asn.in_use().map(|loaded| loaded.edition.clone())
    }

    /// `commercial`, `free` or `none`, by the city database.
    pub fn label(&self) -> &'static str {
        self.city
            .in_use()
            .map_or("none", |loaded| loaded.edition.licence.as_str())
    }

    /// Why a preferred file is not in use, for health pages; `None` when all is well, also without
    /// any database.
    pub fn problem(&self) -> Option<String> {
        self.city.problem().or_else(|| self.asn.problem())
    }
}

impl fmt::Debug for GeoIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoIp").finish_non_exhaustive()
    }
}
