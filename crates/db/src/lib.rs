//! The SQLite file: pool, migrations, durable writes, one module per table family. The only home of SQL.
//!
//! The engine (this list) knows no table. Table modules take `&ReadTx` or `&WriteTx` and are pure functions of the database:
//! times, ids and randomness come in as parameters.
//!
//! - [`Db`] is the handle: [`Db::open`], [`Db::read`], [`Db::write`] (durable when it returns), [`Db::changes`], [`Db::close`].
//! - [`OpenError`] and [`DbError`] are what can go wrong, with stable codes; [`OpenError`] also knows meaning and remedy.
//! - [`Db::backup`], [`restore`](fn@restore), [`retention`] and [`Db::integrity_check`] look after the file; [`Db::query_readonly`] answers an operator's question.

mod backup;
mod changes;
mod check;
mod connection;
mod error;
mod migrate;
mod open;
mod query;
mod readers;
mod restore;
mod stop;
mod store;
mod tables;
mod tx;
mod writer;

pub use backup::{BackupError, BackupReport};
pub use changes::ChangeWatch;
pub use error::{Cause, DbError};
pub use open::{Access, OpenError, OpenOptions};
pub use query::{Cell, Rows};
pub use restore::{RestoreError, RestoreReport, restore};
pub use store::Db;
pub use tables::{
    adopted, alert_history, analytics, attack_spans, audit, budget, decisions, deliveries, events, heartbeats, history,
    holds, hostnames, inbox, incidents, intents, inventory, leases, ledger, lists, outbox, preferences, retention,
    rule_changes, second_factor, series, sessions, shares, tokens, trace, users,
};
pub use tx::{ReadTx, WriteTx};
pub use writer::{CloseReport, WriterStats};

/// The schema version that this program works with (`PRAGMA user_version` of a migrated file).
pub const SCHEMA_VERSION: i64 = migrate::LATEST;
