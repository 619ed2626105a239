//! Changes of rules at Cloudflare (`rule_changes`): backup before, outcome after, and what took it back; which rules a
//! rules file looks after (`rules_owned`); until when overrides stand (`override_expiries`).
//!
//! Must hold: the backup is stored before anything is sent; a row is closed once. What the texts mean is the business of
//! whoever wrote them; here they are JSON.

use std::time::Duration;

use domain::time::{minus, since};
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;

use super::column::{at, read_at, read_opt_at, read_word};
use crate::error::DbError;
use crate::tx::{ReadTx, WriteTx};

/// Which kind of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Network monitoring.
    Mnm,
    /// Overrides of the network-layer DDoS ruleset.
    DdosL4,
}

impl Family {
    /// Database text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnm => "mnm",
            Self::DdosL4 => "ddos_l4",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Mnm, Self::DdosL4].into_iter().find(|it| it.as_str() == text)
    }
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Backed up; nobody has said yet what came of it.
    Open,
    /// Carried out.
    Done,
    /// Not carried out.
    Refused,
    /// Nobody knows; Cloudflare has to be asked.
    Unknown,
}

impl State {
    /// Database text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Open, Self::Done, Self::Refused, Self::Unknown]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}

/// A change about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// When.
    pub at: Timestamp,
    /// `user@host` or account.
    pub actor: String,
    /// Program.
    pub via: String,
    /// Why.
    pub reason: Option<String>,
    /// Which kind of rules.
    pub family: Family,
    /// `create`, `edit`, `delete`, ...
    pub what: String,
    /// Name of the rule.
    pub subject: String,
    /// What is there now, as JSON.
    pub before: Option<String>,
    /// What it is to become, as JSON.
    pub wanted: Option<String>,
    /// The change that this one takes back.
    pub undoes: Option<i64>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Row number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// `user@host` or account.
    pub actor: String,
    /// Program.
    pub via: String,
    /// Why.
    pub reason: Option<String>,
    /// Which kind of rules.
    pub family: Family,
    /// `create`, `edit`, `delete`, ...
    pub what: String,
    /// Name of the rule.
    pub subject: String,
    /// What was there before, as JSON.
    pub before: Option<String>,
    /// What it was to become, as JSON.
    pub wanted: Option<String>,
    /// What was there afterwards, as JSON.
    pub after: Option<String>,
    /// How far it has come.
    pub state: State,
    /// What came of it, in words.
    pub result: Option<String>,
    /// When that was known.
    pub closed_at: Option<Timestamp>,
    /// The change that this one took back.
    pub undoes: Option<i64>,
    /// The change that took this one back.
    pub undone_by: Option<i64>,
}

/// No change takes longer, with every deadline of its calls. What is open for longer will not be closed any more: whoever
/// made it died in between.
pub const CLOSED_WITHIN: Duration = Duration::from_secs(120);

impl Change {
    /// Whether nobody knows what came of it: the answer was lost, or nobody recorded one.
    pub fn is_unsettled(&self, now: Timestamp) -> bool {
        match self.state {
            State::Unknown => true,
            State::Open => since(now, self.at) > CLOSED_WITHIN,
            State::Done | State::Refused => false,
        }
    }
}

const TABLE: &str = "rule_changes";
const COLUMNS: &str = "id, at, actor, via, reason, family, what, subject, before, wanted, after, state, result, closed_at, \
                       undoes, undone_by";

fn read(row: &Row<'_>) -> Result<Change, DbError> {
    Ok(Change {
        id: row.get("id")?,
        at: read_at(row, TABLE, "at")?,
        actor: row.get("actor")?,
        via: row.get("via")?,
        reason: row.get("reason")?,
        family: read_word(row, TABLE, "family", Family::from_text)?,
        what: row.get("what")?,
        subject: row.get("subject")?,
        before: row.get("before")?,
        wanted: row.get("wanted")?,
        after: row.get("after")?,
        state: read_word(row, TABLE, "state", State::from_text)?,
        result: row.get("result")?,
        closed_at: read_opt_at(row, TABLE, "closed_at")?,
        undoes: row.get("undoes")?,
        undone_by: row.get("undone_by")?,
    })
}

/// Stores the backup of a change that is about to be made.
///
/// # Errors
/// Those of the database; then nothing may be sent.
pub fn open(tx: &WriteTx<'_>, opening: &Opening) -> Result<i64, DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO rule_changes (at, actor, via, reason, family, what, subject, before, wanted, state, undoes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open', ?10)",
        )?
        .execute(params![
            at(opening.at),
            opening.actor,
            opening.via,
            opening.reason,
            opening.family.as_str(),
            opening.what,
            opening.subject,
            opening.before,
            opening.wanted,
            opening.undoes,
        ])?;
    Ok(tx.conn().last_insert_rowid())
}

/// Records what came of a change; one that took another back marks that one. Returns whether it was still open.
///
/// # Errors
/// Those of the database.
pub fn close(
    tx: &WriteTx<'_>,
    id: i64,
    state: State,
    after: Option<&str>,
    result: Option<&str>,
    now: Timestamp,
) -> Result<bool, DbError> {
    let closed = tx
        .conn()
        .prepare_cached(
            "UPDATE rule_changes SET state = ?2, after = ?3, result = ?4, closed_at = ?5 WHERE id = ?1 AND state = 'open'",
        )?
        .execute(params![id, state.as_str(), after, result, at(now)])?
        == 1;
    if closed && state == State::Done {
        tx.conn()
            .prepare_cached(
                "UPDATE rule_changes SET undone_by = ?1 WHERE id = (SELECT undoes FROM rule_changes WHERE id = ?1)",
            )?
            .execute([id])?;
    }
    Ok(closed)
}

/// A change.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &ReadTx<'_>, id: i64) -> Result<Option<Change>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM rule_changes WHERE id = ?1"))?
        .query_and_then([id], read)?
        .next()
        .transpose()
}

/// The newest changes, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<Change>, DbError> {
    tx.conn()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM rule_changes ORDER BY id DESC LIMIT ?1"))?
        .query_and_then([limit], read)?
        .collect()
}

/// Changes of which nobody knows what came of them, newest first: unsettled, and nobody has since changed the same with
/// what was there before his eyes (overrides are read and changed as one list, monitoring rules one by one).
///
/// # Errors
/// Those of the database.
pub fn unsettled(tx: &ReadTx<'_>, family: Family, now: Timestamp, limit: u32) -> Result<Vec<Change>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM rule_changes AS lost
             WHERE family = ?1 AND (state = 'unknown' OR (state = 'open' AND at < ?2))
               AND NOT EXISTS (SELECT 1 FROM rule_changes AS later
                 WHERE later.id > lost.id AND later.family = lost.family AND later.state = 'done'
                   AND (later.family = 'ddos_l4' OR later.subject = lost.subject))
             ORDER BY id DESC LIMIT ?3"
        ))?
        .query_and_then(params![family.as_str(), at(minus(now, CLOSED_WITHIN)), limit], read)?
        .collect()
}

/// The newest change that was carried out, was not taken back, and does not take another back.
///
/// # Errors
/// Those of the database.
pub fn last_to_undo(tx: &ReadTx<'_>) -> Result<Option<Change>, DbError> {
    tx.conn()
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM rule_changes WHERE state = 'done' AND undone_by IS NULL AND undoes IS NULL
             ORDER BY id DESC LIMIT 1"
        ))?
        .query_and_then([], read)?
        .next()
        .transpose()
}

/// A rule that a rules file looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owned {
    /// Which kind of rules.
    pub family: Family,
    /// Name of the rule.
    pub name: String,
    /// Cloudflare's id, once it is known.
    pub rule_id: Option<String>,
}

/// All rules that a rules file looks after.
///
/// # Errors
/// Those of the database.
pub fn owned(tx: &ReadTx<'_>) -> Result<Vec<Owned>, DbError> {
    tx.conn()
        .prepare_cached("SELECT family, name, rule_id FROM rules_owned ORDER BY family, name")?
        .query_and_then([], |row| {
            Ok(Owned {
                family: read_word(row, "rules_owned", "family", Family::from_text)?,
                name: row.get("name")?,
                rule_id: row.get("rule_id")?,
            })
        })?
        .collect()
}

/// Takes a rule into the care of the rules file, or learns its id.
///
/// # Errors
/// Those of the database.
pub fn own(tx: &WriteTx<'_>, owned: &Owned, actor: &str, now: Timestamp) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached(
            "INSERT INTO rules_owned (family, name, rule_id, actor, since) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (family, name) DO UPDATE SET rule_id = coalesce(excluded.rule_id, rule_id)",
        )?
        .execute(params![
            owned.family.as_str(),
            owned.name,
            owned.rule_id,
            actor,
            at(now)
        ])?;
    Ok(())
}

/// Lets a rule out of the care of the rules file.
///
/// # Errors
/// Those of the database.
pub fn disown(tx: &WriteTx<'_>, family: Family, name: &str) -> Result<(), DbError> {
    tx.conn()
        .prepare_cached("DELETE FROM rules_owned WHERE family = ?1 AND name = ?2")?
        .execute(params![family.as_str(), name])?;
    Ok(())
}

/// An override that is meant to stand until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// Cloudflare's id of the override rule.
    pub rule_id: String,
    /// Its name.
    pub name: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// Who said so.
    pub actor: String,
}

/// Sets until when an override stands; `None` takes the limit away.
///
/// # Errors
/// Those of the database.
pub fn set_expiry(
    tx: &WriteTx<'_>,
    rule_id: &str,
    name: &str,
    expires_at: Option<Timestamp>,
    actor: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(expires_at) = expires_at else {
        tx.conn()
            .prepare_cached("DELETE FROM override_expiries WHERE rule_id = ?1")?
            .execute([rule_id])?;
        return Ok(());
    };
    tx.conn()
        .prepare_cached(
            "INSERT INTO override_expiries (rule_id, name, expires_at, actor, set_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (rule_id) DO UPDATE SET name = excluded.name, expires_at = excluded.expires_at,
               actor = excluded.actor, set_at = excluded.set_at",
        )?
        .execute(params![rule_id, name, at(expires_at), actor, at(now)])?;
    Ok(())
}

/// All overrides that stand only for a time, the next to end first.
///
/// # Errors
/// Those of the database.
pub fn expiries(tx: &ReadTx<'_>) -> Result<Vec<Expiry>, DbError> {
    tx.conn()
        .prepare_cached("SELECT rule_id, name, expires_at, actor FROM override_expiries ORDER BY expires_at, rule_id")?
        .query_and_then([], |row| {
            Ok(Expiry {
                rule_id: row.get("rule_id")?,
                name: row.get("name")?,
                expires_at: read_at(row, "override_expiries", "expires_at")?,
                actor: row.get("actor")?,
            })
        })?
        .collect()
}

/// Until when an override stands.
///
/// # Errors
/// Those of the database.
pub fn expiry(tx: &ReadTx<'_>, rule_id: &str) -> Result<Option<Timestamp>, DbError> {
    tx.conn()
        .prepare_cached("SELECT rule_id, expires_at FROM override_expiries WHERE rule_id = ?1")?
        .query_and_then([rule_id], |row| read_at(row, "override_expiries", "expires_at"))?
        .next()
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, OpenOptions};

    fn opening(subject: &str, undoes: Option<i64>) -> Opening {
        Opening {
            at: Timestamp::UNIX_EPOCH,
            actor: "ana@noc".into(),
            via: "test".into(),
            reason: None,
            family: Family::Mnm,
            what: "edit".into(),
            subject: subject.into(),
            before: Some("{}".into()),
            wanted: None,
            undoes,
        }
    }

    #[test]
    fn a_change_is_closed_once_and_taken_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("db"), OpenOptions::default()).unwrap();
        db.write_blocking("test", |tx| {
            let now = Timestamp::UNIX_EPOCH;
            let first = open(tx, &opening("a", None))?;
            assert_eq!(last_to_undo(tx)?, None, "an open change cannot be taken back");
            assert!(close(tx, first, State::Done, Some("1"), None, now)?);
            assert!(!close(tx, first, State::Refused, None, None, now)?);
            assert_eq!(last_to_undo(tx)?.map(|it| it.id), Some(first));
            let undo = open(tx, &opening("a", Some(first)))?;
            assert!(close(tx, undo, State::Done, None, Some("ok"), now)?);
            assert_eq!(get(tx, first)?.and_then(|it| it.undone_by), Some(undo));
            assert_eq!(last_to_undo(tx)?, None);
            assert_eq!(newest(tx, 9)?.len(), 2);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn what_nobody_closed_is_unknown_and_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("db"), OpenOptions::default()).unwrap();
        db.write_blocking("test", |tx| {
            let begin = Timestamp::UNIX_EPOCH;
            let later = begin + jiff::SignedDuration::from_secs(600);
            let lost = open(tx, &opening("a", None))?;
            let found = |family, now| {
                Ok::<_, DbError>(
                    unsettled(tx, family, now, 9)?
                        .iter()
                        .map(|it| it.id)
                        .collect::<Vec<_>>(),
                )
            };
            assert_eq!(
                found(Family::Mnm, begin)?,
                Vec::<i64>::new(),
                "it may still be under way"
            );
            assert_eq!(found(Family::Mnm, later)?, [lost]);
            assert_eq!(found(Family::DdosL4, later)?, Vec::<i64>::new());
            assert!(get(tx, lost)?.unwrap().is_unsettled(later) && !get(tx, lost)?.unwrap().is_unsettled(begin));
            let other = open(tx, &opening("b", None))?;
            close(tx, other, State::Done, None, None, begin)?;
            assert_eq!(found(Family::Mnm, later)?, [lost], "another rule says nothing about it");
            let unknown = open(tx, &opening("a", None))?;
            close(tx, unknown, State::Unknown, None, None, begin)?;
            assert_eq!(
                found(Family::Mnm, begin)?,
                [unknown],
                "a lost answer is unknown at once"
            );
            let seen = open(tx, &opening("a", None))?;
            close(tx, seen, State::Done, None, None, begin)?;
            assert_eq!(
                found(Family::Mnm, later)?,
                Vec::<i64>::new(),
                "somebody has looked and changed it since"
            );
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn owners_learn_ids_and_expiries_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("db"), OpenOptions::default()).unwrap();
        db.write_blocking("test", |tx| {
            let now = Timestamp::UNIX_EPOCH;
            let mut rule = Owned {
                family: Family::DdosL4,
                name: "dns".into(),
                rule_id: None,
            };
            own(tx, &rule, "ana", now)?;
            rule.rule_id = Some("1".into());
            own(tx, &rule, "ana", now)?;
            rule.rule_id = None;
            own(tx, &rule, "ana", now)?;
            assert_eq!(owned(tx)?[0].rule_id.as_deref(), Some("1"), "an id is not forgotten");
            disown(tx, Family::DdosL4, "dns")?;
            assert_eq!(owned(tx)?, []);
            let later = now + jiff::SignedDuration::from_secs(9);
            set_expiry(tx, "1", "dns", Some(now), "ana", now)?;
            set_expiry(tx, "1", "dns", Some(later), "bo", now)?;
            assert_eq!(expiry(tx, "1")?, Some(later));
            assert_eq!(expiries(tx)?.len(), 1);
            set_expiry(tx, "1", "dns", None, "bo", now)?;
            assert_eq!(expiry(tx, "1")?, None);
            Ok(())
        })
        .unwrap();
    }
}
