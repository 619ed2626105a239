//! Parse modes: which parser, and the text being built with its entities.

use serde_json::{Value, json};

use super::{html, markdown};

/// Text without markup, and where the markup was (offsets and lengths in UTF-16 units).
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) text: String,
    pub(super) entities: Vec<Value>,
}

/// The error is the text after "Bad Request: ".
pub(super) fn parse(raw: &str, mode: Option<&str>) -> Result<Parsed, String> {
    let parsed = match mode.map(str::to_ascii_lowercase).as_deref() {
        None | Some("none") => Ok(Parsed {
            text: raw.to_owned(),
            entities: Vec::new(),
        }),
        Some("html") => html::parse(raw),
        Some("markdownv2") => markdown::parse_v2(raw),
        Some("markdown") => markdown::parse_legacy(raw),
        Some(_) => return Err("unsupported parse_mode".to_owned()),
    };
    parsed.map_err(|e| format!("can't parse entities: {e}"))
}

impl Parsed {
    pub(super) fn position(&self) -> usize {
        self.text.encode_utf16().count()
    }

    /// An entity from `start` to the end of the text so far; empty ones are left out.
    pub(super) fn close(&mut self, kind: &str, start: usize, extra: Option<(&str, String)>) {
        let length = self.position() - start;
        if length == 0 || kind.is_empty() {
            return;
        }
        let mut entity = json!({"type": kind, "offset": start, "length": length});
        if let Some((name, value)) = extra {
            entity[name] = json!(value);
        }
        self.entities.push(entity);
    }
}
