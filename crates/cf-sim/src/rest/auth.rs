//! Credentials: what a malformed header, an unknown token and a global key look like.

use serde_json::json;

use crate::config::SimConfig;
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

/// Whether the credentials are the account's.
pub(crate) fn known(request: &Request, config: &SimConfig) -> bool {
    if let Some(header) = request.header("authorization") {
        return header.strip_prefix("Bearer ") == Some(config.api_token.as_str());
    }
    config.global_key.as_ref().is_some_and(|k| {
        request.header("x-auth-email") == Some(k.email.as_str()) && request.header("x-auth-key") == Some(k.key.as_str())
    })
}
