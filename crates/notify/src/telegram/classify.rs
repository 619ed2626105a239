//! What an answer of the Bot API means for the message, the chat and the next try. The only place that reads Telegram's
//! error texts.
//!
//! Source: the error texts of the Bot API server 10.0. Texts are compared without case and by their telling part,
//! because versions vary them. No text loses a message: whatever is not known is tried again until it is too old, and an
//! unknown `Bad Request` means that this form was refused, of which there are barer ones.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Updates;
use super::wire::{Answer, WireError};
use crate::words::Words;

/// Longest text kept of an error.
const LONGEST: usize = 240;

/// How long to wait where a flood answer names no time.
const FLOOD_DEFAULT: Duration = Duration::from_secs(5);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is in the chat.
    Sent {
        /// Its id, when the answer held one.
        message_id: Option<i64>,
    },
    /// It was there already in this form.
    NotModified,
    /// Flood control: nothing to this chat before that time.
    RetryAfter {
        /// As told.
        wait: Duration,
    },
    /// Nobody knows or cares why; the same request may succeed later. It may have arrived.
    Transient {
        /// What happened.
        words: String,
    },
    /// This form was refused: once more in a barer one.
    FormRefused {
        /// Telegram's words.
        words: String,
    },
    /// Longer than the server takes.
    TooLong {
        /// Telegram's words.
        words: String,
    },
    /// The group became a supergroup with this id.
    MigrateTo {
        /// The new id.
        chat_id: i64,
    },
    /// The message that was to be edited is gone, or too old for it.
    EditGone {
        /// Telegram's words.
        words: String,
    },
    /// The topic is gone or closed.
    ThreadGone {
        /// Telegram's words.
        words: String,
    },
    /// No message can reach the chat until a person changes something.
    ChannelBroken {
        /// What is wrong, for people.
        reason: String,
    },
    /// This message will never be taken.
    Permanent {
        /// Telegram's words.
        words: String,
    },
}

/// Knows the bot's token in order to keep it out of texts.
pub(super) struct Secret {
    token: SecretString,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn new(token: &SecretString) -> Self {
        Self { token: token.clone() }
    }

    /// The text on one line, bounded, without the token or its secret half.
    pub(super) fn redact(&self, text: &str) -> String {
        let token = self.token.expose_secret();
        let mut text = text.to_owned();
        let secret_half = token.split_once(':').map(|(_, half)| half);
        for secret in [Some(token), secret_half]
            .into_iter()
            .flatten()
            .filter(|secret| secret.len() >= 8)
        {
            text = text.replace(secret, "***");
        }
        Words::outside(&text, LONGEST).as_str().to_owned()
    }
}

/// A call that brought no answer.
pub(super) fn without_answer(error: &WireError, secret: &Secret) -> Delivery {
    match error {
        WireError::Http(error) => network(error, secret),
        WireError::Payload(error) => Delivery::Permanent {
            words: secret.redact(&format!("the message cannot be written as JSON: {error}")),
        },
        WireError::Address => Delivery::Transient {
            words: "the address of the API takes no method".into(),
        },
        WireError::TooLong => Delivery::Transient {
            words: "the answer is too long to be Telegram's; the message may have arrived".into(),
        },
    }
}

fn wait(seconds: u64) -> Delivery {
    Delivery::RetryAfter {
        wait: Duration::from_secs(seconds.max(1)),
    }
}

/// Reads an answer, which may be a proxy's page.
pub(super) fn classify(answer: &Answer, secret: &Secret) -> Delivery {
    let Ok(body) = serde_json::from_str::<Value>(&answer.text) else {
        return of_page(answer, secret);
    };
    match (body["ok"].as_bool(), body["description"].as_str()) {
        // Sending it again because we cannot read the receipt would repeat it for ever.
        (Some(true), _) => Delivery::Sent {
            message_id: body["result"]["message_id"].as_i64(),
        },
        (Some(false), Some(description)) => {
            let parameters = &body["parameters"];
            if let Some(chat_id) = parameters["migrate_to_chat_id"].as_i64() {
                return Delivery::MigrateTo { chat_id };
            }
            // Parameter and header: whichever asks for more.
            match parameters["retry_after"].as_u64().max(answer.retry_after) {
                Some(seconds) => wait(seconds),
                None if answer.status >= 500 => Delivery::Transient {
                    words: secret.redact(description),
                },
                None => of_text(description, secret),
            }
        }
        _ => Delivery::Transient {
            words: "the answer is JSON, but not Telegram's".into(),
        },
    }
}

/// Reads an answer to a question for updates. They stay as they are: one that a library could not read would stop all.
pub(super) fn updates(answer: &Answer, secret: &Secret) -> Updates {
    let body = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
    if let (Some(true), Some(list)) = (body["ok"].as_bool(), body["result"].as_array()) {
        return Updates::Some(list.clone());
    }
    match classify(answer, secret) {
        Delivery::RetryAfter { wait } => Updates::Wait(wait),
        Delivery::Transient { words }
        | Delivery::Permanent { words }
        | Delivery::FormRefused { words }
        | Delivery::ThreadGone { words }
        | Delivery::ChannelBroken { reason: words } => Updates::Failed { words },
        _ => Updates::Failed {
            words: "the answer is none to this question".into(),
        },
    }
}

/// An answer that is not JSON: a proxy's page, or half of something.
fn of_page(answer: &Answer, secret: &Secret) -> Delivery {
    let head: String = answer.text.chars().take(80).collect();
    let words = secret.redact(&format!(
        "HTTP {}, the answer is not from Telegram: {head}",
        answer.status
    ));
    match (answer.status, answer.retry_after) {
        (429, Some(seconds)) => wait(seconds),
        (429, None) => Delivery::RetryAfter { wait: FLOOD_DEFAULT },
        (413, _) => Delivery::TooLong { words },
        _ => Delivery::Transient { words },
    }
}

fn network(error: &reqwest::Error, secret: &Secret) -> Delivery {
    let what = if error.is_builder() {
        "the request could not be made"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time; it may have arrived"
    } else {
        "the connection broke; it may have arrived"
    };
    // The outermost text of the HTTP library names the address, which holds the token; the causes do not.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    let words = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    Delivery::Transient {
        words: secret.redact(&words),
    }
}

/// Telling parts of error texts, lower case, most specific first.
const BROKEN: [(&str, &str); 17] = [
    ("bot was blocked", "the user has blocked the bot"),
    ("kicked", "the bot was removed from the chat"),
    ("is not a member", "the bot is not a member of the chat"),
    ("group chat was deleted", "the group was deleted"),
    ("group is deactivated", "the group was deactivated"),
    ("user is deactivated", "the user's account was deactivated"),
    ("can't initiate conversation", "the user must write to the bot first"),
    ("to bots", "the chat is another bot"),
    ("chat not found", "the chat does not exist or the bot is not in it"),
    ("user not found", "the user does not exist"),
    ("chat_id is empty", "no chat is configured"),
    ("peer_id_invalid", "the chat's number is wrong"),
    ("rights", "the bot may not write in the chat"),
    ("chat_write_forbidden", "the bot may not write in the chat"),
    ("chat_restricted", "the chat is restricted"),
    ("chat_admin_required", "the bot must be an administrator of the channel"),
    (
        "upgraded to a supergroup",
        "the group became a supergroup and its new number was not told",
    ),
];

const TOO_LONG: [&str; 4] = [
    "message is too long",
    "text is too long",
    "message_too_long",
    "entity too large",
];
const EDIT: [&str; 4] = [
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "message identifier is not specified",
];
const THREAD: [&str; 4] = ["thread not found", "topic_deleted", "topic_closed", "topic_id_invalid"];

fn of_text(description: &str, secret: &Secret) -> Delivery {
    let words = secret.redact(description);
    let text = words.to_lowercase();
    let any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if text.contains("message is not modified") {
        return Delivery::NotModified;
    }
    if text.starts_with("too many requests") || text.contains("retry after") {
        return told_wait(&text);
    }
    // First, because it quotes the message, which may hold any of the words below.
    if text.starts_with("bad request: can't parse") {
        return Delivery::FormRefused { words };
    }
    if any(&EDIT) {
        return Delivery::EditGone { words };
    }
    if any(&THREAD) {
        return Delivery::ThreadGone { words };
    }
    if any(&TOO_LONG) {
        return Delivery::TooLong { words };
    }
    if let Some((_, reason)) = BROKEN.iter().find(|(part, _)| text.contains(part)) {
        return Delivery::ChannelBroken {
            reason: format!("{reason} ({words})"),
        };
    }
    if text.contains("invalid bot token") || text.starts_with("unauthorized") || text.starts_with("not found") {
        return Delivery::ChannelBroken {
            reason: format!("the bot token or the address of the API is wrong ({words})"),
        };
    }
    if text.starts_with("forbidden") {
        return Delivery::ChannelBroken {
            reason: format!("the chat refuses the bot ({words})"),
        };
    }
    if text.starts_with("bad request") {
        // Its mode, its text ("message text is empty"), or something that nobody has seen.
        return Delivery::FormRefused { words };
    }
    Delivery::Transient { words }
}

/// `too many requests: retry after 17`
fn told_wait(text: &str) -> Delivery {
    let seconds = text
        .rsplit_once("retry after")
        .and_then(|(_, rest)| rest.trim().split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse::<u64>().ok());
    match seconds {
        Some(seconds) => wait(seconds),
        None => Delivery::RetryAfter { wait: FLOOD_DEFAULT },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "123456:canary-secret-half-of-the-token-0001";

    fn secret() -> Secret {
        Secret::new(&SecretString::from(TOKEN))
    }

    fn answer(body: &str) -> Delivery {
        with_status(400, None, body)
    }

    fn with_status(status: u16, retry_after: Option<u64>, body: &str) -> Delivery {
        let answer = Answer {
            status,
            retry_after,
            text: body.to_owned(),
        };
        classify(&answer, &secret())
    }

    fn class(delivery: &Delivery) -> &'static str {
        match delivery {
            Delivery::Sent { .. } => "sent",
            Delivery::NotModified => "not modified",
            Delivery::RetryAfter { .. } => "retry after",
            Delivery::Transient { .. } => "transient",
            Delivery::FormRefused { .. } => "form",
            Delivery::TooLong { .. } => "too long",
            Delivery::MigrateTo { .. } => "migrate",
            Delivery::ThreadGone { .. } => "thread",
            Delivery::EditGone { .. } => "edit gone",
            Delivery::ChannelBroken { .. } => "broken",
            Delivery::Permanent { .. } => "permanent",
        }
    }

    #[test]
    fn every_documented_error_has_its_class() {
        for (description, wanted) in [
            (
                "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3",
                "form",
            ),
            ("Bad Request: can't parse entities: Character '.' is reserved", "form"),
            ("Bad Request: unsupported parse_mode", "form"),
            ("Bad Request: message is too long", "too long"),
            ("Bad Request: text is too long", "too long"),
            ("Bad Request: MESSAGE_TOO_LONG", "too long"),
            ("Request Entity Too Large", "too long"),
            ("Bad Request: message text is empty", "form"),
            (
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                "not modified",
            ),
            ("Bad Request: chat not found", "broken"),
            ("Bad Request: message thread not found", "thread"),
            ("Bad Request: TOPIC_CLOSED", "thread"),
            ("Bad Request: message to edit not found", "edit gone"),
            ("Bad Request: message can't be edited", "edit gone"),
            ("Bad Request: MESSAGE_ID_INVALID", "edit gone"),
            ("Bad Request: group chat was upgraded to a supergroup chat", "broken"),
            (
                "Bad Request: not enough rights to send text messages to the chat",
                "broken",
            ),
            ("Bad Request: need administrator rights in the channel chat", "broken"),
            ("Bad Request: group is deactivated", "broken"),
            ("Bad Request: PEER_ID_INVALID", "broken"),
            ("Bad Request: something nobody has seen", "form"),
            ("Unauthorized", "broken"),
            ("Unauthorized: invalid token specified", "broken"),
            ("Not Found", "broken"),
            ("Forbidden: bot was blocked by the user", "broken"),
            ("Forbidden: bot was kicked from the supergroup chat", "broken"),
            ("Forbidden: the group chat was deleted", "broken"),
            ("Forbidden: user is deactivated", "broken"),
            ("Forbidden: bot is not a member of the channel chat", "broken"),
            ("Forbidden: words of tomorrow", "broken"),
            ("Too Many Requests: retry after 17", "retry after"),
            ("Internal Server Error", "transient"),
            ("Bad Gateway", "transient"),
            ("Gateway Timeout", "transient"),
            ("Conflict: terminated by other getUpdates request", "transient"),
            (
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
                "transient",
            ),
            (
                "Bad Request: can't find end of the entity starting at byte offset 7",
                "form",
            ),
            ("Bad Request: chat_id is empty", "broken"),
            ("Bad Request: message is too long", "too long"),
            (
                "Bad Request: can't parse entities: Unsupported start tag \"not enough rights, chat not found\"",
                "form",
            ),
            ("words of tomorrow", "transient"),
        ] {
            let body = serde_json::json!({"ok": false, "error_code": 400, "description": description}).to_string();
            assert_eq!(class(&answer(&body)), wanted, "{description}");
        }
    }

    #[test]
    fn parameters_and_unreadable_bodies() {
        for (body, wanted) in [
            (
                r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":17,"adaptive":true}}"#,
                Delivery::RetryAfter {
                    wait: Duration::from_secs(17),
                },
            ),
            (
                r#"{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-100987}}"#,
                Delivery::MigrateTo { chat_id: -100_987 },
            ),
            (
                r#"{"ok":true,"result":{"message_id":9,"new_shape":1}}"#,
                Delivery::Sent { message_id: Some(9) },
            ),
            (r#"{"ok":true,"result":true}"#, Delivery::Sent { message_id: None }),
        ] {
            assert_eq!(answer(body), wanted, "{body}");
        }
        for body in ["<html>502</html>", "", "[]", "{\"ok\":1}", "{\"ok\":false}"] {
            assert_eq!(class(&answer(body)), "transient", "{body}");
        }
        assert_eq!(
            answer(r#"{"ok":false,"description":"x","parameters":{"retry_after":0}}"#),
            Delivery::RetryAfter {
                wait: Duration::from_secs(1)
            }
        );
        let waits = |seconds| Delivery::RetryAfter {
            wait: Duration::from_secs(seconds),
        };
        let flood = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":3}}"#;
        assert_eq!(with_status(429, Some(9), flood), waits(9), "the longer one counts");
        assert_eq!(with_status(429, Some(7), "<html>"), waits(7));
        assert_eq!(with_status(429, None, "<html>"), waits(FLOOD_DEFAULT.as_secs()));
        assert_eq!(class(&with_status(413, None, "<html>")), "too long");
        for status in [500, 502, 503] {
            let body = r#"{"ok":false,"error_code":500,"description":"Bad Request: inside"}"#;
            assert_eq!(class(&with_status(status, None, body)), "transient", "{status}");
        }
        assert_eq!(
            told_wait("too many requests"),
            Delivery::RetryAfter { wait: FLOOD_DEFAULT }
        );
    }

    #[test]
    fn the_token_is_in_no_text() {
        let half = "canary-secret-half-of-the-token-0001";
        for text in [
            TOKEN.to_owned(),
            format!("https://api.telegram.org/bot{TOKEN}/sendMessage"),
            format!("x{half}y"),
        ] {
            let body = serde_json::json!({"ok": false, "description": format!("Forbidden: {text}")}).to_string();
            let shown = format!("{:?}", answer(&body));
            assert!(!shown.contains("canary"), "{shown}");
        }
        let long = secret().redact(&"word ".repeat(1_000));
        assert!(long.chars().count() <= LONGEST + 1);
    }
}
