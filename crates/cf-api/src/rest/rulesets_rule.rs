//! One rule of a ruleset and the overrides in it, as read and as sent.
//!
//! Source: Cloudflare API, `rulesets`. What must hold: an edit sends the complete rule, because the API replaces the whole
//! definition; so everything that was read goes back, also fields that this program does not know.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

/// Fields of a rule that Cloudflare sets; they are never sent.
const SET_BY_CLOUDFLARE: [&str; 5] = [
    "id",
    "version",
    "last_updated",
    "categories",
    "allowed_override_actions",
];

/// Reads null like an absent key: accounts were seen where Cloudflare writes null for an empty list, and one such rule must
/// not make all others unreadable.
pub(super) fn or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A rule as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Number of the rule's version, as text.
    #[serde(default)]
    pub version: Option<String>,
    /// `execute`, `block`, `log`, `ddos_dynamic`, ...
    #[serde(default)]
    pub action: Option<String>,
    /// What it applies to. Managed rules mostly show none.
    #[serde(default)]
    pub expression: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub description: Option<String>,
    /// Absent means enabled.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Short name, `UDP-0001` in the managed rules; the id where nobody gave one.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// Groups, in managed rules.
    #[serde(default, deserialize_with = "or_nothing")]
    pub categories: Vec<String>,
    /// To which actions Cloudflare lets a managed rule be set. Empty where it does not say.
    #[serde(default, deserialize_with = "or_nothing")]
    pub allowed_override_actions: Vec<String>,
    /// Depends on the action.
    #[serde(default)]
    pub action_parameters: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Rule {
    /// Whether it takes part at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// The ruleset that it executes, if that is what it does.
    pub fn executes(&self) -> Option<&str> {
        if self.action.as_deref() != Some("execute") {
            return None;
        }
        self.action_parameters.as_ref()?.get("id")?.as_str()
    }

    /// The overrides in it. `Err` when they have another shape than documented.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn overrides(&self) -> Result<Overrides, serde_json::Error> {
        match self.action_parameters.as_ref().and_then(|it| it.get("overrides")) {
            None | Some(Value::Null) => Ok(Overrides::default()),
            Some(value) => Overrides::deserialize(value),
        }
    }

    /// The sensitivity that a managed rule has by itself.
    pub fn own_sensitivity(&self) -> Option<&str> {
        self.action_parameters.as_ref()?.get("sensitivity_level")?.as_str()
    }

    /// The rule that a body makes under this id, to be looked at before it is sent. `None` for a body that is no rule.
    pub fn of_body(id: &str, body: &RuleBody) -> Option<Self> {
        let mut fields = body.0.clone();
        fields.insert("id".to_owned(), json!(id));
        serde_json::from_value(Value::Object(fields)).ok()
    }

    /// The rule as it is sent to be kept, to be edited from here.
    pub fn body(&self) -> RuleBody {
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.retain(|name, value| !SET_BY_CLOUDFLARE.contains(&name.as_str()) && !value.is_null());
        // Where nobody gave a short name the API shows the id, which is no name of another rule.
        if self.reference.as_deref() == Some(self.id.as_str()) {
            fields.remove("ref");
        }
        RuleBody(fields)
    }
}

/// A complete rule to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleBody(Map<String, Value>);

impl RuleBody {
    /// A rule that executes the managed ruleset `ruleset` with overrides for what `expression` matches.
    pub fn overriding(ruleset: &str, expression: &str, description: &str, overrides: &Overrides) -> Self {
        let mut body = Self(Map::new());
        body.0.insert("action".into(), json!("execute"));
        body.0.insert("action_parameters".into(), json!({"id": ruleset}));
        body.set_overrides(overrides);
        body.set_expression(expression);
        body.set_description(description);
        body.set_enabled(true);
        body
    }

    /// Sets what it applies to.
    pub fn set_expression(&mut self, expression: &str) {
        self.0.insert("expression".into(), json!(expression));
    }

    /// Sets the name for people.
    pub fn set_description(&mut self, description: &str) {
        self.0.insert("description".into(), json!(description));
    }

    /// Switches the whole rule.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.0.insert("enabled".into(), json!(enabled));
    }

    /// Replaces the overrides and keeps the other parameters.
    pub fn set_overrides(&mut self, overrides: &Overrides) {
        let parameters = self.0.entry("action_parameters").or_insert_with(|| json!({}));
        if !parameters.is_object() {
            *parameters = json!({});
        }
        parameters["overrides"] = json!(overrides);
    }

    /// The JSON object.
    pub fn as_json(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// What a rule changes in the managed ruleset that it executes. A rule's own entry beats one for its category, which beats
/// the one for the whole ruleset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overrides {
    /// For all rules: `log` or `block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For all rules: `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity_level: Option<String>,
    /// For the rules of a category.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryOverride>,
    /// For single rules.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleOverride>,
    /// What this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Overrides {
    /// Whether nothing is overridden.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An override for a category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CategoryOverride {
    /// Name of the category.
    pub category: String,
    /// `log` or `block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity_level: Option<String>,
    /// What this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An override for one rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleOverride {
    /// Id of the managed rule.
    pub id: String,
    /// `log` or `block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity_level: Option<String>,
    /// What this program does not know (`enabled`, `score_threshold`, ...).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_sends_back_everything_that_was_read() {
        let read = json!({
            "id": "a".repeat(32), "version": "3", "action": "execute", "expression": "ip.dst eq 192.0.2.1", "ref": "a".repeat(32),
            "description": "host", "enabled": false, "last_updated": "2026-11-22T03:00:00Z", "logging": {"enabled": true},
            "action_parameters": {"id": "b".repeat(32), "version": "latest", "overrides": {
                "rules": [{"id": "c".repeat(32), "action": "log", "score_threshold": 40}], "new_thing": 1}},
        });
        let rule: Rule = serde_json::from_value(read).unwrap();
        let mut body = rule.body();
        let mut overrides = rule.overrides().unwrap();
        assert_eq!(rule.executes(), Some("b".repeat(32).as_str()));
        overrides.rules[0].sensitivity_level = Some("low".into());
        body.set_overrides(&overrides);
        let sent = Value::Object(body.as_json().clone());
        for gone in ["id", "version", "last_updated", "ref"] {
            assert!(sent.get(gone).is_none(), "{gone}: {sent}");
        }
        assert_eq!(sent["logging"]["enabled"], true);
        assert_eq!(sent["enabled"], false);
        assert_eq!(sent["action_parameters"]["version"], "latest");
        let overrides = &sent["action_parameters"]["overrides"];
        assert_eq!(overrides["new_thing"], 1);
        assert_eq!(
            overrides["rules"][0],
            json!({"id": "c".repeat(32), "action": "log", "sensitivity_level": "low", "score_threshold": 40})
        );
    }

    #[test]
    fn null_is_nothing_and_spoils_no_other_rule() {
        let ruleset: crate::rest::rulesets::Ruleset = serde_json::from_value(json!({
            "id": "b".repeat(32), "name": null, "kind": null, "phase": "ddos_l4", "version": "7", "last_updated": null, "description": null,
            "rules": [
                {"id": "1", "version": null, "action": null, "expression": null, "description": null, "enabled": null, "ref": null,
                 "categories": null, "allowed_override_actions": null, "action_parameters": null, "logging": null},
                {"id": "2", "action": "execute", "action_parameters": {"id": "x", "overrides": {"action": null, "sensitivity_level": null,
                 "categories": null, "rules": null}}},
                {"id": "3", "action_parameters": {"overrides": null}},
            ]}))
        .unwrap();
        assert_eq!(ruleset.rules.len(), 3);
        assert!(ruleset.rules[0].is_enabled() && ruleset.rules[0].allowed_override_actions.is_empty());
        for rule in &ruleset.rules {
            assert!(rule.overrides().unwrap().is_empty(), "{rule:?}");
        }
        let none: crate::rest::rulesets::Ruleset =
            serde_json::from_value(json!({"id": "b", "version": "1", "rules": null})).unwrap();
        assert!(none.rules.is_empty());
    }
}
