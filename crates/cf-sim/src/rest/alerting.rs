//! Notifications: the history of dispatched alerts, and one policy per alert type and one destination to look at.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{failure, list, method_not_allowed, no_permission, no_route, success};
use crate::wire::{Reply, Request};
use crate::world::{State, World};

pub(super) fn handle(request: &Request, path: &[&str], world: &World) -> Reply {
    if !world.config.permissions.notifications {
        return no_permission();
    }
    if request.method != "GET" {
        return method_not_allowed();
    }
    let state = world.lock();
    match path {
        ["history"] => history(request, &state),
        ["policies"] => list(policies()),
        ["policies", id] => match policies().into_iter().find(|p| p["id"] == **id) {
            Some(policy) => success(&policy),
            None => failure(404, 1000, "Policy not found"),
        },
        ["destinations", "webhooks"] => list(webhooks(&state)),
        ["destinations", "webhooks", id] => match webhooks(&state).into_iter().find(|w| w["id"] == **id) {
            Some(webhook) => success(&webhook),
            None => failure(404, 1000, "Webhook not found"),
        },
        _ => no_route(),
    }
}

/// Id of the policy of an alert type, as the API writes it (a UUID).
pub(crate) fn policy_id(alert_type: &str) -> String {
    let seed = alert_type
        .bytes()
        .fold(17_u64, |h, b| h.wrapping_mul(131).wrapping_add(u64::from(b)));
    crate::ids::Dice::new(seed).uuid()
}

fn destination_id() -> String {
    policy_id("destination")
}

fn policies() -> Vec<Value> {
    let policy = |kind: &&str| {
        json!({
            "id": policy_id(kind), "name": format!("Policy {kind}"), "description": "", "alert_type": kind, "enabled": true,
            "mechanisms": {"webhooks": [{"id": destination_id()}]}, "filters": {}, "alert_interval": "",
            "created": "2024-01-01T05:20:00Z", "modified": "2024-01-01T05:20:00Z",
        })
    };
    let kinds = [
        "advanced_ddos_attack_l4_alert",
        "fbm_volumetric_attack",
        "fbm_dosd_attack",
        "fbm_auto_advertisement",
        "magic_tunnel_health_check_event",
        "bgp_hijack_notification",
    ];
    kinds.iter().map(policy).collect()
}

fn webhooks(state: &State) -> Vec<Value> {
    let Some(target) = &state.webhook else {
        return Vec::new();
    };
    let last = |good: bool| {
        state
            .deliveries
            .iter()
            .rev()
            .find(|d| d.delivered() == good)
            .map(|d| d.at)
    };
    vec![json!({
        "id": destination_id(), "name": "Receiver", "url": target.url, "type": "generic", "created_at": "2024-01-01T05:20:00Z",
        "last_success": last(true), "last_failure": last(false),
    })]
}

/// Newest first, between `since` and `before`, in pages.
fn history(request: &Request, state: &State) -> Reply {
    let number = |name: &str, default: usize| request.param(name).map_or(Ok(default), |v| v.parse::<usize>());
    let (Ok(page), Ok(per_page)) = (number("page", 1), number("per_page", 25)) else {
        return failure(400, 1001, "invalid page or per_page");
    };
    if page == 0 || !(5..=1000).contains(&per_page) {
        return failure(400, 1001, "page starts at 1 and per_page is 5 to 1000");
    }
    let bound = |name: &str| request.param(name).map(|v| v.parse::<Timestamp>()).transpose();
    let (Ok(since), Ok(before)) = (bound("since"), bound("before")) else {
        return failure(400, 1001, "since and before must be RFC 3339 times");
    };
    let sent = |entry: &Value| {
        entry["sent"]
            .as_str()
            .and_then(|t| t.parse::<Timestamp>().ok())
            .unwrap_or_default()
    };
    let fits = |e: &&Value| since.is_none_or(|s| sent(e) >= s) && before.is_none_or(|b| sent(e) < b);
    let mut all: Vec<&Value> = state.history.iter().rev().filter(fits).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(sent(entry)));
    let items: Vec<&&Value> = all.iter().skip((page - 1) * per_page).take(per_page).collect();
    let info = json!({"page": page, "per_page": per_page, "count": items.len(), "total_count": all.len()});
    Reply::json(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": items, "result_info": info}),
    )
}
