//! Network monitoring rules, read: which prefixes a named rule covers and when it fires. How they are changed is in
//! [`super::mnm_changes`].
//!
//! Source: Cloudflare API, `mnm/rules`.

use std::time::Duration;

use domain::prefix::Prefix;
use serde::Deserialize;

use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
use crate::error::{CfError, ErrorClass};

/// A rule that watches a group of prefixes.
#[derive(Debug, Clone, PartialEq)]
pub struct MnmRule {
    /// Cloudflare's id.
    pub id: Option<String>,
    /// Unique name; alerts name rules by it.
    pub name: String,
    /// All networks it covers. Their traffic is summed, and auto-advertisement advertises all.
    pub prefixes: Vec<Prefix>,
    /// `threshold`, `zscore` or `advanced_ddos`; absent in rules older than the types.
    pub kind: Option<String>,
    /// Whether Cloudflare advertises the prefixes by itself when it fires.
    pub automatic_advertisement: Option<bool>,
    /// Threshold in bit/s.
    pub bandwidth_threshold_bps: Option<f64>,
    /// Threshold in packets/s.
    pub packet_threshold_pps: Option<f64>,
    /// How long the threshold must be exceeded.
    pub duration: Option<Duration>,
    /// `exact`, `subnet` or `supernet`.
    pub prefix_match: Option<String>,
    /// `low`, `medium` or `high`.
    pub zscore_sensitivity: Option<String>,
    /// `bits` or `packets`.
    pub zscore_target: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Wire {
    #[serde(default)]
    id: Option<String>,
    name: String,
    #[serde(default)]
    prefixes: Option<Vec<String>>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    automatic_advertisement: Option<bool>,
    #[serde(default)]
    bandwidth_threshold: Option<f64>,
    /// One example of the API calls it so.
    #[serde(default)]
    bandwidth: Option<f64>,
    #[serde(default)]
    packet_threshold: Option<f64>,
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    prefix_match: Option<String>,
    #[serde(default)]
    zscore_sensitivity: Option<String>,
    #[serde(default)]
    zscore_target: Option<String>,
}

/// Go's way to write a duration: `1m0s`, `300s`. Differs from our own form by its zero parts.
fn go_duration(text: &str) -> Option<Duration> {
    domain::duration::parse(text.trim()).ok()
}

impl Wire {
    /// `Err` says which network cannot be read.
    fn normalise(self) -> Result<MnmRule, String> {
        let prefixes = self
            .prefixes
            .unwrap_or_default()
            .iter()
            .map(|text| text.parse::<Prefix>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        Ok(MnmRule {
            id: self.id,
            name: self.name,
            prefixes,
            kind: self.kind,
            automatic_advertisement: self.automatic_advertisement,
            bandwidth_threshold_bps: self.bandwidth_threshold.or(self.bandwidth),
            packet_threshold_pps: self.packet_threshold,
            duration: self.duration.as_deref().and_then(go_duration),
            prefix_match: self.prefix_match,
            zscore_sensitivity: self.zscore_sensitivity,
            zscore_target: self.zscore_target,
        })
    }
}

/// The one rule of an answer.
pub(super) fn one(client: &CloudflareClient, incoming: &Incoming) -> Result<MnmRule, CfError> {
    let (wire, _): (Wire, _) = client.result(incoming)?;
    wire.normalise()
        .map_err(|detail| incoming.error(ErrorClass::Malformed, detail))
}

impl CloudflareClient {
    /// All network monitoring rules of the account.
    ///
    /// # Errors
    /// [`CfError`]; a rule with an unreadable network spoils the whole answer, because an alert of
    /// that rule would silently concern fewer prefixes.
    pub async fn list_mnm_rules(&self) -> Result<Vec<MnmRule>, CfError> {
        let incoming = self
            .send(self.read(
                "list network monitoring rules",
                CallKind::Rest,
                self.account_path("/mnm/rules"),
            ))
            .await?;
        // Without a configuration the result is null.
        let (wire, _): (Option<Vec<Wire>>, _) = self.result(&incoming)?;
        wire.unwrap_or_default()
            .into_iter()
            .map(|rule| {
                rule.normalise()
                    .map_err(|detail| incoming.error(ErrorClass::Malformed, detail))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_prints_them() {
        for (text, seconds) in [("1m0s", 60), ("300s", 300), ("1h0m0s", 3_600), ("5m", 300)] {
            assert_eq!(go_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(go_duration("often"), None);
    }
}
