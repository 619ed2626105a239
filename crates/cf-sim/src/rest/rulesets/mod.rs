//! `rulesets`: the account's rulesets, their phases' entry points, versions, and single rules.
//!
//! A call for a single rule answers with the whole ruleset. `dry_run=true` validates and changes nothing. The entry
//! point of a phase does not exist until it is first written.

mod check;
mod effective;
mod expression;
mod managed;
mod position;
mod table;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::check::Refused;
pub(crate) use self::expression::Packet;
pub(crate) use self::table::RulesetTable;
use super::{auth, method_not_allowed, no_permission, no_route, success};
use crate::wire::{Reply, Request};
use crate::world::World;

/// Rulesets a page when nothing else is asked for.
const PAGE: usize = 50;

pub(super) fn handle(request: &Request, path: &[&str], world: &World, now: Timestamp) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if (reading && !may.rulesets_read) || (!reading && !may.rulesets_write) {
        return no_permission();
    }
    let mut state = world.lock();
    let answer = answer(request, path, &mut state.rulesets, now);
    answer.unwrap_or_else(|refused| refused.reply())
}

fn answer(request: &Request, path: &[&str], table: &mut RulesetTable, now: Timestamp) -> Result<Reply, Refused> {
    let trial = trial(request)?;
    let written = |result: Option<Value>| success(&result.unwrap_or(Value::Null));
    Ok(match (path, request.method.as_str()) {
        ([], "GET") => list(request, table)?,
        ([], "POST") => {
            let body = fields(request)?;
            let kind = match body.get("kind").and_then(Value::as_str) {
                Some("root") => "root",
                Some("custom") => "custom",
                _ => return Err(Refused::new(check::WRONG_VALUE, "/kind", "kind must be root or custom")),
            };
            if !body.get("name").is_some_and(Value::is_string) {
                return Err(Refused::new(check::WRONG_VALUE, "/name", "name is required"));
            }
            let phase = body.get("phase").and_then(Value::as_str).unwrap_or_default();
            written(table.create(phase, kind, &body, trial, now)?)
        }
        (["phases", phase, "entrypoint"], "GET") => success(&table.entry_point(phase)?.shown()),
        (["phases", phase, "entrypoint"], "PUT") => {
            let body = fields(request)?;
            match table.entry_point(phase).map(|r| r.id.clone()) {
                Ok(id) => written(table.update(&id, &body, trial, now)?),
                Err(_) => written(table.create(phase, "root", &body, trial, now)?),
            }
        }
        (["phases", phase, "entrypoint", "versions"], "GET") => success(&json!(table.entry_point(phase)?.versions())),
        (["phases", phase, "entrypoint", "versions", version], "GET") => {
            let found = table.entry_point(phase)?.version(version, None);
            success(&found.ok_or_else(|| table::no_version(version))?)
        }
        ([id], "GET") => success(&table.get(id)?.shown()),
        ([id], "PUT") => written(table.update(id, &fields(request)?, trial, now)?),
        ([id], "DELETE") => {
            table.remove(id, trial)?;
            nothing()
        }
        ([id, "versions"], "GET") => success(&json!(table.get(id)?.versions())),
        ([id, "versions", version], "GET") => {
            let found = table.get(id)?.version(version, None);
            success(&found.ok_or_else(|| table::no_version(version))?)
        }
        ([id, "versions", version], "DELETE") => {
            table.remove_version(id, version, trial)?;
            nothing()
        }
        ([id, "versions", version, "by_tag", tag], "GET") => {
            let found = table.get(id)?.version(version, Some(tag));
            success(&found.ok_or_else(|| table::no_version(version))?)
        }
        ([id, "rules"], "POST") => written(table.add_rule(id, &Value::Object(fields(request)?), trial, now)?),
        ([id, "rules", rule], "PATCH") => {
            written(table.change_rule(id, rule, &Value::Object(fields(request)?), trial, now)?)
        }
        ([id, "rules", rule], "DELETE") => written(table.remove_rule(id, rule, trial, now)?),
        (
            []
            | [_]
            | [_, "versions"]
            | [_, "versions", _]
            | [_, "versions", _, "by_tag", _]
            | [_, "rules"]
            | [_, "rules", _]
            | ["phases", _, "entrypoint"]
            | ["phases", _, "entrypoint", "versions"]
            | ["phases", _, "entrypoint", "versions", _],
            _,
        ) => method_not_allowed(),
        _ => no_route(),
    })
}

/// Whether the request only validates.
fn trial(request: &Request) -> Result<bool, Refused> {
    match request.param("dry_run").as_deref() {
        None => Ok(false),
        Some("true") if request.method != "GET" => Ok(true),
        Some(other) => {
            let text = format!("'{other}' is not a valid value for dry_run");
            Err(Refused::new(check::WRONG_VALUE, "", text))
        }
    }
}

fn fields(request: &Request) -> Result<Map<String, Value>, Refused> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refused::new(check::BAD_JSON, "", "invalid JSON: an object is expected")),
        Err(why) => Err(Refused::new(check::BAD_JSON, "", format!("invalid JSON: {why}"))),
    }
}

/// 204 without a body.
fn nothing() -> Reply {
    Reply {
        status: 204,
        content_type: "application/json",
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// A page of rulesets without their rules. The cursor is opaque to clients; here it hides a place in the list.
fn list(request: &Request, table: &RulesetTable) -> Result<Reply, Refused> {
    let wrong = |name: &str| Refused::new(check::WRONG_VALUE, "", format!("{name} has no valid value"));
    let size = match request.param("per_page") {
        None => PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(n) if (1..=PAGE).contains(&n) => n,
            _ => return Err(wrong("per_page")),
        },
    };
    let from = match request.param("cursor") {
        None => 0,
        Some(text) => text
            .strip_prefix("after-")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| wrong("cursor"))?,
    };
    let all = table.all();
    let page: Vec<Value> = all.iter().skip(from).take(size).map(table::Ruleset::listed).collect();
    let next = from.saturating_add(page.len());
    let mut info = json!({"count": page.len()});
    if next < all.len() {
        info["cursors"] = json!({"after": format!("after-{next}")});
    }
    Ok(Reply::json(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": page, "result_info": info}),
    ))
}
