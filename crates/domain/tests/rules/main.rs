//! The safety rules as properties, one module per rule of the architecture (see `docs/`), each
//! test named after what its rule promises.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod attack_thresholds;
mod chaos;
mod details_of_calm;
mod exact_borders;
mod incidents;
mod rule_01_three_answers;
mod rule_02_data;
mod rule_03_data_time;
mod rule_04_epochs;
mod rule_05_networks;
mod rule_06_alerts;
mod rule_07_holds;
mod rule_08_brakes;
mod rule_09_managed;
mod rule_11_cancel;
mod rule_11_steps;
mod rule_12_15_announcements;
mod stored_forms;
