//! What tunnels, interconnects and routes must be.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde_json::{Map, Value, json};

use super::kind::Kind;
use crate::rest::failure;
use crate::wire::Reply;

/// Longest name of a tunnel.
const LONGEST_NAME: usize = 15;

pub(super) fn bad(what: &str) -> Box<Reply> {
    Box::new(failure(400, 1001, &format!("invalid request: {what}")))
}

/// `base` with the given fields, complete and valid.
pub(super) fn whole(kind: Kind, base: Value, given: Map<String, Value>) -> Result<Value, Box<Reply>> {
    let mut whole = base;
    for (field, value) in given {
        if kind.read_only().contains(&field.as_str()) {
            continue;
        }
        if !kind.required().contains(&field.as_str()) && !kind.optional().contains(&field.as_str()) {
            return Err(bad(&format!("unknown field {field}")));
        }
        let value = checked(kind, &field, value, &whole)?;
        whole[field] = value;
    }
    match kind
        .required()
        .iter()
        .find(|field| whole.get(**field).is_none_or(Value::is_null))
    {
        Some(field) => Err(bad(&format!("{field} is required"))),
        None => Ok(whole),
    }
}

fn checked(kind: Kind, field: &str, value: Value, present: &Value) -> Result<Value, Box<Reply>> {
    let text = value.as_str();
    let address = || text.is_some_and(|t| t.parse::<IpAddr>().is_ok());
    let number = |from: u64, to: u64| value.as_u64().is_some_and(|n| (from..=to).contains(&n));
    let good = match field {
        "name" => text.is_some_and(|t| {
            !t.is_empty() && t.len() <= LONGEST_NAME && t.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        }),
        "cloudflare_gre_endpoint"
        | "customer_gre_endpoint"
        | "cloudflare_endpoint"
        | "customer_endpoint"
        | "nexthop" => address(),
        "interface_address" => text.is_some_and(|t| inside(kind, t)),
        "interface_address6" => text.is_some_and(|t| {
            t.parse::<IpNet>()
                .is_ok_and(|n| matches!(n, IpNet::V6(six) if six.prefix_len() == 127))
        }),
        "mtu" => number(576, if kind == Kind::Interconnect { 9000 } else { 1476 }),
        "ttl" => number(1, 255),
        "automatic_return_routing" | "replay_protection" => value.is_boolean(),
        "description" | "psk" => text.is_some(),
        "prefix" => text.is_some_and(|t| t.parse::<IpNet>().is_ok_and(|n| n == n.trunc())),
        "priority" | "weight" => number(0, u64::from(u32::MAX)),
        "bgp" => value["customer_asn"].as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
        "gre" => value["cloudflare_endpoint"].is_string(),
        "custom_remote_identities" => value.is_object(),
        "scope" => ["colo_names", "colo_regions"]
            .iter()
            .all(|f| value.get(f).is_none_or(Value::is_array)),
        "health_check" => return health(kind, &value, &present["health_check"]),
        _ => true,
    };
    if good { Ok(value) } else { Err(bad(field)) }
}

/// A /31 of private addresses for the two ends of a tunnel; interconnects may have a /30.
fn inside(kind: Kind, text: &str) -> bool {
    let Ok(network) = text.parse::<Ipv4Net>() else {
        return false;
    };
    let longer = kind == Kind::Interconnect && network.prefix_len() == 30;
    (network.prefix_len() == 31 || longer) && Ipv4Addr::is_private(&network.addr())
}

/// What a health check leaves out stays as it was.
fn health(kind: Kind, given: &Value, present: &Value) -> Result<Value, Box<Reply>> {
    let Some(fields) = given.as_object() else {
        return Err(bad("health_check"));
    };
    let mut merged = present.clone();
    for (field, value) in fields {
        let word = |allowed: &[&str]| value.as_str().is_some_and(|t| allowed.contains(&t));
        let value = match field.as_str() {
            "enabled" if value.is_boolean() => value.clone(),
            "rate" if word(&["low", "mid", "high"]) => value.clone(),
            "type" if word(&["reply", "request"]) => value.clone(),
            "direction" if word(&["unidirectional", "bidirectional"]) => value.clone(),
            "source" if kind == Kind::Interconnect && value.is_string() => value.clone(),
            // A text or an object; `effective` is ignored.
            "target" => {
                let saved = value.as_str().or_else(|| value["saved"].as_str()).unwrap_or_default();
                if !saved.is_empty() && saved.parse::<IpAddr>().is_err() {
                    return Err(bad("health_check.target"));
                }
                json!(saved)
            }
            _ => return Err(bad(&format!("health_check.{field}"))),
        };
        merged[field] = value;
    }
    Ok(merged)
}
