//! The JSON API. Keys that the predecessor had keep their names and meanings; all instants are RFC 3339 in UTC.
//!
//! Every answer has `success`; a failure is `{"success": false, "error": TEXT, "code": WORD}` with a status that says the
//! same. A handler is in the table of [`routes`], says there under which address, and describes itself for the document.
//!
//! | Module | Holds |
//! |---|---|
//! | [`routes`], `document` | the addresses, and their description |
//! | [`params`], [`listing`], [`export`] | what lists are asked, their pages, whole lists as files |
//! | [`attacks`], [`analytics`], [`incidents`], [`withdrawals`], [`deliveries`], [`messages`], [`changes`] | lists |
//! | [`overview`], [`prefixes`], [`services`], [`stats`], [`network_flow`] | the situation |
//! | [`mnm_rules`], [`ddos`], [`ddos_overrides`] | network monitoring rules; DDoS rules; changing overrides |
//! | [`connectors`] | tunnels and interconnects |
//! | [`readiness`] | whether diversion would work |
//! | [`acts`], [`holds`], [`handling`] | what people do |
//! | [`preferences`] | how pages look, what is announced |

pub(crate) mod acts;
pub(crate) mod analytics;
pub(crate) mod attacks;
pub(crate) mod changes;
pub(crate) mod connectors;
pub(crate) mod ddos;
pub(crate) mod ddos_overrides;
pub(crate) mod deliveries;
#[cfg(test)]
pub(crate) mod document;
pub(crate) mod export;
pub(crate) mod handling;
pub(crate) mod holds;
pub(crate) mod incidents;
pub(crate) mod listing;
pub(crate) mod messages;
pub(crate) mod mnm_rules;
pub(crate) mod network_flow;
pub(crate) mod overview;
pub(crate) mod params;
pub(crate) mod preferences;
pub(crate) mod prefixes;
pub(crate) mod readiness;
pub(crate) mod reason;
pub(crate) mod routes;
pub(crate) mod services;
pub(crate) mod stats;
pub(crate) mod withdrawals;
