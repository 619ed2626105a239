//! A reader of Telegram's HTML, written from the Bot API's documentation ("Formatting options, HTML style") and from
//! nothing else. It accepts less than Telegram does: only what our messages should ever hold.

/// What a message shows.
#[derive(Debug, Default)]
pub struct Shown {
    /// Text after parsing.
    pub text: String,
    /// Addresses of links.
    pub links: Vec<String>,
    /// Text inside `code`.
    pub code: Vec<String>,
}

/// Reads a message, or says what is wrong with it.
pub fn read(html: &str) -> Result<Shown, String> {
    let mut shown = Shown::default();
    let mut open: Option<(String, String)> = None;
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        match c {
            '<' => {
                let end = rest.find('>').ok_or("a tag is not closed")?;
                let tag = &rest[1..end];
                rest = &rest[end + 1..];
                if let Some(name) = tag.strip_prefix('/') {
                    let (opened, inside) = open.take().ok_or(format!("</{name}> without a start"))?;
                    if opened != name {
                        return Err(format!("</{name}> ends <{opened}>"));
                    }
                    if inside.trim().is_empty() {
                        return Err(format!("<{name}> holds nothing"));
                    }
                    if name == "code" {
                        shown.code.push(inside);
                    }
                    continue;
                }
                if let Some((outer, _)) = &open {
                    return Err(format!("<{tag}> inside <{outer}>"));
                }
                let name = match tag {
                    "b" | "code" => tag,
                    _ => {
                        let href = tag
                            .strip_prefix("a href=\"")
                            .and_then(|value| value.strip_suffix('"'))
                            .ok_or(format!("<{tag}> is not allowed"))?;
                        if href.contains('"') {
                            return Err("a quote inside an address".into());
                        }
                        shown.links.push(decode(href)?);
                        "a"
                    }
                };
                open = Some((name.to_owned(), String::new()));
            }
            '>' | '"' => return Err(format!("{c} is not escaped")),
            '&' => {
                let end = rest.find(';').ok_or("& is not escaped")?;
                let decoded = decode(&rest[..=end])?;
                rest = &rest[end + 1..];
                push(&mut shown, &mut open, &decoded);
            }
            c => {
                rest = &rest[c.len_utf8()..];
                push(&mut shown, &mut open, c.encode_utf8(&mut [0; 4]));
            }
        }
    }
    match open {
        Some((name, _)) => Err(format!("<{name}> is not ended")),
        None => Ok(shown),
    }
}

fn push(shown: &mut Shown, open: &mut Option<(String, String)>, text: &str) {
    shown.text.push_str(text);
    if let Some((_, inside)) = open {
        inside.push_str(text);
    }
}

fn decode(text: &str) -> Result<String, String> {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        let end = start + rest[start..].find(';').ok_or("& is not escaped")?;
        decoded.push(match &rest[start..=end] {
            "&amp;" => '&',
            "&lt;" => '<',
            "&gt;" => '>',
            "&quot;" => '"',
            other => return Err(format!("{other} is no entity")),
        });
        rest = &rest[end + 1..];
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// Everything a message must keep to, whatever was in it.
pub fn check(html: &str, plain: &str) -> Result<Shown, String> {
    let shown = read(html).map_err(|problem| format!("{problem}\n{html}"))?;
    let units = |text: &str| text.encode_utf16().count();
    if units(&shown.text) > 4_096 || units(plain) > 4_096 || html.len() > 32_768 {
        return Err(format!(
            "{} units, {} plain, {} bytes",
            units(&shown.text),
            units(plain),
            html.len()
        ));
    }
    if shown.text.trim().is_empty() {
        return Err("it shows nothing".into());
    }
    let mut isolated = 0i32;
    for c in shown.text.chars().chain(plain.chars()) {
        match c {
            '\n' if isolated != 0 => return Err("an isolate goes over the end of a line".into()),
            '\n' => {}
            '\u{2068}' => isolated += 1,
            '\u{2069}' => isolated -= 1,
            '\u{202A}'..='\u{202E}' | '\u{2066}' | '\u{2067}' | '\u{200E}' | '\u{200F}' | '\u{61C}' => {
                return Err(format!("a character that reorders text: {c:?}"));
            }
            c if c.is_control() => return Err(format!("a control character: {c:?}")),
            _ => {}
        }
        if !(0..=1).contains(&isolated) {
            return Err("isolates are not paired".into());
        }
    }
    for link in &shown.links {
        let allowed = [
            "https://dash.cloudflare.com/",
            "https://www.cloudflarestatus.com/",
            "https://mt.example.net/",
        ];
        if !allowed.iter().any(|start| link.starts_with(start)) {
            return Err(format!("a link to {link}"));
        }
    }
    Ok(shown)
}
