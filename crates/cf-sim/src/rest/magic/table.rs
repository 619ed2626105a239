//! What is connected: two GRE tunnels, one IPsec tunnel and one interconnect of documentation addresses, and a route for
//! every onboarded prefix over each GRE tunnel.

use serde_json::{Value, json};

use super::health;
use super::kind::Kind;
use super::{check, not_found};
use crate::config::PrefixConfig;
use crate::ids::Dice;
use crate::wire::Reply;

/// Keeps the ids made here apart from all others that come from the same seed.
const SALT: u64 = 0x6d61_6769;
/// Since when everything exists.
const LONG_AGO: &str = "2024-01-01T05:20:00.12345Z";
/// Most objects of one kind.
const MOST: usize = 1_000;

/// All tunnels, interconnects and routes, health targets as saved.
#[derive(Debug, Clone)]
pub(crate) struct MagicTable {
    gre: Vec<Value>,
    ipsec: Vec<Value>,
    interconnects: Vec<Value>,
    routes: Vec<Value>,
    dice: Dice,
}

impl MagicTable {
    pub(crate) fn new(prefixes: &[PrefixConfig], seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ SALT);
        let with = |kind: Kind, fields: Value| {
            let mut whole = kind.defaults();
            if let (Some(whole), Value::Object(fields)) = (whole.as_object_mut(), fields) {
                whole.extend(fields);
            }
            whole["created_on"] = json!(LONG_AGO);
            whole["modified_on"] = json!(LONG_AGO);
            whole
        };
        let session = json!({"state": "BGP_UP", "tcp_established": true, "updated_at": LONG_AGO, "bgp_state": "Established",
            "cf_speaker_ip": "10.213.0.12", "cf_speaker_port": 179, "customer_speaker_ip": "10.213.0.13", "customer_speaker_port": 32_768});
        let tunnel = |n: u8, name: &str| {
            with(
                Kind::Gre,
                json!({
                    "id": format!("c{n:031}"), "name": name, "cloudflare_gre_endpoint": format!("198.51.100.{}", 200 + n),
                    "customer_gre_endpoint": format!("192.0.2.{}", 250 + n), "interface_address": format!("10.213.0.{}/31", 8 + 2 * n),
                }),
            )
        };
        let mut second = tunnel(2, "edge-two");
        second["bgp"] = json!({"customer_asn": 64_500, "extra_prefixes": [], "md5_key": ""});
        second["bgp_status"] = session;
        let gre = vec![tunnel(1, "edge-one"), second];
        let ipsec = vec![with(
            Kind::Ipsec,
            json!({
                "id": format!("d{:031}", 1), "name": "edge-ipsec", "cloudflare_endpoint": "198.51.100.210", "customer_endpoint": "192.0.2.249",
                "interface_address": "10.213.0.20/31", "replay_protection": true, "psk_metadata": {"last_generated_on": LONG_AGO},
            }),
        )];
        let interconnects = vec![with(
            Kind::Interconnect,
            json!({
                "id": format!("e{:031}", 1), "name": "cni-fra", "colo_name": "fra01", "interface_address": "10.214.0.8/31",
                "gre": {"cloudflare_endpoint": "198.51.100.220"}, "version": "2",
                "virtual_port_reservation_id": "5a8d2f3e-0000-4000-8000-000000000001",
                "bgp": {"customer_asn": 64_500, "as_no": 13_335, "extra_prefixes": []},
            }),
        )];
        let mut routes = Vec::new();
        for prefix in prefixes {
            // Nexthops are of IPv4; a route for IPv6 would need an inner IPv6 network.
            for (tunnel, priority) in gre.iter().zip([100, 200]) {
                let nexthop = health::customer_end(tunnel["interface_address"].as_str().unwrap_or_default());
                routes.push(with(
                    Kind::Route,
                    json!({"id": dice.hex32(), "prefix": prefix.cidr.trunc().to_string(), "nexthop": nexthop,
                        "priority": priority, "weight": 1}),
                ));
            }
        }
        Self {
            gre,
            ipsec,
            interconnects,
            routes,
            dice,
        }
    }

    pub(super) fn of(&self, kind: Kind) -> &[Value] {
        match kind {
            Kind::Gre => &self.gre,
            Kind::Ipsec => &self.ipsec,
            Kind::Interconnect => &self.interconnects,
            Kind::Route => &self.routes,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Vec<Value> {
        match kind {
            Kind::Gre => &mut self.gre,
            Kind::Ipsec => &mut self.ipsec,
            Kind::Interconnect => &mut self.interconnects,
            Kind::Route => &mut self.routes,
        }
    }

    fn index(&self, kind: Kind, id: &str) -> Result<usize, Box<Reply>> {
        let found = self.of(kind).iter().position(|v| v["id"] == id);
        found.ok_or_else(|| not_found(kind))
    }

    pub(super) fn get(&self, kind: Kind, id: &str) -> Result<&Value, Box<Reply>> {
        Ok(&self.of(kind)[self.index(kind, id)?])
    }

    /// Names of tunnels are unique; routes are by prefix and nexthop.
    pub(super) fn check_free(&self, kind: Kind, whole: &Value, own: Option<&str>) -> Result<(), Box<Reply>> {
        let fields: &[&str] = if kind == Kind::Route {
            &["prefix", "nexthop"]
        } else {
            &["name"]
        };
        let others = self.of(kind).iter().filter(|v| own.is_none_or(|id| v["id"] != id));
        if others.clone().count() >= MOST {
            return Err(check::bad("too many"));
        }
        let mut others = others;
        match others.find(|v| fields.iter().all(|f| v[*f] == whole[*f])) {
            Some(_) => Err(check::bad(&format!("{} is taken", fields.join(" and ")))),
            None => Ok(()),
        }
    }

    pub(super) fn add(&mut self, kind: Kind, mut whole: Value, now: &str) -> Value {
        whole["id"] = json!(self.dice.hex32());
        whole["created_on"] = json!(now);
        whole["modified_on"] = json!(now);
        settle(kind, &mut whole, now);
        self.of_mut(kind).push(whole.clone());
        whole
    }

    pub(super) fn replace(&mut self, kind: Kind, id: &str, mut whole: Value, now: &str) -> Result<Value, Box<Reply>> {
        let index = self.index(kind, id)?;
        whole["modified_on"] = json!(now);
        settle(kind, &mut whole, now);
        self.of_mut(kind)[index] = whole.clone();
        Ok(whole)
    }

    pub(super) fn remove(&mut self, kind: Kind, id: &str) -> Result<Value, Box<Reply>> {
        let index = self.index(kind, id)?;
        Ok(self.of_mut(kind).remove(index))
    }

    /// Removes those with these ids, or all; answers what was removed.
    pub(super) fn remove_routes(&mut self, ids: Option<&[String]>) -> Vec<Value> {
        let wanted = |route: &Value| ids.is_none_or(|ids| ids.iter().any(|id| route["id"] == *id));
        let (gone, kept) = std::mem::take(&mut self.routes).into_iter().partition(wanted);
        self.routes = kept;
        gone
    }

    /// Replaces the key of an IPsec tunnel; this answer is the only place where it can be seen.
    pub(super) fn new_psk(&mut self, id: &str, now: &str) -> Result<Value, Box<Reply>> {
        let index = self.index(Kind::Ipsec, id)?;
        let psk = self.dice.hex32();
        let metadata = json!({"last_generated_on": now});
        let tunnel = &mut self.ipsec[index];
        tunnel["psk"] = json!(psk);
        tunnel["psk_metadata"] = metadata.clone();
        tunnel["modified_on"] = json!(now);
        Ok(json!({"ipsec_tunnel_id": id, "psk": psk, "psk_metadata": metadata}))
    }

    /// The BGP session of a GRE tunnel, by the tunnel's name, as the control API wants it. False when there is none.
    pub(crate) fn set_bgp_state(&mut self, tunnel: &str, state: &str, now: &str) -> bool {
        let Some(found) = self
            .gre
            .iter_mut()
            .find(|t| t["name"] == tunnel && t.get("bgp").is_some())
        else {
            return false;
        };
        let up = state == "BGP_UP";
        found["bgp_status"]["state"] = json!(state);
        found["bgp_status"]["tcp_established"] = json!(up);
        found["bgp_status"]["bgp_state"] = json!(if up { "Established" } else { "Active" });
        found["bgp_status"]["updated_at"] = json!(now);
        true
    }
}

/// What follows from the fields: a session for BGP, a date for a key.
fn settle(kind: Kind, whole: &mut Value, now: &str) {
    if whole.get("bgp").is_none()
        && let Some(fields) = whole.as_object_mut()
    {
        fields.remove("bgp_status");
    }
    if kind == Kind::Gre && whole.get("bgp").is_some() && whole.get("bgp_status").is_none() {
        whole["bgp_status"] = json!({"state": "BGP_ESTABLISHING", "tcp_established": false, "updated_at": now});
    }
    if kind == Kind::Ipsec && whole.get("psk").is_some() && whole.get("psk_metadata").is_none() {
        whole["psk_metadata"] = json!({"last_generated_on": now});
    }
}
