//! Rulesets of the account, read: the managed DDoS rules and the phase entry point that holds the overrides. How they are
//! changed is in [`super::rulesets_changes`].
//!
//! Source: Cloudflare API, `rulesets`. An account without overrides has no entry point; Cloudflare then answers 404 with
//! its own envelope, which is the only way to "no overrides": any other failure is a failure.

use serde::{Deserialize, Serialize};

use super::prefixes::plain;
use super::rulesets_rule::or_nothing;
pub use super::rulesets_rule::{CategoryOverride, Overrides, Rule, RuleBody, RuleOverride};
use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
use crate::error::{CfError, ErrorClass};

/// Cloudflare's network-layer DDoS ruleset, the same in every account (developers.cloudflare.com, "Network-layer DDoS
/// Attack Protection managed ruleset").
pub const MANAGED_DDOS_L4: &str = "3b64149bfa6e4220bbbc2bd6db589552";

/// Pages of a list that are read at most; an account has a few dozen rulesets.
const MOST_PAGES: usize = 50;

/// A processing phase that rulesets belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Phase(&'static str);

impl Phase {
    /// Network-layer DDoS protection.
    pub const DDOS_L4: Self = Self("ddos_l4");

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// A ruleset without its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesetSummary {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Name.
    #[serde(default, deserialize_with = "or_nothing")]
    pub name: String,
    /// `managed`, `custom`, `root` or `zone`.
    #[serde(default, deserialize_with = "or_nothing")]
    pub kind: String,
    /// Phase.
    #[serde(default, deserialize_with = "or_nothing")]
    pub phase: String,
    /// Number of the version, as text.
    #[serde(default, deserialize_with = "or_nothing")]
    pub version: String,
    /// Cloudflare's text of when it changed.
    #[serde(default)]
    pub last_updated: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
}

/// A ruleset with its rules in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ruleset {
    /// Who it is.
    #[serde(flatten)]
    pub summary: RulesetSummary,
    /// Its rules; the first that matches decides.
    #[serde(default, deserialize_with = "or_nothing")]
    pub rules: Vec<Rule>,
}

impl Ruleset {
    /// The rule with this id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}

/// The entry point of a phase as it was read, present or known to be absent.
///
/// Only a successful read makes one, and every change asks for one: nothing can be written after a failed read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryPoint {
    phase: Phase,
    ruleset: Option<Ruleset>,
}

impl EntryPoint {
    pub(super) fn of(phase: Phase, ruleset: Option<Ruleset>) -> Self {
        Self { phase, ruleset }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The ruleset; `None` when the account has none for this phase.
    pub fn ruleset(&self) -> Option<&Ruleset> {
        self.ruleset.as_ref()
    }

    /// Its rules in order; empty when there is no ruleset.
    pub fn rules(&self) -> &[Rule] {
        self.ruleset.as_ref().map_or(&[], |ruleset| &ruleset.rules)
    }

    /// Its version; `None` when there is no ruleset.
    pub fn version(&self) -> Option<&str> {
        self.ruleset.as_ref().map(|ruleset| ruleset.summary.version.as_str())
    }
}

impl CloudflareClient {
    /// All rulesets of the account, without rules.
    ///
    /// # Errors
    /// [`CfError`]; a list that does not end within 50 pages is [`ErrorClass::Malformed`].
    pub async fn list_rulesets(&self) -> Result<Vec<RulesetSummary>, CfError> {
        let call = "list rulesets";
        let mut all: Vec<RulesetSummary> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut outgoing = self.read(call, CallKind::Rest, self.account_path("/rulesets"));
            outgoing.query.push(("per_page", "50".to_owned()));
            outgoing.query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let incoming = self.send(outgoing).await?;
            let (mut page, info): (Vec<RulesetSummary>, _) = self.result(&incoming)?;
            all.append(&mut page);
            cursor = info
                .cursors
                .and_then(|cursors| cursors.after)
                .filter(|after| !after.is_empty());
            if cursor.is_none() {
                return Ok(all);
            }
        }
        Err(CfError::new(ErrorClass::Malformed, call, "the list does not end"))
    }

    /// A ruleset with its rules.
    ///
    /// # Errors
    /// [`CfError`]; an answer about another ruleset is [`ErrorClass::Malformed`].
    pub async fn get_ruleset(&self, id: &str) -> Result<Ruleset, CfError> {
        let call = "read ruleset";
        let path = self.ruleset_path(call, id, "")?;
        self.one_ruleset(call, id, path).await
    }

    /// The versions of a ruleset that Cloudflare still has, without rules.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn list_ruleset_versions(&self, id: &str) -> Result<Vec<RulesetSummary>, CfError> {
        let call = "list ruleset versions";
        let path = self.ruleset_path(call, id, "/versions")?;
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        let (versions, _): (Vec<RulesetSummary>, _) = self.result(&incoming)?;
        Ok(versions)
    }

    /// A ruleset as it was at `version`.
    ///
    /// # Errors
    /// [`CfError`]; [`ErrorClass::Refused`] without a call when `version` is no number.
    pub async fn get_ruleset_version(&self, id: &str, version: &str) -> Result<Ruleset, CfError> {
        let call = "read ruleset version";
        if version.is_empty() || version.len() > 12 || !version.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CfError::new(ErrorClass::Refused, call, "a version is a number"));
        }
        let path = self.ruleset_path(call, id, &format!("/versions/{version}"))?;
        self.one_ruleset(call, id, path).await
    }

    /// The entry point of a phase, with its rules.
    ///
    /// # Errors
    /// [`CfError`]. Only Cloudflare's own "not found" is "none"; a 404 from a box on the way is a failure.
    pub async fn get_entry_point(&self, phase: Phase) -> Result<EntryPoint, CfError> {
        let call = "read phase entry point";
        let path = self.entry_point_path(phase);
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        match self.ruleset_of(&incoming, phase) {
            Ok(ruleset) => Ok(EntryPoint::of(phase, Some(ruleset))),
            // An account id that does not exist answers 404 too, with 7003.
            Err(error)
                if error.class == ErrorClass::NotFound
                    && error.status == Some(404)
                    && error.messages.iter().all(|message| message.code != "7003") =>
            {
                Ok(EntryPoint::of(phase, None))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn ruleset_of(&self, incoming: &Incoming, phase: Phase) -> Result<Ruleset, CfError> {
        let (ruleset, _): (Ruleset, _) = self.result(incoming)?;
        let found = &ruleset.summary;
        if found.phase != phase.as_str() || found.version.is_empty() {
            let detail = format!("asked about phase {}, answered about '{}'", phase.as_str(), found.phase);
            return Err(incoming.error(ErrorClass::Malformed, detail));
        }
        Ok(ruleset)
    }

    async fn one_ruleset(&self, call: &'static str, id: &str, path: String) -> Result<Ruleset, CfError> {
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        let (ruleset, _): (Ruleset, _) = self.result(&incoming)?;
        if ruleset.summary.id != id {
            let detail = format!("asked about ruleset {id}, answered about {}", ruleset.summary.id);
            return Err(incoming.error(ErrorClass::Malformed, detail));
        }
        Ok(ruleset)
    }

    pub(super) fn entry_point_path(&self, phase: Phase) -> String {
        self.account_path(&format!("/rulesets/phases/{}/entrypoint", phase.as_str()))
    }

    pub(super) fn ruleset_path(&self, call: &'static str, id: &str, below: &str) -> Result<String, CfError> {
        Ok(self.account_path(&format!("/rulesets/{}{below}", plain(call, id)?)))
    }
}
