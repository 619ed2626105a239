//! Notification policies: which alerts go where.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::kinds;
use super::table::{receiver_id, same};
use super::{emptied, failure, fields, list, method_not_allowed, refused, success};
use crate::wire::{Reply, Request};
use crate::world::State;

/// Most policies.
const MOST: usize = 500;

pub(super) fn handle(request: &Request, path: &[&str], state: &mut State, now: Timestamp) -> Result<Reply, Box<Reply>> {
    let missing = || refused(404, "Policy not found");
    let find = |state: &State, id: &str| {
        let found = |p: &Value| same(p["id"].as_str().unwrap_or_default(), id);
        state.alerting.policies.iter().position(found)
    };
    Ok(match (path, request.method.as_str()) {
        ([], "GET") => list(state.alerting.policies.clone()),
        ([], "POST") => {
            let given = fields(request)?;
            for required in ["name", "alert_type", "enabled", "mechanisms"] {
                if !given.contains_key(required) {
                    return Err(refused(400, &format!("{required} is required")));
                }
            }
            let mut policy = json!({"description": "", "filters": {}, "alert_interval": ""});
            apply(&mut policy, given, state)?;
            if state.alerting.policies.len() >= MOST {
                return Err(refused(400, "too many policies"));
            }
            let id = state.alerting.dice.uuid();
            policy["id"] = json!(id);
            policy["created"] = json!(now.to_string());
            policy["modified"] = json!(now.to_string());
            keep_type(state, &policy);
            state.alerting.policies.push(policy);
            success(&json!({"id": id}))
        }
        ([id], "GET") => success(&state.alerting.policies[find(state, id).ok_or_else(missing)?]),
        ([id], "PUT") => {
            let index = find(state, id).ok_or_else(missing)?;
            let mut policy = state.alerting.policies[index].clone();
            apply(&mut policy, fields(request)?, state)?;
            policy["modified"] = json!(now.to_string());
            keep_type(state, &policy);
            let id = policy["id"].clone();
            state.alerting.policies[index] = policy;
            success(&json!({"id": id}))
        }
        ([id], "DELETE") => {
            let index = find(state, id).ok_or_else(missing)?;
            state.alerting.policies.remove(index);
            emptied()
        }
        _ => method_not_allowed(),
    })
}

fn keep_type(state: &mut State, policy: &Value) {
    if let Some(kind) = policy["alert_type"].as_str()
        && !state.alerting.managed_types.iter().any(|t| t == kind)
    {
        state.alerting.managed_types.push(kind.to_owned());
    }
}

/// Puts the given fields into a policy, each checked.
fn apply(policy: &mut Value, given: Map<String, Value>, state: &State) -> Result<(), Box<Reply>> {
    for (name, value) in given {
        let good = match name.as_str() {
            "name" => value.as_str().is_some_and(|t| !t.is_empty()),
            "description" | "alert_interval" => value.is_string(),
            "enabled" => value.is_boolean(),
            "alert_type" => {
                if !value.as_str().is_some_and(|t| kinds::ALL.contains(&t)) {
                    return Err(Box::new(failure(400, 17_004, "invalid alert type")));
                }
                true
            }
            "mechanisms" => {
                mechanisms(&value, state)?;
                true
            }
            "filters" => {
                filters(&value)?;
                true
            }
            // What an answer shows may be sent back.
            "id" | "created" | "modified" => continue,
            _ => return Err(refused(400, &format!("unknown field {name}"))),
        };
        if !good {
            return Err(refused(400, &format!("invalid {name}")));
        }
        policy[name] = value;
    }
    let kind = policy["alert_type"].as_str().unwrap_or_default();
    let none = policy["filters"].as_object().is_none_or(Map::is_empty);
    if none && kinds::NEED_FILTERS.contains(&kind) {
        return Err(Box::new(failure(
            400,
            17_103,
            "filters are required for this alert type",
        )));
    }
    Ok(())
}

/// At least one way, and webhooks that exist.
fn mechanisms(given: &Value, state: &State) -> Result<(), Box<Reply>> {
    let none = || Box::new(failure(400, 17_102, "at least one mechanism is required"));
    let fields = given.as_object().ok_or_else(none)?;
    let mut count = 0;
    for (name, ways) in fields {
        if !["email", "webhooks", "pagerduty"].contains(&name.as_str()) {
            return Err(refused(400, &format!("unknown mechanism {name}")));
        }
        for way in ways.as_array().map_or(&[][..], Vec::as_slice) {
            let id = way["id"]
                .as_str()
                .ok_or_else(|| refused(400, "a mechanism needs an id"))?;
            let known = match name.as_str() {
                "webhooks" => {
                    (same(id, &receiver_id()) && state.webhook.is_some()) || state.alerting.target(id).is_some()
                }
                "email" => id.contains('@'),
                _ => true,
            };
            if !known {
                return Err(refused(404, "Webhook not found"));
            }
            count += 1;
        }
    }
    if count == 0 { Err(none()) } else { Ok(()) }
}

/// Every filter is a list of texts.
fn filters(given: &Value) -> Result<(), Box<Reply>> {
    let fields = given.as_object().ok_or_else(|| refused(400, "invalid filters"))?;
    for (name, values) in fields {
        if !kinds::FILTERS.contains(&name.as_str()) {
            return Err(refused(400, &format!("unknown filter {name}")));
        }
        if values.as_array().is_none_or(|all| !all.iter().all(Value::is_string)) {
            return Err(refused(400, &format!("filter {name} must be a list of texts")));
        }
    }
    Ok(())
}
