//! What a rule must be before a ruleset takes it. Refusals say what is wrong and where, as the API's `source.pointer` does.
//!
//! Of the error codes only 10003, 20016, 20113, 20125 and 20217 have been seen in the world; the others only have the form.

use serde_json::{Map, Value, json};

use super::expression;
use super::managed;
use crate::wire::Reply;

/// A refusal: status, code, message, pointer into the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) pointer: String,
}

impl Refused {
    pub(super) fn new(code: u32, pointer: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code,
            message: message.into(),
            pointer: pointer.to_owned(),
        }
    }

    pub(super) fn absent(code: u32, message: impl Into<String>) -> Self {
        Self {
            status: 404,
            ..Self::new(code, "", message)
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let mut error = json!({"code": self.code, "message": self.message});
        if !self.pointer.is_empty() {
            error["source"] = json!({"pointer": self.pointer});
        }
        Reply::json(
            self.status,
            &json!({"success": false, "errors": [error], "messages": [], "result": null}),
        )
    }
}

/// The body is no JSON, not an object, or has a field that does not exist.
pub(super) const BAD_JSON: u32 = 10_014;
pub(super) const WRONG_VALUE: u32 = 20_120;
const WRONG_ACTION: u32 = 20_016;
const NO_PARAMETERS: u32 = 20_113;
const WRONG_EXPRESSION: u32 = 20_125;
/// Too many rules in a ruleset.
pub(super) const TOO_MANY: u32 = 20_217;

/// Phases of packets: what the account level of Magic Transit has.
pub(super) const PHASES: [&str; 5] = [
    "ddos_l4",
    "magic_transit",
    "magic_transit_ids_managed",
    "magic_transit_managed",
    "magic_transit_ratelimit",
];

/// Fields that a client may send; what a rule has besides is read only and ignored.
const WRITABLE: [&str; 9] = [
    "id",
    "action",
    "action_parameters",
    "description",
    "enabled",
    "expression",
    "logging",
    "ratelimit",
    "ref",
];
const READ_ONLY: [&str; 4] = ["version", "last_updated", "categories", "allowed_override_actions"];

/// The actions of a phase.
fn actions(phase: &str) -> &'static [&'static str] {
    match phase {
        "magic_transit" => &["block", "skip", "log", "execute"],
        "magic_transit_ratelimit" => &["block", "log"],
        // Managed phases only ever execute a managed ruleset.
        _ => &["execute"],
    }
}

/// A rule as it will be kept (without id, version, `last_updated`), or why not. `pointer` leads to the rule.
pub(super) fn rule(phase: &str, given: &Value, pointer: &str) -> Result<Map<String, Value>, Refused> {
    let Some(given) = given.as_object() else {
        return Err(Refused::new(BAD_JSON, pointer, "invalid JSON: a rule is an object"));
    };
    if let Some(stranger) = given
        .keys()
        .find(|k| !WRITABLE.contains(&k.as_str()) && !READ_ONLY.contains(&k.as_str()) && *k != "position")
    {
        return Err(Refused::new(
            BAD_JSON,
            pointer,
            format!("invalid JSON: unknown field \"{stranger}\""),
        ));
    }
    let at = |field: &str| format!("{pointer}/{field}");
    let mut kept = Map::new();
    for field in ["description", "ref"] {
        match given.get(field) {
            None => {}
            Some(Value::String(text)) => {
                kept.insert(field.to_owned(), json!(text));
            }
            Some(_) => {
                return Err(Refused::new(
                    BAD_JSON,
                    &at(field),
                    format!("invalid JSON: {field} is a string"),
                ));
            }
        }
    }
    for field in ["logging", "ratelimit"] {
        if let Some(value) = given.get(field) {
            if !value.is_object() {
                return Err(Refused::new(
                    BAD_JSON,
                    &at(field),
                    format!("invalid JSON: {field} is an object"),
                ));
            }
            kept.insert(field.to_owned(), value.clone());
        }
    }
    let enabled = match given.get("enabled") {
        None => true,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            return Err(Refused::new(
                BAD_JSON,
                &at("enabled"),
                "invalid JSON: enabled is true or false",
            ));
        }
    };
    kept.insert("enabled".to_owned(), json!(enabled));
    kept.insert(
        "expression".to_owned(),
        checked_expression(given.get("expression"), &at("expression"))?,
    );
    let action = given.get("action").and_then(Value::as_str).unwrap_or_default();
    if !actions(phase).contains(&action) {
        let text = format!("'{action}' is not a valid value for action in the phase {phase}");
        return Err(Refused::new(WRONG_ACTION, &at("action"), text));
    }
    kept.insert("action".to_owned(), json!(action));
    let parameters = given.get("action_parameters");
    match (action, parameters) {
        ("execute" | "skip", None) => {
            let text = format!("action parameters are required for the {action} action");
            return Err(Refused::new(NO_PARAMETERS, &at("action_parameters"), text));
        }
        ("execute", Some(parameters)) => execute(phase, parameters, &at("action_parameters"))?,
        _ => {}
    }
    if let Some(parameters) = parameters {
        kept.insert("action_parameters".to_owned(), parameters.clone());
    }
    Ok(kept)
}

fn checked_expression(given: Option<&Value>, pointer: &str) -> Result<Value, Refused> {
    let text = given.and_then(Value::as_str).unwrap_or_default();
    let refused = |why: &str| {
        let text = format!("'{text}' is not a valid value for expression because {why}");
        Err(Refused::new(WRONG_EXPRESSION, pointer, text))
    };
    if text.is_empty() {
        return refused("the expression cannot be blank");
    }
    if text.chars().count() > expression::LONGEST {
        return refused(&format!("it is longer than {} characters", expression::LONGEST));
    }
    match expression::parse(text) {
        Ok(_) => Ok(json!(text)),
        Err(e) => refused(&format!(
            "could not parse filter expression: Filter parsing error (1:{}): {}",
            e.column, e.reason
        )),
    }
}

fn execute(phase: &str, parameters: &Value, pointer: &str) -> Result<(), Refused> {
    only(parameters, &["id", "overrides", "version", "matched_data"], pointer)?;
    let id = parameters["id"].as_str().unwrap_or_default();
    if id.is_empty() || (phase == "ddos_l4" && id != managed::DDOS_L4) {
        let text =
            format!("'{id}' is not a valid value for id because it is no ruleset that the phase {phase} can execute");
        return Err(Refused::new(WRONG_VALUE, &format!("{pointer}/id"), text));
    }
    match parameters.get("overrides") {
        Some(given) if id == managed::DDOS_L4 => overrides(given, &format!("{pointer}/overrides")),
        _ => Ok(()),
    }
}

fn only(given: &Value, known: &[&str], pointer: &str) -> Result<(), Refused> {
    let Some(fields) = given.as_object() else {
        return Err(Refused::new(BAD_JSON, pointer, "invalid JSON: an object is expected"));
    };
    match fields.keys().find(|k| !known.contains(&k.as_str())) {
        Some(stranger) => Err(Refused::new(
            BAD_JSON,
            pointer,
            format!("invalid JSON: unknown field \"{stranger}\""),
        )),
        None => Ok(()),
    }
}

/// Overrides of the L3/4 managed ruleset, on all three levels.
fn overrides(given: &Value, pointer: &str) -> Result<(), Refused> {
    only(
        given,
        &["action", "sensitivity_level", "enabled", "categories", "rules"],
        pointer,
    )?;
    level(given, None, pointer)?;
    let rules = managed::rules();
    for (index, category) in entries(given, "categories", pointer)?.iter().enumerate() {
        let here = format!("{pointer}/categories/{index}");
        only(category, &["category", "action", "sensitivity_level", "enabled"], &here)?;
        let name = category["category"].as_str().unwrap_or_default();
        let known = rules
            .iter()
            .filter_map(|r| r["categories"].as_array())
            .any(|all| all.iter().any(|c| c == name));
        if !known || name == "read-only" {
            let text =
                format!("'{name}' is not a valid value for category because no rule that can be overridden has it");
            return Err(Refused::new(WRONG_VALUE, &format!("{here}/category"), text));
        }
        level(category, None, &here)?;
    }
    let mut seen: Vec<&str> = Vec::new();
    let listed = entries(given, "rules", pointer)?;
    for (index, entry) in listed.iter().enumerate() {
        let here = format!("{pointer}/rules/{index}");
        only(
            entry,
            &["id", "action", "sensitivity_level", "enabled", "score_threshold"],
            &here,
        )?;
        let id = entry["id"].as_str().unwrap_or_default();
        let wrong = |why: &str| {
            let text = format!("'{id}' is not a valid value for id because {why}");
            Refused::new(WRONG_VALUE, &format!("{here}/id"), text)
        };
        let Some(rule) = rules.iter().find(|r| r["id"] == id) else {
            return Err(wrong("the managed ruleset has no such rule"));
        };
        let allowed = rule["allowed_override_actions"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if allowed.is_empty() {
            return Err(wrong("the rule is read only"));
        }
        if seen.contains(&id) {
            return Err(wrong("it is overridden twice"));
        }
        seen.push(id);
        level(entry, Some(allowed), &here)?;
    }
    Ok(())
}

fn entries<'v>(given: &'v Value, field: &str, pointer: &str) -> Result<&'v [Value], Refused> {
    match given.get(field) {
        None => Ok(&[]),
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(Refused::new(
            BAD_JSON,
            &format!("{pointer}/{field}"),
            format!("invalid JSON: {field} is a list"),
        )),
    }
}

/// Action, sensitivity and `enabled` of one level of overrides.
fn level(given: &Value, allowed: Option<&[Value]>, pointer: &str) -> Result<(), Refused> {
    if let Some(action) = given.get("action") {
        // `ddos_dynamic` is listed by the rules, but an override may not use it.
        let fits = ["block", "log"].iter().any(|a| action == a) && allowed.is_none_or(|all| all.contains(action));
        if !fits {
            let text = format!(
                "'{}' is not a valid value for action because it cannot be used in an override",
                plain(action)
            );
            return Err(Refused::new(WRONG_VALUE, &format!("{pointer}/action"), text));
        }
    }
    if let Some(sensitivity) = given.get("sensitivity_level")
        && !["default", "medium", "low", "eoff"].iter().any(|s| sensitivity == s)
    {
        let text = format!("'{}' is not a valid value for sensitivity_level", plain(sensitivity));
        return Err(Refused::new(WRONG_VALUE, &format!("{pointer}/sensitivity_level"), text));
    }
    match given.get("enabled") {
        None | Some(Value::Bool(true)) => Ok(()),
        Some(_) => {
            let text =
                "'false' is not a valid value for enabled because rules of this managed ruleset cannot be disabled";
            Err(Refused::new(WRONG_VALUE, &format!("{pointer}/enabled"), text))
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
