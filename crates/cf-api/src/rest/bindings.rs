//! Which services of Cloudflare a parent prefix is bound to. Read only: the product never changes
//! a binding.
//!
//! Source: Cloudflare API, `addressing/prefixes/{id}/bindings`. Every field is optional there; a
//! binding without a network says nothing and spoils the answer.

use domain::binding::ServiceBinding;
use domain::ids::PrefixId;
use domain::prefix::Prefix;
use serde::Deserialize;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::CfError;

#[derive(Deserialize)]
struct WireBinding {
    #[serde(default)]
    id: Option<String>,
    cidr: Prefix,
    #[serde(default)]
    service_id: Option<String>,
    #[serde(default)]
    service_name: Option<String>,
    #[serde(default)]
    provisioning: Option<WireProvisioning>,
}

#[derive(Deserialize)]
struct WireProvisioning {
    #[serde(default)]
    state: Option<String>,
}

impl From<WireBinding> for ServiceBinding {
    fn from(wire: WireBinding) -> Self {
        let named = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            id: wire.id.unwrap_or_default(),
            network: wire.cidr,
            service: named(wire.service_name).or(named(wire.service_id)).unwrap_or_default(),
            state: wire.provisioning.and_then(|it| it.state).unwrap_or_default(),
        }
    }
}

impl CloudflareClient {
    /// The service bindings of `parent`. An ordinary read: it leaves the reserve of the request
    /// budget to what protection depends on.
    ///
    /// # Errors
    /// [`CfError`]; one unreadable item spoils the whole answer.
    pub async fn list_bindings(&self, parent: &PrefixId) -> Result<Vec<ServiceBinding>, CfError> {
        let call = "list service bindings";
        let path = self.below_prefix(call, parent, "bindings")?;
        let incoming = self.send(self.read(call, CallKind::Rest, path)).await?;
        let (wire, _): (Vec<WireBinding>, _) = self.result(&incoming)?;
        Ok(wire.into_iter().map(ServiceBinding::from).collect())
    }
}
