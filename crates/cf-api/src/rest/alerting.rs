//! Which notifications Cloudflare sends, and where to: policies and webhook destinations.
//!
//! Source: Cloudflare API, `alerting/v3`. A secret is written and never read back. Creating a destination makes
//! Cloudflare post a test message to it first, so it fails while nobody answers there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::budget::CallKind;
use crate::client::{CloudflareClient, Outgoing};
use crate::error::CfError;

/// Where notifications can be posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDestination {
    /// Cloudflare's id.
    pub id: String,
    /// What somebody called it.
    pub name: String,
    /// The address.
    pub url: String,
    /// `generic`, `slack`, ...
    pub kind: Option<String>,
    /// When a message was last taken there.
    pub last_success: Option<Timestamp>,
    /// When one was last refused or lost.
    pub last_failure: Option<Timestamp>,
}

/// One kind of notification and who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPolicy {
    /// Cloudflare's id.
    pub id: String,
    /// What somebody called it.
    pub name: String,
    /// `advanced_ddos_attack_l4_alert`, ...
    pub alert_type: String,
    /// Whether it sends anything.
    pub enabled: bool,
    /// Ids of the webhook destinations it posts to.
    pub webhooks: Vec<String>,
    /// What it is limited to, by filter key; empty means everything of its type.
    pub filters: BTreeMap<String, Vec<String>>,
}

/// A policy to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlertPolicy {
    /// Its name.
    pub name: String,
    /// For people at Cloudflare's dashboard.
    pub description: String,
    /// What it announces.
    pub alert_type: String,
    /// Id of the webhook destination.
    pub webhook: String,
}

#[derive(Deserialize)]
struct WireDestination {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    last_success: Option<String>,
    #[serde(default)]
    last_failure: Option<String>,
}

#[derive(Deserialize)]
struct WirePolicy {
    id: String,
    #[serde(default)]
    name: Option<String>,
    alert_type: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    mechanisms: Option<WireMechanisms>,
    #[serde(default)]
    filters: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize, Default)]
struct WireMechanisms {
    #[serde(default)]
    webhooks: Option<Vec<WireId>>,
}

#[derive(Deserialize)]
struct WireId {
    id: String,
}

#[derive(Deserialize)]
struct WireAvailable {
    #[serde(rename = "type")]
    kind: String,
}

/// Filter values are lists of texts; anything else is kept as one text, so that a limit is never overlooked.
fn filters(wire: BTreeMap<String, Value>) -> BTreeMap<String, Vec<String>> {
    wire.into_iter()
        .filter_map(|(key, value)| {
            let values: Vec<String> = match value {
                Value::Null => Vec::new(),
                Value::Array(items) => items.iter().map(plain).collect(),
                other => vec![plain(&other)],
            };
            (!values.is_empty()).then_some((key, values))
        })
        .collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl CloudflareClient {
    /// All webhook destinations of the account.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn list_webhook_destinations(&self) -> Result<Vec<WebhookDestination>, CfError> {
        let path = self.account_path("/alerting/v3/destinations/webhooks");
        let incoming = self
            .send(self.read("list notification destinations", CallKind::Rest, path))
            .await?;
        let (wire, _): (Option<Vec<WireDestination>>, _) = self.result(&incoming)?;
        let instant = |text: Option<String>| text.and_then(|text| domain::time::from_text(&text));
        Ok(wire
            .unwrap_or_default()
            .into_iter()
            .map(|found| WebhookDestination {
                id: found.id,
                name: found.name.unwrap_or_default(),
                url: found.url.unwrap_or_default(),
                kind: found.kind,
                last_success: instant(found.last_success),
                last_failure: instant(found.last_failure),
            })
            .collect())
    }

    /// All notification policies of the account.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn list_alert_policies(&self) -> Result<Vec<AlertPolicy>, CfError> {
        let path = self.account_path("/alerting/v3/policies");
        let incoming = self
            .send(self.read("list notification policies", CallKind::Rest, path))
            .await?;
        let (wire, _): (Option<Vec<WirePolicy>>, _) = self.result(&incoming)?;
        Ok(wire
            .unwrap_or_default()
            .into_iter()
            .map(|found| AlertPolicy {
                id: found.id,
                name: found.name.unwrap_or_default(),
                alert_type: found.alert_type,
                enabled: found.enabled.unwrap_or(false),
                webhooks: found
                    .mechanisms
                    .and_then(|mechanisms| mechanisms.webhooks)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|webhook| webhook.id)
                    .collect(),
                filters: filters(found.filters.unwrap_or_default()),
            })
            .collect())
    }

    /// The types of alert that this account's plan has.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn list_available_alerts(&self) -> Result<Vec<String>, CfError> {
        let path = self.account_path("/alerting/v3/available_alerts");
        let incoming = self
            .send(self.read("list available alerts", CallKind::Rest, path))
            .await?;
        let (wire, _): (BTreeMap<String, Vec<WireAvailable>>, _) = self.result(&incoming)?;
        Ok(wire.into_values().flatten().map(|available| available.kind).collect())
    }

    /// Makes a webhook destination and returns its id. Cloudflare posts a test message to it first.
    ///
    /// # Errors
    /// [`CfError`]; see [`CfError::outcome_unknown`] before asking again.
    pub async fn create_webhook_destination(
        &self,
        name: &str,
        url: &str,
        secret: &SecretString,
    ) -> Result<String, CfError> {
        let body = json!({"name": name, "url": url, "secret": secret.expose_secret()});
        self.create("create notification destination", "destinations/webhooks", &body)
            .await
            .map_err(|error| error.without(secret))
    }

    /// Makes an enabled policy and returns its id.
    ///
    /// # Errors
    /// [`CfError`]; see [`CfError::outcome_unknown`] before asking again.
    pub async fn create_alert_policy(&self, new: &NewAlertPolicy) -> Result<String, CfError> {
        let body = json!({
            "name": new.name,
            "description": new.description,
            "alert_type": new.alert_type,
            "enabled": true,
            "mechanisms": {"webhooks": [{"id": new.webhook}]},
            "filters": {},
        });
        self.create("create notification policy", "policies", &body).await
    }

    async fn create(&self, call: &'static str, below: &str, body: &Value) -> Result<String, CfError> {
        let incoming = self
            .send(Outgoing {
                call,
                kind: CallKind::Rest,
                method: Method::POST,
                path: self.account_path(&format!("/alerting/v3/{below}")),
                query: Vec::new(),
                body: Some(body.to_string().into_bytes()),
                deadline: self.deadlines.change,
                changes: true,
            })
            .await?;
        let (wire, _): (WireId, _) = self.result(&incoming)?;
        Ok(wire.id)
    }
}

impl CfError {
    /// The same with `secret` masked wherever Cloudflare quoted it.
    fn without(mut self, secret: &SecretString) -> Self {
        let secret = secret.expose_secret();
        if secret.is_empty() {
            return self;
        }
        let masked = |text: &str| text.replace(secret, "***");
        self.detail = masked(&self.detail);
        for message in &mut self.messages {
            message.text = masked(&message.text);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ApiMessage, ErrorClass};

    #[test]
    fn a_limit_is_kept_whatever_its_shape() {
        let wire = serde_json::from_value(json!({
            "packets_per_second": ["12000"], "slo": [99.9], "enabled": "true", "none": null, "empty": [],
        }))
        .unwrap();
        let read = filters(wire);
        assert_eq!(read.len(), 3, "{read:?}");
        assert_eq!(read["slo"], ["99.9"]);
        assert_eq!(read["enabled"], ["true"]);
    }

    #[test]
    fn a_quoted_secret_is_masked() {
        let secret = SecretString::from("canary-secret");
        let error = CfError::new(ErrorClass::Refused, "x", "it said canary-secret").with_messages(vec![ApiMessage {
            code: "0".into(),
            text: "bad secret canary-secret".into(),
        }]);
        let shown = error.without(&secret).to_string();
        assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
    }
}
