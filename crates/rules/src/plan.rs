//! From a rules file and what is there to the steps that lead from one to the other. Pure.
//!
//! Must hold: what the file does not look after is never changed; nothing that is there without us is changed unless it is
//! adopted; first what adds protection, last what takes rules away; where nothing differs there is no step.
//! Ownership goes by name, because a name is known before Cloudflare has given an id: a run that dies after a creation is
//! taken up by the next.

mod ddos;
mod mnm;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::MnmFields;
use cf_api::rest::rulesets::{EntryPoint, Ruleset};
use cf_api::rest::rulesets_changes::RulesetChange;
use db::rule_changes::{Expiry, Family, Owned};
use jiff::Timestamp;
use serde::Serialize;

use crate::file::RulesFile;

/// What is there.
#[derive(Debug, Clone)]
pub struct Live {
    /// Monitoring rules.
    pub mnm: Vec<MnmRule>,
    /// Cloudflare's DDoS rules.
    pub managed: Ruleset,
    /// The account's overrides.
    pub point: EntryPoint,
    /// What rules files look after.
    pub owned: Vec<Owned>,
    /// Until when overrides stand.
    pub expiries: Vec<Expiry>,
}

impl Live {
    fn owns(&self, family: Family, name: &str) -> bool {
        self.owned.iter().any(|it| it.family == family && it.name == name)
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Takes a rule that is there into the care of the file; changes nothing at Cloudflare.
    Adopt(Owned),
    /// Forgets a rule that is gone.
    Forget(Family, String),
    /// Creates a monitoring rule.
    CreateMnm(MnmFields),
    /// Changes a monitoring rule.
    EditMnm(MnmRule, MnmFields),
    /// Deletes a monitoring rule.
    DeleteMnm(MnmRule),
    /// Changes the overrides.
    Ddos(RulesetChange),
    /// Records until when an override stands.
    Expire(String, Option<Timestamp>),
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its key in the file.
    pub key: String,
    /// What it is now.
    pub now: Option<String>,
    /// What it becomes.
    pub then: Option<String>,
}

/// A step with its difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// `create`, `edit`, `move`, `delete`, `adopt`, `forget`, `expire`.
    pub what: &'static str,
    /// Which kind of rules.
    pub family: Family,
    /// Name of the rule.
    pub name: String,
    /// What differs.
    pub differences: Vec<Difference>,
    /// How it is done.
    #[serde(skip)]
    pub act: Act,
}

/// What has to be done, and what will not be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// Rules in the file that are there without us.
    pub not_owned: Vec<String>,
    /// What an operator should know.
    pub notes: Vec<String>,
    /// Rules that are there and not in the file; they stay as they are.
    pub untouched: usize,
}

impl Plan {
    /// Whether everything is as the file says.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.not_owned.is_empty()
    }
}

/// Makes a plan.
///
/// # Errors
/// All that is wrong with the file, each with the name of the rule.
pub fn plan(file: &RulesFile, live: &Live, adopt: bool, now: Timestamp) -> Result<Plan, Vec<String>> {
    let mut wrong = Vec::new();
    let mut plan = Plan::default();
    let mut last = Vec::new();
    if let Some(entries) = &file.mnm {
        mnm::plan(entries, live, adopt, &mut plan, &mut last, &mut wrong);
    }
    ddos::plan(file, live, adopt, now, &mut plan, &mut wrong);
    plan.steps.append(&mut last);
    if wrong.is_empty() { Ok(plan) } else { Err(wrong) }
}

/// The values that differ between two lists of keys and values.
fn differences(now: &[(String, String)], then: &[(String, String)]) -> Vec<Difference> {
    let get =
        |list: &[(String, String)], key: &str| list.iter().find(|(it, _)| it == key).map(|(_, value)| value.clone());
    let mut keys: Vec<&String> = now.iter().chain(then).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let all = keys.into_iter().map(|key| Difference {
        key: key.clone(),
        now: get(now, key),
        then: get(then, key),
    });
    all.filter(|it| it.now != it.then).collect()
}
