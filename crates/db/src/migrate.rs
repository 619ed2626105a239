//! The schema's versions: numbered, forward only, applied all together in one IMMEDIATE transaction.
//!
//! `PRAGMA user_version` is the number of migrations that were applied. To change the schema add a step at the end of
//! [`steps`] with its SQL file in `migrations/`, and raise [`LATEST`]; never edit a step that was released.
//! The caller holds the lock file and has made the safety copy: nothing here does I/O besides the connection.

mod adopt;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, TransactionBehavior};
use rusqlite_migration::{HookError, M, Migrations};

use crate::error::{Cause, DbError};
pub(crate) use adopt::is_predecessor_table;

/// The schema version that this program works with: the number of [`steps`].
pub(crate) const LATEST: i64 = 14;

fn steps() -> Vec<M<'static>> {
    vec![
        // 0001_predecessor_tables.sql, with the rows of a file that the predecessor left.
        M::up_with_hook("", adopt::adopt),
        M::up(include_str!("../migrations/0002_own_tables.sql")),
        M::up(include_str!("../migrations/0003_alert_history.sql")),
        M::up(include_str!("../migrations/0004_outbox_turns_and_copies.sql")),
        M::up(include_str!("../migrations/0005_analytics_of_incident.sql")),
        M::up(include_str!("../migrations/0006_attack_series_and_spans.sql")),
        M::up(include_str!("../migrations/0007_lists_and_tallies.sql")),
        M::up(include_str!("../migrations/0008_machines_and_second_factors.sql")),
        M::up(include_str!("../migrations/0009_incident_duty.sql")),
        M::up(include_str!("../migrations/0010_indexes_that_others_cover.sql")),
        M::up(include_str!("../migrations/0011_ongoing_incidents.sql")),
        M::up(include_str!("../migrations/0012_rule_changes.sql")),
        M::up(include_str!("../migrations/0013_merged_incidents.sql")),
        M::up(include_str!("../migrations/0014_inbox.sql")),
    ]
}

/// Brings the schema to [`LATEST`]. On an error everything is as before.
pub(crate) fn to_latest(conn: &mut Connection) -> Result<(), DbError> {
    apply(conn, steps())
}

/// Applies the steps that are missing, all or none.
///
/// Foreign keys are off meanwhile, because rebuilding a table would fire their actions; every step is followed by a check of
/// all of them, and a violation undoes everything.
fn apply(conn: &mut Connection, steps: Vec<M<'static>>) -> Result<(), DbError> {
    let steps = steps.into_iter().map(M::foreign_key_check).collect();
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.set_transaction_behavior(TransactionBehavior::Immediate);
    let applied = Migrations::new(steps).to_latest(conn).map_err(classify);
    conn.pragma_update(None, "foreign_keys", true)?;
    applied
}

/// The columns that a table has in a new file.
fn newest_columns(table: &str) -> Result<Vec<String>, HookError> {
    let mut fresh = Connection::open_in_memory()?;
    to_latest(&mut fresh).map_err(|error| HookError::Hook(crate::error::chain(&error)))?;
    let mut list = fresh.prepare("SELECT lower(name) FROM pragma_table_xinfo(?1)")?;
    let names = list.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn classify(error: rusqlite_migration::Error) -> DbError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => DbError::from(err),
        rusqlite_migration::Error::Hook(text) => DbError::Sql(Cause::text(text)),
        other => DbError::Sql(Cause::text(other.to_string())),
    }
}
