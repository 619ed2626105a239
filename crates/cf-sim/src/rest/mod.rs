//! Cloudflare's REST API: routing, envelope, quota. What each product answers is in the modules.

mod addressing;
mod alerting;
pub(crate) use alerting::{AlertingTable, Way, policy_id as alerting_policy_id};
pub(crate) mod auth;
pub(crate) mod cni;
pub(crate) mod magic;
pub(crate) mod mnm;
pub(crate) mod onboarding;
pub(crate) mod rulesets;
mod tokens;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::QuotaHeaders;
use crate::faults::FaultKind;
use crate::wire::{Reply, Request};
use crate::world::World;

/// `success: true` around a result.
pub(crate) fn success(result: &Value) -> Reply {
    Reply::json(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": result}),
    )
}

/// `success: true` around a whole list, which is one page.
fn list(items: Vec<Value>) -> Reply {
    let count = items.len();
    let info = json!({"page": 1, "per_page": count.max(20), "count": count, "total_count": count});
    Reply::json(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": items, "result_info": info}),
    )
}

/// `success: false` with one error.
pub(crate) fn failure(status: u16, code: u32, message: &str) -> Reply {
    let error = json!({"code": code, "message": message});
    Reply::json(
        status,
        &json!({"success": false, "errors": [error], "messages": [], "result": null}),
    )
}

fn method_not_allowed() -> Reply {
    failure(405, 10_405, "Method not allowed")
}

fn no_permission() -> Reply {
    failure(403, 10_000, "Authentication error")
}

/// Answers one request.
pub(crate) async fn handle(request: &Request, fault: Option<&FaultKind>, world: &Arc<World>) -> Reply {
    let now = Timestamp::now();
    if let Some(refused) = auth::bad_header(request) {
        return refused;
    }
    let tally = world.lock().rest_quota.take(now);
    let reply = if tally.refused {
        failure(
            429,
            10_429,
            "Too many requests. Please consider throttling your request speed.",
        )
        .header("retry-after", tally.reset_s)
    } else {
        route(request, fault, world, now).await
    };
    let window = world.config.quota_window.as_secs();
    match world.config.quota_headers {
        _ if tally.limit == 0 => reply,
        QuotaHeaders::None => reply,
        QuotaHeaders::Documented => reply
            .header("x-ratelimit-limit", tally.limit)
            .header("x-ratelimit-remaining", tally.remaining)
            .header("x-ratelimit-reset", tally.reset_s),
        QuotaHeaders::Newer => reply
            .header(
                "ratelimit",
                format!("\"default\";r={};t={}", tally.remaining, tally.reset_s),
            )
            .header("ratelimit-policy", format!("\"default\";q={};w={window}", tally.limit)),
    }
}

async fn route(request: &Request, fault: Option<&FaultKind>, world: &Arc<World>, now: Timestamp) -> Reply {
    let segments = request.segments("/client/v4");
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let known = auth::known(request, &world.config);
    match path.as_slice() {
        ["user", "tokens", "verify"] => tokens::verify(request, true, &world.config),
        ["accounts", account, "tokens", "verify"] if *account == world.config.account_id => {
            tokens::verify(request, false, &world.config)
        }
        _ if !known => failure(403, 9109, "Invalid access token"),
        ["accounts", account, rest @ ..] => {
            if *account != world.config.account_id {
                let text =
                    format!("Could not route to /accounts/{account}, perhaps your object identifier is invalid?");
                return failure(404, 7003, &text);
            }
            match rest {
                [] => success(&json!({"id": account, "name": "Example Network", "type": "enterprise", "settings": {}})),
                ["addressing", "services"] if request.method == "GET" => list(crate::bindings::services()),
                ["addressing", "prefixes", rest @ ..] => addressing::handle(request, rest, fault, world, now),
                ["rulesets", rest @ ..] => rulesets::handle(request, rest, world, now),
                ["mnm", rest @ ..] => mnm::handle(request, rest, world),
                ["cni", rest @ ..] => cni::handle(request, rest, world),
                ["magic", rest @ ..] => magic::handle(request, rest, world, now),
                ["alerting", "v3", rest @ ..] => alerting::handle(request, rest, world, now).await,
                _ => no_route(),
            }
        }
        _ => no_route(),
    }
}

fn no_route() -> Reply {
    failure(404, 7000, "No route for that URI")
}
