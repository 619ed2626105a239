//! How the process says whether it does its work: checks reported by its parts, its loops, and the routes that show it.

mod registry;
mod routes;

pub use registry::{CheckHandle, CheckState, Health, HealthRegistry, Weight};
pub use routes::{document, health_alias, routes};
