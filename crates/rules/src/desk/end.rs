//! Until when overrides stand: said here, acted on by whoever clears away what is over its time.
//!
//! Must hold: an end belongs to one override, by Cloudflare's id, and stays known when that is deleted, because the deletion
//! may be taken back; a change of which only the end could not be stored is told as done.

use cf_api::rest::rulesets::{EntryPoint, Rule, RuleBody};
use cf_api::rest::rulesets_changes::RulesetChange;
use db::audit;
use db::rule_changes::{self, Family};
use jiff::Timestamp;

use super::{By, Desk, DeskError, Done};
use crate::overrides::Essence;

impl Desk {
    /// Changes the overrides and then says until when the one that was added or edited stands (`Some(None)`: without end).
    ///
    /// # Errors
    /// As [`Desk::change_ddos`]; [`super::Outcome::Done`] when only the end could not be stored.
    pub async fn change_with_end(
        &self,
        by: &By,
        seen: &EntryPoint,
        change: &RulesetChange,
        subject: &str,
        until: Option<Option<Timestamp>>,
    ) -> Result<Done, DeskError> {
        let done = self.change_ddos(by, seen, change, subject).await?;
        self.with_end(by, seen, change, subject, until, done).await
    }

    pub(super) async fn with_end(
        &self,
        by: &By,
        seen: &EntryPoint,
        change: &RulesetChange,
        subject: &str,
        until: Option<Option<Timestamp>>,
        done: Done,
    ) -> Result<Done, DeskError> {
        let Some(until) = until else { return Ok(done) };
        let concerned = match change {
            RulesetChange::Edit { id, .. } | RulesetChange::Move { id, .. } => Some(id.as_str()),
            RulesetChange::Delete { .. } => None,
            RulesetChange::Add { rule, .. } => done.entry_point.as_ref().and_then(|now| added(now, seen, rule)),
            RulesetChange::Put { rules, .. } => {
                let one = rules.first().filter(|_| rules.len() == 1);
                done.entry_point
                    .as_ref()
                    .zip(one)
                    .and_then(|(now, rule)| added(now, seen, rule))
            }
        };
        match concerned {
            Some(id) => {
                let stored = self.set_end(by, id, subject, until).await;
                stored.map_err(DeskError::after_the_change)?;
            }
            None if until.is_some() => return Err(DeskError::end_without_rule()),
            None => {}
        }
        Ok(done)
    }

    /// Says until when an override stands; `None` takes the end away. Nothing is sent: whoever clears away what is over its
    /// time looks here.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_end(&self, by: &By, rule_id: &str, name: &str, until: Option<Timestamp>) -> Result<(), DeskError> {
        let (now, id, name) = (self.now(), rule_id.to_owned(), name.to_owned());
        let by = by.clone();
        let stored = self.db.write("override end", move |tx| {
            let before = rule_changes::expiry(tx, &id)?;
            if before == until {
                return Ok(());
            }
            rule_changes::set_expiry(tx, &id, &name, until, &by.actor, now)?;
            let text =
                |end: Option<Timestamp>| Some(end.map_or_else(|| "without end".to_owned(), |end| end.to_string()));
            audit::append(
                tx,
                &audit::Entry {
                    at: now,
                    actor: by.actor,
                    role: by.role,
                    via: by.via,
                    address: by.address,
                    action: format!("{}.end", Family::DdosL4.as_str()),
                    subject: name,
                    before: text(before),
                    after: text(until),
                    reason: by.reason,
                    result: "ok".to_owned(),
                },
            )
        });
        stored.await.map_err(|error| DeskError::end_not_stored(&error))
    }

    /// The end that an override had which is put back.
    pub(super) async fn end_of(&self, rule_id: &str) -> Result<Option<Timestamp>, DeskError> {
        let id = rule_id.to_owned();
        let read = self.db.read("override end", move |tx| rule_changes::expiry(tx, &id));
        read.await.map_err(|error| DeskError::database(&error))
    }
}

/// Id of the rule that says what was added and was not there before.
fn added<'a>(now: &'a EntryPoint, seen: &EntryPoint, body: &RuleBody) -> Option<&'a str> {
    let is_new = |rule: &&Rule| seen.rules().iter().all(|known| known.id != rule.id);
    let wanted = Essence::of_body(body);
    let mut new = now.rules().iter().filter(is_new);
    new.find(|rule| Essence::of(rule) == wanted)
        .map(|rule| rule.id.as_str())
}
