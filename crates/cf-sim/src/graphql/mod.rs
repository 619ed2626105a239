//! Cloudflare's GraphQL Analytics API: documents are validated against the real schema and executed over the stored rows.
//!
//! Refusals come as HTTP 200 with `data: null` and `errors`, in the documented words. Nothing is ever answered with an
//! empty list because it was not understood.

mod arguments;
mod execute;
mod filter;
mod measure;
mod node;
mod schema;
mod validate;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::faults::FaultKind;
use crate::wire::{Reply, Request};
use crate::world::World;

/// An error in the API's form.
#[derive(Debug, Clone)]
pub(crate) struct GraphqlError {
    message: String,
    path: Option<Vec<String>>,
}

impl GraphqlError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: None,
        }
    }

    fn at(message: impl Into<String>, path: &[&str]) -> Self {
        Self {
            message: message.into(),
            path: Some(path.iter().map(|p| (*p).to_owned()).collect()),
        }
    }

    fn json(&self) -> Value {
        json!({"message": self.message, "path": self.path, "extensions": {"timestamp": Timestamp::now().to_string()}})
    }
}

/// `data: null` with these messages.
pub(crate) fn errors_reply(status: u16, messages: &[String]) -> Reply {
    let errors: Vec<Value> = messages.iter().map(|m| GraphqlError::new(m.as_str()).json()).collect();
    Reply::json(status, &json!({"data": null, "errors": errors}))
}

/// Answers one POST.
pub(crate) fn handle(request: &Request, fault: Option<&FaultKind>, world: &World) -> Reply {
    if let Some(refused) = crate::rest::auth::bad_header(request) {
        return refused;
    }
    if !crate::rest::auth::known(request, &world.config) {
        return errors_reply(401, &["Unauthorized".to_owned()]);
    }
    if request.method != "POST" {
        return crate::rest::failure(405, 10_405, "Method not allowed");
    }
    let now = Timestamp::now();
    let tally = world.lock().graphql_quota.take(now);
    if tally.refused {
        return errors_reply(
            429,
            &["rate limiter budget depleted, try again after 5 minutes".to_owned()],
        )
        .header("retry-after", tally.reset_s);
    }
    if !crate::rest::auth::permissions(request, &world.config).analytics {
        return errors_reply(403, &["not authorized for that account".to_owned()]);
    }
    match run(request, fault, world, now) {
        Ok(data) => {
            let errors = match fault {
                Some(FaultKind::GraphqlErrorsWithData { messages }) => {
                    messages.iter().map(|m| GraphqlError::new(m.as_str()).json()).collect()
                }
                _ => Value::Null,
            };
            Reply::json(200, &json!({"data": data, "errors": errors}))
        }
        Err(errors) => {
            let errors: Vec<Value> = errors.iter().map(GraphqlError::json).collect();
            Reply::json(200, &json!({"data": null, "errors": errors}))
        }
    }
}

fn run(
    request: &Request,
    fault: Option<&FaultKind>,
    world: &World,
    now: Timestamp,
) -> Result<Value, Vec<GraphqlError>> {
    let review = |what: String| {
        vec![GraphqlError::new(format!(
            "query contains error, please review it and retry: {what}"
        ))]
    };
    let body = request.json().map_err(review)?;
    let Some(query) = body.get("query").and_then(Value::as_str) else {
        return Err(review("the body has no \"query\"".into()));
    };
    let empty = Map::new();
    let variables = match body.get("variables") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(map)) => map,
        Some(_) => return Err(review("\"variables\" must be an object".into())),
    };
    let operation = body.get("operationName").and_then(Value::as_str);
    let document = validate::validate(query, variables)?;
    execute::execute(&document, operation, variables, fault, world, now)
}
