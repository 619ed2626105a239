//! Copies of messages to a web address: one POST each, JSON, signed.
//!
//! ```text
//! X-Mt-Notification: 45                     the same for every try of one message
//! X-Mt-Timestamp: 1774581600                seconds since 1970, when this try was made
//! X-Mt-Signature: sha256=<hex>              HMAC-SHA256 over "<timestamp>.<body>" with the secret
//!
//! {"schema":"cloudflare-mt/message/1","notification":45,"kind":"withdrawn","priority":"high",
//!  "created_at":"...","event":123,"incident":17,"test":false,"title":"...","text":"...","facts":{...}}
//! ```
//!
//! What must hold: an answer of class 2xx is the only one that ends a copy well; the address and the secret are in no
//! text; a request ends within its deadline.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use domain::notice::Facts;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::{Parcel, Refusal};

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

type MakeClient = Box<dyn Fn() -> Result<reqwest::Client, String> + Send + Sync>;

/// A web address that takes messages.
pub struct WebhookOutlet {
    url: String,
    secret: SecretString,
    deadline: Duration,
    make_client: MakeClient,
    client: OnceLock<reqwest::Client>,
}

/// Without address and secret: some addresses are secrets themselves.
impl fmt::Debug for WebhookOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookOutlet")
    }
}

/// The body.
#[derive(Debug, Serialize)]
struct Body<'a> {
    schema: &'static str,
    notification: i64,
    kind: &'a str,
    priority: &'static str,
    created_at: Timestamp,
    event: Option<i64>,
    incident: Option<i64>,
    test: bool,
    title: &'a str,
    text: &'a str,
    facts: Option<&'a Facts>,
}

impl WebhookOutlet {
    /// An outlet that asks for its client when the first message is sent.
    pub fn new(
        url: String,
        secret: SecretString,
        make_client: impl Fn() -> Result<reqwest::Client, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            url,
            secret,
            deadline: DEADLINE,
            make_client: Box::new(make_client),
            client: OnceLock::new(),
        }
    }

    /// With another deadline, for tests.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) async fn deliver(&self, parcel: &Parcel, now: Timestamp) -> Result<(), Refusal> {
        let row = &parcel.row;
        let text = parcel.document.plain();
        let body = Body {
            schema: "cloudflare-mt/message/1",
            notification: row.id.0,
            kind: &row.kind,
            priority: row.priority.as_str(),
            created_at: row.created_at,
            event: row.event.map(|event| event.0),
            incident: row.incident.map(|incident| incident.0),
            test: row.is_test,
            title: text.lines().next().unwrap_or_default(),
            text: &text,
            facts: row.facts.as_ref(),
        };
        let body = serde_json::to_string(&body).map_err(|error| Refusal::Never {
            words: format!("the message cannot be written as JSON: {error}"),
        })?;
        match tokio::time::timeout(self.deadline, self.post(body, row.id.0, now)).await {
            Ok(answer) => answer,
            Err(_) => Err(later("no answer in time; it may have arrived")),
        }
    }

    async fn post(&self, body: String, number: i64, now: Timestamp) -> Result<(), Refusal> {
        let client = self.client().map_err(|reason| later(&reason))?;
        let stamp = now.as_second();
        let request = client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("X-Mt-Notification", number)
            .header("X-Mt-Timestamp", stamp)
            .header("X-Mt-Signature", signature(&self.secret, stamp, &body))
            .body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(later("no connection")),
            Err(_) => return Err(later("the connection broke; it may have arrived")),
        };
        let status = response.status().as_u16();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let words = format!("HTTP {status}");
        match status {
            200..=299 => Ok(()),
            // Something about this message. Everything else may be put right by a person.
            400 | 413 | 415 | 422 => Err(Refusal::Never { words }),
            _ => Err(Refusal::Later { words, wait }),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = (self.make_client)()?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn later(words: &str) -> Refusal {
    Refusal::Later {
        words: words.to_owned(),
        wait: None,
    }
}

/// `sha256=` and the HMAC over `<stamp>.<body>` in hexadecimal digits.
pub fn signature(secret: &SecretString, stamp: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        // A key of any length is taken.
        return String::new();
    };
    mac.update(stamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_openssl() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signed = signature(&SecretString::from("key"), 1_700_000_000, "{\"a\":1}");
        assert_eq!(
            signed,
            "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
