//! The account's monitoring configuration: its name, sampling, routers and WARP devices. There is one or none.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::rest::{failure, method_not_allowed, success};
use crate::wire::{Reply, Request};

/// What a simulator begins with.
pub(super) fn initial() -> Value {
    json!({"name": "Example Network", "default_sampling": 1000, "router_ips": ["192.0.2.254/32"], "warp_devices": []})
}

/// `result` is null when there is none.
pub(super) fn shown(settings: Option<&Value>) -> Reply {
    success(settings.unwrap_or(&Value::Null))
}

fn bad(what: &str) -> Box<Reply> {
    Box::new(failure(400, 1003, &format!("invalid config: {what}")))
}

pub(super) fn handle(request: &Request, settings: &mut Option<Value>) -> Result<Reply, Box<Reply>> {
    let missing = || Box::new(failure(404, 1004, "config not found"));
    match request.method.as_str() {
        "GET" => return Ok(shown(settings.as_ref())),
        "POST" => {
            let given = whole(fields(request)?)?;
            if settings.is_some() {
                return Err(Box::new(failure(409, 1005, "config already exists")));
            }
            *settings = Some(given);
        }
        "PUT" => {
            let given = whole(fields(request)?)?;
            *settings.as_mut().ok_or_else(missing)? = given;
        }
        "PATCH" => {
            let given = fields(request)?;
            let mut merged = settings.clone().ok_or_else(missing)?;
            for (name, value) in given {
                merged[name] = value;
            }
            let merged = merged.as_object().cloned().unwrap_or_default();
            *settings = Some(whole(merged)?);
        }
        "DELETE" => return Ok(success(&settings.take().ok_or_else(missing)?)),
        _ => return Ok(method_not_allowed()),
    }
    Ok(shown(settings.as_ref()))
}

fn fields(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(bad("not an object")),
    }
}

fn whole(mut fields: Map<String, Value>) -> Result<Value, Box<Reply>> {
    let known = ["name", "default_sampling", "router_ips", "warp_devices"];
    if let Some(stranger) = fields.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(bad(&format!("unknown field {stranger}")));
    }
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(bad("name"));
    }
    if name.contains(['&', '<', '>', '"', '\'', '`']) {
        let text = "Invalid account settings request body: account name format contains illegal characters or is not supported";
        return Err(Box::new(failure(400, 1003, text)));
    }
    if fields
        .get("default_sampling")
        .and_then(Value::as_f64)
        .is_none_or(|n| n < 1.0)
    {
        return Err(bad("default_sampling"));
    }
    let empty = || json!([]);
    let routers = fields.entry("router_ips").or_insert_with(empty);
    if routers.as_array().is_none_or(|all| !all.iter().all(router)) {
        return Err(bad("router_ips"));
    }
    let devices = fields.entry("warp_devices").or_insert_with(empty);
    let device = |d: &Value| ["id", "name", "router_ip"].iter().all(|f| d[f].is_string());
    if devices.as_array().is_none_or(|all| !all.iter().all(device)) {
        return Err(bad("warp_devices"));
    }
    Ok(Value::Object(fields))
}

/// One address, alone or as a network of one.
fn router(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.parse::<IpAddr>().is_ok()
            || text
                .parse::<IpNet>()
                .is_ok_and(|n| n.prefix_len() == n.max_prefix_len())
    })
}
