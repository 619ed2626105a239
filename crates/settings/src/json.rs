//! JSON text to a tree that remembers the line of every value and every repeated key.
//!
//! The common readers silently keep the last of two equal keys; in a mapping from prefix to ids
//! that would silently drop a prefix. Syntax itself is judged by `serde_json`, which also limits
//! the nesting depth before anything here recurses.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value and the line where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// 1 is the first line.
    pub(crate) line: u32,
    pub(crate) data: Data,
}

/// The content of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// In file order, repeated keys included.
    Object(Vec<(String, Node)>),
}

impl Data {
    /// The type, as a noun phrase for messages.
    pub(crate) fn found(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(true) => "true",
            Self::Flag(false) => "false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Node {
    /// A node that stands in no file.
    pub(crate) fn made(value: serde_json::Value) -> Self {
        use serde_json::Value;
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(flag) => Data::Flag(flag),
            Value::Number(number) => Data::Number(number),
            Value::String(text) => Data::Text(text),
            Value::Array(items) => Data::List(items.into_iter().map(Self::made).collect()),
            Value::Object(members) => Data::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name, Self::made(value)))
                    .collect(),
            ),
        };
        Self { line: 0, data }
    }

    /// The first member of this name, if this is an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Node> {
        match &self.data {
            Data::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value at a dotted path; null counts as absent.
    pub(crate) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.')
            .try_fold(self, |node, name| node.member(name))
            .filter(|node| node.data != Data::Null)
    }

    /// The value as compact JSON, for showing it.
    pub(crate) fn compact(&self) -> String {
        fn plain(node: &Node) -> serde_json::Value {
            use serde_json::Value;
            match &node.data {
                Data::Null => Value::Null,
                Data::Flag(flag) => Value::Bool(*flag),
                Data::Number(number) => Value::Number(number.clone()),
                Data::Text(text) => Value::String(text.clone()),
                Data::List(items) => Value::Array(items.iter().map(plain).collect()),
                Data::Object(members) => {
                    Value::Object(members.iter().map(|(name, node)| (name.clone(), plain(node))).collect())
                }
            }
        }
        plain(self).to_string()
    }
}

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) what: String,
}

/// Reads a whole text. A byte order mark, which some editors write, is allowed.
pub(crate) fn read(text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The nesting limit of serde_json applies here; raw values below would not have one.
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| syntax_error(&error))?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(&error))?;
    Reader::new(text).node(raw).map_err(|error| syntax_error(&error))
}

fn syntax_error(error: &serde_json::Error) -> SyntaxError {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let mut what = error.to_string();
    if let Some(at) = what.rfind(&place) {
        what.truncate(at);
    }
    SyntaxError {
        line: u32::try_from(error.line()).unwrap_or(u32::MAX),
        column: u32::try_from(error.column()).unwrap_or(u32::MAX),
        what,
    }
}

struct Reader {
    start: usize,
    line_ends: Vec<usize>,
}

impl Reader {
    fn new(text: &str) -> Self {
        Self {
            start: text.as_ptr().addr(),
            line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    /// A raw value borrows from the text, so the distance of the two addresses is its offset.
    fn line(&self, raw: &RawValue) -> u32 {
        let offset = raw.get().as_ptr().addr().saturating_sub(self.start);
        let before = self.line_ends.partition_point(|end| *end < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    fn node(&self, raw: &RawValue) -> Result<Node, serde_json::Error> {
        let text = raw.get();
        let data = match text.as_bytes().first() {
            Some(b'{') => {
                let members = serde_json::Deserializer::from_str(text).deserialize_map(Members)?;
                Data::Object(
                    members
                        .into_iter()
                        .map(|(name, raw)| Ok((name, self.node(raw)?)))
                        .collect::<Result<_, serde_json::Error>>()?,
                )
            }
            Some(b'[') => {
                let items = serde_json::Deserializer::from_str(text).deserialize_seq(Items)?;
                Data::List(items.into_iter().map(|raw| self.node(raw)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Data::Text(serde_json::from_str(text)?),
            Some(b't' | b'f') => Data::Flag(serde_json::from_str(text)?),
            Some(b'n') => Data::Null,
            Some(_) => Data::Number(serde_json::from_str(text)?),
            None => return Err(serde_json::Error::custom("empty value")),
        };
        Ok(Node {
            line: self.line(raw),
            data,
        })
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines_and_repeated_keys_survive() {
        let node = read("\u{feff}{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\",\n      null\n    ]\n  },\n  \"a\": 2.5\n}\n").unwrap();
        assert_eq!(node.at("b.c").unwrap().line, 4);
        let Data::List(items) = &node.at("b.c").unwrap().data else {
            panic!("a list");
        };
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [5, 6]);
        let Data::Object(members) = &node.data else {
            panic!("an object");
        };
        assert_eq!(members.len(), 3);
        assert_eq!(members[2].1.line, 9);
    }

    #[test]
    fn syntax_errors_say_where() {
        let error = read("{\n  \"a\": 1\n  \"b\": 2\n}").unwrap_err();
        assert_eq!((error.line, error.column), (3, 3));
        assert_eq!(error.what, "expected `,` or `}`");
        assert!(read("").is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{}{}", "[".repeat(129), "]".repeat(129))).is_err());
        assert!(read(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
    }
}
