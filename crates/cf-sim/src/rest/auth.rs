//! Credentials: what a malformed header, an unknown token and a global key look like.

use jiff::Timestamp;
use serde_json::json;

use crate::config::{Permissions, SimConfig, TokenConfig, TokenStatus};
use crate::wire::{Reply, Request};

/// Shortest text that has the form of a token; a 37-digit global key sent as a token is malformed.
const SHORTEST_TOKEN: usize = 40;

/// The refusal of headers that do not even have the right form.
pub(crate) fn bad_header(request: &Request) -> Option<Reply> {
    if let Some(header) = request.headers.get("authorization") {
        let token = header.to_str().ok().and_then(|h| h.strip_prefix("Bearer "));
        let formed = token.is_some_and(|t| {
            t.len() >= SHORTEST_TOKEN
                && t.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='))
        });
        return (!formed).then(|| refusal(6111, "Invalid format for Authorization header"));
    }
    let Some(key) = request.header("x-auth-key") else {
        return Some(crate::rest::failure(
            400,
            9106,
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        ));
    };
    let formed = key.len() == 37 && key.bytes().all(|b| b.is_ascii_hexdigit());
    (!formed).then(|| refusal(6103, "Invalid format for X-Auth-Key header"))
}

fn refusal(code: u32, message: &str) -> Reply {
    let error = json!({"code": 6003, "message": "Invalid request headers", "error_chain": [{"code": code, "message": message}]});
    Reply::json(
        400,
        &json!({"success": false, "errors": [error], "messages": [], "result": null}),
    )
}

/// Whether the credentials are the account's and may be used now.
pub(crate) fn known(request: &Request, config: &SimConfig) -> bool {
    match token(request) {
        Some(token) if token == config.api_token => true,
        Some(token) => further(token, config).is_some_and(|t| status(t, Timestamp::now()) == TokenStatus::Active),
        None => config.global_key.as_ref().is_some_and(|k| {
            request.header("x-auth-email") == Some(k.email.as_str())
                && request.header("x-auth-key") == Some(k.key.as_str())
        }),
    }
}

/// What the credentials may do; a global key may what the first token may.
pub(crate) fn permissions(request: &Request, config: &SimConfig) -> Permissions {
    let further = token(request).and_then(|t| further(t, config));
    further.map_or(config.permissions, |t| t.permissions)
}

/// The token of the request.
pub(super) fn token(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// One of the tokens besides the first.
pub(super) fn further<'c>(token: &str, config: &'c SimConfig) -> Option<&'c TokenConfig> {
    config.more_tokens.iter().find(|t| t.token == token)
}

/// What a token is at a time.
pub(super) fn status(token: &TokenConfig, now: Timestamp) -> TokenStatus {
    if token.status != TokenStatus::Active {
        token.status
    } else if token.expires_on.is_some_and(|end| end <= now) {
        TokenStatus::Expired
    } else if token.not_before.is_some_and(|start| now < start) {
        TokenStatus::Disabled
    } else {
        TokenStatus::Active
    }
}
