//! The intent journal (`intents`, `intent_attempts`): durable before the act. States and allowed
//! transitions are [`domain::intent`]'s; every change here is a compare-and-set under a lease.

use std::time::Duration;

use domain::bgp::Epoch;
use domain::calm::WindowSum;
use domain::ids::{BgpPrefixId, EvidenceId, IncidentId, IntentId, PrefixId};
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::column::{at, json, opt_at, read_at, read_opt_at, read_opt_json, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

const TABLE: &str = "intents";

/// An intent to be filed.
#[derive(Debug, Clone)]
pub struct NewIntent {
    /// The prefix.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// Who wants it.
    pub origin: Origin,
    /// Why.
    pub reason: String,
    /// Cloudflare's ids.
    pub prefix_id: PrefixId,
    /// Cloudflare's ids.
    pub bgp_prefix_id: BgpPrefixId,
    /// The epoch it is meant for (withdrawals).
    pub epoch: Option<Epoch>,
    /// Version of the prefix state it was decided on (automatic ones).
    pub state_version: Option<i64>,
    /// Evidence it was decided on.
    pub evidence: Option<EvidenceId>,
    /// Incident it belongs to.
    pub incident: Option<IncidentId>,
    /// Proven calm, seconds.
    pub calm_s: Option<i64>,
    /// Peak of the epoch.
    pub peak: Option<WindowSum>,
    /// Systems that dropped.
    pub systems: Vec<String>,
    /// End of the first attack window of the epoch, in data time.
    pub attack_began_at: Option<Timestamp>,
    /// End of the last attack window of the epoch, in data time.
    pub attack_ended_at: Option<Timestamp>,
    /// Act although our own clock advises against.
    pub force: bool,
}

/// An intent as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intent {
    /// Row number.
    pub id: IntentId,
    /// The prefix.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// Where it stands.
    pub state: IntentState,
    /// Who wants it.
    pub origin: Origin,
    /// Why.
    pub reason: String,
    /// Cloudflare's ids.
    pub prefix_id: PrefixId,
    /// Cloudflare's ids.
    pub bgp_prefix_id: BgpPrefixId,
    /// The epoch it is meant for.
    pub epoch: Option<Epoch>,
    /// Version of the prefix state it was decided on.
    pub state_version: Option<i64>,
    /// Evidence.
    pub evidence: Option<EvidenceId>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Proven calm, seconds.
    pub calm_s: Option<i64>,
    /// Peak of the epoch.
    pub peak: Option<WindowSum>,
    /// Systems that dropped.
    pub systems: Vec<String>,
    /// End of the first attack window of the epoch, in data time.
    pub attack_began_at: Option<Timestamp>,
    /// End of the last attack window of the epoch, in data time.
    pub attack_ended_at: Option<Timestamp>,
    /// Act although our own clock advises against.
    pub force: bool,
    /// When it was filed.
    pub created_at: Timestamp,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Who is working on it.
    pub lease_owner: Option<String>,
    /// Until when.
    pub lease_until: Option<Timestamp>,
    /// When the call was marked.
    pub sending_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Stable class of the outcome.
    pub outcome_class: Option<String>,
    /// The outcome in words.
    pub outcome_words: Option<String>,
    /// The refusal class that people were told of.
    pub refusal_announced: Option<String>,
}

/// Files an intent.
///
/// # Errors
/// [`DbError::Conflict`] when an automatic intent of the prefix is still open.
pub fn file(tx: &WriteTx<'_>, new: &NewIntent, now: Timestamp) -> Result<IntentId, DbError> {
    let (origin, actor, via) = match &new.origin {
        Origin::Automatic => ("automatic", "autowithdraw", "autowithdraw"),
        Origin::Person { actor, via } => ("person", actor.as_str(), via.as_str()),
    };
    tx.conn()
        .prepare_cached(
            "INSERT INTO intents (prefix, act, state, origin, actor, via, reason, prefix_id, bgp_prefix_id, epoch,
               state_version, evidence_id, incident_id, calm_s, peak, systems, force, created_at, attack_began_at,
               attack_ended_at)
             VALUES (?1, ?2, 'planned', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            new.prefix.to_string(),
            new.act.as_str(),
            origin,
            actor,
            via,
            new.reason,
            new.prefix_id.as_str(),
            new.bgp_prefix_id.as_str(),
            opt_at(new.epoch.map(|epoch| epoch.0)),
            new.state_version,
            new.evidence.map(|id| id.0),
            new.incident.map(|id| id.0),
            new.calm_s,
            new.peak.as_ref().map(json).transpose()?,
            json(&new.systems)?,
            new.force,
            at(now),
            opt_at(new.attack_began_at),
            opt_at(new.attack_ended_at),
        ])?;
    Ok(IntentId(tx.conn().last_insert_rowid()))
}

fn read(row: &Row<'_>) -> Result<Intent, DbError> {
    let origin: String = row.get("origin")?;
    let id: i64 = row.get("id")?;
    let origin = match origin.as_str() {
        "automatic" => Origin::Automatic,
        "person" => Origin::Person {
            actor: row.get("actor")?,
            via: row.get("via")?,
        },
        other => {
            return Err(DbError::bad_row(
                TABLE,
                id,
                format!("origin holds the unknown word {other:?}"),
            ));
        }
    };
    Ok(Intent {
        id: IntentId(id),
        prefix: read_word(row, TABLE, "prefix", |text| text.parse().ok())?,
        act: read_word(row, TABLE, "act", Act::from_text)?,
        state: read_word(row, TABLE, "state", IntentState::from_text)?,
        origin,
        reason: row.get("reason")?,
        prefix_id: PrefixId::new(&row.get::<_, String>("prefix_id")?),
        bgp_prefix_id: BgpPrefixId::new(&row.get::<_, String>("bgp_prefix_id")?),
        epoch: read_opt_at(row, TABLE, "epoch")?.map(Epoch),
        state_version: row.get("state_version")?,
        evidence: row.get::<_, Option<i64>>("evidence_id")?.map(EvidenceId),
        incident: row.get::<_, Option<i64>>("incident_id")?.map(IncidentId),
        calm_s: row.get("calm_s")?,
        peak: read_opt_json(row, TABLE, "peak")?,
        systems: read_opt_json(row, TABLE, "systems")?.unwrap_or_default(),
        attack_began_at: read_opt_at(row, TABLE, "attack_began_at")?,
        attack_ended_at: read_opt_at(row, TABLE, "attack_ended_at")?,
        force: row.get("force")?,
        created_at: read_at(row, TABLE, "created_at")?,
        not_before: read_opt_at(row, TABLE, "not_before")?,
        lease_owner: row.get("lease_owner")?,
        lease_until: read_opt_at(row, TABLE, "lease_until")?,
        sending_at: read_opt_at(row, TABLE, "sending_at")?,
        closed_at: read_opt_at(row, TABLE, "closed_at")?,
        outcome_class: row.get("outcome_class")?,
        outcome_words: row.get("outcome_words")?,
        refusal_announced: row.get("refusal_announced")?,
    })
}

/// One intent.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, id: IntentId) -> Result<Option<Intent>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM intents WHERE id = ?1")?
        .query_and_then([id.0], read)?
        .next()
        .transpose()
}

/// All open intents, oldest first.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &ReadTx<'_>) -> Result<Vec<Intent>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT * FROM intents WHERE state IN ('planned', 'sending', 'verifying') ORDER BY id LIMIT 10000",
        )?
        .query_and_then([], read)?
        .collect()
}

/// The newest intents of one prefix or of all, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, prefix: Option<Prefix>, limit: u32) -> Result<Vec<Intent>, DbError> {
    tx.conn()
        .prepare_cached("SELECT * FROM intents WHERE ?1 IS NULL OR prefix = ?1 ORDER BY id DESC LIMIT ?2")?
        .query_and_then(params![prefix.map(|p| p.to_string()), limit], read)?
        .collect()
}

/// Takes an open intent to work on it: nobody else holds a live lease and its time has come.
/// `None` when somebody else has it or it is closed.
///
/// # Errors
/// Those of the database.
pub fn claim(
    tx: &WriteTx<'_>,
    id: IntentId,
    owner: &str,
    lease: Duration,
    now: Timestamp,
) -> Result<Option<Intent>, DbError> {
    let taken = tx
        .conn()
        .prepare_cached(
            "UPDATE intents SET lease_owner = ?2, lease_until = ?3
             WHERE id = ?1 AND state IN ('planned', 'sending', 'verifying')
               AND (lease_until IS NULL OR lease_until <= ?4 OR lease_owner = ?2)
               AND (not_before IS NULL OR not_before <= ?4)",
        )?
        .execute(params![id.0, owner, at(plus(now, lease)), at(now)])?;
    if taken == 0 { Ok(None) } else { get(tx, id) }
}

/// What a transition writes besides the state.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// Outcome class and words.
    pub outcome: Option<(&'a str, &'a str)>,
    /// Not before (when it goes back to planned).
    pub not_before: Option<Timestamp>,
    /// Gives the lease back.
    pub release: bool,
}

/// Moves an intent under the caller's lease.
///
/// # Errors
/// [`DbError::Conflict`] when the state is not `from` any more, the lease is lost, or the journal
/// does not allow the transition.
pub fn transition(
    tx: &WriteTx<'_>,
    id: IntentId,
    owner: &str,
    (from, to): (IntentState, IntentState),
    change: &Change<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    if !from.may_become(to) {
        return Err(DbError::Conflict {
            what: format!("intent {id} may not go from {from} to {to}"),
        });
    }
    let moved = tx
        .conn()
        .prepare_cached(
            "UPDATE intents SET state = ?4,
               sending_at = CASE WHEN ?4 = 'sending' THEN ?5 ELSE sending_at END,
               closed_at = CASE WHEN ?4 IN ('done', 'refused', 'cancelled', 'unresolved') THEN ?5 ELSE NULL END,
               outcome_class = COALESCE(?6, outcome_class), outcome_words = COALESCE(?7, outcome_words),
               not_before = ?8,
               lease_owner = CASE WHEN ?9 THEN NULL ELSE lease_owner END,
               lease_until = CASE WHEN ?9 THEN NULL ELSE lease_until END
             WHERE id = ?1 AND state = ?2 AND lease_owner = ?3 AND lease_until > ?5",
        )?
        .execute(params![
            id.0,
            from.as_str(),
            owner,
            to.as_str(),
            at(now),
            change.outcome.map(|(class, _)| class),
            change.outcome.map(|(_, words)| words),
            opt_at(change.not_before),
            change.release || !to.is_open(),
        ])?;
    if moved == 0 {
        return Err(DbError::Conflict {
            what: format!("intent {id} is not {from} under the lease of {owner} any more"),
        });
    }
    Ok(())
}

/// Extends the caller's lease while it waits for a read-back.
///
/// # Errors
/// [`DbError::Conflict`] when the lease is lost.
pub fn extend_lease(
    tx: &WriteTx<'_>,
    id: IntentId,
    owner: &str,
    lease: Duration,
    now: Timestamp,
) -> Result<(), DbError> {
    let extended = tx
        .conn()
        .prepare_cached("UPDATE intents SET lease_until = ?3 WHERE id = ?1 AND lease_owner = ?2 AND lease_until > ?4")?
        .execute(params![id.0, owner, at(plus(now, lease)), at(now)])?;
    if extended == 0 {
        return Err(DbError::Conflict {
            what: format!("the lease of {owner} on intent {id} is lost"),
        });
    }
    Ok(())
}

/// Cancels unsent withdrawals of `prefix`: automatic ones, or all of them (an advertise always
/// does the latter). Returns how many.
///
/// # Errors
/// Those of the database.
pub fn cancel_unsent(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    automatic_only: bool,
    because: &str,
    now: Timestamp,
) -> Result<usize, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE intents SET state = 'cancelled', closed_at = ?3, outcome_class = 'cancelled', outcome_words = ?4,
               lease_owner = NULL, lease_until = NULL
             WHERE prefix = ?1 AND act = 'withdraw' AND state = 'planned' AND (origin = 'automatic' OR NOT ?2)",
        )?
        .execute(params![prefix.to_string(), automatic_only, at(now), because])?)
}

/// Ties an unsent automatic intent to the newest decision that still wants it: what the final
/// check compares is never older than the last cycle. Returns whether there was one.
///
/// # Errors
/// Those of the database.
pub fn renew(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    state_version: i64,
    evidence: EvidenceId,
    calm_s: i64,
) -> Result<bool, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "UPDATE intents SET state_version = ?2, evidence_id = ?3, calm_s = ?4
             WHERE prefix = ?1 AND origin = 'automatic' AND state IN ('planned', 'sending', 'verifying')",
        )?
        .execute(params![prefix.to_string(), state_version, evidence.0, calm_s])?
        > 0)
}

/// Fixes the epoch that an operator's withdrawal ends, as the last read before it shows.
///
/// # Errors
/// Those of the database.
pub fn set_epoch(tx: &WriteTx<'_>, id: IntentId, epoch: Epoch) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE intents SET epoch = ?2 WHERE id = ?1 AND epoch IS NULL")?
        .execute(params![id.0, at(epoch.0)])?;
    Ok(())
}

/// Asks for the next look at an open intent not before `when`, and gives the lease back.
///
/// # Errors
/// Those of the database.
pub fn rest(tx: &WriteTx<'_>, id: IntentId, owner: &str, when: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "UPDATE intents SET not_before = ?3, lease_owner = NULL, lease_until = NULL
             WHERE id = ?1 AND lease_owner = ?2",
        )?
        .execute(params![id.0, owner, at(when)])?;
    Ok(())
}

/// Whether another call on `prefix` is on its way to Cloudflare or being read back.
///
/// # Errors
/// Those of the database.
pub fn in_flight(tx: &ReadTx<'_>, prefix: Prefix, besides: IntentId) -> Result<Option<IntentId>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT id FROM intents WHERE prefix = ?1 AND state IN ('sending', 'verifying') AND id <> ?2
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![prefix.to_string(), besides.0], |row| row.get(0))
        .optional()?
        .map(IntentId))
}

/// Remembers that people were told of a refusal, so that the same one is told once.
///
/// # Errors
/// Those of the database.
pub fn refusal_announced(tx: &WriteTx<'_>, id: IntentId, class: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("UPDATE intents SET refusal_announced = ?2 WHERE id = ?1")?
        .execute(params![id.0, class])?;
    Ok(())
}

/// The refusal class of the newest closed or open intent of this prefix and act since `since`,
/// when people were told of it.
///
/// # Errors
/// Those of the database.
pub fn last_refusal(tx: &ReadTx<'_>, prefix: Prefix, act: Act, since: Timestamp) -> Result<Option<String>, DbError> {
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT refusal_announced FROM intents
             WHERE prefix = ?1 AND act = ?2 AND created_at >= ?3 AND refusal_announced IS NOT NULL
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![prefix.to_string(), act.as_str(), at(since)], |row| row.get(0))
        .optional()?)
}

/// Adds an attempt.
///
/// # Errors
/// Those of the database.
pub fn attempt(
    tx: &WriteTx<'_>,
    id: IntentId,
    owner: &str,
    step: &str,
    (class, words): (&str, &str),
    now: Timestamp,
) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO intent_attempts (intent_id, at, owner, step, class, words) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id.0, at(now), owner, step, class, words])?;
    Ok(())
}

/// One step of work on an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// Which process.
    pub owner: String,
    /// `recheck`, `patch`, `read_back`.
    pub step: String,
    /// Class of the result.
    pub class: String,
    /// In words.
    pub words: String,
}

/// The attempts of an intent, oldest first.
///
/// # Errors
/// Those of the database.
pub fn attempts(tx: &ReadTx<'_>, id: IntentId) -> Result<Vec<Attempt>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, at, owner, step, class, words FROM intent_attempts WHERE intent_id = ?1 ORDER BY id LIMIT 1000",
        )?
        .query_and_then([id.0], |row| {
            Ok(Attempt {
                at: read_at(row, "intent_attempts", "at")?,
                owner: row.get("owner")?,
                step: row.get("step")?,
                class: row.get("class")?,
                words: row.get("words")?,
            })
        })?
        .collect()
}

/// Automatic withdrawals whose call was made since `since` (for the brakes), oldest first.
///
/// # Errors
/// Those of the database.
pub fn automatic_withdrawals(tx: &ReadTx<'_>, since: Timestamp) -> Result<Vec<(Prefix, Timestamp)>, DbError> {
    tx.conn()
        .prepare_cached(
            "SELECT id, prefix, sending_at FROM intents
             WHERE origin = 'automatic' AND act = 'withdraw' AND sending_at >= ?1
               AND state IN ('sending', 'verifying', 'done', 'unresolved') ORDER BY sending_at LIMIT 10000",
        )?
        .query_and_then([at(since)], |row| {
            Ok((
                read_word(row, TABLE, "prefix", |text| text.parse().ok())?,
                read_at(row, TABLE, "sending_at")?,
            ))
        })?
        .collect()
}

/// The newest own act on `prefix` that may have reached Cloudflare and wanted `advertised`, since
/// `since`: a change it explains is not a foreign one.
///
/// # Errors
/// Those of the database.
pub fn explains(
    tx: &ReadTx<'_>,
    prefix: Prefix,
    advertised: bool,
    since: Timestamp,
) -> Result<Option<IntentId>, DbError> {
    let act = if advertised { Act::Advertise } else { Act::Withdraw };
    Ok(tx
        .conn()
        .prepare_cached(
            "SELECT id FROM intents WHERE prefix = ?1 AND act = ?2 AND sending_at >= ?3 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![prefix.to_string(), act.as_str(), at(since)], |row| row.get(0))
        .optional()?
        .map(IntentId))
}
