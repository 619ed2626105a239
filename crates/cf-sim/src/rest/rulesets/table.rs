//! The account's rulesets with their versions: every write of a ruleset makes a new version, a rule's own version grows
//! only when the rule itself changes, and old versions stay readable.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::check::{self, Refused};
use super::managed;
use super::position::Position;
use crate::ids::Dice;

/// Keeps the ids of rulesets apart from all others that come from the same seed.
const SALT: u64 = 0x7275_6c65;
/// Most rules of a ruleset of the phases other than `ddos_l4`.
const MOST_RULES: usize = 200;
/// Most versions kept of one ruleset.
const MOST_VERSIONS: usize = 500;

/// One version of a ruleset.
#[derive(Debug, Clone)]
struct Edition {
    version: u64,
    description: String,
    last_updated: String,
    rules: Vec<Value>,
}

/// A ruleset and what it was.
#[derive(Debug, Clone)]
pub(super) struct Ruleset {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) phase: String,
    name: String,
    /// Oldest first, never empty.
    editions: Vec<Edition>,
}

/// All rulesets of the account.
#[derive(Debug)]
pub(crate) struct RulesetTable {
    rulesets: Vec<Ruleset>,
    dice: Dice,
    /// Most rules of the entry point of `ddos_l4`.
    override_rules: usize,
}

impl Ruleset {
    fn newest(&self) -> &Edition {
        // There is always one.
        &self.editions[self.editions.len() - 1]
    }

    fn edition(&self, version: &str) -> Option<&Edition> {
        self.editions.iter().find(|e| e.version.to_string() == version)
    }

    fn outline(&self, edition: &Edition) -> Value {
        json!({
            "id": self.id, "name": self.name, "description": edition.description, "kind": self.kind,
            "version": edition.version.to_string(), "phase": self.phase, "last_updated": edition.last_updated,
        })
    }

    fn whole(&self, edition: &Edition) -> Value {
        let mut whole = self.outline(edition);
        whole["rules"] = json!(edition.rules);
        whole
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> &[Value] {
        &self.newest().rules
    }

    /// Without its rules, as lists give it.
    pub(super) fn listed(&self) -> Value {
        self.outline(self.newest())
    }

    pub(super) fn shown(&self) -> Value {
        self.whole(self.newest())
    }

    /// Newest first, without rules.
    pub(super) fn versions(&self) -> Vec<Value> {
        self.editions.iter().rev().map(|e| self.outline(e)).collect()
    }

    /// One version, only the rules of a category if one is named.
    pub(super) fn version(&self, version: &str, tag: Option<&str>) -> Option<Value> {
        let mut whole = self.whole(self.edition(version)?);
        if let (Some(tag), Some(rules)) = (tag, whole["rules"].as_array_mut()) {
            rules.retain(|r| {
                r["categories"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|c| c == tag))
            });
        }
        Some(whole)
    }

    fn add_edition(&mut self, description: String, rules: Vec<Value>, now: Timestamp) {
        let version = self.newest().version + 1;
        self.editions.push(Edition {
            version,
            description,
            last_updated: now.to_string(),
            rules,
        });
        if self.editions.len() > MOST_VERSIONS {
            self.editions.remove(0);
        }
    }
}

impl RulesetTable {
    pub(crate) fn new(seed: u64, override_rules: usize) -> Self {
        let managed = |id: &str, phase: &str, name: &str, description: &str, rules: Vec<Value>| Ruleset {
            id: id.to_owned(),
            kind: "managed",
            phase: phase.to_owned(),
            name: name.to_owned(),
            editions: vec![Edition {
                version: managed::VERSION,
                description: description.to_owned(),
                last_updated: managed::UPDATED.to_owned(),
                rules,
            }],
        };
        let rulesets = vec![
            managed(
                managed::DDOS_L4,
                "ddos_l4",
                "Cloudflare L3/4 DDoS Ruleset",
                "Automatic mitigation of attacks on the network and transport layers",
                managed::rules(),
            ),
            managed(
                managed::DDOS_L7,
                "ddos_l7",
                "DDoS L7 ruleset",
                "Automatic mitigation of HTTP-based attacks",
                Vec::new(),
            ),
        ];
        Self {
            rulesets,
            dice: Dice::new(seed ^ SALT),
            override_rules,
        }
    }

    pub(super) fn all(&self) -> &[Ruleset] {
        &self.rulesets
    }

    pub(super) fn get(&self, id: &str) -> Result<&Ruleset, Refused> {
        let missing = || Refused::absent(10_001, format!("could not find ruleset with ID {id}"));
        self.rulesets.iter().find(|r| r.id == id).ok_or_else(missing)
    }

    pub(super) fn entry_point(&self, phase: &str) -> Result<&Ruleset, Refused> {
        let missing = || {
            Refused::absent(
                10_003,
                format!("could not find entrypoint ruleset in the {phase} phase"),
            )
        };
        let root = |r: &&Ruleset| r.kind == "root" && r.phase == phase;
        self.rulesets.iter().find(root).ok_or_else(missing)
    }

    fn writable(&self, id: &str) -> Result<usize, Refused> {
        self.get(id)?;
        let mine = |r: &Ruleset| r.id == id && r.kind != "managed";
        let refused = || Refused::new(check::WRONG_VALUE, "", "managed rulesets cannot be changed");
        self.rulesets.iter().position(mine).ok_or_else(refused)
    }

    /// A new ruleset of kind root (an entry point) or custom. `Ok(None)` for a trial.
    pub(super) fn create(
        &mut self,
        phase: &str,
        kind: &'static str,
        body: &Map<String, Value>,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        if !check::PHASES.contains(&phase) {
            return Err(Refused::new(
                check::WRONG_VALUE,
                "/phase",
                format!("'{phase}' is not a valid value for phase"),
            ));
        }
        if kind == "root" && self.entry_point(phase).is_ok() {
            let text = "A similar configuration with rules already exists";
            return Err(Refused::new(check::WRONG_VALUE, "/phase", text));
        }
        let rules = self.revised(phase, &[], body, now)?.unwrap_or_default();
        if trial {
            return Ok(None);
        }
        let ruleset = Ruleset {
            id: self.dice.hex32(),
            kind,
            phase: phase.to_owned(),
            name: text(body, "name")?.unwrap_or_else(|| "default".to_owned()),
            editions: vec![Edition {
                version: 1,
                description: text(body, "description")?.unwrap_or_default(),
                last_updated: now.to_string(),
                rules,
            }],
        };
        let shown = ruleset.shown();
        self.rulesets.push(ruleset);
        Ok(Some(shown))
    }

    /// Replaces what the body names: name, description, the whole list of rules.
    pub(super) fn update(
        &mut self,
        id: &str,
        body: &Map<String, Value>,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        let index = self.writable(id)?;
        let (phase, old) = (
            self.rulesets[index].phase.clone(),
            self.rulesets[index].newest().clone(),
        );
        for (field, own) in [("phase", phase.as_str()), ("kind", self.rulesets[index].kind)] {
            if body.get(field).is_some_and(|given| given != own) {
                return Err(Refused::new(
                    check::WRONG_VALUE,
                    &format!("/{field}"),
                    format!("{field} cannot be changed"),
                ));
            }
        }
        let rules = self.revised(&phase, &old.rules, body, now)?.unwrap_or(old.rules);
        let (name, description) = (text(body, "name")?, text(body, "description")?);
        if trial {
            return Ok(None);
        }
        let ruleset = &mut self.rulesets[index];
        ruleset.name = name.unwrap_or_else(|| ruleset.name.clone());
        ruleset.add_edition(description.unwrap_or(old.description), rules, now);
        Ok(Some(ruleset.shown()))
    }

    pub(super) fn remove(&mut self, id: &str, trial: bool) -> Result<(), Refused> {
        let index = self.writable(id)?;
        if !trial {
            self.rulesets.remove(index);
        }
        Ok(())
    }

    pub(super) fn remove_version(&mut self, id: &str, version: &str, trial: bool) -> Result<(), Refused> {
        let index = self.writable(id)?;
        let ruleset = &mut self.rulesets[index];
        if ruleset.edition(version).is_none() {
            return Err(no_version(version));
        }
        if ruleset.newest().version.to_string() == version {
            return Err(Refused::new(
                check::WRONG_VALUE,
                "",
                "the newest version cannot be deleted",
            ));
        }
        if !trial {
            ruleset.editions.retain(|e| e.version.to_string() != version);
        }
        Ok(())
    }

    /// Adds a rule, at the end unless a position is given. `Ok(None)` for a trial.
    pub(super) fn add_rule(
        &mut self,
        id: &str,
        body: &Value,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        let index = self.writable(id)?;
        let (phase, mut rules) = self.open(index);
        let position = body.get("position").map_or(Ok(Position::Last), Position::read)?;
        let rule = self.finished(check::rule(&phase, body, "")?, None, now);
        let at = position.among(&rules)?;
        rules.insert(at, rule);
        self.close(index, rules, trial, now)
    }

    /// Replaces a rule's definition, moves it, or both. A body with only `position` leaves the definition as it is.
    pub(super) fn change_rule(
        &mut self,
        id: &str,
        rule: &str,
        body: &Value,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        let index = self.writable(id)?;
        let (phase, mut rules) = self.open(index);
        let at = rules
            .iter()
            .position(|r| r["id"] == rule)
            .ok_or_else(|| no_rule(rule))?;
        let position = body.get("position").map(Position::read).transpose()?;
        let moves_only = position.is_some() && body.as_object().is_some_and(|fields| fields.len() == 1);
        if !moves_only {
            rules[at] = self.finished(check::rule(&phase, body, "")?, Some(&rules[at]), now);
        }
        if let Some(position) = position {
            let moved = rules.remove(at);
            let to = position.among(&rules)?;
            rules.insert(to, moved);
        }
        self.close(index, rules, trial, now)
    }

    pub(super) fn remove_rule(
        &mut self,
        id: &str,
        rule: &str,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        let index = self.writable(id)?;
        let (_, mut rules) = self.open(index);
        let at = rules
            .iter()
            .position(|r| r["id"] == rule)
            .ok_or_else(|| no_rule(rule))?;
        rules.remove(at);
        self.close(index, rules, trial, now)
    }

    fn open(&self, index: usize) -> (String, Vec<Value>) {
        let ruleset = &self.rulesets[index];
        (ruleset.phase.clone(), ruleset.newest().rules.clone())
    }

    fn close(
        &mut self,
        index: usize,
        rules: Vec<Value>,
        trial: bool,
        now: Timestamp,
    ) -> Result<Option<Value>, Refused> {
        self.check_count(&self.rulesets[index].phase, rules.len())?;
        if trial {
            return Ok(None);
        }
        let ruleset = &mut self.rulesets[index];
        let description = ruleset.newest().description.clone();
        ruleset.add_edition(description, rules, now);
        Ok(Some(ruleset.shown()))
    }

    fn check_count(&self, phase: &str, count: usize) -> Result<(), Refused> {
        let most = if phase == "ddos_l4" {
            self.override_rules
        } else {
            MOST_RULES
        };
        if count > most {
            let text = format!("exceeded maximum number of rules in the phase {phase}: {count} out of {most}");
            return Err(Refused::new(check::TOO_MANY, "/rules", text));
        }
        Ok(())
    }

    /// The rules of a body with `rules`; `None` when it has none. Rules keep their identity by `id` or `ref`.
    fn revised(
        &mut self,
        phase: &str,
        old: &[Value],
        body: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Option<Vec<Value>>, Refused> {
        let given = match body.get("rules") {
            None => return Ok(None),
            Some(Value::Array(given)) => given,
            Some(_) => return Err(Refused::new(check::BAD_JSON, "/rules", "invalid JSON: rules is a list")),
        };
        self.check_count(phase, given.len())?;
        let mut rules: Vec<Value> = Vec::new();
        for (index, rule) in given.iter().enumerate() {
            let pointer = format!("/rules/{index}");
            let fields = check::rule(phase, rule, &pointer)?;
            let same = match (rule.get("id"), rule.get("ref")) {
                (Some(id), _) => Some(old.iter().find(|r| r["id"] == *id).ok_or_else(|| {
                    let text = format!("could not find rule with ID {id}");
                    Refused::new(check::WRONG_VALUE, &format!("{pointer}/id"), text)
                })?),
                (None, Some(name)) => old.iter().find(|r| r["ref"] == *name),
                (None, None) => None,
            };
            let rule = self.finished(fields, same, now);
            if rules.iter().any(|r| r["id"] == rule["id"] || r["ref"] == rule["ref"]) {
                return Err(Refused::new(check::WRONG_VALUE, &pointer, "a rule is given twice"));
            }
            rules.push(rule);
        }
        Ok(Some(rules))
    }

    /// A rule with id, reference, version and time: those of the same rule before unless it changed.
    fn finished(&mut self, fields: Map<String, Value>, before: Option<&Value>, now: Timestamp) -> Value {
        let mut rule = Value::Object(fields);
        let Some(before) = before else {
            let id = self.dice.hex32();
            if rule.get("ref").is_none() {
                rule["ref"] = json!(id);
            }
            rule["id"] = json!(id);
            rule["version"] = json!("1");
            rule["last_updated"] = json!(now.to_string());
            return rule;
        };
        if rule.get("ref").is_none() {
            rule["ref"] = before["ref"].clone();
        }
        rule["id"] = before["id"].clone();
        rule["version"] = before["version"].clone();
        rule["last_updated"] = before["last_updated"].clone();
        if rule != *before {
            let version: u64 = before["version"].as_str().and_then(|v| v.parse().ok()).unwrap_or(1);
            rule["version"] = json!((version + 1).to_string());
            rule["last_updated"] = json!(now.to_string());
        }
        rule
    }
}

/// A text field of a body.
fn text(body: &Map<String, Value>, field: &str) -> Result<Option<String>, Refused> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refused::new(
            check::BAD_JSON,
            &format!("/{field}"),
            format!("invalid JSON: {field} is a string"),
        )),
    }
}

fn no_rule(id: &str) -> Refused {
    Refused::absent(10_002, format!("could not find rule with ID {id}"))
}

pub(super) fn no_version(version: &str) -> Refused {
    Refused::absent(10_004, format!("could not find version {version}"))
}
