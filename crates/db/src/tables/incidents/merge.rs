//! Two incidents that turn out to be one attack, because one alert brings a key of each.
//!
//! What must hold: whatever the order in which the alerts arrived, everything that is known of the attack hangs on one
//! incident, the earlier one; the other row stays and points there, so that a link in an old message still leads to it.

use domain::ids::IncidentId;
use domain::incident::Span;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Line, note, span_of};
use crate::error::DbError;
use crate::tables::column::{at, opt_at};
use crate::tx::{ReadTx, WriteTx};

/// What hangs on an incident. Its prefixes and the person who looks after it are moved by statements of their own.
const CHILDREN: [&str; 9] = [
    "incident_keys",
    "incident_timeline",
    "attack_events",
    "withdrawal_history",
    "network_analytics_events",
    "attack_spans",
    "alert_history",
    "intents",
    "notifications",
];

/// Most links followed from a merged incident to the one that has everything.
const MOST_LINKS: u32 = 64;

/// The incident that has everything of `id`: itself, unless it was merged.
///
/// # Errors
/// Those of the database.
pub fn survivor(tx: &ReadTx<'_>, id: IncidentId) -> Result<IncidentId, DbError> {
    let mut id = id;
    for _ in 0..MOST_LINKS {
        let next: Option<i64> = tx
            .conn()
            .prepare_cached("SELECT merged_into FROM incidents WHERE id = ?1")?
            .query_row([id.0], |row| row.get(0))
            .optional()?
            .flatten();
        match next {
            Some(next) => id = IncidentId(next),
            None => break,
        }
    }
    Ok(id)
}

/// Makes one of several incidents of the same attack, found by the strongest key first: the earliest is returned and has
/// everything. Self-tests and real attacks stay apart.
///
/// # Errors
/// Those of the database.
pub(super) fn merge(
    tx: &WriteTx<'_>,
    mut found: Vec<IncidentId>,
    now: Timestamp,
) -> Result<Option<IncidentId>, DbError> {
    found.dedup();
    let Some(first) = found.first().copied() else {
        return Ok(None);
    };
    if found.len() == 1 {
        return Ok(Some(first));
    }
    let kind = is_test(tx, first)?;
    let mut same = Vec::new();
    for id in found {
        if is_test(tx, id)? == kind {
            same.push(id);
        }
    }
    let kept = same.iter().copied().min_by_key(|id| id.0).unwrap_or(first);
    for merged in same.into_iter().filter(|id| *id != kept) {
        move_all(tx, merged, kept, now)?;
    }
    Ok(Some(kept))
}

fn is_test(tx: &ReadTx<'_>, id: IncidentId) -> Result<bool, DbError> {
    let known: Option<bool> = tx
        .conn()
        .prepare_cached("SELECT is_test FROM incidents WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    Ok(known.unwrap_or_default())
}

fn move_all(tx: &WriteTx<'_>, from: IncidentId, into: IncidentId, now: Timestamp) -> Result<(), DbError> {
    for table in CHILDREN {
        tx.conn().execute(
            &format!("UPDATE {table} SET incident_id = ?2 WHERE incident_id = ?1"),
            params![from.0, into.0],
        )?;
    }
    tx.conn().execute(
        "INSERT OR IGNORE INTO incident_prefixes (incident_id, prefix)
         SELECT ?2, prefix FROM incident_prefixes WHERE incident_id = ?1",
        params![from.0, into.0],
    )?;
    tx.conn().execute(
        "UPDATE OR IGNORE incident_duty SET incident_id = ?2 WHERE incident_id = ?1",
        params![from.0, into.0],
    )?;
    let spans = (span_of(tx, into)?, span_of(tx, from)?);
    if let (Some(kept), Some(merged)) = spans {
        let span = both(kept, merged);
        tx.conn().execute(
            "UPDATE incidents SET began_at = ?2, ended_at = ?3, last_sign_at = ?4 WHERE id = ?1",
            params![into.0, at(span.began_at), opt_at(span.ended_at), at(span.last_sign_at)],
        )?;
    }
    // An incident is withdrawn when all of it is: not while the other half of it still was not.
    tx.conn().execute(
        "UPDATE incidents SET
           title = CASE WHEN incidents.vector IS NULL AND other.vector IS NOT NULL THEN other.title ELSE incidents.title END,
           vector = COALESCE(incidents.vector, other.vector),
           peak_pps = NULLIF(max(COALESCE(incidents.peak_pps, -1), COALESCE(other.peak_pps, -1)), -1),
           peak_bps = NULLIF(max(COALESCE(incidents.peak_bps, -1), COALESCE(other.peak_bps, -1)), -1),
           withdrawn_at = max(incidents.withdrawn_at, other.withdrawn_at),
           acknowledged_by = COALESCE(incidents.acknowledged_by, other.acknowledged_by),
           acknowledged_at = COALESCE(incidents.acknowledged_at, other.acknowledged_at),
           updated_at = ?3
         FROM (SELECT * FROM incidents WHERE id = ?1) AS other WHERE incidents.id = ?2",
        params![from.0, into.0, at(now)],
    )?;
    tx.conn().execute(
        "UPDATE incidents SET merged_into = ?2, updated_at = ?3 WHERE id = ?1",
        params![from.0, into.0, at(now)],
    )?;
    let line = Line {
        at: now,
        kind: "merged".to_owned(),
        text: format!(
            "Incident {} is the same attack: an alert names both. Everything of it is here now",
            from.0
        ),
        source: "cloudflare notification".to_owned(),
        actor: None,
        reference: Some(("incidents".to_owned(), from.0)),
    };
    note(tx, into, &line, now)
}

/// The span of an attack of which two parts were known.
fn both(a: Span, b: Span) -> Span {
    let last = if b.last_sign_at > a.last_sign_at || (b.last_sign_at == a.last_sign_at && b.ended_at.is_some()) {
        b
    } else {
        a
    };
    Span {
        began_at: a.began_at.min(b.began_at),
        // It has ended when its last sign is an END.
        ended_at: last.ended_at,
        last_sign_at: last.last_sign_at,
    }
}
