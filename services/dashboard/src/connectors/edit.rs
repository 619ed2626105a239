//! A change to a tunnel or a network interconnect: what the person wrote against what was read, as a difference and as the
//! object to be sent.
//!
//! Pure. Must hold: every field that was read and not changed goes back as it came; only what differs is a change; the
//! probe's target follows the customer's end where it was that end, and says so.

use std::net::IpAddr;

use cf_api::rest::connectors::Link;
use cf_api::rest::tunnels::{HealthCheck, Tunnel, TunnelKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::upstream::change::fingerprint;

/// The word of a network interconnect's link among the kinds.
pub(crate) const LINK: &str = "link";

/// Rates of probes. Source: Cloudflare API.
pub(crate) const RATES: [&str; 3] = ["low", "mid", "high"];

/// Kinds of probes.
pub(crate) const KINDS: [&str; 2] = ["reply", "request"];

/// Directions of probes.
pub(crate) const DIRECTIONS: [&str; 2] = ["unidirectional", "bidirectional"];

/// Smallest MTU. Source: Cloudflare API.
const SMALLEST_MTU: u64 = 576;

/// Largest: beyond jumbo frames.
const LARGEST_MTU: u64 = 9_216;

/// Longest description.
const LONGEST: usize = 500;

/// Keys whose values are secrets.
const SECRETS: [&str; 3] = ["md5_key", "psk", "secret"];

/// What the person wrote. What is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) description: Option<String>,
    pub(crate) customer_endpoint: Option<String>,
    pub(crate) mtu: Option<Value>,
    pub(crate) probe_enabled: Option<Value>,
    pub(crate) probe_rate: Option<String>,
    pub(crate) probe_kind: Option<String>,
    pub(crate) probe_direction: Option<String>,
    /// Empty lets Cloudflare take the customer's end.
    pub(crate) probe_target: Option<String>,
    /// Names the state that the person saw.
    #[serde(default)]
    pub(crate) seen: String,
    pub(crate) confirm: Option<String>,
    pub(crate) reason: Option<String>,
    /// review, edit or send; of forms only.
    pub(crate) act: Option<String>,
}

/// Something that can be edited, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Editable {
    pub(crate) word: &'static str,
    pub(crate) kind: Option<TunnelKind>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) cloudflare_endpoint: Option<String>,
    /// Whether there is a customer's end that can be changed.
    pub(crate) has_endpoint: bool,
    pub(crate) customer_endpoint: String,
    /// `None` where the API shows none.
    pub(crate) mtu: Option<u64>,
    pub(crate) has_probe: bool,
    pub(crate) probe: HealthCheck,
    /// Names this state.
    pub(crate) seen: String,
    body: Map<String, Value>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) what: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) note: String,
}

/// A change that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) differences: Vec<Difference>,
    pub(crate) body: Map<String, Value>,
    /// The customer's end is another one: traffic stops until the router agrees.
    pub(crate) moves: bool,
}

/// What cannot be meant, by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) text: String,
}

/// A word to choose: what it is, the API's key, what is allowed, what is wanted, what is there.
type Choice<'a> = (
    &'static str,
    &'a str,
    &'a [&'a str],
    &'a Option<String>,
    &'a Option<String>,
);

fn wrong(field: &'static str, text: impl Into<String>) -> Wrong {
    Wrong {
        field,
        text: text.into(),
    }
}

impl Editable {
    pub(crate) fn of_tunnel(tunnel: &Tunnel) -> Self {
        let mut body = tunnel.writable();
        let usual = usual_target(tunnel);
        if let Some(Value::Object(check)) = body.get_mut("health_check") {
            // Without a header the API shows the address that is probed, saved or not. What Cloudflare takes by itself is
            // not sent back, or it would be saved and stay behind when the endpoint moves.
            let saved = tunnel.health_check.as_ref().and_then(|check| check.target.clone());
            match saved.filter(|saved| Some(saved) != usual.as_ref()) {
                Some(saved) => check.insert("target".to_owned(), json!(saved)),
                None => check.remove("target"),
            };
        }
        Self {
            word: tunnel.kind.as_str(),
            kind: Some(tunnel.kind),
            name: tunnel.name.clone(),
            description: tunnel.description.clone(),
            cloudflare_endpoint: tunnel.cloudflare_endpoint.clone(),
            has_endpoint: tunnel.kind.customer_field().is_some(),
            customer_endpoint: tunnel.customer_endpoint.clone().unwrap_or_default(),
            mtu: tunnel.mtu,
            has_probe: true,
            probe: tunnel.health_check.clone().unwrap_or_default(),
            seen: fingerprint(&Value::Object(body.clone()).to_string()),
            body,
        }
    }

    pub(crate) fn of_link(link: &Link) -> Self {
        let body = link.raw.clone();
        Self {
            word: LINK,
            kind: None,
            name: link.name.clone().unwrap_or_else(|| link.id.clone()),
            description: link.description.clone(),
            cloudflare_endpoint: link.cloudflare_ip.clone(),
            has_endpoint: false,
            customer_endpoint: link.customer_ip.clone().unwrap_or_default(),
            mtu: link.mtu,
            has_probe: false,
            probe: HealthCheck::default(),
            seen: fingerprint(&Value::Object(body.clone()).to_string()),
            body,
        }
    }

    /// For the record, without secrets.
    pub(crate) fn state(&self) -> String {
        let mut shown = Value::Object(self.body.clone());
        mask(&mut shown);
        shown.to_string()
    }

    /// The change that the person wants.
    ///
    /// # Errors
    /// What cannot be meant, and where; that nothing differs.
    pub(crate) fn edit(&self, wanted: &Wanted) -> Result<Edit, Vec<Wrong>> {
        let mut edit = Edit {
            differences: Vec::new(),
            body: self.body.clone(),
            moves: false,
        };
        let problems: Vec<Wrong> = [
            self.describe(wanted, &mut edit),
            self.move_endpoint(wanted, &mut edit),
            self.resize(wanted, &mut edit),
            self.probe(wanted, &mut edit),
        ]
        .into_iter()
        .filter_map(Result::err)
        .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        if edit.differences.is_empty() {
            return Err(vec![wrong("", "Nothing differs from what is there.")]);
        }
        Ok(edit)
    }

    /// Sets description or MTU where Cloudflare keeps them.
    fn set(&self, body: &mut Map<String, Value>, key: &str, value: Value) {
        if self.word != LINK {
            body.insert(key.to_owned(), value);
            return;
        }
        let mut magic = match body.remove("magic") {
            Some(Value::Object(magic)) => magic,
            _ => Map::new(),
        };
        magic.insert(key.to_owned(), value);
        body.insert("magic".to_owned(), Value::Object(magic));
    }

    fn describe(&self, wanted: &Wanted, edit: &mut Edit) -> Result<(), Wrong> {
        let Some(text) = &wanted.description else { return Ok(()) };
        let text = text.trim();
        if text == self.description {
            return Ok(());
        }
        if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
            return Err(wrong(
                "description",
                format!("At most {LONGEST} characters on one line."),
            ));
        }
        self.set(&mut edit.body, "description", json!(text));
        edit.differences
            .push(difference("description", &self.description, text, ""));
        Ok(())
    }

    fn resize(&self, wanted: &Wanted, edit: &mut Edit) -> Result<(), Wrong> {
        let Some(text) = wanted.mtu.as_ref().and_then(plain) else {
            return Ok(());
        };
        let before = self.mtu.map(|mtu| mtu.to_string()).unwrap_or_default();
        if text == before {
            return Ok(());
        }
        if self.mtu.is_none() {
            let text = "Cloudflare shows no MTU for this kind of tunnel and would ignore one.";
            return Err(wrong("mtu", text));
        }
        let mtu = text
            .parse()
            .ok()
            .filter(|mtu| (SMALLEST_MTU..=LARGEST_MTU).contains(mtu));
        let mtu: u64 = mtu.ok_or_else(|| {
            wrong(
                "mtu",
                format!("A number of bytes from {SMALLEST_MTU} to {LARGEST_MTU}."),
            )
        })?;
        self.set(&mut edit.body, "mtu", json!(mtu));
        edit.differences.push(difference("MTU", &before, &text, ""));
        Ok(())
    }

    fn move_endpoint(&self, wanted: &Wanted, edit: &mut Edit) -> Result<(), Wrong> {
        let Some(text) = wanted.customer_endpoint.as_deref().map(str::trim) else {
            return Ok(());
        };
        if text == self.customer_endpoint {
            return Ok(());
        }
        const FIELD: &str = "customer_endpoint";
        let Some(name) = self.kind.and_then(TunnelKind::customer_field) else {
            return Err(wrong(FIELD, "This kind has no endpoint that can be changed."));
        };
        let to: IpAddr = text.parse().map_err(|_| wrong(FIELD, "An IPv4 or IPv6 address."))?;
        if to.is_unspecified() || to.is_loopback() || to.is_multicast() {
            return Err(wrong(FIELD, "This address cannot be the end of a tunnel."));
        }
        let other: Option<IpAddr> = self.cloudflare_endpoint.as_deref().and_then(|text| text.parse().ok());
        if other.is_some_and(|other| other.is_ipv4() != to.is_ipv4()) {
            return Err(wrong(
                FIELD,
                "Both ends must be of the same family; Cloudflare's end is the other.",
            ));
        }
        edit.body.insert(name.to_owned(), json!(to.to_string()));
        edit.moves = true;
        let note = "traffic through this tunnel stops until your router agrees";
        edit.differences.push(difference(
            "customer endpoint",
            &self.customer_endpoint,
            &to.to_string(),
            note,
        ));
        Ok(())
    }

    fn probe(&self, wanted: &Wanted, edit: &mut Edit) -> Result<(), Wrong> {
        if !self.has_probe {
            return Ok(());
        }
        let mut check = match edit.body.get("health_check") {
            Some(Value::Object(check)) => check.clone(),
            _ => Map::new(),
        };
        let first = edit.differences.len();
        if let Some(on) = flag(wanted.probe_enabled.as_ref())
            && self.probe.enabled != Some(on)
        {
            check.insert("enabled".to_owned(), json!(on));
            let before = self.probe.enabled.map_or("not said", on_off);
            let note = if on { "" } else { "nothing tells that it fails any more" };
            edit.differences.push(difference("probes", before, on_off(on), note));
        }
        let choices: [Choice<'_>; 3] = [
            ("probe rate", "rate", &RATES, &wanted.probe_rate, &self.probe.rate),
            ("probe kind", "type", &KINDS, &wanted.probe_kind, &self.probe.kind),
            (
                "probe direction",
                "direction",
                &DIRECTIONS,
                &wanted.probe_direction,
                &self.probe.direction,
            ),
        ];
        for (what, key, allowed, chosen, before) in choices {
            let Some(chosen) = chosen.as_deref().filter(|chosen| !chosen.is_empty()) else {
                continue;
            };
            if before.as_deref() == Some(chosen) {
                continue;
            }
            if !allowed.contains(&chosen) {
                return Err(wrong(what, format!("One of {}.", allowed.join(", "))));
            }
            check.insert(key.to_owned(), json!(chosen));
            edit.differences
                .push(difference(what, before.as_deref().unwrap_or("not said"), chosen, ""));
        }
        self.aim(wanted, edit, &mut check)?;
        if edit.differences.len() > first {
            edit.body.insert("health_check".to_owned(), Value::Object(check));
        }
        Ok(())
    }

    /// The address that is probed.
    fn aim(&self, wanted: &Wanted, edit: &mut Edit, check: &mut Map<String, Value>) -> Result<(), Wrong> {
        let before = self.probe.target.clone().unwrap_or_default();
        let written = wanted.probe_target.as_deref().map(str::trim);
        let chosen = written.filter(|text| *text != before);
        let (after, note) = match chosen {
            Some("") => (String::new(), "Cloudflare takes the customer's end"),
            Some(text) => {
                let address: IpAddr = text
                    .parse()
                    .map_err(|_| wrong("probe target", "An IPv4 or IPv6 address, or nothing."))?;
                (address.to_string(), "")
            }
            None if edit.moves && !before.is_empty() && before == self.customer_endpoint => {
                let moved = edit
                    .body
                    .get(self.kind.and_then(TunnelKind::customer_field).unwrap_or_default());
                let moved = moved.and_then(Value::as_str).unwrap_or_default().to_owned();
                (moved, "follows the customer endpoint, as it did before")
            }
            None => return Ok(()),
        };
        if after.is_empty() {
            check.remove("target");
        } else {
            check.insert("target".to_owned(), json!(after));
        }
        edit.differences.push(difference("probe target", &before, &after, note));
        Ok(())
    }

    /// Which of the wanted differences are not there.
    pub(crate) fn missing(&self, edit: &Edit) -> Vec<&'static str> {
        let now = |what: &str| match what {
            "description" => self.description.clone(),
            "customer endpoint" => self.customer_endpoint.clone(),
            "MTU" => self.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            "probes" => self.probe.enabled.map_or("not said", on_off).to_owned(),
            "probe rate" => self.probe.rate.clone().unwrap_or_default(),
            "probe kind" => self.probe.kind.clone().unwrap_or_default(),
            "probe direction" => self.probe.direction.clone().unwrap_or_default(),
            _ => self.probe.target.clone().unwrap_or_default(),
        };
        let lost = edit.differences.iter().filter(|difference| {
            // Without a target of its own Cloudflare may name the customer's end.
            let free = difference.what == "probe target" && difference.after.is_empty();
            !free && now(difference.what) != difference.after
        });
        lost.map(|difference| difference.what).collect()
    }
}

/// The address that Cloudflare probes when none is saved: the customer's end, for checks in both directions the one inside
/// the tunnel. Source: Cloudflare API, `health_check.target`.
fn usual_target(tunnel: &Tunnel) -> Option<String> {
    let both = tunnel
        .health_check
        .as_ref()
        .and_then(|check| check.direction.as_deref())
        == Some("bidirectional");
    if !both && tunnel.customer_endpoint.is_some() {
        return tunnel.customer_endpoint.clone();
    }
    let (own, length) = tunnel.interface_address.as_deref()?.split_once('/')?;
    let flipped = match length {
        "31" => 1,
        "30" => 3,
        _ => return None,
    };
    let own: std::net::Ipv4Addr = own.parse().ok()?;
    Some(std::net::Ipv4Addr::from(u32::from(own) ^ flipped).to_string())
}

fn difference(what: &'static str, before: &str, after: &str, note: &str) -> Difference {
    Difference {
        what,
        before: before.to_owned(),
        after: after.to_owned(),
        note: note.to_owned(),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(on) => Some(*on),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if SECRETS.contains(&key.as_str()) && !inner.is_null() {
                    *inner = json!("***");
                } else {
                    mask(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
