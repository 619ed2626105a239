//! Sending a query and judging the answer's envelope.
//!
//! `{"data":{...},"errors":null}`. HTTP 200 can carry errors, and data can come with errors; both
//! are failures here. Error texts are matched by substring, since they carry numbers.

use std::time::Duration;

use graphql_client::GraphQLQuery;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::budget::{Bucket, CallKind, Told};
use crate::client::{CloudflareClient, Incoming, Outgoing};
use crate::error::{ApiMessage, CfError, ErrorClass, classify};

/// The lock-out that the documentation names for a depleted query budget.
const DEPLETED_WAIT: Duration = Duration::from_secs(300);

/// Rows dated later than this after our own clock are no evidence: one of the clocks is wrong.
const MAX_AHEAD: Duration = Duration::from_secs(120);

/// What a query cost and what is left, in Cloudflare's own unit. For display: its meaning is not
/// documented well enough to steer by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryCost {
    /// Cost of this query.
    pub cost: Option<u64>,
    /// Budget left after it.
    pub budget: Option<u64>,
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    data: Option<IgnoredAny>,
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// A complete answer whose envelope is good.
pub(crate) struct Answered<T> {
    pub(crate) data: T,
    pub(crate) incoming: Incoming,
}

impl Incoming {
    /// A part that the API documents as possibly null and never is.
    pub(crate) fn present<T>(&self, what: &str, part: Option<T>) -> Result<T, CfError> {
        part.ok_or_else(|| self.error(ErrorClass::Malformed, format!("the answer has no {what}")))
    }

    /// The only account of an answer. An empty list means that the token may not see it.
    pub(crate) fn only_account<T>(&self, mut accounts: Vec<T>) -> Result<T, CfError> {
        match (accounts.pop(), accounts.is_empty()) {
            (Some(account), true) => Ok(account),
            (None, _) => Err(self.error(
                ErrorClass::Permission,
                "the answer has no account: the token cannot see it, or the account id is wrong",
            )),
            (Some(_), false) => Err(self.error(ErrorClass::Malformed, "the answer is about several accounts")),
        }
    }

    /// One row of a list, whose text was found in this answer's.
    pub(crate) fn row<'a, T: Deserialize<'a>>(&self, number: usize, text: &'a [u8]) -> Result<T, CfError> {
        serde_json::from_slice(text).map_err(|short| {
            // Once more, to say where: keeping track of that costs as much as reading.
            let mut json = serde_json::Deserializer::from_slice(text);
            let place = serde_path_to_error::deserialize::<_, T>(&mut json)
                .err()
                .map(|error| error.path().to_string())
                .unwrap_or_default();
            self.error(ErrorClass::Malformed, format!("rows[{number}].{place}: {short}"))
        })
    }

    /// An instant of a row: readable and not from the future.
    pub(crate) fn row_instant(&self, field: &str, text: &str, now: Timestamp) -> Result<Timestamp, CfError> {
        let Some(at) = domain::time::from_text(text) else {
            let detail = format!("{field} is no instant: '{text}'");
            return Err(self.error(ErrorClass::Malformed, detail));
        };
        if at > domain::time::plus(now, MAX_AHEAD) {
            let detail = format!("{field} {text} is in the future; check the clock of this host");
            return Err(self.error(ErrorClass::Malformed, detail));
        }
        Ok(at)
    }
}

impl CloudflareClient {
    pub(crate) async fn query<Q>(
        &self,
        call: &'static str,
        kind: CallKind,
        variables: Q::Variables,
    ) -> Result<Answered<Q::ResponseData>, CfError>
    where
        Q: GraphQLQuery,
        Q::ResponseData: DeserializeOwned,
    {
        let mut incoming = self.ask::<Q>(call, kind, variables).await?;
        let data = self.data(&incoming)?;
        // Ten thousand rows are megabytes of text, which nobody reads again.
        incoming.body = Vec::new();
        Ok(Answered { data, incoming })
    }

    /// Sends a query. What comes back has a good envelope: JSON with data and without errors. What the data mean is not
    /// looked at.
    pub(crate) async fn ask<Q: GraphQLQuery>(
        &self,
        call: &'static str,
        kind: CallKind,
        variables: Q::Variables,
    ) -> Result<Incoming, CfError> {
        let body = serde_json::to_vec(&Q::build_query(variables))
            .map_err(|error| CfError::new(ErrorClass::Refused, call, format!("query not built: {error}")))?;
        let incoming = self
            .send(Outgoing {
                call,
                kind,
                method: Method::POST,
                path: "/graphql".to_owned(),
                query: Vec::new(),
                body: Some(body),
                deadline: self.deadlines.query,
                changes: false,
            })
            .await?;
        if let Some(error) = self.refusal(&incoming) {
            if error.class == ErrorClass::RateLimited && incoming.status != 429 {
                // Under HTTP 429 the client has locked already.
                let wait = error.retry_after.unwrap_or(DEPLETED_WAIT);
                self.budget().learn(
                    Bucket::Graphql,
                    Told {
                        remaining: None,
                        lock_for: Some(wait),
                    },
                );
            }
            return Err(error);
        }
        Ok(incoming)
    }

    /// The data of an answer, as far as `T` looks at them.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&self, incoming: &'a Incoming) -> Result<T, CfError> {
        let mut json = serde_json::Deserializer::from_slice(&incoming.body);
        let envelope: Result<Envelope<T>, _> = serde_path_to_error::deserialize(&mut json);
        envelope.map(|envelope| envelope.data).map_err(|error| {
            let detail = self.redact(&format!("{}: {}", error.path(), error.inner()));
            incoming.error(ErrorClass::Malformed, detail)
        })
    }

    /// Why the answer holds no data, if it does not.
    fn refusal(&self, incoming: &Incoming) -> Option<CfError> {
        let verdict: Option<Verdict> = serde_json::from_slice(&incoming.body).ok();
        let messages: Vec<ApiMessage> = verdict
            .as_ref()
            .and_then(|verdict| verdict.errors.as_deref())
            .unwrap_or_default()
            .iter()
            .map(|item| self.message(item))
            .collect();
        let is_ok = (200..300).contains(&incoming.status);
        let class = match &verdict {
            Some(_) if !messages.is_empty() => classify_texts(incoming.status, &messages),
            Some(verdict) if is_ok && verdict.data.is_some() => return None,
            _ if is_ok => ErrorClass::Malformed,
            verdict => classify(incoming.status, verdict.is_some(), &messages),
        };
        let detail = match &verdict {
            _ if !messages.is_empty() => String::new(),
            Some(_) if is_ok => "the answer has neither data nor errors".to_owned(),
            _ => self.excerpt(&incoming.body),
        };
        let mut error = incoming.error(class, detail).with_messages(messages);
        if class == ErrorClass::RateLimited && error.retry_after.is_none() {
            error.retry_after = Some(DEPLETED_WAIT);
        }
        Some(error)
    }
}

/// Texts of the documentation's error table, by the class they stand for.
const TEXTS: [(ErrorClass, &[&str]); 3] = [
    (
        ErrorClass::RateLimited,
        &["budget depleted", "too many nodes", "excessive resources"],
    ),
    (
        ErrorClass::Permission,
        &["not authorized", "does not have access", "unauthorized"],
    ),
    (
        ErrorClass::Transient,
        &[
            "try again later",
            "too many queries in progress",
            "internal server error",
        ],
    ),
];

fn classify_texts(status: u16, messages: &[ApiMessage]) -> ErrorClass {
    if !(200..300).contains(&status) && status != 400 {
        return classify(status, true, messages);
    }
    for (class, texts) in TEXTS {
        let says = |message: &ApiMessage| {
            let text = message.text.to_ascii_lowercase();
            texts.iter().any(|known| text.contains(known))
        };
        if messages.iter().any(says) {
            return class;
        }
    }
    classify(status, true, messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_documentation_have_their_class() {
        use ErrorClass::*;
        for (status, text, expected) in [
            (
                200,
                "rate limiter budget depleted, try again after 5 minutes",
                RateLimited,
            ),
            (
                200,
                "in combination, your request queries too many nodes, zones and accounts",
                RateLimited,
            ),
            (200, "query consumed excessive resources (12)", RateLimited),
            (200, "not authorized for that account", Permission),
            (200, "user does not have access to the path viewer.accounts", Permission),
            (200, "unable to execute query, please try again later", Transient),
            (200, "Internal server error", Transient),
            (200, "cannot request data older than 2678400s", Refused),
            (400, "unknown field \"x\"", Refused),
            (401, "Unauthorized", Auth),
            (403, "not authorized for that account", Permission),
            (429, "slow down", RateLimited),
            (503, "too many queries in progress (5)", Transient),
        ] {
            let message = ApiMessage {
                code: String::new(),
                text: text.to_owned(),
            };
            assert_eq!(classify_texts(status, &[message]), expected, "{status} {text}");
        }
    }
}
