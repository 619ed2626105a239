//! The control API under `/_sim`. The table in the crate's documentation is its reference.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bindings::BindingSpec;
use crate::config::WebhookTarget;
use crate::faults::FaultSpec;
use crate::prefixes::PrefixChange;
use crate::scenario::alerts::TEMPLATES;
use crate::scenario::file::Scenario;
use crate::sim::{alert_body, start_scenario};
use crate::traffic::RowSpec;
use crate::webhooks;
use crate::wire::{Reply, Request};
use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartScenario {
    name: Option<String>,
    toml: Option<String>,
    factor: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendWebhook {
    body: Option<Value>,
    raw: Option<String>,
    template: Option<String>,
    data: Option<Value>,
    envelope: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: Option<String>,
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    rows: Vec<RowSpec>,
}

fn problem(status: u16, text: impl std::fmt::Display) -> Reply {
    Reply::json(status, &json!({"error": text.to_string()}))
}

fn done() -> Reply {
    Reply::json(200, &json!({"ok": true}))
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Box<Reply>> {
    serde_json::from_slice(&request.body).map_err(|e| Box::new(problem(400, e)))
}

/// Answers one request.
pub(crate) async fn handle(request: &Request, world: &Arc<World>) -> Reply {
    match answer(request, world).await {
        Ok(reply) => reply,
        Err(reply) => *reply,
    }
}

async fn answer(request: &Request, world: &Arc<World>) -> Result<Reply, Box<Reply>> {
    let now = Timestamp::now();
    let segments = request.segments("/_sim");
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    Ok(match (request.method.as_str(), path.as_slice()) {
        ("GET", ["health"]) => done(),
        ("GET", ["state"]) => Reply::serialize(&world.view()),
        ("GET", ["scenarios"]) => Reply::serialize(&Scenario::names()),
        ("GET", ["templates"]) => Reply::serialize(&TEMPLATES),
        ("GET", ["scenario"]) => Reply::serialize(&world.lock().scenario.as_ref().map(|s| s.status(now))),
        ("POST", ["scenario"]) => scenario(body(request)?, world)?,
        ("DELETE", ["scenario"]) => {
            if let Some(running) = &mut world.lock().scenario {
                running.stop();
            }
            done()
        }
        ("GET", ["faults"]) => Reply::serialize(&world.lock().faults.list(now)),
        ("POST", ["faults"]) => {
            let spec: FaultSpec = body(request)?;
            let id = world.lock().faults.add(spec, now).map_err(|e| problem(400, e))?;
            Reply::json(200, &json!({"id": id}))
        }
        ("DELETE", ["faults"]) => {
            world.lock().faults.clear();
            done()
        }
        ("DELETE", ["faults", id]) => match world.lock().faults.remove(id) {
            true => done(),
            false => problem(404, "no such fault"),
        },
        ("GET", ["requests"]) => {
            let since = request.param("since").and_then(|s| s.parse().ok()).unwrap_or(0);
            Reply::serialize(&world.lock().log.since(since))
        }
        ("DELETE", ["requests"]) => {
            world.lock().log.clear();
            done()
        }
        ("GET", ["telegram", "messages"]) => Reply::serialize(&world.lock().chats.messages()),
        ("GET", ["telegram", "callback_answers"]) => Reply::serialize(&world.lock().chats.answers()),
        ("POST", ["telegram", "update"]) => {
            let update: Value = body(request)?;
            if !update.is_object() {
                return Err(Box::new(problem(400, "an update is an object")));
            }
            let id = world.lock().chats.push_update(update);
            world.wake.notify_waiters();
            Reply::json(200, &json!({"update_id": id}))
        }
        ("GET", ["deliveries"]) => Reply::serialize(&world.lock().deliveries),
        ("POST", ["history"]) => {
            let entry: Value = body(request)?;
            if !entry.is_object() {
                return Err(Box::new(problem(400, "an entry is an object")));
            }
            webhooks::add_to_history(&mut world.lock(), &entry);
            done()
        }
        ("POST", ["webhook"]) => webhook(body(request)?, world).await?,
        ("POST", ["webhook_target"]) => {
            let target: Target = body(request)?;
            world.lock().webhook = target.url.map(|url| WebhookTarget {
                url,
                secret: target.secret,
            });
            done()
        }
        ("POST", ["prefixes", network @ ..]) => {
            let cidr: IpNet = network.join("/").parse().map_err(|e| problem(400, e))?;
            let change: PrefixChange = body(request)?;
            match world.lock().prefixes.change(cidr, &change, now) {
                true => done(),
                false => problem(404, "no such prefix"),
            }
        }
        ("POST", ["bindings"]) => {
            let spec: BindingSpec = body(request)?;
            match world.lock().bindings.change(&spec) {
                true => done(),
                false => problem(404, "no onboarded prefix contains this network"),
            }
        }
        ("POST", ["traffic"]) => {
            let rows: Rows = body(request)?;
            let mut state = world.lock();
            let count = rows.rows.len();
            for row in rows.rows {
                state.traffic.insert(row, now);
            }
            Reply::json(200, &json!({"ok": true, "rows": count}))
        }
        ("GET", ["rows"]) => {
            let node = request
                .param("node")
                .unwrap_or_else(|| crate::traffic::MAGIC_TRANSIT.to_owned());
            let limit = request.param("limit").and_then(|s| s.parse().ok()).unwrap_or(100);
            Reply::serialize(&world.lock().traffic.newest(&node, limit))
        }
        _ => problem(404, "see the crate's documentation for the control API"),
    })
}

fn scenario(wanted: StartScenario, world: &World) -> Result<Reply, Box<Reply>> {
    let parsed = match (&wanted.name, &wanted.toml) {
        (Some(name), None) => Scenario::named(name),
        (None, Some(text)) => Scenario::parse(text),
        _ => return Err(Box::new(problem(400, "give either name or toml"))),
    };
    let chain = |e: &dyn std::error::Error| match e.source() {
        Some(source) => format!("{e}: {source}"),
        None => e.to_string(),
    };
    let parsed = parsed.map_err(|e| problem(400, chain(&e)))?;
    start_scenario(world, parsed, wanted.factor).map_err(|e| problem(400, chain(&e)))?;
    Ok(done())
}

async fn webhook(wanted: SendWebhook, world: &Arc<World>) -> Result<Reply, Box<Reply>> {
    let delivery = match (wanted.body, wanted.raw, wanted.template) {
        (Some(body), None, None) => webhooks::send(world, &body).await,
        (None, Some(raw), None) => webhooks::send_raw(world, raw).await,
        (None, None, Some(template)) => {
            let body = alert_body(world, &template, wanted.data.as_ref(), wanted.envelope.as_ref())
                .map_err(|e| problem(400, e))?;
            webhooks::send(world, &body).await
        }
        _ => return Err(Box::new(problem(400, "give one of body, raw and template"))),
    };
    Ok(Reply::serialize(&delivery))
}
