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

#[cfg(test)]
mod tests {
    use super::*;
    use db::OpenOptions;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn sign(second: i64) -> Heartbeat {
        Heartbeat {
            service: "cloudflare-autowithdraw".into(),
            pid: 1,
            host: "test".into(),
            version: "0".into(),
            started_at: at(0),
            beat_at: at(second),
            state: "ok".into(),
            status: String::new(),
        }
    }

    #[tokio::test]
    async fn three_minutes_of_silence_are_told_once_by_whoever_watches_and_so_is_the_return() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("vigil.db"), OpenOptions::default()).unwrap();
        beat(&db, sign(0)).await.unwrap();
        assert_eq!(watch(&db, at(180)).await.unwrap(), 0);
        assert_eq!(watch(&db, at(181)).await.unwrap(), 1);
        assert_eq!(watch(&db, at(200)).await.unwrap(), 0, "once");
        beat(&db, sign(400)).await.unwrap();
        let told = db.read("test", |tx| db::outbox::newest(tx, None, 10)).await.unwrap();
        let mut kinds: Vec<String> = told.into_iter().map(|row| row.kind).collect();
        kinds.sort();
        assert_eq!(kinds, ["service_back", "service_silent"]);
        stopped(&db, sign(0), at(410)).await.unwrap();
        assert_eq!(watch(&db, at(9_000)).await.unwrap(), 0, "its end was meant");
    }
}
