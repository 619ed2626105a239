//! The control API under `/_sim`. The table in the crate's documentation is its reference.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bindings::BindingSpec;
use crate::config::WebhookTarget;
use crate::faults::FaultSpec;
use crate::prefixes::PrefixChange;
use crate::rest::rulesets::Packet;
use crate::scenario::alerts::TEMPLATES;
use crate::scenario::expect::{Expectation, Finding};
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
struct Health {
    state: String,
    reason: Option<String>,
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
        ("POST", ["interconnects", name]) => {
            let wanted: Health = body(request)?;
            if !["Pending", "Down", "Unhealthy", "Healthy"].contains(&wanted.state.as_str()) {
                return Err(Box::new(problem(400, "state is Pending, Down, Unhealthy or Healthy")));
            }
            match world
                .lock()
                .cni
                .set_state(name, &wanted.state, wanted.reason.as_deref())
            {
                true => done(),
                false => problem(404, "no such interconnect"),
            }
        }
        ("POST", ["tunnels", name, "bgp"]) => {
            let wanted: Health = body(request)?;
            if !["BGP_DOWN", "BGP_UP", "BGP_ESTABLISHING"].contains(&wanted.state.as_str()) {
                return Err(Box::new(problem(400, "state is BGP_DOWN, BGP_UP or BGP_ESTABLISHING")));
            }
            match world.lock().magic.set_bgp_state(name, &wanted.state, &now.to_string()) {
                true => done(),
                false => problem(404, "no such tunnel, or it has no BGP"),
            }
        }
        ("GET", ["scenario", "journal"]) => {
            let state = world.lock();
            Reply::serialize(&state.scenario.as_ref().map(|s| s.journal().clone()).unwrap_or_default())
        }
        ("POST", ["scenario", verb @ ("pause" | "resume" | "step" | "speed")]) => steer(verb, request, world)?,
        ("GET", ["assert"]) => {
            let state = world.lock();
            let found = state.scenario.as_ref().map(|s| s.findings(&state));
            Reply::serialize(&found.unwrap_or_default())
        }
        ("POST", ["assert"]) => {
            let facts: Vec<Expectation> = body(request)?;
            let state = world.lock();
            let Some(running) = &state.scenario else {
                return Err(Box::new(problem(409, "no scenario has run")));
            };
            let found: Vec<Finding> = facts.iter().map(|fact| fact.judge(running, &state)).collect();
            Reply::serialize(&found)
        }
        ("GET", ["overrides", rule]) => {
            let packet = Packet {
                fields: request.params(),
            };
            match world.lock().rulesets.effective(rule, &packet) {
                Some(found) => Reply::json(200, &found),
                None => problem(404, "the managed ruleset has no such rule"),
            }
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
            let mut state = world.lock();
            let waiting = change.approved.is_some_and(|a| state.onboarding.approve(cidr, a));
            match waiting || state.prefixes.change(cidr, &change, now) {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Length {
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Speed {
    factor: f64,
}

/// Lets the scenario stand still, go on, go on for a while, or go at another speed.
fn steer(verb: &str, request: &Request, world: &World) -> Result<Reply, Box<Reply>> {
    if verb == "speed" {
        let Speed { factor } = body(request)?;
        if !(factor.is_finite() && factor > 0.0 && factor <= 1e6) {
            return Err(Box::new(problem(400, "factor must be above 0 and at most a million")));
        }
        world.set_factor(factor);
        return Ok(done());
    }
    let length = match verb {
        "step" => {
            let Length { seconds } = body(request)?;
            let length = Duration::try_from_secs_f64(seconds).map_err(|e| problem(400, e))?;
            Some(length)
        }
        _ => None,
    };
    let mut state = world.lock();
    let Some(running) = state.scenario.as_mut().filter(|running| !running.is_finished()) else {
        return Err(Box::new(problem(409, "no scenario runs")));
    };
    match verb {
        "pause" => running.pause(),
        _ => running.go_on(length),
    }
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
