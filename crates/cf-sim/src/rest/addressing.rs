//! `addressing/prefixes`, `bgp/prefixes`, `bindings`, `delegations` and the deprecated `bgp/status`.
//!
//! A parent may hold several networks that can be advertised; its own `advertised` is true when any of them is.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{auth, failure, list, method_not_allowed, no_permission, no_route, onboarding, success};
use crate::faults::FaultKind;
use crate::prefixes::{PrefixState, Refusal};
use crate::wire::{Reply, Request};
use crate::world::{State, World};

pub(super) fn handle(
    request: &Request,
    path: &[&str],
    fault: Option<&FaultKind>,
    world: &World,
    now: Timestamp,
) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if reading && !may.prefixes_read {
        return no_permission();
    }
    let mut state = world.lock();
    let account = world.config.account_id.as_str();
    let ignored = matches!(fault, Some(FaultKind::IgnoreChange));
    match path {
        [] if reading => list(parents(&state, account)),
        [] if request.method == "POST" && !may.prefixes_write => no_permission(),
        [] if request.method == "POST" => told(onboarding::create(request, &mut state, account, now)),
        [id, rest @ ..] => {
            if let Some(reply) = below(request, id, rest, &mut state, world, now) {
                return reply;
            }
            if !state.prefixes.rows.iter().any(|p| p.prefix_id == *id) {
                return failure(404, 1000, "prefix not found");
            }
            match (rest, request.method.as_str()) {
                ([], "GET") => success(&parent(&state, account, id)),
                ([], "PATCH") if !may.prefixes_write => no_permission(),
                ([], "PATCH") => describe(request, &mut state, account, id, now),
                (["bgp", "prefixes"], "GET") => list(
                    state
                        .prefixes
                        .rows
                        .iter()
                        .filter(|p| p.prefix_id == *id)
                        .map(bgp_prefix)
                        .collect(),
                ),
                (["bgp", "prefixes", bgp], "GET") => match state.prefixes.rows.iter().find(|p| is(p, id, bgp)) {
                    Some(p) => success(&bgp_prefix(p)),
                    None => failure(404, 1002, "BGP prefix not found"),
                },
                (["bgp", "prefixes", _], "PATCH") | (["bgp", "status"], "PATCH") if !may.bgp_write => no_permission(),
                (["bgp", "prefixes", bgp], "PATCH") => change(request, &mut state, id, bgp, ignored, now),
                (["bindings"], "GET") => list(state.bindings.below(id)),
                (["bindings", binding], "GET") => match state.bindings.one(id, binding) {
                    Some(found) => success(&found),
                    None => failure(404, 1000, "service binding not found"),
                },
                (["bgp", "status"], "GET") => success(&status(&state, id)),
                (["bgp", "status"], "PATCH") => change_status(request, &mut state, id, ignored, now),
                (
                    []
                    | ["bgp", "prefixes"]
                    | ["bgp", "prefixes", _]
                    | ["bgp", "status"]
                    | ["bindings"]
                    | ["bindings", _]
                    | ["delegations"]
                    | ["delegations", _]
                    | ["validate"],
                    _,
                ) => method_not_allowed(),
                _ => no_route(),
            }
        }
        [] => method_not_allowed(),
    }
}

fn told(answer: onboarding::Answer) -> Reply {
    answer.unwrap_or_else(|refused| *refused)
}

/// The calls that are about what a prefix consists of rather than whether it is advertised.
fn below(
    request: &Request,
    id: &str,
    rest: &[&str],
    state: &mut State,
    world: &World,
    now: Timestamp,
) -> Option<Reply> {
    let account = world.config.account_id.as_str();
    let known = state.prefixes.rows.iter().any(|p| p.prefix_id == id);
    let waits = state.onboarding.waiting.iter().any(|w| w.id == id);
    let changes = request.method != "GET" && !(request.method == "PATCH" && matches!(rest, ["bgp", ..]));
    if (known || waits) && changes && !auth::permissions(request, &world.config).prefixes_write {
        return Some(no_permission());
    }
    let answer = match (rest, request.method.as_str()) {
        (["delegations", rest @ ..], _) => onboarding::delegations(request, rest, id, state, now)?,
        _ if waits && !(matches!(rest, ["bgp", "prefixes"]) && request.method == "POST") => {
            onboarding::waiting(request, rest, id, state, account, now)?
        }
        (["bgp", "prefixes"], "POST") if known || waits => {
            match onboarding::waiting(request, rest, id, state, account, now) {
                Some(refused) => refused,
                None => onboarding::create_network(request, id, state, now).map(|made| success(&bgp_prefix(&made))),
            }
        }
        (["bgp", "prefixes", bgp], "DELETE") if known => onboarding::delete_network(id, bgp, state, now),
        (["bindings"], "POST") if known => onboarding::bind(request, id, state),
        (["bindings", binding], "DELETE") if known => onboarding::unbind(id, binding, state),
        (["validate"], "POST") if known => Ok(success(&parent(state, account, id))),
        ([], "DELETE") if known => Err(Box::new(failure(400, 1001, "approved prefixes cannot be deleted"))),
        _ => return None,
    };
    Some(told(answer))
}

fn is(p: &PrefixState, prefix: &str, bgp: &str) -> bool {
    p.prefix_id == prefix && p.bgp_prefix_id == bgp
}

fn parents(state: &State, account: &str) -> Vec<Value> {
    let mut ids: Vec<&str> = Vec::new();
    for p in &state.prefixes.rows {
        if !ids.contains(&p.prefix_id.as_str()) {
            ids.push(&p.prefix_id);
        }
    }
    let waiting = state.onboarding.waiting.iter();
    ids.into_iter()
        .map(|id| parent(state, account, id))
        .chain(waiting.map(|w| onboarding::shown(w, account)))
        .collect()
}

fn parent(state: &State, account: &str, id: &str) -> Value {
    let rows: Vec<&PrefixState> = state.prefixes.rows.iter().filter(|p| p.prefix_id == id).collect();
    let Some(first) = rows.first() else { return Value::Null };
    // Both are null unless on demand is enabled.
    let enabled = rows.iter().any(|p| p.on_demand_enabled);
    let advertised = enabled.then(|| rows.iter().any(|p| p.advertised));
    let changed = rows
        .iter()
        .filter_map(|p| p.advertised_modified_at)
        .max()
        .filter(|_| enabled);
    json!({
        "id": first.prefix_id,
        "account_id": account,
        "cidr": first.parent.to_string(),
        "asn": first.asn,
        "advertised": advertised,
        "advertised_modified_at": changed,
        "approved": if first.approved { "V" } else { "P" },
        "description": first.description,
        "on_demand_enabled": enabled,
        "on_demand_locked": rows.iter().any(|p| p.on_demand_locked),
        "loa_document_id": null,
        "delegate_loa_creation": false,
        "irr_validation_state": "valid",
        "ownership_validation_state": "valid",
        "ownership_validation_token": null,
        "rpki_validation_state": "valid",
        "created_at": first.created_at,
        "modified_at": rows.iter().map(|p| p.modified_at).max(),
    })
}

fn bgp_prefix(p: &PrefixState) -> Value {
    json!({
        "id": p.bgp_prefix_id,
        "cidr": p.cidr.to_string(),
        "asn": p.asn,
        "asn_prepend_count": p.asn_prepend_count,
        "auto_advertise_withdraw": p.auto_advertise_withdraw,
        "bgp_signal_opts": {"enabled": p.bgp_signalled, "modified_at": null},
        "created_at": p.created_at,
        "modified_at": p.modified_at,
        "on_demand": {
            "advertised": p.on_demand_enabled.then_some(p.advertised),
            "advertised_modified_at": p.advertised_modified_at.filter(|_| p.on_demand_enabled),
            "on_demand_enabled": p.on_demand_enabled,
            "on_demand_locked": p.on_demand_locked,
        },
    })
}

fn status(state: &State, id: &str) -> Value {
    let rows = || state.prefixes.rows.iter().filter(|p| p.prefix_id == id);
    json!({"advertised": rows().any(|p| p.advertised), "advertised_modified_at": rows().filter_map(|p| p.advertised_modified_at).max()})
}

fn describe(request: &Request, state: &mut State, account: &str, id: &str, now: Timestamp) -> Reply {
    let body = match object(request, &["description"]) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let Some(text) = body.get("description").and_then(Value::as_str) else {
        return failure(400, 1001, "invalid_description");
    };
    for p in state.prefixes.rows.iter_mut().filter(|p| p.prefix_id == id) {
        text.clone_into(&mut p.description);
        p.modified_at = now;
    }
    success(&parent(state, account, id))
}

/// The body as an object with no other than the known keys.
fn object(request: &Request, known: &[&str]) -> Result<Value, Box<Reply>> {
    let body = request
        .json()
        .map_err(|_| Box::new(failure(400, 1001, "invalid_request_body")))?;
    let Some(fields) = body.as_object() else {
        return Err(Box::new(failure(400, 1001, "invalid_request_body")));
    };
    match fields.keys().find(|k| !known.contains(&k.as_str())) {
        Some(key) => Err(Box::new(failure(
            400,
            1001,
            &format!("invalid_request_body: unknown field {key}"),
        ))),
        None => Ok(body),
    }
}

fn change(request: &Request, state: &mut State, id: &str, bgp: &str, ignored: bool, now: Timestamp) -> Reply {
    let Some(index) = state.prefixes.rows.iter().position(|p| is(p, id, bgp)) else {
        return failure(404, 1002, "BGP prefix not found");
    };
    let body = match object(request, &["on_demand", "asn_prepend_count", "auto_advertise_withdraw"]) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let wanted = match body.get("on_demand") {
        None => None,
        Some(on_demand) => match on_demand.get("advertised").and_then(Value::as_bool) {
            Some(wanted) => Some(wanted),
            None => return failure(400, 1001, "invalid_on_demand: advertised must be true or false"),
        },
    };
    let prepend = match body.get("asn_prepend_count") {
        None => None,
        Some(n) => match n.as_u64().filter(|n| *n <= 3) {
            Some(n) => u8::try_from(n).ok(),
            None => return failure(400, 1001, "invalid_asn_prepend_count"),
        },
    };
    let automatic = match body.get("auto_advertise_withdraw") {
        None => None,
        Some(flag) => match flag.as_bool() {
            Some(flag) => Some(flag),
            None => return failure(400, 1001, "invalid_auto_advertise_withdraw"),
        },
    };
    if wanted.is_none() && prepend.is_none() && automatic.is_none() {
        return failure(400, 1001, "invalid_request_body: nothing to change");
    }
    if let Some(wanted) = wanted {
        if ignored {
            // Accepted and shown as asked, but lost inside.
            let mut shown = state.prefixes.rows[index].clone();
            shown.advertised = wanted;
            return success(&bgp_prefix(&shown));
        }
        if let Err(refusal) = state.prefixes.advertise(index, wanted, now) {
            return refused(&refusal);
        }
    }
    let p = &mut state.prefixes.rows[index];
    if prepend.is_some() || automatic.is_some() {
        p.asn_prepend_count = prepend.unwrap_or(p.asn_prepend_count);
        p.auto_advertise_withdraw = automatic.unwrap_or(p.auto_advertise_withdraw);
        p.modified_at = now;
    }
    success(&bgp_prefix(p))
}

fn change_status(request: &Request, state: &mut State, id: &str, ignored: bool, now: Timestamp) -> Reply {
    let body = match object(request, &["advertised"]) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let Some(wanted) = body.get("advertised").and_then(Value::as_bool) else {
        return failure(400, 1001, "invalid_advertised");
    };
    if ignored {
        return success(&json!({"advertised": wanted, "advertised_modified_at": now}));
    }
    let indexes: Vec<usize> = state
        .prefixes
        .rows
        .iter()
        .enumerate()
        .filter(|(_, p)| p.prefix_id == id)
        .map(|(i, _)| i)
        .collect();
    for index in indexes {
        if let Err(refusal) = state.prefixes.advertise(index, wanted, now) {
            return refused(&refusal);
        }
    }
    success(&status(state, id))
}

fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::NotOnDemand => failure(
            400,
            1001,
            "incomplete_bgp_deployment: on demand is not enabled for this prefix",
        ),
        Refusal::Locked => failure(400, 1001, "advertise_state_locked"),
        Refusal::NotApproved => failure(400, 1001, "prefix_not_valid_and_approved"),
        Refusal::Signalled => failure(400, 1001, "advertisement of this prefix is controlled by BGP signaling"),
        Refusal::TooSoon { retry_after_s, code } => {
            failure(429, *code, "The advertisement of this prefix was changed too recently")
                .header("retry-after", retry_after_s)
        }
    }
}
