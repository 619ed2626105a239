//! Parent prefixes, their BGP prefixes, and the one call that changes an advertisement.
//!
//! Source: Cloudflare API, `addressing/prefixes` and `addressing/prefixes/{id}/bgp/prefixes`.

use domain::bgp::{BgpPrefix, BgpState};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::prefix::Prefix;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;

use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming, Outgoing};
use crate::error::{CfError, ErrorClass};

/// An onboarded prefix. Its own `advertised` flag is not the BGP state: read the BGP prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentPrefix {
    /// Cloudflare's id.
    pub id: PrefixId,
    /// The network as onboarded.
    pub prefix: Prefix,
    /// Origin AS, when set on the parent.
    pub asn: Option<u32>,
    /// Description at Cloudflare, empty when there is none.
    pub description: String,
    /// `V` active, `P` pending.
    pub approved: Option<String>,
    /// Whether advertisement on demand is enabled.
    pub on_demand_enabled: Option<bool>,
    /// Whether Cloudflare locked the advertisement.
    pub on_demand_locked: Option<bool>,
    /// Whether it is advertised, as the parent says. A hint only.
    pub advertised: Option<bool>,
    /// When that changed, and when anything of it changed, in Cloudflare's own texts: hints that
    /// something below it changed, never compared with a clock.
    pub modified: (Option<String>, Option<String>),
}

/// Allows one call of [`CloudflareClient::set_advertised`].
///
/// Only `prefix-ops` may make one: there every change has a recorded intent, was re-checked and is
/// read back. The architecture check searches the sources for the constructor's name and fails on
/// any use outside that crate and this crate's own tests.
#[derive(Debug)]
pub struct AdvertisePermit {
    _made_here: (),
}

impl AdvertisePermit {
    /// A permit for exactly one change. For `prefix-ops` only, see the type.
    pub fn issued_by_prefix_ops() -> Self {
        Self { _made_here: () }
    }
}

#[derive(Deserialize)]
struct WireParent {
    id: String,
    cidr: Prefix,
    #[serde(default)]
    asn: Option<u32>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    approved: Option<String>,
    #[serde(default)]
    on_demand_enabled: Option<bool>,
    #[serde(default)]
    on_demand_locked: Option<bool>,
    #[serde(default)]
    advertised: Option<bool>,
    #[serde(default)]
    advertised_modified_at: Option<String>,
    #[serde(default)]
    modified_at: Option<String>,
}

#[derive(Deserialize)]
struct WireBgpPrefix {
    id: String,
    /// Older descriptions of the API call it `prefix`.
    #[serde(alias = "prefix")]
    cidr: Prefix,
    #[serde(default)]
    asn: Option<u32>,
    #[serde(default)]
    asn_prepend_count: Option<u8>,
    #[serde(default)]
    auto_advertise_withdraw: Option<bool>,
    #[serde(default)]
    bgp_signal_opts: Option<WireSignal>,
    on_demand: WireOnDemand,
}

#[derive(Deserialize)]
struct WireSignal {
    #[serde(default)]
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct WireOnDemand {
    #[serde(default)]
    advertised: Option<bool>,
    #[serde(default)]
    advertised_modified_at: Option<String>,
    #[serde(default)]
    on_demand_enabled: Option<bool>,
    #[serde(default)]
    on_demand_locked: Option<bool>,
}

impl WireBgpPrefix {
    /// `Err` names the field that cannot be used.
    fn normalise(self, parent: &PrefixId, description: &str) -> Result<BgpPrefix, String> {
        let since = match self.on_demand.advertised_modified_at.as_deref() {
            None | Some("") => None,
            Some(text) => Some(instant("on_demand.advertised_modified_at", text)?),
        };
        Ok(BgpPrefix {
            prefix: self.cidr,
            parent_id: parent.clone(),
            id: BgpPrefixId::new(&self.id),
            asn: self.asn,
            description: description.to_owned(),
            state: BgpState {
                advertised: self.on_demand.advertised,
                advertised_modified_at: since,
                // Absent reads as "not on demand", which forbids control.
                on_demand_enabled: self.on_demand.on_demand_enabled.unwrap_or(false),
                locked: self.on_demand.on_demand_locked.unwrap_or(false),
                bgp_signalled: self.bgp_signal_opts.and_then(|signal| signal.enabled).unwrap_or(false),
                prepend: self.asn_prepend_count,
                auto_advertise_withdraw: self.auto_advertise_withdraw.unwrap_or(false),
            },
        })
    }
}

fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    domain::time::from_text(text).ok_or_else(|| format!("{field} is no instant: {text}"))
}

impl CloudflareClient {
    /// All onboarded prefixes of the account.
    ///
    /// # Errors
    /// [`CfError`]; an answer with one unreadable prefix is [`ErrorClass::Malformed`] as a whole.
    pub async fn list_prefixes(&self) -> Result<Vec<ParentPrefix>, CfError> {
        let incoming = self
            .send(self.read(
                "list prefixes",
                self.bgp_read(),
                self.account_path("/addressing/prefixes"),
            ))
            .await?;
        let (wire, _): (Vec<WireParent>, _) = self.result(&incoming)?;
        Ok(wire
            .into_iter()
            .map(|parent| ParentPrefix {
                id: PrefixId::new(&parent.id),
                prefix: parent.cidr,
                asn: parent.asn,
                description: parent.description.unwrap_or_default(),
                approved: parent.approved,
                on_demand_enabled: parent.on_demand_enabled,
                on_demand_locked: parent.on_demand_locked,
                advertised: parent.advertised,
                modified: (parent.advertised_modified_at, parent.modified_at),
            })
            .collect())
    }

    /// All BGP prefixes below `parent`; `description` is copied into each, since they have none.
    ///
    /// # Errors
    /// [`CfError`]; one unreadable item spoils the whole answer.
    pub async fn list_bgp_prefixes(&self, parent: &PrefixId, description: &str) -> Result<Vec<BgpPrefix>, CfError> {
        let call = "list BGP prefixes";
        let path = self.bgp_path(call, parent, None)?;
        let incoming = self.send(self.read(call, self.bgp_read(), path)).await?;
        let (wire, _): (Vec<WireBgpPrefix>, _) = self.result(&incoming)?;
        wire.into_iter()
            .map(|item| normalised(&incoming, item, parent, description))
            .collect()
    }

    /// The live state of one BGP prefix.
    ///
    /// # Errors
    /// [`CfError`]; an answer about another id is [`ErrorClass::Malformed`].
    pub async fn get_bgp_prefix(&self, parent: &PrefixId, id: &BgpPrefixId) -> Result<BgpPrefix, CfError> {
        let call = "read BGP prefix";
        let path = self.bgp_path(call, parent, Some(id))?;
        let incoming = self.send(self.read(call, self.bgp_read(), path)).await?;
        self.one_bgp_prefix(&incoming, parent, id)
    }

    /// Advertises or withdraws one prefix. Sent at most once.
    ///
    /// A success means that Cloudflare registered the request, not that the state has changed:
    /// read it back. After an error check [`CfError::outcome_unknown`] before anything else.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn set_advertised(
        &self,
        permit: AdvertisePermit,
        parent: &PrefixId,
        id: &BgpPrefixId,
        advertised: bool,
    ) -> Result<BgpPrefix, CfError> {
        let AdvertisePermit { _made_here: () } = permit;
        let (call, kind) = if advertised {
            ("advertise prefix", CallKind::Advertise)
        } else {
            ("withdraw prefix", CallKind::Withdraw)
        };
        let path = self.bgp_path(call, parent, Some(id))?;
        let body = serde_json::json!({ "on_demand": { "advertised": advertised } });
        let incoming = self
            .send(Outgoing {
                call,
                kind,
                method: Method::PATCH,
                path,
                query: Vec::new(),
                body: Some(body.to_string().into_bytes()),
                deadline: self.deadlines.change,
                changes: true,
            })
            .await?;
        self.one_bgp_prefix(&incoming, parent, id)
    }

    fn one_bgp_prefix(&self, incoming: &Incoming, parent: &PrefixId, id: &BgpPrefixId) -> Result<BgpPrefix, CfError> {
        let (wire, _): (WireBgpPrefix, _) = self.result(incoming)?;
        let found = normalised(incoming, wire, parent, "")?;
        if found.id != *id {
            let detail = format!("asked about BGP prefix {id}, answered about {}", found.id);
            return Err(incoming.error(ErrorClass::Malformed, detail));
        }
        Ok(found)
    }

    /// Refuses ids that are not plain hexadecimal: an empty id would turn "this prefix" into the
    /// list of all.
    fn bgp_path(&self, call: &'static str, parent: &PrefixId, id: Option<&BgpPrefixId>) -> Result<String, CfError> {
        let below = match id {
            Some(id) => format!("bgp/prefixes/{}", plain(call, id.as_str())?),
            None => "bgp/prefixes".to_owned(),
        };
        self.below_prefix(call, parent, &below)
    }

    /// The path of something that belongs to a parent prefix.
    pub(super) fn below_prefix(&self, call: &'static str, parent: &PrefixId, below: &str) -> Result<String, CfError> {
        let parent = plain(call, parent.as_str())?;
        Ok(self.account_path(&format!("/addressing/prefixes/{parent}/{below}")))
    }
}

pub(super) fn plain<'a>(call: &'static str, id: &'a str) -> Result<&'a str, CfError> {
    if (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(id);
    }
    let detail = format!("'{id}' is not an id of Cloudflare");
    Err(CfError::new(ErrorClass::Refused, call, detail))
}

fn normalised(
    incoming: &Incoming,
    wire: WireBgpPrefix,
    parent: &PrefixId,
    description: &str,
) -> Result<BgpPrefix, CfError> {
    wire.normalise(parent, description)
        .map_err(|detail| incoming.error(ErrorClass::Malformed, detail))
}
