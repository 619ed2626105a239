//! Collecting problems: where a value stands, how it may be shown, what is said about it.

use std::path::Path;

use crate::json::Node;
use crate::keys::Kind;
use crate::report::{Code, Place, Problem, Severity};

/// Longest value that is shown in full.
const SHOWN_CHARACTERS: usize = 60;

/// A value at its place, fit to be shown: whoever makes one decides what is hidden.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

impl Site {
    /// A whole file.
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            place: Place::file(path),
            key: None,
            value: None,
        }
    }

    /// A key without showing its value.
    pub(crate) fn key(place: Place, key: &str) -> Self {
        Self {
            place,
            key: Some(key.to_owned()),
            value: None,
        }
    }

    /// The same with another value.
    pub(crate) fn with_value(mut self, value: String) -> Self {
        self.value = Some(value);
        self
    }

    /// An element or member of this value: `key[2]` or `key."name"`, at its own line.
    pub(crate) fn part(&self, name: &str, node: &Node, value: String) -> Self {
        let place = match &self.place {
            Place::File { path, .. } => Place::line(path, node.line),
            other => other.clone(),
        };
        Self {
            place,
            key: self.key.as_ref().map(|key| format!("{key}{name}")),
            value: Some(value),
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn error(&mut self, code: Code, site: &Site, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Error, code, site, what.into(), remedy.into());
    }

    pub(crate) fn warning(&mut self, code: Code, site: &Site, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, code, site, what.into(), remedy.into());
    }

    pub(crate) fn add(&mut self, severity: Severity, code: Code, site: &Site, what: String, remedy: String) {
        self.0.push(Problem {
            code,
            severity,
            place: site.place.clone(),
            key: site.key.clone(),
            value: site.value.clone(),
            what,
            remedy,
        });
    }

    pub(crate) fn any_error(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// The value of a key as it may be shown in a report.
pub(crate) fn shown(kind: Kind, node: &Node) -> String {
    match kind {
        Kind::Secret | Kind::Secrets => hidden(node),
        Kind::ApiUrl | Kind::PublicUrl => cut(&without_credentials(&node.compact())),
        // An id is no secret, but people paste tokens into the wrong line.
        Kind::Identifier => match &node.data {
            crate::json::Data::Text(text) if text.chars().count() > 32 => hidden(node),
            _ => cut(&node.compact()),
        },
        _ => cut(&node.compact()),
    }
}

/// The value of a key that nothing reads: hidden when its name, its neighbour or
/// its section sounds secret.
pub(crate) fn shown_unknown(path: &str, nearest: Option<&str>, node: &Node) -> String {
    let sounds_secret = |name: &str| {
        ["token", "secret", "key", "pass", "hash", "auth", "cred", "bot"]
            .iter()
            .any(|word| name.to_lowercase().contains(word))
    };
    // Objects may hold anything under any name.
    let nested = matches!(node.data, crate::json::Data::Object(_) | crate::json::Data::List(_));
    let among_secrets = ["cloudflare.", "telegram.", "alert_webhook.", "mail."]
        .iter()
        .any(|section| path.starts_with(section));
    if nested || among_secrets || sounds_secret(path) || nearest.is_some_and(sounds_secret) {
        hidden(node)
    } else {
        cut(&node.compact())
    }
}

fn hidden(node: &Node) -> String {
    use crate::json::Data;
    match &node.data {
        Data::Text(text) if text.is_empty() => "\"\"".to_owned(),
        Data::Text(text) => format!("(text of {} characters, not shown)", text.chars().count()),
        Data::Null => "null".to_owned(),
        Data::List(items) if items.is_empty() => "[]".to_owned(),
        Data::Flag(_) => "(true or false, not shown)".to_owned(),
        data => format!("({}, not shown)", data.found()),
    }
}

/// Cuts a long text and makes it one line.
pub(crate) fn cut(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN_CHARACTERS).map(clean).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// An address, in quotation marks, without what people wrongly put into it: a user with password, a bot's token.
fn without_credentials(address: &str) -> String {
    let mut text = address.to_owned();
    if let (Some(scheme), Some(at)) = (text.find("://"), text.rfind('@'))
        && scheme + 3 < at
    {
        text.replace_range(scheme + 3..at, "(hidden)");
    }
    if let Some(bot) = text.find("/bot") {
        text.truncate(bot + 4);
        text.push_str("(hidden)\"");
    }
    if let Some(query) = text.find('?') {
        text.truncate(query + 1);
        text.push_str("(hidden)\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Node {
        Node::made(content.into())
    }

    #[test]
    fn secrets_never_show() {
        assert_eq!(shown(Kind::Secret, &text("hush")), "(text of 4 characters, not shown)");
        assert_eq!(shown(Kind::Secret, &Node::made(12_345.into())), "(a number, not shown)");
        assert!(!shown(Kind::ApiUrl, &text("https://api.telegram.org/bot1:HUSH/x")).contains("HUSH"));
        assert!(!shown(Kind::ApiUrl, &text("https://me:HUSH@host")).contains("HUSH"));
        assert!(!shown(Kind::Identifier, &text(&"k".repeat(40))).contains('k'));
        assert!(!shown_unknown("cloudflare.apitokn", Some("cloudflare.api_token"), &text("HUSH")).contains("HUSH"));
        assert!(!shown_unknown("x", None, &Node::made(serde_json::json!({"a": "HUSH"}))).contains("HUSH"));
        assert_eq!(shown_unknown("webhook.prot", None, &Node::made(80.into())), "80");
    }

    #[test]
    fn long_values_are_cut_and_stay_one_line() {
        assert_eq!(cut("a\nb"), "a\u{fffd}b");
        assert_eq!(cut(&"é".repeat(100)).chars().count(), 61);
    }
}
