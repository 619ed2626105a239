//! Magic Network Monitoring rules: list, read, create, change, delete, automatic advertisement.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{failure, list, method_not_allowed, no_permission, no_route, success};
use crate::config::PrefixConfig;
use crate::ids::Dice;
use crate::wire::{Reply, Request};
use crate::world::World;

/// Most rules of an account here.
const MOST: usize = 1_000;

/// The rules, in the API's form.
#[derive(Debug)]
pub(crate) struct RuleTable {
    pub(crate) rules: Vec<Value>,
}

impl RuleTable {
    /// One volumetric rule per network that can be advertised.
    pub(crate) fn new(prefixes: &[PrefixConfig], dice: &mut Dice) -> Self {
        let rule = |cidr: &IpNet, id: String| {
            json!({
                "id": id, "name": rule_name(*cidr), "prefixes": [cidr.to_string()], "type": "threshold", "automatic_advertisement": true,
                "bandwidth_threshold": 1_000_000_000_u64, "packet_threshold": null, "duration": "1m0s", "prefix_match": null,
                "zscore_sensitivity": null, "zscore_target": null,
            })
        };
        let rules = prefixes
            .iter()
            .flat_map(|p| &p.bgp)
            .map(|b| rule(&b.cidr, dice.hex32()))
            .collect();
        Self { rules }
    }
}

/// Name of the rule that is made for a network: only characters that the API accepts.
pub(crate) fn rule_name(cidr: IpNet) -> String {
    format!("net-{}", cidr.to_string().replace(':', ".").replace('/', "_"))
}

pub(super) fn handle(request: &Request, path: &[&str], world: &World) -> Reply {
    let may = world.config.permissions;
    let reading = request.method == "GET";
    if (reading && !may.mnm_read) || (!reading && !may.mnm_write) {
        return no_permission();
    }
    let mut state = world.lock();
    let method = request.method.as_str();
    match (path, method) {
        (["config"], "GET") | (["config", "full"], "GET") => success(
            &json!({"name": "Example Network", "default_sampling": 1000, "router_ips": ["192.0.2.254/32"], "warp_devices": []}),
        ),
        (["rules"], "GET") => list(state.rules.rules.clone()),
        (["rules"], "POST") => {
            let id = state.dice.hex32();
            create(request, &mut state.rules, id)
        }
        (["rules"], "PUT") => match request.json().ok().and_then(|b| b["id"].as_str().map(str::to_owned)) {
            Some(id) => change(request, &mut state.rules, &id),
            None => failure(400, 1001, "id is required"),
        },
        (["rules", id], "GET") => match state.rules.rules.iter().find(|r| r["id"] == **id) {
            Some(rule) => success(rule),
            None => failure(404, 1009, "rule not found"),
        },
        (["rules", id], "PATCH") => change(request, &mut state.rules, id),
        (["rules", id], "DELETE") => match state.rules.rules.iter().position(|r| r["id"] == **id) {
            Some(index) => success(&state.rules.rules.remove(index)),
            None => failure(404, 1009, "rule not found"),
        },
        (["rules", id, "advertisement"], "PATCH") => match state.rules.rules.iter_mut().find(|r| r["id"] == **id) {
            Some(rule) => {
                let flag = !rule["automatic_advertisement"].as_bool().unwrap_or(false);
                rule["automatic_advertisement"] = json!(flag);
                success(&json!({"automatic_advertisement": flag}))
            }
            None => failure(404, 1009, "rule not found"),
        },
        (["config", ..] | ["rules"] | ["rules", _] | ["rules", _, "advertisement"], _) => method_not_allowed(),
        _ => no_route(),
    }
}

fn create(request: &Request, table: &mut RuleTable, id: String) -> Reply {
    let fields = match checked(request) {
        Ok(fields) => fields,
        Err(refused) => return *refused,
    };
    if table.rules.iter().any(|r| r["name"] == fields["name"]) {
        return failure(400, 1008, "rule name must be unique");
    }
    if table.rules.len() >= MOST {
        return failure(400, 1008, "too many rules");
    }
    let mut rule = json!({"id": id, "bandwidth_threshold": null, "packet_threshold": null, "duration": "1m0s", "prefix_match": null,
        "zscore_sensitivity": null, "zscore_target": null});
    merge(&mut rule, fields);
    table.rules.push(rule.clone());
    success(&rule)
}

fn change(request: &Request, table: &mut RuleTable, id: &str) -> Reply {
    let Some(index) = table.rules.iter().position(|r| r["id"] == *id) else {
        return failure(404, 1009, "rule not found");
    };
    let fields = match checked(request) {
        Ok(fields) => fields,
        Err(refused) => return *refused,
    };
    if table
        .rules
        .iter()
        .enumerate()
        .any(|(i, r)| i != index && r["name"] == fields["name"])
    {
        return failure(400, 1008, "rule name must be unique");
    }
    merge(&mut table.rules[index], fields);
    success(&table.rules[index])
}

fn merge(rule: &mut Value, fields: Map<String, Value>) {
    for (name, value) in fields {
        if name != "id" {
            rule[name] = value;
        }
    }
}

/// The body's fields. The specification requires name, prefixes, type and automatic_advertisement on PATCH too.
fn checked(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    let bad = |what: &str| Box::new(failure(400, 1001, what));
    let Ok(Value::Object(mut fields)) = request.json() else {
        return Err(bad("invalid rule: not an object"));
    };
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.~-".contains(c);
    if name.is_empty() || name.len() > 256 || !name.chars().all(legal) {
        return Err(bad("invalid rule: name"));
    }
    let prefixes = fields.get("prefixes").and_then(Value::as_array);
    let network = |v: &Value| {
        v.as_str()
            .and_then(|t| t.parse::<IpNet>().ok())
            .is_some_and(|n| n == n.trunc())
    };
    if prefixes.is_none_or(|p| p.is_empty() || p.len() > 5000 || !p.iter().all(network)) {
        return Err(bad("invalid rule: prefixes"));
    }
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if !["threshold", "zscore", "advanced_ddos"].contains(&kind) {
        return Err(bad("invalid rule: type"));
    }
    if !fields
        .get("automatic_advertisement")
        .is_some_and(|v| v.is_boolean() || v.is_null())
    {
        return Err(bad("invalid rule: automatic_advertisement"));
    }
    for threshold in ["bandwidth_threshold", "packet_threshold"] {
        if fields
            .get(threshold)
            .is_some_and(|v| !v.is_null() && v.as_u64().is_none_or(|n| n == 0))
        {
            return Err(bad(&format!("invalid rule: {threshold}")));
        }
    }
    for (field, allowed) in [
        ("prefix_match", &["exact", "subnet", "supernet"][..]),
        ("zscore_sensitivity", &["low", "medium", "high"][..]),
        ("zscore_target", &["bits", "packets"][..]),
    ] {
        if fields
            .get(field)
            .is_some_and(|v| !v.is_null() && v.as_str().is_none_or(|t| !allowed.contains(&t)))
        {
            return Err(bad(&format!("invalid rule: {field}")));
        }
    }
    if let Some(duration) = fields.get("duration").filter(|v| !v.is_null()) {
        let minutes = duration
            .as_str()
            .and_then(|t| crate::config::duration_text::parse(t).ok())
            .map(|d| d.as_secs());
        match minutes {
            Some(s) if [1, 5, 10, 15, 20, 30, 45, 60].iter().any(|m| m * 60 == s) => {
                let text = if s == 3600 {
                    "1h0m0s".to_owned()
                } else {
                    format!("{}m0s", s / 60)
                };
                fields.insert("duration".into(), json!(text));
            }
            _ => return Err(bad("invalid rule: duration")),
        }
    }
    Ok(fields)
}
