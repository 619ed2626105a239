//! Cloudflare Network Interconnect: physical interconnects, virtual cross-connects, slots, settings. Bare JSON without an
//! envelope, pages by `cursor` and `limit`; only errors have the usual form, which is not documented.

use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};

use super::{auth, failure, method_not_allowed, no_permission, no_route};
use crate::ids::Dice;
use crate::wire::{Reply, Request};
use crate::world::World;

/// Items a page when nothing else is asked for, and at most.
const PAGE: usize = 100;
/// Most objects of one kind.
const MOST: usize = 1_000;
/// Keeps the ids made here apart from all others that come from the same seed.
const SALT: u64 = 0x636e_6969;

/// Everything of the product.
#[derive(Debug)]
pub(crate) struct CniTable {
    /// Interconnect and its state.
    interconnects: Vec<(Value, Value)>,
    cnis: Vec<Value>,
    slots: Vec<Value>,
    default_asn: u64,
    dice: Dice,
}

impl CniTable {
    pub(crate) fn new(account: &str, seed: u64) -> Self {
        let facility =
            json!({"name": "Example Colocation FRA1", "address": ["1 Example Street", "60313 Frankfurt", "DE"]});
        let slot = |n: u8, occupied: bool| {
            json!({"id": format!("5a8d2f3e-0000-4000-8000-{n:012}"), "site": "fra01", "speed": "10G", "occupied": occupied,
                "facility": facility, "account": if occupied { json!(account) } else { Value::Null }})
        };
        let interconnect = json!({
            "account": account, "name": "fra01-example-1", "type": "v2", "site": "fra01", "slot_id": "5a8d2f3e-0000-4000-8000-000000000001",
            "speed": "10G", "owner": account, "facility": facility, "virtual_port_reservation_id": "5a8d2f3e-0000-4000-8000-000000000001",
        });
        let cni = json!({
            "id": "5a8d2f3e-0000-4000-8000-000000000101", "account": account, "interconnect": "fra01-example-1",
            "cust_ip": "10.214.0.9/31", "p2p_ip": "10.214.0.8/31", "bgp_mode": "dynamic_route_exchange",
            "magic": {"conduit_name": "cni-fra", "description": "", "mtu": 1500},
            "bgp": {"customer_asn": 64_500, "extra_prefixes": [], "md5_key": null},
        });
        Self {
            interconnects: vec![(interconnect, json!({"state": "Healthy"}))],
            cnis: vec![cni],
            slots: vec![slot(1, true), slot(2, false)],
            default_asn: 64_500,
            dice: Dice::new(seed ^ SALT),
        }
    }

    /// The state of an interconnect, as the control API wants it. False when there is none of that name.
    pub(crate) fn set_state(&mut self, name: &str, state: &str, reason: Option<&str>) -> bool {
        let Some((_, status)) = self.interconnects.iter_mut().find(|(i, _)| i["name"] == name) else {
            return false;
        };
        *status = json!({"state": state});
        if let (Some(reason), "Down" | "Unhealthy") = (reason, state) {
            status["reason"] = json!(reason);
        }
        true
    }
}

pub(super) fn handle(request: &Request, path: &[&str], world: &World) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if (reading && !may.magic_read) || (!reading && !may.magic_write) {
        return no_permission();
    }
    let mut state = world.lock();
    let as_observed = world.config.as_observed;
    answer(request, path, &mut state.cni, &world.config.account_id, as_observed).unwrap_or_else(|refused| *refused)
}

fn answer(
    request: &Request,
    path: &[&str],
    table: &mut CniTable,
    account: &str,
    as_observed: bool,
) -> Result<Reply, Box<Reply>> {
    let of_interconnect = |table: &CniTable, name: &str| {
        let found = table.interconnects.iter().position(|(i, _)| i["name"] == name);
        found.ok_or_else(|| missing("interconnect"))
    };
    let of_cni = |table: &CniTable, id: &str| {
        let found = table.cnis.iter().position(|c| c["id"] == id);
        found.ok_or_else(|| missing("CNI"))
    };
    Ok(match (path, request.method.as_str()) {
        (["interconnects"], "GET") => {
            let all = table.interconnects.iter().map(|(i, _)| i.clone()).collect();
            page(request, all, &[("site", "site"), ("type", "type")], as_observed)?
        }
        (["interconnects"], "POST") => {
            let made = interconnect(&fields(request)?, table, account)?;
            table.interconnects.push((made.clone(), json!({"state": "Pending"})));
            bare(&made)
        }
        (["interconnects", name], "GET") => bare(&table.interconnects[of_interconnect(table, name)?].0),
        (["interconnects", name], "DELETE") => {
            let index = of_interconnect(table, name)?;
            if table.cnis.iter().any(|c| c["interconnect"] == *name) {
                return Err(bad("the interconnect has CNIs"));
            }
            let (gone, _) = table.interconnects.remove(index);
            occupy(&mut table.slots, &gone["slot_id"], None);
            nothing()
        }
        (["interconnects", name, "status"], "GET") => bare(&table.interconnects[of_interconnect(table, name)?].1),
        (["interconnects", name, "loa"], "GET") => {
            of_interconnect(table, name)?;
            Reply {
                status: 200,
                content_type: "application/pdf",
                headers: Vec::new(),
                body: b"%PDF-1.4\n%simulated letter of authorisation\n%%EOF\n".to_vec(),
            }
        }
        (["cnis"], "GET") => {
            let shown = table.cnis.iter().map(|c| shown(c, as_observed)).collect();
            page(
                request,
                shown,
                &[("slot", "interconnect"), ("tunnel_id", "id")],
                as_observed,
            )?
        }
        (["cnis"], "POST") => {
            let given = fields(request)?;
            let name = given.get("interconnect").and_then(Value::as_str).unwrap_or_default();
            of_interconnect(table, name)?;
            if table.cnis.len() >= MOST {
                return Err(bad("too many"));
            }
            // Cloudflare chooses the addresses.
            let n = u8::try_from(table.cnis.len()).unwrap_or(u8::MAX) & 0x7f;
            let mut made = json!({"id": table.dice.uuid(), "account": given.get("account"), "interconnect": name,
                "p2p_ip": format!("10.214.1.{}/31", n * 2), "cust_ip": format!("10.214.1.{}/31", n * 2 + 1),
                "magic": given.get("magic"), "bgp_mode": "advertise_only"});
            if let Some(bgp) = given.get("bgp") {
                made["bgp"] = bgp.clone();
            }
            cni(&made, account)?;
            table.cnis.push(made.clone());
            bare(&shown(&made, as_observed))
        }
        (["cnis", id], "GET") => bare(&shown(&table.cnis[of_cni(table, id)?], as_observed)),
        (["cnis", id], "PUT") => {
            let index = of_cni(table, id)?;
            let given = Value::Object(fields(request)?);
            if given["id"] != *id {
                return Err(bad("id"));
            }
            cni(&given, account)?;
            table.cnis[index] = given;
            bare(&shown(&table.cnis[index], as_observed))
        }
        (["cnis", id], "DELETE") => {
            let index = of_cni(table, id)?;
            table.cnis.remove(index);
            nothing()
        }
        (["slots"], "GET") => {
            let filters = [("site", "site"), ("speed", "speed"), ("occupied", "occupied")];
            let all: Vec<Value> = match request.param("address_contains") {
                None => table.slots.clone(),
                Some(part) => {
                    let has = |s: &&Value| s["facility"]["address"].to_string().contains(&part);
                    table.slots.iter().filter(has).cloned().collect()
                }
            };
            page(request, all, &filters, as_observed)?
        }
        (["slots", id], "GET") => {
            let found = table.slots.iter().find(|s| s["id"] == *id);
            bare(found.ok_or_else(|| missing("slot"))?)
        }
        (["settings"], "GET") => bare(&json!({"default_asn": table.default_asn})),
        (["settings"], "PUT") => {
            let given = fields(request)?;
            if let Some(asn) = given.get("default_asn").filter(|v| !v.is_null()) {
                table.default_asn = asn
                    .as_u64()
                    .filter(|n| u32::try_from(*n).is_ok())
                    .ok_or_else(|| bad("default_asn"))?;
            }
            bare(&json!({"default_asn": table.default_asn}))
        }
        (
            ["interconnects" | "cnis" | "slots" | "settings"]
            | ["interconnects" | "cnis" | "slots", _]
            | ["interconnects", _, "status" | "loa"],
            _,
        ) => method_not_allowed(),
        _ => no_route(),
    })
}

fn bare(value: &Value) -> Reply {
    Reply::json(200, value)
}

fn nothing() -> Reply {
    Reply {
        status: 204,
        content_type: "application/json",
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn bad(what: &str) -> Box<Reply> {
    Box::new(failure(400, 1001, &format!("invalid request: {what}")))
}

fn missing(what: &str) -> Box<Reply> {
    Box::new(failure(404, 1000, &format!("{what} not found")))
}

fn fields(request: &Request) -> Result<Map<String, Value>, Box<Reply>> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(bad("the body is not an object")),
    }
}

/// A page of items: `next` is the cursor of the following one, null at the end.
fn page(request: &Request, all: Vec<Value>, filters: &[(&str, &str)], as_observed: bool) -> Result<Reply, Box<Reply>> {
    let number = |name: &str, default: usize| match request.param(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| bad(name)),
    };
    let (from, limit) = (number("cursor", 0)?, number("limit", PAGE)?);
    if !(1..=PAGE).contains(&limit) {
        return Err(bad("limit"));
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fits = |item: &Value| {
        filters
            .iter()
            .all(|(name, field)| request.param(name).is_none_or(|wanted| plain(&item[*field]) == wanted))
    };
    let fitting: Vec<Value> = all.into_iter().filter(fits).collect();
    let items: Vec<&Value> = fitting.iter().skip(from).take(limit).collect();
    let end = from.saturating_add(items.len());
    let next = (end < fitting.len()).then_some(end);
    let key = if as_observed { "cursor" } else { "next" };
    Ok(bare(&json!({"items": items, key: next})))
}

/// Documented are addresses as text with their length; users have seen objects.
fn shown(cni: &Value, as_observed: bool) -> Value {
    let mut shown = cni.clone();
    if as_observed {
        for field in ["cust_ip", "p2p_ip"] {
            if let Some((ip, length)) = cni[field].as_str().and_then(|t| t.split_once('/')) {
                shown[field] = json!({"ip": ip, "cidr": length.parse::<u8>().unwrap_or(31)});
            }
        }
    }
    shown
}

/// A complete virtual cross-connect.
fn cni(given: &Value, account: &str) -> Result<(), Box<Reply>> {
    let known = [
        "id",
        "account",
        "interconnect",
        "cust_ip",
        "p2p_ip",
        "magic",
        "bgp",
        "bgp_mode",
    ];
    if let Some(stranger) = given
        .as_object()
        .and_then(|f| f.keys().find(|k| !known.contains(&k.as_str())))
    {
        return Err(bad(&format!("unknown field {stranger}")));
    }
    if given["account"] != account {
        return Err(bad("account"));
    }
    let network = |v: &Value| v.as_str().is_some_and(|t| t.parse::<Ipv4Net>().is_ok());
    if !network(&given["cust_ip"]) || !network(&given["p2p_ip"]) {
        return Err(bad("cust_ip and p2p_ip"));
    }
    let magic = &given["magic"];
    let whole = magic["conduit_name"].is_string() && magic["description"].is_string();
    if !whole || magic["mtu"].as_u64().is_none_or(|n| !(576..=9000).contains(&n)) {
        return Err(bad("magic"));
    }
    if !given["interconnect"].is_string() {
        return Err(bad("interconnect"));
    }
    if let Some(bgp) = given.get("bgp").filter(|v| !v.is_null())
        && (!bgp["customer_asn"].is_u64() || !bgp["extra_prefixes"].is_array())
    {
        return Err(bad("bgp"));
    }
    match given.get("bgp_mode").map(Value::as_str) {
        None | Some(Some("dynamic_route_exchange" | "advertise_only")) => Ok(()),
        Some(_) => Err(bad("bgp_mode")),
    }
}

/// A new interconnect: physical in a free slot, or a partner's.
fn interconnect(given: &Map<String, Value>, table: &mut CniTable, account: &str) -> Result<Value, Box<Reply>> {
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    if text("account") != Some(account) || text("type").is_none() {
        return Err(bad("account and type"));
    }
    if table.interconnects.len() >= MOST {
        return Err(bad("too many"));
    }
    let id = table.dice.uuid();
    if let (Some(bandwidth), Some(_)) = (text("bandwidth"), text("pairing_key")) {
        return Ok(
            json!({"account": account, "name": format!("gcp-{}", table.interconnects.len() + 1), "type": text("type"),
            "region": "europe-west3", "speed": bandwidth, "owner": account, "virtual_port_reservation_id": id}),
        );
    }
    let slot = table.slots.iter().find(|s| s["id"].as_str() == text("slot_id"));
    let slot = slot.cloned().ok_or_else(|| missing("slot"))?;
    if slot["occupied"] == true {
        return Err(bad("the slot is occupied"));
    }
    occupy(&mut table.slots, &slot["id"], Some(account));
    let name = format!("fra01-example-{}", table.interconnects.len() + 1);
    Ok(
        json!({"account": account, "name": name, "type": text("type"), "site": slot["site"], "slot_id": slot["id"],
        "speed": text("speed").map_or_else(|| slot["speed"].clone(), |s| json!(s)), "owner": account,
        "facility": slot["facility"], "virtual_port_reservation_id": id}),
    )
}

fn occupy(slots: &mut [Value], id: &Value, account: Option<&str>) {
    if let Some(slot) = slots.iter_mut().find(|s| s["id"] == *id) {
        slot["occupied"] = json!(account.is_some());
        slot["account"] = json!(account);
    }
}
