//! Ages, instants and foreign text as people read them on a terminal. All times are UTC.

use domain::duration::human;
use domain::time::since;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Longest text of one outside value that is shown on a line of its own.
pub const LONG: usize = 400;

/// How long ago `at` was at `now`: `12 s`, `4 min`, `2 h 5 min`; one unit below an hour, because finer digits only
/// flicker. The future has no age.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let age = since(now, at);
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        _ => human(age),
    }
}

/// `03:42 UTC`, with the day in front when it is not the day of `now`, and the year when it is not this one.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let form = if at.date() == now.date() {
        "%H:%M UTC"
    } else if at.year() == now.year() {
        "%d/%m %H:%M UTC"
    } else {
        "%d/%m/%Y %H:%M UTC"
    };
    at.strftime(form).to_string()
}

/// `22/11/2026 03:42:10`, for tables whose heading says UTC.
pub fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%d/%m/%Y %H:%M:%S").to_string()
}

/// Text from outside as one bounded line: control characters and runs of white space become one space, characters that
/// hide or reorder text are dropped, a cut is marked with `…`.
pub fn outside(text: &str, most: usize) -> String {
    let mut line = String::new();
    let (mut length, mut gap) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if hides_or_reorders(c) {
            continue;
        }
        if length + 1 + usize::from(gap) > most {
            line.push('…');
            break;
        }
        if std::mem::take(&mut gap) {
            line.push(' ');
            length += 1;
        }
        line.push(c);
        length += 1;
    }
    line
}

/// [`outside`] for text of several lines: control characters are dropped, line ends and indentation stay, so that a mark
/// below a word stays there.
pub fn outside_lines(text: &str, most_lines: usize, most: usize) -> String {
    let indented = |line: &str| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let words = outside(line, most.saturating_sub(indent));
        let indent = if words.is_empty() { 0 } else { indent.min(most) };
        format!("{}{words}", " ".repeat(indent))
    };
    let mut lines: Vec<String> = text.lines().take(most_lines).map(indented).collect();
    if text.lines().count() > most_lines {
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

/// Zero-width and bidirectional controls: with them a line can read as something else than it is.
fn hides_or_reorders(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 prefix`, `3 prefixes`: a number with its word. `words` is the plural.
pub fn counted(number: usize, word: &str, words: &str) -> String {
    let shown = domain::units::grouped(u64::try_from(number).unwrap_or(u64::MAX));
    format!("{shown} {}", if number == 1 { word } else { words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn ages_and_clocks() {
        let now = at("2026-11-22T03:00:00Z");
        assert_eq!(age(at("2026-11-22T02:59:01Z"), now), "59 s");
        assert_eq!(age(at("2026-11-22T02:01:01Z"), now), "58 min");
        assert_eq!(age(at("2026-11-22T00:55:00Z"), now), "2 h 5 min");
        assert_eq!(age(at("2026-11-22T04:00:00Z"), now), "0 s");
        assert_eq!(clock(at("2026-11-22T00:01:59Z"), now), "00:01 UTC");
        assert_eq!(clock(at("2026-11-21T23:59:00Z"), now), "21/11 23:59 UTC");
        assert_eq!(clock(at("2025-11-22T03:00:00Z"), now), "22/11/2025 03:00 UTC");
    }

    #[test]
    fn outside_text_is_one_bounded_line_without_marks() {
        assert_eq!(outside("  a\r\n\tb\u{7}c\u{202E}\u{2063} ", 9), "a b c");
        assert_eq!(outside("\u{1b}[2Jx", 9), "[2Jx");
        assert_eq!(outside("abcdef", 3), "abc…");
        assert_eq!(outside_lines("a\u{1b}b\nc\nd", 2, 9), "a b\nc\n…");
        assert_eq!(outside_lines("ab  c\n  ^\n   ", 9, 9), "ab c\n  ^\n");
    }
}
