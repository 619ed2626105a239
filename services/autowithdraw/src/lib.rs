//! Auto-withdraw: gathers evidence, decides, and withdraws when calm is proven.
//!
//! | Module | Holds |
//! |---|---|
//! | [`policy`] | settings to policy |
//! | [`inventory`] | prefixes and their live BGP state, by rotating list calls |
//! | [`routes`] | checks of the operator's own route |
//! | [`cycle`] | gather and decide |
//! | [`commit`] | a cycle's outcome in one transaction |
//! | [`actor`] | the lease of the one actor |
//! | [`decide_loop`] | the loop that ties them together and takes the next step of open intents |
//! | [`status`] | what it says about itself |

pub mod actor;
pub mod commit;
pub mod cycle;
pub mod decide_loop;
pub mod identity;
pub mod inventory;
pub mod policy;
pub mod routes;
pub mod service;
pub mod status;

pub use service::run;
