//! Whether the API token is alive. Says nothing about its permissions.

use jiff::Timestamp;
use serde::Deserialize;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};

/// What Cloudflare says about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStatus {
    /// Id of the token (not the token).
    pub id: Option<String>,
    /// `active`, `disabled` or `expired`.
    pub status: String,
    /// When it expires, if ever.
    pub expires_on: Option<Timestamp>,
    /// When it becomes valid, if later.
    pub not_before: Option<Timestamp>,
}

impl TokenStatus {
    /// Whether it is usable now.
    pub fn is_active(&self) -> bool {
        self.status.eq_ignore_ascii_case("active")
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    id: Option<String>,
    status: String,
    #[serde(default)]
    expires_on: Option<String>,
    #[serde(default)]
    not_before: Option<String>,
}

impl CloudflareClient {
    /// Asks whether the configured token is active: the route of account-owned tokens first, then
    /// that of user tokens, since neither serves the other's. Not for global API keys.
    ///
    /// # Errors
    /// That of the second route if both decline; that of the first if it says nothing about the
    /// token (no connection, budget, 5xx).
    pub async fn verify_token(&self) -> Result<TokenStatus, CfError> {
        match self.verify_at(self.account_path("/tokens/verify")).await {
            Err(error)
                if matches!(
                    error.class,
                    ErrorClass::Auth | ErrorClass::Permission | ErrorClass::NotFound | ErrorClass::Refused
                ) =>
            {
                self.verify_at("/user/tokens/verify".to_owned()).await
            }
            outcome => outcome,
        }
    }

    async fn verify_at(&self, path: String) -> Result<TokenStatus, CfError> {
        let incoming = self.send(self.read("verify token", CallKind::Rest, path)).await?;
        let (wire, _): (Wire, _) = self.result(&incoming)?;
        let instant = |text: Option<String>| text.and_then(|text| domain::time::from_text(&text));
        Ok(TokenStatus {
            id: wire.id,
            status: wire.status,
            expires_on: instant(wire.expires_on),
            not_before: instant(wire.not_before),
        })
    }
}
