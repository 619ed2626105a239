//! What overrides come to: the action and sensitivity with which a managed rule meets a packet.

use serde_json::{Value, json};

use super::expression::{self, Packet};
use super::managed;
use super::table::RulesetTable;

impl RulesetTable {
    /// What the overrides make of one managed rule for a packet: action, sensitivity, and the root rule that decided.
    /// The first enabled root rule that matches decides alone; in it a rule's override beats a category's, which beats
    /// that of the ruleset, each for itself for action and sensitivity. `None` when there is no such managed rule.
    pub(crate) fn effective(&self, managed_rule: &str, packet: &Packet) -> Option<Value> {
        let managed = self.get(managed::DDOS_L4).ok()?;
        let rule = managed.rules().iter().find(|r| r["id"] == managed_rule)?;
        let mut result = json!({
            "id": managed_rule, "action": rule["action"], "sensitivity_level": "default", "decided_by": null,
        });
        let read_only = rule["allowed_override_actions"].as_array().is_none_or(Vec::is_empty);
        let roots = self.entry_point("ddos_l4").map_or(&[][..], |r| r.rules());
        let decides = |r: &&Value| {
            r["enabled"] == true
                && r["expression"]
                    .as_str()
                    .and_then(|text| expression::parse(text).ok())
                    .is_some_and(|e| e.holds(packet))
        };
        let Some(root) = roots.iter().find(decides).filter(|_| !read_only) else {
            return Some(result);
        };
        result["decided_by"] = root["id"].clone();
        let overrides = &root["action_parameters"]["overrides"];
        let of = |list: &str| overrides[list].as_array().map_or(&[][..], Vec::as_slice).iter();
        let category = |entry: &&Value| {
            rule["categories"]
                .as_array()
                .is_some_and(|c| c.contains(&entry["category"]))
        };
        for field in ["action", "sensitivity_level"] {
            let own = of("rules").find(|e| e["id"] == managed_rule).and_then(|e| e.get(field));
            let by_category = || of("categories").filter(category).find_map(|e| e.get(field));
            if let Some(value) = own.or_else(by_category).or_else(|| overrides.get(field)) {
                result[field] = value.clone();
            }
        }
        Some(result)
    }
}
