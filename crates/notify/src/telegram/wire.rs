//! One call of the Bot API: the payload as JSON, the answer as text.
//!
//! The payloads are teloxide's. Its own sender is not used: it waits ten seconds inside the call after every answer of
//! class 5xx, reads answers of any length, and decodes each receipt as a whole message with all its kinds (a megabyte of
//! program for the one number that is needed).
//!
//! What must hold: an answer is read up to a given length and no further; nothing is tried twice here. The deadline is
//! the caller's.

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use teloxide::requests::Payload;

/// Longest receipt that is read, in bytes. A receipt repeats the message, which has up to 4,096 characters.
pub(super) const LONGEST_RECEIPT: usize = 256 * 1024;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Seconds of the header `Retry-After`, where it is a number.
    pub(super) retry_after: Option<u64>,
    /// The text of the body.
    pub(super) text: String,
}

/// Why there is no answer to read.
#[derive(Debug)]
pub(super) enum WireError {
    /// The payload cannot be written as JSON.
    Payload(serde_json::Error),
    /// The address cannot take a method.
    Address,
    /// No answer, or not all of it. Its text names the address and with it the token.
    Http(reqwest::Error),
    /// The answer is longer than any of Telegram's.
    TooLong,
}

/// Calls the payload's method and gives the answer, whatever its status. At most `longest` bytes of it are read.
///
/// # Errors
/// [`WireError`].
pub(super) async fn call<P>(
    client: &reqwest::Client,
    api: &reqwest::Url,
    token: &SecretString,
    payload: &P,
    longest: usize,
) -> Result<Answer, WireError>
where
    P: Payload + Serialize,
{
    let body = serde_json::to_vec(payload).map_err(WireError::Payload)?;
    let mut address = api.clone();
    address
        .path_segments_mut()
        .map_err(|()| WireError::Address)?
        .pop_if_empty()
        .push(&format!("bot{}", token.expose_secret()))
        .push(P::NAME);
    let mut response = client
        .post(address)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body)
        .send()
        .await
        .map_err(WireError::Http)?;
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(WireError::Http)? {
        if answer.len() + chunk.len() > longest {
            return Err(WireError::TooLong);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        retry_after,
        text: String::from_utf8_lossy(&answer).into_owned(),
    })
}
