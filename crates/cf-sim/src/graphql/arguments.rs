//! Argument values: variables filled in, every scalar checked against its declared type.

use apollo_compiler::ast::Value as Literal;
use jiff::Timestamp;
use jiff::civil;
use serde_json::{Map, Value};

use super::schema;

/// The value of a literal for a declared type such as `[string!]`; `Ok(None)` when a variable has no value.
pub(crate) fn value_of(literal: &Literal, kind: &str, variables: &Map<String, Value>) -> Result<Option<Value>, String> {
    let wrong = |what: &str| Err(format!("expected {}, got {what}", kind.trim_end_matches('!')));
    match literal {
        Literal::Variable(name) => match variables.get(name.as_str()) {
            Some(value) => check(value, kind).map(Some),
            None => Ok(None),
        },
        Literal::Null => check(&Value::Null, kind).map(Some),
        Literal::String(text) => check(&Value::String(text.clone()), kind).map(Some),
        Literal::Boolean(flag) => check(&Value::Bool(*flag), kind).map(Some),
        Literal::Int(number) => check(&number_json(number.as_str()), kind).map(Some),
        Literal::Float(number) => check(&number_json(number.as_str()), kind).map(Some),
        Literal::Enum(name) => {
            let inner = kind
                .trim_end_matches('!')
                .trim_start_matches('[')
                .trim_end_matches(']')
                .trim_end_matches('!');
            if !inner.ends_with("OrderBy") {
                return wrong(&format!("the bare word {name}"));
            }
            check(&Value::String(name.to_string()), kind).map(Some)
        }
        Literal::List(items) => {
            let Some(inner) = list_item(kind) else {
                return wrong("a list");
            };
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                all.extend(value_of(item, inner, variables)?);
            }
            Ok(Some(Value::Array(all)))
        }
        Literal::Object(fields) => {
            let owner = kind.trim_end_matches('!');
            let owner = list_item(owner).map_or(owner, |i| i.trim_end_matches('!'));
            let mut all = Map::new();
            for (name, literal) in fields {
                let Some(kind) = schema::field_type(owner, name) else {
                    return Err(format!("unknown field \"{name}\""));
                };
                if let Some(value) = value_of(literal, kind, variables).map_err(|e| format!("{name}: {e}"))? {
                    all.insert(name.to_string(), value);
                }
            }
            let object = Value::Object(all);
            Ok(Some(if list_item(kind).is_some() {
                Value::Array(vec![object])
            } else {
                object
            }))
        }
    }
}

fn number_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// `[x!]!` has items `x!`.
fn list_item(kind: &str) -> Option<&str> {
    kind.trim_end_matches('!').strip_prefix('[')?.strip_suffix(']')
}

/// A JSON value (of a variable, mostly) against a declared type.
pub(crate) fn check(value: &Value, kind: &str) -> Result<Value, String> {
    if value.is_null() {
        return if kind.ends_with('!') {
            Err("must not be null".to_owned())
        } else {
            Ok(Value::Null)
        };
    }
    if let Some(item) = list_item(kind) {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        return items
            .iter()
            .map(|v| check(v, item))
            .collect::<Result<_, _>>()
            .map(Value::Array);
    }
    let kind = kind.trim_end_matches('!');
    let whole = |low: i128, high: i128| {
        let number = value
            .as_i64()
            .map(i128::from)
            .or_else(|| value.as_u64().map(i128::from));
        number.is_some_and(|n| (low..=high).contains(&n))
    };
    let fits = match kind {
        "string" => value.is_string(),
        "Time" => value.as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()),
        "Date" => value.as_str().is_some_and(|t| t.parse::<civil::Date>().is_ok()),
        "bool" => value.is_boolean(),
        "uint8" => whole(0, 0xff),
        "uint16" => whole(0, 0xffff),
        "uint32" => whole(0, 0xffff_ffff),
        // Negative numbers too: the range of `limit` has its own error text.
        "uint64" | "int64" => whole(i128::from(i64::MIN), i128::from(u64::MAX)),
        "float32" | "float64" => value.is_number(),
        "bytes" => value.is_string(),
        _ if kind.ends_with("OrderBy") => value.is_string(),
        _ => return check_object(value, kind),
    };
    if fits {
        Ok(value.clone())
    } else {
        Err(format!("expected {kind}, got {value}"))
    }
}

fn check_object(value: &Value, kind: &str) -> Result<Value, String> {
    let Value::Object(fields) = value else {
        return Err(format!("expected an object, got {value}"));
    };
    let mut all = Map::new();
    for (name, value) in fields {
        let Some(kind) = schema::field_type(kind, name) else {
            return Err(format!("unknown field \"{name}\""));
        };
        all.insert(name.clone(), check(value, kind).map_err(|e| format!("{name}: {e}"))?);
    }
    for (name, kind) in schema::fields_of(kind) {
        if kind.ends_with('!') && !all.contains_key(name) {
            return Err(format!("field \"{name}\" is required"));
        }
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_types_are_refused() {
        let filter = "AccountMagicTransitNetworkAnalyticsAdaptiveGroupsFilter_InputObject!";
        assert!(check(&json!({"outcome": "drop", "destinationPort": 53}), filter).is_ok());
        assert!(check(&json!({"outcome": 1}), filter).is_err());
        assert!(check(&json!({"destinationPort": 70000}), filter).is_err());
        assert!(check(&json!({"destinationPort": "53"}), filter).is_err());
        assert!(check(&json!({"datetime_geq": "yesterday"}), filter).is_err());
        assert!(check(&json!({"verdict": "drop"}), filter).is_err());
        assert!(check(&json!({"AND": [{"outcome_in": ["pass"]}]}), filter).is_ok());
    }
}
