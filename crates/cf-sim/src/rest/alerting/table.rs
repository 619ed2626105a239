//! Policies, destinations and silences as kept, and where an alert goes.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::WebhookTarget;
use crate::ids::Dice;

/// Keeps the ids made here apart from all others that come from the same seed.
const SALT: u64 = 0x616c_6572;
/// Since when the first policies exist.
const LONG_AGO: &str = "2024-01-01T05:20:00Z";

/// Types that have a policy from the start.
const FIRST: [&str; 6] = [
    "advanced_ddos_attack_l4_alert",
    "fbm_volumetric_attack",
    "fbm_dosd_attack",
    "fbm_auto_advertisement",
    "magic_tunnel_health_check_event",
    "bgp_hijack_notification",
];

/// A webhook made through the API.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) target: WebhookTarget,
    pub(super) created_at: Timestamp,
    pub(super) last_success: Option<Timestamp>,
    pub(super) last_failure: Option<Timestamp>,
}

/// Where an alert goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the receiver that the simulator knows without the API.
    Receiver,
    /// To a destination made through the API, by its id.
    Made(String),
}

/// Everything of the product but the history.
#[derive(Debug)]
pub(crate) struct AlertingTable {
    pub(super) policies: Vec<Value>,
    /// Types that have or had a policy.
    pub(super) managed_types: Vec<String>,
    pub(super) destinations: Vec<Destination>,
    /// Name of the receiver that the simulator knows without the API.
    pub(super) receiver_name: String,
    pub(super) silences: Vec<Value>,
    pub(super) dice: Dice,
}

/// Id of the first policy of an alert type, as the API writes it (a UUID).
pub(crate) fn policy_id(alert_type: &str) -> String {
    let seed = alert_type
        .bytes()
        .fold(17_u64, |h, b| h.wrapping_mul(131).wrapping_add(u64::from(b)));
    Dice::new(seed).uuid()
}

/// Id of the receiver that the simulator knows without the API.
pub(super) fn receiver_id() -> String {
    policy_id("destination")
}

impl AlertingTable {
    pub(crate) fn new(seed: u64) -> Self {
        let policy = |kind: &&str| {
            json!({
                "id": policy_id(kind), "name": format!("Policy {kind}"), "description": "", "alert_type": kind, "enabled": true,
                "mechanisms": {"webhooks": [{"id": receiver_id()}]}, "filters": {}, "alert_interval": "",
                "created": LONG_AGO, "modified": LONG_AGO,
            })
        };
        Self {
            policies: FIRST.iter().map(policy).collect(),
            managed_types: FIRST.iter().map(|t| (*t).to_owned()).collect(),
            destinations: Vec::new(),
            receiver_name: "Receiver".to_owned(),
            silences: Vec::new(),
            dice: Dice::new(seed ^ SALT),
        }
    }

    /// Where an alert of a type goes now: nowhere when its policies are disabled, deleted or silenced.
    pub(crate) fn ways(&self, alert_type: &str, now: Timestamp) -> Vec<Way> {
        if !self.managed_types.iter().any(|t| t == alert_type) {
            return vec![Way::Receiver];
        }
        let mut ways = Vec::new();
        let speaks = |p: &&Value| p["alert_type"] == alert_type && p["enabled"] == true && !self.is_silenced(p, now);
        for policy in self.policies.iter().filter(speaks) {
            for webhook in policy["mechanisms"]["webhooks"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
            {
                let Some(id) = webhook["id"].as_str() else { continue };
                let way = if same(id, &receiver_id()) {
                    Way::Receiver
                } else {
                    Way::Made(id.to_owned())
                };
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
        ways
    }

    fn is_silenced(&self, policy: &Value, now: Timestamp) -> bool {
        let moment = |v: &Value| v.as_str().and_then(|t| t.parse::<Timestamp>().ok());
        self.silences.iter().any(|s| {
            s["policy_id"] == policy["id"]
                && moment(&s["start_time"]).is_none_or(|from| from <= now)
                && moment(&s["end_time"]).is_none_or(|to| now < to)
        })
    }

    /// A destination made through the API.
    pub(crate) fn target(&self, id: &str) -> Option<WebhookTarget> {
        let found = self.destinations.iter().find(|d| same(&d.id, id));
        found.map(|d| d.target.clone())
    }

    pub(crate) fn note(&mut self, id: &str, delivered: bool, at: Timestamp) {
        if let Some(found) = self.destinations.iter_mut().find(|d| same(&d.id, id)) {
            let slot = if delivered {
                &mut found.last_success
            } else {
                &mut found.last_failure
            };
            *slot = Some(at);
        }
    }
}

/// Ids are the same with hyphens and without.
pub(super) fn same(a: &str, b: &str) -> bool {
    crate::ids::without_hyphens(a) == crate::ids::without_hyphens(b)
}
