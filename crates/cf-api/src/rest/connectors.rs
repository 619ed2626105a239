//! Cloudflare network interconnects: the physical ports and the virtual links over them.
//!
//! Source: Cloudflare API, `cni/interconnects` and `cni/cnis`. These answers are bare JSON without the usual envelope,
//! lists come in pages (`{"items": [...], "next": 12}`), and an update of a link is a PUT of the whole object.

use reqwest::Method;
use serde_json::{Map, Value};

use super::tunnels::segment;
use crate::budget::CallKind;
use crate::client::{CloudflareClient, Incoming};
use crate::error::{CfError, ErrorClass};

/// Pages that are followed; an account has a handful of ports.
const MOST_PAGES: usize = 20;

/// Items that are asked for at once.
const PER_PAGE: &str = "100";

/// A physical or cloud port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interconnect {
    /// Its name, which is its id.
    pub name: String,
    /// Kind of port.
    pub kind: Option<String>,
    /// Where.
    pub site: Option<String>,
    /// Building.
    pub facility: Option<String>,
    /// As Cloudflare writes it.
    pub speed: Option<String>,
}

/// What Cloudflare says of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortStatus {
    /// `Pending`, `Down`, `Unhealthy`, `Healthy`.
    pub state: String,
    /// Why, if told.
    pub reason: Option<String>,
}

/// A virtual link over a port.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Cloudflare's id.
    pub id: String,
    /// Name of the port.
    pub interconnect: Option<String>,
    /// Name, by which analytics know it.
    pub name: Option<String>,
    /// Free text.
    pub description: String,
    /// Bytes.
    pub mtu: Option<u64>,
    /// Our address with its length.
    pub customer_ip: Option<String>,
    /// Cloudflare's address with its length.
    pub cloudflare_ip: Option<String>,
    /// Our AS, where BGP runs over it.
    pub customer_asn: Option<u64>,
    /// Everything as it came.
    pub raw: Map<String, Value>,
}

impl Interconnect {
    fn read(raw: &Value) -> Option<Self> {
        let facility = match raw.get("facility") {
            Some(Value::Object(facility)) => text(facility.get("name")),
            other => text(other),
        };
        Some(Self {
            name: text(raw.get("name"))?,
            kind: text(raw.get("type")),
            site: text(raw.get("site")),
            facility,
            speed: text(raw.get("speed")),
        })
    }
}

impl Link {
    fn read(raw: &Value) -> Option<Self> {
        let magic = raw.get("magic");
        let of_magic = |name: &str| magic.and_then(|magic| magic.get(name));
        Some(Self {
            id: text(raw.get("id"))?,
            interconnect: text(raw.get("interconnect")),
            name: text(of_magic("conduit_name")),
            description: text(of_magic("description")).unwrap_or_default(),
            mtu: of_magic("mtu").and_then(Value::as_u64),
            customer_ip: address(raw.get("cust_ip")),
            cloudflare_ip: address(raw.get("p2p_ip")),
            customer_asn: raw
                .get("bgp")
                .and_then(|bgp| bgp.get("customer_asn"))
                .and_then(Value::as_u64),
            raw: raw.as_object()?.clone(),
        })
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// `192.0.2.1/31`, written so or as `{"ip": ..., "cidr": ...}`.
fn address(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Object(parts) => {
            let ip = text(parts.get("ip"))?;
            let length = parts.get("cidr").and_then(Value::as_u64);
            Some(length.map_or_else(|| ip.clone(), |length| format!("{ip}/{length}")))
        }
        other => text(Some(other)),
    }
}

impl CloudflareClient {
    /// All ports.
    ///
    /// # Errors
    /// [`CfError`]; one without name spoils the answer.
    pub async fn list_interconnects(&self) -> Result<Vec<Interconnect>, CfError> {
        self.pages("list interconnects", "/cni/interconnects", Interconnect::read)
            .await
    }

    /// All virtual links.
    ///
    /// # Errors
    /// [`CfError`]; one without id spoils the answer.
    pub async fn list_links(&self) -> Result<Vec<Link>, CfError> {
        self.pages("list network interconnects", "/cni/cnis", Link::read).await
    }

    /// What Cloudflare says of a port.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn port_status(&self, name: &str) -> Result<PortStatus, CfError> {
        let call = "read interconnect status";
        let path = self.account_path(&format!("/cni/interconnects/{}/status", segment(call, name)?));
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        let status = self.bare(&incoming)?;
        let state = text(status.get("state"));
        Ok(PortStatus {
            state: state.ok_or_else(|| incoming.error(ErrorClass::Malformed, "the answer has no state"))?,
            reason: text(status.get("reason")),
        })
    }

    /// One virtual link as it is now.
    ///
    /// # Errors
    /// [`CfError`].
    pub async fn get_link(&self, id: &str) -> Result<Link, CfError> {
        let call = "read network interconnect";
        let path = self.account_path(&format!("/cni/cnis/{}", segment(call, id)?));
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        let link = Link::read(&self.bare(&incoming)?).filter(|link| link.id == id);
        link.ok_or_else(|| incoming.error(ErrorClass::Malformed, "the answer is not about this interconnect"))
    }

    /// Replaces a virtual link by `body`, which is [`Link::raw`] with changes. Sent at most once.
    ///
    /// # Errors
    /// [`CfError`]; see [`CfError::outcome_unknown`].
    pub async fn put_link(&self, id: &str, body: &Map<String, Value>) -> Result<(), CfError> {
        let call = "change network interconnect";
        let path = self.account_path(&format!("/cni/cnis/{}", segment(call, id)?));
        let body = Value::Object(body.clone());
        let incoming = self.send(self.change(call, Method::PUT, path, Some(&body))).await?;
        self.bare(&incoming).map(drop)
    }

    async fn pages<T>(&self, call: &'static str, path: &str, read: fn(&Value) -> Option<T>) -> Result<Vec<T>, CfError> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut outgoing = self.read(call, CallKind::Rest, self.account_path(path));
            outgoing.query = vec![("limit", PER_PAGE.to_owned())];
            outgoing.query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let incoming = self.send(outgoing).await?;
            let page = self.bare(&incoming)?;
            let items = page.get("items").and_then(Value::as_array);
            let items = items.ok_or_else(|| incoming.error(ErrorClass::Malformed, "the answer has no items"))?;
            for item in items {
                let one = read(item);
                found.push(one.ok_or_else(|| incoming.error(ErrorClass::Malformed, "an item has no name or id"))?);
            }
            cursor = match page.get("next") {
                Some(Value::Number(next)) => Some(next.to_string()),
                Some(Value::String(next)) if !next.is_empty() => Some(next.clone()),
                _ => return Ok(found),
            };
        }
        Err(CfError::new(ErrorClass::Malformed, call, "the list has no end"))
    }

    /// The JSON of an answer without envelope. Failures of this product come with one.
    fn bare(&self, incoming: &Incoming) -> Result<Value, CfError> {
        let body: Option<Value> = serde_json::from_slice(&incoming.body).ok();
        match body {
            Some(body) if (200..300).contains(&incoming.status) && body.get("success").is_none() => Ok(body),
            _ => self.result(incoming).map(|(value, _)| value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_in_both_forms() {
        assert_eq!(address(Some(&json!("192.0.2.1/31"))).as_deref(), Some("192.0.2.1/31"));
        assert_eq!(
            address(Some(&json!({"ip": "192.0.2.1", "cidr": 31}))).as_deref(),
            Some("192.0.2.1/31")
        );
        assert_eq!(address(Some(&Value::Null)), None);
        let link = Link::read(&json!({"id": "a", "cust_ip": 7, "magic": null})).unwrap();
        assert_eq!((link.customer_ip, link.name, link.mtu), (None, None, None));
        let port =
            Interconnect::read(&json!({"name": "p", "facility": {"name": "Hall 1", "address": ["a", "b"]}})).unwrap();
        assert_eq!(port.facility.as_deref(), Some("Hall 1"));
    }
}
