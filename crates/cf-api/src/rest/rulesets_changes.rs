//! Changes of a phase entry point: one rule at a time, or the whole of it where there is none yet.
//!
//! Source: Cloudflare API, `rulesets/{id}/rules` and `rulesets/phases/{phase}/entrypoint`. What must hold: a change takes
//! the entry point as it was read; right before it is sent the version is read again, and another version is a
//! [`ErrorClass::Conflict`] without any change; each call is sent once; a check (`dry_run=true`) changes nothing.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::prefixes::plain;
use super::rulesets::{EntryPoint, RuleBody, Ruleset};
use crate::client::{CloudflareClient, Outgoing};
use crate::error::{CfError, ErrorClass};

/// Where a rule goes. The API takes exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Before everything.
    First,
    /// After everything.
    Last,
    /// Right before the rule with this id.
    Before(String),
    /// Right after the rule with this id.
    After(String),
    /// At this place, counted from 1.
    Index(u32),
}

impl Position {
    fn to_json(&self) -> Value {
        match self {
            Self::First => json!({"before": ""}),
            Self::Last => json!({"after": ""}),
            Self::Before(id) => json!({"before": id}),
            Self::After(id) => json!({"after": id}),
            Self::Index(index) => json!({"index": index}),
        }
    }
}

/// One change of an entry point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RulesetChange {
    /// Writes the whole entry point. The only way where there is none yet; where there is one, every rule that is not
    /// in the list is deleted.
    Put {
        /// For people.
        description: String,
        /// All rules, in order.
        rules: Vec<RuleBody>,
    },
    /// Adds a rule; at the end without a position.
    Add {
        /// The rule.
        rule: RuleBody,
        /// Where.
        position: Option<Position>,
    },
    /// Replaces a rule's definition.
    Edit {
        /// Id of the rule.
        id: String,
        /// The complete rule.
        rule: RuleBody,
        /// Where, if it moves as well.
        position: Option<Position>,
    },
    /// Moves a rule.
    Move {
        /// Id of the rule.
        id: String,
        /// Where to.
        position: Position,
    },
    /// Deletes a rule.
    Delete {
        /// Id of the rule.
        id: String,
    },
}

/// What a change left.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The entry point as the answer shows it.
    pub entry_point: EntryPoint,
    /// Whether the version is the next after the one that was read. If not, somebody else changed it at the same moment,
    /// and both changes are in.
    pub only_ours: bool,
}

impl RulesetChange {
    fn call(&self) -> &'static str {
        match self {
            Self::Put { .. } => "write phase entry point",
            Self::Add { .. } => "add rule",
            Self::Edit { .. } => "edit rule",
            Self::Move { .. } => "move rule",
            Self::Delete { .. } => "delete rule",
        }
    }
}

impl CloudflareClient {
    /// Carries out `change` on the entry point that was read as `seen`, if it is still the same version.
    ///
    /// After an error check [`CfError::outcome_unknown`]: then read the entry point and compare.
    ///
    /// # Errors
    /// [`CfError`]; [`ErrorClass::Conflict`] when the version is another by now; [`ErrorClass::Refused`] without a call
    /// when the change names a rule that `seen` does not have.
    pub async fn change_entry_point(&self, seen: &EntryPoint, change: &RulesetChange) -> Result<Changed, CfError> {
        let out = self.ruleset_call(seen, change)?;
        let now = self.get_entry_point(seen.phase()).await?;
        if identity(&now) != identity(seen) {
            let version = |it: &EntryPoint| it.version().map_or_else(|| "none".to_owned(), ToOwned::to_owned);
            let detail = format!(
                "somebody else changed it: version {} was read, now it is {}; nothing was sent",
                version(seen),
                version(&now)
            );
            return Err(CfError::new(ErrorClass::Conflict, change.call(), detail));
        }
        let incoming = self.send(out).await?;
        let ruleset = self.ruleset_of(&incoming, seen.phase())?;
        Ok(Changed {
            only_ours: follows(seen.version(), &ruleset),
            entry_point: EntryPoint::of(seen.phase(), Some(ruleset)),
        })
    }

    /// Asks Cloudflare whether it would take `change`. Nothing is changed.
    ///
    /// # Errors
    /// [`CfError`]; its messages are Cloudflare's reasons.
    pub async fn check_change(&self, seen: &EntryPoint, change: &RulesetChange) -> Result<(), CfError> {
        let mut out = self.ruleset_call(seen, change)?;
        out.query.push(("dry_run", "true".to_owned()));
        // Nothing can have changed, whatever happened to the answer.
        out.changes = false;
        let incoming = self.send(out).await?;
        if incoming.status == 204 && incoming.body.is_empty() {
            return Ok(());
        }
        let (_, _): (Value, _) = self.result(&incoming)?;
        Ok(())
    }

    fn ruleset_call(&self, seen: &EntryPoint, change: &RulesetChange) -> Result<Outgoing, CfError> {
        let call = change.call();
        let refused = |why: &str| CfError::new(ErrorClass::Refused, call, why);
        if let RulesetChange::Put { description, rules } = change {
            let body = json!({"description": description, "rules": rules});
            let path = self.entry_point_path(seen.phase());
            return Ok(self.change(call, Method::PUT, path, Some(&body)));
        }
        let ruleset = seen
            .ruleset()
            .ok_or_else(|| refused("there is no entry point yet; write it as a whole"))?;
        let known = |id: &str| {
            let found = ruleset.rule(id).map(|_| ());
            found.ok_or_else(|| refused(&format!("there is no rule {id} in the version that was read")))
        };
        let placed = |mut body: Value, position: Option<&Position>| {
            if let Some(Position::Before(id) | Position::After(id)) = position {
                known(id)?;
            }
            if let Some(position) = position {
                body["position"] = position.to_json();
            }
            Ok::<_, CfError>(body)
        };
        let rules = |id: Option<&str>| {
            let below = match id {
                None => "/rules".to_owned(),
                Some(id) => {
                    known(id)?;
                    format!("/rules/{}", plain(call, id)?)
                }
            };
            self.ruleset_path(call, &ruleset.summary.id, &below)
        };
        Ok(match change {
            RulesetChange::Add { rule, position } => {
                let body = placed(json!(rule), position.as_ref())?;
                self.change(call, Method::POST, rules(None)?, Some(&body))
            }
            RulesetChange::Edit { id, rule, position } => {
                let body = placed(json!(rule), position.as_ref())?;
                self.change(call, Method::PATCH, rules(Some(id))?, Some(&body))
            }
            RulesetChange::Move { id, position } => {
                let body = placed(json!({}), Some(position))?;
                self.change(call, Method::PATCH, rules(Some(id))?, Some(&body))
            }
            RulesetChange::Delete { id } => self.change(call, Method::DELETE, rules(Some(id))?, None),
            RulesetChange::Put { .. } => return Err(refused("handled above")),
        })
    }
}

fn identity(point: &EntryPoint) -> Option<(&str, &str)> {
    let ruleset = point.ruleset()?;
    Some((&ruleset.summary.id, &ruleset.summary.version))
}

/// Whether `after` is the next version. Versions are numbers as text.
fn follows(before: Option<&str>, after: &Ruleset) -> bool {
    let after = after.summary.version.parse::<u64>();
    match before.map(str::parse::<u64>) {
        Some(Ok(before)) => after == Ok(before.saturating_add(1)),
        Some(Err(_)) => false,
        // A ruleset that was deleted and written anew may go on counting.
        None => after.is_ok(),
    }
}
