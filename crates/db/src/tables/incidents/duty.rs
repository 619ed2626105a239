//! Who looks after an incident (`incident_duty`). One person at a time; the timeline keeps who it was before.

use domain::ids::IncidentId;
use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::survivor;
use crate::error::DbError;
use crate::tables::column::{at, read_at};
use crate::tx::{ReadTx, WriteTx};

/// Somebody looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duty {
    /// Account name.
    pub person: String,
    /// Who said so; the same account when a person took it.
    pub given_by: String,
    /// Since when.
    pub at: Timestamp,
}

/// Who looks after an incident; `None` when nobody does.
///
/// # Errors
/// Those of the database.
pub fn duty(tx: &ReadTx<'_>, incident: IncidentId) -> Result<Option<Duty>, DbError> {
    tx.conn()
        .prepare_cached("SELECT person, given_by, at FROM incident_duty WHERE incident_id = ?1")?
        .query_and_then([incident.0], |row| {
            Ok(Duty {
                person: row.get("person")?,
                given_by: row.get("given_by")?,
                at: read_at(row, "incident_duty", "at")?,
            })
        })?
        .next()
        .transpose()
}

/// Gives an incident to somebody, or with `None` to nobody.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such incident.
pub fn assign(
    tx: &WriteTx<'_>,
    incident: IncidentId,
    person: Option<&str>,
    given_by: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let incident = survivor(tx, incident)?;
    let changed = tx
        .conn()
        .prepare_cached("UPDATE incidents SET updated_at = ?2 WHERE id = ?1")?
        .execute(params![incident.0, at(now)])?;
    if changed == 0 {
        return Err(DbError::NotFound);
    }
    match person {
        Some(person) => tx
            .conn()
            .prepare_cached(
                "INSERT INTO incident_duty (incident_id, person, given_by, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (incident_id) DO UPDATE SET person = excluded.person, given_by = excluded.given_by,
                   at = excluded.at",
            )?
            .execute(params![incident.0, person, given_by, at(now)])?,
        None => tx
            .conn()
            .prepare_cached("DELETE FROM incident_duty WHERE incident_id = ?1")?
            .execute([incident.0])?,
    };
    Ok(())
}
