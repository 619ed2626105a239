//! Secrets: never empty, never a placeholder, never the mask of a printed configuration.

use secrecy::{ExposeSecret, SecretString};

use super::wrong_type;
use crate::json::{Data, Node};
use crate::keys::{Key, Kind};
use crate::report::Code;
use crate::site::{Problems, Site};

/// What `print_config` writes in the place of a secret. Any text of asterisks or bullets is
/// recognised as a mask.
pub(crate) const MASK: &str = "********";

/// Shortest webhook secret that is not remarked on: about 80 bits if it is random.
const SHORT_SECRET: usize = 16;

/// Whether a text is a stand-in of an example and not a value.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let upper = text.trim().to_uppercase().replace('-', "_");
    let words = ["REPLACE_ME", "REPLACE_WITH", "CHANGE_ME", "PLACEHOLDER"];
    let starts = ["YOUR_", "<", "CHANGEME", "TODO"];
    let crosses = upper.len() >= 3 && upper.chars().all(|c| matches!(c, 'X' | '.' | '_'));
    words.iter().any(|word| upper.contains(word)) || starts.iter().any(|start| upper.starts_with(start)) || crosses
}

fn is_mask(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '*' | '•' | '●'))
}

/// One secret, or up to two where the key takes a list.
pub(super) fn read(
    key: &Key,
    node: &Node,
    site: &Site,
    accept_masked: bool,
    problems: &mut Problems,
) -> Option<Vec<SecretString>> {
    let items = match (&node.data, key.kind) {
        (Data::Text(_), _) => vec![(site.clone(), node)],
        (Data::List(items), Kind::Secrets) => {
            if items.is_empty() || items.len() > 2 {
                problems.error(
                    Code::OutOfRange,
                    site,
                    format!("one or two secrets are expected, found {}", items.len()),
                    "list the new and the old secret while one replaces the other, else one alone",
                );
                return None;
            }
            items
                .iter()
                .enumerate()
                .map(|(position, item)| {
                    let value = crate::site::shown(key.kind, item);
                    (site.part(&format!("[{position}]"), item, value), item)
                })
                .collect()
        }
        _ => return wrong_type(key, node, site, problems),
    };
    let expected = items.len();
    let mut secrets: Vec<SecretString> = Vec::new();
    for (site, item) in items {
        let Data::Text(text) = &item.data else {
            problems.error(
                Code::WrongType,
                &site,
                format!("a secret as text is expected, found {}", item.data.found()),
                "write the secret in quotation marks",
            );
            continue;
        };
        if let Some(secret) = one(key, text, &site, accept_masked, problems) {
            let repeated = secrets
                .iter()
                .any(|other| other.expose_secret() == secret.expose_secret());
            if repeated && !accept_masked {
                problems.error(
                    Code::Contradiction,
                    &site,
                    "both secrets are equal",
                    "write one secret alone",
                );
            } else {
                secrets.push(secret);
            }
        }
    }
    (secrets.len() == expected).then_some(secrets)
}

fn one(key: &Key, text: &str, site: &Site, accept_masked: bool, problems: &mut Problems) -> Option<SecretString> {
    let mut fail = |code, what: &str, remedy: &str| {
        problems.error(code, site, what, remedy);
        None
    };
    if text.trim().is_empty() {
        return fail(
            Code::EmptySecret,
            "the secret is empty",
            "write the secret, or remove the key",
        );
    }
    if is_mask(text) {
        if accept_masked {
            return Some(SecretString::from(text));
        }
        return fail(
            Code::MaskedSecret,
            "this is the mask of a printed configuration, not a secret",
            "write the real secret; --print-config never shows it",
        );
    }
    if is_placeholder(text) {
        return fail(
            Code::Placeholder,
            "this is the placeholder of the example",
            "put the real secret in its place",
        );
    }
    // All of them travel in HTTP headers or addresses.
    let inner_blank = key.kind == Kind::Secrets;
    let clean = text.trim() == text && text.chars().all(|c| c.is_ascii_graphic() || (inner_blank && c == ' '));
    if !clean {
        return fail(
            Code::InvalidValue,
            "the secret contains blanks, line breaks or characters that HTTP headers cannot carry",
            "copy it again without anything around it",
        );
    }
    match key.path {
        "telegram.bot_token" => bot_token(text, site, problems)?,
        "cloudflare.api_token" if text.to_lowercase().starts_with("bearer") => {
            return fail(
                Code::InvalidValue,
                "the word Bearer is not part of the token",
                "write the token alone",
            );
        }
        "cloudflare.webhook_secret" if text.chars().count() < SHORT_SECRET => problems.warning(
            Code::RiskyValue,
            site,
            format!("the secret has fewer than {SHORT_SECRET} characters and can be guessed"),
            "set a longer one at the notification destination, and both here until it is in use",
        ),
        _ => {}
    }
    Some(SecretString::from(text))
}

/// A bot's token is `<number>:<35 characters>`; its parts become part of an address.
fn bot_token(text: &str, site: &Site, problems: &mut Problems) -> Option<()> {
    if text.contains('/') || text.contains('?') || text.contains('#') {
        problems.error(
            Code::InvalidValue,
            site,
            "the token contains characters of an address",
            "write the token alone, as BotFather shows it: number, colon, letters",
        );
        return None;
    }
    let shape = text.split_once(':').is_some_and(|(number, rest)| {
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) && rest.len() >= 30
    });
    if !shape {
        problems.warning(
            Code::RiskyValue,
            site,
            "tokens of Telegram look like 123456789:AA… with 35 characters after the colon",
            "compare it with what BotFather shows; cloudflare-mt doctor asks Telegram",
        );
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_masks_are_told_from_secrets() {
        for text in [
            "REPLACE_ME",
            "replace-me-token",
            "YOUR_API_TOKEN",
            "<token>",
            "xxxxxxxx",
            "CHANGE_ME",
            "xxx.xxx",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["v1.0-0123abcd", "AAxxTODOyou", "0123456789abcdef", "x1"] {
            assert!(!is_placeholder(text), "{text}");
        }
        assert!(is_mask(MASK) && is_mask("••••") && !is_mask("") && !is_mask("***a"));
    }
}
