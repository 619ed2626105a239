//! Which service of Cloudflare takes the traffic of a network: Magic Transit, or something else for
//! a part of it. Protection hangs on it as much as on the advertisement (rule 14).
//!
//! Shapes: Cloudflare API, `addressing/prefixes/{id}/bindings`. Nothing here reads or judges time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::prefix::Prefix;

/// State of a binding that works; before, it is being deployed.
const ACTIVE: &str = "active";

/// One binding of a network to a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceBinding {
    /// Cloudflare's id; empty when it gave none.
    pub id: String,
    /// The network, equal to or inside the onboarded one. The most specific binding wins.
    pub network: Prefix,
    /// The service's name, else its id.
    pub service: String,
    /// `provisioning` or `active`, empty when Cloudflare does not say.
    pub state: String,
}

impl ServiceBinding {
    /// `Magic Transit, active`
    pub fn words(&self) -> String {
        if self.state.is_empty() {
            self.service.clone()
        } else {
            format!("{}, {}", self.service, self.state)
        }
    }

    /// What it is known by from one reading to the next.
    fn key(&self) -> (String, Prefix) {
        (self.id.clone(), self.network)
    }

    /// Whether only its deployment was completed since `before`: no change of anybody's mind.
    fn was_only_completed(&self, before: &Self) -> bool {
        let as_before = Self {
            state: before.state.clone(),
            ..self.clone()
        };
        as_before == *before && before.state != ACTIVE && self.state == ACTIVE
    }
}

/// What differs between two readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingChange {
    /// The network.
    pub network: Prefix,
    /// What it was bound to, in words; `None` when it is new.
    pub before: Option<String>,
    /// What it is bound to, in words; `None` when it is gone.
    pub after: Option<String>,
}

/// What changed from `before` to `after`, by network. That a deployment was completed is none.
pub fn changes(before: &[ServiceBinding], after: &[ServiceBinding]) -> Vec<BindingChange> {
    let by_key = |list: &[ServiceBinding]| -> BTreeMap<(String, Prefix), ServiceBinding> {
        list.iter().map(|binding| (binding.key(), binding.clone())).collect()
    };
    let (old, new) = (by_key(before), by_key(after));
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
    let mut changes: Vec<BindingChange> = gone
        .map(|(_, binding)| BindingChange {
            network: binding.network,
            before: Some(binding.words()),
            after: None,
        })
        .collect();
    for (key, binding) in &new {
        let known = old.get(key);
        if known.is_some_and(|known| known == binding || binding.was_only_completed(known)) {
            continue;
        }
        changes.push(BindingChange {
            network: binding.network,
            before: known.map(ServiceBinding::words),
            after: Some(binding.words()),
        });
    }
    changes.sort_by_key(|change| change.network);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &ServiceBinding, after: &ServiceBinding) -> Vec<BindingChange> {
        changes(std::slice::from_ref(before), std::slice::from_ref(after))
    }

    fn binding(id: &str, network: &str, service: &str, state: &str) -> ServiceBinding {
        ServiceBinding {
            id: id.into(),
            network: network.parse().unwrap(),
            service: service.into(),
            state: state.into(),
        }
    }

    #[test]
    fn what_comes_goes_or_is_changed_is_named() {
        let transit = binding("a", "203.0.113.0/24", "Magic Transit", "active");
        let cdn = binding("b", "203.0.113.7/32", "CDN", "provisioning");
        let both = [transit.clone(), cdn.clone()];
        assert_eq!(
            changes(&both, &[cdn.clone(), transit.clone()]),
            [],
            "the order says nothing"
        );
        let added = changes(std::slice::from_ref(&transit), &both);
        assert_eq!(added.len(), 1);
        assert_eq!(
            (added[0].before.as_deref(), added[0].after.as_deref()),
            (None, Some("CDN, provisioning"))
        );
        let gone = changes(&both, std::slice::from_ref(&cdn));
        assert_eq!(
            (gone[0].before.as_deref(), gone[0].after.as_deref()),
            (Some("Magic Transit, active"), None)
        );
        assert_eq!(changes(&both, &[]).len(), 2, "an answer without any is a change of all");
        let other = ServiceBinding {
            service: "Spectrum".into(),
            ..transit.clone()
        };
        let moved = change(&transit, &other);
        assert_eq!(
            (moved[0].before.as_deref(), moved[0].after.as_deref()),
            (Some("Magic Transit, active"), Some("Spectrum, active"))
        );
    }

    #[test]
    fn a_completed_deployment_is_no_change_and_its_opposite_is_one() {
        let coming = binding("b", "2001:db8::/48", "Magic Transit", "provisioning");
        let there = binding("b", "2001:db8::/48", "Magic Transit", "active");
        assert_eq!(change(&coming, &there), []);
        assert_eq!(change(&there, &coming).len(), 1);
        let elsewhere = binding("b", "2001:db8::/48", "CDN", "active");
        assert_eq!(change(&coming, &elsewhere).len(), 1, "another service as well");
        let without_ids = [
            binding("", "192.0.2.0/24", "A", ""),
            binding("", "198.51.100.0/24", "A", ""),
        ];
        assert_eq!(changes(&without_ids, &without_ids[..1]).len(), 1);
    }
}
