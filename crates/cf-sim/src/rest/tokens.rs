//! Token verification: needs no permission and says nothing about scopes.

use jiff::Timestamp;
use serde_json::json;

use super::{auth, failure, method_not_allowed};
use crate::config::{SimConfig, TokenConfig, TokenStatus};
use crate::ids::Dice;
use crate::wire::{Reply, Request};

/// Tokens of this form belong to the account, and only the account's route knows them.
const OF_ACCOUNTS: &str = "cfat_";

/// `of_user` is the route that only knows users' tokens.
pub(super) fn verify(request: &Request, of_user: bool, config: &SimConfig) -> Reply {
    if request.method != "GET" {
        return method_not_allowed();
    }
    let unknown = || failure(401, 1000, "Invalid API Token");
    let Some(token) = auth::token(request) else {
        return unknown();
    };
    if of_user && token.starts_with(OF_ACCOUNTS) {
        return unknown();
    }
    let further = auth::further(token, config);
    if token != config.api_token && further.is_none() {
        return unknown();
    }
    let status = further.map_or(TokenStatus::Active, |t| auth::status(t, Timestamp::now()));
    // Every token has an id of its own; it says nothing about its text.
    let position = further.and_then(|t| config.more_tokens.iter().position(|m| m.token == t.token));
    let salt = position.map_or(0, |p| p as u64 + 1);
    let mut result = json!({"id": Dice::new(config.seed.wrapping_add(salt)).hex32(), "status": status});
    if let Some(TokenConfig {
        not_before, expires_on, ..
    }) = further
    {
        for (name, value) in [("not_before", not_before), ("expires_on", expires_on)] {
            if let Some(value) = value {
                result[name] = json!(value);
            }
        }
    }
    let messages = match status {
        TokenStatus::Active => json!([{"code": 10000, "message": "This API Token is valid and active", "type": null}]),
        TokenStatus::Disabled | TokenStatus::Expired => json!([]),
    };
    let body = json!({"result": result, "success": true, "errors": [], "messages": messages});
    Reply::json(200, &body)
}
