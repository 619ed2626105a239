//! Magic Network Monitoring: the account's configuration, and its rules of all four kinds (bits, packets, z-score, sFlow)
//! with automatic advertisement.
//!
//! What `prefixes` of a rule means elsewhere: their traffic is summed, and all of them are advertised.

mod check;
mod settings;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{auth, failure, list, method_not_allowed, no_permission, no_route, success};
use crate::config::PrefixConfig;
use crate::ids::Dice;
use crate::wire::{Reply, Request};
use crate::world::World;

/// Most rules of an account here.
const MOST: usize = 1_000;

/// The configuration and the rules, in the API's form.
#[derive(Debug)]
pub(crate) struct RuleTable {
    pub(crate) rules: Vec<Value>,
    /// None until it is made, and after it is deleted.
    settings: Option<Value>,
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
        Self {
            rules,
            settings: Some(settings::initial()),
        }
    }

    fn index(&self, id: &str) -> Result<usize, Box<Reply>> {
        let missing = || Box::new(failure(404, 1009, "rule not found"));
        self.rules.iter().position(|r| r["id"] == id).ok_or_else(missing)
    }
}

/// Name of the rule that is made for a network: only characters that the API accepts.
pub(crate) fn rule_name(cidr: IpNet) -> String {
    format!("net-{}", cidr.to_string().replace(':', ".").replace('/', "_"))
}

pub(super) fn handle(request: &Request, path: &[&str], world: &World) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if (reading && !may.mnm_read) || (!reading && !may.mnm_write) {
        return no_permission();
    }
    let mut state = world.lock();
    let id = state.dice.hex32();
    answer(request, path, &mut state.rules, id, world.config.as_observed).unwrap_or_else(|refused| *refused)
}

fn answer(
    request: &Request,
    path: &[&str],
    table: &mut RuleTable,
    new_id: String,
    as_observed: bool,
) -> Result<Reply, Box<Reply>> {
    Ok(match (path, request.method.as_str()) {
        (["config"], _) => settings::handle(request, &mut table.settings)?,
        (["config", "full"], "GET") => settings::shown(table.settings.as_ref()),
        (["rules"], "GET") => list(table.rules.clone()),
        (["rules"], "POST") => create(request, table, new_id, as_observed)?,
        (["rules"], "PUT") => {
            let body = body(request)?;
            // The specification knows no id here; the name, which is unique, says which rule is meant.
            let named = |r: &Value| match body.get("id") {
                Some(id) => r["id"] == *id,
                None => Some(&r["name"]) == body.get("name"),
            };
            let index = table.rules.iter().position(named);
            let index = index.ok_or_else(|| Box::new(failure(404, 1009, "rule not found")))?;
            change(body, table, index, as_observed)?
        }
        (["rules", id], "GET") => success(&table.rules[table.index(id)?]),
        (["rules", id], "PATCH") => {
            let index = table.index(id)?;
            change(body(request)?, table, index, as_observed)?
        }
        (["rules", id], "DELETE") => {
            let index = table.index(id)?;
            success(&table.rules.remove(index))
        }
        (["rules", id, "advertisement"], "PATCH") => {
            let index = table.index(id)?;
            let rule = &mut table.rules[index];
            let wanted = match request.json() {
                Ok(body) => body.get("automatic_advertisement").and_then(Value::as_bool),
                Err(_) => None,
            };
            // The specification's body is empty: then it is the opposite of what was.
            let flag = wanted.unwrap_or(!rule["automatic_advertisement"].as_bool().unwrap_or(false));
            rule["automatic_advertisement"] = json!(flag);
            success(&json!({"automatic_advertisement": flag}))
        }
        (["vpc-flows", "token"], "POST") => success(&json!(format!("eyJhbGciOiJIUzI1NiJ9.{new_id}.simulated"))),
        (["config", "full"] | ["rules"] | ["rules", _] | ["rules", _, "advertisement"] | ["vpc-flows", "token"], _) => {
            method_not_allowed()
        }
        _ => no_route(),
    })
}

fn body(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Box::new(failure(400, 1001, "invalid rule: not an object"))),
    }
}

fn create(request: &Request, table: &mut RuleTable, id: String, as_observed: bool) -> Result<Reply, Box<Reply>> {
    let mut fields = body(request)?;
    if as_observed {
        fields.entry("type").or_insert(json!("threshold"));
        fields.entry("automatic_advertisement").or_insert(Value::Null);
    }
    let fields = check::rule(fields, as_observed)?;
    if table.settings.is_none() {
        return Err(Box::new(failure(
            400,
            1008,
            "cannot create a rule without initial account configuration",
        )));
    }
    if table.rules.iter().any(|r| r["name"] == fields["name"]) {
        return Err(Box::new(failure(400, 1008, "rule name must be unique")));
    }
    if table.rules.len() >= MOST {
        return Err(Box::new(failure(400, 1008, "too many rules")));
    }
    let mut rule = json!({"id": id, "bandwidth_threshold": null, "packet_threshold": null, "duration": "1m0s", "prefix_match": null,
        "zscore_sensitivity": null, "zscore_target": null});
    merge(&mut rule, fields);
    check::whole(&rule)?;
    table.rules.push(rule.clone());
    Ok(success(&rule))
}

fn change(
    given: Map<String, Value>,
    table: &mut RuleTable,
    index: usize,
    as_observed: bool,
) -> Result<Reply, Box<Reply>> {
    let mut fields = given;
    if as_observed {
        // Observed: what is left out stays. Documented: name, prefixes, type and automatic_advertisement are required.
        for required in ["name", "prefixes", "type", "automatic_advertisement"] {
            let kept = table.rules[index][required].clone();
            fields.entry(required).or_insert(kept);
        }
    }
    // What a change leaves out is kept, so what has to fit together is the result.
    let fields = check::rule(fields, as_observed)?;
    let taken = |(i, r): (usize, &Value)| i != index && r["name"] == fields["name"];
    if table.rules.iter().enumerate().any(taken) {
        return Err(Box::new(failure(400, 1008, "rule name must be unique")));
    }
    let mut rule = table.rules[index].clone();
    merge(&mut rule, fields);
    check::whole(&rule)?;
    table.rules[index] = rule;
    Ok(success(&table.rules[index]))
}

fn merge(rule: &mut Value, fields: Map<String, Value>) {
    for (name, value) in fields {
        if name != "id" {
            rule[name] = value;
        }
    }
}
