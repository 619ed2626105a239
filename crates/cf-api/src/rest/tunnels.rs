//! Tunnels of Magic Transit and its interconnects: reading them, and changing one without losing what we do not know.
//!
//! Source: Cloudflare API, `magic/gre_tunnels`, `magic/ipsec_tunnels`, `magic/cf_interconnects`. An update replaces the
//! whole object, so what was read is kept as it came ([`Tunnel::raw`]) and sent back with the changed fields. Values of a
//! tunnel never appear in a `Debug` text: its BGP settings may hold a key.

use std::fmt;

use domain::prefix::Prefix;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
use crate::error::{CfError, ErrorClass};

/// Which list a tunnel is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// GRE.
    Gre,
    /// IPsec.
    Ipsec,
    /// A network interconnect as Magic Transit sees it.
    Interconnect,
}

impl TunnelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gre, Self::Ipsec, Self::Interconnect];

    /// `gre`, `ipsec`, `interconnect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gre => "gre",
            Self::Ipsec => "ipsec",
            Self::Interconnect => "interconnect",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The API's name of the customer's end, where the kind has one that can be changed.
    pub fn customer_field(self) -> Option<&'static str> {
        match self {
            Self::Gre => Some("customer_gre_endpoint"),
            Self::Ipsec => Some("customer_endpoint"),
            Self::Interconnect => None,
        }
    }

    fn list(self) -> &'static str {
        match self {
            Self::Gre => "gre_tunnels",
            Self::Ipsec => "ipsec_tunnels",
            Self::Interconnect => "cf_interconnects",
        }
    }

    /// Keys of a list, of one, and of one that was changed.
    fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Gre => ["gre_tunnels", "gre_tunnel", "modified_gre_tunnel"],
            Self::Ipsec => ["ipsec_tunnels", "ipsec_tunnel", "modified_ipsec_tunnel"],
            Self::Interconnect => ["interconnects", "interconnect", "modified_interconnect"],
        }
    }
}

/// How Cloudflare probes a tunnel. Absent is not the same as off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// Whether it probes.
    pub enabled: Option<bool>,
    /// `low`, `mid` or `high`.
    pub rate: Option<String>,
    /// `reply` or `request`.
    pub kind: Option<String>,
    /// `unidirectional` or `bidirectional`.
    pub direction: Option<String>,
    /// The address that was set; `None` lets Cloudflare take the customer's end.
    pub target: Option<String>,
    /// The address that is probed, where the API tells it apart.
    pub effective: Option<String>,
}

/// The BGP session over a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpStatus {
    /// `BGP_DOWN`, `BGP_UP`, `BGP_ESTABLISHING`.
    pub state: Option<String>,
    /// Whether TCP is up.
    pub tcp_established: Option<bool>,
    /// Cloudflare's text of when that was seen.
    pub updated_at: Option<String>,
}

/// A tunnel. Everything but id and name may be missing.
#[derive(Clone, PartialEq)]
pub struct Tunnel {
    /// Which list it is in.
    pub kind: TunnelKind,
    /// Cloudflare's id.
    pub id: String,
    /// Unique name; analytics name tunnels by it.
    pub name: String,
    /// Free text; empty when there is none.
    pub description: String,
    /// Cloudflare's end.
    pub cloudflare_endpoint: Option<String>,
    /// The customer's end.
    pub customer_endpoint: Option<String>,
    /// Inner network.
    pub interface_address: Option<String>,
    /// Inner network, IPv6.
    pub interface_address6: Option<String>,
    /// Bytes.
    pub mtu: Option<u64>,
    /// Hops, GRE only.
    pub ttl: Option<u64>,
    /// How it is probed.
    pub health_check: Option<HealthCheck>,
    /// Whether BGP is configured on it.
    pub has_bgp: bool,
    /// Its BGP session.
    pub bgp_status: Option<BgpStatus>,
    /// Everything as it came.
    pub raw: Map<String, Value>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where traffic to a network is sent after scrubbing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Cloudflare's id.
    pub id: Option<String>,
    /// Network.
    pub prefix: Prefix,
    /// Our end of a tunnel.
    pub nexthop: Option<String>,
    /// Smaller is preferred.
    pub priority: Option<u64>,
    /// Whether it holds only for some of Cloudflare's places.
    pub is_scoped: bool,
}

impl Route {
    fn read(raw: &Value) -> Option<Self> {
        let scope = raw.get("scope");
        let names = |name: &str| {
            let list = scope.and_then(|scope| scope.get(name)).and_then(Value::as_array);
            list.is_some_and(|list| !list.is_empty())
        };
        Some(Self {
            id: text_of(raw.get("id")),
            prefix: text_of(raw.get("prefix"))?.parse().ok()?,
            nexthop: text_of(raw.get("nexthop")),
            priority: raw.get("priority").and_then(number_of),
            is_scoped: names("colo_names") || names("colo_regions"),
        })
    }
}

/// Fields that the API tells and does not take.
const TOLD_ONLY: [&str; 9] = [
    "id",
    "created_on",
    "modified_on",
    "bgp_status",
    "psk_metadata",
    "allow_null_cipher",
    "colo_name",
    "version",
    "virtual_port_reservation_id",
];

impl Tunnel {
    /// The tunnel of an object of the API; `None` without id or name.
    pub fn read(kind: TunnelKind, raw: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| text_of(raw.get(name));
        let cloudflare = match kind {
            TunnelKind::Gre => text("cloudflare_gre_endpoint"),
            TunnelKind::Ipsec => text("cloudflare_endpoint"),
            TunnelKind::Interconnect => raw.get("gre").and_then(|gre| text_of(gre.get("cloudflare_endpoint"))),
        };
        Some(Self {
            kind,
            id: text("id")?,
            name: text("name")?,
            description: text("description").unwrap_or_default(),
            cloudflare_endpoint: cloudflare,
            customer_endpoint: kind.customer_field().and_then(text),
            interface_address: text("interface_address"),
            interface_address6: text("interface_address6"),
            mtu: raw.get("mtu").and_then(number_of),
            ttl: raw.get("ttl").and_then(number_of),
            health_check: raw.get("health_check").and_then(Value::as_object).map(health_check),
            has_bgp: raw.get("bgp").is_some_and(Value::is_object),
            bgp_status: raw
                .get("bgp_status")
                .and_then(Value::as_object)
                .map(|status| BgpStatus {
                    state: text_of(status.get("state")),
                    tcp_established: status.get("tcp_established").and_then(Value::as_bool),
                    updated_at: text_of(status.get("updated_at")),
                }),
            raw,
        })
    }

    /// The object that an update sends when nothing is to change: all that was read, without what is only told.
    pub fn writable(&self) -> Map<String, Value> {
        let mut body = self.raw.clone();
        for name in TOLD_ONLY {
            body.remove(name);
        }
        body
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn number_of(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn health_check(check: &Map<String, Value>) -> HealthCheck {
    let target = check.get("target");
    // A text, or an object where the caller asked for the newer form.
    let (saved, effective) = match target {
        Some(Value::Object(both)) => (text_of(both.get("saved")), text_of(both.get("effective"))),
        other => (text_of(other), None),
    };
    HealthCheck {
        enabled: check.get("enabled").and_then(Value::as_bool),
        rate: text_of(check.get("rate")),
        kind: text_of(check.get("type")),
        direction: text_of(check.get("direction")),
        target: saved,
        effective,
    }
}

impl CloudflareClient {
    /// All tunnels of a kind.
    ///
    /// # Errors
    /// [`CfError`]; one without id or name spoils the answer.
    pub async fn list_tunnels(&self, kind: TunnelKind) -> Result<Vec<Tunnel>, CfError> {
        let path = self.account_path(&format!("/magic/{}", kind.list()));
        let incoming = self.send(self.read("list tunnels", CallKind::Rest, path)).await?;
        let (mut result, _): (Value, _) = self.result(&incoming)?;
        let items = match result.get_mut(kind.keys()[0]).map(Value::take) {
            Some(Value::Array(items)) => items,
            Some(Value::Null) | None if result.is_object() => {
                return Err(incoming.error(ErrorClass::Malformed, "the answer has no list of tunnels"));
            }
            _ => return Err(incoming.error(ErrorClass::Malformed, "the list of tunnels is no list")),
        };
        items.into_iter().map(|item| one(&incoming, kind, item)).collect()
    }

    /// All static routes.
    ///
    /// # Errors
    /// [`CfError`]; one without a network spoils the answer.
    pub async fn list_routes(&self) -> Result<Vec<Route>, CfError> {
        let incoming = self
            .send(self.read("list routes", CallKind::Rest, self.account_path("/magic/routes")))
            .await?;
        let (result, _): (Value, _) = self.result(&incoming)?;
        let items = result.get("routes").and_then(Value::as_array);
        let items = items.ok_or_else(|| incoming.error(ErrorClass::Malformed, "the answer has no list of routes"))?;
        let unreadable = || incoming.error(ErrorClass::Malformed, "a route has no readable network");
        items
            .iter()
            .map(|item| Route::read(item).ok_or_else(unreadable))
            .collect()
    }

    /// One tunnel as it is now.
    ///
    /// # Errors
    /// [`CfError`]; an answer about another tunnel is [`ErrorClass::Malformed`].
    pub async fn get_tunnel(&self, kind: TunnelKind, id: &str) -> Result<Tunnel, CfError> {
        let path = self.tunnel_path("read tunnel", kind, id)?;
        let incoming = self.send(self.read("read tunnel", CallKind::Rest, path)).await?;
        let (mut result, _): (Value, _) = self.result(&incoming)?;
        let inner = result.get_mut(kind.keys()[1]).map(Value::take).unwrap_or_default();
        let tunnel = one(&incoming, kind, inner)?;
        if tunnel.id != id {
            return Err(incoming.error(ErrorClass::Malformed, "the answer is about another tunnel"));
        }
        Ok(tunnel)
    }

    /// Replaces a tunnel by `body`, which is [`Tunnel::writable`] with changes. Sent at most once. A success means that
    /// Cloudflare took the request: read the tunnel again to see what became of it.
    ///
    /// # Errors
    /// [`CfError`]; see [`CfError::outcome_unknown`].
    pub async fn put_tunnel(&self, kind: TunnelKind, id: &str, body: &Map<String, Value>) -> Result<(), CfError> {
        let call = "change tunnel";
        let path = self.tunnel_path(call, kind, id)?;
        let body = Value::Object(body.clone());
        let incoming = self.send(self.change(call, Method::PUT, path, Some(&body))).await?;
        let (result, _): (Value, _) = self.result(&incoming)?;
        if !result.is_object() {
            return Err(incoming.error(ErrorClass::Malformed, "the answer has no result"));
        }
        Ok(())
    }

    fn tunnel_path(&self, call: &'static str, kind: TunnelKind, id: &str) -> Result<String, CfError> {
        Ok(self.account_path(&format!("/magic/{}/{}", kind.list(), segment(call, id)?)))
    }
}

/// An id as one segment of a path, or the refusal of what would lead elsewhere.
pub(super) fn segment<'a>(call: &'static str, id: &'a str) -> Result<&'a str, CfError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=128).contains(&id.len()) && id.bytes().all(plain) && id.bytes().any(|byte| byte != b'.') {
        return Ok(id);
    }
    Err(CfError::new(
        ErrorClass::Refused,
        call,
        "this is not an id of Cloudflare",
    ))
}

fn one(incoming: &Incoming, kind: TunnelKind, item: Value) -> Result<Tunnel, CfError> {
    let read = match item {
        Value::Object(raw) => Tunnel::read(kind, raw),
        _ => None,
    };
    read.ok_or_else(|| incoming.error(ErrorClass::Malformed, "a tunnel has no id or no name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tunnel(extra: Value) -> Tunnel {
        let mut raw = json!({"id": "c1", "name": "edge", "customer_gre_endpoint": "192.0.2.1"});
        if let (Some(raw), Value::Object(extra)) = (raw.as_object_mut(), extra) {
            raw.extend(extra);
        }
        Tunnel::read(TunnelKind::Gre, raw.as_object().cloned().unwrap()).unwrap()
    }

    #[test]
    fn both_forms_of_a_probe_target_and_none_at_all() {
        let target = |check: Value| {
            tunnel(json!({ "health_check": check }))
                .health_check
                .map(|check| (check.target, check.effective))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(target(json!({"target": "192.0.2.1"})), Some((text("192.0.2.1"), None)));
        assert_eq!(
            target(json!({"target": {"saved": "", "effective": "192.0.2.1"}})),
            Some((None, text("192.0.2.1")))
        );
        assert_eq!(target(json!({})), Some((None, None)));
        assert_eq!(target(Value::Null), None, "absent is not off");
    }

    #[test]
    fn what_is_only_told_is_not_sent_and_all_else_is() {
        let written = tunnel(
            json!({"bgp": {"customer_asn": 64500}, "bgp_status": {"state": "BGP_UP"}, "automatic_return_routing": true,
            "created_on": "x", "something_new": [1]}),
        )
        .writable();
        let names: Vec<&str> = written.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "automatic_return_routing",
                "bgp",
                "customer_gre_endpoint",
                "name",
                "something_new"
            ]
        );
    }

    #[test]
    fn a_path_stays_where_it_is() {
        for bad in ["", ".", "..", "a/b", "a?b", "a%2fb", "a b"] {
            assert!(segment("x", bad).is_err(), "{bad}");
        }
        assert!(segment("x", "c0000-1_2.3").is_ok());
    }

    #[test]
    fn nothing_of_a_tunnel_is_in_its_debug_text() {
        let text = format!("{:?}", tunnel(json!({"bgp": {"md5_key": "canary"}})));
        assert!(text.contains("edge") && !text.contains("canary"), "{text}");
    }
}
