//! Magic Transit tunnels, read only: two GRE tunnels of documentation addresses.

use serde_json::{Value, json};

use super::{failure, method_not_allowed, no_permission, no_route, success};
use crate::wire::{Reply, Request};
use crate::world::World;

pub(super) fn handle(request: &Request, path: &[&str], world: &World) -> Reply {
    if request.method != "GET" {
        return method_not_allowed();
    }
    if !world.config.permissions.magic_read {
        return no_permission();
    }
    match path {
        ["gre_tunnels"] => success(&json!({"gre_tunnels": tunnels()})),
        ["gre_tunnels", id] => match tunnels().into_iter().find(|t| t["id"] == **id) {
            Some(tunnel) => success(&json!({"gre_tunnel": tunnel})),
            None => failure(404, 1000, "tunnel not found"),
        },
        ["ipsec_tunnels"] => success(&json!({"ipsec_tunnels": []})),
        ["routes"] => success(&json!({"routes": []})),
        ["cf_interconnects"] => success(&json!({"interconnects": []})),
        _ => no_route(),
    }
}

fn tunnels() -> Vec<Value> {
    let tunnel = |n: u8, name: &str| {
        json!({
            "id": format!("c{n:031}"), "name": name, "description": "", "cloudflare_gre_endpoint": format!("198.51.100.{}", 200 + n),
            "customer_gre_endpoint": format!("192.0.2.{}", 250 + n), "interface_address": format!("10.213.0.{}/31", 8 + 2 * n), "mtu": 1476, "ttl": 64,
            "health_check": {"enabled": true, "rate": "mid", "type": "reply", "direction": "unidirectional", "target": format!("192.0.2.{}", 250 + n)},
            "created_on": "2024-01-01T05:20:00.12345Z", "modified_on": "2024-01-01T05:20:00.12345Z",
        })
    };
    vec![tunnel(1, "edge-one"), tunnel(2, "edge-two")]
}
