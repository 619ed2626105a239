//! One module per table family. Functions that read take `&ReadTx`, functions that write take
//! `&WriteTx`; callers compose them into one transaction. Instants are always parameters.

pub mod adopted;
pub mod alert_history;
pub mod analytics;
pub mod attack_spans;
pub mod audit;
pub mod budget;
pub(crate) mod column;
pub mod decisions;
pub mod deliveries;
pub mod events;
pub mod heartbeats;
pub mod history;
pub mod holds;
pub mod hostnames;
pub mod inbox;
pub mod incidents;
pub mod intents;
pub mod inventory;
pub mod leases;
pub mod ledger;
pub mod lists;
pub mod outbox;
pub mod preferences;
pub mod retention;
pub mod rule_changes;
pub mod second_factor;
pub mod series;
pub mod sessions;
pub mod shares;
pub(crate) mod tallies;
pub mod tokens;
pub mod trace;
pub mod users;
