//! Notifications: policies, webhook destinations with their test message, silences, available alerts, and the history of
//! what was dispatched.
//!
//! An alert of a type goes to the destinations of the enabled policies of that type. Types for which no policy was ever
//! made go to the receiver that the simulator was started with, so that any alert can be tried.

mod destinations;
mod history;
mod kinds;
mod policies;
mod silences;
mod table;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) use self::table::{AlertingTable, Way, policy_id};
use super::{auth, failure, list, method_not_allowed, no_permission, no_route, success};
use crate::wire::{Reply, Request};
use crate::world::World;

pub(super) async fn handle(request: &Request, path: &[&str], world: &Arc<World>, now: Timestamp) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if (reading && !may.notifications) || (!reading && !may.notifications_write) {
        return no_permission();
    }
    let answer = match path {
        // These may have to ask the receiver.
        ["destinations", "webhooks", rest @ ..] => destinations::handle(request, rest, world, now).await,
        _ => answer(request, path, world, now),
    };
    answer.unwrap_or_else(|refused| *refused)
}

fn answer(request: &Request, path: &[&str], world: &World, now: Timestamp) -> Result<Reply, Box<Reply>> {
    let mut state = world.lock();
    Ok(match (path, request.method.as_str()) {
        (["history"], "GET") => history::page(request, &state),
        (["available_alerts"], "GET") => success(&kinds::available()),
        (["destinations", "eligible"], "GET") => success(&kinds::eligible()),
        (["policies", rest @ ..], _) if rest.len() < 2 => policies::handle(request, rest, &mut state, now)?,
        (["silences", rest @ ..], _) if rest.len() < 2 => silences::handle(request, rest, &mut state.alerting, now)?,
        (["history"] | ["available_alerts"] | ["destinations", "eligible"], _) => method_not_allowed(),
        _ => no_route(),
    })
}

/// Refusals of this product have the code 0, and say what is wrong in words.
fn refused(status: u16, text: &str) -> Box<Reply> {
    Box::new(failure(status, 0, text))
}

fn fields(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(refused(400, "invalid request body")),
    }
}

/// What a deletion answers.
fn emptied() -> Reply {
    success(&json!({}))
}

/// The shared status for something that was made.
fn created(id: &str) -> Reply {
    let mut reply = success(&json!({"id": id}));
    reply.status = 201;
    reply
}
