//! GraphQL queries: evidence for decisions, limits of the account, mitigations for the record.
//!
//! What must hold: an answer with `errors`, without `data`, without our account or with one
//! unreadable row is an error. It never becomes an empty list, because an empty list means "no
//! traffic" and calm is what advances a withdrawal.

pub mod attacks;
pub mod dropped;
pub mod flow;
pub mod limits;
pub mod minutes;
pub mod mitigations;
pub mod traffic;
pub mod tunnel_health;

pub(crate) mod answer;

/// Rust types of the API's scalars, looked up by name by the generated query modules.
pub(crate) mod scalars {
    #![allow(non_camel_case_types)]

    pub(crate) type Time = String;
    pub(crate) type bool = core::primitive::bool;
    pub(crate) type float32 = f64;
    pub(crate) type int64 = i64;
    pub(crate) type string = String;
    pub(crate) type uint32 = u32;
    pub(crate) type uint64 = u64;
    pub(crate) type uint8 = u8;
}
