//! Requests and answers as plain values, so that the simulated services are functions without sockets.

use hyper::HeaderMap;
use serde_json::{Value, json};

/// A request, body complete.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Percent-encoding kept; segments are decoded where they are used.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Decoded parameters of the query string.
    pub(crate) fn params(&self) -> Vec<(String, String)> {
        form_pairs(&self.query)
    }

    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().find(|(k, _)| k == name).map(|(_, v)| v)
    }

    /// The body as JSON; the error is serde's text.
    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|e| e.to_string())
    }

    /// Path segments after `prefix`, percent-decoded.
    pub(crate) fn segments(&self, prefix: &str) -> Vec<String> {
        let rest = self.path.strip_prefix(prefix).unwrap_or(&self.path);
        rest.split('/')
            .filter(|s| !s.is_empty())
            .map(|s| percent_decode(s, false))
            .collect()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: value.to_string().into_bytes(),
        }
    }

    pub(crate) fn serialize<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::json(200, &value),
            Err(e) => Self::json(500, &json!({"error": e.to_string()})),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// `a=b&c=d` with `+` and `%XX` decoded.
pub(crate) fn form_pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (k, v) = part.split_once('=').unwrap_or((part, ""));
        (percent_decode(k, true), percent_decode(v, true))
    };
    text.split('&').filter(|p| !p.is_empty()).map(pair).collect()
}

/// Broken escapes stay as they are; bytes that are no UTF-8 become the replacement character.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(if plus_is_space && bytes[i] == b'+' {
                    b' '
                } else {
                    bytes[i]
                });
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let pairs = form_pairs("text=a+b%26c&chat_id=-100&x=100%25%zz");
        assert_eq!(pairs[0], ("text".into(), "a b&c".into()));
        assert_eq!(pairs[2].1, "100%%zz");
    }
}
