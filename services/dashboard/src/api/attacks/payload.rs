//! What a delivery's body says beyond the columns, under the names the predecessor gave it.

use db::events::Event;
use serde::Serialize;
use serde_json::{Value, json};

/// Values as Cloudflare sent them: text, number or list. What is absent there is absent here.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(default)]
pub(crate) struct Lifted {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_name: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_name: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule_description: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruleset_id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitigation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rate: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Value>,
    /// Only an https address of Cloudflare
    #[serde(skip_serializing_if = "Option::is_none")]
    dashboard_link: Option<String>,
    /// Cloudflare's sentence
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
}

/// The payload of a row: JSON, or the text as it is.
pub(super) fn of(event: &Event) -> Option<Value> {
    let raw = event.raw_payload.as_deref()?;
    Some(serde_json::from_str(raw).unwrap_or_else(|_| json!(raw)))
}

/// What the predecessor showed of a delivery, as far as it is there.
pub(crate) fn lifted(payload: &Value) -> Lifted {
    let data = payload.get("data").and_then(Value::as_object);
    let of_data = |key: &str| data?.get(key).filter(|value| !value.is_null()).cloned();
    let link = data
        .and_then(|data| data.get("dashboard_link")?.as_str())
        .and_then(cloudflare_link);
    Lifted {
        account_name: of_data("account_name"),
        rule_name: of_data("rule_name"),
        rule_id: of_data("rule_id"),
        rule_description: of_data("rule_description"),
        ruleset_id: of_data("ruleset_id"),
        mitigation: of_data("mitigation"),
        max_rate: of_data("max_rate"),
        start_time: of_data("start_time"),
        action: of_data("action"),
        dashboard_link: link,
        text: payload.get("text").filter(|text| !text.is_null()).cloned(),
    }
}

/// A link that a page may offer: https, to Cloudflare itself.
fn cloudflare_link(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "https")?;
    let host = url.host_str()?;
    (host == "cloudflare.com" || host.ends_with(".cloudflare.com")).then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_cloudflare_are_passed_on() {
        assert!(cloudflare_link("https://dash.cloudflare.com/abc/network-analytics").is_some());
        for bad in [
            "javascript:alert(1)",
            "http://dash.cloudflare.com/",
            "https://cloudflare.com.evil.example/",
            "https://evil.example/?dash.cloudflare.com",
            "dash.cloudflare.com",
        ] {
            assert_eq!(cloudflare_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_payload_without_data_hurts_nobody() {
        assert_eq!(lifted(&json!({"data": null})), Lifted::default());
        assert_eq!(lifted(&json!("text")), Lifted::default());
        let found = lifted(&json!({"text": "t", "data": {"rule_id": 7, "max_rate": null}}));
        assert_eq!(serde_json::to_value(found).unwrap(), json!({"text": "t", "rule_id": 7}));
    }
}
