//! Scenarios: the file format, the alerts they send, and the run that turns a timeline into traffic and deliveries.

pub(crate) mod alerts;
pub(crate) mod file;
pub(crate) mod run;
mod streams;
