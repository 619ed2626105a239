//! Who we are to Cloudflare. The secret leaves this file only as a request header.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// A secret shorter than this is not searched for in outside texts: it would match by chance.
const MIN_REDACTED: usize = 8;

/// How requests are authenticated.
#[derive(Clone)]
pub enum Credentials {
    /// An API token, sent as `Authorization: Bearer`.
    Token(SecretString),
    /// The account owner's e-mail address and global API key, sent as `X-Auth-Email` and
    /// `X-Auth-Key`. A fallback: such a key may do everything.
    GlobalKey {
        /// Login e-mail address.
        email: String,
        /// Global API key.
        key: SecretString,
    },
}

/// The credential has characters that no header can carry, mostly a stray line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Cloudflare {0} is empty or contains characters that cannot be sent")]
pub struct CredentialsError(&'static str);

impl Credentials {
    pub(crate) fn headers(&self) -> Result<HeaderMap, CredentialsError> {
        let mut headers = HeaderMap::new();
        match self {
            Self::Token(token) => {
                let token = required(token.expose_secret(), "API token")?;
                let value = sensitive(&format!("Bearer {token}"), "API token")?;
                headers.insert(AUTHORIZATION, value);
            }
            Self::GlobalKey { email, key } => {
                let email = sensitive(required(email, "authentication e-mail")?, "authentication e-mail")?;
                let key = sensitive(required(key.expose_secret(), "global API key")?, "global API key")?;
                headers.insert(HeaderName::from_static("x-auth-email"), email);
                headers.insert(HeaderName::from_static("x-auth-key"), key);
            }
        }
        Ok(headers)
    }

    /// `text` without the secret, should the other side have quoted it.
    pub(crate) fn redact(&self, text: &str) -> String {
        let secret = match self {
            Self::Token(secret) | Self::GlobalKey { key: secret, .. } => secret.expose_secret(),
        };
        if secret.trim().len() < MIN_REDACTED {
            return text.to_owned();
        }
        text.replace(secret.trim(), "[secret]")
    }
}

fn required<'a>(text: &'a str, what: &'static str) -> Result<&'a str, CredentialsError> {
    let text = text.trim();
    if text.is_empty() {
        Err(CredentialsError(what))
    } else {
        Ok(text)
    }
}

fn sensitive(text: &str, what: &'static str) -> Result<HeaderValue, CredentialsError> {
    let mut value = HeaderValue::from_str(text).map_err(|_error| CredentialsError(what))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Credentials::Token([secret])",
            Self::GlobalKey { .. } => "Credentials::GlobalKey([secret])",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let token = Credentials::Token("canary-token-1".to_owned().into());
        assert!(!format!("{token:?}").contains("canary"));
        assert!(!format!("{:?}", token.headers().unwrap()).contains("canary"));
        assert_eq!(token.redact("bad canary-token-1!"), "bad [secret]!");
        let key = Credentials::GlobalKey {
            email: "noc@example.net".into(),
            key: "canary-key-1".to_owned().into(),
        };
        assert!(!format!("{key:?} {:?}", key.headers().unwrap()).contains("canary"));
    }

    #[test]
    fn unsendable_credentials_are_named_not_quoted() {
        let error = Credentials::Token("can\nary".to_owned().into()).headers().unwrap_err();
        assert!(error.to_string().contains("API token"));
        assert!(!error.to_string().contains("ary\n"));
        let empty = Credentials::Token(" ".to_owned().into());
        assert!(empty.headers().is_err());
    }
}
