//! The envelope of every REST answer, checked in one place.
//!
//! `{"success":true,"errors":[],"messages":[],"result":...,"result_info":{...}}`. Data is handed
//! out only when the status is 2xx, `success` is true, `errors` is empty and `result` has the
//! expected shape.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{CloudflareClient, Incoming};
use crate::error::{ApiMessage, CfError, ErrorClass, classify};
use crate::outside_text::clean;

#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Envelope<T> {
    /// The attribute makes an absent key an error even where null would be read as "none".
    #[serde(deserialize_with = "T::deserialize")]
    result: T,
    #[serde(default)]
    result_info: Option<ResultInfo>,
}

/// What is said about a list in pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ResultInfo {
    /// Items in all pages.
    #[serde(default)]
    pub(crate) total_count: Option<u64>,
    /// Where the next page begins, for lists that are paged by cursor.
    #[serde(default)]
    pub(crate) cursors: Option<Cursors>,
}

/// The cursors of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Cursors {
    /// Of the next page; absent or empty on the last.
    #[serde(default)]
    pub(crate) after: Option<String>,
}

/// The part of the envelope that decides success. Its own type, so that a failure whose `result`
/// has any shape is still read.
#[derive(Debug, Deserialize)]
struct Verdict {
    success: bool,
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

impl CloudflareClient {
    /// The result of an answer, or why there is none.
    pub(crate) fn result<T: DeserializeOwned>(&self, incoming: &Incoming) -> Result<(T, ResultInfo), CfError> {
        let verdict: Option<Verdict> = serde_json::from_slice(&incoming.body).ok();
        let messages = verdict
            .as_ref()
            .and_then(|verdict| verdict.errors.as_deref())
            .map(|errors| self.messages(errors))
            .unwrap_or_default();
        let succeeded = (200..300).contains(&incoming.status)
            && verdict.as_ref().is_some_and(|verdict| verdict.success)
            && messages.is_empty();
        if succeeded {
            return self.shape(incoming);
        }
        let class = match &verdict {
            // A body that contradicts itself is no answer.
            Some(verdict) if verdict.success => match incoming.status {
                200..300 => ErrorClass::Malformed,
                status => classify(status, true, &messages),
            },
            Some(_) => classify(incoming.status, true, &messages),
            None if (200..300).contains(&incoming.status) => ErrorClass::Malformed,
            None => classify(incoming.status, false, &messages),
        };
        let detail = match (&verdict, messages.is_empty()) {
            (None, _) => self.excerpt(&incoming.body),
            (Some(_), true) => "no reason was given".to_owned(),
            (Some(_), false) => String::new(),
        };
        Err(incoming.error(class, detail).with_messages(messages))
    }

    fn shape<T: DeserializeOwned>(&self, incoming: &Incoming) -> Result<(T, ResultInfo), CfError> {
        let mut json = serde_json::Deserializer::from_slice(&incoming.body);
        let envelope: Envelope<T> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let detail = self.redact(&format!("{}: {}", error.path(), error.inner()));
            incoming.error(ErrorClass::Malformed, detail)
        })?;
        Ok((envelope.result, envelope.result_info.unwrap_or_default()))
    }

    /// Error items with their chained causes, cleaned.
    fn messages(&self, errors: &[Value]) -> Vec<ApiMessage> {
        let mut messages = Vec::new();
        for item in errors {
            messages.push(self.message(item));
            if let Some(chain) = item.get("error_chain").and_then(Value::as_array) {
                messages.extend(chain.iter().map(|cause| self.message(cause)));
            }
        }
        messages
    }

    pub(crate) fn message(&self, item: &Value) -> ApiMessage {
        let code = match item.get("code") {
            Some(Value::String(word)) => clean(&self.redact(word)),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let text = match item.get("message") {
            Some(Value::String(text)) => text.clone(),
            _ => item.to_string(),
        };
        ApiMessage {
            code,
            text: clean(&self.redact(&text)),
        }
    }

    /// The beginning of a body that is not JSON, for the log.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        if body.is_empty() {
            return "the answer is empty".to_owned();
        }
        let head = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
        format!("the answer is not the documented JSON: {}", self.redact(&head))
    }
}
