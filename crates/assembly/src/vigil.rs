//! Signs of life: a service's own beat, and the silence of the others (rule 15).
//!
//! Every living service runs the vigil, so that the death of any of them is told by the rest.
//! Telling is exactly once per silence: the mark and the notice are one transaction.

use db::heartbeats::Heartbeat;
use db::{Db, DbError};
use domain::notice::{Facts, Notice};
use jiff::Timestamp;

/// Stores a beat, and announces the return if the silence before it was announced.
///
/// # Errors
/// Those of the database.
pub async fn beat(db: &Db, beat: Heartbeat) -> Result<(), DbError> {
    db.write("heartbeat", move |tx| {
        if let Some(silent_since) = db::heartbeats::beat(tx, &beat)? {
            let facts = Facts::ServiceBack {
                service: beat.service.clone(),
                since: silent_since,
            };
            db::outbox::enqueue(tx, &Notice::about(facts), beat.beat_at)?;
        }
        Ok(())
    })
    .await
}

/// Marks a service as stopped on purpose: its silence is then no fault.
///
/// # Errors
/// Those of the database.
pub async fn stopped(db: &Db, mut last: Heartbeat, now: Timestamp) -> Result<(), DbError> {
    last.state = "stopped".into();
    last.status = "stopped as asked".into();
    last.beat_at = now;
    beat(db, last).await
}

/// Announces services that fell silent. Writes nothing while all of them beat. Returns how many.
///
/// # Errors
/// Those of the database.
pub async fn watch(db: &Db, now: Timestamp) -> Result<usize, DbError> {
    let anybody = db
        .read("vigil", move |tx| {
            let limit = domain::time::minus(now, db::heartbeats::SILENT_AFTER);
            Ok(db::heartbeats::all(tx)?
                .iter()
                .any(|beat| beat.beat_at < limit && beat.state != "stopped"))
        })
        .await?;
    if !anybody {
        return Ok(0);
    }
    db.write("vigil", move |tx| {
        let silent = db::heartbeats::take_silent(tx, now)?;
        for beat in &silent {
            let facts = Facts::ServiceSilent {
                service: beat.service.clone(),
                since: beat.beat_at,
            };
            db::outbox::enqueue(tx, &Notice::about(facts), now)?;
        }
        Ok(silent.len())
    })
    .await
}
