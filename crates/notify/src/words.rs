//! Text on its way into a message: bounded, on one line, and unable to change how anything around it reads.
//!
//! What must hold: a [`Words`] that did not come from this program's source is cleaned. Control characters and line
//! breaks become one space; characters that reorder, hide or overlay text are dropped; text that runs right to left is
//! isolated, so that our labels and numbers stay where they are. Escaping for a format is not done here.

use std::fmt;

use domain::prefix::Prefix;
use domain::time::for_people;
use domain::units::grouped;
use jiff::Timestamp;

/// Limit for what has no limit of its own, in characters.
const ANY: usize = 600;

/// Combining marks that may stand on one character; more are decoration that covers the lines above.
const MOST_MARKS: usize = 3;

/// A piece of text that is safe to place anywhere in a line of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// Text from outside, at most `limit` characters of it; a cut is marked with an ellipsis.
    pub fn outside(text: &str, limit: usize) -> Self {
        Self(isolated(clean(text, limit)))
    }

    /// [`Words::outside`], or nothing when there is nothing to read.
    pub fn present(text: Option<&str>, limit: usize) -> Option<Self> {
        text.map(|text| Self::outside(text, limit))
            .filter(|words| !words.is_empty())
    }

    /// A longer text from outside as lines, at most `limit` characters in all; empty lines are left out.
    pub fn paragraphs(text: &str, limit: usize) -> Vec<Self> {
        let mut left = limit;
        let mut lines = Vec::new();
        for line in text.split(['\n', '\r', '\u{0B}', '\u{0C}', '\u{85}', '\u{2028}', '\u{2029}']) {
            if left == 0 {
                break;
            }
            let words = Self::outside(line, left);
            if !words.is_empty() {
                left = left.saturating_sub(words.0.chars().count());
                lines.push(words);
            }
        }
        lines
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A literal of this program.
impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

/// Text made at run time; whatever went into it is cleaned. A blank at either end stays: it parts it from its neighbour.
impl From<String> for Words {
    fn from(text: String) -> Self {
        let mut words = Self::outside(&text, ANY);
        if !words.is_empty() {
            if text.starts_with(' ') {
                words.0.insert(0, ' ');
            }
            if text.ends_with(' ') {
                words.0.push(' ');
            }
        }
        words
    }
}

impl From<Prefix> for Words {
    fn from(prefix: Prefix) -> Self {
        Self(prefix.to_string())
    }
}

/// Day first, with zone.
impl From<Timestamp> for Words {
    fn from(at: Timestamp) -> Self {
        Self(for_people(at))
    }
}

/// With thousands separators.
impl From<u64> for Words {
    fn from(number: u64) -> Self {
        Self(grouped(number))
    }
}

/// First strong isolate and its end: Unicode UAX 9, section 2.4.
const ISOLATE: [char; 2] = ['\u{2068}', '\u{2069}'];

/// Cleaned text, set apart from its neighbours where it runs right to left.
fn isolated(cleaned: String) -> String {
    if cleaned.chars().any(is_right_to_left) {
        let [begin, end] = ISOLATE;
        format!("{begin}{cleaned}{end}")
    } else {
        cleaned
    }
}

/// A part of a text that was cleaned as a whole: set apart anew, because the other part has one end of its isolate.
pub(crate) fn part(text: &str) -> String {
    isolated(text.replace(ISOLATE, ""))
}

fn clean(text: &str, limit: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(limit.saturating_mul(2)));
    let (mut length, mut marks, mut gap) = (0usize, 0usize, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if is_hidden(c) {
            continue;
        }
        marks = if is_combining(c) { marks + 1 } else { 0 };
        if marks > MOST_MARKS {
            continue;
        }
        if length + usize::from(gap) >= limit {
            cleaned.push('…');
            return cleaned;
        }
        if gap {
            cleaned.push(' ');
            length += 1;
            gap = false;
        }
        cleaned.push(c);
        length += 1;
    }
    cleaned
}

/// Characters without a shape of their own that reorder what follows, hide text, or carry tags. The joiner U+200D stays
/// because emoji are composed with it, and with it the variation selectors.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}'
        | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
        | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

/// Letters and digits of scripts written from right to left: the blocks that Unicode reserves for them.
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFE}' | '\u{10800}'..='\u{10FFF}'
        | '\u{1E800}'..='\u{1EFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bounded_line_without_hidden_characters() {
        for (given, limit, wanted) in [
            ("  a\r\n\tb\u{7}c  ", 20, "a b c"),
            ("gnp.exe\u{202E}txt.\u{2066}x\u{2069}", 40, "gnp.exetxt.x"),
            ("zero\u{200B}width\u{FEFF}\u{E0041}", 20, "zerowidth"),
            ("abcdef", 3, "abc…"),
            ("ab cd", 3, "ab…"),
            ("abc", 3, "abc"),
            ("\u{2028}\u{85}", 10, ""),
            ("👨‍👩‍👧 ❤️", 20, "👨‍👩‍👧 ❤️"),
        ] {
            assert_eq!(Words::outside(given, limit).as_str(), wanted, "{given:?}");
        }
        let marked = Words::outside(&format!("a{}b", "\u{301}".repeat(500)), 50);
        assert_eq!(marked.as_str().chars().count(), 5);
    }

    #[test]
    fn right_to_left_text_is_isolated() {
        let words = Words::outside("שלום 123", 40);
        assert_eq!(words.as_str(), "\u{2068}שלום 123\u{2069}");
        assert_eq!(
            Words::outside(words.as_str(), 40),
            words,
            "cleaning again changes nothing"
        );
    }

    #[test]
    fn paragraphs_share_one_limit() {
        let lines = Words::paragraphs("first\n\n  \r\nsecond\u{2028}third", 100);
        assert_eq!(
            lines.iter().map(Words::as_str).collect::<Vec<_>>(),
            ["first", "second", "third"]
        );
        let long = Words::paragraphs(&"x\n".repeat(10_000), 50);
        assert_eq!(long.len(), 50);
        let one = Words::paragraphs(&"x".repeat(10_000), 3_000);
        assert!(one.iter().map(|line| line.as_str().chars().count()).sum::<usize>() <= 3_001);
    }

    #[test]
    fn nothing_to_read_is_absent() {
        assert_eq!(Words::present(Some(" \u{202E}\n"), 10), None);
        assert_eq!(Words::present(None, 10), None);
        assert!(Words::present(Some("x"), 10).is_some());
    }
}
