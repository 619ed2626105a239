//! Auto-withdraw: gathers evidence, decides, and withdraws when calm is proven.
//!
//! | Module | Holds |
//! |---|---|
//! | [`policy`] | settings to policy |
//! | [`inventory`] | prefixes and their live BGP state, by list calls |
//! | [`bindings`] | which services the networks are bound to, in a slow rotation |
//! | [`routes`] | checks of the operator's own route |
//! | [`ledger`] | what the database says at the begin of a cycle |
//! | [`cycle`] | gather and decide |
//! | `presence` | whether traffic is that of a prefix's own advertisement |
//! | [`commit`] | a cycle's outcome in one transaction |
//! | [`changes`] | changes of the live state: ours, Cloudflare's, somebody else's |
//! | [`reattack`] | an attack soon after our own withdrawal |
//! | [`timeline`] | what a verdict adds to an incident |
//! | [`actor`] | the lease of the one actor |
//! | [`working`] | waiting for work without losing the lease |
//! | [`decide_loop`] | the loop that ties them together and takes the next step of open intents |
//! | [`emergencies`] | what people did while the journal could not be written |
//! | [`feeds`] | what fails as a whole is told |
//! | [`recording`] | the inputs of every cycle as lines of a file, for `cloudflare-mt replay` |
//! | [`identity`] | a database that wakes up on another host starts paused |
//! | [`status`] | what it says about itself |
//! | [`commands`] | the commands beside the daemon: status, check, explain |

pub mod actor;
pub mod bindings;
pub mod changes;
pub mod commands;
pub mod commit;
pub mod cycle;
pub mod decide_loop;
pub mod emergencies;
pub mod feeds;
pub mod identity;
pub mod inventory;
pub mod ledger;
pub mod policy;
mod presence;
pub mod reattack;
pub mod recording;
pub mod routes;
pub mod service;
pub mod status;
pub mod timeline;
pub mod working;

pub use service::run;
