//! Prefixes before they can be advertised: onboarding, validation, delegations to other accounts, service bindings, and
//! the networks of a prefix that can be advertised one by one.
//!
//! A prefix that is onboarded waits for approval by people, so nothing of it can be changed, and only such a one can be
//! deleted. A network that is made below a prefix begins withdrawn, and only a withdrawn one can be deleted.

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{failure, list, success};
use crate::bindings::{self, BindingSpec};
use crate::config::{BgpPrefixConfig, Cooldown, PrefixConfig};
use crate::ids::Dice;
use crate::prefixes::{PrefixState, PrefixTable};
use crate::wire::{Reply, Request};
use crate::world::State;

/// Keeps the ids made here apart from all others that come from the same seed.
const SALT: u64 = 0x6f6e_626f;
/// Most prefixes and most delegations that are made through the API.
const MOST: usize = 500;

/// A prefix of which nothing can be advertised yet.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: String,
    cidr: IpNet,
    asn: Option<u32>,
    description: String,
    loa_document_id: Option<String>,
    approved: bool,
    validated: bool,
    created_at: Timestamp,
    modified_at: Timestamp,
}

/// What was made through the API.
#[derive(Debug)]
pub(crate) struct OnboardingTable {
    pub(super) waiting: Vec<Waiting>,
    /// Parent and delegation.
    delegations: Vec<(String, Value)>,
    dice: Dice,
}

impl OnboardingTable {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            waiting: Vec::new(),
            delegations: Vec::new(),
            dice: Dice::new(seed ^ SALT),
        }
    }
}

impl OnboardingTable {
    /// People at Cloudflare approve a waiting prefix, or take that back. False when none waits.
    pub(crate) fn approve(&mut self, cidr: IpNet, approved: bool) -> bool {
        let Some(prefix) = self.waiting.iter_mut().find(|w| w.cidr == cidr.trunc()) else {
            return false;
        };
        prefix.approved = approved;
        true
    }
}

pub(super) type Answer = Result<Reply, Box<Reply>>;

fn invalid(what: &str) -> Box<Reply> {
    Box::new(failure(400, 1001, &format!("invalid_{what}")))
}

fn fields(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(invalid("request_body")),
    }
}

fn network(given: &Map<String, Value>) -> Result<IpNet, Box<Reply>> {
    let text = given.get("cidr").and_then(Value::as_str).unwrap_or_default();
    let network: IpNet = text.parse().map_err(|_| invalid("cidr"))?;
    if network == network.trunc() {
        Ok(network)
    } else {
        Err(invalid("cidr"))
    }
}

/// Success without a result, as these deletions answer.
fn deleted() -> Reply {
    Reply::json(200, &json!({"success": true, "errors": [], "messages": []}))
}

/// A waiting prefix in the API's form.
pub(super) fn shown(prefix: &Waiting, account: &str) -> Value {
    let state = if prefix.validated { "valid" } else { "pending" };
    json!({
        "id": prefix.id, "account_id": account, "cidr": prefix.cidr.to_string(), "asn": prefix.asn,
        "advertised": null, "advertised_modified_at": null, "approved": if prefix.approved { "V" } else { "P" },
        "description": prefix.description, "on_demand_enabled": false, "on_demand_locked": false,
        "loa_document_id": prefix.loa_document_id, "delegate_loa_creation": false, "irr_validation_state": state,
        "ownership_validation_state": state, "ownership_validation_token": format!("cloudflare-validation={}", prefix.id),
        "rpki_validation_state": state, "created_at": prefix.created_at, "modified_at": prefix.modified_at,
    })
}

/// Onboards a prefix.
pub(super) fn create(request: &Request, state: &mut State, account: &str, now: Timestamp) -> Answer {
    let given = fields(request)?;
    let cidr = network(&given)?;
    let asn = match given.get("asn").map(Value::as_u64) {
        Some(Some(asn)) => u32::try_from(asn).map_err(|_| invalid("asn"))?,
        _ => return Err(invalid("asn")),
    };
    let table = &mut state.onboarding;
    let rows = state.prefixes.rows.iter().map(|p| p.parent);
    let known = rows
        .chain(table.waiting.iter().map(|w| w.cidr))
        .any(|n| n.contains(&cidr) || cidr.contains(&n));
    if known || table.waiting.len() >= MOST {
        return Err(invalid("cidr: the prefix exists"));
    }
    let prefix = Waiting {
        id: table.dice.hex32(),
        cidr,
        asn: Some(asn),
        description: given
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        loa_document_id: given.get("loa_document_id").and_then(Value::as_str).map(str::to_owned),
        approved: false,
        validated: false,
        created_at: now,
        modified_at: now,
    };
    table.waiting.push(prefix.clone());
    Ok(success(&shown(&prefix, account)))
}

/// What can be done with a prefix that waits; `None` when no such prefix waits.
pub(super) fn waiting(
    request: &Request,
    rest: &[&str],
    id: &str,
    state: &mut State,
    account: &str,
    now: Timestamp,
) -> Option<Answer> {
    let prefix = state.onboarding.waiting.iter_mut().find(|w| w.id == id)?;
    Some(match (rest, request.method.as_str()) {
        ([], "GET") => Ok(success(&shown(prefix, account))),
        ([], "PATCH") => match fields(request) {
            Ok(given) => match given.get("description").and_then(Value::as_str) {
                Some(text) => {
                    text.clone_into(&mut prefix.description);
                    prefix.modified_at = now;
                    Ok(success(&shown(prefix, account)))
                }
                None => Err(invalid("description")),
            },
            Err(refused) => Err(refused),
        },
        ([], "DELETE") => {
            let approved = prefix.approved;
            if approved {
                Err(Box::new(failure(400, 1001, "approved prefixes cannot be deleted")))
            } else {
                state.onboarding.waiting.retain(|w| w.id != id);
                Ok(deleted())
            }
        }
        (["validate"], "POST") => {
            prefix.validated = true;
            prefix.modified_at = now;
            Ok(success(&shown(prefix, account)))
        }
        (["bgp", "prefixes"] | ["bindings"], "GET") => Ok(list(Vec::new())),
        (["bgp", "prefixes"], "POST") if !prefix.approved => {
            Err(Box::new(failure(400, 1001, "prefix_not_valid_and_approved")))
        }
        _ => return None,
    })
}

/// A network of a prefix that can be advertised by itself; it begins withdrawn.
pub(super) fn create_network(
    request: &Request,
    id: &str,
    state: &mut State,
    now: Timestamp,
) -> Result<PrefixState, Box<Reply>> {
    let cidr = network(&fields(request)?)?;
    let (parent, asn, description, approved) = match state.prefixes.rows.iter().find(|p| p.prefix_id == id) {
        Some(p) => (p.parent, p.asn, p.description.clone(), p.approved),
        None => match state.onboarding.waiting.iter().find(|w| w.id == id) {
            Some(w) => (w.cidr, w.asn, w.description.clone(), w.approved),
            None => return Err(Box::new(failure(404, 1000, "prefix not found"))),
        },
    };
    if !parent.contains(&cidr) || state.prefixes.by_cidr(cidr).is_some() {
        return Err(invalid("cidr"));
    }
    let config = PrefixConfig {
        id: id.to_owned(),
        cidr: parent,
        asn,
        description,
        approved,
        bgp: vec![BgpPrefixConfig {
            id: state.onboarding.dice.hex32(),
            ..BgpPrefixConfig::simple(cidr, 0)
        }],
    };
    let none = std::time::Duration::ZERO;
    let mut made = PrefixTable::new(&[config], (none, none), Cooldown::default(), 1.0, now).rows;
    let Some(mut row) = made.pop() else {
        return Err(invalid("cidr"));
    };
    row.created_at = now;
    row.modified_at = now;
    row.advertised_modified_at = None;
    state.prefixes.rows.push(row.clone());
    // From now on the prefix is known by its networks.
    state.onboarding.waiting.retain(|w| w.id != id);
    Ok(row)
}

/// Deletes a withdrawn network; a prefix that loses its last one waits again.
pub(super) fn delete_network(id: &str, bgp: &str, state: &mut State, now: Timestamp) -> Answer {
    let rows = &mut state.prefixes.rows;
    let Some(index) = rows.iter().position(|p| p.prefix_id == id && p.bgp_prefix_id == bgp) else {
        return Err(Box::new(failure(404, 1002, "BGP prefix not found")));
    };
    if rows[index].advertised {
        return Err(Box::new(failure(
            400,
            1001,
            "invalid_state: an advertised prefix cannot be deleted",
        )));
    }
    let gone = rows.remove(index);
    if !rows.iter().any(|p| p.prefix_id == id) {
        state.onboarding.waiting.push(Waiting {
            id: gone.prefix_id,
            cidr: gone.parent,
            asn: gone.asn,
            description: gone.description,
            loa_document_id: None,
            approved: gone.approved,
            validated: true,
            created_at: gone.created_at,
            modified_at: now,
        });
    }
    Ok(deleted())
}

/// Parts of a prefix that another account may use.
pub(super) fn delegations(
    request: &Request,
    rest: &[&str],
    id: &str,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer> {
    let parent = match state.prefixes.rows.iter().find(|p| p.prefix_id == id) {
        Some(p) => p.parent,
        None => state.onboarding.waiting.iter().find(|w| w.id == id)?.cidr,
    };
    let table = &mut state.onboarding;
    Some(match (rest, request.method.as_str()) {
        ([], "GET") => {
            let own = table.delegations.iter().filter(|(p, _)| p == id);
            Ok(list(own.map(|(_, d)| d.clone()).collect()))
        }
        ([], "POST") => delegate(request, parent, id, table, now),
        ([delegation], "DELETE") => {
            let found = table
                .delegations
                .iter()
                .position(|(p, d)| p == id && d["id"] == *delegation);
            match found {
                Some(index) => {
                    table.delegations.remove(index);
                    Ok(success(&json!({"id": delegation})))
                }
                None => Err(Box::new(failure(404, 1000, "delegation not found"))),
            }
        }
        _ => return None,
    })
}

fn delegate(request: &Request, parent: IpNet, id: &str, table: &mut OnboardingTable, now: Timestamp) -> Answer {
    let given = fields(request)?;
    let cidr = network(&given)?;
    let to = given
        .get("delegated_account_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if to.len() != 32 || !to.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid("delegated_account_id"));
    }
    if !parent.contains(&cidr) || table.delegations.len() >= MOST {
        return Err(invalid("cidr"));
    }
    let made = json!({"id": table.dice.hex32(), "cidr": cidr.to_string(), "delegated_account_id": to,
        "parent_prefix_id": id, "created_at": now.to_string(), "modified_at": now.to_string()});
    table.delegations.push((id.to_owned(), made.clone()));
    Ok(success(&made))
}

/// Binds a part of a prefix to a service, which takes a while to be everywhere.
pub(super) fn bind(request: &Request, id: &str, state: &mut State) -> Answer {
    let given = fields(request)?;
    let cidr = network(&given)?;
    let service = given.get("service_id").and_then(Value::as_str).unwrap_or_default();
    let unsupported = || Box::new(failure(400, 1003, "unsupported binding"));
    let service = bindings::service_name(service).ok_or_else(unsupported)?;
    let inside = state
        .prefixes
        .rows
        .iter()
        .any(|p| p.prefix_id == id && p.parent.contains(&cidr));
    if !inside || state.bindings.below(id).iter().any(|b| b["cidr"] == cidr.to_string()) {
        return Err(unsupported());
    }
    let spec = BindingSpec {
        cidr,
        service: Some(service.to_owned()),
        provisioning: true,
    };
    if !state.bindings.change(&spec) {
        return Err(unsupported());
    }
    let made = state
        .bindings
        .below(id)
        .into_iter()
        .find(|b| b["cidr"] == cidr.to_string());
    made.map(|b| success(&b)).ok_or_else(unsupported)
}

/// Ends a binding.
pub(super) fn unbind(id: &str, binding: &str, state: &mut State) -> Answer {
    if state.bindings.remove(id, binding) {
        Ok(deleted())
    } else {
        Err(Box::new(failure(404, 1000, "service binding not found")))
    }
}
