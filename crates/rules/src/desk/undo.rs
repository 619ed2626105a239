//! Taking a change back: its opposite, if what it left is still there.
//!
//! Must hold: what somebody changed afterwards is never overwritten; a change is taken back once; the way back is a change
//! like any other, with backup and record.

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::rulesets::{EntryPoint, Phase, Rule, Ruleset};
use cf_api::rest::rulesets_changes::{Position, RulesetChange};
use db::rule_changes::{self, Change, Family, State};
use serde::de::DeserializeOwned;

use super::{By, Desk, DeskError, Done, Outcome};
use crate::mnm::{Record, same};
use crate::overrides::{Essence, add};

fn cannot(text: impl Into<String>) -> DeskError {
    DeskError::new("undo.impossible", text, Some("edit the rule instead"), Outcome::NotDone)
}

fn changed_since(what: &str) -> DeskError {
    DeskError::new(
        "undo.changed_since",
        format!("{what} was changed again afterwards; nothing was changed now"),
        Some("edit the rule instead"),
        Outcome::NotDone,
    )
}

/// A stored state.
fn stored<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, DeskError> {
    match text {
        None => Ok(None),
        Some(text) => serde_json::from_str(text).map_err(|error| cannot(format!("the backup cannot be read: {error}"))),
    }
}

impl Desk {
    /// Takes a change back; without a number the newest one that can be.
    ///
    /// # Errors
    /// Why not; [`Outcome`] says whether it may have happened all the same.
    pub async fn undo(&self, by: &By, change: Option<i64>) -> Result<(Change, Done), DeskError> {
        let found = self.db.read("change to undo", move |tx| match change {
            Some(id) => rule_changes::get(tx, id),
            None => rule_changes::last_to_undo(tx),
        });
        let found = found.await.map_err(|error| DeskError::database(&error))?;
        let change = found.ok_or_else(|| {
            let text = change.map_or_else(
                || "there is no change to take back".to_owned(),
                |id| format!("there is no change {id}"),
            );
            DeskError::new("undo.nothing", text, None, Outcome::NotDone)
        })?;
        if let Some(by) = change.undone_by {
            return Err(cannot(format!(
                "change {} was taken back already by change {by}",
                change.id
            )));
        }
        match change.state {
            State::Done => {}
            State::Refused => return Err(cannot(format!("change {} was not carried out", change.id))),
            State::Open | State::Unknown => {
                let text = format!(
                    "nobody knows what came of change {}; nothing was changed now",
                    change.id
                );
                let remedy = Some("look at what is there and edit the rule");
                return Err(DeskError::new("undo.unknown", text, remedy, Outcome::NotDone));
            }
        }
        let done = match change.family {
            Family::Mnm => self.undo_mnm(by, &change).await?,
            Family::DdosL4 => self.undo_ddos(by, &change).await?,
        };
        Ok((change, done))
    }

    async fn undo_mnm(&self, by: &By, change: &Change) -> Result<Done, DeskError> {
        let before: Option<Record> = stored(change.before.as_deref())?;
        let after: Option<Record> = stored(change.after.as_deref())?;
        let undoes = Some(change.id);
        let fields = |record: &Record| record.fields().map_err(cannot);
        match (before, after) {
            (Some(before), None) => self.create_mnm_as(by, &fields(&before)?, undoes).await,
            (before, Some(after)) => {
                let now = self.unchanged(&after).await?;
                match before {
                    None => self.delete_mnm_as(by, &now, undoes).await,
                    Some(before) => self.edit_mnm_as(by, &now, &fields(&before)?, undoes).await,
                }
            }
            (None, None) => Err(cannot("there is no backup of it")),
        }
    }

    /// The rule as it is now, if it is what the change left.
    async fn unchanged(&self, left: &Record) -> Result<MnmRule, DeskError> {
        let now = self.cf.get_mnm_rule(left.id.as_deref().unwrap_or_default()).await;
        let now = now.map_err(|error| DeskError::reading(&error))?;
        let same = match (Record::from(&now).fields(), left.fields()) {
            (Ok(now), Ok(left)) => same(&now, &left),
            _ => false,
        };
        if same {
            Ok(now)
        } else {
            Err(changed_since(&format!("rule {}", left.name)))
        }
    }

    async fn undo_ddos(&self, by: &By, change: &Change) -> Result<Done, DeskError> {
        let before: Option<Ruleset> = stored::<Option<Ruleset>>(change.before.as_deref())?.flatten();
        let after: Ruleset = stored::<Option<Ruleset>>(change.after.as_deref())?
            .flatten()
            .ok_or_else(|| cannot("there is no record of what it left"))?;
        let made: RulesetChange =
            stored(change.wanted.as_deref())?.ok_or_else(|| cannot("there is no record of it"))?;
        let now = self.cf.get_entry_point(Phase::DDOS_L4).await;
        let now = now.map_err(|error| DeskError::reading(&error))?;
        let opposite = opposite(&made, before.as_ref(), &after, &now)?;
        let subject = &change.subject;
        let done = self
            .change_ddos_as(by, &now, &opposite, subject, Some(change.id))
            .await?;
        // What is put back has a new id, and stands as long as it did.
        let end = match &made {
            RulesetChange::Delete { id } => self.end_of(id).await.map_err(DeskError::after_the_change)?,
            _ => None,
        };
        self.with_end(by, &now, &opposite, subject, end.map(Some), done).await
    }
}

fn opposite(
    made: &RulesetChange,
    before: Option<&Ruleset>,
    after: &Ruleset,
    now: &EntryPoint,
) -> Result<RulesetChange, DeskError> {
    let rules_before: &[Rule] = before.map_or(&[], |ruleset| &ruleset.rules);
    let as_left = |id: &str| {
        let rule = now.rules().iter().find(|rule| rule.id == id);
        let unchanged = rule.map(Essence::of) == after.rule(id).map(Essence::of);
        let rule = rule.filter(|_| unchanged);
        rule.ok_or_else(|| changed_since("the override"))
    };
    let place = |id: &str| {
        let index = rules_before.iter().position(|rule| rule.id == id).unwrap_or_default();
        let earlier = rules_before.get(..index).unwrap_or_default().iter().rev();
        let still = |rule: &&Rule| now.rules().iter().any(|it| it.id == rule.id);
        earlier
            .filter(|rule| rule.id != id)
            .find(still)
            .map_or(Position::First, |rule| Position::After(rule.id.clone()))
    };
    let was = |id: &str| {
        let rule = rules_before.iter().find(|rule| rule.id == id);
        rule.ok_or_else(|| cannot("there is no backup of the rule"))
    };
    match made {
        RulesetChange::Put { .. } | RulesetChange::Add { .. } => {
            let mut new = after
                .rules
                .iter()
                .filter(|rule| rules_before.iter().all(|it| it.id != rule.id));
            match (new.next(), new.next()) {
                (Some(rule), None) => Ok(RulesetChange::Delete {
                    id: as_left(&rule.id)?.id.clone(),
                }),
                _ => Err(cannot("it concerned several rules at once")),
            }
        }
        RulesetChange::Edit { id, position, .. } => {
            as_left(id)?;
            Ok(RulesetChange::Edit {
                id: id.clone(),
                rule: was(id)?.body(),
                position: position.as_ref().map(|_| place(id)),
            })
        }
        RulesetChange::Move { id, .. } => {
            as_left(id)?;
            Ok(RulesetChange::Move {
                id: id.clone(),
                position: place(id),
            })
        }
        RulesetChange::Delete { id } => {
            let position = now.ruleset().is_some().then(|| place(id));
            Ok(add(now, was(id)?.body(), position))
        }
    }
}
