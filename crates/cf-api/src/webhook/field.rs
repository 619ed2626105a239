//! Fields of bodies whose types cannot be relied on.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Longest single field kept for showing; the stored body keeps everything.
pub(super) const MAX_FIELD: usize = 500;

/// Longest human text kept; Telegram takes 4,096.
pub(super) const MAX_TEXT: usize = 4_000;

/// Milliseconds begin where seconds would mean the year 5138.
const FIRST_MILLISECONDS: f64 = 1e11;

/// `text` without control characters except line breaks, at most `max` characters.
pub(super) fn bounded(text: &str, max: usize) -> String {
    let text = text.trim();
    // Nearly every field is short and plain.
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut kept: String = text
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .take(max + 1)
        .collect();
    if kept.chars().count() > max {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// A scalar as text; `None` for null, an empty text, and anything nested.
pub(super) fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => bounded(text, MAX_FIELD),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Anything as one short text for showing; `None` when there is nothing to show.
pub(super) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let words: Vec<String> = items.iter().filter_map(item).collect();
            (!words.is_empty()).then(|| bounded(&words.join(", "), MAX_FIELD))
        }
        Value::Object(object) if object.is_empty() => None,
        Value::Object(_) => Some(bounded(&value.to_string(), MAX_FIELD)),
        single => scalar(single),
    }
}

/// An item of a list: `{"id":..,"name":..}` is known by its name.
fn item(value: &Value) -> Option<String> {
    match value.get("name").and_then(scalar) {
        Some(name) => Some(name),
        None => match value {
            Value::Null => None,
            Value::Array(_) | Value::Object(_) => Some(value.to_string()),
            single => scalar(single),
        },
    }
}

/// An id in normal form: lower case, without hyphens.
pub(super) fn id(text: &str) -> Option<String> {
    let normal: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && *c != '-')
        .flat_map(char::to_lowercase)
        .take(128)
        .collect();
    (!normal.is_empty()).then_some(normal)
}

/// An instant: Unix seconds or milliseconds as number or text, RFC 3339, or what Go prints.
/// The Unix epoch itself stands for "not set".
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let at = match (number, value) {
        (Some(number), _) => from_number(number)?,
        (None, Value::String(text)) => from_text(text)?,
        (None, _) => return None,
    };
    (at != Timestamp::UNIX_EPOCH).then_some(at)
}

#[allow(clippy::cast_possible_truncation)]
fn from_number(number: f64) -> Option<Timestamp> {
    if !number.is_finite() {
        return None;
    }
    let ms = if number.abs() < FIRST_MILLISECONDS {
        number * 1_000.0
    } else {
        number
    };
    // Saturates, and is then out of range.
    Timestamp::from_millisecond(ms as i64).ok()
}

fn from_text(text: &str) -> Option<Timestamp> {
    // Go appends its monotonic reading: "2024-01-15 08:00:00 +0000 UTC m=+0.1".
    let text = text.split(" m=").next().unwrap_or(text);
    domain::time::from_text(text)
}

/// Whether `value` reads as an instant that was left unset.
pub(super) fn is_unset_instant(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let text = text.trim();
            text.is_empty() || text == "0" || from_text(text).is_some_and(|at| at <= Timestamp::UNIX_EPOCH)
        }
        _ => false,
    }
}

/// An object, wherever it hides: itself, JSON text of one, or the only object of a list.
/// The second part says what was unusual.
pub(super) fn object(value: Value) -> (Map<String, Value>, Option<&'static str>) {
    match value {
        Value::Object(object) => (object, None),
        Value::Null => (Map::new(), None),
        Value::String(text) if text.trim().is_empty() => (Map::new(), None),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => (object, None),
            _ => (
                Map::from_iter([("text".to_owned(), Value::String(text))]),
                Some("is a text instead of an object"),
            ),
        },
        Value::Array(mut items) => match items.as_mut_slice() {
            [] => (Map::new(), None),
            [Value::Object(only)] => (std::mem::take(only), Some("is a list instead of an object")),
            _ => (
                Map::from_iter([("items".to_owned(), Value::Array(items))]),
                Some("is a list instead of an object"),
            ),
        },
        single => (
            Map::from_iter([("value".to_owned(), single)]),
            Some("is a single value instead of an object"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instants_in_all_forms() {
        let expected: Timestamp = "2024-01-15T08:00:00Z".parse().unwrap();
        for written in [
            json!(1_705_305_600),
            json!("1705305600"),
            json!(1_705_305_600_000_i64),
            json!(1_705_305_600.0),
            json!("2024-01-15T08:00:00Z"),
            json!("2024-01-15T09:00:00+01:00"),
            json!("2024-01-15 08:00:00 +0000 UTC"),
            json!("2024-01-15 08:00:00 +0000 UTC m=+0.17"),
        ] {
            assert_eq!(instant(&written), Some(expected), "{written}");
        }
        for unset in [
            json!(null),
            json!(0),
            json!("0"),
            json!(""),
            json!("1970-01-01 00:00:00 +0000 UTC"),
            json!("0001-01-01T00:00:00Z"),
        ] {
            assert!(is_unset_instant(&unset), "{unset}");
        }
        for bad in [json!("soon"), json!(1e300), json!([1]), json!(true)] {
            assert_eq!(instant(&bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_and_texts_are_shown_in_words() {
        let components = json!([{"id": "1", "name": "Magic Transit"}, {"id": "2", "name": "API"}]);
        assert_eq!(shown(&components).as_deref(), Some("Magic Transit, API"));
        assert_eq!(shown(&json!(["a", null, 3])).as_deref(), Some("a, 3"));
        assert_eq!(shown(&json!([])), None);
        assert_eq!(shown(&json!({})), None);
        assert_eq!(bounded("a\u{0}b\nc", 10), "ab\nc");
        assert_eq!(bounded("abcdef", 3), "abc…");
    }
}
