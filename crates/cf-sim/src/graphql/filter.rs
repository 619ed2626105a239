//! Filters on rows: all operators, AND and OR, and the time range that a filter spans.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::schema;

const OPERATORS: [&str; 13] = [
    "_nothas", "_notlike", "_hasall", "_hasany", "_notin", "_like", "_neq", "_geq", "_leq", "_has", "_gt", "_lt", "_in",
];

/// `destinationPort_geq` is `destinationPort` and `_geq`; equality has an empty operator.
fn split<'a>(owner: &str, name: &'a str) -> (&'a str, &'static str) {
    for operator in OPERATORS {
        if let Some(base) = name.strip_suffix(operator)
            && schema::field_type(owner, base).is_some()
        {
            return (base, operator);
        }
    }
    (name, "")
}

/// Whether a row, seen through `get`, fits a filter of the input type `owner`.
pub(crate) fn matches(filter: &Map<String, Value>, owner: &str, get: &dyn Fn(&str) -> Value) -> bool {
    filter.iter().all(|(name, wanted)| {
        if wanted.is_null() {
            return true;
        }
        let nested = |v: &Value| v.as_object().is_none_or(|f| matches(f, owner, get));
        match name.as_str() {
            "AND" => wanted.as_array().is_none_or(|all| all.iter().all(nested)),
            "OR" => wanted
                .as_array()
                .is_none_or(|any| any.is_empty() || any.iter().any(nested)),
            _ => {
                let (base, operator) = split(owner, name);
                let kind = schema::field_type(owner, base).unwrap_or("string");
                holds(&get(base), operator, wanted, kind)
            }
        }
    })
}

fn holds(value: &Value, operator: &str, wanted: &Value, kind: &str) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = || compare(value, wanted, kind);
    let among = |list: &Value| match list {
        Value::Array(items) => items.iter().any(|w| compare(value, w, kind) == Some(Equal)),
        // uint8 lists are typed `bytes`: each byte is a value.
        Value::String(bytes) => value.as_u64().is_some_and(|v| bytes.bytes().any(|b| u64::from(b) == v)),
        _ => false,
    };
    let contains = |w: &Value| value.as_array().is_some_and(|items| items.contains(w));
    let items = || wanted.as_array().map_or(&[][..], Vec::as_slice);
    match operator {
        "" => match (value, wanted) {
            (Value::Array(_), Value::Array(_)) => value == wanted,
            _ => order() == Some(Equal),
        },
        "_neq" => order().is_some_and(|o| o != Equal),
        "_gt" => order() == Some(Greater),
        "_geq" => matches!(order(), Some(Greater | Equal)),
        "_lt" => order() == Some(Less),
        "_leq" => matches!(order(), Some(Less | Equal)),
        "_in" => among(wanted),
        "_notin" => !among(wanted),
        "_like" => like(value, wanted),
        "_notlike" => !like(value, wanted),
        "_has" => contains(wanted),
        "_nothas" => !contains(wanted),
        "_hasall" => items().iter().all(contains),
        "_hasany" => items().iter().any(contains),
        _ => false,
    }
}

/// Times by instant, numbers by size, everything else as text.
pub(crate) fn compare(a: &Value, b: &Value, kind: &str) -> Option<std::cmp::Ordering> {
    if kind.contains("Time") {
        let instant = |v: &Value| v.as_str().and_then(|t| t.parse::<Timestamp>().ok());
        return Some(instant(a)?.cmp(&instant(b)?));
    }
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_u64(), y.as_u64()) {
            (Some(x), Some(y)) => Some(x.cmp(&y)),
            _ => x.as_f64()?.partial_cmp(&y.as_f64()?),
        },
        (Value::String(x), Value::String(y)) => Some(x.cmp(y)),
        _ => None,
    }
}

/// SQL LIKE with `%` for any run and `_` for one character.
fn like(value: &Value, pattern: &Value) -> bool {
    let (Some(value), Some(pattern)) = (value.as_str(), pattern.as_str()) else {
        return false;
    };
    let mut expression = String::from("(?s)^");
    for c in pattern.chars() {
        match c {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            c => expression.push_str(&regex::escape(&c.to_string())),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).is_ok_and(|r| r.is_match(value))
}

/// The seconds a filter allows: oldest and newest, as far as it says. OR branches do not narrow it.
pub(crate) fn time_range(filter: &Map<String, Value>, owner: &str) -> (Option<i64>, Option<i64>) {
    let (mut from, mut to) = (None, None);
    let mut narrow = |low: Option<i64>, high: Option<i64>| {
        from = [from, low].into_iter().flatten().max();
        to = [to, high].into_iter().flatten().min();
    };
    for (name, wanted) in filter {
        if name == "AND" {
            for part in wanted.as_array().into_iter().flatten().filter_map(Value::as_object) {
                let (low, high) = time_range(part, owner);
                narrow(low, high);
            }
            continue;
        }
        let (base, operator) = split(owner, name);
        let second = match schema::field_type(owner, base) {
            Some("Time") => wanted
                .as_str()
                .and_then(|t| t.parse::<Timestamp>().ok())
                .map(|t| t.as_second()),
            Some("Date") => wanted
                .as_str()
                .and_then(|t| format!("{t}T00:00:00Z").parse::<Timestamp>().ok())
                .map(|t| t.as_second()),
            _ => None,
        };
        let Some(second) = second else { continue };
        match operator {
            "" => narrow(Some(second), Some(second)),
            "_gt" | "_geq" => narrow(Some(second), None),
            "_lt" | "_leq" => narrow(None, Some(second)),
            _ => {}
        }
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWNER: &str = "AccountMagicTransitNetworkAnalyticsAdaptiveGroupsFilter_InputObject";

    fn fits(filter: &Value) -> bool {
        let row = json!({"outcome": "drop", "destinationPort": 53, "datetime": "2026-04-24T10:05:00Z", "ipDestinationAddress": "203.0.113.10"});
        matches(filter.as_object().unwrap(), OWNER, &|name| {
            row.get(name).cloned().unwrap_or_else(|| json!(""))
        })
    }

    #[test]
    fn every_operator_decides_both_ways() {
        for (filter, expected) in [
            (json!({"outcome": "drop"}), true),
            (json!({"outcome_neq": "drop"}), false),
            (json!({"destinationPort_gt": 52, "destinationPort_lt": 54}), true),
            (json!({"destinationPort_geq": 54}), false),
            (json!({"destinationPort_leq": 53}), true),
            (json!({"destinationPort_in": [53, 80]}), true),
            (json!({"destinationPort_notin": [53]}), false),
            (json!({"ipDestinationAddress_like": "203.0.113.%"}), true),
            (json!({"ipDestinationAddress_notlike": "203.%"}), false),
            (json!({"datetime_geq": "2026-04-24T12:05:00+02:00"}), true),
            (json!({"datetime_lt": "2026-04-24T10:05:00Z"}), false),
            (json!({"OR": [{"outcome": "pass"}, {"destinationPort": 53}]}), true),
            (json!({"AND": [{"outcome": "drop"}, {"destinationPort": 80}]}), false),
        ] {
            assert_eq!(fits(&filter), expected, "{filter}");
        }
    }

    #[test]
    fn the_time_range_is_the_narrowest() {
        let filter = json!({"datetime_geq": "2026-04-24T10:00:00Z", "AND": [{"datetime_geq": "2026-04-24T11:00:00Z"}], "date_leq": "2026-04-25"});
        let (from, to) = time_range(filter.as_object().unwrap(), OWNER);
        assert_eq!(to.unwrap() - from.unwrap(), 13 * 3600);
    }
}
