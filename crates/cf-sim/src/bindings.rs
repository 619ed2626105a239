//! Which Cloudflare service takes the traffic of which network. Every onboarded prefix is bound to Magic Transit as a
//! whole; parts of it can be bound elsewhere by the control API and by customers. What the bindings say does not change the traffic.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::PrefixConfig;
use crate::ids::Dice;

/// The service that every prefix is bound to at the start.
const MAGIC_TRANSIT: &str = "Magic Transit";
/// The services that a network can be bound to through the API.
const SERVICES: [&str; 3] = [MAGIC_TRANSIT, "CDN", "Spectrum"];

/// Keeps the ids of bindings apart from all others that come from the same seed.
const SALT: u64 = 0x6269_6e64;

/// A change by somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingSpec {
    /// The network, equal to or inside an onboarded prefix.
    pub cidr: IpNet,
    /// The service's name; null ends the binding of exactly this network.
    pub service: Option<String>,
    /// Not deployed yet.
    #[serde(default)]
    pub provisioning: bool,
}

impl BindingSpec {
    /// Binds `cidr` to `service`, or ends its binding.
    ///
    /// # Panics
    /// When `cidr` is no network; for tests.
    #[must_use]
    #[allow(clippy::expect_used)] // a fixed text of a test
    pub fn new(cidr: &str, service: Option<&str>) -> Self {
        Self {
            cidr: cidr.parse().expect("a network"),
            service: service.map(str::to_owned),
            provisioning: false,
        }
    }
}

#[derive(Debug)]
struct Binding {
    id: String,
    cidr: IpNet,
    service: String,
    provisioning: bool,
}

#[derive(Debug)]
struct Parent {
    id: String,
    cidr: IpNet,
    bindings: Vec<Binding>,
}

/// All bindings.
#[derive(Debug)]
pub(crate) struct BindingTable {
    parents: Vec<Parent>,
    dice: Dice,
}

impl BindingTable {
    pub(crate) fn new(config: &[PrefixConfig], seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ SALT);
        let parents = config
            .iter()
            .map(|parent| Parent {
                id: parent.id.clone(),
                cidr: parent.cidr.trunc(),
                bindings: vec![Binding {
                    id: dice.hex32(),
                    cidr: parent.cidr.trunc(),
                    service: MAGIC_TRANSIT.to_owned(),
                    provisioning: false,
                }],
            })
            .collect();
        Self { parents, dice }
    }

    /// What the API lists for a parent.
    pub(crate) fn below(&self, parent: &str) -> Vec<Value> {
        let of = self.parents.iter().filter(|p| p.id == parent);
        of.flat_map(|p| &p.bindings).map(shown).collect()
    }

    pub(crate) fn one(&self, parent: &str, id: &str) -> Option<Value> {
        let of = self.parents.iter().filter(|p| p.id == parent);
        of.flat_map(|p| &p.bindings).find(|b| b.id == id).map(shown)
    }

    /// Ends a binding by its id. False when there is none.
    pub(crate) fn remove(&mut self, parent: &str, id: &str) -> bool {
        let of = self.parents.iter_mut().find(|p| p.id == parent);
        let Some(of) = of else { return false };
        let before = of.bindings.len();
        of.bindings.retain(|b| b.id != id);
        before != of.bindings.len()
    }

    /// False when no parent contains the network.
    pub(crate) fn change(&mut self, spec: &BindingSpec) -> bool {
        let cidr = spec.cidr.trunc();
        let Some(parent) = self.parents.iter_mut().find(|p| p.cidr.contains(&cidr)) else {
            return false;
        };
        let known = parent.bindings.iter().position(|b| b.cidr == cidr);
        match (&spec.service, known) {
            (None, Some(index)) => {
                parent.bindings.remove(index);
            }
            (None, None) => {}
            (Some(service), Some(index)) if parent.bindings[index].service == *service => {
                parent.bindings[index].provisioning = spec.provisioning;
            }
            // Bindings are made and ended, never edited: another service is another binding.
            (Some(service), known) => {
                if let Some(index) = known {
                    parent.bindings.remove(index);
                }
                parent.bindings.push(Binding {
                    id: self.dice.hex32(),
                    cidr,
                    service: service.clone(),
                    provisioning: spec.provisioning,
                });
            }
        }
        true
    }
}

/// The same service has the same id everywhere.
fn service_id(name: &str) -> String {
    Dice::new(name.bytes().fold(SALT, |sum, b| sum.rotate_left(7) ^ u64::from(b))).hex32()
}

/// Name of a service by its id.
pub(crate) fn service_name(id: &str) -> Option<&'static str> {
    SERVICES.into_iter().find(|name| service_id(name) == id)
}

/// What the API lists as services.
pub(crate) fn services() -> Vec<Value> {
    let shown = |name: &&str| json!({"id": service_id(name), "name": name});
    SERVICES.iter().map(shown).collect()
}

fn shown(binding: &Binding) -> Value {
    json!({
        "id": binding.id,
        "cidr": binding.cidr.to_string(),
        "provisioning": {"state": if binding.provisioning { "provisioning" } else { "active" }},
        "service_id": service_id(&binding.service),
        "service_name": binding.service,
    })
}
