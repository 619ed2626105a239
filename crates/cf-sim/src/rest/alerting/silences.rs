//! Silences: a policy says nothing between two times.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{AlertingTable, same};
use super::{emptied, failure, list, method_not_allowed, refused, success};
use crate::wire::{Reply, Request};

/// Most silences.
const MOST: usize = 500;

pub(super) fn handle(
    request: &Request,
    path: &[&str],
    table: &mut AlertingTable,
    now: Timestamp,
) -> Result<Reply, Box<Reply>> {
    let missing = || refused(404, "Silence not found");
    let position = |table: &AlertingTable, id: &str| {
        let found = table.silences.iter().position(|s| s["id"] == id);
        found.ok_or_else(missing)
    };
    Ok(match (path, request.method.as_str()) {
        ([], "GET") => list(table.silences.clone()),
        ([], "POST") => {
            for given in entries(request)? {
                let policy = given["policy_id"].as_str().unwrap_or_default();
                let known = table
                    .policies
                    .iter()
                    .find(|p| same(p["id"].as_str().unwrap_or_default(), policy));
                let policy = known.ok_or_else(|| refused(404, "Policy not found"))?["id"].clone();
                span(&given)?;
                let twice = |s: &Value| {
                    s["policy_id"] == policy
                        && s["start_time"] == given["start_time"]
                        && s["end_time"] == given["end_time"]
                };
                if table.silences.len() >= MOST || table.silences.iter().any(twice) {
                    return Err(Box::new(failure(400, 15_000, "silence exists")));
                }
                let silence = json!({
                    "id": table.dice.uuid(), "policy_id": policy, "start_time": given["start_time"], "end_time": given["end_time"],
                    "created_at": now.to_string(), "updated_at": now.to_string(),
                });
                table.silences.push(silence);
            }
            emptied()
        }
        ([], "PUT") => {
            let mut changed = Vec::new();
            for given in entries(request)? {
                let index = position(table, given["id"].as_str().unwrap_or_default())?;
                let mut silence = table.silences[index].clone();
                for field in ["start_time", "end_time"] {
                    if !given[field].is_null() {
                        silence[field] = given[field].clone();
                    }
                }
                span(&silence)?;
                silence["updated_at"] = json!(now.to_string());
                table.silences[index] = silence.clone();
                changed.push(silence);
            }
            list(changed)
        }
        ([id], "GET") => success(&table.silences[position(table, id)?]),
        ([id], "DELETE") => {
            let index = position(table, id)?;
            table.silences.remove(index);
            emptied()
        }
        _ => method_not_allowed(),
    })
}

fn entries(request: &Request) -> Result<Vec<Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Array(entries)) if !entries.is_empty() => Ok(entries),
        _ => Err(refused(400, "a list of silences is expected")),
    }
}

fn span(silence: &Value) -> Result<(), Box<Reply>> {
    let moment = |field: &str| silence[field].as_str().and_then(|t| t.parse::<Timestamp>().ok());
    match (moment("start_time"), moment("end_time")) {
        (Some(from), Some(to)) if from < to => Ok(()),
        _ => Err(refused(
            400,
            "start_time and end_time must be RFC 3339 times in this order",
        )),
    }
}
