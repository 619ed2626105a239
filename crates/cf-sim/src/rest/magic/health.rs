//! How a tunnel is shown: the target of its health check in the old form or the new one, and what follows from the rest.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::kind::Kind;

/// The object as a client sees it. The pre-shared key never shows.
pub(super) fn shown(kind: Kind, object: &Value, new_form: bool) -> Value {
    let mut shown = object.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("psk");
    }
    if kind == Kind::Route {
        return shown;
    }
    let check = &object["health_check"];
    let saved = check["target"].as_str().unwrap_or_default();
    let effective = effective(object, saved, check["direction"] == "bidirectional");
    shown["health_check"]["target"] = if new_form {
        json!({"saved": saved, "effective": effective})
    } else {
        json!(effective)
    };
    shown
}

/// A bidirectional check always goes to the customer's end inside the tunnel; otherwise to the saved target, and to the
/// customer's endpoint when there is none.
fn effective(object: &Value, saved: &str, bidirectional: bool) -> String {
    if !bidirectional && !saved.is_empty() {
        return saved.to_owned();
    }
    let endpoint = ["customer_gre_endpoint", "customer_endpoint"]
        .iter()
        .find_map(|f| object[*f].as_str());
    match endpoint {
        Some(endpoint) if !bidirectional => endpoint.to_owned(),
        _ => customer_end(object["interface_address"].as_str().unwrap_or_default()).unwrap_or_default(),
    }
}

/// The other address of the /31 (or /30) in which `interface_address` is Cloudflare's.
pub(super) fn customer_end(interface_address: &str) -> Option<String> {
    let network: Ipv4Net = interface_address.parse().ok()?;
    let own = u32::from(network.addr());
    let other = network.hosts().map(u32::from).find(|a| *a != own)?;
    Some(Ipv4Addr::from(other).to_string())
}
