//! The JSON Schema of `settings.json`, for editors: generated from the key table.
//!
//! It says what an editor can check while somebody types. The loader checks more (contradictions,
//! host bits, placeholders), and its word counts.

use serde_json::{Map, Value, json};

use crate::keys::{Absent, KEYS, Key, Kind};
use crate::model::Mode;
use crate::values::{ALWAYS_ANNOUNCED, EVERY_OTHER};

/// Durations as `domain::duration` reads them.
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// The schema of `settings.json` (draft 2020-12), pretty-printed with a final line break.
pub fn json_schema() -> String {
    let mut root = object("Settings of the Cloudflare Magic Transit orchestrator.");
    put(
        &mut root,
        "$schema",
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    put(&mut root, "title", json!("settings.json"));
    for key in KEYS {
        insert(&mut root, key.path, value_schema(key));
        if let Some(path) = key.file_path() {
            insert(
                &mut root,
                &path,
                json!({
                    "type": ["string", "null"],
                    "description": format!("File that holds {}, beside settings.json if the path is relative.", key.path),
                }),
            );
        }
        if matches!(key.absent, Absent::Required) {
            put(
                &mut root,
                "$comment",
                json!(format!("Required from some source: {}.", key.path)),
            );
        }
    }
    let properties = root.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        properties.insert("$schema".to_owned(), json!({"type": "string"}));
    }
    let mut text = serde_json::to_string_pretty(&root).unwrap_or_default();
    text.push('\n');
    text
}

fn object(description: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "description": description,
        "properties": {},
        "patternProperties": {"^_": {}},
        "additionalProperties": false,
    })
}

fn put(target: &mut Value, name: &str, value: Value) {
    if let Some(members) = target.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Puts a key's schema below its sections, making them on the way.
fn insert(target: &mut Value, path: &str, schema: Value) {
    let Some(properties) = target.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    match path.split_once('.') {
        None => {
            properties.insert(path.to_owned(), schema);
        }
        Some((section, rest)) => {
            let below = properties
                .entry(section.to_owned())
                .or_insert_with(|| object(section_meaning(section)));
            insert(below, rest, schema);
        }
    }
}

/// One sentence for each section, for schema and reference.
pub(crate) fn section_meaning(section: &str) -> &'static str {
    match section {
        "cloudflare" => "Account and credentials at Cloudflare.",
        "telegram" => {
            "Where messages go. Without bot token and chat nothing is sent; events are recorded all the same."
        }
        "alert_webhook" => "A web address that gets copies of messages as signed JSON. It needs url and secret.",
        "mail" => "A mail server that takes copies of messages. It needs host, from and to.",
        "database" => "The SQLite file that all programs share.",
        "retention" => "How long rows are kept, per table: a duration of at least a day, or `forever`.",
        "webhook" => "The receiver of Cloudflare's notifications.",
        "dashboard" => "The web dashboard.",
        "analytics" => "The poller of attack analytics.",
        "autowithdraw" => "The automation that withdraws prefixes once calm is proven.",
        "geoip" => "GeoIP databases.",
        "organisation" => "How messages and pages name their operator.",
        _ => "",
    }
}

fn value_schema(key: &Key) -> Value {
    let mut schema = kind_schema(key.kind);
    put(&mut schema, "description", json!(key.meaning));
    if let Some(default) = key.absent.json() {
        put(&mut schema, "default", default);
    }
    Value::Object(schema.as_object().cloned().unwrap_or_else(Map::new))
}

fn kind_schema(kind: Kind) -> Value {
    let text = json!({"type": ["string", "null"], "minLength": 1});
    match kind {
        Kind::Identifier => json!({"type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]{1,36}$"}),
        Kind::Text => json!({"type": ["string", "null"], "maxLength": 200}),
        Kind::Email => json!({"type": ["string", "null"], "pattern": "^[^@ ]+@[^@ ]+$"}),
        Kind::Secret => text,
        Kind::Secrets => json!({
            "type": ["string", "array", "null"],
            "minLength": 1,
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": 2,
        }),
        Kind::ApiUrl | Kind::PublicUrl => {
            json!({"type": ["string", "null"], "pattern": "^https?://"})
        }
        Kind::File => json!({"type": ["string", "null"], "pattern": "^/.*[^/]$"}),
        Kind::Duration { min, max } => json!({
            "type": ["string", "null"],
            "minLength": 2,
            "pattern": DURATION,
            "$comment": format!("between {min} and {max}"),
        }),
        Kind::Keep => json!({
            "type": ["string", "null"],
            "minLength": 2,
            "pattern": format!("^forever$|{DURATION}"),
        }),
        Kind::Count { min, max, .. } => {
            json!({"type": ["integer", "null"], "minimum": min, "maximum": max})
        }
        Kind::Flag => json!({"type": ["boolean", "null"]}),
        Kind::Listen => json!({"type": ["string", "null"], "pattern": "^.+:[0-9]{1,5}$"}),
        Kind::Clients => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Kind::Prefixes => {
            json!({"type": ["array", "null"], "items": {"type": "string", "pattern": "/[0-9]{1,3}$"}})
        }
        Kind::Mode => {
            let words: Vec<Value> = Mode::WORDS
                .iter()
                .map(|word| json!(word))
                .chain([Value::Null])
                .collect();
            json!({"enum": words})
        }
        Kind::ChatId => json!({
            "type": ["integer", "string", "null"],
            "pattern": "^(@[A-Za-z0-9_]+|-?[0-9]+)$",
        }),
        Kind::Systems => json!({
            "type": ["string", "array", "null"],
            "pattern": "^all$",
            "items": {"type": "string"},
            "minItems": 1,
        }),
        Kind::DirectRoutes => direct_routes(),
    }
}

fn direct_routes() -> Value {
    let timeout = json!({"type": ["string", "null"], "minLength": 2, "pattern": DURATION});
    let statement = json!({
        "oneOf": [
            {"const": ALWAYS_ANNOUNCED},
            {
                "type": "object",
                "properties": {
                    "url": {"type": "string", "pattern": "^https?://"},
                    "timeout": timeout.clone(),
                },
                "required": ["url"],
                "additionalProperties": false,
            },
            {
                "type": "object",
                "properties": {
                    "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    "timeout": timeout,
                },
                "required": ["command"],
                "additionalProperties": false,
            },
        ],
    });
    json!({
        "type": ["object", "null"],
        "properties": {EVERY_OTHER: statement.clone()},
        "patternProperties": {"/[0-9]{1,3}$": statement, "^_": {}},
        "additionalProperties": false,
    })
}
