//! The four kinds of objects: their names in paths and answers, their fields and defaults.

use serde_json::{Value, json};

/// What a path below `magic` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gre,
    Ipsec,
    Interconnect,
    Route,
}

impl Kind {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "gre_tunnels" => Self::Gre,
            "ipsec_tunnels" => Self::Ipsec,
            "cf_interconnects" => Self::Interconnect,
            "routes" => Self::Route,
            _ => return None,
        })
    }

    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Gre => "gre_tunnel",
            Self::Ipsec => "ipsec_tunnel",
            Self::Interconnect => "interconnect",
            Self::Route => "route",
        }
    }

    pub(super) fn many(self) -> &'static str {
        match self {
            Self::Gre => "gre_tunnels",
            Self::Ipsec => "ipsec_tunnels",
            Self::Interconnect => "interconnects",
            Self::Route => "routes",
        }
    }

    /// Interconnects come with the cross-connect; customers only change them.
    pub(super) fn is_made_by_customers(self) -> bool {
        self != Self::Interconnect
    }

    /// Fields that must be given at creation.
    pub(super) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Gre => &[
                "name",
                "cloudflare_gre_endpoint",
                "customer_gre_endpoint",
                "interface_address",
            ],
            Self::Ipsec => &["name", "cloudflare_endpoint", "interface_address"],
            Self::Interconnect => &[],
            Self::Route => &["prefix", "nexthop", "priority"],
        }
    }

    /// Fields that may be given besides.
    pub(super) fn optional(self) -> &'static [&'static str] {
        match self {
            Self::Gre => &[
                "automatic_return_routing",
                "bgp",
                "description",
                "health_check",
                "interface_address6",
                "mtu",
                "ttl",
            ],
            Self::Ipsec => &[
                "automatic_return_routing",
                "bgp",
                "custom_remote_identities",
                "customer_endpoint",
                "description",
                "health_check",
                "interface_address6",
                "psk",
                "replay_protection",
            ],
            Self::Interconnect => &[
                "automatic_return_routing",
                "bgp",
                "description",
                "gre",
                "health_check",
                "interface_address",
                "interface_address6",
                "mtu",
                "name",
            ],
            Self::Route => &["description", "scope", "weight"],
        }
    }

    /// Fields of answers that clients may send back and that change nothing.
    pub(super) fn read_only(self) -> &'static [&'static str] {
        match self {
            Self::Gre => &["bgp_status", "created_on", "modified_on"],
            Self::Ipsec => &[
                "allow_null_cipher",
                "bgp_status",
                "created_on",
                "modified_on",
                "psk_metadata",
            ],
            Self::Interconnect => &[
                "colo_name",
                "created_on",
                "modified_on",
                "version",
                "virtual_port_reservation_id",
            ],
            Self::Route => &["created_on", "modified_on"],
        }
    }

    /// What a new one has unless it says otherwise.
    pub(super) fn defaults(self) -> Value {
        let health =
            json!({"enabled": true, "rate": "mid", "type": "reply", "direction": "unidirectional", "target": ""});
        match self {
            Self::Gre => json!({
                "description": "", "mtu": 1476, "ttl": 64, "automatic_return_routing": false, "health_check": health,
            }),
            Self::Ipsec => json!({
                "description": "", "replay_protection": false, "allow_null_cipher": false,
                "automatic_return_routing": false, "health_check": health,
            }),
            Self::Interconnect => json!({
                "description": "", "mtu": 1500, "automatic_return_routing": false, "health_check": health,
            }),
            Self::Route => json!({"description": ""}),
        }
    }

    /// What is left of an object when a PUT resets what it does not name: required fields and what is read only stay.
    pub(super) fn kept_by_reset(self, present: &Value) -> Value {
        let mut base = self.defaults();
        let identity = ["id", "name", "interface_address"];
        for field in identity.iter().chain(self.required()).chain(self.read_only()) {
            if let Some(value) = present.get(*field) {
                base[*field] = value.clone();
            }
        }
        base
    }
}
