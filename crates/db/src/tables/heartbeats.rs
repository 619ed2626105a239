//! Signs of life of the services (`heartbeats`). Any living service announces one that fell
//! silent, once, and its return.

use domain::time::minus;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;
use std::time::Duration;

use super::column::{at, read_at};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Age at which a missing beat is announced (rule 15).
pub const SILENT_AFTER: Duration = Duration::from_secs(180);

/// One sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// Unit name.
    pub service: String,
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Version.
    pub version: String,
    /// Start of the process.
    pub started_at: Timestamp,
    /// This beat.
    pub beat_at: Timestamp,
    /// `ok`, `degraded`, `failing` or `stopped`.
    pub state: String,
    /// What it is doing, in plain words.
    pub status: String,
}

/// Stores a beat. Returns the instant of the last beat before a silence that was announced, so
/// that the return can be announced too.
///
/// # Errors
/// Those of the database.
pub fn beat(tx: &WriteTx<'_>, beat: &Heartbeat) -> Result<Option<Timestamp>, DbError> {
    let returned = tx
        .conn()
        .prepare_cached("SELECT service, beat_at FROM heartbeats WHERE service = ?1 AND silence_announced = 1")?
        .query_and_then([&beat.service], |row| read_at(row, "heartbeats", "beat_at"))?
        .next()
        .transpose()?;
    tx.conn()
        .prepare_cached(
            "INSERT INTO heartbeats (service, pid, host, version, started_at, beat_at, state, status, silence_announced)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)
             ON CONFLICT (service) DO UPDATE SET pid = excluded.pid, host = excluded.host, version = excluded.version,
               started_at = excluded.started_at, beat_at = excluded.beat_at, state = excluded.state,
               status = excluded.status, silence_announced = 0",
        )?
        .execute(params![
            beat.service,
            beat.pid,
            beat.host,
            beat.version,
            at(beat.started_at),
            at(beat.beat_at),
            beat.state,
            beat.status,
        ])?;
    Ok(returned)
}

fn read(row: &Row<'_>) -> Result<Heartbeat, DbError> {
    Ok(Heartbeat {
        service: row.get("service")?,
        pid: row.get("pid")?,
        host: row.get("host")?,
        version: row.get("version")?,
        started_at: read_at(row, "heartbeats", "started_at")?,
        beat_at: read_at(row, "heartbeats", "beat_at")?,
        state: row.get("state")?,
        status: row.get("status")?,
    })
}

/// All services ever seen, by name.
///
/// # Errors
/// Those of the database.
pub fn all(tx: &ReadTx<'_>) -> Result<Vec<Heartbeat>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM heartbeats ORDER BY service LIMIT 100")?
        .query_and_then([], read)?
        .collect()
}

/// One service.
///
/// # Errors
/// Those of the database.
pub fn of(tx: &ReadTx<'_>, service: &str) -> Result<Option<Heartbeat>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM heartbeats WHERE service = ?1")?
        .query_and_then([service], read)?
        .next()
        .transpose()
}

/// Services that fell silent without saying so and were not announced yet; marks them announced.
///
/// # Errors
/// Those of the database.
pub fn take_silent(tx: &WriteTx<'_>, now: Timestamp) -> Result<Vec<Heartbeat>, DbError> {
    let silent: Vec<Heartbeat> = tx
        .conn()
        .prepare_cached(
            "SELECT * FROM heartbeats WHERE beat_at < ?1 AND state <> 'stopped' AND silence_announced = 0 LIMIT 100",
        )?
        .query_and_then([at(minus(now, SILENT_AFTER))], read)?
        .collect::<Result<_, _>>()?;
    for beat in &silent {
        tx.conn()
            .prepare_cached("UPDATE heartbeats SET silence_announced = 1 WHERE service = ?1")?
            .execute([&beat.service])?;
    }
    Ok(silent)
}
