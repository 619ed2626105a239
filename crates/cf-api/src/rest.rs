//! REST calls. Results are typed, optional where the API leaves things out, and only taken from an
//! answer whose status, success flag and shape all agree.

pub mod alerting;
pub mod bindings;
pub mod clock;
pub mod connectors;
pub mod history;
pub mod mnm;
pub mod mnm_changes;
pub mod prefixes;
pub mod rulesets;
pub mod rulesets_changes;
pub mod rulesets_rule;
pub mod tokens;
pub mod tunnels;

pub(crate) mod envelope;
