//! Carries a plan out, one step after the other, each with what is there by then.
//!
//! Must hold: ownership is recorded before a rule is created, so that a run which dies in between is taken up by the next;
//! after each step the plan is made anew from what Cloudflare answered; the first step that fails ends the run.

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::rulesets_changes::RulesetChange;
use db::rule_changes::{self, Family, Owned};
use jiff::Timestamp;

use crate::desk::{By, Desk, DeskError, Done};
use crate::file::RulesFile;
use crate::plan::{Act, Live, Plan, Step, plan};

/// How a run went.
#[derive(Debug)]
pub struct Applied {
    /// What was done, in order.
    pub done: Vec<Step>,
    /// Why it ended before the end.
    pub stopped: Option<(Step, DeskError)>,
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] DeskError),
    /// The file is wrong.
    #[error("{}", .0.join("\n"))]
    File(Vec<String>),
    /// It asks for rules that are there without us.
    #[error("not looked after by a rules file: {}", .0.join(", "))]
    NotOwned(Vec<String>),
}

impl Desk {
    /// Everything that a plan looks at.
    ///
    /// # Errors
    /// That of the read that failed: a plan is never made from a part.
    pub async fn live(&self) -> Result<Live, DeskError> {
        let mnm = self.cloudflare().list_mnm_rules().await;
        let mnm = mnm.map_err(|error| DeskError::reading(&error))?;
        let (managed, point) = self.read_ddos().await?;
        let stored = self.db().read("rules owned", |tx| {
            Ok((rule_changes::owned(tx)?, rule_changes::expiries(tx)?))
        });
        let (owned, expiries) = stored.await.map_err(|error| DeskError::database(&error))?;
        Ok(Live {
            mnm,
            managed,
            point,
            owned,
            expiries,
        })
    }

    /// The plan for a file.
    ///
    /// # Errors
    /// [`ApplyError::Read`] and [`ApplyError::File`].
    pub async fn plan(&self, file: &RulesFile, adopt: bool) -> Result<Plan, ApplyError> {
        let live = self.live().await?;
        plan(file, &live, adopt, self.now()).map_err(ApplyError::File)
    }

    /// Makes everything as the file says. `progress` is told each step before it is done.
    ///
    /// # Errors
    /// [`ApplyError`] when nothing was begun; [`Applied::stopped`] when it ended in the middle.
    pub async fn apply(
        &self,
        by: &By,
        file: &RulesFile,
        adopt: bool,
        mut progress: impl FnMut(&Step),
    ) -> Result<Applied, ApplyError> {
        let mut live = self.live().await?;
        let now = self.now();
        let first = plan(file, &live, adopt, now).map_err(ApplyError::File)?;
        if !first.not_owned.is_empty() {
            return Err(ApplyError::NotOwned(first.not_owned));
        }
        let mut applied = Applied {
            done: Vec::new(),
            stopped: None,
        };
        let mut next = first.steps.first().cloned();
        // Each step ends a difference; moves may need a few more than the first plan shows.
        let most = first.steps.len() * 2 + 20;
        while let Some(step) = next {
            if applied.done.len() >= most {
                let text = "the rules do not become as the file says; somebody else may be changing them";
                applied.stopped = Some((step, DeskError::invalid(text)));
                return Ok(applied);
            }
            progress(&step);
            if let Err(error) = self.take(by, &step, &mut live, now).await {
                applied.stopped = Some((step, error));
                return Ok(applied);
            }
            applied.done.push(step);
            let again = plan(file, &live, adopt, now).map_err(ApplyError::File)?;
            next = again.steps.first().cloned();
        }
        Ok(applied)
    }

    async fn take(&self, by: &By, step: &Step, live: &mut Live, now: Timestamp) -> Result<(), DeskError> {
        let owned = |rule_id: Option<String>| Owned {
            family: step.family,
            name: step.name.clone(),
            rule_id,
        };
        match &step.act {
            Act::Adopt(owned) => self.own(by, owned.clone(), live, now).await,
            Act::Forget(family, name) => self.disown(*family, name, live).await,
            Act::CreateMnm(fields) => {
                self.own(by, owned(None), live, now).await?;
                let done = self.create_mnm(by, fields).await?;
                let rule_id = done.mnm.as_ref().and_then(|rule| rule.id.clone());
                live.mnm.extend(done.mnm);
                self.own(by, owned(rule_id), live, now).await
            }
            Act::EditMnm(seen, wanted) => {
                let done = self.edit_mnm(by, seen, wanted).await?;
                replace(&mut live.mnm, seen, done.mnm);
                Ok(())
            }
            Act::DeleteMnm(seen) => {
                self.delete_mnm(by, seen).await?;
                replace(&mut live.mnm, seen, None);
                self.disown(step.family, &step.name, live).await
            }
            Act::Expire(rule_id, until) => self.end(by, rule_id, &step.name, *until, live).await,
            Act::Ddos(change) => {
                let adds = matches!(change, RulesetChange::Add { .. } | RulesetChange::Put { .. });
                if adds {
                    self.own(by, owned(None), live, now).await?;
                }
                let before: Vec<String> = live.point.rules().iter().map(|rule| rule.id.clone()).collect();
                let Done { entry_point, .. } = self.change_ddos(by, &live.point, change, &step.name).await?;
                let Some(point) = entry_point else { return Ok(()) };
                let new = point.rules().iter().find(|rule| !before.contains(&rule.id));
                let new = new.map(|rule| rule.id.clone());
                live.point = point;
                match change {
                    RulesetChange::Delete { id } => {
                        self.end(by, id, &step.name, None, live).await?;
                        self.disown(step.family, &step.name, live).await
                    }
                    _ if adds => self.own(by, owned(new), live, now).await,
                    _ => Ok(()),
                }
            }
        }
    }

    async fn own(&self, by: &By, owned: Owned, live: &mut Live, now: Timestamp) -> Result<(), DeskError> {
        let (actor, row) = (by.actor.clone(), owned.clone());
        let stored = self
            .db()
            .write("own rule", move |tx| rule_changes::own(tx, &row, &actor, now))
            .await;
        stored.map_err(|error| DeskError::database(&error))?;
        match live
            .owned
            .iter_mut()
            .find(|it| it.family == owned.family && it.name == owned.name)
        {
            Some(known) => known.rule_id = owned.rule_id.or(known.rule_id.take()),
            None => live.owned.push(owned),
        }
        Ok(())
    }

    async fn disown(&self, family: Family, name: &str, live: &mut Live) -> Result<(), DeskError> {
        let row = name.to_owned();
        let stored = self
            .db()
            .write("disown rule", move |tx| rule_changes::disown(tx, family, &row))
            .await;
        stored.map_err(|error| DeskError::database(&error))?;
        live.owned.retain(|it| it.family != family || it.name != name);
        Ok(())
    }

    async fn end(
        &self,
        by: &By,
        rule_id: &str,
        name: &str,
        until: Option<Timestamp>,
        live: &mut Live,
    ) -> Result<(), DeskError> {
        self.set_end(by, rule_id, name, until).await?;
        let read = self.db().read("override ends", rule_changes::expiries).await;
        live.expiries = read.map_err(|error| DeskError::database(&error))?;
        Ok(())
    }
}

fn replace(rules: &mut Vec<MnmRule>, seen: &MnmRule, new: Option<MnmRule>) {
    rules.retain(|rule| rule.id != seen.id);
    rules.extend(new);
}
