//! The client itself: who we are, where Cloudflare is, and the one place where requests leave.
//!
//! What must hold for every call: it is admitted by the budget first; it has a deadline; the body
//! of the answer is read up to a cap; it is sent once; an error says whether it may have had an
//! effect. What an answer *means* is judged by [`crate::rest`] and [`crate::graphql`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;

use crate::budget::{Admit, Bucket, CallKind, RateBudget, Remaining, Told};
use crate::credentials::{Credentials, CredentialsError};
use crate::error::{CfError, ErrorClass};
use crate::rate_headers;
use crate::transport::Transport;

/// How long a call may take in all, from the first packet to the last byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A change. Short: the lease that allows it must outlive it.
    pub change: Duration,
    /// A REST read.
    pub read: Duration,
    /// A GraphQL query.
    pub query: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            change: Duration::from_secs(10),
            read: Duration::from_secs(15),
            query: Duration::from_secs(30),
        }
    }
}

/// Longest answer read. 10,000 analytics rows are about 3 MB.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The client cannot be set up as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The base URL is not usable.
    #[error("cloudflare.api_base_url is not usable: {0}")]
    BaseUrl(&'static str),
    /// The account id is not 32 hexadecimal digits.
    #[error("cloudflare.account_id must be 32 hexadecimal digits")]
    Account,
    /// The credential cannot be sent.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Cloudflare's API for one account. Clones share everything.
#[derive(Clone)]
pub struct CloudflareClient {
    shared: Arc<Shared>,
    /// Whether reads use the reserve of the budget.
    protecting: bool,
    pub(crate) deadlines: Deadlines,
}

struct Shared {
    transport: Transport,
    base: Url,
    account: String,
    credentials: Credentials,
    headers: HeaderMap,
    budget: Arc<RateBudget>,
}

/// One request to be sent.
pub(crate) struct Outgoing {
    pub(crate) call: &'static str,
    pub(crate) kind: CallKind,
    pub(crate) method: Method,
    /// Path below the base URL, starting with `/`, made of safe segments.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    /// JSON text.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) deadline: Duration,
    /// Whether it changes something, see [`CfError::outcome_unknown`].
    pub(crate) changes: bool,
}

/// A complete answer, not yet judged.
pub(crate) struct Incoming {
    pub(crate) call: &'static str,
    pub(crate) changes: bool,
    pub(crate) status: u16,
    pub(crate) ray: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Cloudflare's clock, whole seconds.
    pub(crate) date: Option<Timestamp>,
    /// Our clock when the answer began.
    pub(crate) answered_at: Timestamp,
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    /// An error about this answer.
    pub(crate) fn error(&self, class: ErrorClass, detail: impl AsRef<str>) -> CfError {
        let mut error = CfError::new(class, self.call, detail).of_a_change(self.changes);
        error.status = Some(self.status);
        error.ray.clone_from(&self.ray);
        error.retry_after = self.retry_after;
        error
    }
}

impl CloudflareClient {
    /// A client for `account_id` at `base_url` (`https://api.cloudflare.com/client/v4`).
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is wrong. Plain `http://` is accepted only to this
    /// host itself (the simulator): the credential must not cross a network in clear text.
    pub fn new(
        transport: Transport,
        base_url: &str,
        account_id: &str,
        credentials: Credentials,
        budget: Arc<RateBudget>,
    ) -> Result<Self, SetupError> {
        let account = account_id.trim().to_ascii_lowercase();
        if account.len() != 32 || !account.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(SetupError::Account);
        }
        Ok(Self {
            shared: Arc::new(Shared {
                headers: credentials.headers()?,
                base: base(base_url)?,
                transport,
                account,
                credentials,
                budget,
            }),
            protecting: true,
            deadlines: Deadlines::default(),
        })
    }

    /// The same client with other deadlines.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The same client for pages and reports: its reads leave the reserve of the request budget
    /// to those that protection depends on.
    #[must_use]
    pub fn for_display(&self) -> Self {
        Self {
            protecting: false,
            ..self.clone()
        }
    }

    /// The account id, 32 hexadecimal digits.
    pub fn account_id(&self) -> &str {
        &self.shared.account
    }

    /// The budget that all calls of this client are counted in.
    pub fn budget(&self) -> &Arc<RateBudget> {
        &self.shared.budget
    }

    pub(crate) fn bgp_read(&self) -> CallKind {
        if self.protecting {
            CallKind::BgpRead
        } else {
            CallKind::Rest
        }
    }

    pub(crate) fn evidence(&self) -> CallKind {
        if self.protecting {
            CallKind::Evidence
        } else {
            CallKind::Analytics
        }
    }

    /// `/accounts/{account}` and what follows.
    pub(crate) fn account_path(&self, rest: &str) -> String {
        format!("/accounts/{}{rest}", self.shared.account)
    }

    /// A read to be sent.
    pub(crate) fn read(&self, call: &'static str, kind: CallKind, path: String) -> Outgoing {
        Outgoing {
            call,
            kind,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            deadline: self.deadlines.read,
            changes: false,
        }
    }

    /// A change to be sent. Rules are no protection in themselves: their changes leave the reserve of the budget alone.
    pub(crate) fn change(&self, call: &'static str, method: Method, path: String, body: Option<&Value>) -> Outgoing {
        Outgoing {
            call,
            kind: CallKind::Rest,
            method,
            path,
            query: Vec::new(),
            body: body.map(|body| body.to_string().into_bytes()),
            deadline: self.deadlines.change,
            changes: true,
        }
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        self.shared.credentials.redact(text)
    }

    /// Sends one request once and reads the whole answer, whatever its status.
    pub(crate) async fn send(&self, out: Outgoing) -> Result<Incoming, CfError> {
        let (call, changes) = (out.call, out.changes);
        let failed = |class, detail: &str| CfError::new(class, call, self.redact(detail)).of_a_change(changes);
        if let Admit::Wait(wait) = self.shared.budget.admit(out.kind).await {
            let mut error = failed(ErrorClass::BudgetExhausted, "our request budget is used up");
            error.retry_after = Some(wait);
            return Err(error);
        }
        let client = self
            .shared
            .transport
            .client()
            .map_err(|error| failed(ErrorClass::Transient, &chain(&error)))?;
        let bucket = out.kind.bucket();
        let mut request = client
            .request(out.method, self.url(&out.path))
            .headers(self.shared.headers.clone())
            .query(&out.query)
            .timeout(out.deadline);
        if let Some(body) = out.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let mut response = request.send().await.map_err(|error| {
            let class = if was_never_sent(&error) {
                ErrorClass::Transient
            } else {
                ErrorClass::Unknown
            };
            failed(class, &chain(&error.without_url()))
        })?;

        let now = self.shared.budget.now();
        let status = response.status().as_u16();
        let mut incoming = Incoming {
            call,
            changes,
            status,
            ray: rate_headers::ray(response.headers()),
            retry_after: rate_headers::retry_after(response.headers(), now),
            date: rate_headers::date(response.headers()),
            answered_at: now,
            body: Vec::new(),
        };
        let remaining = rate_headers::remaining(response.headers());
        self.learn(bucket, &incoming, remaining);

        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if incoming.body.len() + chunk.len() > MAX_BODY => {
                    let limit_mib = MAX_BODY / (1024 * 1024);
                    let detail = format!("the answer is longer than {limit_mib} MiB");
                    return Err(incoming.error(ErrorClass::Malformed, detail));
                }
                Ok(Some(chunk)) => incoming.body.extend_from_slice(&chunk),
                Ok(None) => return Ok(incoming),
                // A refusal is known by its status alone.
                Err(_) if !(200..300).contains(&status) => return Ok(incoming),
                Err(error) => {
                    let detail = self.redact(&chain(&error.without_url()));
                    return Err(incoming.error(ErrorClass::Unknown, format!("the answer broke off: {detail}")));
                }
            }
        }
    }

    /// A 429 to a read means the user is over the limit: silence for everybody. A 429 to a change
    /// may be a cool-down of that one prefix, so nothing is concluded from it; if it was the limit
    /// after all, the next read says so.
    fn learn(&self, bucket: Bucket, incoming: &Incoming, remaining: Option<Remaining>) {
        let is_limited = incoming.status == 429;
        if is_limited && incoming.changes {
            return;
        }
        let lock_for = is_limited.then(|| incoming.retry_after.unwrap_or(rate_headers::DEFAULT_WAIT));
        let told = Told { remaining, lock_for };
        self.shared.budget.learn(bucket, told);
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.shared.base.clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        url
    }
}

impl fmt::Debug for CloudflareClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudflareClient")
            .field("base", &self.shared.base.as_str())
            .field("account", &self.shared.account)
            .field("credentials", &self.shared.credentials)
            .finish_non_exhaustive()
    }
}

fn base(text: &str) -> Result<Url, SetupError> {
    let url = Url::parse(text.trim()).map_err(|_error| SetupError::BaseUrl("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SetupError::BaseUrl("it must not contain a login"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(SetupError::BaseUrl("it must end with its path"));
    }
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(SetupError::BaseUrl(
            "http:// is only for this host itself; use https://",
        )),
        _ => Err(SetupError::BaseUrl("it must begin with https://")),
    }
}

/// Whether not a single byte of the request can have been written.
fn was_never_sent(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for good in [
            "https://api.cloudflare.com/client/v4",
            "http://127.0.0.1:8090/client/v4/",
            "http://[::1]:8090/client/v4",
            "http://localhost:8090/client/v4",
        ] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "api.cloudflare.com",
            "ftp://api.cloudflare.com/",
            "http://api.cloudflare.com/client/v4",
            "https://user:secret@api.cloudflare.com/",
            "https://api.cloudflare.com/client/v4?x=1",
        ] {
            let error = base(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
