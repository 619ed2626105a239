//! The envelope of a notification, in normal form.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::field::{self, MAX_TEXT, bounded};
use crate::rest::history::HistoryItem;

/// Envelope key that marks our own self-tests: they take the real way and stay out of statistics.
pub const TEST_MARKER: &str = "cloudflare_mt_test";

/// Problems listed per body; a hostile body could otherwise make thousands.
pub(super) const MAX_PROBLEMS: usize = 20;

/// What a body turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// JSON; read as far as it could be.
    Notification(Box<Notification>),
    /// Not JSON.
    NotJson(NotJson),
}

/// A body that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    /// What is wrong with it.
    pub why: String,
    /// How it begins, fit for showing.
    pub head: String,
}

/// `alert_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventWord {
    /// `ALERT_STATE_EVENT_START`
    Start,
    /// `ALERT_STATE_EVENT_END`
    End,
    /// Another word, as written.
    Other(String),
}

impl EventWord {
    fn read(word: &str) -> Self {
        let plain = word.trim().to_ascii_uppercase();
        match plain.strip_prefix("ALERT_STATE_EVENT_").unwrap_or(&plain) {
            "START" => Self::Start,
            "END" => Self::End,
            _ => Self::Other(word.trim().to_owned()),
        }
    }
}

/// The envelope in normal form. Everything may be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notification {
    /// `alert_type` as written.
    pub alert_type: Option<String>,
    /// `alert_event`.
    pub event: Option<EventWord>,
    /// `alert_correlation_id`, lower case without hyphens.
    pub correlation_id: Option<String>,
    /// `account_id`, lower case without hyphens.
    pub account_id: Option<String>,
    /// `policy_id`, lower case without hyphens.
    pub policy_id: Option<String>,
    /// `policy_name`, else `name`.
    pub policy_name: Option<String>,
    /// `ts`.
    pub sent_at: Option<Timestamp>,
    /// Human text, line breaks kept.
    pub text: Option<String>,
    /// `data`; an empty object when there is none. Whatever else came stays in it.
    pub data: Map<String, Value>,
    /// Envelope keys that are not documented.
    pub extra: Map<String, Value>,
    /// One of our own self-tests.
    pub is_test: bool,
    /// The body Cloudflare sends when a destination is saved: nothing but a text about a test.
    pub is_verification: bool,
    /// What is not as documented.
    pub problems: Vec<String>,
}

/// What can be told of a body before it is read: enough for an answer to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// Whether it is JSON: [`decode`] makes a notification of it.
    pub is_json: bool,
    /// Whether it is marked as a self-test of ours.
    pub is_test: bool,
}

/// Looks at any bytes. Never fails, never panics.
pub fn glance(body: &[u8]) -> Glance {
    let parsed = parse(without_mark(body), &mut Vec::new());
    Glance {
        is_json: parsed.is_ok(),
        is_test: parsed.is_ok_and(|body| body.get(TEST_MARKER) == Some(&Value::Bool(true))),
    }
}

/// The body without a byte order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(body)
}

fn parse(body: &[u8], problems: &mut Vec<String>) -> serde_json::Result<Value> {
    serde_json::from_slice::<Value>(body).or_else(|error| {
        // A single broken byte in a name must not make the alert unreadable.
        if std::str::from_utf8(body).is_ok() {
            return Err(error);
        }
        let lossy = String::from_utf8_lossy(body);
        serde_json::from_str(&lossy).inspect(|_| problems.push("body is not UTF-8".to_owned()))
    })
}

/// Reads any bytes. Never fails, never panics; nesting is bounded by the JSON parser.
pub fn decode(body: &[u8]) -> Decoded {
    let body = without_mark(body);
    let mut problems = Vec::new();
    match parse(body, &mut problems) {
        Ok(value) => Decoded::Notification(Box::new(notification(value, problems))),
        Err(error) => Decoded::NotJson(NotJson {
            why: if body.is_empty() {
                "the body is empty".to_owned()
            } else {
                error.to_string()
            },
            head: bounded(&String::from_utf8_lossy(&body[..body.len().min(2_000)]), 500),
        }),
    }
}

fn notification(body: Value, problems: Vec<String>) -> Notification {
    let mut read = Notification {
        problems,
        ..Notification::default()
    };
    let only_text = body
        .as_object()
        .is_some_and(|body| body.len() == 1 && body.contains_key("text"));
    let (mut body, unusual) = field::object(body);
    if let Some(unusual) = unusual {
        read.problem(format!("body {unusual}"));
    }
    read.alert_type = read.take_text(&mut body, "alert_type");
    read.event = read
        .take_text(&mut body, "alert_event")
        .map(|word| EventWord::read(&word));
    read.correlation_id = read.take_id(&mut body, "alert_correlation_id");
    read.account_id = read.take_id(&mut body, "account_id");
    read.policy_id = read.take_id(&mut body, "policy_id");
    let name = read.take_text(&mut body, "name");
    read.policy_name = read.take_text(&mut body, "policy_name").or(name);
    read.text = match body.remove("text") {
        Some(Value::String(text)) => Some(bounded(&text, MAX_TEXT)).filter(|text| !text.is_empty()),
        Some(other) => field::shown(&other),
        None => None,
    };
    if let Some(ts) = body.remove("ts") {
        read.sent_at = field::instant(&ts);
        if read.sent_at.is_none() && !field::is_unset_instant(&ts) {
            read.problem(format!("ts is no instant: {}", brief(&ts)));
        }
    }
    read.is_test = body.remove(TEST_MARKER) == Some(Value::Bool(true));
    let (data, unusual) = field::object(body.remove("data").unwrap_or_default());
    if let Some(unusual) = unusual {
        read.problem(format!("data {unusual}"));
    }
    read.data = data;
    read.extra = body;
    read.is_verification = only_text
        && read
            .text
            .as_ref()
            .is_some_and(|text| text.to_lowercase().contains("test"));
    read
}

/// A dispatched notification of the history as the body that was, or would have been, delivered, and
/// whether that body carries an instant of its own.
///
/// The text of the history is taken as it is when it is such a body; its hash is then the
/// delivery's. Otherwise the entry's columns fill what the body lacks: type, policy, and as `ts`
/// when it was dispatched.
pub fn from_history(item: &HistoryItem) -> (Vec<u8>, bool) {
    let (mut body, is_envelope) = match &item.body {
        // Its own envelope, or the documented example {"data":..,"metadata":..}.
        Value::Object(body) if body.contains_key("data") || body.contains_key("alert_type") => (body.clone(), true),
        Value::Object(data) => (Map::from_iter([("data".to_owned(), data.clone().into())]), false),
        other => {
            let text = field::shown(other).or_else(|| item.description.clone());
            (Map::from_iter([("text".to_owned(), text.into())]), false)
        }
    };
    let is_dated = body.get("ts").and_then(field::instant).is_some();
    if let Some(text) = &item.body_text
        && is_envelope
        && is_dated
        && body.contains_key("alert_type")
    {
        return (text.clone().into_bytes(), true);
    }
    let mut fill = |key: &str, value: Option<Value>| {
        if let Some(value) = value
            && body.get(key).is_none_or(Value::is_null)
        {
            body.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).map(Value::from);
    fill("alert_type", text(&item.alert_type));
    fill("policy_id", text(&item.policy_id));
    fill("name", text(&item.name));
    fill("text", text(&item.description));
    if !is_dated {
        body.insert("ts".to_owned(), item.sent_at.as_second().into());
    }
    (Value::Object(body).to_string().into_bytes(), is_dated)
}

fn brief(value: &Value) -> String {
    bounded(&value.to_string(), 80)
}

impl Notification {
    pub(super) fn problem(&mut self, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what);
        }
    }

    fn take_text(&mut self, body: &mut Map<String, Value>, key: &str) -> Option<String> {
        let value = body.remove(key)?;
        let text = field::scalar(&value);
        if text.is_none() && !matches!(value, Value::Null | Value::String(_)) {
            self.problem(format!("{key} is no text: {}", brief(&value)));
            return field::shown(&value);
        }
        text
    }

    fn take_id(&mut self, body: &mut Map<String, Value>, key: &str) -> Option<String> {
        self.take_text(body, key).as_deref().and_then(field::id)
    }
}
