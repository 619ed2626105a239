//! Where rules are changed: backup first, then one call, then what is really there, then the record.
//!
//! Must hold: nothing is sent that is not stored in `rule_changes` with what was there before; what somebody else changed
//! in the meantime is not overwritten; a lost answer is read back and never repeated; every attempt leaves an audit row.

mod end;
mod error;
mod undo;

use std::sync::Arc;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::MnmFields;
use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Phase, Ruleset};
use cf_api::rest::rulesets_changes::RulesetChange;
use cf_api::{CfError, CloudflareClient, ErrorClass};
use db::rule_changes::{self, Change, Family, Opening, State};
use db::{Db, audit};
use jiff::Timestamp;
use serde::Serialize;

pub use error::{DeskError, Outcome};

use crate::mnm::{Record, normal, problems, same};
use crate::overrides::{Essence, after};

/// Where the present comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Who changes something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// `user@host` or account.
    pub actor: String,
    /// `operator`, `admin`, `shell`, ...
    pub role: String,
    /// Program.
    pub via: String,
    /// Address, when it came over the network.
    pub address: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Row of `rule_changes`, for undo.
    pub change: i64,
    /// The monitoring rule as it is now; `None` after a deletion.
    pub mnm: Option<MnmRule>,
    /// The entry point as it is now, after a change of overrides.
    pub entry_point: Option<EntryPoint>,
    /// Whether nobody else changed the entry point at the same moment.
    pub only_ours: bool,
}

/// Changes rules for one account.
#[derive(Clone)]
pub struct Desk {
    cf: CloudflareClient,
    db: Db,
    clock: Clock,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// A change before it is opened.
struct Intended<'a> {
    family: Family,
    what: &'static str,
    subject: &'a str,
    before: Option<String>,
    wanted: Option<String>,
    undoes: Option<i64>,
}

/// A change that was opened and has to be closed.
struct Opened {
    id: i64,
    by: By,
    action: String,
    subject: String,
    before: Option<String>,
}

fn json<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

impl Desk {
    /// A desk over this client and this database.
    pub fn new(cf: CloudflareClient, db: Db, clock: Clock) -> Self {
        Self { cf, db, clock }
    }

    /// The client, for reads.
    pub fn cloudflare(&self) -> &CloudflareClient {
        &self.cf
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The instant by the clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Cloudflare's rules and the account's overrides, both live.
    ///
    /// # Errors
    /// That of the read that failed.
    pub async fn read_ddos(&self) -> Result<(Ruleset, EntryPoint), DeskError> {
        let managed = self.cf.get_ruleset(MANAGED_DDOS_L4).await;
        let managed = managed.map_err(|error| DeskError::reading(&error))?;
        let point = self.cf.get_entry_point(Phase::DDOS_L4).await;
        Ok((managed, point.map_err(|error| DeskError::reading(&error))?))
    }

    /// The newest changes, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn changes(&self, limit: u32) -> Result<Vec<Change>, DeskError> {
        let read = self
            .db
            .read("rule changes", move |tx| rule_changes::newest(tx, limit))
            .await;
        read.map_err(|error| DeskError::database(&error))
    }

    async fn open(&self, by: &By, intended: Intended<'_>) -> Result<Opened, DeskError> {
        let opening = Opening {
            at: self.now(),
            actor: by.actor.clone(),
            via: by.via.clone(),
            reason: by.reason.clone(),
            family: intended.family,
            what: intended.what.to_owned(),
            subject: intended.subject.to_owned(),
            before: intended.before.clone(),
            wanted: intended.wanted,
            undoes: intended.undoes,
        };
        let stored = self
            .db
            .write("rule backup", move |tx| rule_changes::open(tx, &opening))
            .await;
        Ok(Opened {
            id: stored.map_err(|error| DeskError::database(&error))?,
            by: by.clone(),
            action: format!("{}.{}", intended.family.as_str(), intended.what),
            subject: intended.subject.to_owned(),
            before: intended.before,
        })
    }

    /// Records what came of it. The change itself stands whatever happens here.
    async fn close(&self, opened: &Opened, state: State, after: Option<String>, result: &str) -> Result<(), DeskError> {
        let (now, id, words) = (self.now(), opened.id, result.to_owned());
        let entry = audit::Entry {
            at: now,
            actor: opened.by.actor.clone(),
            role: opened.by.role.clone(),
            via: opened.by.via.clone(),
            address: opened.by.address.clone(),
            action: opened.action.clone(),
            subject: opened.subject.clone(),
            before: opened.before.clone(),
            after: after.clone(),
            reason: opened.by.reason.clone(),
            result: words.clone(),
        };
        let stored = self.db.write("rule change", move |tx| {
            rule_changes::close(tx, id, state, after.as_deref(), Some(&words), now)?;
            audit::append(tx, &entry)
        });
        stored
            .await
            .map_err(|error| DeskError::not_recorded(&error, state == State::Done))
    }

    async fn refuse(&self, opened: &Opened, error: &CfError) -> DeskError {
        let unknown = error.outcome_unknown();
        let (state, word) = if unknown {
            (State::Unknown, "unknown")
        } else {
            (State::Refused, "failed")
        };
        let text = format!("{word}: {error}");
        match self.close(opened, state, None, &text).await {
            Ok(()) => DeskError::changing(error),
            Err(unrecorded) => unrecorded,
        }
    }

    /// Creates a monitoring rule.
    ///
    /// # Errors
    /// [`DeskError`] says whether it may exist all the same.
    pub async fn create_mnm(&self, by: &By, fields: &MnmFields) -> Result<Done, DeskError> {
        self.create_mnm_as(by, fields, None).await
    }

    async fn create_mnm_as(&self, by: &By, fields: &MnmFields, undoes: Option<i64>) -> Result<Done, DeskError> {
        // A rule that is put back had its name before.
        valid(fields, undoes.map(|_| fields.name.as_str()))?;
        let intended = Intended {
            family: Family::Mnm,
            what: "create",
            subject: &fields.name,
            before: None,
            wanted: json(&record(fields)),
            undoes,
        };
        let opened = self.open(by, intended).await?;
        let answered = match self.cf.create_mnm_rule(fields).await {
            Err(error) if error.outcome_unknown() => {
                let found = self.mnm_named(&fields.name).await;
                found.filter(|rule| as_wanted(rule, fields)).ok_or(error)
            }
            other => other,
        };
        self.settle_mnm(opened, answered, Some(fields)).await
    }

    /// Changes the monitoring rule that was read as `seen`.
    ///
    /// # Errors
    /// [`DeskError`] says whether it may be changed all the same.
    pub async fn edit_mnm(&self, by: &By, seen: &MnmRule, wanted: &MnmFields) -> Result<Done, DeskError> {
        self.edit_mnm_as(by, seen, wanted, None).await
    }

    async fn edit_mnm_as(
        &self,
        by: &By,
        seen: &MnmRule,
        wanted: &MnmFields,
        undoes: Option<i64>,
    ) -> Result<Done, DeskError> {
        valid(wanted, Some(&seen.name))?;
        self.still(seen).await?;
        // What is left out of an edit stays as it was; a rule without a duration has Cloudflare's default.
        let wanted = &normal(wanted);
        let intended = Intended {
            family: Family::Mnm,
            what: "edit",
            subject: &seen.name,
            before: json(&Record::from(seen)),
            wanted: json(&record(wanted)),
            undoes,
        };
        let opened = self.open(by, intended).await?;
        let answered = match self.cf.edit_mnm_rule(seen, wanted).await {
            Err(error) if error.outcome_unknown() => match self.cf.get_mnm_rule(id_of(seen)).await {
                Ok(rule) if as_wanted(&rule, wanted) => Ok(rule),
                _ => Err(error),
            },
            other => other,
        };
        self.settle_mnm(opened, answered, Some(wanted)).await
    }

    /// Deletes the monitoring rule that was read as `seen`.
    ///
    /// # Errors
    /// [`DeskError`] says whether it may be gone all the same.
    pub async fn delete_mnm(&self, by: &By, seen: &MnmRule) -> Result<Done, DeskError> {
        self.delete_mnm_as(by, seen, None).await
    }

    async fn delete_mnm_as(&self, by: &By, seen: &MnmRule, undoes: Option<i64>) -> Result<Done, DeskError> {
        self.still(seen).await?;
        let intended = Intended {
            family: Family::Mnm,
            what: "delete",
            subject: &seen.name,
            before: json(&Record::from(seen)),
            wanted: None,
            undoes,
        };
        let opened = self.open(by, intended).await?;
        let gone = |outcome: &Result<MnmRule, CfError>| {
            outcome.as_ref().is_err_and(|error| error.class == ErrorClass::NotFound)
        };
        match self.cf.delete_mnm_rule(seen).await {
            Err(error) if error.class == ErrorClass::NotFound => {}
            Err(error) if error.outcome_unknown() && gone(&self.cf.get_mnm_rule(id_of(seen)).await) => {}
            Err(error) => return Err(self.refuse(&opened, &error).await),
            Ok(()) => {}
        }
        self.close(&opened, State::Done, None, "ok").await?;
        Ok(Done {
            change: opened.id,
            mnm: None,
            entry_point: None,
            only_ours: true,
        })
    }

    async fn settle_mnm(
        &self,
        opened: Opened,
        answered: Result<MnmRule, CfError>,
        wanted: Option<&MnmFields>,
    ) -> Result<Done, DeskError> {
        let rule = match answered {
            Ok(rule) => rule,
            Err(error) => return Err(self.refuse(&opened, &error).await),
        };
        let after = json(&Record::from(&rule));
        if wanted.is_some_and(|wanted| !as_wanted(&rule, wanted)) {
            let text = "unknown: Cloudflare answered with other values than asked for";
            self.close(&opened, State::Unknown, after, text).await?;
            return Err(DeskError::not_as_wanted(&rule.name));
        }
        self.close(&opened, State::Done, after, "ok").await?;
        Ok(Done {
            change: opened.id,
            mnm: Some(rule),
            entry_point: None,
            only_ours: true,
        })
    }

    async fn mnm_named(&self, name: &str) -> Option<MnmRule> {
        let rules = self.cf.list_mnm_rules().await.ok()?;
        rules.into_iter().find(|rule| rule.name == name)
    }

    /// Whether a rule is still what somebody saw.
    async fn still(&self, seen: &MnmRule) -> Result<(), DeskError> {
        let now = self.cf.get_mnm_rule(id_of(seen)).await;
        let now = now.map_err(|error| DeskError::reading(&error))?;
        let unchanged = now.name == seen.name
            && match (MnmFields::of(&now), MnmFields::of(seen)) {
                (Ok(now), Ok(seen)) => same(&now, &seen),
                _ => now == *seen,
            };
        if unchanged {
            Ok(())
        } else {
            Err(DeskError::conflict(&seen.name))
        }
    }

    /// Asks Cloudflare whether it would take a change of overrides; nothing is changed or recorded.
    ///
    /// # Errors
    /// Cloudflare's reasons.
    pub async fn check_ddos(&self, seen: &EntryPoint, change: &RulesetChange) -> Result<(), DeskError> {
        let checked = self.cf.check_change(seen, change).await;
        checked.map_err(|error| DeskError::changing(&error))
    }

    /// Changes the overrides that were read as `seen`. `subject` names the rule for the record.
    ///
    /// # Errors
    /// [`DeskError`] says whether it may be done all the same; a conflict changed nothing.
    pub async fn change_ddos(
        &self,
        by: &By,
        seen: &EntryPoint,
        change: &RulesetChange,
        subject: &str,
    ) -> Result<Done, DeskError> {
        self.change_ddos_as(by, seen, change, subject, None).await
    }

    async fn change_ddos_as(
        &self,
        by: &By,
        seen: &EntryPoint,
        change: &RulesetChange,
        subject: &str,
        undoes: Option<i64>,
    ) -> Result<Done, DeskError> {
        let intended = Intended {
            family: Family::DdosL4,
            what: word(change),
            subject,
            before: json(&seen.ruleset()),
            wanted: json(change),
            undoes,
        };
        let opened = self.open(by, intended).await?;
        let (entry_point, only_ours) = match self.cf.change_entry_point(seen, change).await {
            Ok(changed) => (changed.entry_point, changed.only_ours),
            Err(error) if error.outcome_unknown() => match self.cf.get_entry_point(Phase::DDOS_L4).await {
                Ok(now) if shows(&now, seen, change) => (now, true),
                _ => return Err(self.refuse(&opened, &error).await),
            },
            Err(error) => return Err(self.refuse(&opened, &error).await),
        };
        let after = json(&entry_point.ruleset());
        let result = if only_ours {
            "ok"
        } else {
            "ok, and somebody else changed it at the same moment"
        };
        self.close(&opened, State::Done, after, result).await?;
        Ok(Done {
            change: opened.id,
            mnm: None,
            entry_point: Some(entry_point),
            only_ours,
        })
    }
}

/// Whether the entry point is what the change makes of what was seen.
fn shows(now: &EntryPoint, seen: &EntryPoint, change: &RulesetChange) -> bool {
    let expected: Vec<Essence> = after(seen.rules(), change).into_iter().map(|(_, it)| it).collect();
    let found: Vec<Essence> = now.rules().iter().map(Essence::of).collect();
    now.version() != seen.version() && found == expected
}

fn word(change: &RulesetChange) -> &'static str {
    match change {
        RulesetChange::Put { .. } => "put",
        RulesetChange::Add { .. } => "add",
        RulesetChange::Edit { .. } => "edit",
        RulesetChange::Move { .. } => "move",
        RulesetChange::Delete { .. } => "delete",
    }
}

fn id_of(rule: &MnmRule) -> &str {
    rule.id.as_deref().unwrap_or_default()
}

/// Cloudflare has rules with names that it would not take today; those may keep them.
fn valid(fields: &MnmFields, known: Option<&str>) -> Result<(), DeskError> {
    let mut found = problems(fields);
    found.retain(|it| it.field != "name" || known != Some(fields.name.as_str()));
    if found.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = found.iter().map(|it| format!("{}: {}", it.field, it.text)).collect();
    Err(DeskError::invalid(&all.join("; ")))
}

fn as_wanted(rule: &MnmRule, wanted: &MnmFields) -> bool {
    MnmFields::of(rule).is_ok_and(|found| same(&found, wanted))
}

/// What is asked for, in the form of the backup.
#[allow(clippy::cast_precision_loss)] // thresholds beyond 2^53 are shown, never sent, from here
fn record(fields: &MnmFields) -> Record {
    Record {
        id: None,
        name: fields.name.clone(),
        kind: fields.kind.as_str().to_owned(),
        prefixes: fields.prefixes.clone(),
        automatic_advertisement: fields.automatic_advertisement,
        bandwidth_threshold: fields.bandwidth_threshold.map(|it| it as f64),
        packet_threshold: fields.packet_threshold.map(|it| it as f64),
        duration: fields.duration.map(domain::duration::format),
        prefix_match: fields.prefix_match.clone(),
        zscore_sensitivity: fields.zscore_sensitivity.clone(),
        zscore_target: fields.zscore_target.clone(),
    }
}
