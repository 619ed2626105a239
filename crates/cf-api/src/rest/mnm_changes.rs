//! Network monitoring rules, changed: create, edit, delete, and the switch of automatic advertisement.
//!
//! Source: Cloudflare API, `mnm/rules`. What must hold: an edit and a deletion take the rule as it was read, so none can
//! follow a failed read; an edit sends the four fields that the API demands and, of the others, only those that differ
//! from what was read; each call is sent once. What makes a rule sensible is judged elsewhere.

use std::time::Duration;

use domain::prefix::Prefix;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::mnm::{MnmRule, one};
use super::prefixes::plain;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};

/// How a rule recognises an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MnmKind {
    /// A rate in bit/s or packet/s is exceeded.
    Threshold,
    /// Traffic is unusual, compared with the last hours.
    Zscore,
    /// Cloudflare's DDoS rules recognise it in sFlow samples.
    AdvancedDdos,
}

impl MnmKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Threshold, Self::Zscore, Self::AdvancedDdos];

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Zscore => "zscore",
            Self::AdvancedDdos => "advanced_ddos",
        }
    }

    /// Reads the API's word.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// All that can be set in a rule. Words are the API's: `prefix_match` is `exact`, `subnet` or `supernet`,
/// `zscore_sensitivity` is `low`, `medium` or `high`, `zscore_target` is `bits` or `packets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MnmFields {
    /// Unique name.
    pub name: String,
    /// How it recognises an attack.
    pub kind: MnmKind,
    /// Networks; their traffic is summed and all are advertised together.
    pub prefixes: Vec<Prefix>,
    /// Whether Cloudflare advertises the networks by itself when it fires. `None` where the API said nothing.
    pub automatic_advertisement: Option<bool>,
    /// Bit/s.
    pub bandwidth_threshold: Option<u64>,
    /// Packet/s.
    pub packet_threshold: Option<u64>,
    /// How long a threshold must be exceeded.
    pub duration: Option<Duration>,
    /// How networks of samples are compared with those of the rule.
    pub prefix_match: Option<String>,
    /// How unusual traffic must be.
    pub zscore_sensitivity: Option<String>,
    /// What is counted.
    pub zscore_target: Option<String>,
}

impl MnmFields {
    /// The fields of a rule as it was read, to be edited. `Err` names what this program cannot edit without losing it.
    ///
    /// # Errors
    /// A type that is not known, or a threshold that is no whole number.
    pub fn of(rule: &MnmRule) -> Result<Self, String> {
        // Rules older than the types have none and are thresholds.
        let kind = match rule.kind.as_deref() {
            None => MnmKind::Threshold,
            Some(text) => MnmKind::from_text(text).ok_or_else(|| format!("its type '{text}' is not known"))?,
        };
        Ok(Self {
            name: rule.name.clone(),
            kind,
            prefixes: rule.prefixes.clone(),
            automatic_advertisement: rule.automatic_advertisement,
            bandwidth_threshold: whole("bandwidth_threshold", rule.bandwidth_threshold_bps)?,
            packet_threshold: whole("packet_threshold", rule.packet_threshold_pps)?,
            duration: rule.duration,
            prefix_match: rule.prefix_match.clone(),
            zscore_sensitivity: rule.zscore_sensitivity.clone(),
            zscore_target: rule.zscore_target.clone(),
        })
    }

    /// The four fields that the API demands in every call.
    fn demanded(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("name".into(), json!(self.name));
        body.insert("type".into(), json!(self.kind.as_str()));
        body.insert("prefixes".into(), json!(self.prefixes));
        body.insert("automatic_advertisement".into(), json!(self.automatic_advertisement));
        body
    }

    fn others(&self) -> [(&'static str, Value); 6] {
        [
            ("bandwidth_threshold", json!(self.bandwidth_threshold)),
            ("packet_threshold", json!(self.packet_threshold)),
            ("duration", json!(self.duration.map(go_text))),
            ("prefix_match", json!(self.prefix_match)),
            ("zscore_sensitivity", json!(self.zscore_sensitivity)),
            ("zscore_target", json!(self.zscore_target)),
        ]
    }

    /// Body of a creation: what is not set is left out.
    fn creation(&self) -> Value {
        let mut body = self.demanded();
        let set = self.others().into_iter().filter(|(_, value)| !value.is_null());
        body.extend(set.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(body)
    }

    /// Body of an edit of what was read as `before`.
    fn edit(&self, before: &Self) -> Value {
        let mut body = self.demanded();
        for ((name, value), (_, old)) in self.others().into_iter().zip(before.others()) {
            if value != old {
                body.insert(name.to_owned(), value);
            }
        }
        Value::Object(body)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)] // guarded
fn whole(field: &str, value: Option<f64>) -> Result<Option<u64>, String> {
    let Some(value) = value else { return Ok(None) };
    // 2^53: up to here every whole number is exact.
    let fits = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
    fits.then_some(Some(value as u64))
        .ok_or_else(|| format!("its {field} {value} is no whole number"))
}

/// `5m0s`, `1h0m0s`: the form in which the API gives durations back.
fn go_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[derive(Deserialize)]
struct WireAdvertisement {
    automatic_advertisement: Option<bool>,
}

impl CloudflareClient {
    /// One rule, read anew.
    ///
    /// # Errors
    /// [`CfError`]; an answer about another rule is [`ErrorClass::Malformed`].
    pub async fn get_mnm_rule(&self, id: &str) -> Result<MnmRule, CfError> {
        let call = "read network monitoring rule";
        let path = self.mnm_path(call, id, "")?;
        let incoming = self.send(self.read(call, crate::budget::CallKind::Rest, path)).await?;
        let rule = one(self, &incoming)?;
        if rule.id.as_deref() != Some(id) {
            let detail = format!("asked about rule {id}, answered about another");
            return Err(incoming.error(ErrorClass::Malformed, detail));
        }
        Ok(rule)
    }

    /// Creates a rule. After an error check [`CfError::outcome_unknown`]: names are unique, so a list tells.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn create_mnm_rule(&self, fields: &MnmFields) -> Result<MnmRule, CfError> {
        let body = fields.creation();
        let path = self.account_path("/mnm/rules");
        let call = self.change("create network monitoring rule", Method::POST, path, Some(&body));
        let incoming = self.send(call).await?;
        one(self, &incoming)
    }

    /// Changes the rule that was read as `seen` to `wanted`. Only what differs is changed.
    ///
    /// # Errors
    /// [`CfError`]; [`ErrorClass::Refused`] without a call when `seen` has no id or cannot be edited without loss.
    pub async fn edit_mnm_rule(&self, seen: &MnmRule, wanted: &MnmFields) -> Result<MnmRule, CfError> {
        let call = "edit network monitoring rule";
        let before = MnmFields::of(seen).map_err(|why| CfError::new(ErrorClass::Refused, call, why))?;
        let body = wanted.edit(&before);
        let path = self.mnm_path(call, seen.id.as_deref().unwrap_or_default(), "")?;
        let incoming = self.send(self.change(call, Method::PATCH, path, Some(&body))).await?;
        one(self, &incoming)
    }

    /// Turns the automatic advertisement of the rule that was read as `seen` to the other side; the answer says to
    /// which. The API knows no absolute form of this call, so it must not be repeated;
    /// [`CloudflareClient::edit_mnm_rule`] sets the same switch absolutely.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn toggle_mnm_advertisement(&self, seen: &MnmRule) -> Result<bool, CfError> {
        let call = "toggle automatic advertisement";
        let path = self.mnm_path(call, seen.id.as_deref().unwrap_or_default(), "/advertisement")?;
        let incoming = self.send(self.change(call, Method::PATCH, path, None)).await?;
        let (wire, _): (WireAdvertisement, _) = self.result(&incoming)?;
        wire.automatic_advertisement
            .ok_or_else(|| incoming.error(ErrorClass::Malformed, "the answer does not say what is set now"))
    }

    /// Deletes the rule that was read as `seen`.
    ///
    /// # Errors
    /// [`CfError`]; [`ErrorClass::NotFound`] when it was gone already.
    pub async fn delete_mnm_rule(&self, seen: &MnmRule) -> Result<(), CfError> {
        let call = "delete network monitoring rule";
        let path = self.mnm_path(call, seen.id.as_deref().unwrap_or_default(), "")?;
        let incoming = self.send(self.change(call, Method::DELETE, path, None)).await?;
        let (_, _): (Value, _) = self.result(&incoming)?;
        Ok(())
    }

    fn mnm_path(&self, call: &'static str, id: &str, below: &str) -> Result<String, CfError> {
        Ok(self.account_path(&format!("/mnm/rules/{}{below}", plain(call, id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> MnmRule {
        MnmRule {
            id: Some("ab".repeat(16)),
            name: "net".into(),
            prefixes: vec!["203.0.113.0/24".parse().unwrap()],
            kind: None,
            automatic_advertisement: Some(true),
            bandwidth_threshold_bps: Some(1e9),
            packet_threshold_pps: None,
            duration: Some(Duration::from_secs(3_600)),
            prefix_match: None,
            zscore_sensitivity: None,
            zscore_target: None,
        }
    }

    #[test]
    fn an_edit_holds_what_the_api_demands_and_what_differs() {
        let before = MnmFields::of(&rule()).unwrap();
        let mut wanted = before.clone();
        assert_eq!(wanted.edit(&before).as_object().unwrap().len(), 4);
        wanted.bandwidth_threshold = Some(2_500_000_000);
        wanted.duration = Some(Duration::from_secs(300));
        wanted.packet_threshold = None;
        let body = wanted.edit(&before);
        assert_eq!(body["bandwidth_threshold"], 2_500_000_000_u64);
        assert_eq!(body["duration"], "5m0s");
        assert!(body.get("packet_threshold").is_none(), "{body}");
        wanted.bandwidth_threshold = None;
        assert!(wanted.edit(&before)["bandwidth_threshold"].is_null());
    }

    #[test]
    fn what_cannot_be_edited_without_loss_is_refused() {
        let mut odd = rule();
        odd.kind = Some("sflow".into());
        assert!(MnmFields::of(&odd).unwrap_err().contains("sflow"));
        let mut half = rule();
        half.packet_threshold_pps = Some(0.5);
        assert!(MnmFields::of(&half).is_err());
    }

    #[test]
    fn durations_as_the_api_gives_them_back() {
        for (seconds, text) in [(60, "1m0s"), (3_600, "1h0m0s"), (90, "1m30s"), (45, "45s")] {
            assert_eq!(go_text(Duration::from_secs(seconds)), text);
        }
    }
}
