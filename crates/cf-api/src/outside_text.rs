//! Text from outside made fit for a log line, an error or a page: one line, bounded, no secrets.

/// Longest text of one outside message, in characters.
pub(crate) const MAX_CHARS: usize = 240;

/// `text` on one line of at most [`MAX_CHARS`]: control characters and runs of white space become
/// one space, characters that reorder or hide text are dropped, a cut is marked with `…`.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(MAX_CHARS * 2));
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if length + usize::from(gap) >= MAX_CHARS {
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

/// Zero-width and bidirectional control characters, which can make a line read as something else.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bounded_line() {
        assert_eq!(clean("  a\r\n\tb\u{7}c  "), "a b c");
        assert_eq!(clean("safe\u{202E}txt"), "safetxt");
        let long = clean(&"x ".repeat(10_000));
        assert!(long.chars().count() <= MAX_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(clean(""), "");
    }
}
