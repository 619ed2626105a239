//! One HTTP request to the Bot API, with our own deadline and a bound on the answer.
//!
//! Methods, arguments and results are teloxide's types; the request itself is ours, because teloxide sleeps for ten
//! seconds inside a request that is answered with a server error, and everything behind it would wait as long.
//! What must hold: the whole exchange ends within the deadline; the address, which holds the token, is in no error.

use std::error::Error as _;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use teloxide::requests::Payload;

/// Longest answer that is read; a hundred updates of the longest messages fit in.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Seconds of the header `Retry-After`, where it is a number.
    pub(super) retry_after: Option<u64>,
    /// The body, as far as it is text.
    pub(super) body: String,
}

/// Calls a method. The error says what happened, in words without the address.
pub(super) async fn call<P: Payload + Serialize>(
    client: &Client,
    url: reqwest::Url,
    payload: &P,
    deadline: Duration,
) -> Result<Answer, String> {
    let body = serde_json::to_vec(payload).map_err(|error| format!("the request could not be written: {error}"))?;
    match tokio::time::timeout(deadline, exchange(client, url, body)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err(format!(
            "no answer within {}; it may have arrived",
            domain::duration::human(deadline)
        )),
    }
}

async fn exchange(client: &Client, url: reqwest::Url, body: Vec<u8>) -> Result<Answer, reqwest::Error> {
    let mut response = client
        .post(url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body)
        .send()
        .await?;
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    let mut body = Vec::new();
    while body.len() < LONGEST_ANSWER {
        match response.chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(Answer {
        status,
        retry_after,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn words(error: &reqwest::Error) -> String {
    let what = if error.is_builder() {
        "the request could not be made"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time; it may have arrived"
    } else {
        "the connection broke; it may have arrived"
    };
    // The outermost text of the HTTP library names the address, which holds the token; the causes do not.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
}
