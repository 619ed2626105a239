//! `parse_mode: HTML`.

use super::markup::Parsed;

struct Open {
    tag: String,
    kind: &'static str,
    start: usize,
    extra: Option<(&'static str, String)>,
}

/// The error is the part after "can't parse entities: ".
pub(super) fn parse(raw: &str) -> Result<Parsed, String> {
    let mut out = Parsed::default();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let offset = raw.len() - rest.len();
        match c {
            '<' => {
                let Some(end) = tag_end(rest) else {
                    return Err(format!("Unclosed start tag at byte offset {offset}"));
                };
                tag(&rest[1..end], offset, &mut out, &mut open)?;
                rest = &rest[end + 1..];
            }
            '&' => match character(rest) {
                Some((found, length)) => {
                    out.text.push(found);
                    rest = &rest[length..];
                }
                None => {
                    out.text.push('&');
                    rest = &rest[1..];
                }
            },
            c => {
                out.text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    match open.last() {
        Some(o) => Err(format!("Can't find end tag corresponding to start tag \"{}\"", o.tag)),
        None => Ok(out),
    }
}

/// The closing `>` that is not inside a quoted attribute.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, c) in text.char_indices().skip(1) {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None, '>') => return Some(i),
            _ => {}
        }
    }
    None
}

fn tag(inside: &str, offset: usize, out: &mut Parsed, open: &mut Vec<Open>) -> Result<(), String> {
    if let Some(name) = inside.strip_prefix('/') {
        let name = name.trim().to_ascii_lowercase();
        let Some(last) = open.pop() else {
            return Err(format!("Unexpected end tag at byte offset {offset}"));
        };
        if !name.is_empty() && name != last.tag {
            return Err(format!(
                "Unmatched end tag at byte offset {offset}, expected \"</{}>\", found \"</{name}>\"",
                last.tag
            ));
        }
        out.close(last.kind, last.start, last.extra);
        return Ok(());
    }
    let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let name = name.to_ascii_lowercase();
    let unsupported = || Err(format!("Unsupported start tag \"{name}\" at byte offset {offset}"));
    let mut extra = None;
    let kind = match name.as_str() {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "tg-spoiler" => "spoiler",
        "span" if attribute(attributes, "class").as_deref() == Some("tg-spoiler") => "spoiler",
        "span" => {
            return Err(format!(
                "Tag \"span\" must have class \"tg-spoiler\" at byte offset {offset}"
            ));
        }
        "a" => {
            let target = attribute(attributes, "href").filter(|h| h.contains("://") || h.starts_with("mailto:"));
            match target {
                Some(href) => {
                    extra = Some(("url", href));
                    "text_link"
                }
                // A link without a usable target is plain text.
                None => "",
            }
        }
        "code" => {
            let language = attribute(attributes, "class").and_then(|c| c.strip_prefix("language-").map(str::to_owned));
            match (open.last_mut(), language) {
                (Some(pre), Some(language)) if pre.kind == "pre" => {
                    pre.extra = Some(("language", language));
                    ""
                }
                _ => "code",
            }
        }
        "pre" => "pre",
        "blockquote" if attributes.split_whitespace().any(|a| a.starts_with("expandable")) => "expandable_blockquote",
        "blockquote" => "blockquote",
        "tg-emoji" => {
            extra = attribute(attributes, "emoji-id").map(|id| ("custom_emoji_id", id));
            "custom_emoji"
        }
        "tg-time" => "",
        _ => return unsupported(),
    };
    open.push(Open {
        start: out.position(),
        tag: name,
        kind,
        extra,
    });
    Ok(())
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let after = attributes.split_once(&format!("{name}="))?.1;
    let value = match after.chars().next()? {
        q @ ('"' | '\'') => after[1..].split(q).next()?,
        _ => after.split_whitespace().next()?,
    };
    let mut decoded = String::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let (found, length) = if c == '&' {
            character(rest).unwrap_or(('&', 1))
        } else {
            (c, c.len_utf8())
        };
        decoded.push(found);
        rest = &rest[length..];
    }
    Some(decoded)
}

/// A character reference at the start: the character and the bytes it takes. Only four have names.
fn character(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let found = match &text[1..end] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        number => {
            let digits = number.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?
        }
    };
    Some((found, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_entities_in_utf16() {
        let parsed = parse("🛡 <b>a &lt; b</b> <a href=\"https://x.example/?a=1&amp;b=2\">link</a>").unwrap();
        assert_eq!(parsed.text, "🛡 a < b link");
        assert_eq!(parsed.entities[0]["offset"], 3);
        assert_eq!(parsed.entities[0]["length"], 5);
        assert_eq!(parsed.entities[1]["url"], "https://x.example/?a=1&b=2");
    }

    #[test]
    fn mistakes_have_telegrams_words() {
        for (raw, words) in [
            ("<b>x", "Can't find end tag corresponding to start tag \"b\""),
            ("a <x>b</x>", "Unsupported start tag \"x\" at byte offset 2"),
            ("a</b>", "Unexpected end tag at byte offset 1"),
            ("pps < 5 and", "Unclosed start tag at byte offset 4"),
        ] {
            assert_eq!(parse(raw).err().as_deref(), Some(words));
        }
    }
}
