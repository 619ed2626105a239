//! A rules file: what the rules are meant to be, as people write it.
//!
//! TOML with one table per rule. A section that is absent is not looked after: without `mnm` no monitoring rule is touched,
//! without `override` none of the overrides with an expression, without `global` not the one for everything. An empty
//! section (`mnm = []`) means "none of ours".
//!
//! Must hold: unknown keys are refused, because a misspelt threshold would be no threshold; what is written by
//! [`RulesFile::to_toml`] reads back the same.

mod live;

use cf_api::rest::mnm_changes::{MnmFields, MnmKind};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use live::of_live;

use crate::mnm::{Record, bits_per_second, packets_per_second, rate_text};

/// The shape and version of the file.
pub const SCHEMA: &str = "cloudflare-mt/rules-file/1";

/// A rules file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// [`SCHEMA`].
    #[serde(default = "schema")]
    pub schema: String,
    /// Monitoring rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mnm: Option<Vec<MnmEntry>>,
    /// Overrides with an expression, the first that applies first.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Vec<OverrideEntry>>,
    /// What applies to everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<Settings>,
}

fn schema() -> String {
    SCHEMA.to_owned()
}

/// A rate as a number or as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// Per second.
    Number(u64),
    /// `2.5 Gbps`, `500 kpps`.
    Text(String),
}

/// A monitoring rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnmEntry {
    /// Unique name.
    pub name: String,
    /// `threshold`, `zscore` or `advanced_ddos`.
    #[serde(rename = "type", default = "threshold")]
    pub kind: String,
    /// Networks.
    pub prefixes: Vec<String>,
    /// Whether Cloudflare advertises the networks by itself.
    pub automatic_advertisement: bool,
    /// Bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_threshold: Option<Rate>,
    /// Packet/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_threshold: Option<Rate>,
    /// `1m`, `5m`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// `exact`, `subnet` or `supernet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_match: Option<String>,
    /// `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zscore_sensitivity: Option<String>,
    /// `bits` or `packets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zscore_target: Option<String>,
}

fn threshold() -> String {
    "threshold".to_owned()
}

/// What an override sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// For all rules: `block` or `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For all rules: `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<String>,
    /// For categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryEntry>,
    /// For single rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
}

/// What is set for a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryEntry {
    /// Its name.
    pub category: String,
    /// `block` or `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<String>,
}

/// What is set for a managed rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// Short name (`UDP-0001`) or id.
    pub rule: String,
    /// `block` or `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<String>,
}

/// An override with an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideEntry {
    /// Unique name; Cloudflare's description.
    pub name: String,
    /// What it applies to.
    pub expression: String,
    /// Whether it takes part.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub enabled: bool,
    /// Until when it is meant to stand; afterwards it counts as not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// For all rules: `block` or `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For all rules: `default`, `medium`, `low` or `eoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<String>,
    /// For categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryEntry>,
    /// For single rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
}

fn yes() -> bool {
    true
}

impl OverrideEntry {
    /// What it sets.
    pub fn settings(&self) -> Settings {
        Settings {
            action: self.action.clone(),
            sensitivity: self.sensitivity.clone(),
            categories: self.categories.clone(),
            rules: self.rules.clone(),
        }
    }
}

/// Why a text is no rules file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

impl RulesFile {
    /// A file that looks after nothing.
    pub fn empty() -> Self {
        Self {
            schema: schema(),
            mnm: None,
            overrides: None,
            global: None,
        }
    }

    /// Reads TOML, or the JSON lists of monitoring rules that `list --json`, `export` and the predecessor write.
    ///
    /// # Errors
    /// Where and why it cannot be read.
    pub fn read(text: &str) -> Result<Self, FileError> {
        if text.trim_start().starts_with(['[', '{']) && serde_json::from_str::<serde_json::Value>(text).is_ok() {
            return Self::read_json(text);
        }
        let file: Self = toml::from_str(text).map_err(|error| FileError(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(FileError(format!(
                "its schema is '{}'; this program reads '{SCHEMA}'",
                file.schema.escape_debug()
            )));
        }
        Ok(file)
    }

    fn read_json(text: &str) -> Result<Self, FileError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Saved {
            List(Vec<Record>),
            Document { rules: Vec<Record> },
        }
        let saved = serde_json::from_str(text);
        let records = match saved.map_err(|error| FileError(format!("this is no list of monitoring rules: {error}")))? {
            Saved::List(records) | Saved::Document { rules: records } => records,
        };
        let entries = records.iter().map(|record| {
            let fields = record
                .fields()
                .map_err(|why| FileError(format!("rule {}: {why}", record.name)))?;
            Ok(MnmEntry::of(&fields))
        });
        Ok(Self {
            mnm: Some(entries.collect::<Result<_, _>>()?),
            ..Self::empty()
        })
    }

    /// Writes TOML.
    ///
    /// # Errors
    /// When a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, FileError> {
        toml::to_string(self).map_err(|error| FileError(error.to_string()))
    }
}

impl MnmEntry {
    /// The entry for a rule.
    pub fn of(fields: &MnmFields) -> Self {
        Self {
            name: fields.name.clone(),
            kind: fields.kind.as_str().to_owned(),
            prefixes: fields.prefixes.iter().map(ToString::to_string).collect(),
            automatic_advertisement: fields.automatic_advertisement.unwrap_or(false),
            bandwidth_threshold: fields.bandwidth_threshold.map(|it| Rate::Text(rate_text(it, "bps"))),
            packet_threshold: fields.packet_threshold.map(|it| Rate::Text(rate_text(it, "pps"))),
            duration: fields.duration.map(domain::duration::format),
            prefix_match: fields.prefix_match.clone(),
            zscore_sensitivity: fields.zscore_sensitivity.clone(),
            zscore_target: fields.zscore_target.clone(),
        }
    }

    /// The rule that it asks for.
    ///
    /// # Errors
    /// All values that cannot be read, each with its key.
    pub fn fields(&self) -> Result<MnmFields, Vec<String>> {
        let mut wrong = Vec::new();
        let mut rate = |key: &str, rate: Option<&Rate>, read: fn(&str) -> Result<u64, crate::mnm::RateError>| match rate
        {
            None => None,
            Some(Rate::Number(number)) => Some(*number),
            Some(Rate::Text(text)) => read(text).map_err(|error| wrong.push(format!("{key}: {error}"))).ok(),
        };
        let bandwidth_threshold = rate(
            "bandwidth_threshold",
            self.bandwidth_threshold.as_ref(),
            bits_per_second,
        );
        let packet_threshold = rate("packet_threshold", self.packet_threshold.as_ref(), packets_per_second);
        let kind = MnmKind::from_text(&self.kind);
        if kind.is_none() {
            wrong.push(format!(
                "type: '{}' is not threshold, zscore or advanced_ddos",
                self.kind.escape_debug()
            ));
        }
        let mut prefixes = Vec::new();
        for text in &self.prefixes {
            match Prefix::parse_strict(text) {
                Ok(prefix) => prefixes.push(prefix),
                Err(error) => wrong.push(format!("prefixes: {error}")),
            }
        }
        let duration = self.duration.as_deref().map(domain::duration::parse).transpose();
        let duration = duration
            .map_err(|error| wrong.push(format!("duration: {error}")))
            .unwrap_or(None);
        match kind {
            Some(kind) if wrong.is_empty() => Ok(MnmFields {
                name: self.name.clone(),
                kind,
                prefixes,
                automatic_advertisement: Some(self.automatic_advertisement),
                bandwidth_threshold,
                packet_threshold,
                duration,
                prefix_match: self.prefix_match.clone(),
                zscore_sensitivity: self.zscore_sensitivity.clone(),
                zscore_target: self.zscore_target.clone(),
            }),
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
schema = "cloudflare-mt/rules-file/1"

[[mnm]]
name = "bps-203.0.113.0_24"
prefixes = ["203.0.113.0/24"]
automatic_advertisement = true
bandwidth_threshold = "2.5 Gbps"
duration = "5m"

[[override]]
name = "resolver"
expression = "ip.dst eq 203.0.113.53 and udp.dstport eq 53"
expires = "2026-12-01T00:00:00Z"
rules = [{ rule = "DNS-0002", sensitivity = "low" }]

[global]
sensitivity = "medium"
"#;

    #[test]
    fn what_is_written_reads_back() {
        let file = RulesFile::read(EXAMPLE).unwrap();
        let entry = &file.mnm.as_ref().unwrap()[0];
        assert_eq!(entry.fields().unwrap().bandwidth_threshold, Some(2_500_000_000));
        assert!(file.overrides.as_ref().unwrap()[0].enabled);
        let text = file.to_toml().unwrap();
        assert_eq!(RulesFile::read(&text).unwrap(), file, "{text}");
        assert_eq!(MnmEntry::of(&entry.fields().unwrap()), *entry);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (from, to, words) in [
            ("bandwidth_threshold", "bandwith_threshold", "unknown field"),
            ("rules-file/1", "rules-file/9", "this program reads"),
            ("[global]", "[gobal]", "unknown field"),
            ("automatic_advertisement = true\n", "", "automatic_advertisement"),
        ] {
            let error = RulesFile::read(&EXAMPLE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{to}: {error}");
        }
        let mut entry = RulesFile::read(EXAMPLE).unwrap().mnm.unwrap().remove(0);
        entry.prefixes = vec!["203.0.113.1/24".into()];
        entry.duration = Some("often".into());
        entry.kind = "sflow".into();
        entry.bandwidth_threshold = Some(Rate::Text("many".into()));
        assert_eq!(entry.fields().unwrap_err().len(), 4);
    }

    #[test]
    fn saved_lists_of_monitoring_rules_are_read() {
        let list = r#"[{"id": "0a", "name": "DDoS Protection BPS 203.0.113.0-24", "prefixes": ["203.0.113.0/24"], "bandwidth_threshold": 4000000000,
            "packet_threshold": null, "duration": "1m0s", "automatic_advertisement": true, "type": "threshold"}]"#;
        for text in [
            list.to_owned(),
            format!("{{\"schema\": \"cloudflare-mt/mnm-rules/1\", \"rules\": {list}}}"),
        ] {
            let file = RulesFile::read(&text).unwrap();
            let entry = &file.mnm.unwrap()[0];
            assert_eq!(entry.bandwidth_threshold, Some(Rate::Text("4 Gbps".into())));
            assert_eq!((file.overrides, file.global), (None, None));
        }
    }
}
