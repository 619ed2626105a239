//! A rule under the API's own names, as it is saved in files and backups and read back.

use std::time::Duration;

use cf_api::rest::mnm::MnmRule;
use cf_api::rest::mnm_changes::MnmFields;
use domain::prefix::Prefix;
use serde::{Deserialize, Serialize};

/// A network monitoring rule as it is saved. Rates are bit/s and packet/s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Cloudflare's id.
    #[serde(default)]
    pub id: Option<String>,
    /// Name.
    pub name: String,
    /// `threshold`, `zscore` or `advanced_ddos`.
    #[serde(rename = "type", default = "threshold")]
    pub kind: String,
    /// Networks.
    pub prefixes: Vec<Prefix>,
    /// Whether Cloudflare advertises the networks by itself when it fires.
    #[serde(default)]
    pub automatic_advertisement: Option<bool>,
    /// Bit/s.
    #[serde(default)]
    pub bandwidth_threshold: Option<f64>,
    /// Packet/s.
    #[serde(default)]
    pub packet_threshold: Option<f64>,
    /// How long a threshold must be exceeded.
    #[serde(default)]
    pub duration: Option<String>,
    /// `exact`, `subnet` or `supernet`.
    #[serde(default)]
    pub prefix_match: Option<String>,
    /// `low`, `medium` or `high`.
    #[serde(default)]
    pub zscore_sensitivity: Option<String>,
    /// `bits` or `packets`.
    #[serde(default)]
    pub zscore_target: Option<String>,
}

/// Rules older than the types have none and are thresholds.
fn threshold() -> String {
    "threshold".to_owned()
}

impl From<&MnmRule> for Record {
    fn from(rule: &MnmRule) -> Self {
        Self {
            id: rule.id.clone(),
            name: rule.name.clone(),
            kind: rule.kind.clone().unwrap_or_else(threshold),
            prefixes: rule.prefixes.clone(),
            automatic_advertisement: rule.automatic_advertisement,
            bandwidth_threshold: rule.bandwidth_threshold_bps,
            packet_threshold: rule.packet_threshold_pps,
            duration: rule.duration.map(domain::duration::format),
            prefix_match: rule.prefix_match.clone(),
            zscore_sensitivity: rule.zscore_sensitivity.clone(),
            zscore_target: rule.zscore_target.clone(),
        }
    }
}

impl Record {
    /// The rule as the client knows it.
    ///
    /// # Errors
    /// A duration that cannot be read.
    pub fn rule(&self) -> Result<MnmRule, String> {
        let duration: Option<Duration> = self
            .duration
            .as_deref()
            .map(|text| domain::duration::parse(text).map_err(|error| error.to_string()))
            .transpose()?;
        Ok(MnmRule {
            id: self.id.clone(),
            name: self.name.clone(),
            prefixes: self.prefixes.clone(),
            kind: Some(self.kind.clone()),
            automatic_advertisement: self.automatic_advertisement,
            bandwidth_threshold_bps: self.bandwidth_threshold,
            packet_threshold_pps: self.packet_threshold,
            duration,
            prefix_match: self.prefix_match.clone(),
            zscore_sensitivity: self.zscore_sensitivity.clone(),
            zscore_target: self.zscore_target.clone(),
        })
    }

    /// What can be set of it.
    ///
    /// # Errors
    /// What cannot be edited without losing it.
    pub fn fields(&self) -> Result<MnmFields, String> {
        MnmFields::of(&self.rule()?)
    }
}

/// Whether two rules say the same. The order of networks says nothing; a threshold's duration that is not given is one
/// minute (Cloudflare's default).
pub fn same(one: &MnmFields, other: &MnmFields) -> bool {
    normal(one) == normal(other)
}

/// A rule in the form that is compared.
pub fn normal(fields: &MnmFields) -> MnmFields {
    let mut normal = fields.clone();
    normal.prefixes.sort_unstable();
    normal.prefixes.dedup();
    normal.duration = Some(normal.duration.unwrap_or(Duration::from_secs(60)));
    normal
}
