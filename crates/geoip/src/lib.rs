//! Where an address is: city, country, AS, and whether it can be a real source at all.
//!
//! | Module | Holds |
//! |---|---|
//! | [`mod@bogon`] | addresses that never come from the public Internet, from IANA's registries |
//! | [`place`] | what is known about an address, out of records of either shape |
//! | [`database`] | one database file in memory, read anew when it is replaced |
//! | [`geoip`] | the city and the ASN database together |
//! | [`names`] | host names by reverse look-up, remembered in a cache that the caller brings |
//!
//! What must hold: a missing or broken database never stops anybody, it only leaves fields empty;
//! nothing is read from disk unless a database is there, so a process without one stays small.

pub mod bogon;
pub mod database;
pub mod geoip;
pub mod names;
pub mod place;

pub use bogon::{BogonReason, bogon};
pub use database::{Edition, Licence};
pub use geoip::GeoIp;
pub use place::Place;
