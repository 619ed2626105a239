//! One event as one line of text that cannot be forged.
//!
//! `event=` comes first, then the fields in the order of the code, then `msg=` when there is one. Whatever arrives from
//! outside (names, error texts of others) may hold anything, so a value that is not plainly a word is quoted, and every
//! character that could start a new line, move the cursor, hide text or turn its direction is written as an escape.
//! Knows nothing about time, level or where the line goes.

use std::fmt::Write as _;

/// Longest value written, in bytes of the original text. Raw bodies belong in the database, not in the log.
const MAX_VALUE: usize = 2 * 1024;

/// Longest line. journald cuts stream lines at 48 KiB (`LineMax=` in journald.conf(5)); staying below keeps the end.
const MAX_LINE: usize = 32 * 1024;

/// The event name given to messages of libraries that do not follow our convention.
pub(super) const LIBRARY_EVENT: &str = "library.message";

/// What an event says, taken out of tracing's visitor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Stable name; absent for messages of foreign libraries.
    pub(super) event: Option<String>,
    /// Free text, usually empty.
    pub(super) message: String,
    /// Where a foreign message came from.
    pub(super) library: Option<String>,
    /// The remaining fields in the order of the code.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Record {
    /// The stable name, also for foreign messages.
    pub(super) fn name(&self) -> &str {
        self.event.as_deref().unwrap_or(LIBRARY_EVENT)
    }

    /// The line without time and level.
    pub(super) fn line(&self) -> String {
        let mut line = String::with_capacity(160);
        push_pair(&mut line, "event", self.name());
        if let Some(library) = &self.library {
            push_pair(&mut line, "library", library);
        }
        let mut left_out = 0_usize;
        for (key, value) in &self.fields {
            if line.len() + value.len().min(MAX_VALUE) > MAX_LINE {
                left_out += 1;
            } else {
                push_pair(&mut line, key, value);
            }
        }
        if left_out > 0 {
            push_pair(&mut line, "left_out_fields", &left_out.to_string());
        }
        if !self.message.is_empty() {
            push_pair(&mut line, "msg", &self.message);
        }
        line
    }
}

fn push_pair(line: &mut String, key: &str, value: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(key);
    line.push('=');
    push_value(line, value);
}

/// Appends `raw` bare when it is plainly one word, else quoted and escaped.
fn push_value(line: &mut String, raw: &str) {
    if !raw.is_empty() && raw.len() <= MAX_VALUE && raw.chars().all(is_bare) {
        line.push_str(raw);
        return;
    }
    let kept = head(raw, MAX_VALUE);
    line.push('"');
    for c in kept.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_unsafe(c) => {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    if kept.len() < raw.len() {
        let _ = write!(line, "...(+{} bytes)", raw.len() - kept.len());
    }
    line.push('"');
}

/// The longest head of `text` of at most `max` bytes that ends between two characters.
pub(super) fn head(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:/+@,%[]()*#?!~^".contains(c)
}

/// Characters that change how the rest of the line is shown: controls, line separators, direction marks and overrides,
/// invisible characters.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: Vec<(&'static str, String)>) -> Record {
        Record {
            event: Some("test.thing.happened".into()),
            fields,
            ..Record::default()
        }
    }

    #[test]
    fn plain_words_stay_bare_and_the_event_comes_first() {
        let line = record(vec![
            ("prefix", "203.0.113.0/24".into()),
            ("calm_s", "905".into()),
            ("reason", "calm_elapsed".into()),
            ("peer", "[2001:db8::1]:443".into()),
        ])
        .line();
        assert_eq!(
            line,
            "event=test.thing.happened prefix=203.0.113.0/24 calm_s=905 reason=calm_elapsed peer=[2001:db8::1]:443"
        );
    }

    #[test]
    fn nothing_from_outside_can_forge_a_line_or_a_field() {
        let attempts = [
            (
                "a\n2026-01-01T00:00:00.000Z ERROR event=fake",
                r#""a\n2026-01-01T00:00:00.000Z ERROR event=fake""#,
            ),
            ("x\" event=fake y=\"", r#""x\" event=fake y=\"""#),
            ("\u{1b}[2Jcleared", r#""\u{1b}[2Jcleared""#),
            ("right\u{202e}tfel", r#""right\u{202e}tfel""#),
            ("one\u{2028}two", r#""one\u{2028}two""#),
            ("back\\slash", r#""back\\slash""#),
            ("a b=c", r#""a b=c""#),
            ("k=v", r#""k=v""#),
            ("", r#""""#),
            ("K\u{f6}ln", "\"K\u{f6}ln\""),
            ("nul\0del\u{7f}c1\u{85}", r#""nul\u{0}del\u{7f}c1\u{85}""#),
        ];
        for (raw, shown) in attempts {
            let line = record(vec![("name", raw.into())]).line();
            assert_eq!(line, format!("event=test.thing.happened name={shown}"));
            assert!(!line.chars().any(is_unsafe), "{line:?}");
        }
    }

    #[test]
    fn long_values_are_cut_between_characters_and_say_so() {
        let line = record(vec![("body", "\u{e4}".repeat(1500))]).line();
        assert!(
            line.ends_with("\u{e4}...(+952 bytes)\""),
            "{}",
            &line[line.len() - 40..]
        );
        let line = record(vec![("body", "x".repeat(MAX_VALUE + 3))]).line();
        assert!(line.ends_with("x...(+3 bytes)\""));
    }

    #[test]
    fn a_line_has_an_end() {
        let many = (0..40).map(|_| ("body", "y".repeat(MAX_VALUE))).collect();
        let line = record(many).line();
        assert!(line.len() <= MAX_LINE + 100, "{}", line.len());
        assert!(line.ends_with(" left_out_fields=25"), "{}", &line[line.len() - 40..]);
    }

    #[test]
    fn a_message_comes_last_and_foreign_messages_have_a_name() {
        let foreign = Record {
            message: "connection closed before message completed".into(),
            library: Some("hyper::proto".into()),
            ..Record::default()
        };
        assert_eq!(
            foreign.line(),
            r#"event=library.message library=hyper::proto msg="connection closed before message completed""#
        );
    }
}
