//! Holds and pauses set by people (`holds`). Never deleted; released or run out.

use domain::hold::Hold;
use domain::ids::HoldId;
use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::column::{at, opt_at, read_at, read_opt_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

fn read(row: &Row<'_>) -> Result<Hold, DbError> {
    let prefix: Option<String> = row.get("prefix")?;
    let id: i64 = row.get("id")?;
    Ok(Hold {
        id: HoldId(id),
        prefix: prefix
            .map(|text| {
                text.parse::<Prefix>()
                    .map_err(|error| DbError::bad_row("holds", id, error))
            })
            .transpose()?,
        actor: row.get("actor")?,
        reason: row.get("reason")?,
        created_at: read_at(row, "holds", "created_at")?,
        until: read_opt_at(row, "holds", "until")?,
    })
}

/// Sets a hold (`prefix` given) or a pause of everything.
///
/// # Errors
/// Those of the database.
pub fn set(
    tx: &WriteTx<'_>,
    prefix: Option<Prefix>,
    actor: &str,
    reason: &str,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<HoldId, DbError> {
    tx.conn()
        .prepare_cached("INSERT INTO holds (prefix, actor, reason, created_at, until) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            prefix.map(|p| p.to_string()),
            actor,
            reason,
            at(now),
            opt_at(until)
        ])?;
    Ok(HoldId(tx.conn().last_insert_rowid()))
}

/// Releases every hold in force on exactly this prefix (`None`: every pause). Returns how many.
///
/// # Errors
/// Those of the database.
pub fn release(tx: &WriteTx<'_>, prefix: Option<Prefix>, actor: &str, now: Timestamp) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE holds SET released_at = ?3, released_by = ?2
             WHERE prefix IS ?1 AND released_at IS NULL AND (until IS NULL OR until > ?3)",
        )?
        .execute(params![prefix.map(|p| p.to_string()), actor, at(now)])?)
}

/// Holds and pauses in force.
///
/// # Errors
/// Those of the database.
pub fn in_force(tx: &ReadTx<'_>, now: Timestamp) -> Result<Vec<Hold>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, prefix, actor, reason, created_at, until FROM holds
             WHERE released_at IS NULL AND (until IS NULL OR until > ?1) ORDER BY id LIMIT 10000",
        )?
        .query_and_then([at(now)], read)?
        .collect()
}

/// Holds that end by `horizon` and whose end was not announced yet; marks them announced.
///
/// # Errors
/// Those of the database.
pub fn take_ending(tx: &WriteTx<'_>, now: Timestamp, horizon: Timestamp) -> Result<Vec<Hold>, DbError> {
    let ending: Vec<Hold> = tx
        .conn()
        .prepare_cached(
            "SELECT id, prefix, actor, reason, created_at, until FROM holds
             WHERE released_at IS NULL AND end_announced = 0 AND until > ?1 AND until <= ?2 LIMIT 1000",
        )?
        .query_and_then(params![at(now), at(horizon)], read)?
        .collect::<Result<_, _>>()?;
    for hold in &ending {
        tx.conn()
            .prepare_cached("UPDATE holds SET end_announced = 1 WHERE id = ?1")?
            .execute([hold.id.0])?;
    }
    Ok(ending)
}
