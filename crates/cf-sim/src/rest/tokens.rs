//! Token verification: needs no permission and says nothing about scopes.

use serde_json::json;

use super::{failure, method_not_allowed};
use crate::config::SimConfig;
use crate::wire::{Reply, Request};

pub(super) fn verify(request: &Request, known: bool, config: &SimConfig) -> Reply {
    if request.method != "GET" {
        return method_not_allowed();
    }
    if !known || request.header("authorization").is_none() {
        return failure(401, 1000, "Invalid API Token");
    }
    let mut dice = crate::ids::Dice::new(config.seed);
    let message = json!({"code": 10000, "message": "This API Token is valid and active", "type": null});
    let body = json!({"result": {"id": dice.hex32(), "status": "active"}, "success": true, "errors": [], "messages": [message]});
    Reply::json(200, &body)
}
