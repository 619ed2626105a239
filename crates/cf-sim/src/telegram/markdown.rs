//! `parse_mode: Markdown` (legacy) and `MarkdownV2`.

use super::markup::Parsed;

/// What must be escaped outside entities in version 2.
const RESERVED: &str = "_*[]()~`>#+-=|{}.!";

/// Legacy: `_` `*` `` ` `` `[` only, nothing nests. The error is the part after "can't parse entities: ".
pub(super) fn parse_legacy(raw: &str) -> Result<Parsed, String> {
    let mut out = Parsed::default();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let offset = raw.len() - rest.len();
        let no_end = || format!("Can't find end of the entity starting at byte offset {offset}");
        match c {
            '\\' if rest[1..].starts_with(['_', '*', '`', '[']) => {
                out.text.push_str(&rest[1..2]);
                rest = &rest[2..];
            }
            '`' if rest.starts_with("```") => {
                let inside = rest[3..].find("```").ok_or_else(no_end)?;
                let start = out.position();
                out.text.push_str(rest[3..3 + inside].trim_start_matches('\n'));
                out.close("pre", start, None);
                rest = &rest[inside + 6..];
            }
            '_' | '*' | '`' => {
                let inside = rest[1..].find(c).ok_or_else(no_end)?;
                let start = out.position();
                out.text.push_str(&rest[1..=inside]);
                out.close(
                    match c {
                        '_' => "italic",
                        '*' => "bold",
                        _ => "code",
                    },
                    start,
                    None,
                );
                rest = &rest[inside + 2..];
            }
            '[' => {
                let inside = rest.find(']').ok_or_else(no_end)?;
                let start = out.position();
                out.text.push_str(&rest[1..inside]);
                rest = &rest[inside + 1..];
                if let Some(target) = rest.strip_prefix('(') {
                    let end = target.find(')').ok_or_else(no_end)?;
                    out.close("text_link", start, Some(("url", target[..end].to_owned())));
                    rest = &target[end + 1..];
                }
            }
            c => {
                out.text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(out)
}

struct Open {
    marker: &'static str,
    kind: &'static str,
    start: usize,
    offset: usize,
}

/// Version 2: everything reserved must be escaped, entities nest. The error is the part after "can't parse entities: ".
pub(super) fn parse_v2(raw: &str) -> Result<Parsed, String> {
    let mut out = Parsed::default();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = raw;
    let mut line_start = true;
    while let Some(c) = rest.chars().next() {
        let offset = raw.len() - rest.len();
        let no_end = |what: &str| format!("Can't find end of {what} entity at byte offset {offset}");
        if c == '\\'
            && rest[1..]
                .chars()
                .next()
                .is_some_and(|n| n.is_ascii() && !n.is_ascii_control())
        {
            out.text.push_str(&rest[1..2]);
            rest = &rest[2..];
            line_start = false;
            continue;
        }
        if c == '>' && line_start {
            rest = &rest[1..];
            line_start = false;
            continue;
        }
        line_start = c == '\n';
        if rest.starts_with("```") || c == '`' {
            let (fence, kind, name) = if rest.starts_with("```") {
                ("```", "pre", "Pre")
            } else {
                ("`", "code", "Code")
            };
            let (text, used) = verbatim(&rest[fence.len()..], fence).ok_or_else(|| no_end(name))?;
            let start = out.position();
            out.text.push_str(text.trim_start_matches('\n'));
            out.close(kind, start, None);
            rest = &rest[fence.len() + used..];
            continue;
        }
        if c == ']' && open.last().is_some_and(|o| o.marker == "[") {
            if let Some(link) = open.pop() {
                let (target, used) = match rest[1..].strip_prefix('(') {
                    Some(target) => verbatim(target, ")")
                        .map(|(t, u)| (Some(t), u + 1))
                        .ok_or_else(|| no_end("a URL"))?,
                    None => (None, 0),
                };
                if let Some(target) = target {
                    out.close("text_link", link.start, Some(("url", target)));
                }
                rest = &rest[1 + used..];
            }
            continue;
        }
        let found = [
            ("__", "underline"),
            ("||", "spoiler"),
            ("_", "italic"),
            ("*", "bold"),
            ("~", "strikethrough"),
            ("[", "text_link"),
        ]
        .into_iter()
        .find(|(marker, _)| rest.starts_with(marker));
        if let Some((marker, kind)) = found {
            if marker != "[" && open.last().is_some_and(|o| o.marker == marker) {
                if let Some(last) = open.pop() {
                    out.close(last.kind, last.start, None);
                }
            } else {
                open.push(Open {
                    marker,
                    kind,
                    start: out.position(),
                    offset,
                });
            }
            rest = &rest[marker.len()..];
            continue;
        }
        if RESERVED.contains(c) {
            return Err(format!(
                "Character '{c}' is reserved and must be escaped with the preceding '\\'"
            ));
        }
        out.text.push(c);
        rest = &rest[c.len_utf8()..];
    }
    match open.last() {
        Some(o) => {
            let mut letters = o.kind.chars();
            let name = letters
                .next()
                .map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + letters.as_str());
            Err(format!("Can't find end of {name} entity at byte offset {}", o.offset))
        }
        None => Ok(out),
    }
}

/// Text up to the unescaped `end`, and the bytes used including it.
fn verbatim(text: &str, end: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut rest = text;
    while !rest.starts_with(end) {
        let c = rest.chars().next()?;
        let escaped = (c == '\\').then(|| rest[1..].chars().next()).flatten();
        let c = escaped.unwrap_or(c);
        out.push(c);
        rest = &rest[c.len_utf8() + usize::from(escaped.is_some())..];
    }
    Some((out, text.len() - rest.len() + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_breaks_a_legacy_message() {
        let broken = parse_legacy("rule udp_flood").err();
        assert_eq!(
            broken.as_deref(),
            Some("Can't find end of the entity starting at byte offset 8")
        );
        let fine = parse_legacy("*bold* and `code` \\_ok").unwrap();
        assert_eq!((fine.text.as_str(), fine.entities.len()), ("bold and code _ok", 2));
    }

    #[test]
    fn version_two_wants_escapes() {
        let broken = parse_v2("1.5 Gbps").err();
        assert_eq!(
            broken.as_deref(),
            Some("Character '.' is reserved and must be escaped with the preceding '\\'")
        );
        let fine = parse_v2("*bold _both_* 1\\.5 [here](https://x.example/\\)) `a\\`b`").unwrap();
        assert_eq!(fine.text, "bold both 1.5 here a`b");
        assert_eq!(fine.entities.len(), 4);
        assert!(parse_v2("*open").is_err());
    }
}
