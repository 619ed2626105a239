//! Finds the events that a Rust source logs, to compare them with the table.
//!
//! A small reader of Rust's surface, not a parser: it knows comments, strings and balanced brackets, finds the logging
//! macros, and within their arguments the `event` field. Unit tests at the end of a file are not looked at.

/// One call of a logging macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The literal after `event =`, or `None` when there is no such field or it is not a literal.
    pub event: Option<String>,
    /// Line of the call, from 1.
    pub line: usize,
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The calls of tracing's macros in `source`, in order.
pub fn calls(source: &str) -> Vec<Call> {
    let code = Code::new(source);
    let mut found = Vec::new();
    for level in LEVELS {
        let needle = format!("{level}!");
        for (at, _) in code.bare.match_indices(&needle) {
            let before = code.bare[..at].chars().next_back();
            let is_other_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if is_other_name {
                continue;
            }
            let open = at + needle.len();
            if let Some(end) = closing(&code.bare[open..]) {
                found.push(Call {
                    level,
                    event: event_field(&code, open, open + end),
                    line: code.bare[..at].matches('\n').count() + 1,
                });
            }
        }
    }
    found.sort_by_key(|call| call.line);
    found
}

/// A source twice, position by position: as it is, and with the insides of comments, strings and tests blanked out, so
/// that brackets and names found in `bare` are code.
struct Code<'a> {
    source: &'a str,
    bare: String,
}

impl<'a> Code<'a> {
    fn new(source: &'a str) -> Self {
        let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
        let mut bare = String::with_capacity(source.len());
        let mut rest = source;
        while let Some(c) = rest.chars().next() {
            let length = opaque_length(rest);
            let (skipped, after) = rest.split_at(if length == 0 { c.len_utf8() } else { length });
            if length == 0 {
                bare.push(c);
            } else {
                // Keep byte positions and line ends, so that both texts are indexed alike.
                bare.extend(skipped.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            }
            rest = after;
        }
        Self { source, bare }
    }
}

/// Bytes of the comment, string or character literal that `text` begins with; 0 when it begins with code.
fn opaque_length(text: &str) -> usize {
    let until = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        until(2, "*/")
    } else if let Some(hashes) = raw_string_hashes(text) {
        until(2 + hashes, &format!("\"{}", "#".repeat(hashes)))
    } else if text.starts_with('"') {
        quoted_length(text)
    } else if text.starts_with("'\"'") {
        3
    } else if text.starts_with("'\\\"'") || text.starts_with("'\\\\'") {
        4
    } else {
        0
    }
}

fn raw_string_hashes(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the bracket that `text` begins with (after blanks) is closed.
fn closing(text: &str) -> Option<usize> {
    if !text.trim_start().starts_with(['(', '[', '{']) {
        return None;
    }
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The literal of `event = "..."` between two positions.
fn event_field(code: &Code<'_>, from: usize, to: usize) -> Option<String> {
    let arguments = &code.bare[from..to];
    for (at, _) in arguments.match_indices("event") {
        let own_word = !arguments[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let after = arguments[at + "event".len()..].trim_start();
        let Some(value) = after.strip_prefix('=').filter(|value| !value.starts_with('=')) else {
            continue;
        };
        if own_word {
            // The blanked text has lost the literal; the same position in the source has it.
            let literal = &code.source[to - value.len()..to];
            let literal = literal.trim_start().strip_prefix('"')?;
            return literal.split('"').next().map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(&'static str, Option<String>)> {
        calls(source).into_iter().map(|call| (call.level, call.event)).collect()
    }

    #[test]
    fn finds_names_and_levels() {
        let source = r#"
            fn f() {
                tracing::warn!(event = "a.b.c", x = 1);
                info!(
                    target: "x",
                    prefix = %p.to_string(),
                    event="d.e",
                    "text with ) and event = \"no.no\""
                );
                error!(event = NAME);
                tracing::debug!("no name");
            }
        "#;
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(
            found(source),
            [
                ("warn", name("a.b.c")),
                ("info", name("d.e")),
                ("error", None),
                ("debug", None)
            ]
        );
        assert_eq!(
            calls(source).iter().map(|call| call.line).collect::<Vec<_>>(),
            [3, 4, 10, 11]
        );
    }

    #[test]
    fn is_not_misled_by_comments_strings_other_macros_and_tests() {
        let source = "// info!(event = \"x.y\")\n/* warn!(event = \"x.y\") */\nlet a = \"error!(event = \\\"x.y\\\")\";\n\
                      let b = r#\"info!(event = \"x.y\")\"#; let c = '\"'; let d = '\\\"';\n\
                      my_info!(event = \"x.y\"); let e = x.info != 3;\n\
                      info!(event = \"real.one\", sub_event = \"x.y\");\n\
                      #[cfg(test)]\nmod tests { fn f() { info!(event = \"x.y\"); } }\n";
        assert_eq!(found(source), [("info", Some("real.one".to_owned()))]);
    }

    #[test]
    fn text_that_is_not_ascii_keeps_positions() {
        let source = "let a = \"\u{e4}\u{1f600}\"; info!(event = \"a.b\", note = \"\u{e4}\"); let \u{e4} = 1;";
        assert_eq!(found(source), [("info", Some("a.b".to_owned()))]);
    }
}
