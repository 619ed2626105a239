//! What Cloudflare dispatched, for catching up after downtime of the receiver.
//!
//! Source: Cloudflare API, `alerting/v3/history`. It lists what was *sent*, also while we were
//! down. Paged; the items of one alert appear once per destination.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};

/// One dispatched notification.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    /// Cloudflare's id, for de-duplication.
    pub id: String,
    /// When it was dispatched.
    pub sent_at: Timestamp,
    /// `alert_type`.
    pub alert_type: Option<String>,
    /// Policy name.
    pub name: Option<String>,
    /// Description of the policy.
    pub description: Option<String>,
    /// Policy id as written.
    pub policy_id: Option<String>,
    /// `email`, `pagerduty` or `webhook`.
    pub mechanism_type: Option<String>,
    /// Where to.
    pub mechanism: Option<String>,
    /// The body: JSON when it is (the API sends it as text or as an object), else a JSON string,
    /// null when absent.
    pub body: Value,
    /// The body exactly as it was sent, when the API gave it as text.
    pub body_text: Option<String>,
}

/// One page of the history, newest first as Cloudflare orders it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The items.
    pub items: Vec<HistoryItem>,
    /// Items in the whole period, when told.
    pub total: Option<u64>,
    /// Whether another page follows: this one was full, or the total says so.
    pub has_more: bool,
}

/// Which part of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Dispatched at or after.
    pub since: Timestamp,
    /// Dispatched before.
    pub before: Timestamp,
    /// From 1.
    pub page: u32,
    /// 5 to 1,000; clamped.
    pub per_page: u32,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    sent: String,
    #[serde(default)]
    alert_type: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    policy_id: Option<String>,
    #[serde(default)]
    mechanism_type: Option<String>,
    #[serde(default)]
    mechanism: Option<String>,
    #[serde(default)]
    alert_body: Value,
}

fn body(value: Value) -> (Value, Option<String>) {
    match value {
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(read) => (read, Some(text)),
            Err(_) => (Value::String(text.clone()), Some(text)),
        },
        other => (other, None),
    }
}

impl CloudflareClient {
    /// One page of dispatched notifications.
    ///
    /// # Errors
    /// [`CfError`]; an item without id or readable time spoils the page, since the cursor that
    /// follows from it would skip something.
    pub async fn alert_history(&self, request: HistoryRequest) -> Result<HistoryPage, CfError> {
        let per_page = request.per_page.clamp(5, 1_000);
        let page = request.page.max(1);
        let mut outgoing = self.read(
            "read alert history",
            CallKind::Rest,
            self.account_path("/alerting/v3/history"),
        );
        outgoing.query = vec![
            ("page", page.to_string()),
            ("per_page", per_page.to_string()),
            ("since", domain::time::rfc3339_seconds(request.since)),
            ("before", domain::time::rfc3339_seconds(request.before)),
        ];
        let incoming = self.send(outgoing).await?;
        let (wire, info): (Vec<Wire>, _) = self.result(&incoming)?;
        let items = wire
            .into_iter()
            .map(|item| {
                let sent_at = domain::time::from_text(&item.sent).ok_or_else(|| {
                    let detail = format!("sent is no instant: {}", item.sent);
                    incoming.error(ErrorClass::Malformed, detail)
                })?;
                let (body, body_text) = body(item.alert_body);
                Ok(HistoryItem {
                    id: item.id,
                    sent_at,
                    alert_type: item.alert_type,
                    name: item.name,
                    description: item.description,
                    policy_id: item.policy_id,
                    mechanism_type: item.mechanism_type,
                    mechanism: item.mechanism,
                    body,
                    body_text,
                })
            })
            .collect::<Result<Vec<_>, CfError>>()?;
        let seen = u64::from(page - 1) * u64::from(per_page) + items.len() as u64;
        let has_more = match info.total_count {
            Some(total) => seen < total && !items.is_empty(),
            None => items.len() >= per_page as usize,
        };
        Ok(HistoryPage {
            items,
            total: info.total_count,
            has_more,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_as_object_text_and_prose() {
        let object = serde_json::json!({"data": {"attack_id": "a1"}});
        let text = object.to_string();
        assert_eq!(body(object.clone()), (object.clone(), None));
        assert_eq!(body(Value::String(text.clone())), (object, Some(text)));
        let prose = body("An attack".into());
        assert_eq!(prose, (Value::from("An attack"), Some("An attack".to_owned())));
        assert_eq!(body(Value::Null), (Value::Null, None));
    }
}
