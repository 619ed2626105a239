//! Webhook destinations. Saving one sends the test message, and fails when the receiver does not answer with success.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{Destination, receiver_id, same};
use super::{created, emptied, fields, list, method_not_allowed, no_route, refused, success};
use crate::config::WebhookTarget;
use crate::webhooks::{self, Outcome};
use crate::wire::{Reply, Request};
use crate::world::{State, World};

/// Exactly what is documented: this message has no name, data or type.
const TEST: &str = "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly.";
/// Most destinations.
const MOST: usize = 100;

pub(super) async fn handle(
    request: &Request,
    path: &[&str],
    world: &Arc<World>,
    now: Timestamp,
) -> Result<Reply, Box<Reply>> {
    match (path, request.method.as_str()) {
        ([], "GET") => Ok(list(all(&world.lock()))),
        ([], "POST") => {
            let (name, target) = given(request, None)?;
            let outcome = test(world, &target).await?;
            let mut state = world.lock();
            if state.alerting.destinations.len() >= MOST {
                return Err(refused(400, "too many webhooks"));
            }
            let id = state.alerting.dice.uuid();
            state.alerting.destinations.push(Destination {
                id: id.clone(),
                name,
                target,
                created_at: now,
                last_success: Some(outcome),
                last_failure: None,
            });
            Ok(created(&id))
        }
        ([id], method) => {
            let id = known_form(id)?;
            let present = {
                let state = world.lock();
                all(&state)
                    .into_iter()
                    .find(|w| same(w["id"].as_str().unwrap_or_default(), id))
                    .ok_or_else(|| refused(404, "Webhook not found"))?
            };
            match method {
                "GET" => Ok(success(&present)),
                "PUT" => change(request, id, &present, world).await,
                "DELETE" => remove(id, &mut world.lock()),
                _ => Ok(method_not_allowed()),
            }
        }
        ([], _) => Ok(method_not_allowed()),
        _ => Ok(no_route()),
    }
}

/// 32 hex digits, with hyphens or without.
fn known_form(id: &str) -> Result<&str, Box<Reply>> {
    let digits = crate::ids::without_hyphens(id);
    if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(id)
    } else {
        Err(refused(400, "invalid Webhook ID"))
    }
}

/// Everything that can be a destination: the receiver first. The secret never shows.
fn all(state: &State) -> Vec<Value> {
    let mut all = Vec::new();
    if let Some(target) = &state.webhook {
        let last = |good: bool| {
            let mut newest = state.deliveries.iter().rev();
            newest.find(|d| d.delivered() == good).map(|d| d.at)
        };
        all.push(json!({
            "id": receiver_id(), "name": state.alerting.receiver_name, "url": target.url, "type": "generic",
            "created_at": "2024-01-01T05:20:00Z", "last_success": last(true), "last_failure": last(false),
        }));
    }
    all.extend(state.alerting.destinations.iter().map(|d| {
        json!({
            "id": d.id, "name": d.name, "url": d.target.url, "type": "generic", "created_at": d.created_at,
            "last_success": d.last_success, "last_failure": d.last_failure,
        })
    }));
    all
}

fn given(request: &Request, before: Option<&WebhookTarget>) -> Result<(String, WebhookTarget), Box<Reply>> {
    let fields = fields(request)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let name = text("name").ok_or_else(|| refused(400, "name is required"))?;
    let url = text("url").ok_or_else(|| refused(400, "url is required"))?;
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(refused(400, "url must begin with http:// or https://"));
    }
    let secret = match fields.get("secret") {
        None => before.and_then(|b| b.secret.clone()),
        Some(Value::String(secret)) => Some(secret.clone()).filter(|s| !s.is_empty()),
        Some(_) => return Err(refused(400, "secret must be a text")),
    };
    let target = WebhookTarget {
        url: url.to_owned(),
        secret,
    };
    Ok((name.to_owned(), target))
}

/// Sends the test message; the time at which the receiver took it.
async fn test(world: &World, target: &WebhookTarget) -> Result<Timestamp, Box<Reply>> {
    let body = json!({"text": TEST}).to_string();
    let outcome = webhooks::post(world, &target.url, target.secret.as_deref(), body).await;
    let text = match outcome {
        Outcome::Answered(status) if (200..300).contains(&status) => return Ok(Timestamp::now()),
        Outcome::Answered(status) => {
            let reason = hyper::StatusCode::from_u16(status)
                .ok()
                .and_then(|s| s.canonical_reason());
            format!(
                "Webhook test failed with status code {status} {status} {}",
                reason.unwrap_or_default()
            )
        }
        Outcome::Failed(why) => format!("Webhook test failed: {why}"),
        Outcome::NoTarget | Outcome::Lost => "Webhook test failed".to_owned(),
    };
    Err(refused(400, text.trim_end()))
}

async fn change(request: &Request, id: &str, present: &Value, world: &Arc<World>) -> Result<Reply, Box<Reply>> {
    let before = {
        let state = world.lock();
        let made = state.alerting.target(id);
        made.or_else(|| state.webhook.clone())
    };
    let (name, target) = given(request, before.as_ref())?;
    test(world, &target).await?;
    let mut state = world.lock();
    match state.alerting.destinations.iter_mut().find(|d| same(&d.id, id)) {
        Some(found) => {
            found.name = name;
            found.target = target;
        }
        None => {
            state.alerting.receiver_name = name;
            state.webhook = Some(target);
        }
    }
    Ok(success(&json!({"id": present["id"]})))
}

fn remove(id: &str, state: &mut State) -> Result<Reply, Box<Reply>> {
    let named = |p: &Value| {
        p["mechanisms"]["webhooks"]
            .as_array()
            .is_some_and(|all| all.iter().any(|w| same(w["id"].as_str().unwrap_or_default(), id)))
    };
    // The policies lose this way; one that loses its last is still listed, and reaches nobody.
    for policy in state.alerting.policies.iter_mut().filter(|p| named(p)) {
        if let Some(all) = policy["mechanisms"]["webhooks"].as_array_mut() {
            all.retain(|w| !same(w["id"].as_str().unwrap_or_default(), id));
        }
    }
    if same(id, &receiver_id()) {
        state.webhook = None;
    }
    state.alerting.destinations.retain(|d| !same(&d.id, id));
    Ok(emptied())
}
