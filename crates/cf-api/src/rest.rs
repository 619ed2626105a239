//! REST calls. Results are typed, optional where the API leaves things out, and only taken from an
//! answer whose status, success flag and shape all agree.

pub mod bindings;
pub mod history;
pub mod mnm;
pub mod prefixes;
pub mod tokens;

pub(crate) mod envelope;
